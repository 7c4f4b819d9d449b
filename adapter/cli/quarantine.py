"""`openway quarantine`: inbound messages that were refused, with their reasons."""

import click

from adapter.cli.output import as_json, print_fields, print_json, print_table, say
from adapter.cli.session import Session, with_session
from adapter.client import fields, items
from adapter.engine.ports import InboxState


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
    """List messages, newest first, with the reason of each."""
    answer = session.client.get("/inbox", {"state": state, "limit": limit, "cursor": cursor})
    if as_json:
        print_json(answer)
        return
    rows = items(answer)
    columns = ("id", "at", "operation", "remote", "state", "reason")
    print_table(columns, (tuple(row.get(name) for name in columns) for row in rows))
    say(f"{len(rows)} messages")


@quarantine.command()
@click.argument("message", type=int)
@as_json
@with_session
def show(session: Session, message: int, as_json: bool) -> None:
    """Show one message as it came."""
    answer = fields(session.client.get(f"/inbox/{message}"))
    if as_json:
        print_json(answer)
        return
    print_fields(fields(answer["message"]))
    click.echo(f"\n{answer['text']}")


@quarantine.command()
@click.argument("message", type=int)
@as_json
@with_session
def retry(session: Session, message: int, as_json: bool) -> None:
    """Judge a message again, as if it had just come."""
    answer = session.client.post(f"/inbox/{message}/retry")
    if as_json:
        print_json(answer)
    else:
        click.echo(f"message {message} is judged again")


@quarantine.command()
@click.argument("message", type=int)
@as_json
@with_session
def discard(session: Session, message: int, as_json: bool) -> None:
    """Take a message off the list; it stays stored."""
    answer = session.client.post(f"/inbox/{message}/discard")
    if as_json:
        print_json(answer)
    else:
        click.echo(f"message {message} is discarded")
