"""Turns the schedule and carries its deliveries to their addresses, each lane in order."""

import asyncio
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from math import ceil
from time import perf_counter
from typing import Final

from msgspec import Struct

from adapter.engine.commands.ports import Clock
from adapter.errors import GatewayError
from adapter.simulator.callbacks import CallbackClient, Unposted
from adapter.simulator.jobs import Delivery
from adapter.simulator.journal import SimulatorJournal
from adapter.simulator.world import SimulatedWorld
from adapter.wire.codec import Codec

_TURN_S: Final = 0.01
"""How long due steps may keep requests and callbacks waiting."""

_TICK: Final = timedelta(milliseconds=1)

_BACKLOG: Final = 512
"""Deliveries waiting past which no further step is taken: a bound for memory."""

_METERS_WAITING: Final = 500
"""Meters whose data wait, past which no further data are made: a day of one takes some 30 kB."""


class _Queued(Struct, frozen=True):
    delivery: Delivery
    attempt: int


class Deliverer:
    """Runs due steps of a world, and sends what they give.

    `by_hand`: only `run_due` runs steps; otherwise they run when the clock has come to them.
    """

    def __init__(
        self,
        world: SimulatedWorld,
        codec: Codec,
        journal: SimulatorJournal,
        clock: Clock,
        *,
        by_hand: bool,
    ) -> None:
        self._world = world
        self._codec = codec
        self._journal = journal
        self._clock = clock
        self._by_hand = by_hand
        self._lanes: dict[str, deque[_Queued]] = {}
        self._lane_tasks: dict[str, asyncio.Task[None]] = {}
        self._waiting = self._meters_waiting = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due: datetime | None = None
        self._stopped = False
        self._pauses: set[asyncio.Future[None]] = set()
        self._client: CallbackClient | None = None
        world.worker.congested = lambda: self._meters_waiting >= _METERS_WAITING

    async def start(self) -> None:
        self._stopped = False
        config = self._world.config
        self._slots = asyncio.Semaphore(config.limits.callback_concurrency)
        self._client = CallbackClient(config)
        self.wake()

    async def stop(self) -> None:
        """Drop what is still to be sent; every pause ends now."""
        self._stopped = True
        self._idle.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._timer_due = None
        for pause in tuple(self._pauses):
            if not pause.done():
                pause.set_result(None)
        tasks = tuple(self._lane_tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._lanes.clear()
        self._lane_tasks.clear()
        self._waiting = self._meters_waiting = 0
        if self._client is not None:
            self._client.close()

    def wake(self) -> None:
        """To be called when steps were put into the schedule."""
        due = self._world.schedule.next_due
        if due is None or self._stopped or self._by_hand:
            return
        if self._timer is not None and self._timer_due is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        # Loops count in milliseconds: less than is left, and a turn would come too early.
        wait = max(0, ceil((due - self._clock.now()) / _TICK)) * _TICK
        self._timer_due = due
        self._timer = asyncio.get_running_loop().call_later(wait.total_seconds(), self._turn)

    def send(self, deliveries: Iterable[Delivery]) -> None:
        """Queue deliveries in their lanes; returns at once."""
        for delivery in deliveries:
            self._queue(_Queued(delivery, 1))

    async def sent(self) -> None:
        """Wait until nothing is queued or under way."""
        await self._idle.wait()

    async def lane_sent(self, lane: str) -> None:
        """Wait until the lane that is busy now is empty."""
        task = self._lane_tasks.get(lane)
        if task is not None:
            await asyncio.wait((task,))

    async def run_due(self) -> None:
        """Run every step that is due now, and those that these bring; wait for all deliveries.

        What was sent at one moment is answered before anything of a later moment happens.
        """
        moment: datetime | None = None
        while not self._stopped:
            due = self._world.schedule.next_due
            if self._waiting and (due != moment or self._waiting >= _BACKLOG):
                await self._idle.wait()
                continue
            deliveries = self._world.schedule.run_one(self._clock.now())
            if deliveries is None:
                return
            moment = due
            self.send(deliveries)

    async def pause(self, seconds: float | None) -> bool:
        """Wait by the simulator's clock, or for ever; False where the simulator has stopped."""
        pause: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pauses.add(pause)

        def end(_: datetime) -> list[Delivery]:
            if not pause.done():
                pause.set_result(None)
            return []

        if seconds is not None:
            self._world.schedule.put(self._clock.now() + timedelta(seconds=seconds), end)
            self.wake()
        try:
            await pause
        finally:
            self._pauses.discard(pause)
        return not self._stopped

    def _turn(self) -> None:
        self._timer = self._timer_due = None
        now = self._clock.now()
        enough = perf_counter() + _TURN_S
        try:
            while self._waiting < _BACKLOG and perf_counter() < enough:
                deliveries = self._world.schedule.run_one(now)
                if deliveries is None:
                    break
                self.send(deliveries)
        finally:
            if self._waiting < _BACKLOG:  # else the lane that empties next wakes us
                self.wake()

    def _queue(self, queued: _Queued) -> None:
        if self._stopped:
            return
        self._waiting += 1
        self._meters_waiting += len(queued.delivery.endpoints)
        self._idle.clear()
        lane = self._lanes.get(queued.delivery.lane)
        if lane is not None:
            lane.append(queued)
            return
        self._lanes[queued.delivery.lane] = deque((queued,))
        name = queued.delivery.lane
        self._lane_tasks[name] = asyncio.get_running_loop().create_task(self._empty(name))

    async def _empty(self, name: str) -> None:
        lane = self._lanes[name]
        try:
            while lane:
                async with self._slots:
                    await self._deliver(lane[0])
                self._done(lane.popleft())
        finally:
            del self._lanes[name], self._lane_tasks[name]
            for queued in lane:
                self._done(queued)
            self.wake()

    def _done(self, queued: _Queued) -> None:
        self._waiting -= 1
        self._meters_waiting -= len(queued.delivery.endpoints)
        if self._waiting == 0 or self._stopped:
            self._idle.set()

    async def _deliver(self, queued: _Queued) -> None:
        delivery = queued.delivery
        payload, status, error = await self._post(delivery)
        self._journal.delivered(
            at=self._clock.now(),
            operation=delivery.operation,
            address=delivery.address,
            token=delivery.token,
            state=delivery.state,
            endpoints=delivery.endpoints,
            status=status,
            error=error,
            body=payload,
        )
        good = status is not None and 200 <= status < 300
        limits = self._world.config.limits
        if good or queued.attempt >= limits.callback_attempts:
            return
        again = _Queued(delivery, queued.attempt + 1)
        due = self._clock.now() + timedelta(seconds=limits.callback_retry_s)
        self._world.schedule.put(due, lambda _: self._again(again))

    def _again(self, queued: _Queued) -> list[Delivery]:
        self._queue(queued)
        return []

    async def _post(self, delivery: Delivery) -> tuple[bytes, int | None, str]:
        if self._client is None:
            return b"", None, "not started"
        action = self._codec.catalog.spec(delivery.operation).soap_action
        try:
            payload = self._codec.encode_request(delivery.operation, delivery.body)
        except GatewayError as error:
            return b"", None, f"{type(error).__name__}: {error}"
        try:
            return payload, await self._client.post(delivery.address, action, payload), ""
        except Unposted as error:
            return payload, None, str(error)
