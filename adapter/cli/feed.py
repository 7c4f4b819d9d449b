"""`openway events`: the feed of all that happened, listed or followed."""

from collections.abc import Mapping
from typing import Final

import click

from adapter.cli.client import Client, Json, fields, items
from adapter.cli.numbers import WholeNumber
from adapter.cli.output import F, as_json, columns, print_json_line, print_text, show_list
from adapter.cli.session import Session, with_session

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
