"""Recurring reads in time: which windows a schedule has, which is due, what a late one covers.

Windows tile each local day: the first begins at the first daily time, each is `length` long by the
clock on the wall, the last ends where the next day's first begins. So where clocks change, the
window over the change is an hour shorter or longer in true time, and none is lost or doubled.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_DAY: Final = timedelta(days=1)
_MOMENT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """`first` is the first daily measurement time, local to `zone`; `length` divides 24 hours."""

    first: time
    length: timedelta
    zone: str

    @property
    def a_day(self) -> int:
        return _DAY // self.length


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """[start, end) in UTC."""

    start: datetime
    end: datetime


def window_at(grid: Grid, at: datetime) -> Window:
    """The window that holds `at`."""
    zone = ZoneInfo(grid.zone)
    day, part = _place(grid, zone, at)
    return Window(_edge(grid, zone, day, part), _edge(grid, zone, day, part + 1))


def count_windows(grid: Grid, span: Window) -> int:
    """How many windows begin in [start, end)."""
    zone = ZoneInfo(grid.zone)
    (first_day, first), (last_day, last) = (
        _place(grid, zone, span.start),
        _place(grid, zone, span.end),
    )
    return (last_day - first_day).days * grid.a_day + last - first


def _place(grid: Grid, zone: ZoneInfo, at: datetime) -> tuple[date, int]:
    """(local day, part of it) of the window that holds `at`."""
    local = at.astimezone(zone).date()
    for day in (local + _DAY, local, local - _DAY, local - 2 * _DAY):
        parts = range(grid.a_day)
        part = bisect_right(parts, at, key=lambda each: _edge(grid, zone, day, each)) - 1
        if part >= 0:
            return day, part
    raise AssertionError(f"no window of {grid} holds {at}")


def window_after(grid: Grid, window: Window) -> Window:
    """The one that begins where `window` ends."""
    return window_at(grid, window.end)


def _edge(grid: Grid, zone: ZoneInfo, day: date, part: int) -> datetime:
    """Where the `part`-th window of a local day begins, in UTC.

    Of an hour that stands twice on the wall the first is meant; an hour that is left out gives the
    moment of the change.
    """
    wall = datetime.combine(day, grid.first) + part * grid.length
    early = wall.replace(tzinfo=zone, fold=0)
    late = wall.replace(tzinfo=zone, fold=1)
    if early.astimezone(UTC) <= late.astimezone(UTC):
        return early.astimezone(UTC)
    return _change(zone, late.astimezone(UTC), early.astimezone(UTC))


def _change(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The moment between two at which the zone's offset changes, to the second."""
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """`buffer`: a window is asked for so long before it ends. `end`: no window begins at or after
    it; `count`: so many requests at most; None: no bound. `catch_up` False: a late request covers
    one window only, what was missed before it stays unread."""

    grid: Grid
    buffer: timedelta = timedelta()
    catch_up: bool = True
    count: int | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One request. `covers` is what is read; `grid` the window of the grid that it ends with;
    `missed` what lies unread before it (None: nothing). `work_start` to `work_end` is when the
    head end may interrogate: the buffer, what is left of it."""

    covers: Window
    grid: Window
    missed: Window | None
    work_start: datetime
    work_end: datetime


def first_window(recurrence: Recurrence, start: datetime) -> Window:
    """The first whole window that begins at or after `start`."""
    window = window_at(recurrence.grid, start)
    return window if window.start == start else window_after(recurrence.grid, window)


def due_at(recurrence: Recurrence, next_start: datetime) -> datetime:
    """When the window that begins at `next_start` is to be asked for."""
    window = window_at(recurrence.grid, next_start)
    return max(window.end - recurrence.buffer, window.start)


def ended(recurrence: Recurrence, *, issued: int, next_start: datetime) -> bool:
    """Whether no window is left."""
    if recurrence.count is not None and issued >= recurrence.count:
        return True
    return recurrence.end is not None and next_start >= recurrence.end


def issue(
    recurrence: Recurrence,
    next_start: datetime,
    *,
    now: datetime,
    longest: timedelta | None = None,
) -> Issue | None:
    """What is to be asked for now, or None when nothing is due.

    `next_start` is the end of what was issued before (or where the schedule begins). A request
    that is late asks for the newest window that is due, and with it for everything since
    `next_start`, unless catch-up is off. `longest` bounds what one request covers: whole windows
    before that are skipped, and are `missed`; the newest is always asked for. The buffer shrinks
    by the lateness; what was due after its end has none: `work_start` is then `now`, and the head
    end may begin at once.
    """
    if due_at(recurrence, next_start) > now:
        return None
    window = _newest_due(recurrence, now)
    start = next_start
    if not recurrence.catch_up:
        start = max(window.start, next_start)
    elif longest is not None and window.end - next_start > longest:
        earliest = first_window(recurrence, window.end - longest).start
        start = max(min(earliest, window.start), next_start)
    missed = None if start == next_start else Window(next_start, start)
    left = max(window.end - now, timedelta())
    return Issue(
        covers=Window(start, window.end),
        grid=window,
        missed=missed,
        work_start=now,
        work_end=now + left,
    )


def _newest_due(recurrence: Recurrence, now: datetime) -> Window:
    window = window_at(recurrence.grid, now)
    if window.end - recurrence.buffer > now:
        window = window_at(recurrence.grid, window.start - _MOMENT)
    if recurrence.end is not None and window.start >= recurrence.end:
        window = window_at(recurrence.grid, recurrence.end - _MOMENT)
    return window
