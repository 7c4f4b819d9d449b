"""Rows that nobody needs any more are removed: by age, in small batches, with rests between them.

The audit is never pruned: each entry proves those before it. Commands, orders, measurements and
master data are kept too. What an open command, an undecided message or an open error record still
needs is kept, whatever its age.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol

from adapter.engine.commands.ports import Clock
from adapter.engine.upkeep.set_aside import RowKind, SetAside

log = logging.getLogger(__name__)

_EVERY_S: Final = 3_600.0
_LOOKED_AT: Final = 100
"""Rows in one transaction: callbacks of commands wait behind it."""


class Kept(StrEnum):
    """What is kept for a time of its own."""

    MESSAGES = "messages"
    """SOAP messages of commands that have ended."""
    INBOX = "inbox"
    """Messages of the head end that were dealt with."""
    QUARANTINE = "quarantine"
    """Refused messages that nobody decided about: they are discarded, and then count as inbox."""
    ARRIVALS = "arrivals"
    """Events as they arrived, after they were looked at."""
    EVENTS = "events"
    """Device events, and the spells that they bounded; not the beginning of one that lasts."""
    ERRORS = "errors"
    """Error records of payloads that were closed."""
    EVENT_ERRORS = "event_errors"
    """Unknown events that became events; by the time of the event."""
    STORMS = "storms"
    """Counts of storms that were summed up."""
    PUBLICATIONS = "publications"
    """What every sink has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """`next`: there may be more after this place; None: that was all for now."""

    removed: int
    next: int | None


class RetentionStore(Protocol):
    set_aside: SetAside

    async def prune(
        self, what: Kept, *, before: datetime, after: int, limit: int, now: datetime
    ) -> Pruned:
        """Look at `limit` rows after a place, oldest first, and remove those from `before` that
        nobody needs. One short transaction; where a row cannot be removed, one for each, and that
        row is noted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptState:
    """`days` None: for ever. `removed` counts from the start of the process."""

    what: Kept
    days: float | None
    removed: int


@dataclass(slots=True)
class _Sweep:
    started: datetime
    left: list[Kept]
    after: int = 0
    removed: dict[Kept, int] = field(default_factory=dict)


class Retention:
    """The worker, and the surface that REST and command line ask. `days` says how long each is
    kept; what is not in it, is kept for ever. Nothing is removed while `paused`: the age of a row
    is not known while the clock is in doubt."""

    def __init__(
        self,
        store: RetentionStore,
        clock: Clock,
        days: Mapping[Kept, float | None],
        *,
        paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._clock = clock
        self._days = MappingProxyType(dict(days))
        self._paused = paused
        self._removed = dict.fromkeys(Kept, 0)
        self._sweep: _Sweep | None = None
        self._next_s = clock.elapsed_s()
        self.last: datetime | None = None
        """When the last sweep ended."""

    async def once(self) -> int:
        """One batch of the sweep that is due, if one is. Always 0: the loop rests after it."""
        if self._paused():
            return 0
        if self._sweep is None and self._clock.elapsed_s() >= self._next_s:
            self._sweep = self._begin()
        if self._sweep is not None:
            await self._step(self._sweep)
        return 0

    def ask(self) -> None:
        """Let the next sweep begin now."""
        self._next_s = self._clock.elapsed_s()

    @property
    def running(self) -> bool:
        """Whether a sweep has begun, or is due."""
        return self._sweep is not None or self._clock.elapsed_s() >= self._next_s

    async def run(self) -> Mapping[Kept, int]:
        """A whole sweep now. What was removed, by class."""
        sweep = self._begin()
        while sweep.left:
            await self._step(sweep)
        return sweep.removed

    def states(self) -> Sequence[KeptState]:
        return [
            KeptState(what=what, days=self._days.get(what), removed=self._removed[what])
            for what in Kept
        ]

    def _begin(self) -> _Sweep:
        wanted = [what for what in Kept if self._days.get(what) is not None]
        return _Sweep(started=self._clock.now(), left=wanted)

    async def _step(self, sweep: _Sweep) -> None:
        if sweep.left:
            what = sweep.left[0]
            pruned = Pruned(removed=0, next=None)
            if not self._store.set_aside.held(RowKind.RETENTION, what):
                prune = self._prune(sweep, what)
                done = await self._store.set_aside.attend(RowKind.RETENTION, what, prune)
                pruned = done or pruned
            sweep.removed[what] = sweep.removed.get(what, 0) + pruned.removed
            self._removed[what] += pruned.removed
            sweep.after = pruned.next or 0
            if pruned.next is None:
                sweep.left.pop(0)
        if not sweep.left:
            self._end(sweep)

    async def _prune(self, sweep: _Sweep, what: Kept) -> Pruned:
        days = self._days[what]
        assert days is not None
        return await self._store.prune(
            what,
            before=sweep.started - timedelta(days=days),
            after=sweep.after,
            limit=_LOOKED_AT,
            now=self._clock.now(),
        )

    def _end(self, sweep: _Sweep) -> None:
        self.last = self._clock.now()
        if sweep is self._sweep:
            self._sweep = None
            self._next_s = self._clock.elapsed_s() + _EVERY_S
        removed = {what.value: count for what, count in sweep.removed.items() if count}
        if removed:
            log.info("pruned", extra=removed)
