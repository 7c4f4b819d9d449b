"""Device events: arrivals become events, once; outages and errors can be asked for."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from adapter.engine import crash_points
from adapter.engine.commands.ports import Clock
from adapter.engine.events.ports import (
    ArrivedEvents,
    EventError,
    EventFilter,
    EventStore,
    Outage,
    StoredEvent,
    Taken,
)
from adapter.engine.readings.ports import ArrivedEvent
from adapter.engine.upkeep.set_aside import RowKind
from adapter.errors import StoreFailed
from adapter.events.pairing import DeviceEvent, UnknownEvent, unify
from adapter.events.types import EventTables
from adapter.model.ids import EndpointId

log = logging.getLogger(__name__)

_BATCH: Final = 512
_AT_ONCE: Final = 64
"""Events in one transaction: callbacks of commands wait behind it."""


class DeviceEvents:
    """Look at device events and outages, and at events that no table knew. `once` takes what has
    arrived; what was not yet taken is found again after a restart by the cursor, which moves in the
    transaction that stores the events.

    Raises StoreFailed; an event that fails unexpectedly is set aside, and is no error.
    """

    def __init__(
        self, arrived: ArrivedEvents, store: EventStore, clock: Clock, tables: EventTables
    ) -> None:
        self._arrived = arrived
        self._store = store
        self._clock = clock
        self._tables = tables
        self._set_aside = store.set_aside
        self.counts_taken: Counter[str] = Counter()
        """What became of arrivals since the start: published, in_summary, repeated, unknown."""

    def use(self, tables: EventTables) -> None:
        """From the next batch on."""
        self._tables = tables

    async def once(self) -> int:
        """Take one batch of arrivals and sum up the storms that are over. How many arrivals."""
        cursor = await self._store.event_cursor()
        await self._take_again(cursor)
        rows = await self._arrived.arrived_events(after=cursor, limit=_BATCH)
        for first in range(0, len(rows), _AT_ONCE):
            await self._take_some(rows[first : first + _AT_ONCE])
        await self._store.sum_up(now=self._clock.now())
        return len(rows)

    async def _take_some(self, some: Sequence[ArrivedEvent]) -> None:
        """In one transaction; where one of them cannot be taken, each in its own, and that one is
        noted before the cursor passes it."""
        cursor = (some[-1].load, some[-1].id)
        crash_points.reached("events.before_take")
        try:
            await self._take(some, cursor)
        except StoreFailed:
            raise
        except Exception as error:
            if len(some) == 1:
                await self._set_aside.fail(RowKind.EVENT, some[0].id, error)
                now = self._clock.now()
                await self._store.take_events([], self._tables, now=now, cursor=cursor)
                return
            for row in some:
                await self._take_some([row])

    async def _take(self, some: Sequence[ArrivedEvent], cursor: tuple[int, int] | None) -> None:
        taken = await self._store.take_events(
            [unify(row.seed, row.endpoint, row.at, self._tables) for row in some],
            self._tables,
            now=self._clock.now(),
            cursor=cursor,
            arrivals=[row.id for row in some],
        )
        self.counts_taken.update(
            published=taken.new - taken.in_summary,
            in_summary=taken.in_summary,
            repeated=taken.repeated + taken.unknown_repeated,
            unknown=taken.unknown,
        )
        log.info(
            "events_taken",
            extra={"new": taken.new, "unknown": taken.unknown, "in_summary": taken.in_summary},
        )

    async def _take_again(self, cursor: tuple[int, int]) -> None:
        """Those that the cursor has passed, when their next try is due."""
        for key in await self._set_aside.again(RowKind.EVENT):
            rows = await self._arrived.arrived([int(key)])
            if self._set_aside.held(RowKind.EVENT, key):
                continue  # it could not be read, still
            if rows and (rows[0].load, rows[0].id) > cursor:
                continue
            if rows:
                await self._set_aside.attend(RowKind.EVENT, key, self._take(rows, None))
            else:
                await self._set_aside.went_through(RowKind.EVENT, key)

    async def reprocess(self, *, by: str) -> Taken:
        """Look again at the error records, with the tables as they are now."""
        new = repeated = unknown = in_summary = after = 0
        while rows := await self._store.event_errors(after=after, limit=_BATCH):
            after = rows[-1].id
            again = [
                (
                    row.id,
                    unify(row.unknown.seed, row.unknown.endpoint, row.unknown.at, self._tables),
                )
                for row in rows
            ]
            known = [(number, item) for number, item in again if not isinstance(item, UnknownEvent)]
            unknown += len(again) - len(known)
            for taken in await self._resolve(known, by):
                new, repeated = new + taken.new, repeated + taken.repeated
                in_summary += taken.in_summary
        return Taken(new=new, repeated=repeated, unknown=unknown, in_summary=in_summary)

    async def _resolve(self, known: Sequence[tuple[int, DeviceEvent]], by: str) -> list[Taken]:
        """All in one transaction; where one of them cannot be taken, each in its own."""
        if not known:
            return []
        try:
            taken = await self._store.take_events(
                [item for _, item in known],
                self._tables,
                now=self._clock.now(),
                cursor=None,
                resolved=[number for number, _ in known],
                by=by,
            )
        except StoreFailed:
            raise
        except Exception as error:
            if len(known) == 1:
                await self._set_aside.fail(RowKind.EVENT_ERROR, known[0][0], error)
                return []
            return [taken for each in known for taken in await self._resolve([each], by)]
        for number, _ in known:
            await self._set_aside.went_through(RowKind.EVENT_ERROR, number)
        return [taken]

    async def events(self, wanted: EventFilter | None = None) -> Sequence[StoredEvent]:
        return await self._store.events(wanted or EventFilter())

    async def outages(
        self,
        *,
        ongoing: bool = True,
        since: datetime | None = None,
        after: tuple[datetime, EndpointId] | None = None,
        limit: int = 500,
    ) -> Sequence[Outage]:
        return await self._store.outages(ongoing=ongoing, since=since, after=after, limit=limit)

    async def count_without_supply(self) -> int:
        return await self._store.count_without_supply()

    async def errors(
        self, *, state: str = "open", after: int = 0, limit: int = 500
    ) -> Sequence[EventError]:
        return await self._store.event_errors(state=state, after=after, limit=limit)

    async def counts(self) -> Mapping[str, int]:
        return await self._store.event_counts()
