"""Turns the schedule and carries its deliveries to their addresses, each lane in order."""

import asyncio
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from math import ceil
from time import perf_counter
from typing import Final

from msgspec import Struct

from adapter.engine.commands.ports import Clock
from adapter.errors import GatewayError
from adapter.simulator.callbacks import CallbackClient
from adapter.simulator.jobs import Delivery
from adapter.simulator.journal import SimulatorJournal
from adapter.simulator.status_messages import StatusMessages
from adapter.simulator.work import STATUS_CHANGED
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
        self._emptied: dict[str, asyncio.Event] = {}
        self._ready: deque[str] = deque()
        self._under_way = self._most = 0
        self._statuses = StatusMessages(codec)
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
        self._most = config.limits.callback_concurrency
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
        if self._client is not None:
            await self._client.close()
        for emptied in self._emptied.values():
            emptied.set()
        for left in (self._lanes, self._ready, self._emptied):
            left.clear()
        self._waiting = self._meters_waiting = self._under_way = 0

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
        if lane in self._lanes:
            await self._emptied.setdefault(lane, asyncio.Event()).wait()

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
        name = queued.delivery.lane
        lane = self._lanes.get(name)
        if lane is not None:
            lane.append(queued)
            return
        self._lanes[name] = deque((queued,))
        self._ready.append(name)
        self._send_ready()

    def _send_ready(self) -> None:
        """The first of each lane that has none under way, as many at once as may be."""
        while self._ready and self._under_way < self._most:
            self._under_way += 1
            name = self._ready.popleft()
            self._post(name, self._lanes[name][0].delivery)

    def _post(self, name: str, delivery: Delivery) -> None:
        assert self._client is not None  # nothing is queued while there is none
        try:
            payload = self._encode(delivery)
            action = self._codec.catalog.spec(delivery.operation).soap_action
        except GatewayError as error:
            why = f"{type(error).__name__}: {error}"
            asyncio.get_running_loop().call_soon(self._answered, name, b"", None, why)
            return
        self._client.post(delivery.address, action, payload, partial(self._answered, name, payload))

    def _encode(self, delivery: Delivery) -> bytes:
        if delivery.operation == STATUS_CHANGED:
            return self._statuses.write(delivery.body)
        return self._codec.encode_request(delivery.operation, delivery.body)

    def _answered(self, name: str, payload: bytes, status: int | None, error: str) -> None:
        if self._stopped:
            return
        queued = self._lanes[name].popleft()
        delivery = queued.delivery
        try:
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
            if status is None or not 200 <= status < 300:
                self._try_again(queued)
        finally:
            self._done(name, delivery)

    def _done(self, name: str, delivery: Delivery) -> None:
        if self._lanes[name]:
            self._ready.append(name)
        else:
            del self._lanes[name]
            if (emptied := self._emptied.pop(name, None)) is not None:
                emptied.set()
        self._under_way -= 1
        self._waiting -= 1
        self._meters_waiting -= len(delivery.endpoints)
        if self._waiting == 0:
            self._idle.set()
        self._send_ready()
        self.wake()

    def _try_again(self, queued: _Queued) -> None:
        limits = self._world.config.limits
        if queued.attempt >= limits.callback_attempts:
            return
        again = _Queued(queued.delivery, queued.attempt + 1)
        due = self._clock.now() + timedelta(seconds=limits.callback_retry_s)
        self._world.schedule.put(due, lambda _: self._again(again))

    def _again(self, queued: _Queued) -> list[Delivery]:
        self._queue(queued)
        return []
