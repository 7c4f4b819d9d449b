"""`openway switching`: stop it, go on by two people; caps, quotas and their overrides."""

from datetime import datetime
from typing import Final

import click

from adapter.cli.client import Json, fields
from adapter.cli.output import (
    as_json,
    columns,
    limit_option,
    paged,
    print_fields,
    print_json,
    say,
    show_list,
)
from adapter.cli.session import Session, with_session
from adapter.cli.times import MOMENT, SECONDS

LIMITS: Final = columns(
    "limit",
    "limit member used_this_hour per_hour used_today per_day used_up_at waiting next_at last_at",
)
WAITING: Final = columns("request", "command limit member since until")
OVERRIDES: Final = columns("override", "id limit by begins_at ends_at ended_at ended_by reason")
_REASON = click.option("--reason", required=True, help="Why; stands in the audit.")


@click.group()
def switching() -> None:
    """Whether connects and disconnects leave a running gateway, and how many may."""


@switching.command(name="show")
@as_json
@with_session
def show_switching(session: Session, as_json: bool) -> None:
    """Show whether it is stopped, by whom, and how many connects and disconnects are where."""
    _print_state(session.client.get("/switching"), as_json)


@switching.command(name="stop")
@_REASON
@as_json
@with_session
def stop_switching(session: Session, reason: str, as_json: bool) -> None:
    """Stop switching: from now on no connect and no disconnect leaves.

    What is at the head end already cannot be called back: the answer says how many.
    """
    _print_state(session.client.post("/switching/stop", {"reason": reason}), as_json)


@switching.command(name="resume")
@_REASON
@click.option("--request", help="Confirm this request, and no other.")
@as_json
@with_session
def resume_switching(session: Session, reason: str, request: str | None, as_json: bool) -> None:
    """Go on switching: the first person asks, another one confirms, with a key of his own."""
    body = {"reason": reason} | ({} if request is None else {"request": request})
    _print_state(session.client.post("/switching/resume", body), as_json)


@switching.command(name="limits")
@as_json
@with_session
def list_limits(session: Session, as_json: bool) -> None:
    """List caps and quotas: what was used, what waits, when the day's number is used up."""
    show_list(session.client.get("/switching/limits"), LIMITS, as_json=as_json)


@switching.command(name="waiting")
@click.option("--name", help="Only of the cap or quota of this name.")
@paged()
@as_json
@with_session
def list_waiting(
    session: Session, name: str | None, limit: int, cursor: str | None, as_json: bool
) -> None:
    """List requests that wait for room in a cap or quota, and until when, as it looks now."""
    query = {"name": name, "limit": limit, "cursor": cursor}
    show_list(session.client.get("/switching/waiting", query), WAITING, as_json=as_json)


@switching.command(name="overrides")
@limit_option()
@as_json
@with_session
def list_overrides(session: Session, limit: int, as_json: bool) -> None:
    """List who lets more pass than a limit allows, the newest first, also those that are over."""
    answer = session.client.get("/switching/overrides", {"limit": limit})
    show_list(answer, OVERRIDES, as_json=as_json)


@switching.command(name="override")
@click.argument("name")
@_REASON
@click.option("--until", type=MOMENT, help="It ends by itself then.")
@click.option("--for", "span", type=SECONDS, help="It ends by itself after so long.")
@as_json
@with_session
def override_limit(
    session: Session,
    name: str,
    reason: str,
    until: datetime | None,
    span: float | None,
    as_json: bool,
) -> None:
    """Let more pass than the cap or quota NAME allows, for a while; `all` is every one of them."""
    if (until is None) == (span is None):
        raise click.UsageError("give --until or --for")
    body: dict[str, object] = {"limit": "" if name == "all" else name, "reason": reason}
    body |= {"for_s": span} if until is None else {"ends_at": until.isoformat()}
    _print_fields(session.client.post("/switching/overrides", body), as_json)


@switching.command(name="end-override")
@click.argument("override")
@_REASON
@as_json
@with_session
def end_override(session: Session, override: str, reason: str, as_json: bool) -> None:
    """End OVERRIDE before its time."""
    answer = session.client.post(f"/switching/overrides/{override}/end", {"reason": reason})
    _print_fields(answer, as_json)


def _print_state(answer: Json, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    found = fields(answer)
    say(str(found.get("text", "")))
    shown: dict[str, object] = {"stopped": "yes" if found.get("stopped") else "no"}
    if found.get("stopped"):
        shown |= {"by": found.get("stopped_by"), "since": found.get("stopped_at")}
    counts = found.get("counts")
    shown |= counts if isinstance(counts, dict) else {}
    request = found.get("resume")
    if isinstance(request, dict):
        told = ("id", "by", "reason", "expires_at")
        shown |= {f"resume_{name}": request.get(name) for name in told}
        shown["next"] = "another person: openway switching resume --reason TEXT"
    print_fields(shown)


def _print_fields(answer: Json, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        print_fields(fields(answer))
