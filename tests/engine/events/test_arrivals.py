"""Arrivals to events on a real store: once, paired, told within bounds, looked at again."""

from datetime import datetime, timedelta
from itertools import permutations
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter.commands.effects import Severity
from adapter.engine.events.ports import EventFilter
from adapter.events.types import EventType, StormRule, event_tables
from adapter.readings.seeds import EventSeed
from tests.engine.events.events_on_a_store import NOON, esn, event_stage, power
from tests.support import run


def after(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


async def test_an_event_that_comes_again_changes_nothing(tmp_path: Path) -> None:
    async with event_stage(tmp_path) as made:
        await made.arrive([power(1, NOON), power(1, NOON)])
        await made.work()
        await made.arrive([power(1, NOON)])
        await made.work()
        (event,) = await made.events.events()
        assert (event.event.name, event.event.at, event.published) == ("power_down", NOON, True)
        (told,) = await made.published()
        assert told.publication.type == "openway.device.event"
        assert told.publication.severity is Severity.WARNING


async def test_another_time_or_sequence_number_is_another_event(tmp_path: Path) -> None:
    async with event_stage(tmp_path) as made:
        await made.arrive(
            [power(1, NOON), power(1, NOON, sequence=1), power(1, NOON, sequence=None)]
        )
        await made.arrive([power(1, after(1)), power(2, NOON)])
        await made.work()
        assert len(await made.events.events()) == 5


async def test_outages_say_since_when_a_meter_is_dark_and_how_long_it_was(tmp_path: Path) -> None:
    async with event_stage(tmp_path) as made:
        await made.arrive([power(1, NOON), power(2, after(5)), power(3, after(1))])
        await made.work()
        assert [item.endpoint for item in await made.events.outages()] == [
            esn(1), esn(3), esn(2),
        ]  # fmt: skip
        await made.arrive([power(3, after(31), up=True)])
        await made.work()
        assert await made.events.count_without_supply() == 2
        (over,) = await made.events.outages(ongoing=False)
        assert (over.endpoint, over.duration_s) == (esn(3), 1800.0)
        told = (await made.published())[-1].publication
        lasted = (1800.0, "2026-03-01T12:01:00Z")
        assert (told.data["duration_s"], told.data["started_at"]) == lasted
        ended = (await made.published("openway.outage."))[-1].publication
        assert (ended.type, ended.data["endpoint"]) == ("openway.outage.ended", esn(3))
        assert (ended.data["duration_s"], ended.data["started_at"]) == lasted


async def test_the_order_of_arrival_does_not_matter_to_outages(tmp_path: Path) -> None:
    async with event_stage(tmp_path) as made:
        orders = list(permutations([(0, False), (10, True), (20, False), (30, True)]))
        for number, order in enumerate(orders):
            for minutes, up in order:
                await made.arrive([power(number, after(minutes), up=up)])
                await made.work()
        assert not await made.events.count_without_supply()
        over = await made.events.outages(ongoing=False)
        spells = {(item.started_at, item.ended_at) for item in over}
        assert spells == {(NOON, after(10)), (after(20), after(30))}
        assert len(over) == 2 * len(orders)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 8), st.booleans(), st.integers(0, 1)), max_size=4),
        max_size=5,
    )
)
def test_spells_made_bit_by_bit_are_those_of_everything_at_once(
    batches: list[list[tuple[int, bool, int]]],
) -> None:
    import tempfile

    async def outages(at_once: bool) -> list[tuple[datetime, datetime | None]]:
        with tempfile.TemporaryDirectory() as folder:
            async with event_stage(Path(folder)) as made:
                seeds = [
                    [power(1, after(minute), up=up, sequence=number) for minute, up, number in each]
                    for each in batches
                ]
                if at_once:
                    seeds = [[seed for each in seeds for seed in each]]
                for each in seeds:
                    if each:
                        await made.arrive(each)
                        await made.work()
                found = [*await made.events.outages(), *await made.events.outages(ongoing=False)]
                return [(item.started_at, item.ended_at) for item in found]

    assert run(outages(True)) == run(outages(False))


async def test_in_a_storm_some_are_told_and_the_rest_is_summed_up(tmp_path: Path) -> None:
    rule = StormRule(category="PowerOutageOrRestoration", publications=10, window_s=60)
    async with event_stage(tmp_path, event_tables(storms=(rule,))) as made:
        await made.arrive([power(number, NOON) for number in range(1_200)])
        await made.work()
        assert len(await made.published()) == 10
        assert len(await made.published("openway.outage.began")) == 1_200
        (loaded,) = await made.published("openway.payload.loaded")
        assert loaded.publication.data["source"] == "file-1"
        assert await made.events.count_without_supply() == 1_200
        assert dict(await made.events.counts()) == {"power_down": 1_200}
        await made.clock.turn(made.clock.now() + timedelta(seconds=61))
        await made.work()
        *_, summary = await made.published()
        assert summary.publication.type == "openway.device.event_storm"
        assert summary.publication.data["in_summary"] == 1_190
        assert summary.publication.data["by_name"] == {"power_down": 1_190}
        await made.arrive([power(number, after(1), up=True) for number in range(5)])
        await made.work()
        assert len(await made.published()) == 16


async def test_a_restart_in_a_storm_goes_on_counting_and_tells_nothing_twice(
    tmp_path: Path,
) -> None:
    tables = event_tables(storms=(StormRule(publications=3, window_s=60),))
    async with event_stage(tmp_path, tables) as made:
        await made.arrive([power(number, NOON) for number in range(5)])
        await made.work()
    async with event_stage(tmp_path, tables) as made:
        made.loads = 1
        await made.arrive([power(number, after(1)) for number in range(5)])
        await made.work()
        await made.clock.turn(made.clock.now() + timedelta(seconds=61))
        await made.work()
        told = [row.publication for row in await made.published()]
        assert [item.type.rpartition(".")[2] for item in told] == [
            *["event"] * 3,
            "event_storm",
        ]
        assert told[-1].data["in_summary"] == 7


async def test_unknown_events_become_events_once_the_table_knows_them(tmp_path: Path) -> None:
    async with event_stage(tmp_path) as made:
        cover = EventSeed(identifier=esn(1), at=NOON.isoformat(), name="Cover Removed")
        odd = EventSeed(identifier=esn(1), at=NOON.isoformat(), name="Odd")
        await made.arrive([cover, odd, cover])
        await made.work()
        assert [item.unknown.seed.name for item in await made.events.errors()] == [
            "Cover Removed",
            "Odd",
        ]
        assert not await made.published()
        made.again(event_tables([EventType(name="Cover Removed", standard="tamper")]))
        taken = await made.events.reprocess(by="ann")
        assert (taken.new, taken.unknown) == (1, 1)
        (event,) = await made.events.events(EventFilter(name="tamper"))
        assert event.event.endpoint == esn(1)
        assert [item.unknown.seed.name for item in await made.events.errors()] == ["Odd"]
        again = await made.events.reprocess(by="ann")
        assert (again.new, again.unknown) == (0, 1)
        assert len(await made.published()) == 1
