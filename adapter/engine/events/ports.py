"""What device events need from the store, and what is asked about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from adapter.engine.readings.ports import ArrivedEvent
from adapter.engine.upkeep.set_aside import SetAside
from adapter.events.pairing import DeviceEvent, UnknownEvent
from adapter.events.types import EventTables
from adapter.model.ids import DeviceId, EndpointId


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """`published`: it was published by itself; else a summary of its storm counts it.

    `other_sequence` is the number under which the other callback told the same event (-1: none
    given; exceptions and event logs are the two); None: it has not.
    """

    id: int
    device: DeviceId | None
    published: bool
    event: DeviceEvent
    other_sequence: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """What to list; None is any. Newest arrival first, `limit` at most, older than `before`."""

    device: DeviceId | None = None
    endpoint: EndpointId | None = None
    name: str | None = None
    category: str | None = None
    since: datetime | None = None
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A device without supply from `started_at` to `ended_at`; `ended_at` None: it is now.

    Both are times of the device's own events. A meter that the head end never told of is not here.
    """

    endpoint: EndpointId
    device: DeviceId | None
    started_at: datetime
    ended_at: datetime | None

    @property
    def duration_s(self) -> float | None:
        if self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventError:
    """An event that no table knew. `state` is open, or resolved once it became an event."""

    id: int
    state: str
    unknown: UnknownEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a batch of arrivals; the four add up to what arrived."""

    new: int = 0
    repeated: int = 0
    unknown: int = 0
    unknown_repeated: int = 0
    in_summary: int = 0
    """Of the new ones: those not published by themselves."""


class ArrivedEvents(Protocol):
    """Where arrivals are read from, in the order of loading."""

    async def arrived_events(
        self, *, after: tuple[int, int] = (0, 0), limit: int = 500
    ) -> Sequence[ArrivedEvent]: ...

    async def arrived(self, numbers: Sequence[int]) -> Sequence[ArrivedEvent]:
        """Those of the numbers that are there."""


class EventStore(Protocol):
    set_aside: SetAside

    async def event_cursor(self) -> tuple[int, int]:
        """(load, id) of the last arrival that was taken."""

    async def take_events(
        self,
        events: Sequence[DeviceEvent | UnknownEvent],
        tables: EventTables,
        *,
        now: datetime,
        cursor: tuple[int, int] | None,
        arrivals: Sequence[int] = (),
        resolved: Sequence[int] = (),
        by: str = "",
    ) -> Taken:
        """In one transaction: new events stored and published or left to a summary, spells made
        again, unknown ones kept, the cursor moved. The same again changes nothing.

        `arrivals` are the numbers of the arrivals, one for each event, `resolved` those of the
        error records that gave them; `by` is who had them looked at again.
        """

    async def sum_up(self, *, now: datetime) -> int:
        """Publish one summary for each window that has ended with events that were not."""

    async def events(self, wanted: EventFilter) -> Sequence[StoredEvent]: ...

    async def outages(
        self,
        *,
        ongoing: bool = True,
        since: datetime | None = None,
        after: tuple[datetime, EndpointId] | None = None,
        limit: int = 500,
    ) -> Sequence[Outage]:
        """Those that last, longest first; with `ongoing` False those that ended after `since`."""

    async def count_without_supply(self) -> int: ...

    async def event_errors(
        self, *, state: str = "open", after: int = 0, limit: int = 500
    ) -> Sequence[EventError]: ...

    async def event_counts(self) -> Mapping[str, int]:
        """Stored events by standard name."""
