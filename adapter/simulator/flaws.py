"""What is wrong with intervals, and what a status says of them: gaps, clocks, summer time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import shake_128
from struct import unpack
from typing import Final
from zoneinfo import ZoneInfo

from adapter.simulator.energy import INTERVAL, Interval
from adapter.simulator.local_days import SLOTS
from adapter.simulator.meters import PopulationPlan

PROFILE_WORDS: Final = (
    "Unknown", "Overflow", "TestMode", "MinThresholdExceeded", "MaxThresholdExceeded",
    "ConfigurationChanged", "IntervalRecordingStopped", "Underflow", "TimeError", "Tamper",
    "HardwareFailure", "CommunicationFailure", "PowerRestored", "InvalidServiceType", "Backflow",
)  # fmt: skip
"""Of dat:ProfileStatus those that have no cause in this simulator. The others are told where an
outage, a gap, a clock that is set or summer time is the reason."""

EXTENDED_WORDS: Final = (
    "ReverseFlow", "RegisterError", "SumOfNoReadIntervals", "InterDigit", "TimeChange",
    "TimeChangeShortInterval", "Backflow",
)  # fmt: skip
"""All of dat:ExtendedProfileStatus."""

_WITHOUT_VALUE: Final = frozenset({"IntervalRecordingStopped", "CommunicationFailure"})
_WORDS: Final = len(PROFILE_WORDS) + len(EXTENDED_WORDS)


@dataclass(frozen=True, slots=True)
class Flaws:
    """Drawn from seed, meter and time, so that an interval read again is flawed alike."""

    seed: int
    skipped_share: float
    zone: ZoneInfo | None
    noted_share: float = 0.0
    clock_reset_share: float = 0.0

    @classmethod
    def of(cls, plan: PopulationPlan) -> "Flaws":
        zone = None if plan.time_zone == "UTC" else ZoneInfo(plan.time_zone)
        return cls(plan.seed, plan.skipped_share, zone, plan.noted_share, plan.clock_reset_share)

    def applied(self, rows: Iterable[Interval], esn: str) -> list[Interval]:
        """The intervals of one channel with their gaps and statuses."""
        found = list(rows)
        if self.skipped_share and found:
            for index in self._skips(esn, found[0].end, len(found)):
                found[index] = _skipped(found[index])
        if self.noted_share:
            found = [self._noted(row, esn) for row in found]
        if self.clock_reset_share:
            found = [self._clock(row, esn) for row in found]
        if self.zone is not None:
            found = [_in_summer(row) if self._is_summer(row.end) else row for row in found]
        return found

    def _skips(self, esn: str, end: datetime, count: int) -> list[int]:
        """Which of `count` quarter hours, one after the other from that which ends then, are gaps:
        all at once, because every interval of every meter is asked about."""
        day, slot = _place(end)
        last = slot + count
        drawn = [
            number
            for later in range(-(-last // SLOTS))
            for number in _drawn_day(self.seed, esn, "skipped", day + later)
        ]
        least = self.skipped_share * 65_536
        return [index for index, number in enumerate(drawn[slot:last]) if number < least]

    def _noted(self, row: Interval, esn: str) -> Interval:
        """With a word of any kind, each as often as the others."""
        if self._drawn(esn, "noted", row.end) >= self.noted_share * 65_536:
            return row
        index = self._drawn(esn, "word", row.end) % _WORDS
        if index >= len(PROFILE_WORDS):
            return row._replace(extended=(EXTENDED_WORDS[index - len(PROFILE_WORDS)],))
        word = PROFILE_WORDS[index]
        wh = 0 if word in _WITHOUT_VALUE else row.wh
        return row._replace(wh=wh, statuses=(*row.statuses, word))

    def _clock(self, row: Interval, esn: str) -> Interval:
        """Set forward by an interval, the next one is never recorded; set back, one is long.

        What a meter tells then is inferred from the names of the words.
        """
        day, slot = _place(row.end)
        reset = _drawn_day(self.seed, esn, "clock", day)
        if reset[0] >= self.clock_reset_share * 65_536:
            return row
        at, forward = 1 + reset[1] % (SLOTS - 2), reset[2] % 2
        if slot == at and forward:
            return row._replace(statuses=(*row.statuses, "PartialInterval", "ClockResetForward"))
        if slot == at:
            return row._replace(statuses=(*row.statuses, "LongInterval", "ClockResetBackwards"))
        return _skipped(row) if slot == at + 1 and forward else row

    def _drawn(self, esn: str, what: str, end: datetime) -> int:
        day, slot = _place(end)
        return _drawn_day(self.seed, esn, what, day)[slot]

    def _is_summer(self, end: datetime) -> bool:
        started = (end - INTERVAL).astimezone(self.zone)
        return bool(started.dst() or timedelta())


def _place(end: datetime) -> tuple[int, int]:
    """Day and quarter hour in it, UTC."""
    return divmod(int(end.timestamp()) // int(INTERVAL.total_seconds()), SLOTS)


@lru_cache(maxsize=64)
def _drawn_day(seed: int, esn: str, what: str, day: int) -> tuple[int, ...]:
    """A number from 0 to 65,535 for each quarter hour of a day."""
    drawn = shake_128(f"{seed}|{esn}|{what}|{day}".encode()).digest(2 * SLOTS)
    return unpack(f">{SLOTS}H", drawn)


def _skipped(row: Interval) -> Interval:
    return row._replace(wh=0, statuses=(*row.statuses, "SkippedInterval"))


def _in_summer(row: Interval) -> Interval:
    return row._replace(statuses=(*row.statuses, "DaylightSavingsTime"))
