"""`openway quarantine`: inbound messages that were refused, with their reasons."""

from typing import Final

import click

from adapter.cli.client import fields
from adapter.cli.output import (
    ROW_NUMBER,
    Exit,
    as_json,
    columns,
    paged,
    print_fields,
    print_json,
    print_text,
    say,
    show_list,
    show_text,
)
from adapter.cli.session import Session, with_session
from adapter.cli.times import SECONDS
from adapter.engine.commands.ports import InboxState

MESSAGES: Final = columns("message", "id at operation remote_address times state reason")
_FILES: Final = "; files that were refused: openway readings payloads"


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
@paged()
@as_json
@with_session
def list_(session: Session, /, state: str, as_json: bool, **query: object) -> None:
    """List messages, newest first, with the reason of each.

    A file that `openway intake` was given and that was refused is no message: `openway readings
    payloads` lists it, with the reason and the byte.
    """
    answer = session.client.get("/inbox", {"state": state, **query})
    note = _FILES if state == InboxState.QUARANTINED.value else ""
    show_list(answer, MESSAGES, as_json=as_json, note=note)


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
    about = ("size", "complete", "removed", "position")
    print_fields({**fields(answer["message"]), **{name: answer[name] for name in about}})
    print_text(f"\n{answer['text']}")
    position, first = answer["position"], answer["excerpt_from"]
    if isinstance(position, int) and isinstance(first, int) and answer["excerpt"]:
        around = str(answer["excerpt"]).encode()
        before, behind = around[: position - first], around[position - first :]
        say(f"\naround byte {position}, from byte {first} on; it was refused at >>>")
        print_text(f"{before.decode(errors='replace')}>>>{behind.decode(errors='replace')}")


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
    reason = f": {row['reason']}" if row["reason"] else ""
    show_text(answer, f"message {message} is {row['state']} now{reason}", as_json=as_json)
    refused = row["state"] == InboxState.QUARANTINED.value
    raise SystemExit(Exit.WITHOUT_SUCCESS if refused else Exit.OK)


@quarantine.command()
@click.argument("message", type=ROW_NUMBER)
@as_json
@with_session
def discard(session: Session, message: int, as_json: bool) -> None:
    """Take a message off the list; it stays stored."""
    answer = session.client.post(f"/inbox/{message}/discard")
    show_text(answer, f"message {message} is discarded", as_json=as_json)
