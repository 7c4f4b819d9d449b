"""How long things take: counted in plain whole numbers, kept by hour, measure and name.

What is added costs a search among a dozen bounds and four additions. A loop writes what the hour
has to the store, so that a crash loses a minute of it.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from adapter.engine.commands.ports import Clock

BOUNDS_S: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0
)  # fmt: skip
"""Upper ends of the classes that durations are counted in; one more is above the last."""

KEPT: Final = timedelta(days=400)
_WRITE_EVERY_S: Final = 60.0
_MOST_NAMES: Final = 500


class Measure(StrEnum):
    CALL = "call"
    """From the request to the head end to its reply, by operation."""
    SUBMIT_TO_SENT = "submit_to_sent"
    """From when a command was submitted, or its effective date, to its first request, by kind."""
    TOKEN_TO_RESULT = "token_to_result"
    """From the head end's token to the result, by operation."""
    ARRIVAL_TO_SEEN = "arrival_to_seen"
    """From when a message came in to when its effect is stored and seen, by operation."""
    REQUEST = "request"
    """A request of the REST API, by method and route."""


@dataclass(slots=True)
class Spread:
    """Of durations: how many, their sum, the longest, and how many in each class."""

    count: int = 0
    total_s: float = 0.0
    most_s: float = 0.0
    classes: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))

    def add(self, seconds: float) -> None:
        self.count += 1
        self.total_s += seconds
        if seconds > self.most_s:
            self.most_s = seconds
        self.classes[bisect_left(BOUNDS_S, seconds)] += 1

    def merge(self, other: "Spread") -> None:
        self.count += other.count
        self.total_s += other.total_s
        self.most_s = max(self.most_s, other.most_s)
        self.classes = [one + two for one, two in zip(self.classes, other.classes, strict=True)]

    def quantile(self, part: float) -> float | None:
        """At most so long took that part of them: the upper end of its class, or the longest."""
        if not self.count:
            return None
        left = part * self.count
        for bound, count in zip(BOUNDS_S, self.classes, strict=False):
            left -= count
            if left <= 0:
                return min(bound, self.most_s)
        return self.most_s


Key = tuple[Measure, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HourOf:
    """What took how long in the hour that began at `hour` (UTC)."""

    hour: datetime
    measure: Measure
    name: str
    spread: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationFilter:
    """From <= hour < to; None is any."""

    start: datetime | None = None
    end: datetime | None = None
    measure: Measure | None = None
    name: str | None = None


class DurationStore(Protocol):
    async def add_durations(self, rows: Sequence[HourOf], *, forget_before: datetime) -> None:
        """Add to what the hours have; what is older is removed."""

    async def durations(self, wanted: DurationFilter) -> Sequence[HourOf]:
        """The newest hour first."""

    async def sums(self, wanted: DurationFilter) -> Mapping[str, Spread]:
        """All hours of each name together."""


class Durations:
    """`total` is since the process was started, for whoever looks from outside."""

    def __init__(self, clock: Clock, store: DurationStore | None = None) -> None:
        self._clock = clock
        self._store = store
        self._now: dict[Key, Spread] = {}
        self._hour = _hour_of(clock.now())
        self._written_s = clock.elapsed_s()
        self._total: dict[Key, Spread] = {}
        self.call_failures: Counter[tuple[str, str]] = Counter()
        """Calls of the head end without an answer, by operation and error."""

    def add(self, measure: Measure, name: str, seconds: float) -> None:
        """Clocks that were set between give a negative one: it is left out."""
        spread = self._now.get((measure, name))
        if spread is None:
            if len(self._now) >= _MOST_NAMES:
                return
            spread = self._now[(measure, name)] = Spread()
        if seconds >= 0:
            spread.add(seconds)

    def since(self, measure: Measure, name: str, at: datetime) -> None:
        self.add(measure, name, (self._clock.now() - at).total_seconds())

    def totals(self) -> Mapping[Key, Spread]:
        found: dict[Key, Spread] = {}
        for part in (self._total, self._now):
            for key, spread in part.items():
                found.setdefault(key, Spread()).merge(spread)
        return found

    async def once(self) -> int:
        """Write when it is time, or the hour is over. Always 0: the loop rests after it."""
        now = self._clock.elapsed_s()
        if now - self._written_s >= _WRITE_EVERY_S or _hour_of(self._clock.now()) != self._hour:
            self._written_s = now
            await self.write()
        return 0

    async def write(self) -> None:
        """What was added since the last time is in its hour when this returns."""
        hour, added = self._hour, self._now
        self._hour, self._now = _hour_of(self._clock.now()), {}
        for key, spread in added.items():
            self._total.setdefault(key, Spread()).merge(spread)
        rows = [
            HourOf(hour=hour, measure=measure, name=name, spread=spread)
            for (measure, name), spread in added.items()
            if spread.count
        ]
        if rows and self._store is not None:
            await self._store.add_durations(rows, forget_before=hour - KEPT)

    async def hours(self, wanted: DurationFilter) -> Sequence[HourOf]:
        """By hour, the newest first; what the present minute has is among them."""
        await self.write()
        return [] if self._store is None else await self._store.durations(wanted)

    async def sums(self, wanted: DurationFilter) -> Mapping[str, Spread]:
        """The same, all hours of each name together."""
        await self.write()
        return {} if self._store is None else await self._store.sums(wanted)


def _hour_of(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
