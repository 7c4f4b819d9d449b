"""Several reasons may hold at once; each goes by itself, and only the last lets orders leave."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from adapter.commands.activity import CommandRequest, State
from adapter.engine.clock import HandClock
from adapter.engine.commands.switch_holds import HoldReason
from adapter.errors import InvalidRequest, NotFound
from adapter.service.app import App, over
from adapter.service.settings import Settings, load
from adapter.simulator.registry import device_id, registry_of
from adapter.simulator.server import Simulator
from adapter.store.commands.commands import SqliteStore
from tests.clock.lives import CUT, DAY, HOUR, NOON, Life, a_head_end, codec, life
from tests.durability.gateway_process import free_port, settings_file


async def test_a_confirmation_names_a_reason_that_holds_and_says_why(tmp_path: Path) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        holds = now.gateway.upkeep.holds
        with pytest.raises(NotFound):
            await holds.confirm("clock", by="ann", why="it is right")
        await now.clock.step(HOUR)
        await now.work()
        for why in ("", "   ", "x" * 501):
            with pytest.raises(InvalidRequest):
                await holds.confirm("clock", by="ann", why=why)
        with pytest.raises(NotFound):
            await holds.confirm("older_store", by="ann", why="it is right")
        assert now.held == [HoldReason.CLOCK]


@dataclass(frozen=True)
class Service:
    """The whole service, and the clock of its machine."""

    app: App
    clock: HandClock

    def life(self, head_end: Simulator) -> Life:
        return Life(self.app.core, self.clock, head_end)


@asynccontextmanager
async def service(settings: Settings, shows: datetime) -> AsyncIterator[Service]:
    clock = HandClock(shows)
    store = SqliteStore(settings.store.path, now=clock.now)
    await store.open()
    try:
        async with over(store, settings, codec=codec(), clock=clock) as app:
            yield Service(app, clock)
    finally:
        await store.close()


async def test_a_restored_store_and_a_wrong_clock_are_two_reasons(tmp_path: Path) -> None:
    store, backup = tmp_path / "gateway.db", tmp_path / "backup"
    async with a_head_end(by_hand=False) as head_end:
        file = settings_file(tmp_path, head_end.url, listener=free_port(), api=free_port())
        settings = load(file, {})
        meters = registry_of(head_end.world.population)
        async with service(settings, NOON) as first:
            await first.app.gateway.registry.import_devices(meters)
        shutil.copy(store, backup)
        async with service(settings, NOON + HOUR) as second:
            await second.app.gateway.registry.import_devices(meters)
        shutil.copy(backup, store)
        async with service(settings, NOON + 3 * DAY) as third:
            gateway, now = third.app.gateway, third.life(head_end)
            assert set(now.held) == {HoldReason.CLOCK, HoldReason.OLDER_STORE}
            cut = CommandRequest(kind=CUT, devices=(device_id(now.endpoint(0)),))
            order = await gateway.commands.submit(cut)
            await gateway.upkeep.holds.confirm("clock", by="ann", why="it was off for three days")
            assert now.held == [HoldReason.OLDER_STORE]
            held = await gateway.commands.wait(order.id, timeout_s=1.0)
            assert held.activity.state is State.COMMUNICATION_IN_PROGRESS
            assert now.sent(0) == 0
            await gateway.upkeep.holds.confirm(
                "older_store", by="ann", why="nothing was sent since"
            )
            assert now.held == []
            done = await gateway.commands.wait(order.id, timeout_s=20.0)
            assert done.activity.state is State.COMPLETED
        async with service(settings, NOON + 3 * DAY + HOUR) as fourth:
            assert fourth.life(head_end).held == []  # the witness follows this store again
