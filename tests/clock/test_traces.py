"""What a clock that was ahead wrote into the store: nothing waits for a time nobody meant."""

from datetime import datetime, time
from pathlib import Path

import pytest

from adapter.commands.activity import State
from adapter.commands.flows import CommandKind
from adapter.commands.rules import SwitchPolicy
from adapter.engine.commands.ports import Filter, InboxState, Received
from adapter.engine.commands.switch_holds import HoldReason
from adapter.engine.orders.requests import OrderRequest
from adapter.model.values import replace
from adapter.orders.order import OrderKind, OrderState
from adapter.schedules.recurrence import Grid, Recurrence
from adapter.schedules.schedule import ReadPlan
from adapter.simulator.registry import registry_of
from adapter.store.rows import micros
from adapter.store.subscriptions import SqliteSubscriptions
from tests.clock.lives import DAY, FAR, HOUR, MINUTE, NOON, PING, Life, a_head_end, life

CLOCK = HoldReason.CLOCK
DAILY = Recurrence(grid=Grid(first=time(0), length=DAY, zone="UTC"), buffer=HOUR)


async def a_plan(of: Life, **given: object) -> ReadPlan:
    plan = ReadPlan(
        name="daily",
        group="Substation 1",
        kind=CommandKind.SCHEDULED_READ_INTERVAL,
        starts=of.clock.now(),
        recurrence=DAILY,
    )
    return replace(plan, **given)  # type: ignore[arg-type]


async def periods(of: Life) -> list[tuple[datetime, datetime]]:
    found = [row.request.period for row in (await of.gateway.commands.list(Filter(limit=100))).rows]
    return sorted((each.start, each.end) for each in found if each is not None)


async def test_an_order_without_dates_that_a_clock_ahead_accepted_leaves_after_the_confirmation(
    tmp_path: Path,
) -> None:
    """And it expires as long after its acceptance as it would have."""
    async with a_head_end() as head_end:
        policy = SwitchPolicy(needs_approval=True)
        async with life(tmp_path, head_end, NOON + FAR, switch=policy) as wrong:
            order = await wrong.ask(0)
            late = await wrong.ask(1)
        async with life(tmp_path, head_end, NOON, switch=policy) as right:
            await right.gateway.commands.approve(order, by="bob")
            await right.later(MINUTE)
            assert right.sent(0) == 0
            await right.confirm()
            await right.later(MINUTE)
            assert right.sent(0) == 1
            await right.later(4 * HOUR)
            assert (await right.command(late)).activity.state is State.DISCARDED


async def test_a_try_that_a_clock_ahead_put_off_is_made_soon(tmp_path: Path) -> None:
    async with a_head_end() as head_end:
        await head_end.stop()
        async with life(tmp_path, head_end, NOON + FAR) as wrong:
            ping = await wrong.ask(0, PING)  # not sent: it is tried again later
        await head_end.start()
        async with life(tmp_path, head_end, NOON) as right:
            await right.confirm()
            for _ in range(6):
                await right.later(10 * MINUTE)
            assert (await right.command(ping)).activity.state is State.COMPLETED


async def test_the_budget_for_disconnects_is_not_used_up_by_a_clock_ahead(tmp_path: Path) -> None:
    policy = SwitchPolicy(per_hour=1)
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON + FAR, switch=policy) as wrong:
            await wrong.ask(0)
            assert wrong.sent(0) == 1
        async with life(tmp_path, head_end, NOON, switch=policy) as right:
            await right.confirm()
            await right.ask(1)
            await right.later(30 * MINUTE)
            assert right.sent(1) == 0  # it still counts, as one of now
            await right.later(HOUR)
            assert right.sent(1) == 1


async def test_a_service_order_that_a_clock_ahead_accepted_goes_on_after_the_confirmation(
    tmp_path: Path,
) -> None:
    async with a_head_end() as head_end:
        point = registry_of(head_end.world.population).installs[0].service_point
        asked = OrderRequest(kind=OrderKind.CUT, service_point=point, external_reference="r-1")
        async with life(tmp_path, head_end, NOON + FAR) as wrong:
            made = await wrong.orders.submit(asked)
            assert made.effective_at == NOON + FAR
        async with life(tmp_path, head_end, NOON) as right:
            await right.later(HOUR)
            assert (await right.orders.get(made.id)).state is OrderState.PENDING
            await right.confirm()
            await right.later(MINUTE)
            found = await right.orders.get(made.id)
            assert found.effective_at == found.created_at <= right.clock.now()
            assert found.state is not OrderState.WAITING
            assert right.sent(0) == 1


async def test_a_service_order_with_a_date_waits_for_it_through_a_start_ahead(
    tmp_path: Path,
) -> None:
    async with a_head_end() as head_end:
        point = registry_of(head_end.world.population).installs[0].service_point
        asked = OrderRequest(
            kind=OrderKind.CUT,
            service_point=point,
            external_reference="r-1",
            effective_at=NOON + 20 * DAY,
        )
        async with life(tmp_path, head_end, NOON) as before:
            made = await before.orders.submit(asked)
            await before.work()
        async with life(tmp_path, head_end, NOON + FAR) as wrong:
            assert wrong.held == [CLOCK]
            await wrong.later(HOUR)
        async with life(tmp_path, head_end, NOON + HOUR) as right:
            await right.later(19 * DAY)
            assert right.held == []
            assert (await right.orders.get(made.id)).state is OrderState.WAITING
            assert right.sent(0) == 0
            await right.later(DAY)
            assert right.sent(0) == 1


@pytest.mark.parametrize("known", [True, False], ids=["of before", "made while ahead"])
async def test_a_schedule_reads_today_and_not_in_four_hundred_days(
    known: bool, tmp_path: Path
) -> None:
    async with a_head_end() as head_end:
        if known:
            async with life(tmp_path, head_end, NOON) as before:
                await before.core.gateway.schedules.add(await a_plan(before), by="ann")
        async with life(tmp_path, head_end, NOON + FAR) as wrong:
            schedules = wrong.core.gateway.schedules
            if not known:
                await schedules.add(await a_plan(wrong), by="ann")
            await wrong.clock.turn(wrong.clock.now() + 2 * DAY)
            await schedules.once()
            assert (await periods(wrong))[-1][1] > NOON + 300 * DAY
        async with life(tmp_path, head_end, NOON + HOUR) as right:
            if right.held:
                await right.confirm()
            schedules = right.core.gateway.schedules
            day = NOON.replace(hour=0) + DAY
            for _ in range(2):
                await right.later(DAY)
                while await schedules.once():
                    pass
            assert (day, day + DAY) in await periods(right)
            (schedule,) = await schedules.list()
            assert schedule.next_start <= right.clock.now() + DAY


async def test_nothing_is_removed_for_its_age_while_the_clock_is_in_doubt(tmp_path: Path) -> None:
    message = Received(operation="x", raw=b"<a/>", at=NOON, state=InboxState.STORED)
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON) as before:
            await before.core.store.receive([message])
        async with life(tmp_path, head_end, NOON + FAR) as wrong:
            retention = wrong.core.gateway.upkeep.retention
            for _ in range(20):
                await retention.once()
            assert len(await wrong.gateway.inbox.list()) == 1
            await wrong.confirm()
            for _ in range(20):
                await retention.once()
            assert len(await wrong.gateway.inbox.list()) == 0


async def test_what_a_clock_ahead_dated_does_not_keep_what_came_after_it(tmp_path: Path) -> None:
    ahead = Received(operation="x", raw=b"<a/>", at=NOON + FAR, state=InboxState.STORED)
    after = Received(operation="y", raw=b"<a/>", at=NOON, state=InboxState.STORED)
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        await now.core.store.receive([ahead, *[after] * 150])
        await now.clock.turn(NOON + 91 * DAY)
        await now.core.gateway.upkeep.retention.run()
        assert [row.operation for row in await now.gateway.inbox.list()] == ["x"]


async def test_silence_is_judged_by_what_has_arrived_by_now(tmp_path: Path) -> None:
    data = "DataSubscriberService.DataArrived"
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON + FAR) as wrong:
            arrived = Received(operation=data, raw=b"<a/>", at=wrong.clock.now())
            await wrong.core.store.receive([arrived])
            store = SqliteSubscriptions(wrong.core.store.database)
            await store.count_arrivals()
            assert await store.arrivals(NOON)
        async with life(tmp_path, head_end, NOON) as right:
            await right.confirm()
            store = SqliteSubscriptions(right.core.store.database)
            assert not await store.arrivals(NOON)


async def test_a_storm_that_a_clock_ahead_counted_is_summed_up_and_hides_nothing_more(
    tmp_path: Path,
) -> None:
    window = (
        "INSERT INTO event_window (bucket, started, ends, published, in_summary, counts, summed_up)"
    )
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON + FAR) as wrong:
            starts = micros(wrong.clock.now())
            row = ("outage", starts, starts + 3_600_000_000, 5, 7, b"{}")
            store = wrong.core.store
            await store.database.write(
                lambda tx: tx.connection.execute(f"{window} VALUES (?, ?, ?, ?, ?, ?, 0)", row)
            )
        async with life(tmp_path, head_end, NOON) as right:
            await right.confirm()
            await right.core.gateway.events.once()
            told = await right.core.store.outbox("any", limit=100)
            kinds = [row.publication.type for row in told]
            assert "openway.device.event_storm" in kinds


async def test_lists_show_the_newest_first_after_a_clock_that_was_ahead(tmp_path: Path) -> None:
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON + FAR) as wrong:
            asked = [await wrong.ask(number, PING) for number in range(1)]
        async with life(tmp_path, head_end, NOON) as right:
            for number in range(3, 6):
                asked.append(await right.ask(number, PING))
                await right.later(MINUTE)
            listed = [each.id for each in (await right.gateway.commands.list()).rows]
            assert listed == asked[::-1]
