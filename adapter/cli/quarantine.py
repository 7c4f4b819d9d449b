"""`openway quarantine`: inbound messages that were refused, with their reasons."""

from typing import Final

import click

from adapter.cli.client import Json, fields
from adapter.cli.output import (
    ROW_NUMBER,
    Exit,
    as_json,
    columns,
    each_of,
    paged,
    print_fields,
    print_json,
    print_text,
    say,
    show_list,
)
from adapter.cli.session import Session, with_session
from adapter.cli.times import MOMENT, SECONDS
from adapter.cli.words import Word
from adapter.engine.commands.ports import InboxState

_SEVERAL = click.argument(
    "messages", metavar="MESSAGE...", nargs=-1, required=True, type=ROW_NUMBER
)
MESSAGES: Final = columns("message", "id at operation remote_address times state reason")
_FILES: Final = "; files that were refused: openway readings payloads"


@click.group()
def quarantine() -> None:
    """Look at refused inbound messages; have them judged again, or discard them."""


@quarantine.command(name="list")
@click.option(
    "--state",
    type=Word([each.value for each in InboxState]),
    default=InboxState.QUARANTINED.value,
    show_default=True,
)
@click.option("--since", type=MOMENT, help="Only what arrived since this time.")
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
@_SEVERAL
@click.option("--wait", "wait_s", type=SECONDS, default=10.0, show_default=True,
              help="At most so long for what becomes of it.")  # fmt: skip
@as_json
@with_session
def retry(session: Session, messages: tuple[int, ...], wait_s: float, as_json: bool) -> None:
    """Judge messages again, as if they had just come, and say what became of each."""

    def ask(number: str) -> Json:
        return session.client.post(f"/inbox/{number}/retry?wait={wait_s:g}", wait_s=wait_s)

    made = each_of([str(each) for each in messages], ask)
    if as_json:
        print_json(made[0] if len(made) == 1 else {"items": made})
    rows = [fields(each["message"]) for each in made]
    for row in () if as_json else rows:
        reason = f": {row['reason']}" if row["reason"] else ""
        print_text(f"message {row['id']} is {row['state']} now{reason}")
    refused = any(row["state"] == InboxState.QUARANTINED.value for row in rows)
    raise SystemExit(Exit.WITHOUT_SUCCESS if refused else Exit.OK)


@quarantine.command()
@_SEVERAL
@as_json
@with_session
def discard(session: Session, messages: tuple[int, ...], as_json: bool) -> None:
    """Take messages off the list; they stay stored."""
    made = each_of(
        [str(each) for each in messages],
        lambda number: session.client.post(f"/inbox/{number}/discard"),
    )
    if as_json:
        print_json(made[0] if len(made) == 1 else {"items": made})
    for number in () if as_json else messages:
        print_text(f"message {number} is discarded")
