"""`openway readings`: measurements and events for analysts, pictures, payload statistics."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import click

from adapter.cli.client import fields, items
from adapter.cli.numbers import WholeNumber
from adapter.cli.output import (
    Cell,
    Row,
    as_json,
    cell,
    columns,
    counted,
    paged,
    print_json,
    print_json_line,
    print_rows,
    print_text,
    say,
    show_list,
)
from adapter.cli.session import Session, with_session
from adapter.cli.times import MOMENT
from adapter.cli.words import Word
from adapter.errors import InvalidRequest, NotFound
from adapter.model.values import replace

if TYPE_CHECKING:
    from adapter.cli.readings_source import Source
    from adapter.engine.readings.reports import ValueQuery, ValueRow
    from adapter.export.profile import Profile

_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9998, 1, 1, tzinfo=UTC)
_SHOWN: Final = 10_000
"""Rows that `show` prints at most: more is for `export`."""

_MOST_PLOTTED: Final = 366


def _sum_of(name: str) -> Cell:
    return lambda row: fields(row["counts"]).get(name, 0)


_PAYLOAD_COUNTS: Final = "values rejected errors bad_parts events unreported"
_GROUP_COUNTS: Final = (
    "values new revised repeated filtered rejected errors bad_parts events unreported"
)
VALUES: Final = columns(
    "value",
    ("at", lambda row: _short_time(row["at"])),
    "quantity source value unit",
    ("condition", lambda row: row["condition"] or ""),
    "statuses",
    ("origin", lambda row: _origin(row)),
)
PAYLOADS: Final = columns(
    "payload",
    "id at source operation state bytes lag_s reason position",
    *((name, f"counts.{name}") for name in _PAYLOAD_COUNTS.split()),
)
GROUPS: Final = columns(
    "group",
    ("group", lambda row: row["group"] or "(none)"),
    "payloads bytes",
    ("quarantined", lambda row: fields(row["states"]).get("quarantined", 0)),
    *((name, _sum_of(name)) for name in _GROUP_COUNTS.split()),
    ("lag s: median", lambda row: _lag(row["lag_median_s"])),
    ("95 %", lambda row: _lag(row["lag_95_s"])),
    ("longest", lambda row: _lag(row["lag_longest_s"])),
)

store_option = click.option(
    "--store",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read this store file instead of asking the gateway; nothing is written to it.",
)
from_option = click.option("--from", "start", type=MOMENT, help="After this time.")
to_option = click.option("--to", "end", type=MOMENT, help="Until this time, itself included.")
zone_option = click.option("--zone", help="Time zone of days; else the meter's, or the settings'.")


@click.group()
def readings() -> None:
    """Show, export and plot what came of the head end's payloads; enter what people read."""


@readings.command()
@click.argument("meter")
@from_option
@to_option
@click.option("--component", help="Only this measuring component.")
@click.option("--revisions", is_flag=True, help="Also values that were replaced.")
@click.option("--limit", type=WholeNumber(1, _SHOWN), default=200, show_default=True)
@store_option
@as_json
@with_session
def show(
    session: Session,
    meter: str,
    start: datetime | None,
    end: datetime | None,
    component: str | None,
    revisions: bool,
    limit: int,
    store: Path | None,
    as_json: bool,
) -> None:
    """Print the measurements of METER, a device of the registry, channel by channel.

    First those that people entered and crews read; `origin` says by whom and when.
    Without --from: those of the last day. Times are UTC, of an interval its END.
    """
    from adapter.engine.readings.reports import ValueQuery
    from adapter.export.csv_file import time_text

    end = end or datetime.now(UTC)
    start = start or end - timedelta(days=1)
    wanted = ValueQuery(start, end, meter, component, revisions)
    with _source(session, store) as source:
        rows = _first(source.values(wanted), limit + 1)
        if not rows:
            _refuse_unknown(source, meter)
    if as_json:
        for row in rows[:limit]:
            times = {
                "at": time_text(row.at),
                "start": time_text(row.start) or None,
                "entered_at": time_text(row.entered_at) or None,
            }
            words = row.statuses.split(",") if row.statuses else []
            print_json_line({**row._asdict(), **times, "statuses": words})
    else:
        print_rows(VALUES, (row._asdict() for row in rows[:limit]))
    more = f"; there are more: --limit, or `openway readings export {meter}`"
    say(f"{counted(min(len(rows), limit), 'value')}{more if len(rows) > limit else ''}")


@readings.command()
@click.argument("meter", required=False)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="File, or folder with --by-day."
)
@click.option("--format", "form", type=Word(["csv", "parquet"]), help="Else by the name.")
@click.option("--events", is_flag=True, help="Events as they arrived, instead of measurements.")
@from_option
@to_option
@click.option("--component", help="Only this measuring component.")
@click.option("--revisions", is_flag=True, help="Also values that were replaced.")
@click.option("--by-day", is_flag=True, help="A file a day, in folders day=YYYY-MM-DD.")
@click.option("--numbers", type=Word(["decimal", "text"]), default="decimal",
              help="In Parquet: decimal128(38, 18), or exact texts of any length.")  # fmt: skip
@zone_option
@store_option
@as_json
@with_session
def export(session: Session, /, out: Path, as_json: bool, **options: Any) -> None:
    """Write measurements of METER, or of all, as CSV or Parquet.

    What people entered and crews read comes first, by device and time, marked in `origin`; then
    what payloads brought, by device, component, channel and time. The same rows give the same
    bytes. A period is `from < time <= to`, so days side by side share nothing. `--out -` writes CSV
    to stdout.
    """
    from adapter.cli.readings_export import ExportPlan, export_all

    plan = ExportPlan.of(out, session_zone(session, options.pop("zone")), **options)
    with _source(session, plan.store) as source:
        if plan.wanted.device is not None:
            _refuse_unknown(source, plan.wanted.device)
        written = export_all(plan, source)
    if as_json:
        print_json(
            {
                "rows": sum(rows for _, rows in written),
                "files": [{"file": str(path), "rows": rows} for path, rows in written],
            }
        )
    else:
        rows = counted(sum(count for _, count in written), "row")
        say(f"{rows} in {counted(len(written), 'file')}")


@readings.command()
@click.argument("meter")
@from_option
@to_option
@click.option("--quantity", help="The channel, in the head end's words; else `Wh d`, or the first.")
@click.option("--png", type=click.Path(dir_okay=False, path_type=Path), help="Write a picture.")
@click.option("--width", type=WholeNumber(60, 400), help="Columns; else those of the terminal.")
@zone_option
@store_option
@with_session
def plot(
    session: Session,
    meter: str,
    start: datetime | None,
    end: datetime | None,
    quantity: str | None,
    png: Path | None,
    width: int | None,
    zone: str | None,
    store: Path | None,
) -> None:
    """Draw the load profile of METER: in the terminal, or as PNG.

    Whole days of its service point's zone. Without --from: the last one with data before --to.
    """
    with _source(session, store) as source:
        where = session_zone(session, zone or source.zone_of(meter))
        profile = _profile(source, meter, start, end, quantity, where)
    if png is not None:
        from adapter.export.png import write_png

        wide, high = write_png(profile, png)
        say(f"{png}: {wide} x {high} pixels, {counted(len(profile.days), 'day')}")
        return
    import shutil

    from adapter.export.terminal import draw

    columns = width or shutil.get_terminal_size((120, 24)).columns
    for line in draw(profile, width=columns):
        print_text(line)


@readings.command()
@paged()
@store_option
@as_json
@with_session
def payloads(
    session: Session, limit: int, cursor: str | None, store: Path | None, as_json: bool
) -> None:
    """List the payloads that were taken in, newest first."""
    with _source(session, store) as source:
        answer = source.payloads(limit=limit, cursor=cursor)
    show_list(answer, PAYLOADS, as_json=as_json)


@readings.command()
@click.option("--by", type=Word(["operation", "token", "day", "payload"]),
              default="operation", show_default=True)  # fmt: skip
@click.option("--from", "start", type=MOMENT, help="Of payloads that arrived at or after this.")
@click.option("--to", "end", type=MOMENT, help="Of payloads that arrived before this.")
@store_option
@as_json
@with_session
def statistics(
    session: Session,
    by: str,
    start: datetime | None,
    end: datetime | None,
    store: Path | None,
    as_json: bool,
) -> None:
    """Count payloads: bytes, values, lag and errors, by operation, token, day (UTC) or payload."""
    from adapter.engine.readings.reports import Grouping

    with _source(session, store) as source:
        answer = source.statistics(start or _EARLIEST, end or _LATEST, Grouping(by))
    if as_json:
        print_json(answer)
        return
    cells = {by if name == "group" else name: each for name, each in GROUPS.cells.items()}
    print_rows(replace(GROUPS, cells=cells), items(answer.get("groups")))
    if errors := fields(answer["open_errors"]):
        say("open errors: " + ", ".join(f"{cell(count)} {why}" for why, count in errors.items()))


# ---------------------------------------------------------------- what they share


def session_zone(session: Session, named: str | None) -> tzinfo:
    """The zone of an option, else the head end's of the settings. Raises InvalidRequest."""
    name = named or session.settings.contract.time_zone
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidRequest("zone", f"there is no {name!r}") from None


@contextmanager
def _source(session: Session, store: Path | None) -> Iterator["Source"]:
    from adapter.cli.readings_source import source_of

    with source_of(lambda: session.client, store) as source:
        yield source


def _refuse_unknown(source: "Source", meter: str) -> None:
    """No rows of a device that is known is an answer; of one that is not, it would mislead."""
    if not source.knows(meter):
        raise NotFound(f"no device {meter}")


def _first(batches: Iterator[Sequence["ValueRow"]], count: int) -> list["ValueRow"]:
    rows: list[ValueRow] = []
    for batch in batches:
        rows += batch
        if len(rows) >= count:
            break
    return rows[:count]


def _profile(
    source: "Source",
    meter: str,
    start: datetime | None,
    end: datetime | None,
    quantity: str | None,
    zone: tzinfo,
) -> "Profile":
    """Raises NotFound where there are no intervals, InvalidRequest for too long a period."""
    from adapter.engine.readings.reports import ValueQuery
    from adapter.export.days import midnight
    from adapter.export.profile import profile

    until = end or datetime.now(UTC)
    # Without a start the newest day is looked for, as far back as a month.
    begin = start or until - timedelta(days=31)
    rows = _chosen(source, ValueQuery(midnight(_date(begin, zone), zone), until, meter), quantity)
    newest = datetime.fromtimestamp((rows[-1].at - 1) / 1_000_000, UTC)
    last = _date(newest if None in (start, end) else until - timedelta(microseconds=1), zone)
    first = _date(newest if start is None else start, zone)
    if (last - first).days >= _MOST_PLOTTED:
        raise InvalidRequest("from", f"at most {_MOST_PLOTTED} days are drawn")
    start, end = midnight(first, zone), midnight(max(first, last) + timedelta(days=1), zone)
    if end > until or start < begin:  # the rest of the last day, should it have come already
        rows = _chosen(source, ValueQuery(start, end, meter), quantity)
    return profile(meter, rows, start=start, end=end, zone=zone)


def _date(at: datetime, zone: tzinfo) -> date:
    return at.astimezone(zone).date()


def _chosen(source: "Source", wanted: "ValueQuery", quantity: str | None) -> list["ValueRow"]:
    """The rows of one interval channel. Raises NotFound."""
    from adapter.commands.completion import same_quantity
    from adapter.export.profile import channels

    rows = [row for batch in source.values(wanted) for row in batch]
    found = channels(rows)
    like = same_quantity(quantity or "Wh d")
    fitting = [each for each in found if same_quantity(each[0]) == like]
    if not fitting and quantity is not None:
        names = ", ".join(sorted({each[0] for each in found})) or "none"
        raise NotFound(f"{wanted.device} has no intervals of {quantity} in this period: {names}")
    if not found:
        raise NotFound(f"{wanted.device} has no intervals in this period")
    channel = (fitting or found)[0]
    return [row for row in rows if (row.quantity, row.component, row.seconds) == channel]


def _origin(row: Row) -> str:
    """Empty for what the head end's payloads brought: nearly all."""
    if row["entered_at"] is not None:
        entered = _short_time(row["entered_at"])
        return f"{row['component']} entered by {row['entered_by']}, {entered}"
    return f"{row['component']} read by a crew, {row['entered_by']}" if row["entered_by"] else ""


def _short_time(at: object) -> str:
    assert isinstance(at, int)
    moment = datetime.fromtimestamp(at / 1_000_000, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")


def _lag(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else ""
