"""The comparison of pages with what is printed sees what it should see."""

from pathlib import Path

import pytest

from tests.docs.pages import Block
from tests.docs.shapes import Differs, compare
from tests.docs.shell import Shell
from tests.docs.test_snippets import LANGUAGES, commands_of

PRINTED = """
 id                           state       kWh
 ─────────────────────────────────────────────
 01m8n548g1pkaka4zrnnx211vp   completed   1.74
2 commands
"""


@pytest.mark.parametrize(
    "expected",
    [
        "id state kWh\n─\n01m8n548g1pkaka4zrnnx211vq completed 0.1\n2 commands",
        "...\n2 commands",
        "id state kWh\n...\nCOMMAND completed ...\n2 commands",
    ],
)
def test_what_varies_is_compared_by_its_shape(expected: str) -> None:
    compare(expected, PRINTED, {})


@pytest.mark.parametrize(
    "expected",
    [
        "...\n3 commands",
        "id state\n...",
        "id state kWh\n─\nnothing completed 1.7\n2 commands",
        "...\nCOMMAND failed ...\n2 commands",
    ],
)
def test_what_is_other_is_seen(expected: str) -> None:
    with pytest.raises(Differs):
        compare(expected, PRINTED, {})


def test_a_placeholder_stands_for_one_value() -> None:
    known = compare("...\nCOMMAND completed ...\n...", PRINTED, {})
    assert known == {"COMMAND": "01m8n548g1pkaka4zrnnx211vp"}
    with pytest.raises(Differs):
        compare("...\nCOMMAND completed ...\n...", PRINTED, {"COMMAND": "another"})


def test_a_command_goes_on_over_lines_and_has_what_it_prints() -> None:
    text = "$ curl -s URL \\\n    -d x\n{}\n$ echo 1\n"
    assert list(commands_of(text)) == [("curl -s URL      -d x", "{}\n"), ("echo 1", "")]


def test_a_language_or_a_program_that_nobody_knows_fails(tmp_path: Path) -> None:
    assert "bash" not in LANGUAGES
    with pytest.raises(AssertionError, match="jq"):
        Shell(tmp_path).run("jq .id file")


def test_a_text_that_nothing_printed_must_say_why_it_stands_there() -> None:
    block = Block(page="", line=1, language="text", words=(), text="x", generated=False)
    with pytest.raises(AssertionError, match="says why"):
        LANGUAGES["text"](block, None)  # type: ignore[arg-type]  # no session is looked at
