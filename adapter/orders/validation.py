"""What is checked before an order may look at the world, as rows; once more on its release.

Documented: the activity type, the service point, and that no other order is open there. The rest
is ours, from what regulators and operators ask before a cut.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapter.model.device import Category
from adapter.model.ids import OrderId
from adapter.orders.events import OrderValidated, Rejected
from adapter.orders.order import OpenOrder, OrderKind, OrderProblem, OrderState, ServiceOrder, View
from adapter.orders.payment import CONFIRMED_BY, PAYMENT, may_not_reconnect

EVIDENCE: Final = "noticeReference"
"""The element of a cut order that refers to the notices the customer was given."""

ORDER_OPEN: Final = "order_open"
DISCONNECT_OPEN: Final = "disconnect_open"

_ALL: Final = frozenset(OrderKind)
_OFF: Final = frozenset({OrderKind.CUT, OrderKind.DISABLE})

OPPOSITE: Final[Mapping[OrderKind, frozenset[OrderKind]]] = MappingProxyType(
    {OrderKind.RECONNECT: frozenset({OrderKind.CUT})}
)
"""A payment's reconnect voids a cut (ours)."""

_NOT_ACCEPTED: Final = frozenset(
    {OrderState.PENDING, OrderState.VALIDATE, OrderState.VALIDATION_ERROR}
)
_UNDER_WAY: Final = frozenset({OrderState.IN_PROGRESS, OrderState.ACTIVITY_ERROR})

Rule = Callable[[ServiceOrder, View], str]


def _type_fits(order: ServiceOrder, view: View) -> str:
    kind = view.activity_type.kind
    return "" if kind is order.kind else f"activity type {order.activity_type} is for {kind}"


def _alone(order: ServiceOrder, view: View) -> str:
    other = blocking_order(order, view)
    return "" if other is None else f"{other.kind} order {other.id} is open here ({other.state})"


def _unrestricted(_order: ServiceOrder, view: View) -> str:
    return f"nothing may be disconnected here: {view.restricted}" if view.restricted else ""


def _evidence(order: ServiceOrder, view: View) -> str:
    if not view.activity_type.require_evidence or order.fields.get(EVIDENCE):
        return ""
    return f"a cut needs {EVIDENCE}: what the customer was told, and when"


def _zone_known(_order: ServiceOrder, view: View) -> str:
    name = view.service_point.time_zone
    return "" if _zone(name) is not None else f"unknown time zone {name}"


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None


def _no_moratorium(_order: ServiceOrder, view: View) -> str:
    zone = _zone(view.service_point.time_zone)
    if zone is None:
        return ""
    today = view.now.astimezone(zone).date()
    for each in view.activity_type.moratoria:
        if each.first <= today <= each.last:
            return f"no cuts from {each.first} to {each.last}: {each.reason or 'moratorium'}"
    return ""


def _disconnect_open(_order: ServiceOrder, view: View) -> str:
    command = view.disconnect_open
    return "" if command is None else f"command {command}, a disconnect of the device, is open"


def _exchangeable(_order: ServiceOrder, view: View) -> str:
    if view.service_point.category is Category.MULTI_ITEM:
        return "a multi-item has no device to exchange"
    done = any(child.completed for child in view.children)
    return "" if view.device_installed or done else "there is no device to exchange"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRule:
    code: str
    kinds: frozenset[OrderKind]
    broken: Rule
    action: str


_REGISTRY: Final = "correct the service point in the registry, then retry"
_NOTICE: Final = f"add it (order correct --field {EVIDENCE}=...), then retry"

RULES: Final = (
    ValidationRule(
        code="activity_type", kinds=_ALL, broken=_type_fits, action="discard, and order anew"
    ),
    ValidationRule(code="time_zone", kinds=_ALL, broken=_zone_known, action=_REGISTRY),
    ValidationRule(
        code=ORDER_OPEN,
        kinds=_ALL,
        broken=_alone,
        action="it goes on when that one ends; or cancel that one",
    ),
    ValidationRule(
        code="restricted",
        kinds=_OFF,
        broken=_unrestricted,
        action="lift it in the registry, then retry; or discard",
    ),
    ValidationRule(
        code="evidence", kinds=frozenset({OrderKind.CUT}), broken=_evidence, action=_NOTICE
    ),
    ValidationRule(
        code="moratorium",
        kinds=frozenset({OrderKind.CUT}),
        broken=_no_moratorium,
        action="retry when it is over, or discard",
    ),
    ValidationRule(
        code=DISCONNECT_OPEN,
        kinds=frozenset({OrderKind.RECONNECT}),
        broken=_disconnect_open,
        action="it goes on when that command ends; or cancel the command",
    ),
    ValidationRule(
        code=PAYMENT,
        kinds=frozenset({OrderKind.RECONNECT}),
        broken=may_not_reconnect,
        action=f"to reconnect: order correct --field {CONFIRMED_BY}=..., then retry; or discard",
    ),
    ValidationRule(
        code="no_device",
        kinds=frozenset({OrderKind.EXCHANGE}),
        broken=_exchangeable,
        action="load the device's install event, then retry; or discard",
    ),
)


def validate(order: ServiceOrder, view: View | None) -> tuple[OrderProblem, ...]:
    """Every rule that the order breaks; empty means valid. Without a view: no service point."""
    if view is None:
        return (
            OrderProblem(
                code="service_point",
                text=f"service point or activity type unknown: {order.service_point}",
                action="load the service point, then retry; or discard, and order anew",
            ),
        )
    other = blocking_order(order, view)
    return tuple(
        OrderProblem(
            code=rule.code,
            text=text,
            action=rule.action,
            order=other.id if other is not None and rule.code == ORDER_OPEN else None,
        )
        for rule in RULES
        if order.kind in rule.kinds and (text := rule.broken(order, view))
    )


def check_rules(order: ServiceOrder, view: View | None) -> OrderValidated | Rejected:
    """The event that CheckRules feeds."""
    problems = validate(order, view)
    if problems or view is None:
        return Rejected(problems=problems)
    return OrderValidated(superseded=tuple(each.id for each in superseded_orders(order, view)))


def blocking_order(order: ServiceOrder, view: View) -> OpenOrder | None:
    """The open order that this one has to wait for; one that it supersedes does not block it.

    Of two that are not validated yet the older comes first (ids sort by time), so that they never
    block each other.
    """
    superseded = {each.id for each in superseded_orders(order, view)}
    return next(
        (
            each
            for each in view.open_orders
            if each.id not in {order.id, *superseded}
            and (each.state not in _NOT_ACCEPTED or each.id < order.id)
        ),
        None,
    )


def overtaken_order(order: ServiceOrder, view: View) -> OrderId | None:
    """The open opposite order under way that alone holds this one up: it is called back, and this
    one waits for what becomes of it."""
    problems = validate(order, view)
    if any(each.code not in (ORDER_OPEN, DISCONNECT_OPEN) for each in problems):
        return None
    other = next((each.order for each in problems if each.order is not None), None)
    void = OPPOSITE.get(order.kind, ())
    return next((x.id for x in view.open_orders if x.id == other and x.kind in void), None)


def superseded_orders(order: ServiceOrder, view: View) -> tuple[OpenOrder, ...]:
    """Open opposite orders that this one withdraws because nothing has left for the field yet.

    One whose child is under way blocks instead, see `overtaken_order`: its outcome has to be known
    first.
    """
    return tuple(
        each
        for each in view.open_orders
        if each.kind in OPPOSITE.get(order.kind, ()) and each.state not in _UNDER_WAY
    )
