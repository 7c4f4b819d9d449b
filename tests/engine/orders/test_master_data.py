"""Service points that only the site's own system knows: looked up once, then the registry's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adapter.demo.demo import DemoSite, stage
from adapter.engine.commands.dispatcher import DispatchSettings
from adapter.engine.commands.ports import Import
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.orders.facts import MasterDataFailed
from adapter.engine.orders.ports import OrderRules
from adapter.engine.orders.requests import OrderRequest
from adapter.errors import NotFound
from adapter.model.device import Category, Device, InstallEvent, InstallStatus, ServicePoint
from adapter.model.ids import DeviceId, OrderId, ServicePointId
from adapter.model.values import replace
from adapter.orders.order import OrderKind, OrderState
from adapter.service.assembly import OrderParts
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.settings import SimulatorConfig
from tests.engine.orders.crew import Crew, an_item
from tests.engine.orders.site_with_orders import INSTALLED_AT, WAIT_S

POINT = ServicePointId("SP-own")
LAMP = an_item("LAMP-1")
KNOWN = Import(
    devices=(LAMP,),
    service_points=(ServicePoint(id=POINT, category=Category.ITEM),),
    installs=(
        InstallEvent(
            device=LAMP.id,
            service_point=POINT,
            installed_at=INSTALLED_AT,
            status=InstallStatus.MANUAL_ON,
        ),
    ),
)


@dataclass
class OwnSystem:
    """A site's master data: what it knows, and how often it was asked."""

    known: dict[ServicePointId, Import] = field(default_factory=lambda: {POINT: KNOWN})
    asked: list[ServicePointId] = field(default_factory=list)
    away: bool = False

    async def at(self, point: ServicePointId) -> Import | None:
        self.asked.append(point)
        if self.away:
            raise ConnectionError("the master data system is away")
        return self.known.get(point)


@asynccontextmanager
async def gateway(folder: Path, own: OwnSystem) -> AsyncIterator[DemoSite]:
    crew = Crew()
    crew.present[POINT] = LAMP
    parts = OrderParts(rules=OrderRules(), field_work=crew, master_data=own)
    quick = CommandSettings(dispatch=DispatchSettings(lease_s=0.3))
    config = SimulatorConfig(population=PopulationPlan(count=2))
    async with stage(folder, config=config, settings=quick, orders=parts) as made:
        yield made


async def reached(made: DemoSite, order: OrderId, state: OrderState) -> None:
    """Return when the order is in that state; fails after a while."""
    deadline = asyncio.get_running_loop().time() + WAIT_S
    while (found := await made.app.gateway.orders.get(order)).state is not state:
        assert asyncio.get_running_loop().time() < deadline, found
        made.app.gateway.orders.poke()
        await asyncio.sleep(0.01)


async def asked(own: OwnSystem, *, times: int) -> None:
    deadline = asyncio.get_running_loop().time() + WAIT_S
    while len(own.asked) < times:
        assert asyncio.get_running_loop().time() < deadline, own.asked
        await asyncio.sleep(0.01)


def wanted(point: str = POINT, reference: str = "r") -> OrderRequest:
    return OrderRequest(
        kind=OrderKind.DISABLE,
        service_point=ServicePointId(point),
        external_reference=reference,
        requester="cis",
    )


async def test_a_service_point_is_looked_up_once_and_completion_changes_the_registry(
    tmp_path: Path,
) -> None:
    own = OwnSystem()
    async with gateway(tmp_path, own) as made:
        orders = made.app.gateway.orders
        plan = await orders.plan(wanted())
        assert plan.titles == ("TurnOffItem",)
        order = await orders.submit(wanted())
        await reached(made, order.id, OrderState.COMPLETED)
        installed = (await made.app.gateway.registry.device(LAMP.id)).installed
        assert installed is not None
        assert installed.status is InstallStatus.MANUAL_OFF
        assert (await orders.plan(wanted(reference="again"))).titles == ()
        assert own.asked == [POINT]


async def test_what_the_site_does_not_know_either_is_a_validation_error(tmp_path: Path) -> None:
    async with gateway(tmp_path, OwnSystem()) as made:
        orders = made.app.gateway.orders
        order = await orders.submit(wanted("SP-nobody"))
        await reached(made, order.id, OrderState.VALIDATION_ERROR)


async def test_an_order_waits_while_the_sites_system_is_away(tmp_path: Path) -> None:
    own = OwnSystem(away=True)
    async with gateway(tmp_path, own) as made:
        orders = made.app.gateway.orders
        with pytest.raises(MasterDataFailed, match="SP-own: ConnectionError: the master data"):
            await orders.plan(wanted())
        order = await orders.submit(wanted())
        await asked(own, times=3)  # by the plan, then by the order, again and again
        assert (await orders.get(order.id)).state is OrderState.PENDING
        own.away = False
        await reached(made, order.id, OrderState.COMPLETED)


@pytest.mark.parametrize(
    "told",
    [
        replace(KNOWN, service_points=(ServicePoint(id=ServicePointId("SP-other")),), installs=()),
        replace(KNOWN, devices=(Device(id=DeviceId("another")),)),
    ],
)
async def test_what_does_not_fit_together_is_not_taken(tmp_path: Path, told: Import) -> None:
    async with gateway(tmp_path, OwnSystem(known={POINT: told})) as made:
        with pytest.raises(MasterDataFailed, match="SP-own"):
            await made.app.gateway.orders.plan(wanted())
        with pytest.raises(NotFound):
            await made.app.gateway.registry.device(LAMP.id)
