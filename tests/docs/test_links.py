"""What the pages point at is there: links, headings, paths, commands, settings."""

import re
from typing import Final

import click

from adapter.cli import openway
from adapter.service.settings_table import limit_rows, receiver_rows, rows
from tests.docs.pages import PAGES, ROOT, anchors, code_words, links, read
from tests.support import for_every

FURTHER: Final = ("wsdl/README.md", "fixtures/README.md", "CHANGELOG.md")
"""Pages whose links are followed as well; their blocks are no sessions."""

_PATH: Final = re.compile(
    r"(?:adapter|tests|docs|fixtures|wsdl|bench)/[\w./-]*|[A-Z]+\.md|Makefile|pyproject\.toml"
)


@for_every("page", [*PAGES, *FURTHER])
def test_a_link_leads_somewhere(page: str) -> None:
    for target in links(page):
        path, _, heading = target.partition("#")
        to = (ROOT / page).parent.joinpath(path) if path else ROOT / page
        assert to.exists(), f"{page}: {target}"
        if heading:
            assert heading in anchors(to.relative_to(ROOT).as_posix()), f"{page}: {target}"


@for_every("page", PAGES)
def test_a_path_that_is_named_exists(page: str) -> None:
    missing = [
        word for word in code_words(page) if _PATH.fullmatch(word) and not (ROOT / word).exists()
    ]
    assert missing == []


def test_every_page_is_in_the_index() -> None:
    listed = set(links("docs/index.md"))
    assert {page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")} <= (
        listed | {"index.md"}
    )


@for_every("page", PAGES)
def test_a_command_that_is_named_exists(page: str) -> None:
    """`openway order show ORDER` in a sentence: the words up to the first that is no command."""
    for word in code_words(page):
        if word.startswith("openway "):
            _follow(word.split()[1:], word)


def _follow(words: list[str], told: str) -> None:
    command: click.Command = openway
    for word in words:
        if not isinstance(command, click.Group) or word.startswith("-"):
            break
        assert word in command.commands, f"`{told}`: no such command"
        command = command.commands[word]
    for option in (word for word in words if word.startswith("--")):
        known = {name for each in command.params for name in each.opts} | {"--help", "--version"}
        assert option in known, f"`{told}`: no such option"


@for_every("page", PAGES)
def test_a_setting_that_is_named_exists(page: str) -> None:
    names = {row.name for row in (*rows(), *receiver_rows(), *limit_rows())}
    sections = {name.partition(".")[0] for name in names}
    known = names | {name.removesuffix("_file") for name in names}
    for word in code_words(page):
        if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", word) and word.partition(".")[0] in sections:
            assert word in known or any(name.startswith(f"{word}.") for name in known), (
                f"{page}: {word}"
            )


def test_contributing_and_readme_are_pages() -> None:
    assert {"README.md", "CONTRIBUTING.md"} <= set(PAGES)
    assert read("docs/index.md").startswith("# ")
