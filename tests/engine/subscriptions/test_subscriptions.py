"""Subscriptions kept up against the simulated head end over real HTTP, the clock turned by hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter.commands.flows import Operation
from adapter.engine.clock import HandClock
from adapter.engine.commands.ports import Received
from adapter.engine.subscriptions.subscriptions import Subscriptions
from adapter.headend.limits import Limits
from adapter.headend.settings import HeadEndSettings, LimitSettings, Timeouts
from adapter.headend.subscriptions import SubscriptionClient
from adapter.model.values import replace
from adapter.service.settings import SubscriptionSettings
from adapter.service.upkeep import upkeep
from adapter.simulator.server import Simulator
from adapter.simulator.settings import Access, SimulatorConfig
from adapter.simulator.subscriptions import SimulatedSubscriptionKind
from adapter.store.commands.commands import SqliteStore
from adapter.store.subscriptions import SqliteSubscriptions
from adapter.subscriptions.reconcile import Generation, SubscriptionKind
from adapter.subscriptions.silence import SilencePolicy
from tests.new_stores import new_store
from tests.web.both_servers import DATA, codec

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BOTH = SubscriptionSettings(
    data=Generation.SUBSCRIPTION_SERVICE, exceptions=Generation.SUBSCRIPTION_SERVICE
)
HERE = "http://gw.example:8101"
PATIENT = Timeouts(connect_s=2.0, total_s=5.0)


@dataclass
class Upkeep:
    store: SqliteStore
    subscriptions: Subscriptions
    clock: HandClock

    async def later(self, **span: float) -> None:
        await self.clock.turn(self.clock.now() + timedelta(**span))
        await self.subscriptions.once()

    async def told(self) -> list[str]:
        rows = await self.store.outbox("test", limit=100)
        return [row.publication.type.removeprefix("openway.") for row in rows]

    async def hear(self) -> None:
        await self.store.receive([Received(operation=DATA, raw=b"<x/>", at=self.clock.now())])


@asynccontextmanager
async def kept(
    folder: Path,
    url: str,
    settings: SubscriptionSettings = BOTH,
    *,
    public: str = HERE,
    start: datetime = NOON,
    limits: Limits | None = None,
    timeouts: Timeouts = PATIENT,
) -> AsyncIterator[Upkeep]:
    clock = HandClock(start)
    store = SqliteStore(new_store(folder / "gateway.db"), now=clock.now)
    await store.open()
    head_end = HeadEndSettings(base_url=url, connect_attempts=1, timeouts=timeouts)
    client = SubscriptionClient(head_end, codec(), limits=limits, clock=clock.now)
    made = Subscriptions(
        SqliteSubscriptions(store.database), client, clock, upkeep(settings, public)
    )
    try:
        yield Upkeep(store=store, subscriptions=made, clock=clock)
    finally:
        await store.close()


def there(simulator: Simulator) -> set[tuple[SimulatedSubscriptionKind, str]]:
    rows = simulator.world.subscriptions.listed()
    return {(row.kind, address) for row in rows for address in row.addresses}


WANTED = {
    (SimulatedSubscriptionKind.DATA, f"{HERE}/openway/data"),
    (SimulatedSubscriptionKind.EXCEPTIONS, f"{HERE}/openway/exceptions"),
}


@pytest.mark.parametrize(
    "settings", [BOTH, replace(BOTH, data=Generation.DATA_SERVICE)], ids=["new", "old and new"]
)
async def test_what_is_wanted_is_there_after_the_start_and_again_after_it_was_lost(
    tmp_path: Path, settings: SubscriptionSettings
) -> None:
    async with Simulator() as simulator, kept(tmp_path, simulator.url, settings) as made:
        await made.subscriptions.once()
        assert there(simulator) == WANTED
        simulator.world.subscriptions.clear()
        await made.later(minutes=59)
        assert there(simulator) == set()
        await made.later(minutes=2)
        assert there(simulator) == WANTED
        assert {item.kind for item in await made.subscriptions.states()} == set(SubscriptionKind)
        assert all(item.healthy for item in await made.subscriptions.states())
        assert await made.told() == []


async def test_a_gateway_that_has_moved_is_subscribed_at_its_new_address_only(
    tmp_path: Path,
) -> None:
    async with Simulator() as simulator:
        async with kept(tmp_path, simulator.url, public="http://old.example") as made:
            await made.subscriptions.once()
        async with kept(tmp_path, simulator.url) as made:
            await made.subscriptions.once()
            assert there(simulator) == WANTED


async def test_a_head_end_that_is_away_is_told_once_and_found_again(tmp_path: Path) -> None:
    async with Simulator() as simulator:
        url = simulator.url
    settings = replace(BOTH, exceptions=Generation.OFF)
    async with kept(tmp_path, url, settings) as made:
        await made.subscriptions.once()
        (state,) = await made.subscriptions.states()
        assert not state.healthy
        assert state.detail.startswith("not_sent")
        await made.later(seconds=61)
        assert await made.told() == ["subscription.failed"]
        port = int(url.rpartition(":")[2])
        async with Simulator(SimulatorConfig(port=port)) as simulator:
            await made.later(seconds=61)
            assert there(simulator) == {(SimulatedSubscriptionKind.DATA, f"{HERE}/openway/data")}
        assert await made.told() == ["subscription.failed", "subscription.restored"]


async def test_what_the_head_end_refuses_is_shown_by_its_name(tmp_path: Path) -> None:
    access = Access(caller_user="gw", caller_password="secret")
    async with (
        Simulator(SimulatorConfig(access=access)) as simulator,
        kept(tmp_path, simulator.url) as made,
    ):
        assert not await made.subscriptions.check()
        assert not any(item.healthy for item in await made.subscriptions.states())
        assert there(simulator) == set()


async def test_silence_longer_than_allowed_is_told_once_and_its_end_too(tmp_path: Path) -> None:
    settings = SubscriptionSettings(silence_s=600.0)
    async with kept(tmp_path, "http://127.0.0.1:9", settings) as made:
        await made.subscriptions.once()
        await made.later(minutes=9)
        assert await made.told() == []
        await made.later(minutes=2)
        await made.later(minutes=2)
        assert await made.told() == ["head_end.silent"]
        await made.hear()
        await made.later(minutes=1)
        assert await made.told() == ["head_end.silent", "head_end.silence_over"]
        await made.later(minutes=12)
        assert await made.told() == [
            "head_end.silent",
            "head_end.silence_over",
            "head_end.silent",
        ]


async def test_what_silence_is_usual_is_learned_from_the_days_before(tmp_path: Path) -> None:
    settings = SubscriptionSettings(silence_factor=2.0, silence_least_s=600.0)
    async with kept(tmp_path, "http://127.0.0.1:9", settings) as made:
        for _ in range(6 * 24):
            await made.hear()
            await made.later(minutes=30)
        assert await made.told() == []
        silence = await made.subscriptions.silence()
        assert silence.allowed_s is not None
        assert silence.allowed_s <= 2 * 3600
        await made.later(hours=1)
        await made.later(hours=2)
        assert await made.told() == ["head_end.silent"]


async def test_a_restart_forgets_neither_the_alarm_nor_what_was_learned(tmp_path: Path) -> None:
    settings = SubscriptionSettings(silence_s=600.0)
    async with kept(tmp_path, "http://127.0.0.1:9", settings) as made:
        await made.hear()
        await made.subscriptions.once()
        await made.later(minutes=11)
    start = NOON + timedelta(minutes=20)
    async with kept(tmp_path, "http://127.0.0.1:9", settings, start=start) as made:
        await made.subscriptions.once()
        assert await made.told() == ["head_end.silent"]
        assert (await made.subscriptions.silence()).last == NOON


async def test_silence_is_not_looked_at_where_nobody_wants_it(tmp_path: Path) -> None:
    settings = SubscriptionSettings(silence=False, silence_s=1.0)
    async with kept(tmp_path, "http://127.0.0.1:9", settings) as made:
        await made.subscriptions.once()
        await made.later(hours=1)
        assert await made.told() == []
        assert upkeep(settings, HERE).silence is None
        assert upkeep(BOTH, HERE).silence == SilencePolicy()


async def test_its_calls_keep_within_the_limits_of_the_commands(tmp_path: Path) -> None:
    """While a command has the only place nothing is asked; an open breaker is opened for both."""
    shared = Limits(LimitSettings(concurrency=1, breaker_not_sent=1), clock=lambda: 0.0)
    brief = Timeouts(admission_s=0.05, connect_s=2.0, total_s=5.0)
    async with (
        Simulator() as simulator,
        kept(tmp_path, simulator.url, limits=shared, timeouts=brief) as made,
    ):
        with await shared.admit(Operation.PING, wait_s=1.0):
            await made.subscriptions.once()
            assert there(simulator) == set()
            details = {item.detail for item in await made.subscriptions.states()}
            assert all("over our own limit" in detail for detail in details)
        await made.later(minutes=2)
        assert there(simulator) == WANTED
        assert shared.state().in_flight == 0
    async with kept(tmp_path, "http://127.0.0.1:1", limits=shared, timeouts=brief) as made:
        await made.subscriptions.once()
        assert shared.state().breaker_open
