"""`openway quarantine`: inbound messages that were refused, with their reasons."""

import click

from adapter.cli.client import fields, items
from adapter.cli.exits import Exit
from adapter.cli.output import (
    ROW_NUMBER,
    as_json,
    counted,
    print_fields,
    print_json,
    print_table,
    say,
)
from adapter.cli.session import Session, with_session
from adapter.cli.times import SECONDS
from adapter.engine.commands.ports import InboxState


@click.group()
def quarantine() -> None:
    """Look at refused inbound messages; have them judged again, or discard them."""


@quarantine.command(name="list")
@click.option(
    "--state",
    type=click.Choice([each.value for each in InboxState]),
    default=InboxState.QUARANTINED.value,
    show_default=True,
)
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@click.option("--cursor", help="`next` of the page before.")
@as_json
@with_session
def list_(session: Session, state: str, limit: int, cursor: str | None, as_json: bool) -> None:
    """List messages, newest first, with the reason of each.

    A file that `openway intake` was given and that was refused is no message: `openway readings
    payloads` lists it, with the reason and the byte.
    """
    answer = session.client.get("/inbox", {"state": state, "limit": limit, "cursor": cursor})
    if as_json:
        print_json(answer)
        return
    rows = items(answer)
    columns = ("id", "at", "operation", "remote", "state", "reason")
    print_table(columns, (tuple(row.get(name) for name in columns) for row in rows))
    files = "; files that were refused: openway readings payloads"
    say(f"{counted(len(rows), 'message')}{files if state == InboxState.QUARANTINED.value else ''}")


@quarantine.command()
@click.argument("message", type=ROW_NUMBER)
@as_json
@with_session
def show(session: Session, message: int, as_json: bool) -> None:
    """Show one message as it came; of a large one its head, and what stands around the byte at
    which it could not be read on."""
    answer = fields(session.client.get(f"/inbox/{message}"))
    if as_json:
        print_json(answer)
        return
    about = ("size", "whole", "removed", "position")
    print_fields({**fields(answer["message"]), **{name: answer[name] for name in about}})
    click.echo(f"\n{answer['text']}")
    position, first = answer["position"], answer["around_from"]
    if isinstance(position, int) and isinstance(first, int) and answer["around"]:
        around = str(answer["around"]).encode()
        before, behind = around[: position - first], around[position - first :]
        say(f"\naround byte {position}, from byte {first} on; it was refused at >>>")
        click.echo(f"{before.decode(errors='replace')}>>>{behind.decode(errors='replace')}")


@quarantine.command()
@click.argument("message", type=ROW_NUMBER)
@click.option("--wait", "wait_s", type=SECONDS, default=10.0, show_default=True,
              help="At most so long for what becomes of it.")  # fmt: skip
@as_json
@with_session
def retry(session: Session, message: int, wait_s: float, as_json: bool) -> None:
    """Judge a message again, as if it had just come, and say what became of it."""
    path = f"/inbox/{message}/retry?wait={wait_s:g}"
    answer = fields(session.client.post(path, wait_s=wait_s))
    row = fields(answer["message"])
    if as_json:
        print_json(answer)
    else:
        reason = f": {row['reason']}" if row["reason"] else ""
        click.echo(f"message {message} is {row['state']} now{reason}")
    refused = row["state"] == InboxState.QUARANTINED.value
    raise SystemExit(Exit.WITHOUT_SUCCESS if refused else Exit.OK)


@quarantine.command()
@click.argument("message", type=ROW_NUMBER)
@as_json
@with_session
def discard(session: Session, message: int, as_json: bool) -> None:
    """Take a message off the list; it stays stored."""
    answer = session.client.post(f"/inbox/{message}/discard")
    if as_json:
        print_json(answer)
    else:
        click.echo(f"message {message} is discarded")
