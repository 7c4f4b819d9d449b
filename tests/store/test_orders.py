"""The store of orders: guards that decide races, statements that do not slow down with growth."""

import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest

from adapter.commands.activity import State
from adapter.engine.clock import HandClock
from adapter.engine.commands.ports import Change, Saved
from adapter.engine.orders.ports import (
    CaseSaved,
    OrderChange,
    OrderFilter,
    OrderRecord,
    WorldWrite,
)
from adapter.model.device import Device
from adapter.model.ids import CommandId, DeviceId, OrderId, ServicePointId
from adapter.model.values import replace
from adapter.orders.order import OrderKind, OrderState, ServiceOrder
from adapter.store.commands.commands import SqliteStore
from adapter.store.files import connect_writer
from adapter.store.migrate import migrate
from adapter.store.orders import queries
from adapter.store.orders.orders import SqliteOrders
from tests.builders import a_command, a_command_id, a_request, a_submission
from tests.new_stores import new_store
from tests.support import for_every

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def a_case(
    number: int, *, point: str = "SP-1", state: OrderState = OrderState.PENDING
) -> OrderRecord:
    order = ServiceOrder(
        id=OrderId(f"SO-{number}"),
        kind=OrderKind.CUT,
        service_point=ServicePointId(point),
        activity_type="cut",
        requester="cis",
        external_reference=f"r-{number}",
        created_at=NOON,
        effective_at=NOON,
        service_at=NOON,
        state=state,
    )
    return OrderRecord(order=order, wake=NOON)


async def opened(folder: Path) -> tuple[SqliteStore, SqliteOrders]:
    store = SqliteStore(new_store(folder / "gateway.db"), now=HandClock(NOON).now)
    await store.open()
    return store, SqliteOrders(store.database)


async def loaded(orders: SqliteOrders, case: OrderRecord) -> OrderRecord:
    return (await orders.load([case.order.id]))[case.order.id]


async def test_of_two_who_change_a_case_the_first_one_wins(tmp_path: Path) -> None:
    store, orders = await opened(tmp_path)
    case = a_case(1)
    assert await orders.submit(OrderChange(case=case), "a") == (case.order.id, True)
    assert await orders.submit(OrderChange(case=a_case(1)), "b") == (case.order.id, False)
    one = await loaded(orders, case)
    write = OrderChange(case=replace(one, order=replace(one.order, priority=1)))
    assert list(await orders.save([write, write])) == [CaseSaved.SAVED, CaseSaved.MOVED]
    again = await loaded(orders, case)
    assert (again.order.priority, again.version) == (1, one.version + 1)
    await store.close()


async def test_what_is_at_hand_is_what_the_file_has(tmp_path: Path) -> None:
    store, orders = await opened(tmp_path)
    await orders.submit(OrderChange(case=a_case(1)), "")
    one = await loaded(orders, a_case(1))
    order = replace(one.order, fields={"b": "1", "a": "2"})
    await orders.save([OrderChange(case=replace(one, order=order))])
    read = await loaded(SqliteOrders(store.database), one)
    assert repr(await loaded(orders, one)) == repr(read)
    await SqliteOrders(store.database).save([OrderChange(case=replace(read, order=one.order))])
    assert (await loaded(orders, one)).order.fields == {}
    await store.close()


async def test_nothing_is_at_hand_of_a_file_that_another_one_replaced(tmp_path: Path) -> None:
    store, orders = await opened(tmp_path)
    for priority in (1, 2):
        await orders.submit(OrderChange(case=a_case(1)), "")
        one = await loaded(SqliteOrders(store.database), a_case(1))
        change = OrderChange(case=replace(one, order=replace(one.order, priority=priority)))
        writer = orders if priority == 1 else SqliteOrders(store.database)
        await writer.save([change])
        assert (await loaded(orders, one)).order.priority == priority
        await store.close()
        for file in tmp_path.iterdir():
            file.unlink()
        await store.open()
    await store.close()


async def test_one_order_at_a_time_keeps_a_service_point_unless_it_yields(tmp_path: Path) -> None:
    store, orders = await opened(tmp_path)
    for number in (1, 2, 3):
        point = "SP-1" if number < 3 else "SP-2"
        await orders.submit(OrderChange(case=a_case(number, point=point)), "")
    one, two, three = [
        replace(case, order=replace(case.order, state=OrderState.WAITING))
        for case in [await loaded(orders, a_case(n)) for n in (1, 2, 3)]
    ]
    saved = await orders.save([OrderChange(case=each, holds=True) for each in (one, two, three)])
    assert list(saved) == [CaseSaved.SAVED, CaseSaved.POINT_TAKEN, CaseSaved.SAVED]
    stolen = OrderChange(case=two, holds=True, supersedes=(one.order.id,))
    assert list(await orders.save([stolen])) == [CaseSaved.SAVED]
    await store.close()


async def test_news_that_come_while_an_order_is_stepped_are_not_lost(tmp_path: Path) -> None:
    """Else the order, saved on facts from before, would sleep until its next poll."""
    store, orders = await opened(tmp_path)
    await orders.submit(OrderChange(case=a_case(1)), "")
    stepped = await loaded(orders, a_case(1))
    later = replace(stepped, wake=NOON + timedelta(minutes=5))
    await orders.wake([stepped.order.id], NOON)
    assert list(await orders.save([OrderChange(case=later)])) == [CaseSaved.MOVED]
    again = await loaded(orders, a_case(1))
    assert again.wake == NOON
    later = replace(again, wake=NOON + timedelta(minutes=5))
    assert list(await orders.save([OrderChange(case=later)])) == [CaseSaved.SAVED]
    await store.close()


async def test_a_device_that_looks_like_one_that_came_meanwhile_is_not_brought(
    tmp_path: Path,
) -> None:
    """Both reports may have been looked at before either is written: the second looks again."""
    store, orders = await opened(tmp_path)
    for number in (1, 2):
        await orders.submit(OrderChange(case=a_case(number, point=f"SP-{number}")), "")

    async def brings(number: int, device: str) -> CaseSaved:
        world = WorldWrite(devices=(Device(id=DeviceId(device)),))
        case = await loaded(orders, a_case(number))
        (saved,) = await orders.save([OrderChange(case=case, world=world)])
        return saved

    assert await brings(1, "N-1") is CaseSaved.SAVED
    assert await brings(2, "n-1") is CaseSaved.WORLD_MOVED
    assert set(await store.views([DeviceId("N-1"), DeviceId("n-1")])) == {"N-1"}
    assert await brings(2, "N-1") is CaseSaved.SAVED, "one that is known is no twin of itself"
    await store.close()


async def test_an_order_is_woken_whose_obstacle_ended_before_it_said_that_it_waits(
    tmp_path: Path,
) -> None:
    """Else it would sleep until its next poll."""
    store, orders = await opened(tmp_path)
    for number in (1, 2, 3):
        await orders.submit(OrderChange(case=a_case(number, point="SP-1")), "")
    gone, still, waits = [await loaded(orders, a_case(number)) for number in (1, 2, 3)]
    ended = replace(gone, order=replace(gone.order, state=OrderState.COMPLETED), wake=None)
    later = NOON + timedelta(minutes=5)
    for blocker, wake in ((gone.order.id, NOON), (still.order.id, later)):
        waits = await loaded(orders, waits)
        blocked = OrderChange(case=replace(waits, blocked_by=blocker, wake=later))
        writes = [blocked] if blocker == still.order.id else [OrderChange(case=ended), blocked]
        assert set(await orders.save(writes)) == {CaseSaved.SAVED}
        assert (await loaded(orders, waits)).wake == wake
    await store.close()


LATER = NOON + timedelta(minutes=5)
LANE = "switch:M-1"


async def waits_for(
    orders: SqliteOrders, number: int, command: CommandId
) -> Callable[[], Awaitable[datetime | None]]:
    """An order that waits for a command; when it is looked at next."""
    await orders.submit(OrderChange(case=a_case(number, point=f"SP-{number}")), "")
    case = replace(await loaded(orders, a_case(number)), wake=LATER)
    assert list(await orders.save([OrderChange(case=case, awaits=command)])) == [CaseSaved.SAVED]

    async def wake() -> datetime | None:
        return (await loaded(orders, case)).wake

    return wake


async def test_an_order_that_waits_for_a_command_is_woken_in_the_transaction_that_ends_it(
    tmp_path: Path,
) -> None:
    store, orders = await opened(tmp_path)
    await store.submit([a_submission(1, lanes=(LANE,)), a_submission(2, lanes=("switch:M-2",))])
    one, two = [await waits_for(orders, n, a_command_id(n)) for n in (1, 2)]
    assert (await one(), await two()) == (LATER, LATER)
    (command,) = (await store.load([a_command_id(1)])).values()
    await store.save([Change(command=command)])
    assert await one() == LATER  # it moved, and has its lane still
    await store.save([Change(command=replace(command, version=command.version + 1), release=True)])
    assert (await one(), await two()) == (NOON, LATER)
    await store.close()


async def test_an_order_is_woken_whose_command_ended_before_it_said_that_it_waits(
    tmp_path: Path,
) -> None:
    store, orders = await opened(tmp_path)
    await store.submit([a_submission(1)])  # it holds nothing any more
    wake = await waits_for(orders, 1, a_command_id(1))
    assert await wake() == NOON
    await store.close()


async def test_an_order_is_woken_when_people_let_another_pass_the_command_that_it_waits_for(
    tmp_path: Path,
) -> None:
    store, orders = await opened(tmp_path)
    await store.submit([a_submission(1, lanes=(LANE,))])
    wake = await waits_for(orders, 1, a_command_id(1))
    await store.submit([a_submission(2, lanes=(LANE,), steal=True)])
    assert await wake() == NOON
    await store.close()


async def test_an_order_is_woken_when_its_command_leaves_an_error(tmp_path: Path) -> None:
    store, orders = await opened(tmp_path)
    await orders.submit(OrderChange(case=a_case(1)), "")
    case = replace(await loaded(orders, a_case(1)), wake=LATER)
    await orders.save([OrderChange(case=case)])
    own = a_request(order=case.order.id)
    failed = a_command(1, request=own, state=State.COMMUNICATION_ERROR)
    await store.submit([a_submission(1, command=failed)])
    (command,) = (await store.load([failed.id])).values()
    moved = replace(command.activity, reason="still")
    await store.save([Change(command=replace(command, activity=moved))])
    assert (await loaded(orders, case)).wake == LATER
    again = replace(command.activity, state=State.COMMUNICATION_IN_PROGRESS)
    put = replace(command, activity=again, version=command.version + 1)
    assert list(await store.save([Change(command=put)])) == [Saved.SAVED]
    assert (await loaded(orders, case)).wake == NOON
    await store.close()


async def test_what_is_due_can_be_put_off_and_what_is_final_is_left_alone(tmp_path: Path) -> None:
    store, orders = await opened(tmp_path)
    await orders.submit(OrderChange(case=a_case(1)), "")
    later = NOON + timedelta(seconds=30)
    assert list(await orders.due(limit=9, now=NOON)) == ["SO-1"]
    await orders.put_off([OrderId("SO-1")], NOON, later)
    assert not await orders.due(limit=9, now=NOON)
    await orders.put_off([OrderId("SO-1")], NOON, later + timedelta(days=1))  # it is not due
    assert list(await orders.due(limit=9, now=later)) == ["SO-1"]
    await orders.wake([OrderId("SO-1")], NOON)
    assert list(await orders.due(limit=9, now=NOON)) == ["SO-1"]
    case = await loaded(orders, a_case(1))
    final = replace(case, order=replace(case.order, state=OrderState.DISCARDED), wake=None)
    await orders.save([OrderChange(case=final)])
    await orders.wake([OrderId("SO-1")], NOON)
    assert not await orders.due(limit=9, now=later)
    assert len((await orders.list(OrderFilter())).rows) == 1
    await store.close()


async def test_who_decided_on_facts_of_before_the_news_has_to_look_again(tmp_path: Path) -> None:
    store, orders = await opened(tmp_path)
    await orders.submit(OrderChange(case=a_case(1)), "")
    before = await loaded(orders, a_case(1))
    await orders.wake([OrderId("SO-1")], NOON)  # a command of it has ended meanwhile
    later = OrderChange(case=replace(before, wake=NOON + timedelta(minutes=1)))
    assert list(await orders.save([later])) == [CaseSaved.MOVED]
    assert list(await orders.due(limit=9, now=NOON)) == ["SO-1"]
    await store.close()


_STATEMENTS = {
    name: text
    for name, text in vars(queries).items()
    if name.isupper() and not name.startswith("_")
}


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    connection = connect_writer(tmp_path_factory.mktemp("plans") / "gateway.db", None)
    migrate(connection)
    yield connection
    connection.close()


@for_every("name", sorted(_STATEMENTS))
def test_a_statement_searches_and_never_walks_a_table(grown: apsw.Connection, name: str) -> None:
    text = _STATEMENTS[name]
    names = re.findall(r":(\w+)", text)
    values = dict.fromkeys(names) if names else (None,) * text.count("?")
    plan = [str(row[3]) for row in grown.execute("EXPLAIN QUERY PLAN " + text, values)]
    walks = [
        line
        for line in plan
        if line.startswith("SCAN")
        and not any(word in line for word in ("json_each", "CONSTANT ROW", "subquery", "INDEX"))
    ]
    assert not walks, plan
