"""Every combination of what Check for Measurement reads: an end, and no read that is not needed.

No other algorithm looks at measurements, schedules or the service date, so this product stands
beside that of `test_every_world.py`. Children behave: a read brings a value, a wait is fulfilled.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import product

from adapter.commands.flows import CommandKind
from adapter.model.device import Device, DisconnectLocation, InstallStatus
from adapter.model.measurement import Measurement
from adapter.model.values import replace
from adapter.orders.activities import ChildKind
from adapter.orders.algorithms.rows import AlgorithmType
from adapter.orders.algorithms.table import Algorithm
from adapter.orders.algorithms.verdict import Create, Error, Pass
from adapter.orders.evaluate import Evaluation, evaluate
from adapter.orders.matrix import MATRIX
from adapter.orders.order import ChildFact, ChildSpec, ChildState, OrderKind, ServiceOrder, View
from adapter.orders.plan import SMART_COMMANDS, Assumptions, child_effect
from tests.orders.builders import (
    INTERVAL,
    NOON,
    REGISTER,
    a_manual_meter,
    a_reading,
    a_smart_meter,
    a_view,
    an_order,
)

S = InstallStatus
DAY = timedelta(days=1)
SMART_STATUSES = (S.CONN_PRECOMM, S.CONN_COMM)
NO_READ = SMART_COMMANDS - {CommandKind.ON_DEMAND_READ_SCALAR}
COMPONENTS = {"register": (REGISTER,), "interval": (INTERVAL,), "both": (REGISTER, INTERVAL)}
REFERENCES = {"now": timedelta(0), "ahead": 2 * DAY, "behind": -2 * DAY, "over": -40 * DAY}
SCHEDULES = {"none": (), "past": (-DAY,), "soon": (DAY,), "too late": (60 * DAY,)}
READINGS = ("none", "good", "poor", "too poor", "outside", "replaced", "another meter's")


@dataclass(frozen=True)
class World:
    device: Device
    status: InstallStatus
    commands: frozenset[str]
    connected: bool
    reading: str
    schedule: str
    reference: str
    on_its_way: bool


def worlds() -> Iterator[World]:
    smart = product(
        (a_smart_meter("M-1", *each) for each in COMPONENTS.values()),
        SMART_STATUSES,
        (SMART_COMMANDS, NO_READ),
    )
    devices = [*smart, (a_manual_meter(), S.MANUAL_ON, NO_READ)]
    for (device, status, commands), connected, reading, schedule, reference, on_its_way in product(
        devices, (True, False), READINGS, SCHEDULES, REFERENCES, (True, False)
    ):
        yield World(device, status, commands, connected, reading, schedule, reference, on_its_way)


def readings_of(world: World, component: str) -> tuple[Measurement, ...]:
    at = NOON + min(REFERENCES[world.reference], timedelta(0))
    found = a_reading(at, component=component, name=f"m-{component}")
    match world.reading:
        case "none":
            return ()
        case "poor":
            return (replace(found, condition=400_000),)
        case "too poor":
            return (replace(found, condition=200_000),)
        case "outside":
            return (replace(found, at=NOON - 300 * DAY),)
        case "replaced":
            return (replace(found, use=False),)
        case "another meter's":
            return (replace(found, device=None if world.device.id != "M-1" else OTHER),)
    return (found,)


OTHER = a_smart_meter("M-2").id


def view_of(world: World, kind: OrderKind) -> View:
    found = (readings_of(world, each.id) for each in world.device.components)
    return a_view(
        kind,
        device=world.device,
        status=world.status,
        connected=world.connected,
        location=DisconnectLocation.SOURCE,
        commands=world.commands,
        measurements=tuple(each for some in found for each in some),
        scheduled_reads=tuple(NOON + each for each in SCHEDULES[world.schedule]),
        reading_on_its_way=world.on_its_way,
    )


def checks(kind: OrderKind) -> tuple[Algorithm, ...]:
    return tuple(each for each in MATRIX[kind] if each.type is AlgorithmType.CHKMSMT)


def walk(order: ServiceOrder, view: View) -> tuple[Evaluation, list[ChildSpec], ServiceOrder]:
    """Look, let the child behave, again; fails where that has no end."""
    matrix, made = {order.kind: checks(order.kind)}, list[ChildSpec]()
    for number in range(1, view.activity_type.pass_bound + 1):
        seen = evaluate(order, view, matrix=matrix)
        order = replace(order, fields={**order.fields, **seen.fields}, passes=number - 1)
        if not isinstance(seen.verdict, Create):
            return seen, made, order
        spec = seen.verdict.child
        made.append(spec)
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
    raise AssertionError(f"not done within the bound: {made}")


def fault(world: World, made: list[ChildSpec]) -> str:
    """What the first child should not have been, or nothing."""
    if world.reading in ("good", "poor") and world.reference in ("now", "behind"):
        return "there is a measurement" if made else ""
    if not made:
        return ""
    first = made[0]
    dead = not world.connected
    if first.command is not None and (
        dead or first.command not in world.commands or world.status is not S.CONN_COMM
    ):
        return "nobody can answer that"
    if world.on_its_way and first.kind is not ChildKind.WAIT_MEASUREMENT:
        return "a reading is on its way"
    if first.kind is ChildKind.WAIT_SCHEDULED_READ and world.schedule != "soon":
        return "no scheduled read to wait for"
    return ""


def test_the_check_is_the_same_wherever_it_stands() -> None:
    assert {checks(kind) for kind in OrderKind} == {(), checks(OrderKind.DISABLE)}


def test_every_way_to_a_reading_ends_and_none_is_superfluous() -> None:
    kind = OrderKind.DISABLE
    ends = {"found": 0, "people": 0}
    for world in worlds():
        order = an_order(kind, service_at=NOON + REFERENCES[world.reference])
        seen, made, order = walk(order, view_of(world, kind))
        assert not fault(world, made), f"{fault(world, made)}: {world}: {made}"
        if isinstance(seen.verdict, Pass):
            ends["found"] += 1
            assert order.fields["readAt"], f"{world}: done without a reading"
        else:
            ends["people"] += 1
            assert isinstance(seen.verdict, Error), f"{world}: {seen.verdict}"
            assert seen.verdict.problem.code == "no_reading"
            assert seen.verdict.problem.action
    assert min(ends.values()) > 0
