"""`openway clock` and `openway holds`: whether switch orders leave, and if not, why."""

from typing import Final

import click

from adapter.cli.client import Json, fields, items
from adapter.cli.output import as_json, columns, print_fields, print_json, print_rows, say
from adapter.cli.session import Session, with_session

HOLDS: Final = columns("hold", "reason since text action")
_REASON = click.option("--reason", required=True, help="Why it is right; stands in the audit.")


@click.group()
def clock() -> None:
    """The clock of a running gateway: effective dates, windows and expiry are judged by it."""


@clock.command(name="show")
@as_json
@with_session
def show_clock(session: Session, as_json: bool) -> None:
    """Show whether the wall clock is believed, and if not, since when and what to do."""
    answer = session.client.get("/clock")
    if as_json:
        print_json(answer)
        return
    found = fields(answer)
    held = found.get("held")
    shown = {name: found.get(name) for name in ("now", "expected", "off_by_s")}
    print_fields({**shown, "believed": "yes" if held is None else "no: switch orders are held"})
    if isinstance(held, dict):
        print_fields({name: held.get(name) for name in ("since", "text", "action")})


@clock.command(name="confirm")
@_REASON
@as_json
@with_session
def confirm_clock(session: Session, reason: str, as_json: bool) -> None:
    """Say that the wall clock is right as it is: switch orders leave again."""
    _print(session.client.post("/switch-holds/clock/confirm", {"reason": reason}), as_json)


@click.group()
def holds() -> None:
    """Why no connect and no disconnect leaves a running gateway."""


@holds.command(name="list")
@as_json
@with_session
def list_holds(session: Session, as_json: bool) -> None:
    """List the reasons that hold switch orders now, and what to do about each."""
    _print(session.client.get("/switch-holds"), as_json)


@holds.command(name="confirm")
@click.argument("hold")
@_REASON
@as_json
@with_session
def confirm_hold(session: Session, hold: str, reason: str, as_json: bool) -> None:
    """Say that HOLD, one of those listed, is settled. Switch orders leave when none is left."""
    _print(session.client.post(f"/switch-holds/{hold}/confirm", {"reason": reason}), as_json)


def _print(answer: Json, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    rows = items(answer)
    if not rows:
        say("switch orders are not held")
        return
    print_rows(HOLDS, rows)
