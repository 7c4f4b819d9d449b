"""Looks at the clock again and again, and holds switch orders while it cannot be believed.

What was seen of the time last is in the store. At the start the wall clock is compared with that,
while the process runs with the counter of elapsed seconds; a machine that was suspended has gone on
counting where it can.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from adapter.commands.clocks import (
    ClockError,
    ClockPolicy,
    Reference,
    may_still_be_off,
    off_by_s,
)
from adapter.engine.commands.ports import Clock
from adapter.engine.commands.switch_holds import Hold, HoldReason, HoldStore, SwitchHolds
from adapter.errors import StoreFailed

log = logging.getLogger(__name__)

_NOTE_EVERY_S: Final = 60.0
_UNITS: Final = (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0))

Correct = Callable[[ClockError], Awaitable[None]]


class ClockWatch:
    """`corrections` mend what the wrong clock has written, before the hold is lifted."""

    def __init__(
        self, holds: SwitchHolds, store: HoldStore, clock: Clock, policy: ClockPolicy
    ) -> None:
        self._holds = holds
        self._store = store
        self._clock = clock
        self._policy = policy
        self._reference = Reference(at=clock.now(), elapsed_s=clock.elapsed_s())
        self._entry = 0
        """The last audit entry before the last look that found the wall clock right."""
        self._noted_s: float | None = None
        self._wrong_s: float | None = None
        """How far the wall clock was off when this process saw it wrong last."""
        self._doubted_s: float | None = None
        """The same where it agrees, and may be wrong all the same."""
        self._held_here = False
        """Whether it was this process that found what is held for."""
        self._one = asyncio.Lock()
        self.corrections: list[Correct] = []
        holds.doubt = self.doubtful
        holds.confirmers[HoldReason.CLOCK] = self.confirm

    async def start(self) -> None:
        """Compare the wall clock with what the store has seen. Before anything else is written."""
        self._entry = await self._store.newest()
        seen = await self._store.clock_seen()
        if seen is not None:
            self._reference = Reference(
                at=seen,
                elapsed_s=self._clock.elapsed_s(),
                stop_s=self._policy.longest_stop_s,
            )
        await self.once()

    async def stop(self) -> None:
        """Note how late it was when the process stopped."""
        try:
            await self._note()
        except StoreFailed as error:
            log.warning("clock_not_noted", extra={"reason": str(error)})

    async def once(self) -> int:
        """Look, hold or lift. Always 0: the loop rests after it."""
        async with self._one:
            await self._look()
        return 0

    async def _look(self) -> None:
        entry = await self._store.newest()
        wall, elapsed = self._clock.now(), self._clock.elapsed_s()
        off = self._off_by_s(wall, elapsed)
        hold = self._holds.of(HoldReason.CLOCK)
        if off:
            await self._hold(hold, off, wall, elapsed)
        elif hold is None:
            self._reference = Reference(at=wall, elapsed_s=elapsed)
            self._entry = entry
        elif not self._may_be(hold, wall, elapsed):
            await self._settled(hold, wall, elapsed)
        elif self._wrong_s is None:
            self._doubted_s = self._ahead_s(wall, elapsed)
        if self._noted_s is None or elapsed - self._noted_s >= _NOTE_EVERY_S:
            await self._note()

    def doubtful(self) -> bool:
        """Whether the wall clock is off now, noted already or not."""
        return bool(self._off_by_s(self._clock.now(), self._clock.elapsed_s()))

    def expected(self) -> datetime:
        """What the wall clock should show now, at the earliest."""
        return self._reference.expected(self._clock.elapsed_s())

    def off_by_s(self) -> float:
        """How far it is from that; 0 where they agree."""
        return self._off_by_s(self._clock.now(), self._clock.elapsed_s())

    async def confirm(self, by: str, why: str) -> None:
        """A person says that the wall clock is right: the store's idea of the time follows it."""
        async with self._one:
            wall, elapsed = self._clock.now(), self._clock.elapsed_s()
            await self._correct(ClockError(ahead_s=max(-self._off_by_s(wall, elapsed), 0.0)))
            self._believe(wall, elapsed)
            await self._holds.lift(HoldReason.CLOCK, by=by, why=why, seen=wall)

    # ------------------------------------------------------------ what it found

    def _off_by_s(self, wall: datetime, elapsed: float) -> float:
        return off_by_s(self._reference, wall, elapsed_s=elapsed, policy=self._policy)

    def _ahead_s(self, wall: datetime, elapsed: float) -> float:
        return (wall - self._reference.expected(elapsed)).total_seconds()

    def _may_be(self, hold: Hold, wall: datetime, elapsed: float) -> bool:
        """Whether the wall clock may be off as it was when this was held for. Where this process
        has seen that itself, it is known where the wrong clock would be by now; what an earlier one
        has seen was followed by a stop of a length that nobody knows."""
        if self._doubted_s is not None and self._is_off(self._doubted_s, wall, elapsed):
            return True
        if self._wrong_s is not None:
            return self._is_off(self._wrong_s, wall, elapsed)
        return may_still_be_off(
            self._reference, wall, hold.off_by_s, elapsed_s=elapsed, policy=self._policy
        )

    def _is_off(self, by_s: float, wall: datetime, elapsed: float) -> bool:
        return abs(self._ahead_s(wall, elapsed) - by_s) <= self._policy.tolerance_s

    def _believe(self, wall: datetime, elapsed: float) -> None:
        """From now on the wall clock is compared with what it shows now."""
        self._reference = Reference(at=wall, elapsed_s=elapsed)
        self._wrong_s = self._doubted_s = None
        self._held_here = False

    async def _hold(self, known: Hold | None, off: float, wall: datetime, elapsed: float) -> None:
        same = known is not None and self._may_be(known, wall, elapsed)
        self._wrong_s = off
        if same:
            return
        self._held_here = True
        expected = self._reference.expected(elapsed)
        await self._holds.hold(
            Hold(
                reason=HoldReason.CLOCK,
                since=wall if known is None else known.since,
                text=_text(off, wall, expected, stopped=self._reference.stop_s > 0),
                off_by_s=off,
                after=await self._last_right(expected) if known is None else known.after,
            )
        )

    async def _last_right(self, expected: datetime) -> int:
        """The last audit entry that the right clock has dated. Between two looks both may have
        written; which one did shows in the date, for they are further apart than that."""
        slack = timedelta(seconds=self._policy.tolerance_s)
        since, until = self._reference.at - slack, expected + slack
        return await self._store.last_dated(self._entry, since=since, until=until) or self._entry

    async def _settled(self, hold: Hold, wall: datetime, elapsed: float) -> None:
        stopped = self._ahead_s(wall, elapsed) if self._held_here else 0.0
        await self._correct(ClockError(ahead_s=hold.off_by_s - stopped, after=hold.after))
        self._believe(wall, elapsed)
        why = "the wall clock shows again what it should"
        await self._holds.lift(HoldReason.CLOCK, by="gateway", why=why, seen=wall)

    async def _correct(self, error: ClockError) -> None:
        for correct in self.corrections:
            await correct(error)

    async def _note(self) -> None:
        """While it is doubted what the wall clock should show, else what it shows."""
        wall, elapsed = self._clock.now(), self._clock.elapsed_s()
        expected = self._reference.expected(elapsed)
        trusted = expected if self._holds.doubts_clock else wall
        await self._store.put_clock_seen(trusted)
        self._noted_s = elapsed


def _text(off: float, wall: datetime, expected: datetime, *, stopped: bool) -> str:
    shows = f"the wall clock shows {wall.isoformat(timespec='seconds')}"
    by = _length(abs(off))
    then = expected.isoformat(timespec="seconds")
    if not stopped:
        return f"{shows}: it was set {'forward' if off > 0 else 'back'} by {by} (from {then})"
    if off < 0:
        return f"{shows}: {by} before the newest that the store has seen ({then})"
    return f"{shows}: {by} after the newest that the store has seen ({then})"


def _length(seconds: float) -> str:
    """Rounded, in the largest unit of which there are at least two."""
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
