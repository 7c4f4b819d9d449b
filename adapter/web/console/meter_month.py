"""A month of a meter as a picture: days by hours, and what happened laid over them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Final

from adapter.readings.conditions import MISSING, NOTED
from adapter.readings.days import bounds_of

LEFT: Final = 62
TOP: Final = 18
WIDTH: Final = 24
HEIGHT: Final = 13
"""Of an hour, in the units of the picture."""

_SHADES: Final = 5
_SHORTEST: Final = 3.0
"""What lasts shorter is drawn so wide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnInterval:
    """A value of a channel. `at` is its END; None: it has no number."""

    at: datetime
    value: Decimal | None
    condition: int

    @property
    def found(self) -> bool:
        return self.value is not None and self.condition > MISSING


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that is laid over the picture: at a time, or until `until`."""

    at: datetime
    what: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthHour:
    """One field of the picture."""

    x: int
    y: int
    shade: str
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthMark:
    """One happening in the picture, or the part of it that is of one day."""

    x: float
    y: float
    width: float
    told: str


@dataclass(slots=True, kw_only=True)
class MonthDay:
    """Counts of a day: intervals that there are until now, that came, that are in doubt."""

    day: date
    y: int
    expected: int = 0
    found: int = 0
    doubtful: int = 0
    total: Decimal = field(default_factory=Decimal)

    @property
    def missing(self) -> int:
        return max(self.expected - self.found, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthPicture:
    days: Sequence[MonthDay]
    hours: Sequence[MonthHour]
    outages: Sequence[MonthMark]
    events: Sequence[MonthMark]
    commands: Sequence[MonthMark]

    @property
    def height(self) -> int:
        return TOP + HEIGHT * len(self.days) + 4

    @property
    def width(self) -> int:
        return LEFT + WIDTH * 24 + 4

    @property
    def expected(self) -> int:
        return sum(each.expected for each in self.days)

    @property
    def found(self) -> int:
        return sum(each.found for each in self.days)

    @property
    def doubtful(self) -> int:
        return sum(each.doubtful for each in self.days)


@dataclass(slots=True)
class _HourSum:
    expected: int = 0
    found: int = 0
    doubtful: int = 0
    total: Decimal = field(default_factory=Decimal)


def month_of(
    days: Sequence[date],
    intervals: Iterable[DrawnInterval],
    *,
    seconds: int,
    zone: tzinfo,
    now: datetime,
    outages: Iterable[Happening] = (),
    events: Iterable[Happening] = (),
    commands: Iterable[Happening] = (),
) -> MonthPicture:
    """`seconds` is the length of an interval; nothing is expected where it is 0."""
    values = {each.at: each for each in intervals}
    rows = {day: MonthDay(day=day, y=TOP + HEIGHT * row) for row, day in enumerate(days)}
    sums: dict[tuple[date, int], _HourSum] = {}
    for day in days if seconds > 0 else ():
        _add_up(day, values, sums, seconds=seconds, zone=zone, now=now)
    for (day, _), each in sums.items():
        row = rows[day]
        row.expected += each.expected
        row.found += each.found
        row.doubtful += each.doubtful
        row.total += each.total
    bounds = _bounds([each.total for each in sums.values() if each.found])
    return MonthPicture(
        days=list(rows.values()),
        hours=[_hour(rows[day], hour, each, bounds) for (day, hour), each in sums.items()],
        outages=[m for each in outages for m in _bars(each, rows, zone, now)],
        events=[m for each in events for m in _points(each, rows, zone)],
        commands=[m for each in commands for m in _points(each, rows, zone)],
    )


def _add_up(
    day: date,
    values: Mapping[datetime, DrawnInterval],
    sums: dict[tuple[date, int], _HourSum],
    *,
    seconds: int,
    zone: tzinfo,
    now: datetime,
) -> None:
    """By the hour on the wall: one that comes twice has twice as much, one that is left out none.
    Of the running day only what came is expected: the rest may still come."""
    running = now.astimezone(zone).date() == day
    start, end = bounds_of(day, zone)
    step = timedelta(seconds=seconds)
    while start + step <= min(end, now):
        value = values.get(start + step)
        if value is None and running:
            start += step
            continue
        hour = sums.setdefault((day, start.astimezone(zone).hour), _HourSum())
        hour.expected += 1
        if value is not None and value.found and value.value is not None:
            hour.found += 1
            hour.doubtful += value.condition < NOTED
            hour.total += value.value
        start += step


def _bounds(totals: list[Decimal]) -> list[Decimal]:
    """Between which sums an hour has which shade: as many hours in each."""
    ordered = sorted(totals)
    if not ordered:
        return []
    return [ordered[len(ordered) * part // _SHADES] for part in range(1, _SHADES)]


def _hour(row: MonthDay, hour: int, found: _HourSum, bounds: Sequence[Decimal]) -> MonthHour:
    shade = f"u{1 + sum(found.total >= bound for bound in bounds)}"
    told = f"{row.day} {hour:02d}:00: {found.total.normalize():f}"
    if found.found < found.expected:
        shade = f"{shade} partial" if found.found else "missing"
        told += f", {found.found} of {found.expected} intervals"
    if found.doubtful:
        shade += " doubtful"
        told += f", {found.doubtful} in doubt"
    return MonthHour(x=LEFT + WIDTH * hour, y=row.y, shade=shade, told=told)


def _x(at: datetime, zone: tzinfo) -> float:
    local = at.astimezone(zone)
    return LEFT + WIDTH * (local.hour + local.minute / 60 + local.second / 3600)


def _points(what: Happening, rows: Mapping[date, MonthDay], zone: tzinfo) -> Iterable[MonthMark]:
    row = rows.get(what.at.astimezone(zone).date())
    if row is not None:
        yield MonthMark(
            x=round(_x(what.at, zone), 1), y=row.y + HEIGHT / 2, width=0, told=what.what
        )


def _bars(
    what: Happening, rows: Mapping[date, MonthDay], zone: tzinfo, now: datetime
) -> Iterable[MonthMark]:
    until = min(what.until or now, now)
    for day, row in rows.items():
        start, end = bounds_of(day, zone)
        if what.at >= end or until <= start:
            continue
        left = _x(what.at, zone) if what.at > start else float(LEFT)
        right = _x(until, zone) if until < end else float(LEFT + WIDTH * 24)
        width = max(right - left, _SHORTEST)
        yield MonthMark(
            x=round(left, 1), y=row.y + HEIGHT - 4, width=round(width, 1), told=what.what
        )


def days_of(month: date) -> list[date]:
    first = month.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return [first + timedelta(days=n) for n in range((following - first).days)]
