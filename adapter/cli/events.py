"""`openway device-events`, `openway outages`: what meters report, and which are without supply."""

from typing import Final

import click

from adapter.cli.client import fields
from adapter.cli.output import (
    as_json,
    columns,
    counted,
    paged,
    show_list,
    show_text,
)
from adapter.cli.session import Session, with_session
from adapter.cli.times import MOMENT

EVENTS: Final = columns(
    "event", "id at device endpoint name head_end_name severity published other_sequence"
)
UNKNOWN_EVENTS: Final = columns("unknown event", "id at endpoint name number category")
OUTAGES: Final = columns("outage", "started_at ended_at duration_s device endpoint")


@click.group(name="device-events")
def device_events() -> None:
    """Device events and exceptions of a running gateway."""


@device_events.command(name="list")
@click.option("--device", help="Only of this device.")
@click.option("--endpoint", help="Only of this endpoint (ESN).")
@click.option("--name", help="Only of this standard name.")
@click.option("--category", help="Only of this category.")
@click.option("--since", type=MOMENT, help="Only those that happened since then.")
@paged()
@as_json
@with_session
def list_(session: Session, /, as_json: bool, **query: object) -> None:
    """List events, newest arrival first."""
    show_list(session.client.get("/device-events", query), EVENTS, as_json=as_json)


@device_events.command()
@paged()
@as_json
@with_session
def errors(session: Session, /, as_json: bool, **query: object) -> None:
    """List events that no table knows; `events.toml` teaches them, `reprocess` takes them."""
    show_list(session.client.get("/device-events/errors", query), UNKNOWN_EVENTS, as_json=as_json)


@device_events.command()
@as_json
@with_session
def reprocess(session: Session, as_json: bool) -> None:
    """Look again at the unknown events, with the tables read again."""
    answer = fields(session.client.post("/device-events/errors/retry"))
    told = ", ".join(f"{count} {name}" for name, count in answer.items())
    show_text(answer, told, as_json=as_json)


@click.command()
@click.option("--ended", is_flag=True, help="Those that are over, newest first.")
@click.option("--since", type=MOMENT, help="With --ended: ended since then.")
@paged()
@as_json
@with_session
def outages(session: Session, /, as_json: bool, **query: object) -> None:
    """Which meters are without supply, and since when; by the meters' own events."""
    answer = fields(session.client.get("/outages", query))
    now = f", {counted(answer.get('without_supply'), 'meter')} without supply now"
    show_list(answer, OUTAGES, as_json=as_json, note=now)
