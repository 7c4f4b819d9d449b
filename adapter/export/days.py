"""Days of a time zone as periods: 23, 24 or 25 hours long."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo


def midnight(day: date, zone: tzinfo) -> datetime:
    """The start of a day, in UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def days(start: datetime, end: datetime, zone: tzinfo) -> Iterator[tuple[date, datetime, datetime]]:
    """(day, from, to) of each day that [start, end] touches, cut to it."""
    day = start.astimezone(zone).date()
    while (first := midnight(day, zone)) < end:
        last = midnight(day + timedelta(days=1), zone)
        yield day, max(first, start), min(last, end)
        day += timedelta(days=1)
