"""A load profile as days of its time zone: which slot has which value, which has none, and why."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import Final

from adapter.engine.readings.reports import ValueRow
from adapter.model.measurement import REGULAR
from adapter.readings.conditions import CLOCK, MISSING, NOTED, OUTAGE, PARTIAL

_SECOND: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ProfileMark(StrEnum):
    """What is to be seen of a slot beside its value. The text is its sign in a terminal."""

    NONE = " "
    NOTED = "+"
    CLOCK = "c"
    PARTIAL = "p"
    OUTAGE = "o"
    SUSPECT = "!"
    MISSING = "x"
    GAP = "."


MEANING: Final = {
    ProfileMark.GAP: "no data",
    ProfileMark.MISSING: "told as missing",
    ProfileMark.SUSPECT: "suspect or unusable",
    ProfileMark.OUTAGE: "outage",
    ProfileMark.PARTIAL: "partial interval",
    ProfileMark.CLOCK: "clock was set",
    ProfileMark.NOTED: "noted",
}
"""The worst first."""

_FROM: Final = (
    (REGULAR, ProfileMark.NONE),
    (NOTED, ProfileMark.NOTED),
    (CLOCK, ProfileMark.CLOCK),
    (OUTAGE, ProfileMark.OUTAGE),
    (PARTIAL, ProfileMark.PARTIAL),
    (MISSING + 1, ProfileMark.SUSPECT),
)
"""From this condition code up, the best first. What is below all is missing."""


@dataclass(frozen=True, slots=True)
class ProfileSlot:
    """`value` is average power over the interval where the unit is one of energy."""

    value: Decimal | None
    mark: ProfileMark


NOTHING: Final = ProfileSlot(None, ProfileMark.GAP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """`start` is midnight in UTC. One slot per interval of the day: of 15 minutes 92, 96 or 100."""

    date: date
    start: datetime
    hours: float
    slots: tuple[ProfileSlot, ...]

    @property
    def known(self) -> bool:
        """Whether any slot has a value."""
        return any(slot.value is not None for slot in self.slots)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One channel. `total` is the sum of energy over `days` in `energy_unit`, by day as well; empty
    `energy_unit` where the unit is not one of energy."""

    meter: str
    quantity: str
    sqi: str
    unit: str
    energy_unit: str
    seconds: int
    zone: tzinfo
    days: tuple[Day, ...]

    @property
    def highest(self) -> Decimal:
        return max(self._values(), default=Decimal(0))

    @property
    def lowest(self) -> Decimal:
        """0, or below it where energy flowed back."""
        return min(Decimal(0), *self._values(), Decimal(0))

    def _values(self) -> list[Decimal]:
        return [slot.value for day in self.days for slot in day.slots if slot.value is not None]

    def marks(self) -> tuple[ProfileMark, ...]:
        """Those that occur, the worst first."""
        seen = {slot.mark for day in self.days for slot in day.slots}
        return tuple(mark for mark in MEANING if mark in seen)

    def energy(self, days: Sequence[Day]) -> Decimal:
        """Of the slots that have a value."""
        total = sum((s.value for day in days for s in day.slots if s.value is not None), Decimal(0))
        return total * self.seconds / 3600 if self.energy_unit else Decimal(0)

    def local(self, day: Day, slot: int) -> datetime:
        """When a slot begins, on the clock of its zone."""
        return (day.start + timedelta(seconds=slot * self.seconds)).astimezone(self.zone)


def channels(rows: Iterable[ValueRow]) -> list[tuple[str, str, int]]:
    """(quantity, component, seconds) of the interval channels among rows."""
    found = {(row.quantity, row.component, row.seconds): None for row in rows if row.seconds}
    return sorted(found)


def profile(
    meter: str, rows: Sequence[ValueRow], *, start: datetime, end: datetime, zone: tzinfo
) -> Profile:
    """Of rows of ONE interval channel, the latest revisions. Days are whole days of `zone`."""
    first = rows[0]
    step = first.seconds * _SECOND
    energy = first.unit if first.unit.endswith("h") and len(first.unit) > 1 else ""
    factor = Decimal(3600) / first.seconds if energy else Decimal(1)
    by_start = {row.at - step: row for row in rows}
    return Profile(
        meter=meter,
        quantity=first.quantity,
        sqi=first.sqi,
        unit=first.unit[:-1] if energy else first.unit,
        energy_unit=energy,
        seconds=first.seconds,
        zone=zone,
        days=tuple(_days(by_start, step, factor, start, end, zone)),
    )


def _days(
    by_start: dict[int, ValueRow],
    step: int,
    factor: Decimal,
    start: datetime,
    end: datetime,
    zone: tzinfo,
) -> Iterable[Day]:
    day = start.astimezone(zone).date()
    while True:
        midnight = datetime.combine(day, time(), zone).astimezone(UTC)
        if midnight >= end:
            return
        following = datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)
        first, last = _micros(midnight), _micros(following)
        slots = tuple(_slot(by_start.get(at), factor) for at in range(first, last, step))
        hours = (last - first) / (3600 * _SECOND)
        yield Day(date=day, start=midnight, hours=hours, slots=slots)
        day += timedelta(days=1)


def _slot(row: ValueRow | None, factor: Decimal) -> ProfileSlot:
    if row is None:
        return NOTHING
    value = None if row.value is None else Decimal(row.value) * factor
    mark = next((mark for least, mark in _FROM if row.condition >= least), ProfileMark.MISSING)
    return ProfileSlot(value, mark)


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
