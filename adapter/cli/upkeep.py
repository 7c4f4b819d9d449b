"""`openway audit`, `openway ledger` and `openway retention`: what happened, whether the sums
agree, and how long a running gateway keeps what it no longer needs."""

from typing import Final

import click

from adapter.cli.client import Json, fields, items
from adapter.cli.numbers import WholeNumber
from adapter.cli.output import (
    Exit,
    as_json,
    columns,
    counted,
    limit_option,
    print_json,
    print_rows,
    print_table,
    say,
    show_list,
    show_text,
)
from adapter.cli.session import Session, with_session
from adapter.model.whole_numbers import ROW

_WALK_S: Final = 600.0
"""How long walking the chain may take, beyond the usual time-out."""

ENTRIES: Final = columns("entry/entries", "seq at actor action subject detail")
RETENTION: Final = columns(
    "class/classes",
    ("class", "row_class"),
    ("days", lambda row: "for ever" if row["days"] is None else row["days"]),
    "removed",
)


@click.group()
def audit() -> None:
    """Read the audit chain of a running gateway and verify it."""


@audit.command(name="list")
@click.option(
    "--cursor", type=WholeNumber(0, ROW.most), default=0, help="Entries after this number."
)
@limit_option(100)
@as_json
@with_session
def list_(session: Session, /, as_json: bool, **query: object) -> None:
    """List entries, oldest first."""
    show_list(session.client.get("/audit", query), ENTRIES, as_json=as_json)


@audit.command()
@click.option("--head", metavar="NUMBER:DIGEST", help="A head that was given out and kept.")
@as_json
@with_session
def verify(session: Session, head: str | None, as_json: bool) -> None:
    """Walk the whole chain, to the witness; edits, gaps and cut tails show."""
    asked = session.client.get("/audit/verify", {"head": head}, wait_s=_WALK_S)
    found = fields(asked)
    intact = bool(found["intact"])
    whole = f"intact: {counted(found['entries'], 'entry', 'entries')}"
    text = whole if intact else f"broken: {found['problem']}"
    held = found["held"]
    if isinstance(held, list) and held:
        text += f"\nno connect and no disconnect leaves: {', '.join(map(str, held))}"
    show_text(found, text, as_json=as_json)
    raise SystemExit(Exit.OK if intact else Exit.WITHOUT_SUCCESS)


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


@click.group()
def retention() -> None:
    """How long rows are kept. Audit, commands, orders and measurements are never removed."""


@retention.command()
@as_json
@with_session
def show(session: Session, as_json: bool) -> None:
    """Show the days of each class, and what was removed since the start."""
    _print_retention(session.client.get("/retention"), as_json)


@retention.command()
@as_json
@with_session
def run(session: Session, as_json: bool) -> None:
    """Begin now to remove what is due, and not only with the next hourly sweep."""
    _print_retention(session.client.post("/retention/run"), as_json)


def _print_retention(answer: Json, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    print_rows(RETENTION, items(answer))
    found = fields(answer)
    now = ", one is running" if found["running"] else ""
    say(f"last sweep: {found['finished_at'] or 'none yet'}{now}")
