"""Which Enable nets which Disable, and what the Disable then does."""

from datetime import UTC, datetime, timedelta
from typing import Any

from adapter.model.device import InstallStatus
from adapter.model.ids import OrderId
from adapter.orders.algorithms.verdict import Create, Pass
from adapter.orders.evaluate import evaluate
from adapter.orders.events import ChildFailed, ChildGaveUp, Netted
from adapter.orders.lifecycle import observe, step
from adapter.orders.netting import may_net
from adapter.orders.order import (
    NETTED_WITH,
    ChildState,
    OpenOrder,
    OrderKind,
    OrderProblem,
    OrderState,
    ServiceOrder,
)
from tests.orders.builders import NOON, a_child, a_reading, a_smart_meter, a_type, a_view, an_order
from tests.support import for_every

K, S = OrderKind, InstallStatus
ENABLE = OrderId("SO-2")
OPEN = OpenOrder(id=ENABLE, kind=K.ENABLE, state=OrderState.VALIDATION_ERROR)
WAITS = OrderProblem(code="order_open", text="disable order SO-1 is open here")
LATE = datetime(2026, 3, 10, 22, 30, tzinfo=UTC)
"""Half past eleven in Berlin."""


def pair(first: datetime, second: datetime, **enable: Any) -> tuple[ServiceOrder, ServiceOrder]:
    values = {"id": ENABLE, "state": OrderState.VALIDATION_ERROR, "problem": WAITS, **enable}
    return (
        an_order(K.ENABLE, effective_at=second, **values),
        an_order(K.DISABLE, effective_at=first, state=OrderState.WAITING),
    )


@for_every(
    ("first", "second", "zone", "nets"),
    [
        (NOON, NOON, "UTC", True),
        (NOON, NOON + timedelta(hours=8), "UTC", True),
        (NOON, NOON - timedelta(minutes=1), "UTC", False),
        (NOON, NOON + timedelta(hours=12), "UTC", False),
        (NOON, LATE, "Europe/Berlin", True),
        (NOON, LATE + timedelta(hours=1), "Europe/Berlin", False),
        (NOON, LATE + timedelta(hours=1), "UTC", True),
        (LATE, LATE + timedelta(hours=2), "America/New_York", True),
    ],
)
def test_one_day_is_a_day_of_the_service_point(
    first: datetime, second: datetime, zone: str, nets: bool
) -> None:
    point = a_view(K.ENABLE, point={"time_zone": zone}).service_point
    enable, disable = pair(first, second)
    assert may_net(enable, disable, a_type(K.DISABLE, netting=True), point) is nets
    assert not may_net(enable, disable, a_type(K.DISABLE), point), "off as shipped"


@for_every(
    "changes",
    [
        {"problem": OrderProblem(code="time_zone", text="unknown")},
        {"state": OrderState.READY},
        {"problem": None},
    ],
)
def test_an_enable_that_could_not_go_on_nets_nothing(changes: dict[str, Any]) -> None:
    point = a_view(K.ENABLE).service_point
    enable, disable = pair(NOON, NOON, **changes)
    assert not may_net(enable, disable, a_type(K.DISABLE, netting=True), point)


def test_a_netted_disable_passes_over_the_switch_and_takes_its_reading() -> None:
    order = an_order(K.DISABLE, fields={NETTED_WITH: ENABLE})
    view = a_view(K.DISABLE, device=a_smart_meter(), status=S.CONN_COMM, open_orders=(OPEN,))
    found = evaluate(order, view)
    assert isinstance(found.verdict, Create)
    assert found.verdict.child.business_object == "D1-OnDemandReadScalar"
    assert found.decisions[0].note == f"not switched off: netted with order {ENABLE}"


@for_every(
    ("status", "open_orders", "children", "disconnects"),
    [
        (S.CONN_COMM, (), (), True),  # the other is withdrawn
        (S.DISCONN_COMM, (OPEN,), ("D1-RemoteDisconnect",), False),  # it had left
        (S.DISCONN_COMM, (OPEN,), (), False),  # it was off
    ],
)
def test_a_mark_that_does_not_hold_is_taken_away_and_the_truth_decides(
    status: InstallStatus,
    open_orders: tuple[OpenOrder, ...],
    children: tuple[str, ...],
    disconnects: bool,
) -> None:
    order = an_order(K.DISABLE, fields={NETTED_WITH: ENABLE})
    view = a_view(
        K.DISABLE,
        device=a_smart_meter(),
        status=status,
        open_orders=open_orders,
        measurements=(a_reading(),),
        children=tuple(a_child(name) for name in children),
    )
    found = evaluate(order, view)
    if disconnects:
        assert isinstance(found.verdict, Create)
        assert found.verdict.child.business_object == "D1-RemoteDisconnect"
        return
    assert isinstance(found.verdict, Pass)
    assert found.fields[NETTED_WITH] == ""


@for_every(("fields", "event"), [({NETTED_WITH: ENABLE}, ChildGaveUp), ({}, ChildFailed)])
def test_a_disconnect_that_was_called_back_stops_only_an_order_that_is_not_netted(
    fields: dict[str, str], event: type[object]
) -> None:
    child = a_child("D1-RemoteDisconnect", state=ChildState.CANCELED)
    order = an_order(K.DISABLE, state=OrderState.IN_PROGRESS, awaited_child=child.id, fields=fields)
    assert isinstance(observe(order, (child,)), event)


def test_the_mark_is_set_and_taken_away_without_moving_the_order() -> None:
    order = an_order(K.DISABLE, state=OrderState.WAITING)
    marked = step(order, Netted(other=ENABLE), now=NOON).order
    assert (marked.state, marked.fields[NETTED_WITH]) == (OrderState.WAITING, ENABLE)
    assert not step(marked, Netted(other=None), now=NOON).order.fields[NETTED_WITH]


@for_every(("netting", "more"), [(True, False), (False, True)])
def test_a_change_over_at_a_device_that_was_off_is_not_switched_off_again(
    netting: bool, more: bool
) -> None:
    view = a_view(
        K.BACK_TO_BACK,
        device=a_smart_meter(),
        status=S.CONN_COMM,
        measurements=(a_reading(),),
        children=(a_child("D1-RemoteConnect"),),
        activity_type={"netting": netting},
    )
    found = evaluate(an_order(K.BACK_TO_BACK), view)
    assert isinstance(found.verdict, Create) is more
