"""Days of a site: from one local midnight to the next, of 23, 24 or 25 hours.

A value is of the day that its END lies in; one at midnight closes the day before.
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

_FIRST: Final = date(1970, 1, 1).toordinal()
_MOMENT: Final = timedelta(microseconds=1)


def day_of(at: datetime, zone: tzinfo) -> date:
    """The day of a value that ends at `at`."""
    return (at - _MOMENT).astimezone(zone).date()


def bounds_of(day: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """Where it begins and ends, in UTC: a value of it has `begin < at <= end`."""
    begin, end = (
        datetime.combine(each, time(), zone).astimezone(UTC)
        for each in (day, day + timedelta(days=1))
    )
    return begin, end


def number_of(day: date) -> int:
    """Days since 1970-01-01."""
    return day.toordinal() - _FIRST


def day_of_number(number: int) -> date:
    return date.fromordinal(number + _FIRST)
