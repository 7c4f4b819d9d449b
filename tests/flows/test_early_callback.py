"""A callback that is faster than the reply with its token is kept until the token is known (I11).

Head end, listener, store and loops are the real ones. The clock stands unless the test turns it:
nothing but the token can bring the callback back.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp

from adapter.app import Core, connect
from adapter.commands.activity import Command, CommandRequest, State, Verdict
from adapter.commands.flows import CommandKind
from adapter.engine.clock import HandClock
from adapter.engine.gateway import GatewaySettings
from adapter.engine.identity import CallbackIdentity
from adapter.engine.ports import InboxRow, InboxState
from adapter.headend.settings import HeadEndSettings
from adapter.model.device import InstallStatus
from adapter.model.ids import DeviceId, RequestToken
from adapter.simulator.faults import Effect, Script
from adapter.simulator.registry import registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from adapter.store.sqlite import SqliteStore
from adapter.web.connections import bind, url_of
from adapter.web.listener import Listener
from tests.builders import NOON
from tests.simulator.rig import DISCONNECT
from tests.support import run
from tests.web.rig import XML, codec, status_changed

WORKED_S = 0.5
"""When the head end has done what it was asked to do."""
REPLY_S = 1.0
"""When its reply leaves: before a parked callback would be looked at again by itself."""
WAIT_S = 20.0


@dataclass
class SlowToReply:
    """A gateway and a head end that works at once, tells nothing by itself, and replies late."""

    core: Core
    simulator: Simulator
    clock: HandClock
    url: str
    http: aiohttp.ClientSession
    meter: DeviceId

    async def turn_to(self, seconds: float) -> None:
        """To so many seconds after NOON."""
        await self.clock.turn(NOON + timedelta(seconds=seconds))
        await self.simulator.run_due()

    async def disconnect(self) -> tuple[Command, RequestToken]:
        """A command under way, and the token that only the head end knows yet."""
        request = CommandRequest(kind=CommandKind.REMOTE_DISCONNECT, devices=(self.meter,))
        command = await self.core.gateway.submit(request, actor="test")
        while not self.simulator.journal.acted[DISCONNECT]:
            await self.core.gateway.wait(command.id, timeout_s=0.01)
        (token,) = self.simulator.world.jobs
        return command, token

    async def told_completed(self, token: RequestToken) -> InboxRow:
        """Completed, told at the address that names no request: what is made of it at first."""
        body = status_changed(token)
        async with self.http.post(self.url, data=body, headers=XML) as response:
            assert response.status == 200
        newest, *_ = await self.core.gateway.inbox()
        return await self.core.gateway.judged(newest.id, timeout_s=WAIT_S)


@asynccontextmanager
async def slow_to_reply(folder: Path) -> AsyncIterator[SlowToReply]:
    clock = HandClock(NOON)
    config = SimulatorConfig(
        scripts=(
            Script(effect=Effect.DELAY_REPLY, operation=DISCONNECT, seconds=REPLY_S),
            Script(effect=Effect.DROP_CALLBACK),
        )
    )
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator(config, codec=codec(), clock=clock))
        listening = bind("127.0.0.1", 0)
        store = SqliteStore(folder / "gateway.db", now=clock.now)
        await store.open()
        stack.push_async_callback(store.close)
        core = connect(
            store=store,
            codec=codec(),
            head_end=HeadEndSettings(base_url=simulator.url),
            identity=CallbackIdentity(url_of(listening, tls=False), (b"k" * 32,)),
            settings=GatewaySettings(),
            clock=clock,
        )
        meters = registry_of(simulator.world.population)
        await core.gateway.import_devices(meters)
        core.client.open()
        stack.push_async_callback(core.client.close)
        await core.gateway.start()
        stack.push_async_callback(core.gateway.stop)
        listener = await stack.enter_async_context(
            Listener(core.gateway, core.codec, clock=clock, listening=listening)
        )
        http = await stack.enter_async_context(aiohttp.ClientSession())
        url = f"{listener.url}/openway/status"
        yield SlowToReply(core, simulator, clock, url, http, meters.devices[0].id)


def test_an_early_callback_is_parked_until_its_token_is_known_and_then_applied_once(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with slow_to_reply(tmp_path) as made:
            gateway = made.core.gateway
            command, token = await made.disconnect()
            await made.turn_to(WORKED_S)
            early = await made.told_completed(token)
            assert (early.state, early.exchange, early.command) == (InboxState.PARKED, None, None)
            (exchange,) = (await gateway.get(command.id)).exchanges
            assert (exchange.token, exchange.status) == (None, None)

            await made.turn_to(REPLY_S)
            done = await gateway.wait(command.id, timeout_s=WAIT_S)

            assert (done.activity.state, done.activity.verdict) == (
                State.COMPLETED,
                Verdict.SUCCEEDED,
            )
            row = await gateway.inbox_row(early.id)
            assert (row.state, row.command) == (InboxState.APPLIED, command.id)
            assert (await made.told_completed(token)).state is InboxState.IGNORED
            actions = [entry.note.action for entry in await gateway.history(command.id)]
            assert [actions.count(each) for each in ("Dispatched", "StatusNotified")] == [1, 1]
            assert actions.index("TokenReceived") < actions.index("StatusNotified")
            (view,) = (await made.core.store.views([made.meter])).values()
            assert view.installed is not None
            assert view.installed.status is InstallStatus.DISCONN_COMM

    run(scenario())
