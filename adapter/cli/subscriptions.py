"""`openway subscriptions`: what the head end sends us, and whether it is too quiet."""

import click

from adapter.cli.client import Json, fields, items
from adapter.cli.exits import Exit
from adapter.cli.output import as_json, print_fields, print_json, print_table
from adapter.cli.session import Session, with_session


@click.group()
def subscriptions() -> None:
    """Subscriptions of a running gateway at the head end."""


@subscriptions.command()
@as_json
@with_session
def show(session: Session, as_json: bool) -> None:
    """Show what the last check found, and how long nothing has arrived."""
    _print(session.client.get("/subscriptions"), as_json)


@subscriptions.command()
@as_json
@with_session
def check(session: Session, as_json: bool) -> None:
    """Compare with the head end now, and bring about what is missing."""
    answer = session.client.post("/subscriptions/check")
    _print(answer, as_json)
    good = all(row.get("good") for row in items(answer))
    raise SystemExit(Exit.OK if good else Exit.WITHOUT_SUCCESS)


def _print(answer: Json, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    columns = ("kind", "good", "since", "checked_at", "address", "detail")
    rows = items(answer)
    print_table(columns, (tuple(row.get(column) for column in columns) for row in rows))
    found = fields(answer)
    print_fields({name: found.get(name) for name in ("last_arrival", "allowed_s", "alarm")})
