"""`openway audit` and `openway ledger`: what happened, and whether the sums agree."""

from typing import Final

import click

from adapter.cli.client import fields, items
from adapter.cli.exits import Exit
from adapter.cli.output import as_json, counted, print_json, print_table, say
from adapter.cli.session import Session, with_session
from adapter.model.whole_numbers import ROW

_WALK_S: Final = 600.0
"""How long walking the chain may take, beyond the usual time-out."""


@click.group()
def audit() -> None:
    """Read the audit chain of a running gateway and verify it."""


@audit.command(name="list")
@click.option(
    "--cursor", type=click.IntRange(0, ROW.most), default=0, help="Entries after this number."
)
@click.option("--limit", type=click.IntRange(1, 500), default=100, show_default=True)
@as_json
@with_session
def list_(session: Session, cursor: int, limit: int, as_json: bool) -> None:
    """List entries, oldest first."""
    answer = session.client.get("/audit", {"cursor": cursor, "limit": limit})
    if as_json:
        print_json(answer)
        return
    rows = items(answer)
    columns = ("seq", "at", "actor", "action", "subject", "detail")
    print_table(columns, (tuple(row.get(name) for name in columns) for row in rows))
    say(counted(len(rows), "entry", "entries"))


@audit.command()
@as_json
@with_session
def verify(session: Session, as_json: bool) -> None:
    """Walk the whole chain; edits, gaps and cut tails show."""
    found = fields(session.client.get("/audit/verify", wait_s=_WALK_S))
    if as_json:
        print_json(found)
    elif found["intact"]:
        click.echo(f"intact: {counted(found['entries'], 'entry', 'entries')}")
    else:
        click.echo(f"broken: {found['problem']}")
    raise SystemExit(Exit.OK if found["intact"] else Exit.WITHOUT_SUCCESS)


@click.command()
@as_json
@with_session
def ledger(session: Session, as_json: bool) -> None:
    """Print the counts that must agree with each other."""
    answer = fields(session.client.get("/ledger"))
    if as_json:
        print_json(answer)
        return
    rows: list[tuple[str, object]] = []
    for name, value in answer.items():
        if isinstance(value, dict):
            rows += [(f"{name}.{key}", each) for key, each in value.items()]
        else:
            rows.append((name, value))
    print_table(("what", "count"), rows)
