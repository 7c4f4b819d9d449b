"""Every combination of what the matrix reads: a verdict, an end, nothing superfluous, the wish met.

The product space is walked exhaustively with children that behave; the checks know nothing of
rows and algorithms, only of what each kind of order is for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import pytest

from adapter.commands.flows import CommandKind
from adapter.model.device import Category, Device, DisconnectLocation, InstallStatus
from adapter.model.values import replace
from adapter.orders.activities import ChildKind
from adapter.orders.algorithms.verdict import (
    Create,
    Error,
    Pass,
)
from adapter.orders.evaluate import Evaluation, evaluate
from adapter.orders.order import (
    CONNECT_NEW_DEVICE,
    DO_CONNECT,
    DO_NOT_CONNECT,
    ChildFact,
    ChildSpec,
    ChildState,
    OrderKind,
    ServiceOrder,
    View,
)
from adapter.orders.plan import SMART_COMMANDS, Assumptions, child_effect
from adapter.orders.switching import disconnects
from adapter.orders.tasks import FIELD_TASKS, FieldEffect
from tests.orders.builders import (
    a_manual_meter,
    a_reading,
    a_smart_meter,
    a_view,
    an_item,
    an_order,
)

S, K = InstallStatus, OrderKind
SMART = [s for s in S if not s.value.startswith("Manual")]
MANUAL = [S.PENDING, S.MANUAL_ON, S.MANUAL_OFF, S.REMOVED]
COMMANDS = {
    "all": SMART_COMMANDS,
    "none": frozenset[str](),
    "no switch": SMART_COMMANDS - {CommandKind.REMOTE_CONNECT, CommandKind.REMOTE_DISCONNECT},
    "no off": SMART_COMMANDS - {CommandKind.REMOTE_DISCONNECT},
    "no registration": SMART_COMMANDS
    - {CommandKind.DEVICE_COMMISSIONING, CommandKind.DEVICE_DECOMMISSIONING},
    "no read": SMART_COMMANDS - {CommandKind.ON_DEMAND_READ_SCALAR},
}


@dataclass(frozen=True)
class World:
    category: Category
    device: Device | None
    status: InstallStatus | None
    commands: str
    connected: bool
    location: DisconnectLocation
    read: bool
    life_support: bool


def worlds() -> Iterator[World]:
    devices: list[tuple[Category, Device | None, InstallStatus | None, str]] = [
        (category, None, None, "all") for category in Category
    ]
    meter, manual, item = a_smart_meter(), a_manual_meter(), an_item()
    devices += [(Category.METER, meter, s, c) for s, c in product(SMART, COMMANDS)]
    devices += [(Category.METER, manual, s, "all") for s in MANUAL]
    devices += [(Category.ITEM, item, s, "all") for s in MANUAL]
    for (category, device, status, commands), connected, location, read, life_support in product(
        devices, (True, False), DisconnectLocation, (True, False), (True, False)
    ):
        yield World(category, device, status, commands, connected, location, read, life_support)


def view_of(world: World, kind: OrderKind) -> View:
    return a_view(
        kind,
        device=world.device,
        status=world.status,
        connected=world.connected,
        location=world.location,
        category=world.category,
        commands=COMMANDS[world.commands],
        measurements=(a_reading(),) if world.read else (),
        point={"life_support": world.life_support},
    )


@dataclass
class Walk:
    end: Evaluation
    view: View
    order: ServiceOrder
    seen: list[tuple[View, ChildSpec]]


def walk(order: ServiceOrder, view: View) -> Walk:
    """Evaluate, let the child behave, again: until the order is done or needs people."""
    seen: list[tuple[View, ChildSpec]] = []
    for number in range(1, view.activity_type.pass_bound + 1):
        pass_ = evaluate(order, view)
        order = replace(order, fields={**order.fields, **pass_.fields}, passes=number - 1)
        if not isinstance(pass_.verdict, Create):
            return Walk(pass_, view, order, seen)
        spec = pass_.verdict.child
        seen.append((view, spec))
        child = ChildFact(
            id=order.child_id(number),
            number=number,
            spec=spec,
            state=ChildState.COMPLETED,
            created_at=view.now,
        )
        later = max(view.now, spec.effective_at or view.now)
        view = replace(view, now=later, children=(*view.children, child))
        view = child_effect(view, child, order, Assumptions())
    raise AssertionError(f"not done within the bound: {[s.purpose for _, s in seen]}")


def superfluous(view: View, spec: ChildSpec) -> str:
    """Why the world already is as this child would leave it, or nothing."""
    old = {each.device.id: each.event for each in view.removed}
    match spec.command:
        case CommandKind.REMOTE_CONNECT:
            return "already on" if view.on else ""
        case CommandKind.REMOTE_DISCONNECT:
            return "" if view.on else "already off"
        case CommandKind.DEVICE_COMMISSIONING:
            return "already commissioned" if view.commissioned else ""
        case CommandKind.DEVICE_DECOMMISSIONING:
            gone = old.get(spec.device) if spec.device is not None else None
            return "" if gone is not None and "Decomm" not in gone.status else "not needed"
        case CommandKind.ON_DEMAND_READ_SCALAR:
            return "already read" if _read(view) else ""
    if spec.kind is not ChildKind.FIELD:
        return "already read" if _read(view) else ""
    return "" if any(_needed(view, e) for e in FIELD_TASKS[spec.task].successful) else "all done"


def _read(view: View) -> bool:
    device = view.device.id if view.device is not None else None
    return any(m.device == device for m in view.measurements)


def _needed(view: View, effect: FieldEffect) -> bool:
    point = view.service_point
    return {
        FieldEffect.CONNECT_POINT: not point.connected,
        FieldEffect.OPEN_SOURCE: point.connected,
        FieldEffect.OPEN_AT_DEVICE: point.connected,
        FieldEffect.INSTALL: not view.device_installed,
        FieldEffect.REMOVE: view.device_installed,
        FieldEffect.TURN_ON: view.device_installed and not view.on,
        FieldEffect.TURN_OFF: view.on,
        FieldEffect.CUT: point.connected and (view.on or not view.device_expected),
        FieldEffect.MEASURE: not _read(view),
    }[effect]


def supplied(view: View) -> bool:
    return view.service_point.connected and (view.on or not view.device_expected)


def wish_met(order: ServiceOrder, before: View, after: View) -> bool:
    match order.kind:
        case K.ENABLE | K.RECONNECT | K.BACK_TO_BACK:
            return supplied(after)
        case K.DISABLE | K.CUT:
            return not supplied(after)
        case K.EXCHANGE:
            was = before.device.id if before.device is not None else None
            assert after.device is not None
            if order.fields[CONNECT_NEW_DEVICE] == DO_CONNECT and not supplied(after):
                return False
            if after.supports(CommandKind.DEVICE_COMMISSIONING) and not after.commissioned:
                return False
            return after.device_installed and after.device.id != was


def orders(kind: OrderKind) -> list[ServiceOrder]:
    flags = ("", DO_CONNECT, DO_NOT_CONNECT) if kind is K.EXCHANGE else ("",)
    return [an_order(kind, fields={CONNECT_NEW_DEVICE: flag} if flag else {}) for flag in flags]


@pytest.mark.parametrize("kind", OrderKind)
def test_every_world_has_an_end_that_meets_the_wish_or_names_the_problem(kind: OrderKind) -> None:
    completed = 0
    for order, world in product(orders(kind), worlds()):
        before = view_of(world, kind)
        done = walk(order, before)
        for view, spec in done.seen:
            reason = superfluous(view, spec)
            assert not reason, f"{world}: {spec.business_object} {spec.task} {reason}"
            assert not (disconnects(spec) and view.restricted), f"{world}: {spec} though restricted"
            assert spec.command is None or view.status is not S.PENDING, f"{world}: {spec}"
        if isinstance(done.end.verdict, Pass):
            completed += 1
            assert wish_met(done.order, before, done.view), f"{world}: completed, wish not met"
        else:
            assert isinstance(done.end.verdict, Error), f"{world}: {done.end.verdict}"
            assert done.end.verdict.problem.code in EXPECTED[kind], f"{world}: {done.end.verdict}"
    assert completed > 0


EXPECTED = {
    K.ENABLE: set[str](),
    K.DISABLE: {"restricted"},
    K.CUT: {"restricted"},
    K.RECONNECT: set[str](),
    K.EXCHANGE: {"no_device", "not_ready"},
    K.BACK_TO_BACK: {"not_ready"},
}
"""Why an order of each kind may need people though every child behaved."""
