"""Each row of the table of what is said is caused, and to-do, log, metric and event compared."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle
from pathlib import Path
from types import MappingProxyType
from typing import Final

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapter.commands.activity import CommandRequest
from adapter.commands.flows import CommandKind
from adapter.engine.clock import SystemClock
from adapter.engine.commands.ports import PublicationRow, Sink
from adapter.engine.commands.switch_holds import HoldReason
from adapter.engine.orders.requests import OrderRequest
from adapter.engine.subscriptions.subscriptions import Silence
from adapter.engine.upkeep.set_aside import WAITS, RowKind
from adapter.engine.upkeep.signals import SIGNALS, Signal
from adapter.model.ids import DeviceId, ServicePointId
from adapter.orders.order import OrderKind
from adapter.service.app import App, build
from adapter.service.settings import load, load_with_origin
from adapter.simulator.faults import Effect, Script
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.registry import device_id, registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig, Timing
from adapter.store.commands.commands import SqliteStore
from adapter.store.commands.holds import SqliteHolds
from adapter.store.subscriptions import SqliteSubscriptions
from tests.durability.gateway_process import until
from tests.engine.feed.receiving import SECRET, ReceivingSystem, a_system
from tests.wire.payloads import data_arrived, read_data

S: Final = Signal
WAIT_S: Final = 20.0
METERS: Final = 12
SLOW_S: Final = 1.0
KEY: Final = "watcher-" + "0" * 32


SCRIPTS: Final = (
    Script(
        effect=Effect.FAULT,
        operation="*.ReadDisconnect*",
        fault="TooManyConcurrentRequestsFault",
        first=1,
    ),
    Script(effect=Effect.INTERNAL_FAULT, operation="DisconnectMeter", first=1),
)


class BadSink:
    """A sink of the site's own that takes nothing."""

    name = "bad"

    async def deliver(self, batch: Sequence[PublicationRow]) -> None:
        raise OSError("no")


@dataclass
class Site:
    """A whole gateway by its settings, a simulated head end, a system that events are posted to."""

    folder: Path
    simulator: Simulator
    receiver: ReceivingSystem
    log: pytest.LogCaptureFixture
    app: App = field(init=False)
    checked: set[Signal] = field(default_factory=set)

    def device(self, number: int) -> DeviceId:
        return device_id(sorted(self.simulator.world.population)[number])

    @property
    def store_file(self) -> Path:
        return self.folder / "gateway.db"

    def settings_file(self) -> Path:
        (self.folder / "keys").write_text(f"watcher metrics,read {KEY}\n", encoding="utf-8")
        (self.folder / "events-keys").write_text(SECRET, encoding="utf-8")
        path = self.folder / "openway.toml"
        path.write_text(
            '[store]\npath = "gateway.db"\nwitness = "disk/witness"\n[listener]\nport = 0\n'
            '[api]\nport = 0\nkeys_file = "keys"\n'
            f'[head_end]\nbase_url = "{self.simulator.url}"\nconnect_attempts = 1\n'
            "[head_end.limits]\nbreaker_not_sent = 4\nbreaker_unknown = 4\nbreaker_open_s = 0.1\n"
            f"slow_s = {SLOW_S}\n"
            "[commands.remote_disconnect]\nreply_s = 1.0\nsettle_s = 0.2\nsettle_looks = 2\n"
            "poll_first_s = 0.2\npoll_every_s = 0.2\npoll_longest_s = 0.4\n"
            "[commands.device_status_check]\nretry.attempts = 3\nretry.first_wait_s = 0.05\n"
            "retry.longest_wait_s = 0.1\n"
            "[subscriptions]\nsilence_s = 60.0\n[events]\nalarm_s = 0.2\n"
            f'[[events.webhook]]\nname = "cis"\nurl = "{self.receiver.url}"\n'
            'keys_file = "events-keys"\n',
            encoding="utf-8",
        )
        return path

    @asynccontextmanager
    async def running(self, *sinks: Sink) -> AsyncIterator[None]:
        path = self.settings_file()
        read = partial(load_with_origin, path, {}, skipped=frozenset({"api.keys"}))
        async with build(load(path, {}), sinks=sinks, read=read) as self.app:
            await self.app.gateway.registry.import_devices(
                registry_of(self.simulator.world.population), by="test"
            )
            yield

    async def ask(self, kind: CommandKind, number: int) -> None:
        request = CommandRequest(kind=kind, devices=(self.device(number),))
        found = await self.app.gateway.commands.submit(request)
        async with asyncio.timeout(WAIT_S):
            while not found.activity.state.rests and found.activity.waits_since is None:
                found = await self.app.gateway.commands.wait(found.id, timeout_s=0.05)

    async def pinged_until(self, signal: Signal) -> None:
        """Meters are checked, one after the other, until it is counted."""
        async with asyncio.timeout(WAIT_S):
            for number in cycle(range(4, METERS)):
                if signal.value in await self.counted():
                    return
                await self.ask(CommandKind.DEVICE_STATUS_CHECK, number)

    async def counted(self) -> dict[str, float]:
        """What a machine reads at `/metrics`, but for noughts."""
        headers = {"Authorization": f"Bearer {KEY}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{self.app.rest.url}/metrics") as answer,
        ):
            text = await answer.text()
        return {
            each.labels["signal"]: each.value
            for family in text_string_to_metric_families(text)
            for each in family.samples
            if each.name == "openway_signals_total" and each.value
        }

    async def _counts(self, signal: Signal) -> bool:
        return signal.value in await self.counted()

    async def events(self) -> set[str]:
        await self.app.gateway.upkeep.signals.once()
        rows = await self.app.core.store.outbox("nobody", limit=1_000)
        return {row.publication.type for row in rows}

    async def says(self, *signals: Signal) -> None:
        """Each is counted, in the log, among the events, and on the list where its row says so."""
        for signal in signals:
            await until(partial(self._counts, signal), within_s=WAIT_S, why=f"{signal} is said")
            row = SIGNALS[signal]
            assert row.log in {each.msg for each in self.log.records}, signal
            event = f"openway.{row.event.partition('<')[0]}"
            assert any(each.startswith(event) for each in await self.events()), signal
            if row.todo is not None:
                todo = await self.app.gateway.upkeep.todo.list(row.todo)
                assert todo, signal
            self.checked.add(signal)


@asynccontextmanager
async def site(folder: Path, log: pytest.LogCaptureFixture) -> AsyncIterator[Site]:
    log.set_level(logging.INFO)
    (folder / "disk").mkdir()
    config = SimulatorConfig(
        population=PopulationPlan(count=METERS, generating_share=0.0),
        timing=Timing(jitter=0.0),
        scripts=SCRIPTS,
    )
    async with Simulator(config) as simulator, a_system() as receiver:
        yield Site(folder, simulator, receiver, log)


async def put(made: Site, work: Callable[[SqliteStore], Awaitable[None]]) -> None:
    """Into the store of a gateway that does not run."""
    store = SqliteStore(made.store_file, now=SystemClock().now)
    await store.open()
    await work(store)
    await store.close()


async def clock_and_witness(made: Site) -> None:
    (made.folder / "disk").rmdir()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    await put(made, lambda store: SqliteHolds(store.database).put_clock_seen(tomorrow))
    async with made.running():
        await made.says(S.CLOCK_DOUBTED, S.SWITCH_ORDERS_HELD)
        (made.folder / "disk").mkdir()
        for reason in HoldReason.WITNESS, HoldReason.CLOCK:
            await made.app.gateway.upkeep.holds.confirm(reason, by="ann", why="it is right")
        await made.says(S.SWITCH_ORDERS_RELEASED)


async def receivers_and_sinks(made: Site) -> None:
    made.receiver.answer = lambda posted: 503
    async with made.running(BadSink()):
        await made.says(S.SINK_FAILED, S.UNDELIVERED)
        made.receiver.answer = lambda posted: 204
        await made.app.gateway.feed.deliveries.of("cis").resume(by="ann")
        await made.says(S.DELIVERED_AGAIN)
        made.receiver.answer = lambda posted: 410
        await made.ask(CommandKind.REMOTE_CONNECT, 0)  # of which it hears
        await made.says(S.RECEIVER_STOPPED)


async def silence(made: Site) -> None:
    long_ago = Silence(watched=datetime.now(UTC) - timedelta(days=9))
    await put(made, lambda store: SqliteSubscriptions(store.database).put_silence(long_ago))
    async with made.running():
        await made.says(S.HEAD_END_SILENT)
        body = data_arrived(read_data("stranger-1", [1, 2]))
        headers = {"Content-Type": "text/xml; charset=utf-8"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{made.app.listener.url}/openway/data", data=body) as answer,
        ):
            assert answer.status == 200
    async with made.running():
        await made.says(S.SILENCE_OVER)


async def people_and_strangers(made: Site) -> None:
    async with made.running():
        await made.ask(CommandKind.REMOTE_CONNECT, 1)
        await made.says(S.COMMAND_WAITS)
        await made.ask(CommandKind.REMOTE_DISCONNECT, 2)
        await made.says(S.NEEDS_PERSON)
        nowhere = OrderRequest(
            kind=OrderKind.CUT,
            service_point=ServicePointId("nowhere"),
            external_reference="1",
            requester="cis",
        )
        await made.app.gateway.orders.submit(nowhere)
        await made.says(S.ORDER_IN_ERROR)
        for _ in range(len(WAITS) + 1):
            await made.app.core.store.set_aside.fail(RowKind.EVENT, "7", ValueError("bad"))
        await made.says(S.ROW_SET_ASIDE)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{made.app.rest.url}/api/v1/commands") as answer:
                assert answer.status == 401
            url = f"{made.app.listener.url}/openway/data"
            async with session.post(url, data=b"<no-envelope/>") as answer:
                assert answer.status >= 400
        await made.says(S.KEY_REFUSED, S.QUARANTINED)


async def settings_read_again(made: Site) -> None:
    async with made.running():
        await made.app.live.reload(by="test")
        await made.says(S.SETTINGS_RELOADED)
        (made.folder / "events-keys").write_text("no key\n", encoding="utf-8")
        await made.app.live.reload(by="test")
        await made.says(S.SETTINGS_REFUSED)


async def head_end(made: Site) -> None:
    async with made.running():
        await made.ask(CommandKind.READ_DISCONNECT_STATE, 3)
        await made.says(S.PUSHED_BACK)
        scripts = made.simulator.world.scripts
        scripts.add(Script(effect=Effect.CLOSE_BEFORE, id="gone", operation="PingByEndpoints"))
        await made.pinged_until(S.BREAKER_OPENED)
        await made.says(S.HEAD_END_LOST, S.BREAKER_OPENED)
        scripts.remove("gone")
        await made.pinged_until(S.BREAKER_CLOSED)
        await made.says(S.HEAD_END_BACK, S.BREAKER_CLOSED)
        scripts.add(Script(effect=Effect.DELAY, id="slow", seconds=2 * SLOW_S))
        await made.pinged_until(S.HEAD_END_SLOW)
        await made.says(S.HEAD_END_SLOW)
        scripts.remove("slow")
        await made.pinged_until(S.HEAD_END_QUICK)
        await made.says(S.HEAD_END_QUICK)


async def start_and_stop(made: Site) -> None:
    """Who has stopped is not there to be asked: its log and its events are."""
    async with made.running():
        await made.says(S.STARTED)
    row = SIGNALS[S.STOPPED]
    assert row.log in {each.msg for each in made.log.records}
    store = SqliteStore(made.store_file, now=SystemClock().now)
    await store.open()
    types = {each.publication.type for each in await store.outbox("nobody", limit=1_000)}
    await store.close()
    assert f"openway.{row.event}" in types
    assert made.app.gateway.upkeep.signals.counts[S.STOPPED] == 1
    made.checked.add(S.STOPPED)


CAUSED: Final[Mapping[Callable[[Site], Awaitable[None]], frozenset[Signal]]] = MappingProxyType(
    {
        start_and_stop: frozenset({S.STARTED, S.STOPPED}),
        clock_and_witness: frozenset(
            {S.CLOCK_DOUBTED, S.SWITCH_ORDERS_HELD, S.SWITCH_ORDERS_RELEASED}
        ),
        receivers_and_sinks: frozenset(
            {S.SINK_FAILED, S.UNDELIVERED, S.DELIVERED_AGAIN, S.RECEIVER_STOPPED}
        ),
        silence: frozenset({S.HEAD_END_SILENT, S.SILENCE_OVER}),
        people_and_strangers: frozenset(
            {
                S.COMMAND_WAITS,
                S.NEEDS_PERSON,
                S.ORDER_IN_ERROR,
                S.ROW_SET_ASIDE,
                S.KEY_REFUSED,
                S.QUARANTINED,
            }
        ),
        settings_read_again: frozenset({S.SETTINGS_RELOADED, S.SETTINGS_REFUSED}),
        head_end: frozenset(
            {
                S.PUSHED_BACK,
                S.HEAD_END_LOST,
                S.HEAD_END_BACK,
                S.BREAKER_OPENED,
                S.BREAKER_CLOSED,
                S.HEAD_END_SLOW,
                S.HEAD_END_QUICK,
            }
        ),
    }
)


def test_every_row_of_the_table_is_caused() -> None:
    assert frozenset().union(*CAUSED.values()) == set(Signal)


@pytest.mark.parametrize("cause", CAUSED, ids=lambda cause: cause.__name__)
async def test_what_is_said_is_said_the_same_four_ways(
    cause: Callable[[Site], Awaitable[None]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with site(tmp_path, caplog) as made:
        await cause(made)
    assert made.checked == CAUSED[cause]
