"""Clocks: the machine's, and one that is turned by hand."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Final

_LONGEST_SLEEP_S: Final = 1.0
"""The wall clock may be set while somebody sleeps: it is looked at again so soon."""

_COUNTER: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""CLOCK_BOOTTIME, where there is one, counts the time in which the machine was suspended."""


class SystemClock:
    """The machine's wall clock, as it is set; and a counter of seconds that nobody sets."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def elapsed_s(self) -> float:
        return time.clock_gettime(_COUNTER)

    async def wait(self, until: datetime) -> None:
        while True:
            left = (until - self.now()).total_seconds()
            if left <= 0:
                return
            await asyncio.sleep(min(left, _LONGEST_SLEEP_S))


class HandClock:
    """Time that moves only when it is told to; `wait` returns when it has been moved far enough."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._elapsed = timedelta()
        self._moved = asyncio.Condition()

    def now(self) -> datetime:
        return self._now

    def elapsed_s(self) -> float:
        return self._elapsed.total_seconds()

    async def wait(self, until: datetime) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self._now >= until)

    async def turn(self, to: datetime) -> None:
        """Let time pass until `to`; never back."""
        by = max(to - self._now, timedelta())
        await self._move(by, by)

    async def step(self, by: timedelta) -> None:
        """Set the wall clock, forward or back; no time passes."""
        await self._move(by, timedelta())

    async def suspend(self, length: timedelta, *, counted: bool = True) -> None:
        """Let time pass in which nothing runs. `counted` False: a machine whose counter stops."""
        await self._move(length, length if counted else timedelta())

    async def _move(self, wall: timedelta, elapsed: timedelta) -> None:
        async with self._moved:
            self._now += wall
            self._elapsed += elapsed
            self._moved.notify_all()
