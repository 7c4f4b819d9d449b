"""Killed with SIGKILL while events are taken: each is stored once and told within its bound."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.events.dying import METERS, TABLES
from tests.events.stage import event_stage
from tests.support import run

_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "death", ["events.before_take:1", "events.before_take:3", "store.before_commit:8"]
)
def test_dying_there_neither_loses_nor_doubles_an_event(tmp_path: Path, death: str) -> None:
    command = [sys.executable, "-m", "tests.events.dying", str(tmp_path)]
    environ = {**os.environ, "OPENWAY_CRASH_AT": death}
    died = subprocess.run(command, cwd=_ROOT, env=environ, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL

    async def scenario() -> None:
        async with event_stage(tmp_path, TABLES) as made:
            await made.work()
            assert dict(await made.events.counts()) == {"power_down": METERS}
            assert await made.events.count_dark() == METERS
            assert len({row.publication.id for row in await made.told()}) == 100
            assert len(await made.told()) == 100

    run(scenario())
