"""Store and stage on one SQLite file, the clock turned by hand, arrivals put by the real intake."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from adapter.engine.clock import HandClock
from adapter.engine.commands.ports import PublicationRow
from adapter.engine.events.events import DeviceEvents
from adapter.engine.readings.ports import Batch, WaitingPayload
from adapter.events.types import EventTables, event_tables
from adapter.model.ids import EndpointId
from adapter.readings.lookups import Lookups
from adapter.readings.normalise import moment_of
from adapter.readings.seeds import EventSeed
from adapter.store.commands.commands import SqliteStore
from adapter.store.events.events import SqliteEvents
from adapter.store.readings.measurements import SqliteMeasurements
from tests.new_stores import new_store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def esn(number: int) -> EndpointId:
    return EndpointId(f"2.16.840.1.114416.15.243.{700_000 + number}")


def power(number: int, at: datetime, *, up: bool = False, sequence: int | None = 0) -> EventSeed:
    return EventSeed(
        identifier=esn(number),
        exception=True,
        at=at.isoformat(),
        category="PowerOutageOrRestoration",
        name="Primary Power Up" if up else "Primary Power Down",
        number=18_002 if up else 18_001,
        sequence=sequence,
    )


@dataclass
class EventStage:
    store: SqliteStore
    data: SqliteMeasurements
    events: DeviceEvents
    clock: HandClock
    loads: int = 0

    async def arrive(self, seeds: Sequence[EventSeed]) -> None:
        """One payload with these events, taken in whole."""
        self.loads += 1
        now = self.clock.now()
        started = await self.data.start(
            WaitingPayload(
                inbox=None,
                source=f"file-{self.loads}",
                operation="",
                at=now,
                file=f"{self.loads}.xml",
                size=1,
                digest=self.loads.to_bytes(32, "big"),
            ),
            now=now,
        )
        assert started is not None
        timed = [(moment_of(seed.at, UTC), seed) for seed in seeds]
        batch = Batch(parts=1, events=tuple((at, seed) for at, seed in timed if at is not None))
        counts = await self.data.stage(started, batch, Lookups())
        await self.data.loaded(started, counts, inbox=None, now=now)

    async def work(self) -> None:
        while await self.events.once():
            pass

    async def published(self, beginning: str = "openway.device.") -> list[PublicationRow]:
        """Those whose types begin so."""
        rows = await self.store.outbox("test", limit=10_000)
        return [row for row in rows if row.publication.type.startswith(beginning)]

    def again(self, tables: EventTables) -> None:
        """The stage of a restart with other tables."""
        self.events = DeviceEvents(self.data, SqliteEvents(self.store.database), self.clock, tables)


@asynccontextmanager
async def event_stage(folder: Path, tables: EventTables | None = None) -> AsyncIterator[EventStage]:
    clock = HandClock(NOON)
    store = SqliteStore(new_store(folder / "gateway.db"), now=clock.now)
    await store.open()
    data = SqliteMeasurements(store.database)
    events = DeviceEvents(data, SqliteEvents(store.database), clock, tables or event_tables())
    try:
        yield EventStage(store=store, data=data, events=events, clock=clock)
    finally:
        await store.close()
