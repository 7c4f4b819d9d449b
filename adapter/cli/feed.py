"""`openway events`: the feed of all that happened, listed, followed, and posted to receivers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import click

from adapter.cli.client import Client, Json, fields, items, segment
from adapter.cli.numbers import WholeNumber
from adapter.cli.output import (
    Exit,
    F,
    as_json,
    columns,
    counted,
    paged,
    print_json_line,
    print_text,
    show_list,
    show_text,
)
from adapter.cli.session import Session, with_session
from adapter.cli.times import MOMENT

FEED: Final = columns("event", "seq at type severity subject id")
_LOOK_S: Final = 20.0
"""How long one request waits at the API before the next one."""


def selected(function: F) -> F:
    """The options that say which events."""
    subject = click.option("--subject", help="Only about this command, order, device, ...")
    types = click.option(
        "--types", help="Only these types, with commas between; openway.order.* for all that begin."
    )
    return types(subject(function))


@click.group()
def events() -> None:
    """All that happened, in one order; `openway tables publications` has the types."""


@events.command(name="list")
@selected
@click.option("--after", help="`next` of the page before.")
@click.option(
    "--limit", type=WholeNumber(1, 1000), default=50, show_default=True, help="At most so many."
)
@as_json
@with_session
def list_(session: Session, /, as_json: bool, **query: object) -> None:
    """List events, oldest first."""
    answer = fields(session.client.get("/events", query))
    more = f"; more: --after {answer.get('next')}" if answer.get("more") else ""
    shown = answer if as_json else {**answer, "next": None, "unreadable": []}
    show_list(shown, FEED, as_json=as_json, note=more)


@events.command()
@selected
@click.option("--after", default="newest", show_default=True, help="Number to begin behind; or 0.")
@click.option("--count", type=WholeNumber(1, 2**53), help="End after so many.")
@as_json
@with_session
def follow(
    session: Session, /, after: str, count: int | None, as_json: bool, **query: object
) -> None:
    """Print events as they come, until it is interrupted."""
    left = count
    while left is None or left > 0:
        answer = _next(session.client, {**query, "after": after, "limit": min(left or 500, 500)})
        for event in items(answer):
            if as_json:
                print_json_line(event)
            else:
                print_text("  ".join(str(event.get(name)) for name in FEED.cells))
        after = str(answer.get("next"))
        left = None if left is None else left - len(items(answer))


def _next(client: Client, query: Mapping[str, object]) -> dict[str, Json]:
    return fields(client.get("/events", {**query, "wait": _LOOK_S}, wait_s=_LOOK_S))


# ---------------------------------------------------------------- what is posted

RECEIVERS: Final = columns("receiver", "name after waiting oldest alarm_at stopped")
DELIVERIES: Final = columns("event", "seq dead attempts first_at due_at error")
receiver = click.argument("receiver")


@events.command()
@click.argument("receiver", required=False)
@click.option("--dead", is_flag=True, default=None, help="Only those that are posted no more.")
@paged()
@as_json
@with_session
def deliveries(session: Session, /, receiver: str | None, as_json: bool, **query: object) -> None:
    """Say how far each receiver is; or list what one has not taken."""
    if receiver is None:
        show_list(session.client.get("/events/receivers"), RECEIVERS, as_json=as_json)
    else:
        answer = session.client.get(_path(receiver, "deliveries"), query)
        show_list(answer, DELIVERIES, as_json=as_json)


@events.command()
@receiver
@as_json
@with_session
def retry(session: Session, /, receiver: str, as_json: bool) -> None:
    """Post what a receiver has not taken again now, dead letters too.

    One that was stopped, because it answered 410, goes on.
    """
    answer = fields(session.client.post(_path(receiver, "retry")))
    show_text(answer, f"{counted(answer.get('events'), 'event')} posted again", as_json=as_json)


@events.command()
@receiver
@click.option("--since", type=MOMENT, required=True, help="From then on.")
@as_json
@with_session
def replay(session: Session, /, receiver: str, since: datetime, as_json: bool) -> None:
    """Post all events since a time again, each with the id that it has."""
    answer = fields(session.client.post(_path(receiver, "replay"), {"since": since}))
    show_text(answer, f"{counted(answer.get('events'), 'event')} back", as_json=as_json)


@events.command()
@receiver
@as_json
@with_session
def test(session: Session, /, receiver: str, as_json: bool) -> None:
    """Post an event of no meaning to a receiver, and say what came of it."""
    answer = fields(session.client.post(_path(receiver, "test")))
    taken = f"taken: {answer.get('status')}" if answer.get("taken") else f"{answer.get('error')}"
    show_text(answer, taken, as_json=as_json)
    if not answer.get("taken"):
        raise SystemExit(Exit.WITHOUT_SUCCESS)


def _path(receiver: str, what: str) -> str:
    return f"/events/receivers/{segment(receiver)}/{what}"
