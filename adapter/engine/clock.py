"""Clocks: the machine's, made monotonic, and one that is turned by hand."""

import asyncio
import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """Wall time at the start, carried on by the monotonic clock: it never jumps or goes back."""

    def __init__(self) -> None:
        self._start = datetime.now(UTC)
        self._origin = time.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=time.monotonic() - self._origin)

    def no_earlier_than(self, at: datetime) -> None:
        """Do not repeat time that the store has seen, where the wall clock was set back (I15)."""
        if (lost := at - self.now()) > timedelta():
            self._start += lost

    async def wait(self, until: datetime) -> None:
        await asyncio.sleep(max((until - self.now()).total_seconds(), 0.0))


class HandClock:
    """Time that moves only when it is told to; `wait` returns when it has been moved far enough."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._moved = asyncio.Condition()

    def now(self) -> datetime:
        return self._now

    async def wait(self, until: datetime) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self._now >= until)

    async def turn(self, to: datetime) -> None:
        """Move to `to`; never back."""
        async with self._moved:
            self._now = max(self._now, to)
            self._moved.notify_all()
