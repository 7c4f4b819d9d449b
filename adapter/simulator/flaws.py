"""What is wrong with intervals, and what a status says of them: gaps and summer time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import shake_128
from zoneinfo import ZoneInfo

from adapter.simulator.energy import INTERVAL, SLOTS, Interval
from adapter.simulator.meters import PopulationPlan


@dataclass(frozen=True, slots=True)
class Flaws:
    """Drawn from seed, meter and time, so that an interval read again is flawed alike."""

    seed: int
    skipped_share: float
    zone: ZoneInfo | None

    @classmethod
    def of(cls, plan: PopulationPlan) -> "Flaws":
        zone = None if plan.time_zone == "UTC" else ZoneInfo(plan.time_zone)
        return cls(plan.seed, plan.skipped_share, zone)

    def applied(self, rows: Iterable[Interval], esn: str) -> list[Interval]:
        """The intervals of one channel with their gaps and statuses."""
        found = list(rows)
        if self.skipped_share:
            found = [_skipped(row) if self._skips(esn, row.end) else row for row in found]
        if self.zone is not None:
            found = [_in_summer(row) if self._is_summer(row.end) else row for row in found]
        return found

    def _skips(self, esn: str, end: datetime) -> bool:
        day, slot = divmod(int(end.timestamp()) // int(INTERVAL.total_seconds()), SLOTS)
        drawn = shake_128(f"{self.seed}|{esn}|skipped|{day}".encode()).digest(2 * SLOTS)
        return int.from_bytes(drawn[2 * slot : 2 * slot + 2]) < self.skipped_share * 65_536

    def _is_summer(self, end: datetime) -> bool:
        started = (end - INTERVAL).astimezone(self.zone)
        return bool(started.dst() or timedelta())


def _skipped(row: Interval) -> Interval:
    return row._replace(wh=0, statuses=(*row.statuses, "SkippedInterval"))


def _in_summer(row: Interval) -> Interval:
    return row._replace(statuses=(*row.statuses, "DaylightSavingsTime"))
