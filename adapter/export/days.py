"""Days of a time zone as periods: 23, 24 or 25 hours long."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, tzinfo


def midnight(day: date, zone: tzinfo) -> datetime:
    """The start of a day, in UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def days(
    start: datetime, end: datetime, zone: tzinfo, has: Callable[[datetime, datetime], bool]
) -> Iterator[tuple[date, datetime, datetime]]:
    """(day, from, to) of each day that [start, end] touches and that `has` anything, cut to it.

    `has` is asked about periods, of which the empty ones are left out as a whole.
    """
    first, last = (each.astimezone(zone).date().toordinal() for each in (start, end))
    open_ranges = [(first, last)] if start < end else []
    while open_ranges:
        first, last = open_ranges.pop()
        after = max(midnight(date.fromordinal(first), zone), start)
        until = min(midnight(date.fromordinal(last + 1), zone), end)
        if after >= until or not has(after, until):
            continue
        if first == last:
            yield date.fromordinal(first), after, until
        else:
            middle = (first + last) // 2
            open_ranges += [(middle + 1, last), (first, middle)]
