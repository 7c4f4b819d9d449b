"""The simulator's time: the machine's, or one that a test turns by hand."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    runs_by_itself: bool
    """False: nothing happens until somebody calls `Simulator.run_due`."""

    def now(self) -> datetime:
        """UTC."""


class SystemClock:
    runs_by_itself = True

    def now(self) -> datetime:
        return datetime.now(UTC)


class ManualClock:
    """Stands still until it is turned."""

    runs_by_itself = False

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    def set(self, now: datetime) -> None:
        """To this moment, also backwards."""
        self._now = now
