"""Stores with measurements in them, put there by the store's own ways."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from adapter.commands.calls import ReadingKind
from adapter.engine.commands.ports import Import
from adapter.engine.readings.batches import of_seeds
from adapter.engine.readings.ports import Batch, Counts, Started, WaitingPayload
from adapter.model.device import ComponentKind, Device, MeasuringComponent
from adapter.model.ids import DeviceId, EndpointId
from adapter.readings.lookups import Lookups
from adapter.readings.seeds import EventSeed, Seed
from adapter.store.commands.commands import SqliteStore
from adapter.store.readings.measurements import SqliteMeasurements
from tests.builders import HandClock
from tests.new_stores import new_store

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
LOOKUPS = Lookups()


def esn(number: int) -> str:
    return f"2.16.840.1.114416.15.243.{700_000 + number}"


def devices(count: int) -> Import:
    """M1 to M<count>, each with a register and a load profile."""
    return Import(
        devices=tuple(
            Device(
                id=DeviceId(f"M{number}"),
                endpoint=EndpointId(esn(number)),
                components=(
                    MeasuringComponent(
                        id=f"M{number}-R", kind=ComponentKind.SCALAR, quantity="Wh d"
                    ),
                    MeasuringComponent(
                        id=f"M{number}-L",
                        kind=ComponentKind.INTERVAL,
                        quantity="Wh d",
                        seconds=900,
                    ),
                ),
            )
            for number in range(1, count + 1)
        )
    )


def intervals(
    number: int,
    texts: Sequence[str],
    *,
    start: datetime = MIDNIGHT,
    statuses: dict[int, tuple[str, ...]] | None = None,
) -> Seed:
    end = start + QUARTER * len(texts)
    return Seed(
        identifier=esn(number),
        kind=ReadingKind.INTERVAL,
        quantity="Wh d",
        at=end.isoformat(),
        minutes=15,
        texts=tuple(texts),
        statuses=statuses or {},
    )


def register(number: int, text: str, *, at: datetime = MIDNIGHT) -> Seed:
    return Seed(
        identifier=esn(number),
        kind=ReadingKind.REGISTER,
        quantity="Wh d",
        source="CurrentRegister",
        at=at.isoformat(),
        texts=(text,),
    )


def event(number: int, name: str, at: datetime) -> tuple[int, EventSeed]:
    seed = EventSeed(
        identifier=esn(number),
        at=at.isoformat(),
        name=name,
        category="PowerOutageOrRestoration",
        number=18_001,
        arguments=(("phase", "A"), ("phase", "B"), ("note", 'a "quoted", text')),
    )
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1), seed


class Loader:
    """Loads seeds as payloads, one after the other, some seconds apart."""

    def __init__(self, store: SqliteStore, clock: HandClock) -> None:
        self.store = store
        self.clock = clock
        self.data = SqliteMeasurements(store.database)
        self._count = 0

    async def begin(self, *seeds: Seed, events: Sequence[tuple[int, EventSeed]] = ()) -> "Loading":
        """Rows are staged, and hidden yet."""
        self._count += 1
        waiting = WaitingPayload(
            inbox=None,
            source=f"file-{self._count}",
            operation="DataSubscriberService.DataArrived",
            at=self.clock(),
            file="",
            size=1_000 * self._count,
            digest=secrets.token_bytes(32),
        )
        started = await self.data.start(waiting, now=self.clock())
        assert started is not None
        batch = of_seeds(enumerate(seeds), LOOKUPS)
        counts = await self.data.stage(started, batch, LOOKUPS)
        if events:
            counts.add(await self.data.stage(started, Batch(events=tuple(events)), LOOKUPS))
        counts.values = sum(len(seed.texts) for seed in seeds)
        return Loading(self, started, counts)

    async def load(self, *seeds: Seed, events: Sequence[tuple[int, EventSeed]] = ()) -> None:
        await (await self.begin(*seeds, events=events)).end()


class Loading:
    def __init__(self, loader: Loader, started: Started, counts: Counts) -> None:
        self._loader = loader
        self._started = started
        self._counts = counts

    async def end(self) -> None:
        self._loader.clock.turn(2.5)
        await self._loader.data.loaded(
            self._started, self._counts, inbox=None, now=self._loader.clock()
        )

    async def refuse(self) -> None:
        await self._loader.data.refused(
            self._started, "not XML", 77, inbox=None, now=self._loader.clock()
        )


@asynccontextmanager
async def a_store(path: Path, *, meters: int = 3) -> AsyncIterator[Loader]:
    clock = HandClock(MIDNIGHT + timedelta(days=1))
    store = SqliteStore(new_store(path), now=clock)
    await store.open()
    try:
        await store.import_(devices(meters))
        yield Loader(store, clock)
    finally:
        await store.close()


async def filled(path: Path) -> None:
    """Two meters with a day and a bit, a register, an outage, a gap and a replaced value."""
    async with a_store(path) as loader:
        texts = [str(100 + slot) for slot in range(100)]
        words = {10: ("PowerFailure",), 11: ("PartialInterval", "PowerFailure")}
        await loader.load(intervals(2, texts, statuses=words), register(2, "1234567.25"))
        await loader.load(
            intervals(1, texts, statuses={5: ("SkippedInterval",)}),
            events=[event(1, "Primary Power Down", MIDNIGHT + timedelta(hours=3))],
        )
        await loader.load(intervals(1, ["999.5"], start=MIDNIGHT + QUARTER))


def exact(text: str | None) -> Decimal | None:
    return None if text is None or text == "" else Decimal(text)
