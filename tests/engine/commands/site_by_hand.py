"""Gateway on SQLite, simulator and listener over real HTTP, by one clock that the test turns.

The loops run; what is due by time happens only when the clock is turned.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp

from adapter.commands.activity import Command, CommandRequest
from adapter.commands.flows import CommandKind, Operation
from adapter.commands.rules import SwitchPolicy
from adapter.commands.timing import POLICIES, Policy
from adapter.demo.demo import meters_for_twelve
from adapter.engine.clock import HandClock
from adapter.engine.commands.correlator import ParkingPolicy
from adapter.engine.commands.dispatcher import DispatchSettings
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.gateway import Gateway
from adapter.headend.settings import HeadEndSettings
from adapter.model.ids import DeviceId
from adapter.server.connections import bind, url_of
from adapter.service.assembly import Core, connect
from adapter.simulator.faults import Script
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.registry import device_id, registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig, Timing
from adapter.store.commands.commands import SqliteStore
from adapter.web.listener.listener import Listener
from tests.builders import NOON
from tests.new_stores import new_store
from tests.web.both_servers import XML, codec

WAIT_S = 30.0
"""Longer than anything takes that needs no clock, on any machine."""
STEP_S = 0.1


@dataclass(frozen=True)
class ByHand:
    core: Core
    simulator: Simulator
    clock: HandClock
    listener: Listener
    http: aiohttp.ClientSession
    identity: CallbackIdentity

    @property
    def gateway(self) -> Gateway:
        return self.core.gateway

    def device(self, number: int) -> DeviceId:
        """The n-th simulated meter, as the registry knows it."""
        return device_id(list(self.simulator.world.population)[number])

    def sends(self, operation: Operation) -> int:
        """How many requests of an operation the head end has seen."""
        return self.simulator.journal.count(operation)

    async def turn(self, seconds: float) -> None:
        await self.clock.turn(self.clock.now() + timedelta(seconds=seconds))
        await self.simulator.run_due()

    async def sent(self, command: Command, operation: Operation) -> None:
        """Wait until the head end has seen a request of the operation."""
        while not self.sends(operation):
            await self.gateway.commands.wait(command.id, timeout_s=0.01)

    async def finish(self, command: Command, *, within_s: float = 20.0) -> Command:
        """Turn the clock step by step until the command is final, by `within_s` at most."""
        for _ in range(round(within_s / STEP_S)):
            command = await self.gateway.commands.wait(command.id, timeout_s=STEP_S)
            if command.activity.state.rests:
                return command
            await self.turn(STEP_S)
        raise AssertionError(f"not over after {within_s} s: {command.activity}")

    async def submit(self, kind: CommandKind, number: int, **asked: Any) -> Command:
        """For the n-th meter."""
        request = CommandRequest(kind=kind, devices=(self.device(number),), **asked)
        return await self.gateway.commands.submit(request, actor="test")

    async def tell(self, body: bytes, *, url: str = "") -> int:
        """One callback, at the address that names no request where none is given; the HTTP
        status."""
        url = url or f"{self.listener.url}/openway/status"
        async with self.http.post(url, data=body, headers=XML) as response:
            return response.status


@asynccontextmanager
async def by_hand(
    folder: Path,
    *scripts: Script,
    policies: Mapping[CommandKind, Policy] = POLICIES,
    switch: SwitchPolicy | None = None,
    parking: ParkingPolicy | None = None,
    store_type: type[SqliteStore] = SqliteStore,
) -> AsyncIterator[ByHand]:
    clock = HandClock(NOON)
    config = SimulatorConfig(
        population=PopulationPlan(count=40, group_size=20, generating_share=0.0),
        timing=Timing(jitter=0.0),
        scripts=scripts,
    )
    async with AsyncExitStack() as stack:
        simulator = Simulator(config, codec=codec(), clock=clock)
        meters_for_twelve(simulator)
        await stack.enter_async_context(simulator)
        listening = bind("127.0.0.1", 0)
        store = store_type(new_store(folder / "gateway.db"), now=clock.now)
        await store.open()
        stack.push_async_callback(store.close)
        identity = CallbackIdentity(url_of(listening, tls=False), (b"k" * 32,))
        core = connect(
            store=store,
            codec=codec(),
            head_end=HeadEndSettings(base_url=simulator.url),
            identity=identity,
            settings=CommandSettings(
                policies=policies,
                dispatch=DispatchSettings(switch=switch or SwitchPolicy()),
                parking=parking or ParkingPolicy(),
            ),
            clock=clock,
        )
        await core.gateway.registry.import_devices(registry_of(simulator.world.population))
        core.client.open()
        stack.push_async_callback(core.client.close)
        await core.gateway.start()
        stack.push_async_callback(core.gateway.stop)
        listener = await stack.enter_async_context(
            Listener(core.gateway.inbox, core.codec, clock=clock, listening=listening)
        )
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield ByHand(core, simulator, clock, listener, http, identity)
