"""Service points, meters and orders on a real gateway, simulator and SQLite, with a simple crew."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from adapter.commands.calls import RemoteState, SwitchState
from adapter.commands.rules import SwitchPolicy
from adapter.demo.demo import DemoSite, stage
from adapter.engine.commands.dispatcher import DispatchSettings
from adapter.engine.commands.ports import Import
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.orders.operator import Operator
from adapter.engine.orders.orders import Orders
from adapter.engine.orders.ports import OrderRules, OrderShown, Requester
from adapter.engine.orders.requests import OrderRequest
from adapter.engine.readings.entered import EnteredReadings
from adapter.model.device import (
    Category,
    Device,
    DisconnectLocation,
    InstallEvent,
    InstallStatus,
    MeasuringComponent,
    ServicePoint,
)
from adapter.model.ids import DeviceId, OrderId, ServicePointId
from adapter.model.measurement import CycleSchedule
from adapter.model.values import replace
from adapter.orders.order import OrderKind, OrderState, ServiceOrder
from adapter.orders.plan import SMART_COMMANDS
from adapter.orders.replies import RequesterReply
from adapter.service.assembly import OrderParts
from adapter.service.orders_file import rules_of
from adapter.simulator.faults import Effect, Script
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.readings import Told
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig, Timing
from adapter.store.transaction import Transaction
from tests.engine.commands.quick_site import fast, script
from tests.engine.orders.crew import REGISTER, Crew, a_manual_meter, an_item

WAIT_S = 50.0
S = InstallStatus
CLOSED = {S.CONN_PRECOMM, S.CONN_COMM, S.CONN_DECOMM}
COMMISSIONED = {S.PRECONN_COMM, S.CONN_COMM, S.DISCONN_COMM}
INSTALLED_AT = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Place:
    """One service point and what is there, by the number of its simulated meter."""

    number: int
    kind: str = "smart"
    status: InstallStatus | None = S.CONN_COMM
    connected: bool = True
    location: DisconnectLocation = DisconnectLocation.DEVICE
    category: Category = Category.METER
    commands: frozenset[str] = SMART_COMMANDS
    components: tuple[MeasuringComponent, ...] = (REGISTER,)
    spare: str = "smart"
    read: bool = False
    cycle: str = ""
    life_support: bool = False
    zone: str = "UTC"

    @property
    def point(self) -> ServicePointId:
        return ServicePointId(f"SP-{self.number}")

    @property
    def device(self) -> DeviceId:
        return DeviceId(f"D-{self.number}")

    @property
    def new_device(self) -> DeviceId:
        return DeviceId(f"D-{self.number}-new")


@dataclass
class Answers:
    """The requester's system: keeps every delivery; `fail` makes it refuse."""

    deliveries: list[RequesterReply] = field(default_factory=list)
    fail: Callable[[RequesterReply], bool] = lambda reply: False

    async def deliver(self, reply: RequesterReply) -> None:
        self.deliveries.append(reply)
        if self.fail(reply):
            raise ConnectionError("the requester's system is away")

    def of(self, order: OrderId) -> list[str]:
        """Kinds of the replies, each id once, in the order of their first delivery."""
        seen = {reply.id: reply.kind.value for reply in self.deliveries if reply.order == order}
        return list(seen.values())


@dataclass(kw_only=True)
class Rig:
    made: DemoSite
    crew: Crew
    answers: Answers
    spare_from: int

    @property
    def orders(self) -> Orders:
        return self.made.app.gateway.orders

    @property
    def operator(self) -> Operator:
        return self.orders.operator

    @property
    def entered(self) -> EnteredReadings:
        return self.made.app.core.gateway.readings.entered

    # ------------------------------------------------------------ the world

    async def put(self, place: Place) -> Place:
        """Load the place into the registry and bring its meters into the state it says."""
        device = self._device(place)
        installs = []
        if device is not None and place.status is not None:
            installs.append(
                InstallEvent(
                    device=device.id,
                    service_point=place.point,
                    installed_at=INSTALLED_AT,
                    status=place.status,
                )
            )
        point = ServicePoint(
            id=place.point,
            category=place.category,
            connected=place.connected,
            disconnect_location=place.location,
            measurement_cycle=place.cycle,
            life_support=place.life_support,
            time_zone=place.zone,
        )
        spare = self._spare(place)
        devices = tuple(each for each in (device, spare) if each is not None)
        await self.made.app.gateway.registry.import_devices(
            Import(devices=devices, service_points=(point,), installs=tuple(installs))
        )
        if device is not None:
            self.crew.present[place.point] = device
        if spare is not None:
            self.crew.spares[place.point] = spare
        self._meters(place)
        if place.read:
            await self.measure(place.device, datetime.now(UTC) - timedelta(minutes=5))
        return place

    def _device(self, place: Place) -> Device | None:
        match place.kind:
            case "smart":
                return Device(
                    id=place.device,
                    endpoint=self.made.endpoint(place.number),
                    components=place.components,
                    capabilities=place.commands,
                )
            case "manual":
                return a_manual_meter(place.device)
            case "item":
                return an_item(place.device)
        return None

    def _spare(self, place: Place) -> Device | None:
        if place.status is S.PENDING:
            return None
        match place.spare:
            case "smart":
                return Device(
                    id=place.new_device,
                    endpoint=self.made.endpoint(self.spare_from + place.number),
                    components=(REGISTER,),
                    capabilities=SMART_COMMANDS,
                )
            case "manual":
                return a_manual_meter(place.new_device)
            case "item":
                return an_item(place.new_device)
        return None

    def _meters(self, place: Place) -> None:
        if place.kind == "smart" and place.status is not None:
            known = place.status in COMMISSIONED
            self._meter(place.number, known=known, closed=place.status in CLOSED)
        self._meter(self.spare_from + place.number, known=False, closed=False)

    def _meter(self, number: int, *, known: bool, closed: bool) -> None:
        population = self.made.simulator.world.population
        meter = population.find(self.made.endpoint(number))
        assert meter is not None
        switch = SwitchState.CONNECTED if closed else SwitchState.DISCONNECTED
        population.put(replace(meter, commissioned=known, registered=known, switch=switch))

    async def measure(
        self,
        device: DeviceId,
        at: datetime,
        *,
        component: str = REGISTER.id,
        wh: int = 1_234_500,
        statuses: tuple[str, ...] = (),
    ) -> None:
        """A measurement comes as all of them do: by DataArrived. Returns when it is seen."""
        known = (await self.made.app.gateway.registry.device(device)).device
        seconds = next(each.seconds for each in known.components if each.id == component)
        told = Told(
            endpoint=known.endpoint or "",
            serial=known.serial,
            at=at,
            wh=Decimal(wh),
            seconds=seconds,
            statuses=statuses,
        )
        simulator = self.made.simulator
        simulator.world.worker.tell([told], now=datetime.now(UTC))
        simulator.wake()
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while wh not in await self.seen(device, at, component):
            assert asyncio.get_running_loop().time() < deadline, "it is not taken in"
            await self._moved()

    async def seen(self, device: DeviceId, at: datetime, component: str) -> list[Decimal | None]:
        """What the store has of one component at one time, in the head end's unit."""
        data = self.made.app.core.taking.data
        found = await data.values_between(at, at, device=device)
        return [each.head_end_value for each in found if each.component == component]

    async def status(self, device: DeviceId) -> InstallStatus | None:
        view = await self.made.app.gateway.registry.device(device)
        return None if view.installed is None else view.installed.status

    def switch(self, number: int) -> SwitchState:
        meter = self.made.simulator.world.population.find(self.made.endpoint(number))
        assert meter is not None
        return meter.switch

    async def switched_off(self, number: int) -> None:
        """Wait until the meter is off and the head end is done with every request."""
        deadline = asyncio.get_running_loop().time() + WAIT_S
        worker = self.made.simulator.world.worker
        while worker.open or self.switch(number) is SwitchState.CONNECTED:
            assert asyncio.get_running_loop().time() < deadline
            await self._moved()

    # ------------------------------------------------------------ orders

    async def submit(
        self,
        kind: OrderKind,
        place: Place,
        *,
        reference: str = "",
        fields: Mapping[str, str] | None = None,
        effective_at: datetime | None = None,
        **rest: object,
    ) -> ServiceOrder:
        request = OrderRequest(
            kind=kind,
            service_point=place.point,
            external_reference=reference or f"{kind}-{place.number}",
            requester="cis",
            fields=fields or {},
            effective_at=effective_at,
            **rest,  # type: ignore[arg-type]
        )
        return await self.orders.submit(request, actor="test")

    async def until(
        self, order: OrderId, reached: Callable[[OrderShown], bool], *, wait_s: float = WAIT_S
    ) -> OrderShown:
        """The order when `reached` holds; fails after `wait_s` seconds."""
        deadline = asyncio.get_running_loop().time() + wait_s
        while True:
            shown = await self.orders.show(order)
            if reached(shown):
                return shown
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"{shown.order.state}: {shown.order.problem} {facts(shown)}")
            await self._moved()

    async def hurry(self) -> None:
        """Make messages and replies that wait for their next try due now."""
        store = self.made.app.core.store

        def now(tx: Transaction) -> None:
            for table in ("field_message", "order_reply"):
                tx.connection.execute(f"UPDATE {table} SET due = 0 WHERE due IS NOT NULL")

        await store.database.write(now)
        self.orders.poke()
        await asyncio.sleep(0.05)

    async def _moved(self) -> None:
        """A moment in which the loops may work."""
        await asyncio.sleep(0.01)

    async def ended(self, order: OrderId) -> OrderShown:
        """The order when it rests for good, or waits for people."""
        return await self.until(order, at_rest)

    async def replied(self, order: OrderId, kind: str) -> list[str]:
        """The replies when one of that kind has come."""
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while kind not in (found := self.answers.of(order)):
            assert asyncio.get_running_loop().time() < deadline, found
            await self._moved()
        return found


PATIENT: dict[str, object] = {"send_s": 3600.0, "reply_s": 3600.0, "settle_s": 3600.0}
"""Of a policy: nothing becomes unclear because a machine is slow."""
UNASKED: dict[str, object] = {"poll_first_s": 3600.0, "poll_every_s": 3600.0, **PATIENT}
"""Nothing is found out by a poll either, unless a cancel brings it forward."""
UNTOLD = script(Effect.DROP_CALLBACK, "DisconnectMeter", state=RemoteState.COMPLETED)
"""That a disconnect is done is not told."""


def gave_up(shown: OrderShown) -> bool:
    """In error, and the last child has ended without success for good."""
    return shown.order.state is OrderState.ACTIVITY_ERROR and shown.children[-1].fact.final


def at_rest(shown: OrderShown) -> bool:
    troubled = (OrderState.ACTIVITY_ERROR, OrderState.VALIDATION_ERROR)
    return shown.order.final or shown.order.state in troubled


def state_is(state: OrderState) -> Callable[[OrderShown], bool]:
    return lambda shown: shown.order.state is state


def titles(shown: OrderShown) -> str:
    """The children in order, by field task or business object without its prefix."""
    names = (child.fact.spec.task or child.fact.spec.business_object for child in shown.children)
    return " > ".join(name.partition("-")[2] for name in names)


def facts(shown: OrderShown) -> list[str]:
    return [f"{c.fact.spec.business_object}:{c.fact.state}:{c.fact.reason}" for c in shown.children]


SCHEDULES = {
    f"C{days}": CycleSchedule(cycle=f"C{days}", reads=(datetime.now(UTC) + timedelta(days=days),))
    for days in (3, 30)
}


@asynccontextmanager
async def rig(
    folder: Path,
    *scripts: Script,
    places: int = 12,
    rules: Mapping[str, object] | None = None,
    policy: Mapping[str, object] | None = None,
    switch: SwitchPolicy | None = None,
    customs: Callable[[OrderRules], OrderRules] = lambda rules: rules,
    simulator: Callable[[Simulator], None] = lambda simulator: None,
    requester: Requester | None = None,
) -> AsyncIterator[Rig]:
    """A gateway with orders; `places` service points can be put, each with a spare meter."""
    config = SimulatorConfig(
        population=PopulationPlan(count=2 * places, group_size=20, generating_share=0.0),
        timing=Timing(jitter=0.0),
        scripts=scripts,
    )
    crew, answers = Crew(), Answers()
    made_rules = replace(
        rules_of(rules or {}), schedules=SCHEDULES, head_end_commands=SMART_COMMANDS
    )
    parts = OrderParts(rules=customs(made_rules), field_work=crew, requester=requester or answers)
    async with stage(
        folder,
        config=config,
        settings=CommandSettings(
            policies=fast(**(policy or {})),
            dispatch=DispatchSettings(lease_s=0.3, switch=switch or SwitchPolicy()),
        ),
        prepare=simulator,
        orders=parts,
        devices=False,
    ) as made:
        yield Rig(made=made, crew=crew, answers=answers, spare_from=places)


Scenario = Callable[[Rig], Awaitable[None]]
