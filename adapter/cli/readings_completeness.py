"""`openway completeness`: which meters have reported, which have not, and reading those again."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Final, TypeVar

import click

from adapter.cli.client import fields
from adapter.cli.numbers import WholeNumber
from adapter.cli.output import (
    as_json,
    columns,
    counted,
    paged,
    print_fields,
    print_json,
    say,
    show_fields,
    show_list,
)
from adapter.cli.session import Session, with_session
from adapter.cli.times import MOMENT
from adapter.cli.words import Word
from adapter.commands.flows import READ_KINDS, CommandKind
from adapter.readings.gaps import Gap

F = TypeVar("F", bound=Callable[..., object])
_MOST: Final = 10_000


DAYS: Final = columns("day", "group day meters reported whole doubtful late")
METERS: Final = columns("meter", "device endpoint reason last_at last_arrival intervals expected")
WINDOWS: Final = columns(
    "window",
    "schedule name group",
    ("not asked for", "not_asked"),
    ("window", "report.number"),
    ("expected", "report.expected"),
    ("failed", "report.counts.failed"),
    ("missing", "report.counts.missing"),
    ("waiting", "report.waiting"),
    ("command", "report.command"),
    "problem",
)


class DayParam(click.ParamType[date]):
    name = "day"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        try:
            return value if isinstance(value, date) else date.fromisoformat(str(value))
        except ValueError:
            self.fail("needs a day as 2026-03-01", param, ctx)


_DAY: Final = DayParam()


def _listed(function: F) -> F:
    """The options that say which list."""
    for option in (
        click.option(
            "--day", type=_DAY, help="late, incomplete, blocks: of this day; else of yesterday."
        ),
        click.option(
            "--since", type=MOMENT, help="not_since, failed: since this time; else for a day."
        ),
        click.option("--group", help="Only of this group."),
        click.argument("gap", type=Word([each.value for each in Gap])),
    ):
        function = option(function)
    return function


@click.group()
def completeness() -> None:
    """Which meters have reported, and which have not; read those again.

    Days are local to `contract.time_zone`. Expected to report is each meter with an endpoint at
    this head end that is installed.
    """


@completeness.command()
@click.option("--group", help="Only of this group.")
@as_json
@with_session
def show(session: Session, group: str | None, as_json: bool) -> None:
    """How many reported today, and how long each list is."""
    answer = fields(session.client.get("/completeness", {"group": group}))
    if as_json:
        print_json(answer)
        return
    today = {f"today: {name}": value for name, value in fields(answer.pop("today")).items()}
    today.pop("today: group")
    print_fields({name.replace("_", " "): value for name, value in (today | answer).items()})


@completeness.command()
@click.option("--first", type=_DAY, help="The first day; else 30 days before the last one.")
@click.option("--last", type=_DAY, help="The last day; else today.")
@click.option("--group", help="Only of this group.")
@as_json
@with_session
def days(
    session: Session, first: date | None, last: date | None, group: str | None, as_json: bool
) -> None:
    """By group and day: meters that reported, with all intervals, with values in doubt, late."""
    asked = {"first": first, "last": last, "group": group}
    show_list(session.client.get("/completeness/days", asked), DAYS, as_json=as_json)


@completeness.command()
@_listed
@paged()
@as_json
@with_session
def meters(session: Session, /, as_json: bool, **query: object) -> None:
    """List meters of which something is missing.

    \b
    not_since   no value since then
    failed      of its reads since then the newest failed; with the reason
    late        the last value of the day came 12 hours after its end, or later
    incomplete  some intervals of the day came, and not all
    blocks      some blocks of the day came, and not all
    """
    answer = session.client.get("/completeness/meters", query)
    note = f" of {fields(answer)['total']}"
    show_list(answer, METERS, as_json=as_json, note=note)


@completeness.command()
@click.option("--group", help="Only of this group.")
@as_json
@with_session
def windows(session: Session, group: str | None, as_json: bool) -> None:
    """List windows of schedules that are behind: not asked for, or not read in whole."""
    answer = session.client.get("/completeness/windows", {"group": group})
    show_list(answer, WINDOWS, as_json=as_json)


@completeness.command(name="read-again")
@_listed
@click.option(
    "--kind",
    type=Word(sorted(each.value for each in READ_KINDS)),
    default=CommandKind.ON_DEMAND_READ_INTERVAL.value,
    show_default=True,
    help="A scheduled read reads the whole group.",
)
@click.option("--from", "start", type=MOMENT, help="What is read; else what the list is about.")
@click.option("--to", "end", type=MOMENT)
@click.option("--reason", required=True, help="For the audit, and the command.")
@click.option("--at-most", type=WholeNumber(1, _MOST), help="Refuse to ask more meters.")
@click.option("--key", "idempotency_key", help="The same key reads once.")
@click.option("--dry-run", is_flag=True, help="Say how many and why, and read nothing.")
@as_json
@with_session
def read_again(session: Session, /, as_json: bool, **given: object) -> None:
    """Read the meters of a list again, by one command."""
    body = {
        name: value.isoformat() if isinstance(value, date | datetime) else value
        for name, value in given.items()
        if value is not None
    }
    answer = fields(session.client.post("/completeness/read-again", body))
    if as_json:
        show_fields(answer, as_json=True)
        return
    reasons = fields(answer.pop("by_reason"))
    print_fields({name: value for name, value in answer.items() if value is not None})
    for reason, count in reasons.items():
        say(f"{count}: {reason}")
    if given["dry_run"]:
        say(f"{counted(answer['asked'], 'meter')} would be asked; nothing was")
