"""`openway retention`: how long a running gateway keeps what it no longer needs."""

import click

from adapter.cli.client import Json, fields, items
from adapter.cli.output import as_json, print_json, print_table, say
from adapter.cli.session import Session, with_session


@click.group()
def retention() -> None:
    """How long rows are kept. Audit, commands, orders and measurements are never removed."""


@retention.command()
@as_json
@with_session
def show(session: Session, as_json: bool) -> None:
    """Show the days of each class, and what was removed since the start."""
    _print(session.client.get("/retention"), as_json)


@retention.command()
@as_json
@with_session
def run(session: Session, as_json: bool) -> None:
    """Begin now to remove what is due, and not only with the next hourly sweep."""
    _print(session.client.post("/retention/run"), as_json)


def _print(answer: Json, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    rows = (
        (row["what"], "for ever" if row["days"] is None else row["days"], row["removed"])
        for row in items(answer)
    )
    print_table(("what", "days", "removed"), rows)
    found = fields(answer)
    now = ", one under way" if found["under_way"] else ""
    say(f"last sweep: {found['last'] or 'none yet'}{now}")
