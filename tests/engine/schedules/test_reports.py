"""The report of a window is complete, however many devices it has: page by page, in one order."""

from pathlib import Path

import pytest

from adapter.commands.outcomes import EndpointOutcome, EndpointResult
from adapter.engine.commands.ports import Change
from adapter.engine.schedules.ports import DeviceRead, ReadResult
from adapter.errors import InvalidRequest
from adapter.model.ids import EndpointId
from adapter.schedules.schedule import ScheduleId
from tests.engine.schedules.schedules_on_a_store import ScheduleStage, a_plan, schedule_stage

METERS = 23
ENDS = {
    **dict.fromkeys(range(4), EndpointResult.MISSING),
    **dict.fromkeys(range(4, 9), EndpointResult.FAILED),
    **dict.fromkeys(range(9, 20), EndpointResult.SUCCEEDED),
}
"""By number of the meter; the three others have not ended."""


async def issued(made: ScheduleStage) -> ScheduleId:
    """A schedule whose first window was asked for and has ended for some meters."""
    added = await made.schedules.add(a_plan(), by="ann")
    await made.at(1, 19)
    (command,) = await made.commands()
    outcomes = tuple(
        EndpointOutcome(endpoint=EndpointId(f"2.16.{number}"), result=result, reason="why")
        for number, result in ENDS.items()
    )
    await made.store.save([Change(command=command, outcomes=outcomes)])
    return added.id


@pytest.mark.parametrize("limit", [1, 4, 7, METERS, METERS + 1])
async def test_every_device_is_on_one_page(tmp_path: Path, limit: int) -> None:
    async with schedule_stage(tmp_path, meters=METERS) as made:
        schedule = await issued(made)
        found: list[DeviceRead] = []
        cursor: str | None = None
        pages = 0
        while pages == 0 or cursor is not None:
            report = await made.schedules.report(schedule, 1, cursor=cursor, limit=limit)
            assert len(report.devices) <= limit
            assert report.window.expected == METERS
            found += report.devices
            cursor, pages = report.next, pages + 1
        assert pages == -(-METERS // limit)
        order = [(tuple(ReadResult).index(each.result), each.device) for each in found]
        assert order == sorted(order)
        assert sorted(each.device for each in found) == sorted(
            f"M{number}" for number in range(METERS)
        )
        assert [each.result for each in found].count(ReadResult.WAITING) == 3


async def test_only_the_missing_ones(tmp_path: Path) -> None:
    async with schedule_stage(tmp_path, meters=METERS) as made:
        schedule = await issued(made)
        missing = {ReadResult.MISSING}
        first = await made.schedules.report(schedule, 1, results=missing, limit=3)
        rest = await made.schedules.report(schedule, 1, results=missing, cursor=first.next, limit=3)
        assert [each.device for each in (*first.devices, *rest.devices)] == [
            "M0", "M1", "M2", "M3",
        ]  # fmt: skip
        assert rest.next is None


@pytest.mark.parametrize("cursor", ["", "x", "9.M1", "0", "-1.M1"])
async def test_a_cursor_that_no_page_gave_is_refused(tmp_path: Path, cursor: str) -> None:
    async with schedule_stage(tmp_path, meters=1) as made:
        schedule = await issued(made)
        with pytest.raises(InvalidRequest):
            await made.schedules.report(schedule, 1, cursor=cursor)
