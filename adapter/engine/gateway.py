"""The one surface: REST, command line, listener, tests and other programs call this."""

import asyncio
from dataclasses import dataclass, field

from adapter.engine.commands.commands import Commands
from adapter.engine.events.events import DeviceEvents
from adapter.engine.feed.feed import Feed
from adapter.engine.inbox import Inbox
from adapter.engine.loops import Loops
from adapter.engine.orders.orders import Orders
from adapter.engine.readings.readings import Readings
from adapter.engine.registry.registry import Registry
from adapter.engine.schedules.schedules import Schedules
from adapter.engine.subscriptions.subscriptions import Subscriptions
from adapter.engine.upkeep.upkeep import Upkeep


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """All that a gateway can be asked, by subject: ten services over one store.

    Each may be called from several tasks at once, and says which errors it raises. They are of
    `adapter.errors`.
    """

    commands: Commands
    orders: Orders
    readings: Readings
    events: DeviceEvents
    feed: Feed
    schedules: Schedules
    subscriptions: Subscriptions
    registry: Registry
    upkeep: Upkeep
    inbox: Inbox
    loops: Loops = field(repr=False)

    async def start(self, *, background: bool = True) -> None:
        """Recover from the last stop, then run. Without `background` nothing runs by itself:
        `drain` works what is due of commands, `Orders.drain` of orders."""
        await self.loops.start(background=background)

    async def stop(self) -> None:
        """Stop claiming, let what is under way finish, leave the rest to the store."""
        await self.loops.stop()

    async def drain(self) -> None:
        """Work everything of commands and of the inbox that is due now, in a fixed order (I17)."""
        await self.loops.drain()

    @property
    def failed(self) -> "asyncio.Future[BaseException] | None":
        """Done when the store has failed and the process must stop (I12)."""
        return self.loops.runner.failed
