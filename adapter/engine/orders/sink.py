"""Publications of commands, on their way to the orders that they concern."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from adapter.commands.activity import Command
from adapter.commands.flows import Completion
from adapter.engine.commands.ports import Clock, Publication, PublicationRow
from adapter.engine.orders.ports import OrderStore
from adapter.model.ids import DeviceId, OrderId

_COMMAND: Final = "openway.command."
_MEASURED: Final = f"{_COMMAND}completion.{Completion.CREATE_IMD}"


class OrderSink:
    """Commands that moved wake the order they belong to; readings, the orders that wait there."""

    name = "orders"

    def __init__(self, store: OrderStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.poke: Callable[[], None] = lambda: None
        self.moved: Callable[[Command], None] = lambda command: None
        """Called with every command that was saved: a hint."""

    async def deliver(self, batch: Sequence[PublicationRow]) -> None:
        """Durable when it returns: the orders are due in the store."""
        told = [row.publication for row in batch if row.publication.type.startswith(_COMMAND)]
        orders = {OrderId(str(each.data["order"])) for each in told if each.data.get("order")}
        if devices := _measured(told):
            orders |= set(await self._store.waiting_for(sorted(devices)))
        if orders:
            await self._store.wake(sorted(orders), self._clock.now())
            self.poke()


def _measured(told: Iterable[Publication]) -> set[DeviceId]:
    """Devices of read commands that made initial measurements; the first hundred of each."""
    found: set[DeviceId] = set()
    for each in told:
        devices = each.data.get("devices")
        if each.type == _MEASURED and isinstance(devices, list | tuple):
            found |= {DeviceId(str(device)) for device in devices}
    return found
