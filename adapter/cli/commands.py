"""`openway command`: submit, watch and decide about commands of a running gateway."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import IO, Final

import click

from adapter.cli.client import Json, fields, items, segment
from adapter.cli.commands_watch import outcome_exit, unclear_text, watch
from adapter.cli.output import (
    Exit,
    Row,
    as_json,
    asked,
    columns,
    each_of,
    paged,
    print_fields,
    print_json,
    print_rows,
    print_text,
    say,
    show_each,
    show_list,
)
from adapter.cli.session import Session, with_session
from adapter.cli.times import MOMENT, SECONDS
from adapter.cli.words import Word
from adapter.commands.activity import State
from adapter.commands.flows import READ_KINDS, SWITCH_KINDS, CommandKind, Priority

_KINDS: Final = Word([kind.value for kind in CommandKind])
_KNOWN: Final = (
    f"Kinds: {', '.join(kind.value for kind in CommandKind)}.\n\n"
    "Times: 2026-03-01T06:00:00Z, now, +2h, -1d."
)


def _devices(row: Row) -> str:
    devices = row.get("devices")
    named = [str(each) for each in devices] if isinstance(devices, list) else []
    count = row.get("device_count")
    if row.get("group"):
        return f"group {row['group']}"
    if isinstance(count, int) and count > 3:
        return f"{count} devices"
    return ", ".join(named)


def state_of(row: Row) -> str:
    """Where a command stands; where nothing of it has left, why; where it is unclear, that."""
    unsent = fields(row.get("unsent"))
    if row.get("unclear"):
        return f"{row.get('state')}, unclear"
    return f"not sent: {unsent['why']}" if unsent else str(row.get("state"))


COMMANDS: Final = columns(
    "command",
    "id kind",
    ("state", state_of),
    "outcome",
    ("devices", _devices),
    ("created", "created_at"),
)
PARTS: Final = {
    "communications": columns("communication", "id step operation state token attempt failure"),
    "business_objects": columns("communication", "id outbound result_outbound inbound"),
    "completion_events": columns("completion event", "event state error"),
    "history": columns("entry/entries", "seq at actor action subject detail"),
    "outcomes": columns(
        "outcome", "endpoint result reason", ("switch", "switch_state"), "incomplete"
    ),
}
"""Of one command: its lists, by their names over REST."""


@click.group()
def command() -> None:
    """Submit commands to a running gateway, look at them, decide about them."""


@command.command(epilog=_KNOWN)
@click.argument("kind", type=_KINDS, metavar="KIND")
@click.argument("devices", nargs=-1)
@click.option("--device", "more", multiple=True, help="One more device; as often as wanted.")
@click.option("--devices-file", type=click.File("r"), help="More devices, one a line; - is stdin.")
@click.option("--group", help="Group of the head end (scheduled reads).")
@click.option("--start", type=MOMENT, help="Read data from this time ...")
@click.option("--end", type=MOMENT, help="... to this one.")
@click.option("--window-start", type=MOMENT, help="The head end may work from this time ...")
@click.option("--window-end", type=MOMENT, help="... to this one (scheduled reads).")
@click.option("--effective-at", type=MOMENT, help="Not before this time.")
@click.option("--expires-at", type=MOMENT, help="Past this time it is never sent.")
@click.option(
    "--idempotency-key",
    "key",
    help="Idempotency key: the same key gives the same command, for ever.",
)
@click.option("--reference", help="Your own reference, kept with the command.")
@click.option("--callback-url", help="Its end is posted there; events.callback allows it.")
@click.option("--order", help="The service order that this command belongs to.")
@click.option("--priority", type=Word([each.value for each in Priority]))
@click.option("--configuration-group", help="Configuration group (commissioning).")
@click.option("--check-load", is_flag=True, help="Before a connect: no voltage behind the switch?")
@click.option("--check-switch", is_flag=True, help="Read the switch before moving it.")
@click.option("--with-read", is_flag=True, help="Also read the registers before moving the switch.")
@click.option(
    "--emergency-override",
    is_flag=True,
    help="Hand EmergencyOverride to the head end; passes no bound of the gateway.",
)
@click.option("--user-intervention-required", is_flag=True, help="Arm only; people close.")
@click.option(
    "--install-status-override",
    metavar="STATUS",
    help="Install status afterwards, instead of the usual one; a site's own too.",
)
@click.option("--optional", is_flag=True, help="Drop it where an opposite command is open.")
@click.option("--ignore-install-state", is_flag=True, help="Skip the install state rule; audited.")
@click.option(
    "--past-unclear-order",
    is_flag=True,
    help="Reconnect past an unclear order; takes OPENWAY_API_SECOND_KEY too.",
)
@click.option("--wait", "wait_s", type=SECONDS, help="Wait so long for the end (90s, 10m).")
@as_json
@with_session
def submit(
    session: Session,
    /,
    kind: str,
    devices: tuple[str, ...],
    more: tuple[str, ...],
    devices_file: IO[str] | None,
    wait_s: float | None,
    as_json: bool,
    **given: object,
) -> None:
    """Submit a command for DEVICES, and with --wait see it to its end.

    KIND is one of those below; `openway tables flows` tells what each does. Kinds
    that move a switch need an idempotency key; without one a new one is made and told.
    """
    devices += more
    if devices_file is not None:
        devices += tuple(line.strip() for line in devices_file if line.strip())
    if CommandKind(kind) in READ_KINDS and not (given["start"] and given["end"]):
        raise click.UsageError(f"{kind} needs --start and --end, the period to read")
    body = _request(kind, devices, given)
    if "idempotency_key" not in body and CommandKind(kind) in SWITCH_KINDS:
        body["idempotency_key"] = f"cli-{secrets.token_hex(12)}"
        key = body["idempotency_key"]
        say(f"idempotency key {key}: the same key gives the same command")
    made = fields(session.client.post("/commands", body))
    if wait_s is not None:
        made = watch(session.client, str(made["id"]), timeout_s=wait_s, quiet=as_json)
        _say_unless_ended(made, wait_s)
    _print_command(made, as_json=as_json)
    raise SystemExit(_rests(made) if wait_s is None else outcome_exit(made))


def _say_unless_ended(made: Mapping[str, Json], waited_s: float) -> None:
    if outcome_exit(made) is not Exit.UNREACHABLE:
        return
    state, unsent = made.get("state"), fields(made.get("unsent"))
    where = f"not sent ({unsent['text']})" if unsent else state
    where = f"{state} ({doubt})" if (doubt := unclear_text(made)) else where
    say(f"still {where} after {waited_s:g} s; `openway command watch {made.get('id')}` goes on")
    if state == State.WAITING_FOR_MEASUREMENT.value:
        say("its readings have not come: are data subscribed to, at the listener's /openway/data?")


def _request(kind: str, devices: tuple[str, ...], given: Mapping[str, object]) -> dict[str, object]:
    """The body of a submission: what was given, in the names of the API."""
    body: dict[str, object] = {"kind": kind, "devices": list(devices)}
    period = {name: given[name] for name in ("start", "end", "window_start", "window_end")}
    if any(period.values()):
        body["period"] = {name: _json(value) for name, value in period.items() if value}
    for name, value in given.items():
        if name in period or value in (None, False, ()):
            continue
        body["idempotency_key" if name == "key" else name] = _json(value)
    return body


def _json(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def _rests(made: Mapping[str, Json]) -> Exit:
    """After a submission without waiting: whether a rule already stopped it."""
    stopped = (State.VALIDATION_ERROR.value, State.DISCARDED.value)
    return Exit.WITHOUT_SUCCESS if made.get("state") in stopped else Exit.OK


@command.command(name="list")
@click.option("--kind", type=_KINDS)
@click.option("--state", type=Word([each.value for each in State]))
@click.option("--device", help="Only commands for this device.")
@click.option("--open", is_flag=True, help="Only those that are not final.")
@asked
@paged()
@as_json
@with_session
def list_(session: Session, /, as_json: bool, **query: object) -> None:
    """List commands, newest first."""
    show_list(session.client.get("/commands", query), COMMANDS, as_json=as_json)


@command.command()
@click.argument("command_id")
@click.option("--history", is_flag=True, help="Every transition with its cause.")
@click.option("--outcomes", is_flag=True, help="What became of each endpoint.")
@click.option("--messages", is_flag=True, help="The SOAP messages.")
@as_json
@with_session
def show(
    session: Session,
    /,
    command_id: str,
    history: bool,
    outcomes: bool,
    messages: bool,
    as_json: bool,
) -> None:
    """Show one command."""
    place = f"/commands/{segment(command_id)}"
    wanted = {"history": history, "outcomes": outcomes, "messages": messages}
    made = fields(session.client.get(place))
    parts = {name: session.client.get(f"{place}/{name}") for name, want in wanted.items() if want}
    if as_json:
        print_json({**made, **{name: list(items(part)) for name, part in parts.items()}})
        return
    _print_command(made, as_json=False)
    for name, part in parts.items():
        print_text()
        rows = items(part)
        if name == "messages":
            _print_messages(rows)
        else:
            print_rows(PARTS[name], rows)
        if name == "outcomes" and (incomplete := fields(part)["incomplete"]):
            say(f"{incomplete} of those that were read are incomplete")


def _print_messages(rows: list[dict[str, Json]]) -> None:
    for row in rows:
        way = "sent" if row.get("outbound") else "received"
        status = f"  HTTP {row['status']}" if row.get("status") else ""
        about = f"  {row['business_object']}" if row.get("business_object") else ""
        print_text(f"{row.get('at')}  {way}  {row.get('operation')}{about}{status}")
        print_text(f"{row.get('body')}\n")


def plain_of(made: Mapping[str, Json]) -> dict[str, object]:
    """What stands in a line each of one command; where it stands as in the list."""
    lists = (
        "completion_events",
        "communications",
        "endpoints",
        "progress",
        "violations",
        "devices",
    )
    plain: dict[str, object] = {name: value for name, value in made.items() if name not in lists}
    plain["state"], plain["unclear"] = state_of(made), unclear_text(made)
    if unsent := fields(made.get("unsent")):
        until = f", until {unsent['until']}" if unsent["until"] else ""
        plain["unsent"] = f"{unsent['text']}{until}"
    plain["devices"] = _devices(made)
    return plain


def _print_command(made: Mapping[str, Json], *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    print_fields(plain_of(made))
    for title in ("endpoints", "progress"):
        counts = made.get(title)
        if isinstance(counts, dict):
            shown = ", ".join(f"{count} {name}" for name, count in counts.items())
            print_text(f"{title}: {shown}")
    violations = made.get("violations")
    for violation in violations if isinstance(violations, list) else []:
        print_text(f"violates {violation}")
    sent = made.get("communications")
    for name, part in (
        ("communications", sent),
        ("business_objects", sent),
        ("completion_events", made.get("completion_events")),
    ):
        if rows := items(part):
            print_rows(PARTS[name], rows)


@command.command(name="watch")
@click.argument("command_id")
@click.option("--timeout", "timeout_s", type=SECONDS, default="1h", show_default=True)
@as_json
@with_session
def watch_(session: Session, /, command_id: str, timeout_s: float, as_json: bool) -> None:
    """Follow one command to its end. With --json: one line for each change."""
    made = watch(session.client, command_id, timeout_s=timeout_s, lines=as_json)
    _say_unless_ended(made, timeout_s)
    if not as_json:
        _print_command(made, as_json=False)
    raise SystemExit(outcome_exit(made))


def _decide(session: Session, /, ids: tuple[str, ...], verb: str, body: dict[str, object]) -> None:
    as_json = bool(body.pop("as_json"))
    given = {name: value for name, value in body.items() if value is not None}
    made = each_of(ids, lambda id_: session.client.post(f"/commands/{segment(id_)}/{verb}", given))
    show_each(made, COMMANDS, lambda one: _print_command(one, as_json=as_json), as_json=as_json)


_SEVERAL = click.argument("command_ids", metavar="COMMAND_ID...", nargs=-1, required=True)


@command.command()
@_SEVERAL
@click.option("--reason", help="Kept in the history.")
@as_json
@with_session
def cancel(session: Session, /, command_ids: tuple[str, ...], **body: object) -> None:
    """Cancel: at once if nothing was sent, else by asking the head end."""
    _decide(session, command_ids, "cancel", body)


@command.command()
@_SEVERAL
@as_json
@with_session
def retry(session: Session, /, command_ids: tuple[str, ...], **body: object) -> None:
    """Try again what waits in an error state, on fresh facts."""
    _decide(session, command_ids, "retry", body)


@command.command()
@_SEVERAL
@click.option("--reason", help="Kept in the history.")
@as_json
@with_session
def discard(session: Session, /, command_ids: tuple[str, ...], **body: object) -> None:
    """Give up a command that waits in an error state."""
    _decide(session, command_ids, "discard", body)


@command.command()
@_SEVERAL
@as_json
@with_session
def approve(session: Session, /, command_ids: tuple[str, ...], **body: object) -> None:
    """Approve a disconnect that somebody else asked for."""
    _decide(session, command_ids, "approve", body)


@command.command()
@_SEVERAL
@click.option("--done/--not-done", required=True, help="What became of it, as found on site.")
@click.option("--note", help="Kept in the history.")
@as_json
@with_session
def resolve(session: Session, /, command_ids: tuple[str, ...], **body: object) -> None:
    """Close an unknown outcome, as done or as not done, by two people.

    The key of the second one is in OPENWAY_API_SECOND_KEY, or the file that
    OPENWAY_API_SECOND_KEY_FILE or api.second_key_file names.
    """
    _decide(session, command_ids, "resolve", body)
