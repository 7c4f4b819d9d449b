"""One service order from request to reply, for the demo: an Enable Service on a new service point.

A simulated crew books an appointment, connects the service point and installs a meter; the head
end commissions, connects and reads it. Every step is told with what decided it.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from adapter.commands.calls import SwitchState
from adapter.engine.clock import SystemClock
from adapter.engine.commands.ports import Import
from adapter.engine.orders.ports import OrderShown
from adapter.engine.orders.requests import OrderRequest
from adapter.fieldwork.crew import Crew
from adapter.fieldwork.settings import CrewSettings
from adapter.fieldwork.simulated_site import SimulatedStreet
from adapter.model.device import Device, DisconnectLocation, ServicePoint
from adapter.model.ids import EndpointId, OrderId
from adapter.model.values import replace
from adapter.orders.algorithms.verdict import Decision, DecisionOutcome
from adapter.orders.order import ERROR_STATES, OrderKind
from adapter.service.app import App
from adapter.service.assembly import OrderParts
from adapter.simulator.registry import registry_of
from adapter.simulator.server import Simulator

_QUICK: Final = CrewSettings(book_s=0.02, lead_s=0.03, travel_s=0.02, work_s=0.05)
_WAIT_S: Final = 20.0
_LOOK_S: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOrderStep:
    """One child, why it was created (cell of the matrix, algorithm, row), how it ended."""

    child: str
    cell: int
    type: str
    algorithm: str
    row: str
    state: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStory:
    """The order and its steps. `replies` are what the requester was told, in order."""

    shown: OrderShown
    steps: tuple[DemoOrderStep, ...]
    replies: tuple[str, ...]
    seconds: float


class DemoCrew:
    """A quick crew; what it installs is put into its van by `bring`."""

    def __init__(self) -> None:
        self._street = SimulatedStreet(lambda device: None)
        crew = Crew(_QUICK, SystemClock(), street=self._street)
        self.parts = OrderParts(field_work=crew)

    def bring(self, device: Device) -> None:
        self._street.load(device)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewService:
    """A service point that is not connected yet, and the meter that is planned for it."""

    point: ServicePoint
    device: Device


def new_service(simulator: Simulator, endpoint: EndpointId) -> NewService:
    """A simulated meter made new: unknown to the head end, its switch open. The register bills."""
    population = simulator.world.population
    meter = population.find(endpoint)
    assert meter is not None
    new = replace(meter, commissioned=False, registered=False, switch=SwitchState.DISCONNECTED)
    population.put(new)
    records = registry_of(population, [endpoint])
    (device,), (point,) = records.devices, records.service_points
    bare = replace(point, connected=False, disconnect_location=DisconnectLocation.SOURCE)
    return NewService(point=bare, device=device)


async def run_order(app: App, service: NewService) -> OrderStory:
    """Enable service there, to its end."""
    await app.gateway.registry.import_devices(
        Import(devices=(service.device,), service_points=(service.point,)),
        by="demo",
        override="the service is new and not connected yet",
    )
    started = time.monotonic()
    order = await app.gateway.orders.submit(
        OrderRequest(
            kind=OrderKind.ENABLE,
            service_point=service.point.id,
            external_reference="demo",
            requester="demo",
        ),
        actor="demo",
    )
    shown = await _at_rest(app, order.id)
    return OrderStory(
        shown=shown,
        steps=steps(shown),
        replies=tuple(reply.kind.value for reply in shown.replies),
        seconds=time.monotonic() - started,
    )


async def _at_rest(app: App, order: OrderId) -> OrderShown:
    """The order when it has ended or waits for people, or after a while as it is."""
    for _ in range(int(_WAIT_S / _LOOK_S)):
        found = await app.gateway.orders.get(order)
        if found.final or found.state in ERROR_STATES:
            break
        await asyncio.sleep(_LOOK_S)
    return await app.gateway.orders.show(order)


def steps(shown: OrderShown) -> tuple[DemoOrderStep, ...]:
    """Every child beside the decision that made it."""
    made = (
        d for each in shown.passes for d in each.decisions if d.outcome is DecisionOutcome.CREATE
    )
    return tuple(
        _step(shown, number, decision)
        for number, decision in enumerate(made)
        if number < len(shown.children)
    )


def _step(shown: OrderShown, number: int, decision: Decision) -> DemoOrderStep:
    fact = shown.children[number].fact
    ended = fact.ended_at or fact.created_at
    return DemoOrderStep(
        child=fact.spec.task or fact.spec.business_object,
        cell=decision.cell,
        type=decision.type,
        algorithm=decision.algorithm,
        row=decision.row or decision.note,
        state=fact.state.value,
        seconds=(ended - fact.created_at).total_seconds(),
    )
