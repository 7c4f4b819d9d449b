"""The tables and diagrams of the pages are those that the code prints; `make docs` writes them."""

from adapter.cli.tables import DIAGRAMS, TABLES, filled
from adapter.service.settings_table import sections
from tests.docs.pages import PAGES, ROOT, read
from tests.support import for_every


@for_every("page", PAGES)
def test_a_page_shows_its_tables_as_they_are_printed(page: str) -> None:
    text = read(page)
    assert filled(text, ROOT) == text


def test_every_table_and_every_diagram_is_on_a_page() -> None:
    together = "\n".join(read(page) for page in PAGES)
    missing = [name for name in (*TABLES, *DIAGRAMS) if f"<!-- tables:{name} -->" not in together]
    assert missing == []


def test_the_floors_of_contributing_are_those_of_the_import_linter() -> None:
    text = read("CONTRIBUTING.md")
    assert "<!-- tables:floors -->" in text
    assert "<!-- tables:contracts -->" in text


def test_every_section_of_the_settings_is_in_the_file_that_is_named() -> None:
    for _, name, file in sections():
        assert f"\nclass {name}" in read(file)
