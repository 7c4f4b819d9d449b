"""Every block of README, CONTRIBUTING and docs/ is run, or says why it cannot be.

A page is one session: its blocks run in order, in one folder, against one site. Each language is a
row of LANGUAGES; one that is not there fails.
"""

import contextlib
import io
import json
import re
import textwrap
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pytest

import adapter.service
from adapter.engine.events.tables import load_event_tables
from adapter.engine.orders.field_work import FieldReport
from adapter.engine.readings.tables import load_tables
from adapter.fieldwork.messages import read_message, read_report
from adapter.service.orders_file import rules_of
from adapter.service.settings import load
from adapter.simulator.settings import SimulatorConfig
from adapter.wire.xml import parse
from tests.docs.pages import PAGES, Block, blocks
from tests.docs.shapes import PLACEHOLDERS, Differs, compare
from tests.docs.shell import Shell
from tests.docs.site import running

NOT_RUN: Final[Mapping[str, int]] = MappingProxyType(
    {
        "CONTRIBUTING.md": 1,
        "README.md": 1,
        "docs/completeness.md": 1,
        "docs/doctor.md": 1,
        "docs/deploying.md": 1,
        "docs/feed.md": 2,
        "docs/readings.md": 1,
        "docs/schedules.md": 1,
    }
)
"""How many blocks of a page are not run. Each says why; more of them need a reason here."""

_STARTS_A_SITE: Final = re.compile(r"^\$ openway (simulate|serve).*&", re.MULTILINE)
_NEEDS_NO_SITE: Final = re.compile(
    r"\$ ([A-Z_]+=\S+ )?(make|export|kill|echo|cat|ls"
    r"|openway (tables|config|wire|wsdl|demo|replay|record|simulate|serve))\b"
)


@dataclass
class Session:
    """What the blocks of one page share. `printed` is what the python block before printed."""

    shell: Shell
    stack: contextlib.ExitStack
    own_site: bool
    started: bool = False
    printed: str = ""

    def need_site(self) -> None:
        if not self.own_site and not self.started:
            self.started = True
            self.stack.enter_context(running(self.shell, _settings()))


def _settings() -> str:
    """README's settings file."""
    (found,) = (each.text for each in blocks("README.md") if each.file == "openway.toml")
    return found


# ---------------------------------------------------------------- languages


def console(block: Block, session: Session) -> None:
    for command, expected in commands_of(block.text):
        if not _NEEDS_NO_SITE.match(f"$ {command}"):
            session.need_site()
        shell, failed = session.shell, session.shell.status
        assert failed == 0 or command.startswith("echo $?"), (
            f"before `{command}` a command ended with {failed}: {session.printed}"
        )
        looks = LOOKS if any(word in command.split() for word in _LOOKING) else 1
        for left in reversed(range(looks)):
            session.printed = shell.run(command)
            try:
                compare_with(expected, session.printed, shell, command)
                break
            except Differs:
                if not left:
                    raise
                threading.Event().wait(_PACE_S)


LOOKS: Final = 500
_PACE_S: Final = 0.1
_LOOKING: Final = ("show", "list", "report", "outages", "payloads", "errors", "plot", "verify")
"""Commands that only look. Pages are read at a person's pace: these are run again for a while,
until they print what the page says."""

_NEW: Final = re.compile(rf'^(?:id +|{{"id":")({"|".join(PLACEHOLDERS)})\b', re.MULTILINE)


def compare_with(expected: str, printed: str, shell: Shell, command: str) -> None:
    """What a command printed beside what the page says; placeholders are known from then on.

    One that stands after `id` belongs to the new thing that the command made.
    """
    if not expected.strip():
        return
    for name in _NEW.findall(expected):
        if name not in command:
            shell.known.pop(name, None)
    shell.known |= compare(expected, printed, shell.known)


def commands_of(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block with what it is said to print."""
    text = text.replace("\\\n", " ")
    assert text.startswith("$ "), text
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        yield command, printed


def python(block: Block, session: Session) -> None:
    session.need_site()
    code = compile(session.shell.here(block.text), str(block), "exec")
    printed = io.StringIO()
    with session.shell.entered(), contextlib.redirect_stdout(printed):
        exec(code, {"__name__": "__main__"})
    session.printed = session.shell.there(printed.getvalue())


def text(block: Block, session: Session) -> None:
    assert block.words == ("output",), f"{block}: text is `output`, or not run and says why"
    compare(block.text, session.printed, session.shell.known)


def toml(block: Block, session: Session) -> None:
    tomllib.loads(block.text)
    (reader,) = (word for word in block.words if "=" not in word)
    path = session.shell.folder / (block.file or f"{reader}.toml")
    path.write_text(session.shell.here(block.text), encoding="utf-8")
    _make_named_files(path, session.shell)
    with session.shell.entered():
        TOML[reader](path)


def _make_named_files(path: Path, shell: Shell) -> None:
    """What a site has in the files that settings name, and a page has not (yet)."""
    for name in re.findall(r'_file = "([^"]+)"', path.read_text(encoding="utf-8")):
        if not (shell.folder / name).exists():
            (shell.folder / name).write_text(_IN_FILES.get(name, _SECRET), encoding="utf-8")


_SECRET: Final = "zb7Q-kr41-wmX9"
_IN_FILES: Final = MappingProxyType(
    {
        "keys.txt": f"ann read sha256:{'0123456789abcdef' * 4}\n",
        "callback-users.txt": f"head-end:{_SECRET}\n",
        "signing.txt": "whsec_b3BlbndheS1nYXRld2F5LWRvY3VtZW50YXRpb24=\n",
    }
)


TOML: Final[Mapping[str, Callable[[Path], object]]] = MappingProxyType(
    {
        "settings": lambda path: load(path, {}),
        "simulator": SimulatorConfig.load,
        "orders": lambda path: rules_of(tomllib.loads(path.read_text(encoding="utf-8"))),
        "readings": load_tables,
        "events": load_event_tables,
    }
)
"""What reads a file of TOML, by the word behind `toml`."""


def json_(block: Block, session: Session) -> None:
    del session
    match block.words:
        case ():
            json.loads(block.text)
        case ("message",):
            read_message(block.text.encode())
        case ("reports",):
            read = [read_report(line.encode()) for line in block.text.splitlines()]
            assert all(isinstance(each, FieldReport) for each in read)
        case _:
            raise AssertionError(f"{block}: json of what?")


def xml(block: Block, session: Session) -> None:
    parse(block.text.encode(), max_bytes=1_000_000)
    if block.file:
        (session.shell.folder / block.file).write_text(block.text, encoding="utf-8")


def csv(block: Block, session: Session) -> None:
    assert block.file, f"{block}: a file needs a name, `file=...`"
    (session.shell.folder / block.file).write_text(block.text, encoding="utf-8")


def sql(block: Block, session: Session) -> None:
    import duckdb

    with session.shell.entered():
        session.printed = str(duckdb.sql(block.text))


def mermaid(block: Block, session: Session) -> None:
    """Drawn by `openway tables`, which another test compares."""
    del session
    assert block.generated, f"{block}: diagrams are drawn from tables"


LANGUAGES: Final[Mapping[str, Callable[[Block, Session], None]]] = MappingProxyType(
    {
        "console": console,
        "python": python,
        "text": text,
        "toml": toml,
        "json": json_,
        "xml": xml,
        "csv": csv,
        "sql": sql,
        "mermaid": mermaid,
    }
)


# ---------------------------------------------------------------- tests


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_does_what_the_page_says(page: str, tmp_path: Path) -> None:
    found = blocks(page)
    with contextlib.ExitStack() as stack:
        shell = Shell(tmp_path)
        stack.callback(shell.close)
        own = any(_STARTS_A_SITE.search(block.text) for block in found)
        session = Session(shell, stack, own)
        for block in found:
            assert block.language in LANGUAGES, f"{block}: unknown language {block.language!r}"
            if not block.why:
                run_block(block, session)
        assert shell.status == 0, f"the last command ended with {shell.status}"


def run_block(block: Block, session: Session) -> None:
    if block.language == "python" and block.file:
        (session.shell.folder / block.file).write_text(block.text, encoding="utf-8")
        compile(block.text, str(block), "exec")
        return
    try:
        LANGUAGES[block.language](block, session)
    except BaseException as error:
        error.add_note(f"in the block at {block}")
        raise


def test_the_example_of_the_package_that_is_embedded_is_that_of_readme() -> None:
    """README's is run."""
    (code,) = (block.text for block in blocks("README.md") if block.language == "python")
    assert textwrap.indent(code, "    ") in (adapter.service.__doc__ or "")


def test_a_block_that_is_not_run_says_why_and_is_counted() -> None:
    found = [block for page in PAGES for block in blocks(page)]
    assert all(len(block.why) > 10 for block in found if block.why)
    silent = [str(block) for block in found if "not" in block.words]
    assert silent == []
    counted = {page: sum(bool(b.why) for b in found if b.page == page) for page in PAGES}
    assert {page: number for page, number in counted.items() if number} == dict(NOT_RUN)


def test_readme_is_read_in_five_minutes() -> None:
    from tests.docs.pages import ROOT

    assert (ROOT / "README.md").stat().st_size <= 12_000
