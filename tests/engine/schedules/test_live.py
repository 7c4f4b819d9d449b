"""One scheduled read through every real part: each device of the group ends as read or not."""

import asyncio
from datetime import timedelta
from pathlib import Path

from adapter.commands.activity import Outcome
from adapter.commands.flows import CommandKind
from adapter.schedules.recurrence import Window
from adapter.schedules.schedule import ReadPlan
from tests.engine.commands.quick_site import world


async def test_a_window_says_which_devices_were_read_and_which_failed(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        schedules = made.app.core.gateway.schedules
        now = made.simulator.clock.now()
        members = made.simulator.world.population.members("Substation 2") or ()
        plan = ReadPlan(
            name="hours",
            group="Substation 2",
            kind=CommandKind.SCHEDULED_READ_INTERVAL,
            starts=now,
            once=Window(now - timedelta(hours=4), now - timedelta(hours=1)),
            events=True,
        )
        added = await schedules.add(plan, by="ann")
        while not (found := await schedules.windows(added.id)):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.02)
        command = found[0].window.command
        done = await made.app.gateway.commands.wait(command, timeout_s=30)
        report = await schedules.report(added.id, 1)
        assert done.activity.outcome is Outcome.PARTIAL
        assert report.window.expected == len(members) == len(report.devices)
        tally = report.tally
        assert tally.succeeded + tally.failed + tally.missing + tally.unknown == len(members)
        assert tally.succeeded > 0
        assert tally.failed > 0
        first, last = report.devices[0], report.devices[-1]
        assert (first.result, bool(first.reason)) == ("failed", True)
        assert last.result == "succeeded"
