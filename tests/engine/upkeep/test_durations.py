"""How long things take: counted by class, kept by hour, and added to."""

from datetime import timedelta
from pathlib import Path

import pytest

from adapter.commands.activity import CommandRequest
from adapter.commands.flows import CommandKind, Operation
from adapter.engine.clock import HandClock
from adapter.engine.upkeep.durations import (
    BOUNDS_S,
    DurationFilter,
    Durations,
    Measure,
    Spread,
)
from adapter.simulator.faults import Effect
from adapter.store.commands.commands import SqliteStore
from adapter.store.upkeep.durations import SqliteDurations
from tests.builders import NOON
from tests.engine.commands.quick_site import finish, script, world

ALL = DurationFilter()


def test_a_spread_tells_how_long_most_of_them_took() -> None:
    made = Spread()
    assert made.quantile(0.5) is None
    for seconds in (0.001, 0.02, 0.02, 0.02, 7_200.0):
        made.add(seconds)
    assert (made.count, made.most_s) == (5, 7_200.0)
    assert made.quantile(0.5) == 0.025
    assert made.quantile(0.99) == 7_200.0
    assert sum(made.classes) == made.count
    assert len(made.classes) == len(BOUNDS_S) + 1


async def test_what_was_added_is_kept_by_hour_over_a_restart(tmp_path: Path) -> None:
    clock = HandClock(NOON)
    for _ in range(2):
        store = SqliteStore(tmp_path / "gateway.db", now=clock.now)
        await store.open()
        kept = Durations(clock, SqliteDurations(store.database))
        for _ in range(3):
            kept.add(Measure.CALL, "A", 0.1)
        kept.add(Measure.CALL, "A", -5.0)  # the clock was set meanwhile
        await kept.write()
        assert kept.totals()[Measure.CALL, "A"].count == 3
        await store.close()
    store = SqliteStore(tmp_path / "gateway.db", now=clock.now)
    await store.open()
    kept = Durations(clock, SqliteDurations(store.database))
    await clock.turn(NOON + timedelta(hours=1))
    kept.add(Measure.CALL, "A", 0.4)
    await kept.once()
    kept.add(Measure.CALL, "B", 0.4)
    rows = [(row.hour, row.name, row.spread.count) for row in await kept.hours(ALL)]
    later = NOON + timedelta(hours=1)
    assert rows == [(later, "B", 1), (NOON, "A", 7)]
    only = DurationFilter(name="B", measure=Measure.CALL, start=later)
    assert [row.name for row in await kept.hours(only)] == ["B"]
    await clock.turn(NOON + timedelta(days=500))
    kept.add(Measure.CALL, "C", 0.4)
    await kept.once()
    await kept.write()
    await store.close()


def test_ever_new_names_are_not_counted_without_bound() -> None:
    kept = Durations(HandClock(NOON))
    for number in range(2_000):
        kept.add(Measure.REQUEST, f"GET /{number}", 0.1)
    assert len(kept.totals()) == 500


async def test_request_and_reply_have_their_own_times_and_each_part_is_measured(
    tmp_path: Path,
) -> None:
    slow = script(Effect.DELAY, "DisconnectMeter", seconds=0.3)
    async with world(tmp_path, slow) as made:
        gateway = made.app.gateway
        request = CommandRequest(kind=CommandKind.REMOTE_DISCONNECT, devices=(made.device(1),))
        done = await finish(made, request)
        asked, replied, *_ = await gateway.commands.messages(done.id)
        assert (asked.outbound, replied.outbound) == (True, False)
        assert (replied.at - asked.at).total_seconds() >= 0.3
        took = {
            (row.measure, row.name): row.spread for row in await gateway.upkeep.durations.hours(ALL)
        }
    assert took[Measure.CALL, Operation.DISCONNECT_METER].most_s >= 0.3
    assert took[Measure.SUBMIT_TO_SENT, CommandKind.REMOTE_DISCONNECT].count == 1
    assert took[Measure.TOKEN_TO_RESULT, Operation.DISCONNECT_METER].count == 1
    assert any(measure is Measure.ARRIVAL_TO_SEEN for measure, _ in took)


@pytest.mark.parametrize("seconds", [0.0, 0.005, 3_600.0, 1e9])
def test_every_duration_has_a_class(seconds: float) -> None:
    made = Spread()
    made.add(seconds)
    assert sum(made.classes) == 1
