"""A store with meters, an intake over it, and ways to hand it payloads."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from adapter.engine.clock import HandClock
from adapter.engine.commands.ports import Import, InboxRow, InboxState, Received, Saved
from adapter.engine.events.events import DeviceEvents
from adapter.engine.events.tables import read_event_tables
from adapter.engine.readings.error_records import ErrorRecords
from adapter.engine.readings.intake import PayloadIntake
from adapter.engine.readings.ports import Payload, StoredValue
from adapter.engine.readings.spool import Spool, hand_in
from adapter.engine.readings.tables import read_tables
from adapter.events.types import event_tables
from adapter.model.device import ComponentKind, Device, MeasuringComponent
from adapter.model.ids import DeviceId, EndpointId, InboxId
from adapter.store.commands.commands import SqliteStore
from adapter.store.events.events import SqliteEvents
from adapter.store.readings.error_records import SqliteErrorRecords
from adapter.store.readings.measurements import SqliteMeasurements
from tests.builders import NOON
from tests.new_stores import new_store

DATA = "DataSubscriberService.DataArrived"
ALWAYS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


@dataclass
class Rig:
    store: SqliteStore
    data: SqliteMeasurements
    intake: PayloadIntake
    spool: Spool
    clock: HandClock
    desk: ErrorRecords
    events: DeviceEvents
    tables: dict[str, object] = field(default_factory=dict)
    event_tables: dict[str, object] = field(default_factory=dict)

    async def arrive(self, body: bytes, *, spooled: bool = False) -> InboxId:
        """Put a body where the correlator would leave it."""
        spool = None
        if spooled:
            spooling = self.spool.begin(self.clock.now())
            await spooling.add(body)
            spool = await spooling.done()
        received = Received(
            operation=DATA,
            raw=b"" if spooled else body,
            at=self.clock.now(),
            state=InboxState.LOADING,
            spool=spool,
        )
        (inbox,) = await self.store.receive([received])
        return inbox

    async def take(self, body: bytes, *, spooled: bool = False) -> Payload:
        """Let a body arrive and take everything in; its payload."""
        await self.arrive(body, spooled=spooled)
        await self.work()
        return (await self.data.payloads())[0]

    async def hand(self, path: Path, *, corrects: int | None = None) -> None:
        await hand_in(self.spool, path, self.clock, corrects=corrects)

    async def work(self) -> None:
        while (await self.intake.once()).worked:
            pass

    async def row(self, inbox: InboxId) -> InboxRow:
        found = await self.store.inbox_row(inbox)
        assert found is not None
        return found

    async def values(self, meter: str = "m1", *, revisions: bool = False) -> list[StoredValue]:
        return list(
            await self.data.values_between(
                *ALWAYS, endpoint=EndpointId(meter), revisions=revisions, limit=1_000_000
            )
        )

    async def numbers(self, meter: str = "m1") -> list[Decimal | None]:
        return [item.value for item in await self.values(meter)]

    async def add(self, *devices: Device) -> None:
        await self.load(Import(devices=devices))

    async def load(self, what: Import) -> None:
        """Raw, as an import's write is."""
        seen = await self.store.known(what)
        assert await self.store.import_(what, seen=seen) is Saved.SAVED


def a_meter(name: str, *quantities: str, serial: str = "") -> Device:
    """Without quantities the meter has no measuring components: everything is kept."""
    components = tuple(
        MeasuringComponent(
            id=f"{name}-{quantity}", kind=ComponentKind.INTERVAL, quantity=quantity, seconds=900
        )
        for quantity in quantities
    )
    return Device(
        id=DeviceId(f"D-{name}"), endpoint=EndpointId(name), serial=serial, components=components
    )


@asynccontextmanager
async def a_rig(
    folder: Path,
    *devices: Device,
    tables: Mapping[str, object] | None = None,
    workers: int = 1,
) -> AsyncIterator[Rig]:
    clock = HandClock(NOON)
    store = SqliteStore(new_store(folder / "gateway.db"), now=clock.now)
    await store.open()
    data = SqliteMeasurements(store.database)
    spool = Spool(folder / "spool")
    given = dict(tables or {})
    read_tables(given)
    books = SqliteErrorRecords(store.database)
    intake = PayloadIntake(
        data, books, spool, clock, lambda: given, retention_days=1.0, workers=workers
    )
    events = DeviceEvents(data, SqliteEvents(store.database), clock, event_tables())
    event_given: dict[str, object] = {}
    desk = ErrorRecords(
        data, books, spool, intake, events, clock, lambda: (given, read_event_tables(event_given))
    )
    rig = Rig(store, data, intake, spool, clock, desk, events, given, event_given)
    await rig.add(*(devices or (a_meter("m1"), a_meter("m2"), a_meter("m3"))))
    try:
        yield rig
    finally:
        await intake.stop()
        await store.close()
