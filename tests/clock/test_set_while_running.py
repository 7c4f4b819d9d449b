"""The wall clock is set while the gateway runs, or the machine is suspended."""

from datetime import time, timedelta
from functools import partial
from pathlib import Path

import pytest

from adapter.commands.activity import Outcome, State
from adapter.commands.rules import SwitchPolicy
from adapter.engine.commands.switch_holds import HoldReason
from tests.clock.lives import DAY, FAR, HOUR, MINUTE, NOON, PING, InterruptedStore, a_head_end, life

CLOCK = HoldReason.CLOCK
SECOND = timedelta(seconds=1)
MORNING = SwitchPolicy(window=(time(8), time(11)))


@pytest.mark.parametrize("by", [HOUR, -HOUR, 30 * DAY, -30 * DAY, FAR], ids=str)
async def test_a_clock_that_was_set_holds_switch_orders_until_a_person_confirms(
    by: timedelta, tmp_path: Path
) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        await now.clock.step(by)
        order = await now.ask(0)
        await now.later(MINUTE)
        assert now.held == [CLOCK]
        assert now.sent(0) == 0
        await now.confirm()
        await now.later(MINUTE)
        assert now.sent(0) == 1
        assert (await now.command(order)).activity.state is not State.DISCARDED


@pytest.mark.parametrize("by", [HOUR, -HOUR, FAR, -FAR], ids=str)
async def test_it_settles_by_itself_when_the_step_is_taken_back(
    by: timedelta, tmp_path: Path
) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        await now.clock.step(by)
        await now.work()
        assert now.held == [CLOCK]
        order = await now.ask(0)
        assert now.sent(0) == 0
        await now.clock.step(-by)
        await now.work()
        assert now.held == []
        await now.later(SECOND)
        assert now.sent(0) == 1
        activity = (await now.command(order)).activity
        assert NOON <= activity.created_at <= now.clock.now()
        assert activity.expires_at == activity.created_at + 4 * HOUR


@pytest.mark.parametrize("by", [HOUR, -HOUR, FAR, -FAR], ids=str)
async def test_what_came_between_two_looks_is_dated_by_the_clock_that_accepted_it(
    by: timedelta, tmp_path: Path
) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        due = NOON + 2 * HOUR
        before = await now.submit(0, effective_at=due)
        await now.clock.step(by)
        after = await now.submit(1)
        await now.work()
        assert now.held == [CLOCK]
        await now.clock.step(-by)
        await now.work()
        assert now.held == []
        await now.later(SECOND)
        assert (now.sent(0), now.sent(1)) == (0, 1)
        assert (await now.command(before)).activity.effective_at == due
        activity = (await now.command(after)).activity
        assert activity.expires_at == activity.created_at + 4 * HOUR


@pytest.mark.parametrize("by", [0.5 * SECOND, -SECOND, 50 * SECOND, -50 * SECOND], ids=str)
async def test_small_steps_hold_nothing(by: timedelta, tmp_path: Path) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        for number in range(5):
            await now.clock.step(by)
            await now.ask(number)
            await now.later(HOUR)
            assert now.held == []
            assert now.sent(number) == 1


async def test_an_order_whose_not_after_a_wrong_clock_has_passed_leaves_once_it_is_right(
    tmp_path: Path,
) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        await now.ask(0, effective_at=NOON + HOUR, expires_at=NOON + 2 * HOUR)
        await now.clock.step(5 * HOUR)
        await now.later(MINUTE)
        await now.clock.step(-5 * HOUR)
        await now.later(MINUTE)
        assert now.sent(0) == 0
        await now.later(HOUR)
        assert now.sent(0) == 1


async def test_an_order_whose_not_after_has_passed_by_the_corrected_clock_is_never_sent(
    tmp_path: Path,
) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        order = await now.ask(0, effective_at=NOON + HOUR, expires_at=NOON + 2 * HOUR)
        await now.clock.step(5 * HOUR)
        await now.work()
        await now.confirm()
        await now.later(MINUTE)
        assert now.sent(0) == 0
        found = (await now.command(order)).activity
        assert (found.state, found.outcome) == (State.DISCARDED, Outcome.EXPIRED)


async def test_an_effective_date_counts_by_the_clock_after_its_correction(tmp_path: Path) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        await now.ask(0, effective_at=NOON + HOUR)
        await now.later(2 * HOUR - MINUTE - 30 * SECOND)  # it is about to have left
        assert now.sent(0) == 1
        await now.ask(1, effective_at=NOON + 3 * HOUR)
        await now.clock.step(-2 * HOUR)
        await now.work()
        await now.confirm()
        await now.later(2 * HOUR)
        assert now.sent(1) == 0
        await now.later(HOUR)
        assert now.sent(1) == 1


async def test_a_window_is_one_of_the_wall_clock_after_a_correction_both_ways(
    tmp_path: Path,
) -> None:
    shown = NOON - 10 * HOUR  # 02:00, and really 12:00
    async with (
        a_head_end() as head_end,
        life(tmp_path, head_end, shown, switch=MORNING) as now,
    ):
        await now.ask(0)
        assert now.sent(0) == 0
        await now.clock.step(10 * HOUR)
        await now.work()
        await now.confirm()
        await now.later(MINUTE)
        assert now.sent(0) == 0  # outside
        await now.clock.step(-3 * HOUR)  # 09:02: inside, and held
        await now.ask(1)
        await now.later(MINUTE)
        assert now.sent(1) == 0
        await now.confirm()
        await now.later(MINUTE)
        assert now.sent(1) == 1


async def test_after_a_suspend_what_became_due_leaves_and_what_ran_out_does_not(
    tmp_path: Path,
) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        due = await now.ask(0, effective_at=NOON + HOUR)
        over = await now.ask(1, effective_at=NOON + HOUR, expires_at=NOON + 2 * HOUR)
        await now.clock.suspend(3 * HOUR)
        await now.work()
        assert now.held == []
        await now.later(MINUTE)
        assert (now.sent(0), now.sent(1)) == (1, 0)
        assert (await now.command(due)).activity.state is not State.DISCARDED
        found = (await now.command(over)).activity
        assert (found.state, found.outcome) == (State.DISCARDED, Outcome.EXPIRED)


async def test_after_a_suspend_into_the_night_the_window_is_closed(tmp_path: Path) -> None:
    async with (
        a_head_end() as head_end,
        life(tmp_path, head_end, NOON - 5 * HOUR, switch=MORNING) as now,
    ):
        await now.ask(0)  # at 07:00
        await now.clock.suspend(15 * HOUR)
        await now.later(MINUTE)
        assert (now.held, now.sent(0)) == ([], 0)


async def test_where_the_machine_does_not_count_a_suspend_it_is_a_step_and_holds(
    tmp_path: Path,
) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        await now.ask(0, effective_at=NOON + HOUR)
        await now.clock.suspend(3 * HOUR, counted=False)
        await now.later(MINUTE)
        assert (now.held, now.sent(0)) == ([CLOCK], 0)
        await now.confirm()
        await now.later(MINUTE)
        assert now.sent(0) == 1


async def test_the_clock_is_looked_at_before_each_send_and_not_only_now_and_then(
    tmp_path: Path,
) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        assert not now.gateway.upkeep.holds.barred()
        await now.clock.step(HOUR)
        assert now.held == []  # nobody has looked yet
        assert now.gateway.upkeep.holds.barred()


@pytest.mark.parametrize("how", ["suspend", "step"])
async def test_nothing_leaves_where_time_went_by_between_the_intent_and_the_first_byte(
    how: str, tmp_path: Path
) -> None:
    async with (
        a_head_end() as head_end,
        life(tmp_path, head_end, NOON, store_type=InterruptedStore) as now,
    ):
        store = now.core.store
        assert isinstance(store, InterruptedStore)
        store.on_intent = partial(getattr(now.clock, how), 5 * HOUR)
        order = await now.ask(0)
        assert now.sent(0) == 0
        if how == "step":
            assert now.held == [CLOCK]
            await now.confirm()
        await now.later(MINUTE)
        found = (await now.command(order)).activity
        assert (found.state, found.outcome) == (State.DISCARDED, Outcome.EXPIRED)
        assert now.sent(0) == 0


async def test_a_hold_of_a_step_survives_a_restart_that_could_hide_it(tmp_path: Path) -> None:
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON) as now:
            await now.clock.step(3 * HOUR)
            await now.ask(0)
            assert now.held == [CLOCK]
        async with life(tmp_path, head_end, NOON + 3 * HOUR + MINUTE) as again:
            await again.later(MINUTE)
            assert (again.held, again.sent(0)) == ([CLOCK], 0)
        async with life(tmp_path, head_end, NOON + 4 * MINUTE) as right:
            await right.later(MINUTE)
            assert (right.held, right.sent(0)) == ([], 1)


async def test_a_ping_that_was_claimed_before_the_clock_was_set_back_is_offered_again(
    tmp_path: Path,
) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        ping = await now.ask(0, PING)
        await now.clock.step(-FAR)
        await now.work()
        await now.confirm()
        for _ in range(6):
            await now.later(10 * MINUTE)
        assert (await now.command(ping)).activity.state is State.COMPLETED
