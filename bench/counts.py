"""What a command costs in counts, which noise hardly moves: by hooks that the libraries offer.

SQL: `apsw.connection_hooks` gives every connection that is opened from then on a trace of its
statements. XML: the functions of lxml and expat through which bytes become a tree or events are
replaced by ones that count, for the whole process, whoever calls them, and so is our own reading
of messages without a parser. Bytes: what the process
handed to write calls (`/proc/self/io`), which are files; sockets are not among them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final
from xml.parsers import expat

import apsw
from lxml import etree

from adapter.store.commands import queries
from adapter.wire.forms import FormTexts, MessageForms

_IO: Final = Path("/proc/self/io")
_LOAD: Final = queries.LOAD_COMMANDS.strip()
_READ: Final = MessageForms.texts
_TREES: Final = ("fromstring", "XML", "parse", "iterparse", "XMLPullParser")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """`commits` of transactions that could write, empty ones too; `statements` of all connections;
    `loads` of commands from the store; `trees` that lxml was given bytes for, `judged` bodies that
    expat was, `forms` messages that were read without either. `written` bytes; NaN where the
    machine does not tell."""

    commits: float
    statements: float
    loads: float
    trees: float
    judged: float
    forms: float
    written: float

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(**{n: getattr(self, n) - getattr(other, n) for n in NAMES})

    def each(self, commands: int) -> "Counts":
        return Counts(**{name: getattr(self, name) / commands for name in NAMES})


NAMES: Final = tuple(field.name for field in fields(Counts))


def least(several: "list[Counts]") -> Counts:
    """The least of each: what a timer that comes round once more adds is not the command's."""
    return Counts(**{name: min(getattr(one, name) for one in several) for name in NAMES})


class Counter:
    """Counts what happens in this process while `counting`."""

    def __init__(self) -> None:
        self._commits = self._statements = self._loads = 0
        self._trees = self._judged = self._forms = 0

    def now(self) -> Counts:
        return Counts(
            commits=self._commits,
            statements=self._statements,
            loads=self._loads,
            trees=self._trees,
            judged=self._judged,
            forms=self._forms,
            written=written_bytes(),
        )

    def _opened(self, connection: apsw.Connection) -> None:
        def ran(event: Any) -> None:
            if event["trigger"]:
                return  # a step of a statement that was counted
            self._statements += 1
            if event["sql"].strip() == _LOAD:
                self._loads += 1

        def committed() -> bool:
            self._commits += 1
            return False  # or SQLite would undo it

        connection.trace_v2(apsw.SQLITE_TRACE_STMT, ran, id=self)
        connection.set_commit_hook(committed, id=self)

    def _tree(self) -> None:
        self._trees += 1

    def _judge(self) -> None:
        self._judged += 1

    def _read(self, forms: MessageForms, data: bytes, *, known: bool = True) -> FormTexts | None:
        found = _READ(forms, data, known=known)
        self._forms += found is not None
        return found

    @contextmanager
    def counting(self) -> Iterator["Counter"]:
        """Of the connections that are opened within, and of all XML."""
        apsw.connection_hooks.append(self._opened)
        plain = {name: getattr(etree, name) for name in _TREES}
        judge = expat.ParserCreate
        try:
            setattr(MessageForms, "texts", lambda *given, **how: self._read(*given, **how))  # noqa: B010
            for name, function in plain.items():
                setattr(etree, name, _counted(function, self._tree))
            setattr(expat, "ParserCreate", _counted(judge, self._judge))  # noqa: B010
            yield self
        finally:
            apsw.connection_hooks.remove(self._opened)
            setattr(MessageForms, "texts", _READ)  # noqa: B010
            setattr(expat, "ParserCreate", judge)  # noqa: B010
            for name, function in plain.items():
                setattr(etree, name, function)


def _counted(function: Callable[..., Any], count: Callable[[], None]) -> Callable[..., Any]:
    def counted(*given: Any, **named: Any) -> Any:
        count()
        return function(*given, **named)

    return counted


def written_bytes() -> float:
    """By this process so far, to files. NaN where the machine does not tell."""
    if not _IO.exists():
        return float("nan")
    (line,) = [each for each in _IO.read_text().splitlines() if each.startswith("wchar:")]
    return float(line.split()[1])
