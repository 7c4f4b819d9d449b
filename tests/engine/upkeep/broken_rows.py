"""A gateway on SQLite, the clock turned by hand, whose rows a test breaks in the real file."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import apsw

from adapter.commands.calls import Answer, Call
from adapter.engine.clock import HandClock
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.ports import DeviceRegistry, PublicationRow
from adapter.engine.gateway import Gateway
from adapter.engine.orders.defaults import Outgoing
from adapter.engine.orders.orders import Orders
from adapter.engine.orders.ports import OrderRules
from adapter.engine.orders.requests import OrderRequest
from adapter.engine.schedules.schedules import Schedules
from adapter.engine.upkeep.retention import Retention
from adapter.engine.upkeep.set_aside import WAITS, FailedRow, FailedState, RowKind, SetAside
from adapter.model.ids import DeviceId, ServicePointId
from adapter.model.measurement import Measurement
from adapter.orders.order import OrderKind, ServiceOrder
from adapter.orders.replies import RequesterReply
from adapter.service.assembly import OrderParts, assemble
from adapter.service.payloads import PayloadServices, taking
from adapter.service.settings import IntakeSettings, RetentionSettings
from adapter.store.commands.commands import SqliteStore
from adapter.wire.inbox import InboxReader
from tests.store.nothing_at_hand import NothingAtHand
from tests.web.both_servers import NOON, QuietHeadEnd, codec, population

FILE = "gateway.db"
BROKEN = b"{"
LEASE = timedelta(seconds=31)
RETENTION = RetentionSettings(
    messages_days=1.0,
    inbox_days=1.0,
    quarantine_days=1.0,
    events_days=1.0,
    errors_days=1.0,
    publications_days=1.0,
)


def plant(folder: Path, statement: str, *values: object) -> None:
    """Change a row of the file behind the gateway's back, as damage or a bug would."""
    connection = apsw.Connection(str(folder / FILE))
    try:
        connection.set_busy_timeout(30_000)
        connection.execute(statement, values)
    finally:
        connection.close()


def kept(folder: Path, query: str, *values: object) -> object:
    connection = apsw.Connection(str(folder / FILE), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.execute(query, values).get
    finally:
        connection.close()


@dataclass
class Broken:
    """A column of one row that was broken; `mend` puts back what stood there."""

    folder: Path
    table: str
    column: str
    key: str
    row: object
    before: object = None

    def __post_init__(self) -> None:
        where = f"{self.table} WHERE {self.key} = ?"
        self.before = kept(self.folder, f"SELECT {self.column} FROM {where}", self.row)
        assert self.before is not None, f"no {self.row} in {self.table}"
        self._put(BROKEN)

    def mend(self) -> None:
        self._put(self.before)

    def _put(self, value: object) -> None:
        statement = f"UPDATE {self.table} SET {self.column} = ? WHERE {self.key} = ?"
        plant(self.folder, statement, value, self.row)


@dataclass
class Requester:
    replies: list[RequesterReply] = field(default_factory=list)

    async def deliver(self, reply: RequesterReply) -> None:
        self.replies.append(reply)


@dataclass
class Receiver:
    """A sink that never takes the publications in `refuses`; `away`: it takes none."""

    name: str = "receiver"
    refuses: frozenset[str] = frozenset()
    away: bool = False
    taken: list[str] = field(default_factory=list)
    asked: int = 0

    async def deliver(self, batch: Sequence[PublicationRow]) -> None:
        self.asked += 1
        if self.away or any(row.publication.id in self.refuses for row in batch):
            raise ConnectionError("not taken")
        self.taken += [row.publication.id for row in batch]


@dataclass
class OddHeadEnd(QuietHeadEnd):
    """Its transport breaks in a way that nobody expects, for some endpoints."""

    breaks_for: frozenset[str] = frozenset()

    async def call(self, call: Call) -> Answer:
        if self.breaks_for & set(call.endpoints):
            self.calls.append(call)
            raise RuntimeError("https://user:secret@head.example broke")
        return await super().call(call)


@dataclass
class Stage:
    folder: Path
    clock: HandClock
    store: SqliteStore
    gateway: Gateway
    head_end: OddHeadEnd
    taking: PayloadServices
    field_work: Outgoing
    requester: Requester
    sink: Receiver
    measurements: "SiteMeasurements"

    @property
    def orders(self) -> Orders:
        return self.gateway.orders

    @property
    def schedules(self) -> Schedules:
        return self.gateway.schedules

    @property
    def retention(self) -> Retention:
        return self.gateway.upkeep.retention

    @property
    def set_aside(self) -> SetAside:
        return self.store.set_aside

    async def work(self) -> None:
        """Everything that is due, in turns, as all loops do."""
        for _ in range(50):
            await self.gateway.drain()
            done = await self.orders.drain()
            while await self.taking.events.once():
                done += 1
            while await self.schedules.once():
                done += 1
            if not done:
                return
        raise AssertionError("a loop goes on and on")

    async def later(self, span: timedelta) -> None:
        await self.clock.turn(self.clock.now() + span)
        await self.work()

    async def tries(self, work: Callable[[], Awaitable[object]] | None = None) -> None:
        """Turn the clock past every wait; the store's leases are over then, too."""
        for wait in WAITS:
            await self.clock.turn(self.clock.now() + max(wait, LEASE))
            await (work or self.work)()

    async def failed(self, state: FailedState | None = None) -> list[FailedRow]:
        return list(await self.set_aside.rows(state=state))

    async def only(self, kind: RowKind, state: FailedState = FailedState.SET_ASIDE) -> FailedRow:
        """The one row of the list, which is of that kind and in that state."""
        found = await self.failed()
        assert [(each.kind, each.state) for each in found] == [(kind, state)], found
        return found[0]

    async def order(
        self, number: int, kind: OrderKind = OrderKind.CUT, *, reference: str = ""
    ) -> ServiceOrder:
        request = OrderRequest(
            kind=kind,
            service_point=ServicePointId(f"SP-M{number}"),
            external_reference=reference or f"reference-{number}",
            requester="cis",
        )
        return await self.orders.submit(request)


@asynccontextmanager
async def a_stage(
    folder: Path,
    *,
    at: datetime = NOON,
    sink: Receiver | None = None,
    start: bool = True,
    registry: Callable[[SqliteStore], DeviceRegistry] | None = None,
) -> AsyncIterator[Stage]:
    """Opened in a folder that may have been used before: then that is a restart."""
    clock = HandClock(at)
    fresh = not (folder / FILE).exists()
    store = NothingAtHand(folder / FILE, now=clock.now)
    await store.open()
    made = taking(store, clock, IntakeSettings(retention_days=1.0))
    field_work, requester = Outgoing(), Requester()
    told, head_end, measurements = sink or Receiver(), OddHeadEnd(), SiteMeasurements()
    gateway = assemble(
        store=store,
        head_end=head_end,
        reader=InboxReader(codec()),
        clock=clock,
        identity=CallbackIdentity("http://127.0.0.1:1", (b"k" * 32,)),
        sinks=[told],
        payloads=made,
        devices=None if registry is None else registry(store),
        retention=RETENTION,
        orders=OrderParts(
            rules=OrderRules(),
            field_work=field_work,
            requester=requester,
            measurements=measurements,
        ),
    )
    stage = Stage(
        folder=folder,
        clock=clock,
        store=store,
        gateway=gateway,
        head_end=head_end,
        taking=made,
        field_work=field_work,
        requester=requester,
        sink=told,
        measurements=measurements,
    )
    try:
        if fresh:
            await gateway.registry.import_devices(population())
        if start:
            await gateway.start(background=False)
        yield stage
    finally:
        await made.intake.stop()
        await store.close()


@dataclass
class SiteMeasurements:
    """A site's measurement system that has none; `away`: it does not answer."""

    away: bool = False

    async def final(
        self, device: DeviceId, start: datetime, end: datetime, *, near: datetime
    ) -> Sequence[Measurement]:
        if self.away:
            raise ConnectionError("the measurement system is away")
        return ()
