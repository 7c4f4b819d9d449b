"""Needless switching that a site may have taken away: off and on again within one day.

A Disable Service that an Enable Service of the same day follows is not carried out at the switch:
both orders find supply on, take their readings and complete. One day is one day of the service
point's own calendar, by the effective dates; the Enable comes at or after the Disable. A Back-to-
Back at a device that was off is turned on and not off and on once more (`algorithms/remonoff.py`).

The truth decides. The mark on the Disable says only that it may be netted: what was switched off is
off, and the Enable turns it on; an Enable that is withdrawn nets nothing any more. All of it is
ours; asked for by operators whose move-outs and move-ins are close.
"""

from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

from adapter.model.device import ServicePoint
from adapter.model.ids import OrderId
from adapter.orders.algorithms.verdict import Create, Pass, Verdict
from adapter.orders.order import (
    NETTED_WITH,
    ActivityType,
    ChildFact,
    ChildState,
    OrderKind,
    OrderState,
    ServiceOrder,
    View,
)
from adapter.orders.switching import disconnects
from adapter.orders.validation import ORDER_OPEN

NETTED: Final = frozenset({OrderKind.DISABLE, OrderKind.BACK_TO_BACK})
"""The kinds whose switching can be needless."""


def netted_with(order: ServiceOrder) -> OrderId | None:
    """The other order of a pair."""
    other = order.fields.get(NETTED_WITH)
    return OrderId(other) if other else None


def may_net(
    enable: ServiceOrder, disable: ServiceOrder, type_: ActivityType | None, point: ServicePoint
) -> bool:
    """Whether an Enable that waits for an open Disable makes its switching needless.

    `type_` is the activity type of the Disable.
    """
    if enable.kind is not OrderKind.ENABLE or disable.kind is not OrderKind.DISABLE:
        return False
    waits = enable.problem is not None and enable.problem.code == ORDER_OPEN
    if enable.state is not OrderState.VALIDATION_ERROR or not waits:
        return False
    if type_ is None or not type_.netting or disable.final or disable.stop:
        return False
    after = enable.effective_at >= disable.effective_at
    return after and _day(enable, point) == _day(disable, point)


def _day(order: ServiceOrder, point: ServicePoint) -> date:
    """In a zone that is known: the rules of the Enable have been asked."""
    return order.effective_at.astimezone(ZoneInfo(point.time_zone)).date()


def left_on_by_move(before: ServiceOrder, after: ServiceOrder, view: View) -> str:
    """What a requester has to know who moves an Enable to another day when the Disable that it
    nets is over: nothing switches off any more, unless somebody orders it."""
    other = netted_with(before)
    if before.kind is not OrderKind.ENABLE or other is None:
        return ""
    if other in {each.id for each in view.open_orders}:
        return ""
    if _day(before, view.service_point) == _day(after, view.service_point):
        return ""
    return f"order {other} left supply on because of this one: if it is to be off, order a disable"


def left_on(order: ServiceOrder, view: View) -> str:
    """What a requester has to know whose Enable is given up: what becomes of the Disable that it
    nets, which nothing keeps from switching off any more unless it is over."""
    other = netted_with(order)
    if order.kind is not OrderKind.ENABLE or other is None:
        return ""
    if other in {each.id for each in view.open_orders}:
        return f"order {other} is still open and goes on to switch off: see how it ends"
    return f"order {other} may have left supply on because of this one: if so, order a disable"


def without_needless_switching(order: ServiceOrder, view: View, wish: Verdict) -> Verdict:
    """The wish of an algorithm; where it is to switch off what another order keeps on, none."""
    other = netted_with(order)
    if other is None or order.kind is not OrderKind.DISABLE or not isinstance(wish, Create):
        return wish
    if not disconnects(wish.child) or not holds(order, view):
        return wish
    return Pass(note=f"not switched off: netted with order {other}", row=wish.row)


def holds(order: ServiceOrder, view: View) -> bool:
    """Whether the other order still keeps supply on: it is open, and nothing was switched off."""
    if any(each.completed and disconnects(each.spec) for each in view.children):
        return False
    return netted_with(order) in {each.id for each in view.open_orders}


def called_back(order: ServiceOrder, child: ChildFact) -> bool:
    """Whether the child was to switch off, and was called back before anything of it left."""
    gone = child.state in (ChildState.CANCELED, ChildState.DISCARDED)
    return gone and netted_with(order) is not None and disconnects(child.spec)
