"""A stop beside a bulk submission, beside running orders, and past their deadlines: nothing is sent
after its answer, orders wait and say why, and what goes on afterwards is the rest, in order."""

import asyncio
from pathlib import Path

import pytest

from adapter.commands.activity import CommandRequest, Outcome, State
from adapter.commands.flows import Operation
from adapter.commands.rules import SwitchPolicy
from adapter.commands.usage_limits import SwitchCap
from adapter.engine.commands.bulk import BulkRequest
from adapter.engine.orders.requests import OrderRequest
from adapter.model.ids import CommandId, OrderId
from adapter.model.todo import TodoSubject
from adapter.orders.order import OrderKind, OrderState
from adapter.simulator.registry import device_id
from tests.clock.lives import CUT, DAY, HOUR, NOON, Life, a_head_end, life
from tests.engine.commands.test_switching_stopped import resume, safety, stop

REQUESTS = 5
HELD = "expired while held: ann has stopped switching: the list is wrong"


def reached(now: Life) -> list[str]:
    """Meters that the head end was asked to disconnect, in that order."""
    return list(now.simulator.journal.by_meter.get(Operation.DISCONNECT_METER, ()))


async def commands(now: Life, *, queued: bool) -> list[str]:
    """Of all disconnects those that wait to be sent, or the others, by their turns."""
    query = "SELECT command FROM communication WHERE (state = 'queued') = ? ORDER BY wake, id"
    return await now.core.store.database.query(
        lambda db: [command for (command,) in db.execute(query, (queued,))]
    )


async def bulk(now: Life, request: int, rows: int) -> int:
    """Cuts for so many meters that follow, from the third list on for tomorrow; how many were
    accepted."""
    first = request * rows
    asked_for = {
        line: CommandRequest(
            kind=CUT,
            devices=(device_id(now.endpoint(first + line - 1)),),
            idempotency_key=f"cut {first + line}",
            effective_at=NOON + DAY if request > 1 else None,
            expires_at=NOON + 4 * DAY,
        )
        for line in range(1, rows + 1)
    }
    key = f"list {request}"
    asked = BulkRequest(kind=CUT, key=key, requester="ann", reference="", rows=asked_for)
    return (await now.gateway.commands.bulk.submit(asked, actor="ann")).accepted


@pytest.mark.seconds(100)
@pytest.mark.parametrize(
    ("rows", "per_hour"),
    [(200, 150), pytest.param(1_000, 300, marks=pytest.mark.soak)],
    ids=["1,000", "5,000"],
)
async def test_nothing_of_many_is_sent_after_the_answer_and_then_the_rest_in_order(
    tmp_path: Path, rows: int, per_hour: int
) -> None:
    policy = SwitchPolicy(cap=(SwitchCap(name="cuts", per_hour=per_hour),))
    async with (
        a_head_end(meters=rows * REQUESTS) as head_end,
        life(tmp_path, head_end, NOON, switch=policy) as now,
    ):
        assert await bulk(now, 0, rows) == rows
        working = asyncio.create_task(now.gateway.drain())
        others = [asyncio.create_task(bulk(now, number, rows)) for number in range(1, REQUESTS)]
        while len(reached(now)) < 50:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await stop(now)
        left = await commands(now, queued=False)
        assert 50 <= len(left) < per_hour
        assert await asyncio.gather(*others) == [rows] * (REQUESTS - 1)
        await working
        await now.later(2 * HOUR)
        rest = await commands(now, queued=True)
        assert len(rest) == 2 * rows - len(left)
        assert (await safety(now).state()).counts.not_due == 3 * rows
        assert len(reached(now)) <= len(left)
        assert await commands(now, queued=False) == left
        before = len(reached(now))
        await safety(now).resume(by="ann", why="the list was withdrawn")
        await now.work()
        assert len(reached(now)) == before  # one is not enough
        await safety(now).resume(by="bob", why="I have seen the new list")
        await now.work()
        assert len(reached(now)) == before + per_hour
        assert await commands(now, queued=True) == rest[per_hour:]
        assert max(now.simulator.journal.by_meter[Operation.DISCONNECT_METER].values()) == 1


async def order_for(now: Life, number: int, kind: OrderKind = OrderKind.CUT) -> OrderId:
    view = (await now.gateway.registry.devices())[number]
    assert view.service_point is not None
    request = OrderRequest(
        kind=kind,
        service_point=view.service_point.id,
        external_reference=f"order {number}",
        requester="billing",
    )
    order = await now.orders.submit(request)
    return order.id


async def test_orders_wait_through_a_stop_past_the_expiry_of_their_commands_and_then_end(
    tmp_path: Path,
) -> None:
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON) as now:
            orders = [await order_for(now, number) for number in range(3)]
            await now.work()  # under way when it comes
            orders += [await order_for(now, number) for number in range(3, 6)]
            await stop(now)
            orders += [await order_for(now, 6, OrderKind.DISABLE)]
            before = set(reached(now))
            for _ in range(10):  # a command expires after four hours, another takes its place
                await now.later(HOUR)
            assert set(reached(now)) == before
            at = now.clock.now()
        async with life(tmp_path, head_end, at) as now:
            await now.work()
            found = [(await now.orders.show(each)).order for each in orders]
            assert {each.problem for each in found} == {None}
            assert {each.state for each in found[3:]} == {OrderState.IN_PROGRESS}
            shown = await now.orders.show(orders[3])
            reasons = [each.fact.reason for each in shown.children]
            assert reasons == [HELD, HELD, ""]
            entries = await now.gateway.upkeep.todo.list()
            assert [each.first.subject for each in entries] == [TodoSubject.SWITCH_HOLD]
            await resume(now)
            await now.later(HOUR)
            await now.later(HOUR)
            found = [(await now.orders.show(each)).order for each in orders]
            assert {each.state for each in found[:-1]} == {OrderState.COMPLETED}
            assert len(reached(now)) == len(orders)
            assert set(now.simulator.journal.by_meter[Operation.DISCONNECT_METER].values()) == {1}


async def test_a_command_whose_time_passes_while_it_is_stopped_says_so(tmp_path: Path) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        await stop(now)
        asked = await now.ask(0, expires_at=NOON + HOUR)
        later = await now.ask(1, effective_at=NOON + HOUR, expires_at=NOON + 2 * HOUR)
        for _ in range(3):
            await now.later(HOUR)
        await resume(now)
        await ends_as(now, asked, HELD)
        await ends_as(now, later, HELD)
        late = await now.ask(2, expires_at=now.clock.now() + HOUR)
        assert (await now.command(late)).activity.outcome is not Outcome.EXPIRED
        assert reached(now) == [now.endpoint(2)]


async def ends_as(now: Life, command: CommandId, reason: str) -> None:
    activity = (await now.command(command)).activity
    assert (activity.state, activity.outcome) == (State.DISCARDED, Outcome.EXPIRED)
    assert activity.reason == reason
