"""Schedules on a real store: one command for each window, whatever time and crashes do."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from adapter.commands.flows import CommandKind
from adapter.errors import Conflict, InvalidRequest, NotFound
from adapter.model.values import replace
from adapter.schedules import schedule as rules
from adapter.schedules.recurrence import Grid, Recurrence, Window
from adapter.schedules.schedule import ReadSchedule, ScheduleId, ScheduleState
from adapter.store.schedules import SqliteSchedules
from tests.engine.schedules.schedules_on_a_store import (
    GROUP,
    START,
    TWICE_A_DAY,
    a_plan,
    schedule_stage,
)

GRID = TWICE_A_DAY.grid


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


async def test_each_window_becomes_one_command_an_hour_before_its_end(tmp_path: Path) -> None:
    async with schedule_stage(tmp_path) as made:
        added = await made.schedules.add(a_plan(), by="ann")
        assert added.wake == at(1, 19)
        await made.at(1, 18, 59)
        assert await made.periods() == []
        await made.at(1, 19)
        await made.work()
        await made.at(2, 7)
        assert await made.periods() == [(at(1, 8), at(1, 20)), (at(1, 20), at(2, 8))]
        first, _ = await made.commands()
        period = first.request.period
        assert period is not None
        assert (period.window_start, period.window_end) == (at(1, 19), at(1, 20))
        assert (first.request.group, len(first.targets)) == (GROUP, 5)
        shown = await made.schedules.get(added.id)
        assert (shown.issued, shown.next_start, shown.wake) == (2, at(2, 8), at(2, 19))


async def test_a_request_that_is_late_leaves_the_head_end_what_is_left(tmp_path: Path) -> None:
    async with schedule_stage(tmp_path) as made:
        await made.schedules.add(a_plan(), by="ann")
        await made.at(1, 19, 40)
        await made.at(2, 9)
        periods = [command.request.period for command in await made.commands()]
        windows = [(item.window_start, item.window_end) for item in periods if item]
        assert windows == [(at(1, 19, 40), at(1, 20)), (None, None)]


async def test_after_a_standstill_one_request_covers_everything_since_the_last(
    tmp_path: Path,
) -> None:
    async with schedule_stage(tmp_path) as made:
        await made.schedules.add(a_plan(), by="ann")
        await made.at(1, 19)
    async with schedule_stage(tmp_path, start=at(5, 12)) as made:
        await made.work()
        assert await made.periods() == [(at(1, 8), at(1, 20)), (at(1, 20), at(5, 8))]


async def test_without_catch_up_what_was_missed_is_told_and_not_read(tmp_path: Path) -> None:
    async with schedule_stage(tmp_path) as made:
        exact = replace(TWICE_A_DAY, catch_up=False)
        added = await made.schedules.add(a_plan(recurrence=exact), by="ann")
        await made.at(5, 12)
        assert await made.periods() == [(at(4, 20), at(5, 8))]
        (window,) = await made.schedules.windows(added.id)
        assert window.window.missed == Window(at(1, 8), at(4, 20))


async def test_after_a_long_standstill_the_oldest_windows_are_skipped_and_said_to_be(
    tmp_path: Path,
) -> None:
    async with schedule_stage(tmp_path) as made:
        added = await made.schedules.add(a_plan(), by="ann")
        await made.at(1, 19)
    longest = timedelta(days=2)
    async with schedule_stage(tmp_path, start=at(9, 12), longest=longest) as made:
        await made.work()
        assert await made.periods() == [(at(1, 8), at(1, 20)), (at(7, 8), at(9, 8))]
        late, first = await made.schedules.windows(added.id)
        assert (first.window.missed, first.window.skipped) == (None, 0)
        assert late.window.missed == Window(at(1, 20), at(7, 8))
        assert late.window.skipped == 11
        (note,) = [
            entry.note
            for entry in await made.store.audit(subject=f"schedule:{added.id}")
            if entry.note.detail.get("skipped")
        ]
        assert (note.action, note.detail["skipped"]) == ("WindowIssued", 11)
        await made.at(9, 19)
        assert (await made.periods())[-1] == (at(9, 8), at(9, 20))


async def test_a_request_that_leaves_after_its_window_has_until_it_expires(tmp_path: Path) -> None:
    """The head end could not be reached while its time to interrogate went by."""
    async with schedule_stage(tmp_path) as made:
        await made.schedules.add(a_plan(), by="ann")
        await made.at(1, 19)
        await made.clock.turn(at(2, 3))
        await made.gateway.drain()
        (call,) = made.head_end.calls
        assert call.read is not None
        assert (call.read.start, call.read.end) == (at(1, 8), at(1, 20))
        assert (call.read.window_start, call.read.window_end) == (at(2, 3), at(2, 19))


@pytest.mark.parametrize("also_submitted", [False, True])
async def test_a_crash_while_a_request_is_made_makes_it_once(
    tmp_path: Path, also_submitted: bool
) -> None:
    """The two moments between which a process may die: pending is stored, the command is."""
    async with schedule_stage(tmp_path) as made:
        added = await made.schedules.add(a_plan(), by="ann")
        await made.clock.turn(at(1, 19))
        issue = rules.next_issue(added, now=at(1, 19))
        assert issue is not None
        pending = rules.with_pending(added, issue)
        assert await SqliteSchedules(made.store.database).put_schedule(pending)
        if also_submitted:
            await made.gateway.commands.submit(rules.requested(pending, issue), actor="schedule")
    async with schedule_stage(tmp_path, start=at(2, 9)) as made:
        await made.work()
        numbers = [item.window.number for item in await made.schedules.windows(added.id)]
        if also_submitted:
            assert await made.periods() == [(at(1, 8), at(1, 20)), (at(1, 20), at(2, 8))]
            assert numbers == [2, 1]
        else:
            # Its hour for the head end is over, and nobody asked for it: the next covers it.
            assert await made.periods() == [(at(1, 8), at(2, 8))]
            assert numbers == [1]


@pytest.mark.parametrize(
    ("recurrence", "issued"),
    [(replace(TWICE_A_DAY, count=3), 3), (replace(TWICE_A_DAY, end=at(3, 0)), 4)],
)
async def test_a_schedule_ends_by_count_or_by_date(
    tmp_path: Path, recurrence: Recurrence, issued: int
) -> None:
    async with schedule_stage(tmp_path) as made:
        added = await made.schedules.add(a_plan(recurrence=recurrence), by="ann")
        for day in range(1, 7):
            await made.at(day, 7, 30)
            await made.at(day, 19, 30)
        ended = await made.schedules.get(added.id)
        assert (ended.state, ended.issued, ended.wake) == (ScheduleState.ENDED, issued, None)
        with pytest.raises(Conflict):
            await made.schedules.resume(added.id, by="ann")


async def test_a_paused_schedule_asks_nothing_and_catches_up_when_it_goes_on(
    tmp_path: Path,
) -> None:
    async with schedule_stage(tmp_path) as made:
        added = await made.schedules.add(a_plan(), by="ann")
        await made.schedules.pause(added.id, by="ann")
        await made.at(3, 12)
        assert await made.periods() == []
        await made.schedules.resume(added.id, by="bob")
        await made.work()
        assert await made.periods() == [(at(1, 8), at(3, 8))]
        await made.schedules.remove(added.id, by="bob")
        await made.at(5, 12)
        assert len(await made.commands()) == 1
        audit = await made.store.audit(subject=f"schedule:{added.id}")
        assert [entry.note.action for entry in audit] == [
            "ScheduleAdded",
            "SchedulePaused",
            "ScheduleResumed",
            "WindowIssued",
            "ScheduleRemoved",
        ]


async def test_one_read_is_made_once_at_its_time(tmp_path: Path) -> None:
    async with schedule_stage(tmp_path) as made:
        once = Window(at(1, 0), at(1, 6))
        plan = a_plan(recurrence=None, once=once, starts=at(1, 9), events=True)
        added = await made.schedules.add(plan, by="ann")
        await made.at(1, 8)
        assert not await made.commands()
        await made.at(1, 10)
        await made.at(9, 0)
        (command,) = await made.commands()
        assert command.request.period is not None
        assert command.request.period.events
        assert await made.periods() == [(once.start, once.end)]
        assert (await made.schedules.get(added.id)).state is ScheduleState.ENDED


async def test_windows_follow_the_local_day_over_the_change_of_clocks(tmp_path: Path) -> None:
    daily = Recurrence(grid=Grid(first=time(0), length=timedelta(days=1), zone="America/Chicago"))
    async with schedule_stage(tmp_path) as made:
        await made.schedules.add(a_plan(recurrence=daily), by="ann")
        for day in range(2, 12):
            await made.at(day, 12)
        spans = [end - start for start, end in await made.periods()]
        assert spans.count(timedelta(hours=23)) == 1
        assert spans.count(timedelta(hours=24)) == len(spans) - 1
        periods = await made.periods()
        assert all(one[1] == two[0] for one, two in pairwise(periods))


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("kind", {"kind": CommandKind.REMOTE_DISCONNECT}),
        ("group", {"group": ""}),
        ("once", {"once": Window(START, START + timedelta(hours=1))}),
        ("length", {"recurrence": Recurrence(grid=replace(GRID, length=timedelta(hours=7)))}),
        ("time_zone", {"recurrence": Recurrence(grid=replace(GRID, zone="Mars/Base"))}),
        ("buffer", {"recurrence": replace(TWICE_A_DAY, buffer=timedelta(hours=13))}),
        ("count", {"recurrence": replace(TWICE_A_DAY, count=0)}),
        ("recurrence", {"recurrence": replace(TWICE_A_DAY, end=START)}),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_work_is_refused_by_the_name_of_its_field(
    tmp_path: Path, field: str, changes: dict[str, object]
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        rules.begin(ScheduleId("1"), a_plan(**changes), now=START, by="ann")
    assert refused.value.field == field


async def test_what_the_gateway_refuses_is_told_and_tried_again(tmp_path: Path) -> None:
    async with schedule_stage(tmp_path) as made:
        added = await made.schedules.add(a_plan(group="Nowhere"), by="ann")
        await made.at(1, 19)
        command = next(iter(await made.commands()), None)
        shown: ReadSchedule = await made.schedules.get(added.id)
        assert (command is None) == bool(shown.problem)
        assert shown.state is ScheduleState.ACTIVE
        with pytest.raises(NotFound):
            await made.schedules.report(added.id, 99)
