"""Killed with SIGKILL while a request is made: every window is asked for once."""

import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.engine.schedules.schedules_on_a_store import schedule_stage
from tests.forked import python


@pytest.mark.parametrize(
    "deaths",
    [
        ("schedule.before_submit:1", "schedule.before_submit:1"),
        ("schedule.after_submit:1", "schedule.after_submit:1"),
        ("schedule.before_submit:1", "schedule.after_submit:1"),
        ("store.before_commit:4", "store.after_commit:2"),
        ("store.after_commit:3", "store.before_commit:2"),
    ],
)
async def test_dying_there_neither_loses_nor_doubles_a_window(
    tmp_path: Path, deaths: tuple[str, ...]
) -> None:
    for death in deaths:
        status, _ = python(
            "tests.engine.schedules.schedules_process", str(tmp_path), OPENWAY_CRASH_AT=death
        )
        assert status in (-signal.SIGKILL, 0)

    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    async with schedule_stage(tmp_path, start=noon) as made:
        await made.work()
        (schedule,) = await made.schedules.list()
        periods = await made.periods()
        assert periods[0][0] == datetime(2026, 3, 1, 8, tzinfo=UTC)
        assert periods[-1][1] == datetime(2026, 3, 2, 8, tzinfo=UTC) == schedule.next_start
        edges = [edge for period in periods for edge in period]
        assert edges[1:-1:2] == edges[2::2]
        windows = await made.schedules.windows(schedule.id)
        assert len(windows) == len(periods) == schedule.issued
        assert {item.window.command for item in windows} == {
            command.id for command in await made.commands()
        }
