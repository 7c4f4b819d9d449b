"""Days of a time zone in quarter hours: 92, 96 or 100 of them, each with its place on the clock."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from adapter.simulator.meters import EPOCH

SLOT_S: Final = 900
SLOTS: Final = 96
_DAY_S: Final = 86_400
_EPOCH_S: Final = int(EPOCH.timestamp())
_USUAL: Final = tuple(range(SLOTS))


@dataclass(frozen=True, slots=True)
class LocalDay:
    """`number` counts days from the date of EPOCH; `start` is its midnight in seconds since EPOCH.

    `slots` has, for each quarter hour of the day, which one of a usual day the clock shows then: on
    the day it is set forward some are left out, on the day it is set back some come twice.
    """

    number: int
    start: int
    slots: tuple[int, ...]


def day_at(zone: str, seconds: int) -> LocalDay:
    """The day that a moment, in seconds since EPOCH, belongs to."""
    if zone == "UTC":
        number = seconds // _DAY_S
        return LocalDay(number, number * _DAY_S, _USUAL)
    return _day_near(zone, seconds // SLOT_S)


@lru_cache(maxsize=50_000)
def _day_near(zone: str, quarter: int) -> LocalDay:
    at = datetime.fromtimestamp(_EPOCH_S + quarter * SLOT_S, ZoneInfo(zone))
    return _day(zone, at.toordinal() - EPOCH.toordinal())


@lru_cache(maxsize=10_000)
def _day(zone: str, number: int) -> LocalDay:
    where = ZoneInfo(zone)
    date = (EPOCH + timedelta(days=number)).date()
    first, last = (
        int(datetime.combine(day, time(), where).astimezone(UTC).timestamp())
        for day in (date, date + timedelta(days=1))
    )
    clocks = [datetime.fromtimestamp(at, where) for at in range(first, last, SLOT_S)]
    slots = tuple((clock.hour * 60 + clock.minute) // 15 for clock in clocks)
    return LocalDay(number, first - _EPOCH_S, _USUAL if slots == _USUAL else slots)
