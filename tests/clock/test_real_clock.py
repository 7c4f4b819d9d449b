"""The real program on a machine whose wall clock is set, or that is suspended.

A library before it shifts the clocks: CLOCK_REALTIME alone, as somebody who sets it does; with
CLOCK_BOOTTIME while the process stands still, as a suspend does, in which CLOCK_MONOTONIC does not
count. Needs a C compiler and LD_PRELOAD.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter.commands.flows import Operation
from tests.clock.lives import FAR, HOUR, a_head_end
from tests.clock.machine import can_set_clocks, cut, load, machine, order_while_off, state

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not can_set_clocks(), reason="needs cc and LD_PRELOAD"),
]


@pytest.mark.seconds(900)
async def test_after_one_start_ahead_nothing_leaves_before_its_date(tmp_path: Path) -> None:
    async with a_head_end(by_hand=False) as head_end:
        made = machine(tmp_path, head_end)
        sent = head_end.journal.requests
        made.set(FAR)
        async with made.serving():
            await load(made, head_end)
        made.set(timedelta())
        async with made.serving():
            assert await made.held()
            due = (datetime.now(UTC) + 2 * HOUR).isoformat()
            order = await cut(made, head_end, 0, effective_at=due, expires_at=None)
            assert await state(made, order) == "waiting_for_effective_date"
            await made.ask("POST", "/api/v1/switch-holds/clock/confirm", {"reason": "right"})
            assert await made.released()
            assert await state(made, order) == "waiting_for_effective_date"
            assert sent[Operation.DISCONNECT_METER] == 0
            at_once = await cut(made, head_end, 1)
            assert await state(made, at_once, wait_s=20.0) == "completed"
            assert sent[Operation.DISCONNECT_METER] == 1
        async with made.serving():
            assert await made.released()


@pytest.mark.seconds(900)
async def test_a_clock_that_is_set_while_it_runs_is_noticed_and_settles(tmp_path: Path) -> None:
    async with a_head_end(by_hand=False) as head_end:
        made = machine(tmp_path, head_end)
        async with made.serving():
            await load(made, head_end)
            for number, by in enumerate((3 * HOUR, -3 * HOUR, FAR, -FAR)):
                await order_while_off(made, head_end, number, by)


@pytest.mark.seconds(900)
async def test_after_a_suspend_effective_dates_and_not_afters_are_judged_by_what_it_is_then(
    tmp_path: Path,
) -> None:
    async with a_head_end(by_hand=False) as head_end:
        made = machine(tmp_path, head_end)
        sent = head_end.journal.requests
        async with made.serving():
            await load(made, head_end)
            now = datetime.now(UTC)

            def at(hours: float) -> str:
                return (now + hours * HOUR).isoformat()

            due = await cut(made, head_end, 0, effective_at=at(1), expires_at=at(9))
            ran_out = await cut(made, head_end, 1, effective_at=at(1), expires_at=at(2))
            later = await cut(made, head_end, 2, effective_at=at(5), expires_at=at(9))
            await made.suspend(3 * HOUR)
            assert await state(made, due, wait_s=60.0) == "completed"
            assert await state(made, ran_out, wait_s=60.0) == "discarded"
            assert await state(made, later) == "waiting_for_effective_date"
            assert sent[Operation.DISCONNECT_METER] == 1
            assert await made.released()  # it was counted: nothing to ask anybody about
            await made.suspend(6 * HOUR)
            assert await state(made, later, wait_s=60.0) == "completed"
            assert sent[Operation.DISCONNECT_METER] == 2


@pytest.mark.seconds(900)
async def test_after_a_suspend_past_the_end_of_the_window_nothing_leaves(tmp_path: Path) -> None:
    ends = datetime.now(UTC) + 2 * HOUR
    window = f"{ends - 4 * HOUR:%H:%M}-{ends:%H:%M}"
    async with a_head_end(by_hand=False) as head_end:
        made = machine(tmp_path, head_end, extra=f'[switch]\nwindow = "{window}"')
        sent = head_end.journal.requests
        async with made.serving():
            await load(made, head_end)
            at_once = await cut(made, head_end, 0)
            assert await state(made, at_once, wait_s=60.0) == "completed"
            due = (datetime.now(UTC) + HOUR).isoformat()
            until_when = (datetime.now(UTC) + 40 * HOUR).isoformat()
            order = await cut(made, head_end, 1, effective_at=due, expires_at=until_when)
            await made.suspend(5 * HOUR)
            assert await state(made, order, wait_s=5.0) == "communication_in_progress"
            assert sent[Operation.DISCONNECT_METER] == 1
            await made.suspend(24 * HOUR)  # into the window of the next day
            assert await state(made, order, wait_s=60.0) == "completed"
            assert sent[Operation.DISCONNECT_METER] == 2
