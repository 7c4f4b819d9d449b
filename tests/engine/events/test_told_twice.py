"""One event told by an exception and by an event log, with other sequence numbers: it is one."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest

from adapter.engine.events.ports import EventFilter
from adapter.events.types import EventType, StormRule, event_tables
from adapter.model.values import replace
from adapter.readings.seeds import EventSeed
from adapter.store.readings.reports import SqliteReports
from tests.engine.events.events_on_a_store import NOON, EventStage, esn, event_stage, power
from tests.export.test_reports import events as exported

ALL = EventFilter(limit=1_000)


def told(sequence: int | None, *, log: bool = False, at: datetime = NOON) -> EventSeed:
    return replace(power(1, at, sequence=sequence), exception=not log, log_type="Event" * log)


async def results(stage: EventStage) -> list[str]:
    return [row.result for row in await exported(SqliteReports(stage.store.database), limit=100)]


@pytest.mark.parametrize("exception", [5, None])
@pytest.mark.parametrize("log", [9, None])
async def test_an_exception_and_an_entry_of_a_log_are_one_event_in_either_order(
    tmp_path: Path, exception: int | None, log: int | None
) -> None:
    async with event_stage(tmp_path) as stage:
        pair = (told(exception), told(log, log=True))
        second = "repeated" if exception == log else "matched"
        for number, order in enumerate((pair, pair[::-1])):
            for seed in (*order, *order):
                await stage.arrive([replace(seed, identifier=esn(number))])
                await stage.work()
            (event,) = await stage.events.events(EventFilter(endpoint=esn(number)))
            other = order[1].sequence
            assert event.other_sequence == (-1 if other is None else other)
            assert event.event.sequence == order[0].sequence
            assert len(await stage.published()) == 1 + number
        assert await results(stage) == ["new", second, "repeated", second] * 2


async def test_two_of_one_callback_stay_two_whatever_the_order(tmp_path: Path) -> None:
    seeds = (told(5), told(6), told(9, log=True), told(10, log=True))
    async with event_stage(tmp_path) as stage:
        for number, order in enumerate(permutations(seeds)):
            await stage.arrive([replace(seed, identifier=esn(number)) for seed in order])
        await stage.work()
        found = Counter(item.event.endpoint for item in await stage.events.events(ALL))
        assert set(found.values()) == {2}
        assert Counter(await results(stage)) == {"new": 48, "matched": 48}


async def test_another_time_is_another_event(tmp_path: Path) -> None:
    async with event_stage(tmp_path) as stage:
        later = NOON + timedelta(seconds=1)
        await stage.arrive([told(5), told(9, log=True, at=later)])
        await stage.work()
        assert [item.other_sequence for item in await stage.events.events()] == [None, None]


async def test_an_export_says_what_became_of_each_arrival(tmp_path: Path) -> None:
    tables = event_tables(storms=(StormRule(publications=1),))
    async with event_stage(tmp_path, tables) as stage:
        down, up = told(1), power(1, NOON + timedelta(seconds=90.25), up=True)
        lasting = power(2, NOON)
        await stage.arrive(
            [down, up, told(7, log=True), lasting, replace(down, name="X", number=9)]
        )
        before = await exported(SqliteReports(stage.store.database), limit=100)
        assert {(row.result, row.standard_name, row.severity) for row in before} == {("", "", "")}
        await stage.work()
        first, last, again, open_, unknown = await exported(
            SqliteReports(stage.store.database), limit=100
        )
        assert (first.standard_name, first.severity, first.pair, first.role) == (
            "power_down", "warning", "power", "first",
        )  # fmt: skip
        assert first.standard_category == "PowerOutageOrRestoration"
        assert (first.started_at, first.ended_at) == (first.at, last.at)
        assert first.duration_s == last.duration_s == "90.25"
        assert (last.standard_name, last.role, last.started_at) == (
            "power_up",
            "last",
            first.at,
        )
        assert (first.published, first.in_summary) == (True, False)
        assert again.result == "matched"
        assert again.device_event == first.device_event
        assert (again.published, again.in_summary) == (False, False)
        assert (open_.started_at, open_.ended_at, open_.duration_s) == (open_.at, None, None)
        assert (open_.published, open_.in_summary) == (False, True)
        assert (unknown.result, unknown.device_event, unknown.standard_name) == (
            "unknown",
            None,
            "",
        )


async def test_an_unknown_arrival_is_followed_once_the_tables_know_it(tmp_path: Path) -> None:
    async with event_stage(tmp_path) as stage:
        cover = replace(told(3), name="Cover Removed", number=None)
        await stage.arrive([cover, cover, replace(cover, sequence=4)])
        await stage.work()
        assert await results(stage) == ["unknown"] * 3
        stage.again(event_tables([EventType(name="cover removed", standard="tamper")]))
        taken = await stage.events.reprocess(by="ann")
        assert (taken.new, taken.unknown) == (2, 0)
        rows = await exported(SqliteReports(stage.store.database), limit=100)
        assert [row.result for row in rows] == ["new", "repeated", "new"]
        assert {row.standard_name for row in rows} == {"tamper"}
        assert rows[0].device_event == rows[1].device_event != rows[2].device_event
