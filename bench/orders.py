"""One order looked at again after its child completes, while few or many others wait; and one that
is woken with nothing new.

Every waiting order has a visit with a crew. Measured is what one report leads to: completion
events, the look at the fresh facts, the reply, all of it durable. That must not depend on how many
wait. And what it takes to wake an order, as every command that moves and every payload with one of
its meters does, and to find that it still waits.
"""

import asyncio
import gc
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from adapter.engine.clock import SystemClock
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.ports import Import
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.orders.defaults import Outgoing
from adapter.engine.orders.field_work import FieldReport
from adapter.engine.orders.orders import Orders
from adapter.engine.orders.ports import OrderChange, OrderRecord
from adapter.engine.orders.requests import OrderRequest
from adapter.headend.settings import HeadEndSettings
from adapter.model.device import Device, InstallEvent, InstallStatus, ServicePoint
from adapter.model.ids import DeviceId, EventId, OrderId, ServicePointId, sortable_id
from adapter.orders.completion import CompletionReport
from adapter.orders.field_activity_events import WorkReported
from adapter.orders.order import OrderKind, OrderState
from adapter.service.assembly import Core, OrderParts, connect
from adapter.store.commands.commands import SqliteStore
from adapter.store.orders.orders import SqliteOrders
from adapter.store.orders.writing import CaseWriter
from adapter.store.transaction import Transaction
from adapter.wire.codec import packaged_codec
from bench.report import Figure, Part, Ran, comparison, ratios
from bench.rounds import Options, interleaved

_INSTALLED = datetime(2020, 1, 1, tzinfo=UTC)
_BATCH = 1_000
_WOKEN = "CPU of an order woken with nothing new"


def measure(options: Options, many: int = 10_000, few: int = 100) -> Part:
    """Orders come to their end, one after the other, among few and among many, in turns."""
    part = Part(title="A service order looked at again when its child completes")
    each, most = options.some(40, least=5), options.some(many, least=1_000)
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        waiting = {
            f"one order, {number:,} others wait": (number, Path(folder) / f"{number}.db")
            for number in (few, most)
        }
        several = {
            name: Among(runner, number, each * (options.rounds + 2) + 1, path)
            for name, (number, path) in waiting.items()
        }
        try:
            sides = {name: partial(among.some, each) for name, among in several.items()}
            ran = interleaved(sides, options.rounds)
            among = several[next(reversed(several))]
            woken = interleaved({_WOKEN: partial(among.woken, each)}, options.rounds)
        finally:
            for among in several.values():
                among.close()
    part.details += [comparison(part.title, ran), comparison(part.title, woken)]
    first, last = ran.values()
    part.figures += [
        Figure(
            what=f"CPU of an order looked at again, {most:,} others waiting / {few}",
            unit="ratio",
            each=ratios(last, first, lambda one: one.cpu_ms),
        ),
        Figure(
            what="CPU of an order looked at again", unit="ms", each=[one.cpu_ms for one in last]
        ),
        Figure(what=_WOKEN, unit="ms", each=[one.cpu_ms for one in woken[_WOKEN]]),
    ]
    return part


class Among:
    """Orders whose visit is with the crew, and so many more that wait, in a store of their own."""

    def __init__(self, runner: asyncio.Runner, waiting: int, looked_at: int, path: Path) -> None:
        self._runner = runner
        self._clock = SystemClock()
        self._store = SqliteStore(path, now=self._clock.now)
        self._live = runner.run(self._open(waiting, looked_at))

    async def _open(self, waiting: int, looked_at: int) -> list[OrderId]:
        await self._store.open()
        core = connect(
            store=self._store,
            codec=packaged_codec(),
            head_end=HeadEndSettings(base_url="http://127.0.0.1:9"),  # no order here needs it
            identity=CallbackIdentity("http://127.0.0.1:9", (b"bench" * 8,)),
            settings=CommandSettings(),
            clock=self._clock,
            orders=OrderParts(field_work=Outgoing()),
        )
        self._orders = core.gateway.orders
        await _registry(core, looked_at)
        live = await _under_way(self._orders, looked_at)
        await _fill(self._store, live[0], waiting)
        return live

    def some(self, count: int) -> Ran:
        """The crew reports, and each order has ended."""
        return self._runner.run(self._some(count))

    async def _some(self, count: int) -> Ran:
        orders = [self._live.pop() for _ in range(count)]
        reports = [await _report(self._orders, order, self._clock) for order in orders]
        ran = await _measured([partial(self._orders.receive, report) for report in reports])
        for order in orders:
            state = (await self._orders.get(order)).state
            if state is not OrderState.COMPLETED:
                raise SystemExit(f"order {order} is {state}")
        return ran

    def woken(self, count: int) -> Ran:
        """A reading comes for the meter, and the order waits on."""
        return self._runner.run(self._woken(count))

    async def _woken(self, count: int) -> Ran:
        meters = range(1, count + 1)  # the first is also that of all who were filled in
        return await _measured([partial(self._wake, f"M{number}") for number in meters])

    async def _wake(self, meter: str) -> None:
        await self._orders.measured([DeviceId(meter)])
        if not await self._orders.loops["orders"]():
            raise SystemExit(f"nobody waits for {meter}")

    def close(self) -> None:
        self._runner.run(self._store.close())


async def _registry(core: Core, count: int) -> None:
    """A manual meter each, that is on: a cut needs a visit and nothing else."""
    names = [f"{number}" for number in range(count)]
    await core.gateway.registry.import_devices(
        Import(
            devices=tuple(Device(id=DeviceId(f"M{name}")) for name in names),
            service_points=tuple(ServicePoint(id=ServicePointId(f"SP{name}")) for name in names),
            installs=tuple(
                InstallEvent(
                    device=DeviceId(f"M{name}"),
                    service_point=ServicePointId(f"SP{name}"),
                    installed_at=_INSTALLED,
                    status=InstallStatus.MANUAL_ON,
                )
                for name in names
            ),
        )
    )


async def _under_way(orders: Orders, count: int) -> list[OrderId]:
    """Orders whose visit is with the crew."""
    requests = [
        OrderRequest(
            kind=OrderKind.CUT,
            service_point=ServicePointId(f"SP{number}"),
            external_reference=f"{number}",
            requester="bench",
        )
        for number in range(count)
    ]
    made = await asyncio.gather(*(orders.submit(request) for request in requests))
    await orders.drain()
    return [order.id for order in made]


async def _fill(store: SqliteStore, like: OrderId, count: int) -> None:
    """So many more orders as that one, each with its visit, at service points of their own."""
    (case,) = (await SqliteOrders(store.database).load([like])).values()
    copies = list(_copies(case, count))
    for start in range(0, count, _BATCH):
        some = copies[start : start + _BATCH]

        def insert(tx: Transaction, batch: list[OrderRecord] = some) -> None:
            writer = CaseWriter(tx, store.database.now())
            for copy in batch:
                writer.insert(OrderChange(case=copy, holds=True), "bench")

        await store.database.write(insert)


def _copies(case: OrderRecord, count: int) -> Iterator[OrderRecord]:
    text = msgspec.json.encode(case).decode()
    point = case.order.service_point
    now = int(time.time() * 1000)
    for number in range(count):
        copy = text.replace(case.order.id, sortable_id(now, number))
        copy = copy.replace(f'"service_point":"{point}"', f'"service_point":"W{number}"')
        reference = f'"external_reference":"{case.order.external_reference}"'
        copy = copy.replace(reference, f'"external_reference":"w{number}"')
        yield msgspec.json.decode(copy, type=OrderRecord)


async def _report(orders: Orders, order: OrderId, clock: SystemClock) -> FieldReport:
    """That the crew has done what the order waits for."""
    child = (await orders.show(order)).children[0].fact.id
    cause = EventId(f"{child}:work")
    work = WorkReported(report=CompletionReport(at=clock.now(), cause=cause))
    return FieldReport(id=cause, activity=child, news=work)


async def _measured(calls: Sequence[Callable[[], Awaitable[object]]]) -> Ran:
    """One after the other, and nothing else."""
    gc.collect()
    latencies, cpu = [], time.process_time()
    for call in calls:
        started = time.perf_counter()
        await call()
        latencies.append(time.perf_counter() - started)
    used = time.process_time() - cpu
    return Ran(count=len(calls), seconds=sum(latencies), cpu_s=used, latencies=latencies)
