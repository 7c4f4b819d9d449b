"""What the command line prints: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from adapter.model.whole_numbers import ROW

if TYPE_CHECKING:
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])  # click's decorators take any function

_PIPE_COLUMNS: Final = 200

ROW_NUMBER: Final = click.IntRange(ROW.least, ROW.most)
"""The number of a row."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def console(*, stderr: bool = False) -> "Console":
    """Rich's console; where nobody looks, lines are wide enough not to be cut."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_COLUMNS
    return Console(stderr=stderr, width=width, highlight=False)


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_json_line(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    console().print(table)


def print_fields(fields: Mapping[str, object]) -> None:
    """Names and values, one a line; empty ones are left out."""
    shown = {name: cell(value) for name, value in fields.items() if _filled(value)}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        click.echo(f"{name:<{width}}  {value}")


def print_rows(rows: Sequence[Mapping[str, object]], *, title: str | None = None) -> None:
    """A table of objects: a column for each name that any of them has something in."""
    columns = [name for name in rows[0] if any(_filled(row.get(name)) for row in rows)]
    print_table(columns, ([row.get(name) for name in columns] for row in rows), title=title)


def _filled(value: object) -> bool:
    return value not in (None, "", [], {})


def cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(f"{name}={cell(part)}" for name, part in value.items() if _filled(part))
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(cell, value))
    return str(value)


def counted(number: object, name: str, names: str = "") -> str:
    """`1 order`, `2 orders`; `names` where an s does not make the plural."""
    return f"{number} {name}" if number == 1 else f"{number} {names or name + 's'}"


def say(text: str) -> None:
    """A remark for people, not part of the output."""
    click.echo(text, err=True)
