"""`openway set-aside`: rows of any loop that failed unexpectedly, put back or discarded."""

from collections.abc import Callable
from typing import Final

import click

from adapter.cli.client import Json, fields, items
from adapter.cli.output import (
    ROW_NUMBER,
    as_json,
    columns,
    paged,
    print_json,
    print_text,
    show_fields,
    show_list,
)
from adapter.cli.session import Session, with_session
from adapter.cli.words import Word
from adapter.engine.upkeep.set_aside import FailedState, RowKind

_PAGE: Final = 500
ROWS: Final = columns(
    "row",
    "id kind row tries",
    ("first", "first_failed_at"),
    ("last", "last_failed_at"),
    ("due", "due_at"),
    "error detail",
)


@click.group(name="set-aside")
def set_aside() -> None:
    """Rows that failed unexpectedly, again and again: the others go on without them."""


@set_aside.command(name="list")
@click.option("--state", type=Word([each.value for each in FailedState]),
              default=FailedState.SET_ASIDE.value, show_default=True)  # fmt: skip
@click.option("--kind", type=Word([each.value for each in RowKind]), help="Only these.")
@paged()
@as_json
@with_session
def list_(session: Session, /, as_json: bool, **query: object) -> None:
    """List them by number. `waiting` are those that will be tried again by themselves."""
    show_list(session.client.get("/set-aside", query), ROWS, as_json=as_json)


@set_aside.command()
@click.argument("number", type=ROW_NUMBER)
@as_json
@with_session
def show(session: Session, number: int, as_json: bool) -> None:
    """Show one: which row, its last error, when it failed first and last, how many tries."""
    show_fields(session.client.get(f"/set-aside/{number}"), as_json=as_json)


@set_aside.command()
@click.argument("numbers", nargs=-1, type=ROW_NUMBER)
@click.option("--all", "all_of", type=Word([each.value for each in RowKind]),
              help="All of a kind that are set aside.")  # fmt: skip
@click.option("--reason", default="", help="Goes into the audit.")
@as_json
@with_session
def retry(
    session: Session, numbers: tuple[int, ...], all_of: str | None, reason: str, as_json: bool
) -> None:
    """Put rows NUMBERS back: each is tried now, as if it had never failed."""
    wanted = [*numbers, *(_numbers_of(session, all_of) if all_of is not None else ())]
    if not wanted and all_of is None:
        raise click.UsageError("which? NUMBERS, or --all KIND")
    _each(wanted, lambda number: _decide(session, number, "retry", reason), "put back", as_json)


@set_aside.command()
@click.argument("numbers", nargs=-1, type=ROW_NUMBER, required=True)
@click.option("--reason", required=True, help="Why nobody needs it; goes into the audit.")
@as_json
@with_session
def discard(session: Session, numbers: tuple[int, ...], reason: str, as_json: bool) -> None:
    """Give rows NUMBERS up: nothing looks at them again. What a row stood for is ended as far as
    its own rules allow; a switch order that may have left keeps its meter fenced."""
    _each(numbers, lambda number: _decide(session, number, "discard", reason), "discarded", as_json)


def _numbers_of(session: Session, kind: str) -> list[int]:
    found: list[int] = []
    cursor: Json = None
    while True:
        query = {"kind": kind, "limit": _PAGE, "cursor": cursor}
        answer = session.client.get("/set-aside", query)
        found += [int(str(row["id"])) for row in items(answer)]
        if (cursor := fields(answer).get("next")) is None:
            return found


def _decide(session: Session, number: int, verb: str, reason: str) -> Json:
    return session.client.post(f"/set-aside/{number}/{verb}", {"reason": reason})


def _each(
    numbers: "tuple[int, ...] | list[int]",
    decide: Callable[[int], Json],
    word: str,
    as_json: bool,
) -> None:
    done: list[Json] = []
    for number in numbers:
        done.append(decide(number))
        if not as_json:
            row = fields(done[-1])
            print_text(f"{number} is {word}: {row['kind']} {row['row']}")
    if as_json:
        print_json({"items": done})
