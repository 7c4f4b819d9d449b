"""What a stranger wrote never acts on the terminal of those who read it: every output."""

import ast
import http.client
import json
import logging
import sys
import unicodedata
from collections.abc import Iterator
from io import StringIO
from urllib.parse import urlsplit

import pytest

from adapter.cli.output import DataOutput, Exit, cell, print_json, print_table, print_text, say
from adapter.model.texts import visible, visible_json, visible_line
from adapter.service.log import start_logging
from adapter.service.settings import LogFormat, LogSettings
from tests.architecture.sources import MODULES, text_of, tree_of
from tests.cli.running_service import ADMIN, Service, Terminal, serving
from tests.support import for_every

ACTING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
TITLE = (
    "\x1b]0;owned\x07\x1b[31m\b\x7f\r\v\x9b2J\x90q\x9c"
    "\u202eabc\u2066\u200b\ufeff\u2028\u2029\x85\U000e0041"
)
OUTPUTS = (
    ("quarantine", "list"), ("quarantine", "show", "1"), ("quarantine", "show", "2"),
    ("audit", "list"), ("intake", "errors"), ("readings", "payloads"), ("device-events", "list"),
    ("device-events", "errors"), ("devices", "list"), ("command", "list"), ("todo", "list"),
    ("order", "list"), ("set-aside", "list"), ("subscriptions", "show"), ("ledger",),
    ("devices", "show", TITLE), ("command", "show", TITLE), ("order", "show", TITLE),
    ("command", "submit", TITLE, "--devices", TITLE), (TITLE,), ("devices", "list", TITLE),
    ("devices", "import", f"/nowhere/{TITLE}.csv"), ("wire", "decode", f"/nowhere/{TITLE}.xml"),
)  # fmt: skip


def acting(text: str) -> list[str]:
    """The characters that a terminal, or a reader of its lines, could be misled by."""
    return [each for each in text if each not in "\n\t" and unicodedata.category(each) in ACTING]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("escapes"), meters=2) as running:
        seen = "".join(each for each in TITLE if each.isprintable() or ord(each) > 0x7F)
        for place, body in (
            ("/openway/status", f"<x>{TITLE}</x>"),
            ("/openway/data", f"<x a='{seen}'>{seen}</x>"),
            ("/openway/data", f"<{seen}/>"),
        ):
            _post(running, place, body)
        yield running


@pytest.fixture
def openway(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    return Terminal(capsys, monkeypatch, service.api_url).as_(ADMIN)


def _post(service: Service, place: str, body: str) -> None:
    line = http.client.HTTPConnection(urlsplit(service.listener_url).netloc, timeout=30)
    line.putrequest("POST", place)
    line.putheader("Content-Type", "text/xml; charset=utf-8")
    line.putheader("SOAPAction", b"urn:\x9b31m\x85")
    line.putheader("Content-Length", str(len(body.encode())))
    line.endheaders(body.encode())
    line.getresponse().read()
    line.close()


@for_every("arguments", OUTPUTS)
@for_every("more", ((), ("--json",)))
def test_no_output_carries_what_acts_on_a_terminal(
    openway: Terminal, arguments: tuple[str, ...], more: tuple[str, ...]
) -> None:
    printed = openway(*arguments, *more)
    assert acting(printed.out + printed.err) == []


def test_a_hostile_message_is_shown_with_its_controls_as_escapes(openway: Terminal) -> None:
    people = openway("quarantine", "show", "1")
    assert people.code == Exit.OK
    assert r"<x>\x1b]0;owned\x07\x1b[31m\x08\x7f" in people.out
    assert r"\x9b2J" in people.out
    assert r"\u202eabc" in people.out


def test_json_reads_as_what_came(openway: Terminal) -> None:
    assert TITLE in str(openway("quarantine", "show", "1", "--json").json["text"])


def test_every_character_that_acts_is_an_escape_and_no_other() -> None:
    for number in range(sys.maxunicode + 1):
        each = chr(number)
        acts = unicodedata.category(each) in ACTING
        assert acts <= (visible_line(each) != each), hex(number)
        if visible_line(each) != each:
            assert acts or unicodedata.category(each) == "Cn", hex(number)
            assert visible_line(each).isascii()
            told = visible_json(json.dumps(each, ensure_ascii=False))
            assert not acting(told)
            assert json.loads(told) == each


def test_lines_stay_in_a_text_and_end_in_a_cell() -> None:
    assert visible("a\n\tb\r\n") == "a\n\tb\\r\n"
    assert cell("a\nb\tc") == r"a\nb\tc"
    assert cell({"a\x1b": ["b\x9b", {"c": "\u202e"}]}) == r"a\x1b=b\x9b, c=\u202e"


def test_halves_of_pairs_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    say("\udc9b")
    print_text("\udc9b")
    print_json({"x": "\udc9b"})
    print_table(["\udc9b"], [["\udc9b"]], title="\udc9b")
    out, err = capsys.readouterr()
    assert acting(out + err) == []
    assert out.count(r"\udc9b") == 5


def test_data_for_programs_is_whole_and_on_a_terminal_harmless(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Screen(StringIO):
        def isatty(self) -> bool:
            return True

    for stream, told in ((StringIO(), "a,\x9b\n"), (Screen(), "a,\\x9b\n")):
        monkeypatch.setattr(sys, "stdout", stream)
        DataOutput().write("a,\x9b\n")
        assert stream.getvalue() == told


@for_every("form", (LogFormat.TEXT, LogFormat.JSON))
def test_log_lines_carry_nothing_that_acts(form: LogFormat) -> None:
    stream = StringIO()
    start_logging(LogSettings(format=form), stream=stream)
    try:
        raise ValueError(TITLE)
    except ValueError:
        logging.getLogger("adapter.x").exception("failed", extra={"why": f"a\n{TITLE}"})
    assert acting(stream.getvalue()) == []
    assert "owned" in stream.getvalue()


def test_the_command_line_prints_only_through_one_module() -> None:
    """So what is printed tomorrow is shown with escapes as well."""
    for module in MODULES:
        if not module.startswith("cli/") or module == "cli/output.py":
            continue
        called = {ast.unparse(n.func) for n in ast.walk(tree_of(module)) if isinstance(n, ast.Call)}
        assert not {"print", "click.echo", "click.secho"} & called, module
        assert "sys.stdout" not in text_of(module), module
