"""What a payment finds at a service point: whether supply is off, by what, who may restore it.

Ours: the source has Reconnect for Payment, and does not say what makes it necessary.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from adapter.model.device import InstallStatus
from adapter.orders.order import OrderKind, OrderState, ServiceOrder, View
from adapter.orders.switching import supplied

PAYMENT: Final = "payment"
"""The element of an order that a payment made: the payment's reference."""
CUT_BY: Final = "cutBy"
"""The order that took supply away, where it is known."""
SERVICE_ENDED_BY: Final = "serviceEndedBy"
"""The order that ended service here: a payment alone does not turn it on again."""
CONFIRMED_BY: Final = "confirmedBy"
"""Who decided that supply is restored all the same."""
LEFT_OFF_BY: Final = "leftOffBy"
"""Who decided that supply stays off all the same."""

NO_REFERENCE: Final = "(no reference)"


class PaidSupply(StrEnum):
    """What a payment comes to."""

    NOT_CUT = "not_cut"
    """Supply was never cut, or is on again; every open cut has ended."""
    RECONNECTING = "reconnecting"
    """An order to reconnect is open; it waits for a cut that is under way."""
    WAITS_FOR_PEOPLE = "waits_for_people"
    """An order to reconnect is open and a to-do says why it does not go on."""


class LastOrder(StrEnum):
    """What the orders of the service point say of its supply, the newest that says something."""

    CUT = "cut"
    ENDED = "ended"
    RESTORED = "restored"
    NONE = "none"


RESTORING: Final = frozenset({OrderKind.ENABLE, OrderKind.RECONNECT})


def last_order(newest_first: Sequence[ServiceOrder]) -> tuple[LastOrder, ServiceOrder | None]:
    """Which order left the service point as it is. One that was given up counts as having cut, or
    ended service, where it had work: what became of that may not be known."""
    for order in newest_first:
        done = order.state is OrderState.COMPLETED
        if order.kind is OrderKind.CUT and (done or order.children):
            return LastOrder.CUT, order
        if order.kind is OrderKind.DISABLE and done:
            return LastOrder.ENDED, order
        if order.kind in RESTORING and done:
            return LastOrder.RESTORED, order
    return LastOrder.NONE, None


def was_cut(view: View, last: LastOrder) -> bool:
    """Whether supply is off and was on before.

    A meter that was never connected, or a service point without one, is not cut unless an order
    says so.
    """
    if supplied(view):
        return False
    if last in (LastOrder.CUT, LastOrder.ENDED):
        return True
    return view.device_installed and view.status is not InstallStatus.PRECONN_COMM


def stays_dark(order: ServiceOrder, view: View) -> str:
    """What people have to know who see to a reconnection, or give it up: who is without supply."""
    if order.kind is not OrderKind.RECONNECT or supplied(view):
        return ""
    paid = ", who has paid," if order.fields.get(PAYMENT) else ""
    return f"the customer{paid} stays without supply"


def given_up(order: ServiceOrder) -> bool:
    """Whether the customer has paid and nobody reconnects, though nobody decided that it be so."""
    paid = order.kind is OrderKind.RECONNECT and bool(order.fields.get(PAYMENT))
    return paid and order.state is OrderState.DISCARDED and not order.fields.get(LEFT_OFF_BY)


def may_not_reconnect(order: ServiceOrder, view: View) -> str:
    """Why an order that a payment made may not restore supply by itself, or nothing."""
    fields = order.fields
    if not fields.get(PAYMENT) or fields.get(CONFIRMED_BY) or supplied(view):
        return ""
    ended = fields.get(SERVICE_ENDED_BY)
    if ended:
        return f"supply is off since order {ended} ended service here; the customer has paid"
    if view.activity_type.reconnect_on_payment:
        return ""
    by = f", cut by order {fields[CUT_BY]}" if fields.get(CUT_BY) else ""
    return f"the customer is dark{by} and has paid; this site does not reconnect on payment"
