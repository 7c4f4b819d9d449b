"""Places in the queue of a cap: what waits no longer gives its own back at once, and those behind
it move up, one each, in their order."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from adapter.commands.activity import State
from adapter.commands.flows import Operation, Priority
from adapter.commands.rules import SwitchPolicy
from adapter.commands.usage_limits import SwitchCap
from adapter.engine.orders.requests import OrderRequest
from adapter.model.ids import CommandId, OrderId
from adapter.orders.order import OrderKind
from tests.clock.lives import CONNECT, DAY, HOUR, MINUTE, NOON, Life, a_head_end, life
from tests.engine.commands.test_switching_stopped import safety

HOURLY = SwitchPolicy(cap=(SwitchCap(name="cuts", per_hour=3),))
METERS = 12
"""Three leave at once, and three more in each of the hours after that."""


async def turns(now: Life) -> Mapping[CommandId, int]:
    """In how many hours each that waits may leave."""
    waits = await safety(now).waiting(limit=1_000)
    return {each.command: round((each.until - NOON) / HOUR) for each in waits}


async def fill(now: Life, *, short: bool) -> list[CommandId]:
    """A cut for each meter, the fourth of them by a service order; those that wait, in order.
    `short`: the second of these expires before its turn."""
    expires = NOON + DAY
    for number in range(3):
        await now.ask(number, expires_at=expires)
    await order_for(now, 3)
    for number in range(4, METERS):
        until = NOON + 20 * MINUTE if short and number == 4 else expires
        await now.ask(number, expires_at=until)
    return list(await turns(now))


async def order_for(now: Life, number: int) -> OrderId:
    view = (await now.gateway.registry.devices())[number]
    assert view.service_point is not None
    request = OrderRequest(
        kind=OrderKind.CUT,
        service_point=view.service_point.id,
        external_reference=f"cut {number}",
        requester="billing",
    )
    order = await now.orders.submit(request)
    await now.work()
    return order.id


async def cancels(now: Life, waits: list[CommandId]) -> CommandId:
    await now.gateway.commands.cancel(waits[2], by="ann")
    return waits[2]


async def expires(now: Life, waits: list[CommandId]) -> CommandId:
    await now.later(25 * MINUTE)
    assert (await now.command(waits[1])).activity.state is State.DISCARDED
    return waits[1]


async def is_passed(now: Life, waits: list[CommandId]) -> CommandId:
    passing = ("anna", "berta")
    await now.ask(5, CONNECT, ignore_install_state=True, past_unclear_order=passing)
    assert now.sent(5, Operation.RECONNECT_METER) == 1
    assert (await now.command(waits[2])).activity.state is State.CANCELED
    return waits[2]


async def its_order_is_canceled(now: Life, waits: list[CommandId]) -> CommandId:
    order = (await now.command(waits[0])).request.order
    assert order is not None
    await now.orders.cancel(OrderId(order), by="billing", reason="a mistake")
    await now.work()
    return waits[0]


async def its_customer_pays(now: Life, waits: list[CommandId]) -> CommandId:
    point = (await now.command(waits[0])).activity.service_point
    assert point is not None
    await now.orders.payment(point, by="billing")
    await now.work()
    return waits[0]


Leave = Callable[[Life, list[CommandId]], Awaitable[CommandId]]


@pytest.mark.parametrize(
    "leave",
    [cancels, expires, is_passed, its_order_is_canceled, its_customer_pays],
)
async def test_those_behind_move_up_at_once_each_by_one_place_also_after_a_restart(
    leave: Leave, tmp_path: Path
) -> None:
    async with a_head_end(meters=METERS) as head_end:
        async with life(tmp_path, head_end, NOON, switch=HOURLY) as now:
            waits = await fill(now, short=leave is expires)
            assert list((await turns(now)).values()) == [1, 1, 1, 2, 2, 2, 3, 3, 3]
            gone = await leave(now, waits)
            behind = [each for each in waits if each != gone]
            expected = dict(zip(behind, [1, 1, 1, 2, 2, 2, 3, 3], strict=True))
            assert await turns(now) == expected
            at = now.clock.now()
        async with life(tmp_path, head_end, at, switch=HOURLY) as second:
            await second.work()
            assert await turns(second) == expected
            for hour in (1, 2, 3):
                await second.later(NOON + hour * HOUR - second.clock.now())
            assert await turns(second) == {}
            for command in behind:
                assert (await second.command(command)).communications[0].sent_at is not None
            assert (await second.command(gone)).communications[0].sent_at is None


async def test_many_who_leave_together_free_as_many_places(tmp_path: Path) -> None:
    async with (
        a_head_end(meters=METERS) as head_end,
        life(tmp_path, head_end, NOON, switch=HOURLY) as now,
    ):
        waits = await fill(now, short=False)
        for command in waits[::2]:
            await now.gateway.commands.cancel(command, by="ann")
        left = waits[1::2]
        assert await turns(now) == dict(zip(left, [1, 1, 1, 2], strict=True))
        (entry,) = await safety(now).limit_states()
        assert entry.waiting is not None
        assert (entry.waiting.waiting, entry.waiting.last) == (4, NOON + 2 * HOUR)
        for number, command in enumerate(left):
            await now.gateway.commands.cancel(command, by="ann")
            assert len(await turns(now)) == 3 - number
        (entry,) = await safety(now).limit_states()
        assert entry.waiting is None


async def test_who_comes_later_stands_behind_those_who_have_moved_up(tmp_path: Path) -> None:
    async with (
        a_head_end(meters=METERS) as head_end,
        life(tmp_path, head_end, NOON, switch=HOURLY) as now,
    ):
        waits = [await now.ask(number, expires_at=NOON + DAY) for number in range(10)][3:]
        await now.gateway.commands.cancel(waits[0], by="ann")
        last = await now.ask(10, expires_at=NOON + DAY)
        assert await turns(now) == dict(zip([*waits[1:], last], [1, 1, 1, 2, 2, 2, 3], strict=True))
        urgent = await now.ask(11, expires_at=NOON + DAY, priority=Priority.URGENT)
        assert (await turns(now))[urgent] == 3


async def test_a_place_of_an_hour_that_has_begun_is_used_in_that_hour(tmp_path: Path) -> None:
    async with (
        a_head_end(meters=METERS) as head_end,
        life(tmp_path, head_end, NOON, switch=HOURLY) as now,
    ):
        waits = [await now.ask(number, expires_at=NOON + DAY) for number in range(8)][3:]
        for clock in (now.clock, now.simulator.clock):
            await clock.turn(NOON + HOUR + timedelta(seconds=1))  # type: ignore[attr-defined]
        await now.gateway.commands.cancel(waits[0], by="ann")  # its turn has come; nothing is sent
        await now.work()
        assert [now.sent(number) for number in range(3, 8)] == [0, 1, 1, 1, 0]
        assert await turns(now) == {waits[4]: 2}


async def test_an_order_that_is_dated_anew_too_late_says_so_and_keeps_its_place(
    tmp_path: Path,
) -> None:
    async with (
        a_head_end(meters=METERS) as head_end,
        life(tmp_path, head_end, NOON, switch=HOURLY) as now,
    ):
        before = await fill(now, short=False)
        order = (await now.command(before[0])).request.order
        assert order is not None
        later = {"effectiveAt": (NOON + 3 * DAY).isoformat()}
        answer = await now.orders.update(OrderId(order), later, by="billing")
        assert "too late" in answer.outcome
        assert list(await turns(now)) == before
