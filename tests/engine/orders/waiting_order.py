"""A gateway whose one order waits for interval data, by a clock that stands; also as a process.

python -m tests.engine.orders.waiting_order FOLDER    takes in what waits, then looks at orders
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from adapter.engine.clock import HandClock
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.ports import Import, InboxState, Received
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.orders.orders import Orders
from adapter.engine.orders.ports import FinalMeasurements, OrderRules, OrderShown
from adapter.engine.orders.requests import OrderRequest
from adapter.headend.settings import HeadEndSettings
from adapter.model.device import InstallEvent, InstallStatus, ServicePoint
from adapter.model.ids import OrderId, ServicePointId
from adapter.model.values import replace
from adapter.orders.order import OrderKind
from adapter.orders.plan import SMART_COMMANDS
from adapter.service.assembly import Core, OrderParts, connect
from adapter.store.commands.commands import SqliteStore
from adapter.wire.codec import packaged_codec
from tests.engine.readings.store_with_intake import DATA
from tests.new_stores import new_store
from tests.orders.builders import INSTALLED_AT, INTERVAL, NOON, a_smart_meter
from tests.wire.payloads import data_arrived, interval, read_data

METER = a_smart_meter("M-1", INTERVAL)
POINT = ServicePointId("SP-1")


def at_noon(*statuses: str, wh: int = 250) -> bytes:
    """DataArrived with the quarter of an hour up to the service date."""
    value = interval(wh, *statuses)
    return data_arrived(read_data(METER.endpoint or "", [value], end=NOON.isoformat()))


@dataclass
class Waiting:
    core: Core
    clock: HandClock

    @property
    def orders(self) -> Orders:
        return self.core.gateway.orders

    async def register(self) -> None:
        """A service point with a meter that is on and commissioned."""
        point = ServicePoint(id=POINT)
        installed = InstallEvent(
            device=METER.id,
            service_point=POINT,
            installed_at=INSTALLED_AT,
            status=InstallStatus.CONN_COMM,
        )
        await self.core.gateway.registry.import_devices(
            Import(devices=(METER,), service_points=(point,), installs=(installed,))
        )

    async def submit(self) -> OrderId:
        """Enable Service where only a measurement is missing; it waits for one afterwards."""
        await self.register()
        request = OrderRequest(
            kind=OrderKind.ENABLE,
            service_point=POINT,
            external_reference="r-1",
            service_at=NOON,
        )
        made = await self.orders.submit(request)
        await self.orders.drain()
        return made.id

    async def arrive(self, body: bytes) -> None:
        message = Received(operation=DATA, raw=body, at=self.clock.now(), state=InboxState.LOADING)
        await self.core.store.receive([message])

    async def work(self) -> None:
        """Everything that is due now."""
        await self.core.gateway.drain()
        await self.orders.drain()

    async def shown(self) -> OrderShown:
        (order,) = (await self.orders.list()).rows
        return await self.orders.show(order.id)


@asynccontextmanager
async def waiting(
    folder: Path, *, now: datetime = NOON, measurements: FinalMeasurements | None = None
) -> AsyncIterator[Waiting]:
    clock = HandClock(now)
    store = SqliteStore(new_store(folder / "gateway.db"), now=clock.now)
    await store.open()
    core = connect(
        store=store,
        codec=packaged_codec(),
        head_end=HeadEndSettings(base_url="http://127.0.0.1:9"),  # never called
        identity=CallbackIdentity("http://gateway.example", (b"a key for tests",)),
        settings=CommandSettings(),
        clock=clock,
        orders=OrderParts(
            rules=replace(OrderRules(), head_end_commands=SMART_COMMANDS),
            measurements=measurements,
        ),
    )
    await core.gateway.start(background=False)
    try:
        yield Waiting(core, clock)
    finally:
        await core.gateway.stop()
        await store.close()


async def _work(folder: Path) -> None:
    async with waiting(folder) as made:
        await made.work()


if __name__ == "__main__":
    asyncio.run(_work(Path(sys.argv[1])))
