"""Runs an order fixture: the real gateway and order engine, a simulated head end and crew.

All clocks are one, turned from each thing that is due to the next. Everything goes over the real
wire on loopback and through the real store, in a folder that is thrown away.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from adapter.commands.calls import SwitchState
from adapter.commands.flows import CommandKind
from adapter.engine.clock import HandClock
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.ports import Import
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.orders.field_work import FieldInbox, FieldMessage
from adapter.engine.orders.orders import Orders
from adapter.engine.orders.ports import OrderFilter, OrderRules
from adapter.engine.orders.requests import OrderRequest
from adapter.errors import GatewayError
from adapter.fieldwork.crew import Crew
from adapter.fieldwork.settings import CrewSettings
from adapter.fieldwork.simulated_site import SimulatedStreet
from adapter.headend.settings import HeadEndSettings, LimitSettings, Timeouts
from adapter.model.device import (
    COMMISSIONED,
    CONNECTED,
    Category,
    ComponentKind,
    Device,
    InstallEvent,
    MeasuringComponent,
    ServicePoint,
)
from adapter.model.ids import DeviceId, EndpointId, EventId, OrderId, ServicePointId
from adapter.model.values import replace
from adapter.orders.completion import CompletionReport
from adapter.orders.order import ERROR_STATES, ServiceOrder
from adapter.orders.replies import RequesterReply
from adapter.replay.order_scenario import (
    DeviceRow,
    OrderAct,
    OrderDo,
    OrderScenario,
)
from adapter.replay.recorder import changed, simulator_config
from adapter.replay.scenario import BadScenario, Scenario
from adapter.server.connections import bind, url_of
from adapter.server.settings import ListenerSettings
from adapter.service.assembly import Core, OrderParts, connect
from adapter.service.orders_file import rules_of
from adapter.simulator.readings import Told
from adapter.simulator.server import Simulator
from adapter.store.commands.commands import SqliteStore
from adapter.store.orders.orders import SqliteOrders
from adapter.web.listener.addresses import DATA_PATH
from adapter.web.listener.listener import Listener
from adapter.wire.codec import Codec

_MOST_TURNS: Final = 20_000
_MOST_DAYS: Final = timedelta(days=40)
_AFTER: Final = timedelta(hours=1)
_INSTALLED: Final = timedelta(days=900)
_ESN: Final = "2.16.840.1.114416.15.243."
_FIRST: Final = 700_001
_REGISTER: Final = MeasuringComponent(id="kwh", kind=ComponentKind.SCALAR, quantity="Wh d")
_PROFILE: Final = MeasuringComponent(
    id="load", kind=ComponentKind.INTERVAL, quantity="Wh d", seconds=900
)
_LIMITS: Final = LimitSettings(
    concurrency=64, breaker_not_sent=1_000_000, breaker_unknown=1_000_000, pushback_pause_s=0.001
)
_TIMEOUTS: Final = Timeouts(reply_s=60.0, total_s=120.0)


@dataclass(slots=True)
class Heard:
    """The crew with every message that it was sent, in order."""

    crew: Crew
    messages: list[FieldMessage] = field(default_factory=list)

    async def send(self, message: FieldMessage) -> None:
        if message.id not in {each.id for each in self.messages}:
            self.messages.append(message)
        await self.crew.send(message)

    async def start(self, inbox: FieldInbox) -> None:
        self.crew.hand_to(inbox)

    async def stop(self) -> None:
        pass


class RepliesTaken:
    """The requester's system of a scenario: it takes every reply."""

    async def deliver(self, reply: RequesterReply) -> None:
        pass


class OrderStage:
    """One run. `submitted` are the orders in the order in which they were asked for."""

    def __init__(self, scenario: OrderScenario, codec: Codec, folder: Path) -> None:
        self.scenario = scenario
        self.clock = HandClock(scenario.start)
        self._codec = codec
        config = simulator_config(
            Scenario(name=scenario.name, shows="", acts=(), simulator=scenario.simulator)
        )
        self.simulator = Simulator(config, clock=self.clock, codec=codec)
        self.devices = {row.id: _device(row) for row in scenario.device}
        self.store = SqliteStore(folder / "orders.db", now=self.clock.now)
        self.order_store = SqliteOrders(self.store.database)
        given = scenario.crew
        street = SimulatedStreet(
            lambda device: self.devices.get(device),
            van=[self.devices[row.id] for row in scenario.device if row.van],
            population=self.simulator.world.population,
            seed=given.seed,
        )
        times = CrewSettings(
            seed=given.seed,
            book_s=given.book_s,
            lead_s=given.lead_s,
            travel_s=given.travel_s,
            work_s=given.work_s,
        )
        self.crew = Crew(times, self.clock, street=street, scripts=given.script)
        self.heard = Heard(self.crew)
        self.submitted: list[OrderId] = []
        self.done: list[dict[str, object]] = []
        self.core: Core | None = None

    @property
    def orders(self) -> Orders:
        assert self.core is not None
        return self.core.gateway.orders

    # ------------------------------------------------------------ the world

    async def open(self, stack: AsyncExitStack) -> None:
        """Head end, store, gateway and listener up; registry loaded; nothing runs by itself."""
        url = await self.simulator.start()
        stack.push_async_callback(self.simulator.stop)
        await self.store.open()
        stack.push_async_callback(self.store.close)
        listening = bind("127.0.0.1", 0)
        address = url_of(listening, tls=False)
        scenario = Scenario(name=self.scenario.name, shows="", acts=(), policy=self.scenario.policy)
        self.core = core = connect(
            store=self.store,
            codec=self._codec,
            head_end=HeadEndSettings(
                base_url=url, limits=_LIMITS, timeouts=_TIMEOUTS, operation_timeouts={}
            ),
            identity=CallbackIdentity(address, (b"a key for fixtures",)),
            settings=CommandSettings(policies=scenario.policies()),
            clock=self.clock,
            orders=OrderParts(
                rules=_rules(self.scenario), field_work=self.heard, requester=RepliesTaken()
            ),
        )
        core.client.open()
        stack.push_async_callback(core.client.close)
        listener = Listener(
            core.gateway.inbox,
            self._codec,
            ListenerSettings(),
            clock=self.clock,
            listening=listening,
        )
        await listener.start()
        stack.push_async_callback(listener.stop)
        self.simulator.subscribe(f"{address}{DATA_PATH}")
        await core.gateway.start(background=False)
        stack.push_async_callback(core.gateway.stop)
        self.crew.hand_to(self.orders)
        await self._load()

    async def _load(self) -> None:
        rows = self.scenario.device
        installs = tuple(
            InstallEvent(
                device=DeviceId(row.id),
                service_point=ServicePointId(row.point),
                installed_at=self.scenario.start - _INSTALLED,
                status=row.status,
            )
            for row in rows
            if row.status is not None
        )
        points = tuple(
            msgspec.convert(msgspec.to_builtins(row), ServicePoint) for row in self.scenario.point
        )
        registry = Import(
            devices=tuple(self.devices.values()), service_points=points, installs=installs
        )
        assert self.core is not None
        await self.core.gateway.registry.import_devices(registry, by="scenario")
        for row in rows:
            if row.meter is not None:
                changed(self.simulator.world.population, _meter(row))
        for given in self.scenario.simulator.get("meters", ()):  # type: ignore[attr-defined]
            changed(self.simulator.world.population, given)

    # ------------------------------------------------------------ the run

    async def run(self) -> None:
        """Turn the clock from one thing that is due to the next until all is over."""
        left = sorted(self.scenario.act, key=lambda act: act.at)
        for _ in range(_MOST_TURNS):
            while left and self._moment(left[0].at) <= self.clock.now():
                await self._act(left.pop(0))
            await self._work()
            coming = await self._coming()
            if left:
                coming.append(self._moment(left[0].at))
            if not left and await self._over(coming):
                return
            if not coming:
                raise BadScenario(f"{self.scenario.name}: not over, and nothing will happen")
            await self.clock.turn(min(coming))
            if self.clock.now() > self.scenario.start + _MOST_DAYS:
                raise BadScenario(f"{self.scenario.name}: not over after {_MOST_DAYS}")
        raise BadScenario(f"{self.scenario.name}: not over after {_MOST_TURNS} turns")

    def _moment(self, at: float) -> datetime:
        return self.scenario.start + timedelta(seconds=at)

    async def _work(self) -> None:
        """Everything that is due now, at every side, until nothing is."""
        assert self.core is not None
        worked = 1
        while worked:
            await self.core.gateway.drain()
            worked = await self.orders.drain()
            worked += await self.crew.run_due()
            await self.simulator.run_due()
            await self.core.gateway.drain()
            worked += await self.orders.drain()
            wake = await self.order_store.next_wake()
            worked += wake is not None and wake <= self.clock.now()

    async def _coming(self) -> list[datetime]:
        found = (
            await self.store.next_wake(),
            await self.order_store.next_wake(),
            self.crew.next_due,
            self.simulator.world.schedule.next_due,
        )
        return [each for each in found if each is not None]

    async def _over(self, coming: list[datetime]) -> bool:
        if self.scenario.ends_at is not None:
            return not coming or min(coming) > self._moment(self.scenario.ends_at)
        if self.crew.next_due is not None or self.simulator.world.schedule.next_due is not None:
            return False
        orders = (await self.orders.list(OrderFilter(limit=1000))).rows
        if all(order.final for order in orders):
            return True
        last = max((act.at for act in self.scenario.act), default=0.0)
        late = not coming or min(coming) > self._moment(last) + _AFTER
        return late and all(order.final or order.state in ERROR_STATES for order in orders)

    # ------------------------------------------------------------ what is done

    async def _act(self, act: OrderAct) -> None:
        told: dict[str, object] = {"at": act.at, "do": act.do.value}
        try:
            told |= await self._did(act)
        except BadScenario:
            raise
        except GatewayError as error:
            told |= {"error": error.code, "text": str(error)}
        self.done.append(told)

    async def _did(self, act: OrderAct) -> dict[str, object]:
        match act.do:
            case OrderDo.SUBMIT:
                return await self._submit(act)
            case OrderDo.PAYMENT:
                return await self._pay(act)
            case OrderDo.MEASURE:
                self._measure(act)
                return {"device": act.device}
            case OrderDo.CHANGE_METER:
                changed(self.simulator.world.population, act.meter)
                return {}
            case _:
                return await self._about(act, self._order(act))

    async def _about(self, act: OrderAct, order: OrderId) -> dict[str, object]:
        orders = self.orders
        match act.do:
            case OrderDo.CANCEL | OrderDo.UPDATE:
                request = await (
                    orders.cancel(order, by=act.by, reason=act.reason, reference=act.reference)
                    if act.do is OrderDo.CANCEL
                    else orders.update(order, act.fields, by=act.by, reference=act.reference)
                )
                return {"request": request.id, "state": request.state.value}
            case OrderDo.RETRY:
                made = await orders.operator.retry(order, by=act.by)
            case OrderDo.CORRECT:
                made = (await orders.operator.correct(order, by=act.by, fields=act.fields)).order
            case OrderDo.COMPLETE:
                made = await orders.operator.complete_by_hand(order, by=act.by, reason=act.reason)
            case OrderDo.DISCARD:
                made = (await orders.operator.discard(order, by=act.by, reason=act.reason)).order
            case OrderDo.COMPLETE_VISIT | OrderDo.CANCEL_VISIT:
                made = await self._by_hand(act, order)
            case _:
                raise BadScenario(f"{self.scenario.name}: {act.do} is about no order")
        return {"state": made.state.value}

    async def _by_hand(self, act: OrderAct, order: OrderId) -> ServiceOrder:
        visit = (await self.orders.show(order)).children[-1].fact.id
        report = CompletionReport(at=self.clock.now(), cause=EventId(f"{visit}/by-hand"))
        if act.do is OrderDo.COMPLETE_VISIT:
            return await self.orders.operator.complete_visit(visit, report, by=act.by)
        return await self.orders.operator.cancel_visit(visit, report, by=act.by, reason=act.reason)

    async def _submit(self, act: OrderAct) -> dict[str, object]:
        if act.kind is None:
            raise BadScenario(f"{self.scenario.name}: submit without a kind")
        now = self.clock.now()
        order = await self.orders.submit(
            OrderRequest(
                kind=act.kind,
                service_point=ServicePointId(act.point),
                external_reference=act.reference or f"order {len(self.submitted) + 1}",
                requester=act.by,
                effective_at=_later(now, act.effective_in_s),
                service_at=_later(now, act.service_in_s),
                fields=act.fields,
            ),
            actor=act.by,
        )
        if order.id not in self.submitted:
            self.submitted.append(order.id)
        return {"order": order.id}

    async def _pay(self, act: OrderAct) -> dict[str, object]:
        paid = await self.orders.payment(ServicePointId(act.point), by=act.by)
        told: dict[str, object] = {
            "cuts": [order.state.value for order in paid.cuts],
            "supply": paid.supply.value,
        }
        if paid.reconnection is None:
            return told
        made = paid.reconnection.id
        if made not in self.submitted:
            self.submitted.append(made)
        return {**told, "reconnection": made}

    def _order(self, act: OrderAct) -> OrderId:
        if not 1 <= act.order <= len(self.submitted):
            raise BadScenario(f"{self.scenario.name}: there is no order {act.order}")
        return self.submitted[act.order - 1]

    def _measure(self, act: OrderAct) -> None:
        """The simulated head end sends it by itself; `_work` carries it all the way."""
        device = self.devices[act.device]
        now = self.clock.now()
        told = Told(
            endpoint=device.endpoint or "",
            serial=device.serial,
            at=now + timedelta(seconds=act.read_in_s),
            wh=act.value,
            seconds=next(x.seconds for x in device.components if x.id == act.component),
            statuses=act.statuses,
        )
        self.simulator.world.worker.tell([told], now=now)


def _later(now: datetime, seconds: float) -> datetime | None:
    return now + timedelta(seconds=seconds) if seconds else None


def _rules(scenario: OrderScenario) -> OrderRules:
    offered = frozenset(kind.value for kind in CommandKind)
    return replace(rules_of(scenario.orders), head_end_commands=offered)


def _device(row: DeviceRow) -> Device:
    bills = (_REGISTER,) * row.register + (_PROFILE,) * row.interval
    return Device(
        id=DeviceId(row.id),
        endpoint=None if row.meter is None else _endpoint(row.meter),
        serial=row.id,
        capabilities=frozenset() if row.meter is None else frozenset(row.commands),
        components=bills if row.category is Category.METER else (),
        category=row.category,
    )


def _endpoint(number: int) -> EndpointId:
    return EndpointId(f"{_ESN}{_FIRST + number}")


def _meter(row: DeviceRow) -> Mapping[str, object]:
    """The simulated meter as the install status says; one that is nowhere is new and open."""
    assert row.meter is not None
    known = row.status in COMMISSIONED
    closed = row.status in CONNECTED
    switch = SwitchState.CONNECTED if closed else SwitchState.DISCONNECTED
    return {
        "esn": _endpoint(row.meter),
        "commissioned": known,
        "registered": known,
        "switch": switch.value,
    }
