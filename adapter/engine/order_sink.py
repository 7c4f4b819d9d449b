"""Publications of commands that belong to orders, on their way to these."""

from collections.abc import Callable, Sequence

from adapter.engine.order_ports import (
    OrderStore,
)
from adapter.engine.ports import Clock, PublicationRow
from adapter.model.ids import OrderId


class OrderSink:
    """Commands that moved wake the order that they belong to; a sink like any other."""

    name = "orders"

    def __init__(self, store: OrderStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.poke: Callable[[], None] = lambda: None

    async def deliver(self, batch: Sequence[PublicationRow]) -> None:
        """Durable when it returns: the orders are due in the store."""
        orders = {
            str(row.publication.data["order"])
            for row in batch
            if row.publication.type.startswith("openway.command.")
            and row.publication.data.get("order")
        }
        if orders:
            await self._store.wake([OrderId(order) for order in sorted(orders)], self._clock.now())
            self.poke()
