"""Schedules over a gateway on SQLite, the clock turned by hand, before a head end that is quiet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from adapter.commands.activity import Command
from adapter.commands.flows import CommandKind
from adapter.engine.clock import HandClock
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.ports import Filter, Import
from adapter.engine.gateway import Gateway
from adapter.engine.schedules.schedules import Schedules
from adapter.model.device import Device
from adapter.model.ids import DeviceId, EndpointId
from adapter.schedules.recurrence import Grid, Recurrence
from adapter.schedules.schedule import ReadPlan
from adapter.service.assembly import assemble
from adapter.service.payloads import taking
from adapter.service.settings import IntakeSettings
from adapter.store.commands.commands import SqliteStore
from adapter.wire.inbox import InboxReader
from tests.new_stores import new_store
from tests.web.both_servers import QuietHeadEnd, codec

GROUP = "Feeder 7"
START = datetime(2026, 3, 1, 7, tzinfo=UTC)
TWICE_A_DAY = Recurrence(
    grid=Grid(first=time(8), length=timedelta(hours=12), zone="UTC"), buffer=timedelta(hours=1)
)


def a_plan(**changes: object) -> ReadPlan:
    given = {
        "name": "daily",
        "group": GROUP,
        "kind": CommandKind.SCHEDULED_READ_INTERVAL,
        "starts": START,
        "recurrence": TWICE_A_DAY,
    }
    return ReadPlan(**{**given, **changes})  # type: ignore[arg-type]


@dataclass
class ScheduleStage:
    store: SqliteStore
    gateway: Gateway
    clock: HandClock
    head_end: QuietHeadEnd

    @property
    def schedules(self) -> Schedules:
        return self.gateway.schedules

    async def at(self, day: int, hour: int, minute: int = 0) -> None:
        """Turn the clock to a time of March 2026 and work what is due."""
        await self.clock.turn(datetime(2026, 3, day, hour, minute, tzinfo=UTC))
        await self.work()

    async def work(self) -> None:
        while await self.schedules.once():
            pass

    async def commands(self) -> list[Command]:
        """Oldest first."""
        found = (await self.gateway.commands.list(Filter(limit=500))).rows
        return sorted(found, key=lambda item: item.id)

    async def periods(self) -> list[tuple[datetime, datetime]]:
        periods = [item.request.period for item in await self.commands()]
        return sorted((item.start, item.end) for item in periods if item is not None)


@asynccontextmanager
async def schedule_stage(
    folder: Path,
    *,
    meters: int = 5,
    start: datetime = START,
    longest: timedelta | None = None,
) -> AsyncIterator[ScheduleStage]:
    clock = HandClock(start)
    store = SqliteStore(new_store(folder / "gateway.db"), now=clock.now)
    await store.open()
    head_end = QuietHeadEnd()
    payloads = taking(store, clock, IntakeSettings())
    gateway = assemble(
        store=store,
        head_end=head_end,
        reader=InboxReader(codec()),
        clock=clock,
        identity=CallbackIdentity("http://127.0.0.1:1", (b"k" * 32,)),
        payloads=payloads,
        longest_catch_up=longest,
    )
    kinds = frozenset(kind.value for kind in CommandKind)
    await gateway.registry.import_devices(
        Import(
            devices=tuple(
                Device(
                    id=DeviceId(f"M{number}"),
                    endpoint=EndpointId(f"2.16.{number}"),
                    groups=frozenset({GROUP}),
                    capabilities=kinds,
                )
                for number in range(meters)
            )
        )
    )
    try:
        yield ScheduleStage(store=store, gateway=gateway, clock=clock, head_end=head_end)
    finally:
        await store.close()
