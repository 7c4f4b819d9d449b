"""A gateway, a simulated head end, all twelve commands over real SOAP and a service order."""

import secrets
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from adapter.commands.activity import Command, CommandRequest, ReadPeriod
from adapter.commands.calls import SwitchState
from adapter.commands.flows import CLOSING_KINDS, FLOWS, READ_KINDS, CommandKind, Scope
from adapter.demo.order import DemoCrew, NewService, OrderStory, new_service, run_order
from adapter.engine.clock import SystemClock
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.settings import CommandSettings
from adapter.headend.settings import HeadEndSettings, LimitSettings, Timeouts
from adapter.model.ids import DeviceId, EndpointId
from adapter.model.values import replace
from adapter.server.connections import bind, url_of
from adapter.service.app import App, running
from adapter.service.assembly import Core, OrderParts, connect
from adapter.service.settings import Api, Settings
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.registry import device_id, registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from adapter.store.commands.commands import SqliteStore
from adapter.wire.codec import Codec, packaged_codec

_WAIT_S: Final = 60.0
ANY_PORT: Final = Settings(api=Api(port=0))
_GROUP: Final = "Substation 1"
_METERS: Final = PopulationPlan(count=41, group_size=20, generating_share=0.0)
_NEW: Final = 40
"""The meter that a crew installs: all others belong to the twelve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoLine:
    """One command of the demo and how it went. `messages` counts requests, replies, callbacks."""

    command: Command
    messages: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSite:
    """A simulated head end and a gateway that know each other, on loopback."""

    simulator: Simulator
    app: App

    def device(self, number: int) -> DeviceId:
        """The device of the n-th simulated meter, from 0."""
        return device_id(self.endpoint(number))

    def endpoint(self, number: int) -> EndpointId:
        plan = self.simulator.config.population
        return EndpointId(f"{plan.esn_prefix}{plan.first_number + number}")


@asynccontextmanager
async def stage(
    folder: Path,
    *,
    config: SimulatorConfig | None = None,
    settings: CommandSettings | None = None,
    prepare: Callable[[Simulator], None] = lambda simulator: None,
    orders: OrderParts | None = None,
    devices: bool = True,
    timeouts: Timeouts | None = None,
) -> AsyncIterator[DemoSite]:
    """Simulator, and gateway on SQLite in `folder`, everything running; the simulator's meters are
    imported unless `devices` says that others come in their place."""
    codec = packaged_codec()
    clock = SystemClock()
    simulator = Simulator(config, codec=codec, clock=clock)
    prepare(simulator)
    async with AsyncExitStack() as stack:
        head_end = await simulator.start()
        stack.push_async_callback(simulator.stop)
        listening = bind("127.0.0.1", 0)
        simulator.subscribe(f"{url_of(listening, tls=False)}/openway/data")
        core = await stack.enter_async_context(
            core_for(
                head_end,
                listening,
                folder,
                codec=codec,
                settings=settings,
                orders=orders,
                timeouts=timeouts,
            )
        )
        if devices:
            await core.gateway.registry.import_devices(
                registry_of(simulator.world.population), by="demo"
            )
        app = await stack.enter_async_context(running(core, ANY_PORT, listening, clock))
        yield DemoSite(simulator=simulator, app=app)


@asynccontextmanager
async def core_for(
    head_end: str,
    listening: socket.socket,
    folder: Path,
    *,
    codec: Codec,
    settings: CommandSettings | None = None,
    orders: OrderParts | None = None,
    timeouts: Timeouts | None = None,
) -> AsyncIterator[Core]:
    """A gateway on SQLite in `folder`, for a head end at this URL; it does not run yet."""
    clock = SystemClock()
    store = SqliteStore(folder / "gateway.db", now=clock.now)
    await store.open()
    try:
        yield connect(
            store=store,
            codec=codec,
            head_end=HeadEndSettings(
                base_url=head_end,
                limits=LimitSettings(concurrency=64),
                timeouts=timeouts or Timeouts(),
            ),
            identity=CallbackIdentity(url_of(listening, tls=False), (secrets.token_bytes(32),)),
            settings=settings or CommandSettings(),
            clock=clock,
            orders=orders,
        )
    finally:
        await store.close()


def twelve(stage: DemoSite, *, now: datetime) -> list[CommandRequest]:
    """One request of each kind, for meters whose state allows it (`meters_for_twelve`)."""
    period = ReadPeriod(start=now - timedelta(hours=4), end=now)
    return [
        CommandRequest(
            kind=kind,
            devices=_devices(stage, kind, number),
            group=_GROUP if FLOWS[kind].scope is Scope.GROUP else None,
            period=period if kind in READ_KINDS else None,
            check_load=kind in CLOSING_KINDS,
            requester="demo",
        )
        for number, kind in enumerate(CommandKind)
    ]


def _devices(stage: DemoSite, kind: CommandKind, number: int) -> tuple[DeviceId, ...]:
    if FLOWS[kind].scope is Scope.GROUP:
        return ()
    if kind is CommandKind.MULTI_DEVICE_STATUS_CHECK:
        return tuple(stage.device(item) for item in range(20, 40))
    return (stage.device(20 + number),)


def meters_for_twelve(simulator: Simulator) -> None:
    """A new meter to commission, an open switch to close, and one meter that does not answer."""
    population = simulator.world.population
    esns = list(population)
    new, opened, silent = (population.find(esns[20 + number]) for number in (0, 2, 19))
    if new is not None and opened is not None and silent is not None:
        population.put(replace(new, commissioned=False, registered=False))
        population.put(replace(opened, switch=SwitchState.DISCONNECTED))
        population.put(replace(silent, reachable=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """The twelve commands, and the service order after them."""

    commands: list[DemoLine]
    order: OrderStory


async def run(
    folder: Path | None = None, *, told: Callable[[Command], None] = lambda command: None
) -> Demo:
    """Run the twelve commands, each to its end, then an order. `told` hears of every command."""
    with tempfile.TemporaryDirectory(prefix="openway-demo-") as temporary:
        config = SimulatorConfig(population=_METERS)
        place = folder or Path(temporary)
        crew, new = DemoCrew(), list[NewService]()

        def prepare(simulator: Simulator) -> None:
            meters_for_twelve(simulator)
            endpoint = EndpointId(f"{_METERS.esn_prefix}{_METERS.first_number + _NEW}")
            new.append(new_service(simulator, endpoint))

        async with stage(place, config=config, prepare=prepare, orders=crew.parts) as made:
            shown = []
            for request in twelve(made, now=SystemClock().now()):
                item = await _one(made, request)
                told(item.command)
                shown.append(item)
            (service,) = new
            crew.bring(service.device)
            return Demo(commands=shown, order=await run_order(made.app, service))


async def _one(made: DemoSite, request: CommandRequest) -> DemoLine:
    gateway = made.app.gateway
    started = time.monotonic()
    command = await gateway.commands.submit(request, actor="demo")
    done = await gateway.commands.wait(command.id, timeout_s=_WAIT_S)
    seconds = time.monotonic() - started
    messages = await gateway.commands.messages(command.id)
    return DemoLine(command=done, messages=len(messages), seconds=seconds)
