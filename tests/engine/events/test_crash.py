"""Killed with SIGKILL while events are taken: each is stored once and told within its bound."""

import signal
from pathlib import Path

import pytest

from tests.engine.events.events_on_a_store import event_stage
from tests.engine.events.events_process import METERS, TABLES
from tests.forked import python


@pytest.mark.parametrize(
    "death", ["events.before_take:1", "events.before_take:3", "store.before_commit:8"]
)
async def test_dying_there_neither_loses_nor_doubles_an_event(tmp_path: Path, death: str) -> None:
    status, _ = python("tests.engine.events.events_process", str(tmp_path), OPENWAY_CRASH_AT=death)
    assert status == -signal.SIGKILL
    async with event_stage(tmp_path, TABLES) as made:
        await made.work()
        assert dict(await made.events.counts()) == {"power_down": METERS}
        assert await made.events.count_without_supply() == METERS
        assert len({row.publication.id for row in await made.published()}) == 100
        assert len(await made.published()) == 100
        assert len(await made.published("openway.outage.began")) == METERS
