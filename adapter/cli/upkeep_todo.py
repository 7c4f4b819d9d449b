"""`openway todo`: what waits for people, who is at it, and the command to type."""

from typing import Final

import click

from adapter.cli.client import Json, fields, items, segment
from adapter.cli.orders_output import age
from adapter.cli.output import (
    Row,
    as_json,
    columns,
    limit_option,
    print_fields,
    print_json,
    print_rows,
    print_text,
    show_list,
)
from adapter.cli.session import Session, with_session
from adapter.cli.words import Word
from adapter.model.todo import TodoSubject


def _typed(row: Row) -> object:
    return next((each["typed"] for each in items(row.get("commands"))), "")


TODO: Final = columns(
    "to do/to do",
    "priority id count",
    ("age", lambda row: age(row["age_s"])),
    ("dark", lambda row: len(dark) if isinstance(dark := row["dark"], list) and dark else ""),
    "claimed_by text",
    ("command", _typed),
)
COMMANDS: Final = columns("command", ("command", "typed"), "does people")
WAITING: Final = columns("waiting", "id order device service_point dark since text")


def before_retry(rows: list[dict[str, Json]]) -> list[str]:
    """What has to be seen to before an order is tried again: once for all that need the same."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if str(_typed(row)).startswith("openway order retry ") and row.get("action"):
            found.setdefault(str(row["action"]), []).append(str(row["id"]))
    return [
        f"before the retry of {', '.join(ids[:5])}{' ...' if ids[5:] else ''}: {action}"
        for action, ids in found.items()
    ]


@click.group()
def todo() -> None:
    """What waits for people."""


@todo.command(name="list")
@click.option("--subject", type=Word([each.value for each in TodoSubject]), help="Only these.")
@limit_option(100)
@as_json
@with_session
def list_(session: Session, /, as_json: bool, **query: object) -> None:
    """List it, the most urgent and oldest first. Entries close by themselves.

    The same fault of many is one entry. `command` is the first way to settle it; `show` has all.
    """
    answer = session.client.get("/todo", query)
    show_list(answer, TODO, as_json=as_json)
    if not as_json:
        for line in before_retry(items(answer)):
            print_text(line)


@todo.command()
@click.argument("entry")
@as_json
@with_session
def show(session: Session, entry: str, as_json: bool) -> None:
    """Show an entry: why it waits, every command that settles it, all that wait with it."""
    _print(session.client.get(f"/todo/{segment(entry)}"), as_json=as_json)


@todo.command()
@click.argument("entry")
@as_json
@with_session
def claim(session: Session, entry: str, as_json: bool) -> None:
    """Say that you are at it; stands in the audit."""
    _print(session.client.post(f"/todo/{segment(entry)}/claim"), as_json=as_json)


@todo.command()
@click.argument("entry")
@as_json
@with_session
def unclaim(session: Session, entry: str, as_json: bool) -> None:
    """Say that nobody is at it any more; stands in the audit."""
    _print(session.client.post(f"/todo/{segment(entry)}/unclaim"), as_json=as_json)


def _print(answer: Json, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    entry = fields(fields(answer)["entry"])
    print_fields({name: value for name, value in entry.items() if name != "commands"})
    print_text()
    print_rows(COMMANDS, items(entry["commands"]))
    print_rows(WAITING, items(answer))
