"""What the gateway does by itself, each in a loop of its own."""

import asyncio
from contextlib import suppress
from typing import Final

from adapter import __version__
from adapter.engine.commands.workers import CommandWorkers
from adapter.engine.events.events import DeviceEvents
from adapter.engine.feed.feed import Feed
from adapter.engine.inbox import Inbox
from adapter.engine.orders.orders import Orders
from adapter.engine.readings.completeness import Completeness
from adapter.engine.readings.ports import Intake
from adapter.engine.registry.registry import Registry
from adapter.engine.runner import Runner
from adapter.engine.schedules.schedules import Schedules
from adapter.engine.subscriptions.subscriptions import Subscriptions
from adapter.engine.upkeep.signals import Signal
from adapter.engine.upkeep.upkeep import Upkeep
from adapter.errors import StoreFailed

_LAST_WORD_S: Final = 2.0


class Loops:
    """Recovers from the last stop, then runs what is due; see `Gateway.start`."""

    def __init__(
        self,
        runner: Runner,
        *,
        workers: CommandWorkers,
        inbox: Inbox,
        intake: Intake,
        orders: Orders,
        events: DeviceEvents,
        feed: Feed,
        schedules: Schedules,
        subscriptions: Subscriptions,
        registry: Registry,
        upkeep: Upkeep,
        completeness: Completeness,
    ) -> None:
        self.runner = runner
        self._workers = workers
        self._inbox = inbox
        self._intake = intake
        self._orders = orders
        self._registry = registry
        self._upkeep = upkeep
        self._completeness = completeness
        self._feed = feed
        inbox.addressed_came = workers.correlator.addressed_came
        runner.add("correlate", self._correlate)
        runner.add("dispatch", workers.dispatcher.start_taken)
        runner.add("claim", workers.dispatcher.once)
        runner.add("attend", workers.monitor.attend_taken)
        runner.add("monitor", workers.monitor.once)
        runner.add("publish", workers.publisher.once)
        runner.add("intake", self._take_in)
        runner.add("clock", upkeep.clock_watch.once)
        runner.add("switch_safety", upkeep.switch_safety.once)
        if upkeep.witness is not None:
            runner.add("witness", upkeep.witness.once)
        runner.add("events", events.once)
        runner.add("schedules", schedules.once)
        runner.add("subscriptions", subscriptions.once)
        runner.add("retention", upkeep.retention.once)
        runner.add("signals", upkeep.signals.once)
        runner.add("durations", upkeep.durations.once)
        runner.add("completeness", completeness.once)
        for name, once in (*orders.loops.items(), *feed.deliveries.loops.items()):
            runner.add(name, once)

    async def start(self, *, background: bool) -> None:
        await self._upkeep.holds.load()
        if self._upkeep.witness is not None:
            await self._upkeep.witness.check()
        await self._upkeep.clock_watch.start()
        await self._workers.dispatcher.recover()
        await self._upkeep.switch_safety.start()
        await self._registry.start()
        await self._feed.deliveries.start()
        if background:
            self._workers.at_once.on = True
            self._upkeep.signals.tell(Signal.STARTED, version=__version__)
            self._upkeep.loop_lag.start()
            self.runner.start()

    async def stop(self) -> None:
        ran, self._workers.at_once.on = self._workers.at_once.on, False
        await self.runner.stop()
        await self._feed.deliveries.stop()
        await self._workers.dispatcher.settle()
        await self._intake.stop()
        await self._upkeep.clock_watch.stop()
        self._upkeep.loop_lag.stop()
        with suppress(StoreFailed):
            await self._upkeep.durations.write()
        if ran:
            with suppress(StoreFailed, TimeoutError):
                await self._say_stopped()
        if self._upkeep.witness is not None:
            await self._upkeep.witness.stop()

    async def _say_stopped(self) -> None:
        """And have sinks hear it, where they take it soon."""
        self._upkeep.signals.tell(Signal.STOPPED, version=__version__)
        await self._upkeep.signals.once()
        async with asyncio.timeout(_LAST_WORD_S):
            while await self._workers.publisher.once():
                pass

    async def drain(self) -> None:
        await self._upkeep.clock_watch.once()
        await self._upkeep.switch_safety.once()
        worked = 1
        while worked:
            worked = await self._correlate()
            worked += await self._take_in()
            worked += await self._workers.monitor.once()
            worked += await self._workers.dispatcher.once(inline=True)
            worked += await self._workers.publisher.once()

    async def _correlate(self) -> int:
        worked = await self._workers.correlator.once()
        if worked:
            self._inbox.moved()
        return worked

    async def _take_in(self) -> int:
        taken = await self._intake.once()
        if taken.worked:
            self._inbox.moved()
            self._completeness.loaded()
            self.runner.poke("completeness")
        self._workers.monitor.data_arrived(taken.endpoints)
        await self._orders.arrived(taken)
        return int(taken.worked)
