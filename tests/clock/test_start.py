"""The wall clock at the start of the gateway: ahead, behind, of a restored store."""

import logging
import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from adapter.commands.activity import Outcome, State
from adapter.commands.flows import Operation
from adapter.engine.commands.switch_holds import HoldReason
from tests.clock.lives import CONNECT, DAY, FAR, HOUR, MINUTE, NOON, PING, a_head_end, life

CLOCK = HoldReason.CLOCK


async def test_after_one_start_ahead_an_order_leaves_at_its_date_once_a_person_confirmed(
    tmp_path: Path,
) -> None:
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON + FAR) as wrong:
            assert wrong.held == []  # a new store: nothing to compare it with
        async with life(tmp_path, head_end, NOON) as right:
            assert right.held == [CLOCK]
            order = await right.ask(0, effective_at=NOON + 2 * HOUR)
            await right.later(HOUR)
            assert right.sent(0) == 0
            await right.confirm()
            assert right.held == []
            await right.later(30 * MINUTE)
            assert right.sent(0) == 0
            await right.later(HOUR)
            assert right.sent(0) == 1
            found = (await right.command(order)).activity
            assert found.created_at == NOON
        async with life(tmp_path, head_end, NOON + 4 * HOUR) as next_one:
            assert next_one.held == []


async def test_what_was_accepted_before_a_start_ahead_waits_for_its_date_and_does_not_expire(
    tmp_path: Path,
) -> None:
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON) as before:
            dated = await before.ask(0, effective_at=NOON + 20 * DAY)
            bounded = await before.ask(1, effective_at=NOON + HOUR, expires_at=NOON + 3 * HOUR)
        async with life(tmp_path, head_end, NOON + MINUTE + FAR) as wrong:
            assert wrong.held == [CLOCK]
            await wrong.later(HOUR)
            for order in (dated, bounded):
                found = (await wrong.command(order)).activity
                assert found.state is State.WAITING_FOR_EFFECTIVE_DATE
        async with life(tmp_path, head_end, NOON + 2 * HOUR) as right:
            await right.work()
            assert right.held == []  # it is what it was before: nobody has to be asked
            assert (right.sent(0), right.sent(1)) == (0, 1)
            await right.later(19 * DAY)
            assert right.sent(0) == 0
            await right.later(DAY)
            assert right.sent(0) == 1


async def test_started_with_a_clock_that_lost_its_battery_nothing_leaves_after_its_not_after(
    tmp_path: Path,
) -> None:
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON) as before:
            order = await before.ask(0, effective_at=NOON + HOUR, expires_at=NOON + 2 * HOUR)
        async with life(tmp_path, head_end, NOON - 30 * MINUTE) as wrong:  # hours later
            assert wrong.held == [CLOCK]
            await wrong.later(2 * HOUR)
            assert wrong.sent(0) == 0
            assert not (await wrong.command(order)).activity.state.final
        async with life(tmp_path, head_end, NOON + 7 * HOUR) as right:
            await right.later(MINUTE)
            await right.confirm()
            await right.later(MINUTE)
            found = (await right.command(order)).activity
            assert (found.state, found.outcome) == (State.DISCARDED, Outcome.EXPIRED)
            assert right.sent(0) == 0


@pytest.mark.parametrize("stopped", [MINUTE, 8 * HOUR, DAY - HOUR], ids=str)
@pytest.mark.parametrize("behind", [2 * MINUTE, 30 * MINUTE, 3 * HOUR, FAR], ids=str)
async def test_started_behind_it_settles_by_itself_once_the_clock_is_set_right(
    behind: timedelta, stopped: timedelta, tmp_path: Path
) -> None:
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON) as before:
            ran_out = await before.ask(0, effective_at=NOON + 5 * DAY, expires_at=NOON + 6 * DAY)
        async with life(tmp_path, head_end, NOON - behind) as now:  # really NOON + stopped
            assert now.held == [CLOCK]
            order = await now.ask(1)
            await now.later(MINUTE)
            assert (now.held, now.sent(1)) == ([CLOCK], 0)
            await now.clock.step(behind + stopped)
            await now.work()
            assert now.held == []
            await now.later(timedelta(seconds=1))
            assert (now.sent(0), now.sent(1)) == (0, 1)
            activity = (await now.command(order)).activity
            accepted = NOON + stopped
            assert accepted <= activity.created_at <= accepted + MINUTE
            assert (await now.command(ran_out)).activity.expires_at == NOON + 6 * DAY


async def test_started_behind_twice_it_settles_in_the_second_life(tmp_path: Path) -> None:
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON):
            pass
        async with life(tmp_path, head_end, NOON - 3 * HOUR) as first:
            assert first.held == [CLOCK]
        async with life(tmp_path, head_end, NOON - 2 * HOUR) as second:
            await second.later(MINUTE)
            assert second.held == [CLOCK]
            await second.clock.step(10 * HOUR)
            await second.work()
            assert second.held == []


async def test_a_clock_that_was_set_during_a_stop_and_may_be_wrong_still_waits_for_a_person(
    tmp_path: Path,
) -> None:
    """What it shows is right, or the stop was as long: nobody can tell."""
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON):
            pass
        async with life(tmp_path, head_end, NOON - 3 * HOUR) as first:
            assert first.held == [CLOCK]
        async with life(tmp_path, head_end, NOON + 2 * HOUR) as second:
            order = await second.ask(0)
            for away in (timedelta(), FAR, -FAR):  # set far off, and to what it showed before
                await second.clock.step(away)
                await second.work()
                await second.clock.step(-away)
                await second.later(HOUR)
                assert (second.held, second.sent(0)) == ([CLOCK], 0)
            await second.confirm()
            assert second.held == []
            assert (await second.command(order)).activity.created_at <= second.clock.now()


@pytest.mark.parametrize("stopped", [MINUTE, 8 * HOUR, DAY], ids=str)
async def test_a_stop_as_long_as_stops_are_holds_nothing(
    stopped: timedelta, tmp_path: Path
) -> None:
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON) as first:
            await first.later(5 * DAY)  # in which nothing is audited
        async with life(tmp_path, head_end, NOON + 5 * DAY + stopped) as second:
            assert second.held == []
            await second.ask(0)
            assert second.sent(0) == 1


async def test_reads_and_pings_go_on_while_switch_orders_are_held(tmp_path: Path) -> None:
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON):
            pass
        async with life(tmp_path, head_end, NOON + 3 * DAY) as held:
            assert held.held == [CLOCK]
            await held.ask(0)
            await held.ask(1, CONNECT, ignore_install_state=True)
            await held.ask(2, PING)
            await held.later(MINUTE)
            assert held.sent(0) == 0
            assert held.sent(1, Operation.RECONNECT_METER) == 0
            assert held.sent(2, Operation.PING) == 1
            await held.confirm()
            await held.later(MINUTE)
            assert held.sent(0) == 1
            assert held.sent(1, Operation.RECONNECT_METER) == 1


async def test_a_store_that_is_days_older_than_the_clock_is_held_after_it_was_restored(
    tmp_path: Path,
) -> None:
    copy = tmp_path / "copy.db"
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON) as first:
            await first.later(MINUTE)
        shutil.copy(tmp_path / "gateway.db", copy)
        async with life(tmp_path, head_end, NOON + HOUR) as second:
            await second.later(3 * DAY)
        shutil.copy(copy, tmp_path / "gateway.db")
        async with life(tmp_path, head_end, NOON + 3 * DAY + 2 * HOUR) as restored:
            assert restored.held == [CLOCK]
            await restored.ask(0)
            await restored.later(MINUTE)
            assert restored.sent(0) == 0


async def test_a_store_that_noted_no_time_yet_has_that_of_its_newest_entry(tmp_path: Path) -> None:
    """One of a program before this one."""
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON + FAR) as wrong:
            await wrong.ask(0, PING)
        db = sqlite3.connect(tmp_path / "gateway.db")
        with db:
            db.execute("DELETE FROM clock_seen")
        db.close()
        async with life(tmp_path, head_end, NOON) as right:
            assert right.held == [CLOCK]


async def test_a_hold_of_a_bad_start_does_not_vanish_by_starting_again(tmp_path: Path) -> None:
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON):
            pass
        for passed in (MINUTE, 2 * MINUTE, 3 * MINUTE):
            async with life(tmp_path, head_end, NOON + FAR + passed) as wrong:
                assert wrong.held == [CLOCK]
                await wrong.later(MINUTE)
                assert wrong.held == [CLOCK]


async def test_the_log_says_once_what_is_wrong(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON + FAR):
            pass
        with caplog.at_level(logging.INFO):
            async with life(tmp_path, head_end, NOON) as held:
                for _ in range(20):
                    await held.later(MINUTE)
            async with life(tmp_path, head_end, NOON + HOUR) as held:
                await held.later(MINUTE)
                await held.confirm()
    said = [record for record in caplog.records if record.message.startswith("switch_orders")]
    assert [record.message for record in said] == ["switch_orders_held", "switch_orders_released"]
    assert "before the newest that the store has seen" in said[0].reason  # type: ignore[attr-defined]
