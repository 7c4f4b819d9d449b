"""`openway events` and `openway outages`: what meters reported, and which of them are dark."""

from datetime import datetime

import click

from adapter.cli.client import fields, items
from adapter.cli.output import as_json, counted, print_json, print_table, say
from adapter.cli.session import Session, with_session
from adapter.cli.times import MOMENT

_LIMIT = click.option(
    "--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="At most so many."
)


@click.group()
def events() -> None:
    """Device events and exceptions of a running gateway."""


@events.command(name="list")
@click.option("--device", help="Only of this device.")
@click.option("--endpoint", help="Only of this endpoint (ESN).")
@click.option("--name", help="Only of this standard name.")
@click.option("--category", help="Only of this category.")
@click.option("--since", type=MOMENT, help="Only those that happened since then.")
@click.option("--cursor", help="`next` of the page before.")
@_LIMIT
@as_json
@with_session
def list_(
    session: Session,
    device: str | None,
    endpoint: str | None,
    name: str | None,
    category: str | None,
    since: datetime | None,
    cursor: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List events, newest arrival first."""
    query = {
        "device": device,
        "endpoint": endpoint,
        "name": name,
        "category": category,
        "since": None if since is None else since.isoformat(),
        "cursor": cursor,
        "limit": limit,
    }
    answer = session.client.get("/events", query)
    if as_json:
        print_json(answer)
        return
    rows = items(answer)
    columns = ("id", "at", "device", "endpoint", "name", "external", "severity", "told", "also")
    print_table(columns, (tuple(row.get(column) for column in columns) for row in rows))
    say(counted(len(rows), "event"))


@events.command()
@click.option("--cursor", help="`next` of the page before.")
@_LIMIT
@as_json
@with_session
def errors(session: Session, cursor: str | None, limit: int, as_json: bool) -> None:
    """List events that no table knows; `events.toml` teaches them, `reprocess` takes them."""
    answer = session.client.get("/events/errors", {"cursor": cursor, "limit": limit})
    if as_json:
        print_json(answer)
        return
    rows = items(answer)
    columns = ("id", "at", "endpoint", "name", "number", "category")
    print_table(columns, (tuple(row.get(column) for column in columns) for row in rows))
    say(f"{len(rows)} unknown events")


@events.command()
@as_json
@with_session
def reprocess(session: Session, as_json: bool) -> None:
    """Look again at the unknown events, with the tables read again."""
    answer = fields(session.client.post("/events/errors/retry"))
    if as_json:
        print_json(answer)
    else:
        click.echo(", ".join(f"{count} {name}" for name, count in answer.items()))


@click.command()
@click.option("--ended", is_flag=True, help="Those that are over, newest first.")
@click.option("--since", type=MOMENT, help="With --ended: ended since then.")
@click.option("--cursor", help="`next` of the page before.")
@_LIMIT
@as_json
@with_session
def outages(
    session: Session,
    ended: bool,
    since: datetime | None,
    cursor: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Which meters are dark, and since when; by the meters' own events."""
    query = {
        "ended": ended,
        "since": None if since is None else since.isoformat(),
        "cursor": cursor,
        "limit": limit,
    }
    answer = fields(session.client.get("/outages", query))
    if as_json:
        print_json(answer)
        return
    rows = items(answer)
    columns = ("since", "until", "lasted_s", "device", "endpoint")
    print_table(columns, (tuple(row.get(column) for column in columns) for row in rows))
    say(f"{len(rows)} shown, {counted(answer.get('dark'), 'meter')} dark now")
