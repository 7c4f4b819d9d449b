"""A gateway and a head end for one test, each in a thread of its own, so that tests may block."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Generic, TypeVar

from adapter.client.client import GatewayClient
from adapter.engine.clock import SystemClock
from adapter.headend.settings import HeadEndSettings
from adapter.model.values import replace
from adapter.server.settings import ApiKey, Role
from adapter.service.app import App, over
from adapter.service.settings import Settings
from adapter.service.stores import store_of
from adapter.simulator.faults import Script
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.registry import registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from adapter.wire.codec import packaged_codec

T = TypeVar("T")
R = TypeVar("R")

KEY: Final = "ann-" + "0" * 32
SECOND_KEY: Final = "bob-" + "0" * 32
_KEYS: Final = (
    ApiKey.of("ann", KEY, Role.READ, Role.OPERATE, Role.SWITCH, Role.ADMIN),
    ApiKey.of("bob", SECOND_KEY, Role.APPROVE),
)
_METERS: Final = PopulationPlan(count=50, generating_share=0.0)
_LOOK_S: Final = 0.02
_WAIT_S: Final = 60.0


class ForwardClock:
    """The machine's time, and what `forward` has added to it: all that is due by then happens at
    once, as after so long a wait."""

    def __init__(self) -> None:
        self._machine = SystemClock()
        self._ahead = timedelta()

    def now(self) -> datetime:
        return self._machine.now() + self._ahead

    def elapsed_s(self) -> float:
        return self._machine.elapsed_s() + self._ahead.total_seconds()

    async def wait(self, until: datetime) -> None:
        while True:
            left = (until - self.now()).total_seconds()
            if left <= 0:
                return
            await asyncio.sleep(min(left, _LOOK_S))

    def forward(self, by: timedelta) -> datetime:
        """Gives the time that it is then."""
        self._ahead += by
        return self.now()


@dataclass(frozen=True, slots=True)
class _Running(Generic[T]):
    """What runs in a thread of its own."""

    it: T
    loop: asyncio.AbstractEventLoop

    def call(self, function: Callable[[T], R]) -> R:
        """There, where nothing else of it runs meanwhile."""

        async def called() -> R:
            return function(self.it)

        return asyncio.run_coroutine_threadsafe(called(), self.loop).result(_WAIT_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadEndUnderTest:
    """A simulated head end at `url`."""

    url: str
    simulator: Simulator
    running: _Running[Simulator]

    def script(self, script: Script) -> Script:
        """Have something go wrong, from now on; docs/simulator.md has the effects."""
        return self.call(lambda simulator: simulator.world.scripts.add(script))

    def call(self, function: Callable[[Simulator], R]) -> R:
        """A look at it, or a change of its meters, in its own thread."""
        return self.running.call(function)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayUnderTest:
    """A gateway whose REST API is at `url`. `key` may all but approve, which `second_key` may."""

    url: str
    key: str = KEY
    second_key: str = SECOND_KEY

    def client(self) -> GatewayClient:
        """A new one, for `async with`."""
        return GatewayClient(self.url, self.key, second_key=self.second_key)


@contextmanager
def a_head_end(
    clock: ForwardClock, config: SimulatorConfig | None = None
) -> Iterator[HeadEndUnderTest]:
    made = config or replace(SimulatorConfig(), population=_METERS)
    simulator = Simulator(made, clock=clock, codec=packaged_codec())
    with _in_a_thread(simulator) as running:
        yield HeadEndUnderTest(url=simulator.url, simulator=simulator, running=running)


@contextmanager
def a_gateway(
    head_end: HeadEndUnderTest,
    clock: ForwardClock,
    folder: Path,
    settings: Settings | None = None,
) -> Iterator[GatewayUnderTest]:
    """`settings` but for store, ports, keys and head end, which are those of the test."""
    given = settings or Settings()
    used = replace(
        given,
        store=replace(given.store, path=folder / "gateway.db"),
        listener=replace(given.listener, port=0),
        api=replace(given.api, port=0, keys=_KEYS),
        head_end=HeadEndSettings(base_url=head_end.url)
        if given.head_end is None
        else replace(given.head_end, base_url=head_end.url),
    )
    with _in_a_thread(_gateway(used, head_end, clock)) as running:
        listener = running.it.listener.url
        head_end.call(lambda simulator: simulator.subscribe(f"{listener}/openway/data"))
        yield GatewayUnderTest(url=running.it.rest.url)


@asynccontextmanager
async def _gateway(
    settings: Settings, head_end: HeadEndUnderTest, clock: ForwardClock
) -> AsyncIterator[App]:
    store = store_of(settings.store, now=clock.now)
    await store.open()
    try:
        async with over(store, settings, codec=packaged_codec(), clock=clock) as app:
            devices = registry_of(head_end.simulator.world.population)
            await app.gateway.registry.import_devices(devices, by="ann")
            yield app
    finally:
        await store.close()


@contextmanager
def _in_a_thread(manager: AbstractAsyncContextManager[T]) -> Iterator[_Running[T]]:
    """Entered, run and left by one task there. Raises what entering it or leaving it raises."""
    ready = threading.Event()
    running: list[_Running[T]] = []
    failed: list[BaseException] = []
    ended = asyncio.Event()

    async def serve() -> None:
        async with manager as made:
            running.append(_Running(made, asyncio.get_running_loop()))
            ready.set()
            await ended.wait()

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    ready.wait(_WAIT_S)
    if failed:
        raise failed[0]
    (made,) = running
    try:
        yield made
    finally:
        made.loop.call_soon_threadsafe(ended.set)
        thread.join(_WAIT_S)
        if failed:
            raise failed[0]
