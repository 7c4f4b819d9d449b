"""`openway subscriptions`: what the head end sends us, and whether it is too quiet."""

from typing import Final

import click

from adapter.cli.client import Json, fields, items
from adapter.cli.output import Exit, as_json, columns, print_fields, print_json, print_rows
from adapter.cli.session import Session, with_session

SUBSCRIPTIONS: Final = columns(
    "subscription", "kind healthy since", ("checked", "checked_at"), "address detail"
)


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
    good = all(row.get("healthy") for row in items(answer))
    raise SystemExit(Exit.OK if good else Exit.WITHOUT_SUCCESS)


def _print(answer: Json, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    print_rows(SUBSCRIPTIONS, items(answer))
    found = fields(answer)
    print_fields({name: found.get(name) for name in ("last_arrival", "allowed_s", "alarm_since")})
