"""`openway schedule`: reads that recur, by group, and what came of each window."""

from collections.abc import Iterator
from datetime import datetime, time
from typing import Final

import click

from adapter.cli.client import Json, fields, items, segment
from adapter.cli.numbers import WholeNumber
from adapter.cli.output import (
    ROW_NUMBER,
    ListColumns,
    as_json,
    columns,
    counted,
    limit_option,
    paged,
    print_json,
    print_rows,
    print_text,
    say,
    show_fields,
    show_list,
)
from adapter.cli.session import Session, with_session
from adapter.cli.times import MOMENT, SECONDS, TIME_OF_DAY
from adapter.cli.words import Word
from adapter.engine.schedules.ports import ReadResult
from adapter.model.values import replace
from adapter.schedules.schedule import MOST_REQUESTS

_DAY_S = 86_400.0
_PAGE = 500
_READ = ReadResult.SUCCEEDED.value
_DEVICE = ("device", "endpoint", "result", "reason", "incomplete")
SCHEDULES: Final = columns(
    "schedule", "id state name group kind issued read_until", ("due", "due_at"), "problem"
)
WINDOWS: Final = columns(
    "window",
    ("window", "number"),
    ("from", "window.start"),
    ("to", "window.end"),
    "command state expected",
    ("read", "counts.succeeded"),
    ("failed", "counts.failed"),
    ("missing", "counts.missing"),
    ("skipped before", "skipped"),
    "incomplete",
)
_RESULTS = [each.value for each in ReadResult]
_KINDS = {"scalar": "scheduled_read_scalar", "interval": "scheduled_read_interval"}


@click.group()
def schedule() -> None:
    """Scheduled reads of a running gateway: recurring, or one for once."""


@schedule.command()
@click.argument("group")
@click.argument("data", type=Word(sorted(_KINDS)))
@click.option("--name", default="", help="What people call it.")
@click.option("--first", type=TIME_OF_DAY, default="00:00", show_default=True,
              help="First daily time, HH:MM.")  # fmt: skip
@click.option(
    "--every", "length_s", type=SECONDS, default=_DAY_S, help="Length of a window, as 12h."
)
@click.option("--zone", default="UTC", show_default=True, help="Time zone of the daily time.")
@click.option("--buffer", "buffer_s", type=SECONDS, default=0.0, help="Ask so long before the end.")
@click.option("--no-catch-up", is_flag=True, help="A late request covers one window only.")
@click.option("--count", type=WholeNumber(1, MOST_REQUESTS), help="So many requests, then it ends.")
@click.option("--until", type=MOMENT, help="No window begins at or after this time.")
@click.option("--starts", type=MOMENT, help="Not before this time; else now.")
@click.option("--once", nargs=2, type=MOMENT, metavar="START END", help="One read of this period.")
@click.option("--events", is_flag=True, help="Also bring the meters' event logs.")
@as_json
@with_session
def add(
    session: Session,
    group: str,
    data: str,
    name: str,
    first: time,
    length_s: float,
    zone: str,
    buffer_s: float,
    no_catch_up: bool,
    count: int | None,
    until: datetime | None,
    starts: datetime | None,
    once: tuple[datetime, datetime] | None,
    events: bool,
    as_json: bool,
) -> None:
    """Read GROUP again and again: DATA is scalar or interval."""
    body: dict[str, object] = {
        "kind": _KINDS[data],
        "group": group,
        "name": name,
        "starts": None if starts is None else starts.isoformat(),
        "events": events,
    }
    if once:
        body["once"] = {"start": once[0].isoformat(), "end": once[1].isoformat()}
    else:
        body["recurrence"] = {
            "first": first.isoformat(),
            "length_s": round(length_s),
            "time_zone": zone,
            "buffer_s": round(buffer_s),
            "catch_up": not no_catch_up,
            "count": count,
            "end": None if until is None else until.isoformat(),
        }
    _print(session.client.post("/schedules", body), as_json)


@schedule.command(name="list")
@click.option("--state", type=Word(["active", "paused", "ended"]))
@paged()
@as_json
@with_session
def list_(session: Session, /, as_json: bool, **query: object) -> None:
    """List schedules with how far they are."""
    show_list(session.client.get("/schedules", query), SCHEDULES, as_json=as_json)


@schedule.command()
@click.argument("number")
@as_json
@with_session
def show(session: Session, number: str, as_json: bool) -> None:
    """Show one schedule."""
    _print(session.client.get(f"/schedules/{segment(number)}"), as_json)


def _verb(name: str, text: str) -> None:
    """One thing that people do to a schedule: a call of its own name."""

    @schedule.command(name, help=text)
    @click.argument("number")
    @as_json
    @with_session
    def do(session: Session, number: str, as_json: bool) -> None:
        _print(session.client.post(f"/schedules/{segment(number)}/{name}"), as_json)


_verb("pause", "Make no more requests for now.")
_verb("resume", "Go on; what was missed is caught up, unless the schedule forbids it.")
_verb("remove", "End it. Its windows stay for the reports.")


@schedule.command()
@click.argument("number")
@click.argument("window", type=ROW_NUMBER, required=False)
@click.option("--result", type=Word(_RESULTS), help="Only devices that ended so.")
@click.option("--all", "everybody", is_flag=True, help="Also the devices that were read whole.")
@limit_option()
@as_json
@with_session
def report(
    session: Session,
    number: str,
    window: int | None,
    result: str | None,
    everybody: bool,
    limit: int,
    as_json: bool,
) -> None:
    """What came of its last windows, or of one WINDOW with its devices, those missing first.

    Of one window also those are shown that were read, but not with all their blocks.

    --limit is the number of windows. As JSON a window always has all its devices.
    """
    place = f"/schedules/{segment(number)}/windows"
    if window is None:
        answer = session.client.get(place, {"limit": limit})
        show_list(answer, _shown(items(answer)), as_json=as_json)
        return
    pages = _pages(session, f"{place}/{window}", result)
    if as_json:
        whole = list(pages)
        rows = [row for page in whole for row in items(page["devices"])]
        print_json({**whole[-1], "devices": rows, "next": None})
    else:
        _print_window(pages, everybody=everybody or result is not None)


def _pages(session: Session, place: str, result: str | None) -> Iterator[dict[str, Json]]:
    """A window, again with each page of its devices."""
    cursor: Json = None
    while True:
        query = {"result": result, "limit": _PAGE, "cursor": cursor}
        found = fields(session.client.get(place, query))
        yield found
        if (cursor := found.get("next")) is None:
            return


def _print_window(pages: Iterator[dict[str, Json]], *, everybody: bool) -> None:
    """Lines as they come, for a window may have a city of them; those that were read come last,
    and of those the whole ones."""
    widths: list[int] = []
    shown = 0
    for page in pages:
        if not widths:
            print_rows(_shown([page]), [page])
        devices = items(page["devices"])
        rows = [row for row in devices if everybody or _is_told(row)]
        cells = [[str(row.get(column) or "") for column in _DEVICE] for row in rows]
        widths = widths or [max(map(len, column)) for column in zip(_DEVICE, *cells, strict=True)]
        for line in cells if shown else [list(_DEVICE), *cells] if cells else []:
            padded = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
            print_text("  ".join(padded).rstrip())
        shown += len(rows)
        if len(rows) < len(devices):
            break
    say(f"{counted(shown, 'device')} shown")


def _is_told(row: dict[str, Json]) -> bool:
    """Whether a device is shown where not everybody was asked for."""
    return row["result"] != _READ or bool(row["incomplete"])


def _shown(windows: list[dict[str, Json]]) -> ListColumns:
    """Without the column that only windows of intervals have, where there are others."""
    if all(row["incomplete"] is not None for row in windows):
        return WINDOWS
    cells = {name: cell for name, cell in WINDOWS.cells.items() if name != "incomplete"}
    return replace(WINDOWS, cells=cells)


def _print(answer: Json, as_json: bool) -> None:
    found = dict(fields(answer))
    for name in () if as_json else ("recurrence", "once"):
        for key, value in fields(found.pop(name, None)).items():
            found[f"{name}.{key}"] = value
    show_fields(found, as_json=as_json)
