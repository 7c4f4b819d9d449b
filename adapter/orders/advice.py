"""What people have to know of supply when an order that was to give it is given up."""

from typing import Final

from adapter.orders.netting import left_on
from adapter.orders.order import OrderKind, ServiceOrder, View
from adapter.orders.payment import stays_dark

GIVING_SUPPLY: Final = frozenset({OrderKind.ENABLE, OrderKind.RECONNECT})
"""The kinds that there is something to say of."""


def on_giving_up(order: ServiceOrder, view: View | None) -> str:
    """ "" where there is nothing to know."""
    if view is None:
        return ""
    dark = stays_dark(order, view)
    return f"{dark}: see to it, or order a reconnection" if dark else left_on(order, view)
