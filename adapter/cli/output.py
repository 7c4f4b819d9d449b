"""What the command line prints, tables for people and JSON for programs, and its exit codes.

Nothing is printed past this module, so no control character of a stranger reaches a terminal.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from io import TextIOBase
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from adapter.cli.client import NoDocument, fields, items
from adapter.cli.numbers import WholeNumber
from adapter.cli.times import MOMENT
from adapter.client.errors import ApiProblem, Unreachable
from adapter.errors import (
    Conflict,
    ContractError,
    GatewayError,
    HeadEndError,
    InvalidRequest,
    NotFound,
    SettingsError,
    StoreFailed,
    StoreInUse,
    WireError,
)
from adapter.model.texts import visible, visible_json, visible_line
from adapter.model.whole_numbers import ROW

if TYPE_CHECKING:
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])  # click's decorators take any function
Row = Mapping[str, object]
Cell = str | Callable[[Row], object]

_PIPE_COLUMNS: Final = 200

# ---------------------------------------------------------------- options that many have

ROW_NUMBER: Final = WholeNumber(ROW.least, ROW.most)
"""The number of a row."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def limit_option(usual: int = 50) -> Callable[[F], F]:
    return click.option(
        "--limit",
        type=WholeNumber(1, 500),
        default=usual,
        show_default=True,
        help="At most so many.",
    )


def paged(usual: int = 50) -> Callable[[F], F]:
    cursor = click.option("--cursor", help="`next` of the page before.")
    return lambda function: cursor(limit_option(usual)(function))


def asked(function: F) -> F:
    """The options of lists of what somebody asked for."""
    for option in (
        click.option("--reference", help="Only with this reference of the requester."),
        click.option("--requester", help="Only what the holder of this key asked for."),
        click.option("--updated", type=MOMENT, help="Only what has changed since this time."),
        click.option("--since", type=MOMENT, help="Only what was accepted since this time."),
    ):
        function = option(function)
    return function


# ---------------------------------------------------------------- lists


@dataclass(frozen=True, slots=True)
class ListColumns:
    """How rows of one kind are listed: by heading, the cell of each row. `one` and `many` are the
    nouns that count them."""

    one: str
    many: str
    cells: Mapping[str, Cell]


def columns(noun: str, *cells: str | tuple[str, Cell]) -> ListColumns:
    """`noun` is `order`, or `entry/entries`. Cells are names of fields, which are the headings too;
    or a heading, and a field (`a.b` is a field of another) or a function of the row."""
    one, _, many = noun.partition("/")
    named: dict[str, Cell] = {}
    for each in cells:
        pairs = ((name, name) for name in each.split()) if isinstance(each, str) else (each,)
        named |= {heading.replace("_", " "): cell for heading, cell in pairs}
    return ListColumns(one, many, named)


def show_list(answer: object, shown: ListColumns, *, as_json: bool, note: str = "") -> None:
    """A page of the API, or a list of rows; then how many there are, how to see more, `note`."""
    if as_json:
        print_json(answer)
        return
    rows, unreadable = items(answer), items(fields(answer).get("unreadable"))
    if unreadable:
        rows = sorted([*rows, *map(_unreadable, unreadable)], key=_id, reverse=True)
    print_rows(shown, rows)
    cursor = fields(answer).get("next")
    more = f"; more: --cursor {cursor}" if cursor else ""
    say(f"{counted(len(rows), shown.one, shown.many)}{more}{note}")
    for row in unreadable:
        number = row["set_aside"]
        where = f"show {number}" if number else "list, once its work fails"
        say(f"{row['id']} cannot be read: openway set-aside {where}")


def print_rows(shown: ListColumns, rows: Iterable[Row], *, title: str | None = None) -> None:
    values = ([_value(row, cell) for cell in shown.cells.values()] for row in rows)
    print_table(tuple(shown.cells), values, title=title)


def print_objects(rows: Sequence[Row], *, title: str | None = None) -> None:
    """Rows of a kind that is not known here: a column for each field that any has something in."""
    names = [name for name in rows[0] if any(_filled(row.get(name)) for row in rows)]
    print_rows(columns("row", *names), rows, title=title)


def _value(row: Row, cell: Cell) -> object:
    if not isinstance(cell, str):
        return cell(row)
    name, _, rest = cell.partition(".")
    return _value(fields(row.get(name)), rest) if rest else row.get(name)


def _unreadable(row: Row) -> dict[str, Any]:
    return {"id": row["id"], "state": f"cannot be read: {row['error']}"}


def _id(row: Row) -> str:
    return str(row["id"])


def each_of(ids: Sequence[str], ask: Callable[[str], object]) -> list[dict[str, Any]]:
    """What is answered about each, one after the other. Of several, those that are refused are
    told, and the first refusal is raised after the last."""
    made: list[dict[str, Any]] = []
    refused: list[GatewayError] = []
    for each in ids:
        try:
            made.append(fields(ask(each)))
        except ApiProblem as error:
            if len(ids) == 1:
                raise
            say(f"{each}: {error}")
            refused.append(error)
    if refused:
        say(f"{len(made)} of {len(ids)} done")
        raise refused[0]
    return made


def show_each(
    made: Sequence[Row], shown: ListColumns, one: Callable[[Any], None], *, as_json: bool
) -> None:
    """The only one as it is shown alone, several as a list."""
    if len(made) == 1:
        one(made[0])
    elif as_json:
        print_json({"items": list(made)})
    else:
        print_rows(shown, made)


# ---------------------------------------------------------------- one


def show_fields(answer: object, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        print_fields(fields(answer))


def show_text(answer: object, text: str, *, as_json: bool) -> None:
    """JSON, or one sentence for people."""
    if as_json:
        print_json(answer)
    else:
        print_text(text)


def print_fields(fields: Mapping[str, object]) -> None:
    """Names and values, one a line; empty ones are left out."""
    shown = {name: cell(value) for name, value in fields.items() if _filled(value)}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        print_text(f"{name:<{width}}  {value}")


# ---------------------------------------------------------------- how it is printed


def console(*, stderr: bool = False) -> "Console":
    """Rich's console; where nobody looks, lines are wide enough not to be cut."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_COLUMNS
    return Console(stderr=stderr, width=width, highlight=False)


def print_json(value: object) -> None:
    click.echo(visible_json(json.dumps(value, indent=2, ensure_ascii=False, default=str)))


def print_json_line(value: object) -> None:
    click.echo(visible_json(json.dumps(value, ensure_ascii=False, default=str)))


def print_text(text: str = "") -> None:
    """A line for people, or several."""
    click.echo(visible(text))


def print_message(body: bytes) -> None:
    """A message in UTF-8: on a terminal with escapes, else as it is."""
    if sys.stdout.isatty():
        print_text(body.decode())
    else:
        sys.stdout.buffer.write(body + b"\n")
        sys.stdout.buffer.flush()


def nobody_reads_on() -> bool:
    """Whether click met a closed pipe: it puts a wrapper, no stream, in the output's place then."""
    return not isinstance(sys.stdout, TextIOBase)


class DataOutput:
    """Standard output for data that a program reads: on a terminal with escapes, else as it is."""

    def __init__(self) -> None:
        self._shown = visible if sys.stdout.isatty() else str

    def write(self, text: str) -> int:
        return sys.stdout.write(self._shown(text))


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None
) -> None:
    """A column of numbers is aligned to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    whole = list(rows)
    shown = None if title is None else Text(visible_line(title))
    table = Table(title=shown, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for number, heading in enumerate(headings):
        numbers = all(_is_number(row[number]) for row in whole)
        table.add_column(cell(heading), overflow="fold", justify="right" if numbers else "left")
    for row in whole:
        table.add_row(*(Text(cell(value)) for value in row))
    screen = console()
    with screen.capture() as printed:
        screen.print(table)
    click.echo("\n".join(line.rstrip() for line in printed.get().splitlines()))


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _filled(value: object) -> bool:
    return value not in (None, "", [], {})


@contextmanager
def full_screen() -> Iterator[Callable[[Sequence[tuple[str, str]]], None]]:
    """Shows lines, each with its style, in the place of those before; until it is left."""
    from rich.live import Live
    from rich.text import Text

    def show(lines: Sequence[tuple[str, str]]) -> None:
        text = Text(no_wrap=True, overflow="crop")
        for number, (line, style) in enumerate(lines):
            text.append("\n" * bool(number) + visible_line(line), style)
        live.update(text, refresh=True)

    with Live(console=console(), screen=True, auto_refresh=False) as live:
        yield show


def cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(
            f"{cell(name)}={cell(part)}" for name, part in value.items() if _filled(part)
        )
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(cell, value))
    return visible_line(str(value))


def counted(number: object, name: str, names: str = "") -> str:
    """`1 order`, `2 orders`; `names` where an s does not make the plural."""
    return f"{number} {name}" if number == 1 else f"{number} {names or name + 's'}"


def on_terminal() -> bool:
    """Whether somebody looks at what is printed."""
    return sys.stdout.isatty()


def say(text: str) -> None:
    """A remark for people, not part of the output."""
    click.echo(visible(text), err=True)


def named_problem(error: OSError) -> str:
    """The file or address first, where it is known, then what is wrong with it."""
    named = error.filename is not None and error.strerror is not None
    return f"{error.filename}: {error.strerror}" if named else str(error)


# ---------------------------------------------------------------- exit codes


class Exit(IntEnum):
    OK = 0
    WITHOUT_SUCCESS = 1
    INVALID = 2
    NOT_FOUND = 3
    CONFLICT = 4
    UNREACHABLE = 5
    SETTINGS = 6
    FAILED = 7
    INTERRUPTED = 130


MEANING: Final = {
    Exit.OK: "done",
    Exit.WITHOUT_SUCCESS: "the command or order ended, or waits for a person, without success; "
    "or a check found something",
    Exit.INVALID: "wrong usage or invalid input; nothing was done",
    Exit.NOT_FOUND: "no such command, device, message or payload",
    Exit.CONFLICT: "conflict with the present state, or not allowed",
    Exit.UNREACHABLE: "no answer, or not ended in time",
    Exit.SETTINGS: "a setting is unknown or bad",
    Exit.FAILED: "the gateway or its store failed; or the doctor found a fault",
    Exit.INTERRUPTED: "interrupted",
}

_BY_STATUS: Final = {
    400: Exit.INVALID,
    401: Exit.CONFLICT,
    403: Exit.CONFLICT,
    404: Exit.NOT_FOUND,
    408: Exit.UNREACHABLE,
    409: Exit.CONFLICT,
    412: Exit.CONFLICT,
    413: Exit.INVALID,
    415: Exit.INVALID,
    422: Exit.INVALID,
    429: Exit.UNREACHABLE,
    503: Exit.UNREACHABLE,
    504: Exit.UNREACHABLE,
}
_BY_ERROR: Final = (
    (Unreachable, Exit.UNREACHABLE),
    (NoDocument, Exit.UNREACHABLE),
    (InvalidRequest, Exit.INVALID),
    (NotFound, Exit.NOT_FOUND),
    (Conflict, Exit.CONFLICT),
    (HeadEndError, Exit.UNREACHABLE),
    (WireError, Exit.INVALID),
    (ContractError, Exit.INVALID),
    (SettingsError, Exit.SETTINGS),
    (StoreInUse, Exit.CONFLICT),
    (StoreFailed, Exit.FAILED),
)


def exit_of(error: GatewayError) -> Exit:
    if isinstance(error, ApiProblem):
        return _BY_STATUS.get(error.status, Exit.FAILED)
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), Exit.INVALID)
