"""One order, message, reply, report, schedule or subscription that cannot be worked."""

from datetime import time, timedelta
from pathlib import Path

import pytest

from adapter.commands.flows import CommandKind
from adapter.engine.commands.ports import Change
from adapter.engine.upkeep.retention import Kept
from adapter.engine.upkeep.set_aside import FailedState, RowKind
from adapter.errors import Conflict
from adapter.fieldwork.drop import FileDrop
from adapter.fieldwork.settings import DropSettings
from adapter.model.ids import OrderId
from adapter.model.todo import TodoSubject
from adapter.orders.order import OrderKind, OrderState
from adapter.schedules.recurrence import Grid, Recurrence
from adapter.schedules.schedule import ReadPlan, ScheduleState
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from adapter.subscriptions.reconcile import SubscriptionKind
from tests.builders import a_message, a_note, a_publication
from tests.engine.subscriptions.test_subscriptions import kept as kept_subscriptions
from tests.engine.upkeep.broken_rows import BROKEN, LEASE, Broken, Stage, a_stage, kept, plant
from tests.web.both_servers import NOON


async def test_an_order_that_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        one, two = await stage.order(1), await stage.order(2)
        broken = Broken(tmp_path, "service_order", "body", "id", one.id)
        await stage.work()
        assert (await stage.orders.show(two.id)).children
        assert (await stage.only(RowKind.ORDER, FailedState.WAITING)).row == one.id
        await stage.tries()
        at = stage.clock.now()
    async with a_stage(tmp_path, at=at) as stage:
        row = await stage.only(RowKind.ORDER)
        (entry,) = await stage.gateway.upkeep.todo.list(TodoSubject.SET_ASIDE)
        todo = entry.first
        assert (todo.id, todo.order, todo.code) == (str(row.id), one.id, "order_set_aside")
        assert entry.commands[0].typed.startswith(f"openway set-aside retry {row.id} ")
        await stage.later(timedelta(hours=1))
        assert (await stage.only(RowKind.ORDER)).tries == row.tries
        broken.mend()
        await stage.set_aside.retry(row.id, by="me")
        await stage.later(LEASE)
        assert await stage.failed() == []
        assert (await stage.orders.show(one.id)).children


async def test_an_order_that_is_discarded_is_given_up(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        order = await stage.order(1)
        broken = Broken(tmp_path, "service_order", "body", "id", order.id)
        await stage.work()
        await stage.tries()
        row = await stage.only(RowKind.ORDER)
        broken.mend()
        await stage.set_aside.discard(row.id, by="me", reason="no use")
        assert (await stage.orders.get(order.id)).state is OrderState.DISCARDED
        await stage.only(RowKind.ORDER, FailedState.DISCARDED)


async def test_an_order_waits_for_a_sites_own_system_as_long_as_it_takes(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        stage.measurements.away = True
        order = await stage.order(1)
        for _ in range(20):
            await stage.later(timedelta(minutes=5))
        assert await stage.failed() == []
        stage.measurements.away = False
        await stage.later(LEASE)
        assert (await stage.orders.show(order.id)).children


async def visits(stage: Stage) -> list[OrderId]:
    """Orders at points without a smart command send a crew: two messages that wait."""
    without = "json_set(CAST(body AS TEXT), '$.capabilities', json('[]'))"
    plant(stage.folder, f"UPDATE device SET body = CAST({without} AS BLOB)")
    made = [(await stage.order(number, OrderKind.CUT)).id for number in (1, 2)]
    while await stage.orders._orchestrator.once():  # the messages are to stay queued
        pass
    return made


async def test_a_field_message_that_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        await visits(stage)
        first = kept(tmp_path, "SELECT min(id) FROM field_message")
        assert kept(tmp_path, "SELECT count(*) FROM field_message") == 2
        broken = Broken(tmp_path, "field_message", "body", "id", first)
        await stage.work()
        assert len(stage.field_work.messages) == 1
        await stage.tries()
        row = await stage.only(RowKind.FIELD_MESSAGE)
        assert row.row == first
        at = stage.clock.now()
    async with a_stage(tmp_path, at=at) as stage:
        broken.mend()
        await stage.set_aside.retry(row.id, by="me")
        await stage.later(LEASE)
        assert set(stage.field_work.messages) == {first}
        assert await stage.failed() == []


async def test_a_field_message_that_is_discarded_does_not_leave(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        await visits(stage)
        first = kept(tmp_path, "SELECT min(id) FROM field_message")
        Broken(tmp_path, "field_message", "body", "id", first)
        await stage.work()
        await stage.tries()
        row = await stage.only(RowKind.FIELD_MESSAGE)
        await stage.set_aside.discard(row.id, by="me", reason="no use")
        state = kept(tmp_path, "SELECT state FROM field_message WHERE id = ?", first)
        assert state == "failed"


async def test_a_reply_that_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        await stage.order(1)
        await stage.order(2)
        await stage.orders._orchestrator.once()  # the replies are to stay queued
        first = kept(tmp_path, "SELECT min(id) FROM order_reply")
        total = kept(tmp_path, "SELECT count(*) FROM order_reply")
        assert total == 2
        broken = Broken(tmp_path, "order_reply", "body", "id", first)
        await stage.work()
        assert first not in [reply.id for reply in stage.requester.replies]
        assert len(stage.requester.replies) >= 1
        await stage.tries()
        row = await stage.only(RowKind.REPLY)
        at = stage.clock.now()
    async with a_stage(tmp_path, at=at) as stage:
        broken.mend()
        await stage.set_aside.retry(row.id, by="me")
        await stage.later(LEASE)
        assert first in [reply.id for reply in stage.requester.replies]
        assert await stage.failed() == []


async def test_a_reply_that_is_discarded_lets_those_behind_it_go(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        await stage.order(1)
        await stage.orders._orchestrator.once()  # the reply is to stay queued
        first = kept(tmp_path, "SELECT min(id) FROM order_reply")
        Broken(tmp_path, "order_reply", "body", "id", first)
        await stage.work()
        await stage.tries()
        row = await stage.only(RowKind.REPLY)
        await stage.set_aside.discard(row.id, by="me", reason="no use")
        state = kept(tmp_path, "SELECT state FROM order_reply WHERE id = ?", first)
        assert state == "given_up"


async def test_a_report_that_fails_in_its_folder_holds_up_no_other(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        orders = await visits(stage)
        await stage.work()
        drop = FileDrop(DropSettings(folder=tmp_path / "drop"))
        await drop.look(stage.orders)
        sent = sorted(stage.field_work.messages.values(), key=lambda each: each.id)
        for number, message in enumerate(sent):
            report = (
                f'{{"kind": "crew_started", "id": "r{number}", "activity": "{message.activity}"}}'
            )
            (tmp_path / "drop" / "in" / f"{number}.json").write_text(report)
        broken = Broken(tmp_path, "service_order", "body", "id", min(orders))
        plant(tmp_path, "UPDATE service_order SET wake = NULL")
        await drop.look(stage.orders)
        inside = tmp_path / "drop" / "in"
        assert [path.name for path in inside.glob("*.json")] == ["0.json"]
        assert (await stage.only(RowKind.FIELD_REPORT, FailedState.WAITING)).row == "0.json"
        await stage.tries(lambda: drop.look(stage.orders))
        row = await stage.only(RowKind.FIELD_REPORT)
        assert await drop.look(stage.orders) == 0
        broken.mend()
        await stage.set_aside.retry(row.id, by="me")
        await drop.look(stage.orders)
        assert (list(inside.glob("*.json")), await stage.failed()) == ([], [])


async def test_a_report_that_is_discarded_goes_to_those_that_failed(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        orders = await visits(stage)
        await stage.work()
        drop = FileDrop(DropSettings(folder=tmp_path / "drop"))
        await drop.start(stage.orders)
        await drop.stop()
        message = min(stage.field_work.messages.values(), key=lambda each: each.id)
        report = f'{{"kind": "crew_started", "id": "r", "activity": "{message.activity}"}}'
        (tmp_path / "drop" / "in" / "a.json").write_text(report)
        Broken(tmp_path, "service_order", "body", "id", min(orders))
        plant(tmp_path, "UPDATE service_order SET wake = NULL")
        await drop.look(stage.orders)
        await stage.tries(lambda: drop.look(stage.orders))
        row = await stage.only(RowKind.FIELD_REPORT)
        await stage.set_aside.discard(row.id, by="me", reason="no use")
        assert "no use" in (tmp_path / "drop" / "failed" / "a.json.reason").read_text()


# ---------------------------------------------------------------- schedules


def a_plan(group: str) -> ReadPlan:
    grid = Grid(first=time(0), length=timedelta(hours=1), zone="UTC")
    return ReadPlan(
        name=group,
        group=group,
        kind=CommandKind.SCHEDULED_READ_INTERVAL,
        starts=NOON,
        recurrence=Recurrence(grid=grid, count=2),
    )


async def test_a_schedule_that_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        one = await stage.schedules.add(a_plan("A"), by="me")
        two = await stage.schedules.add(a_plan("B"), by="me")
        broken = Broken(tmp_path, "read_schedule", "body", "id", one.id)
        plant(tmp_path, "UPDATE read_schedule SET wake = 0 WHERE id = ?", one.id)
        await stage.later(timedelta(hours=1))
        assert (await stage.schedules.get(two.id)).issued == 1
        assert (await stage.only(RowKind.SCHEDULE, FailedState.WAITING)).row == one.id
        await stage.tries()
        row = await stage.only(RowKind.SCHEDULE)
        at = stage.clock.now()
    async with a_stage(tmp_path, at=at) as stage:
        await stage.later(timedelta(hours=1))
        assert (await stage.only(RowKind.SCHEDULE)).tries == row.tries
        broken.mend()
        await stage.set_aside.retry(row.id, by="me")
        await stage.work()
        assert await stage.failed() == []
        assert (await stage.schedules.get(one.id)).issued == 1


async def test_a_schedule_that_is_discarded_ends(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        one = await stage.schedules.add(a_plan("A"), by="me")
        broken = Broken(tmp_path, "read_schedule", "body", "id", one.id)
        await stage.later(timedelta(hours=1))
        await stage.tries()
        row = await stage.only(RowKind.SCHEDULE)
        broken.mend()
        await stage.set_aside.discard(row.id, by="me", reason="no use")
        assert (await stage.schedules.get(one.id)).state is ScheduleState.ENDED


# ---------------------------------------------------------------- subscriptions and retention


@pytest.mark.parametrize("name", [*(kind.value for kind in SubscriptionKind), "silence"])
async def test_a_subscription_whose_state_cannot_be_read_holds_up_no_other(
    tmp_path: Path, name: str
) -> None:
    async with (
        Simulator(SimulatorConfig()) as simulator,
        kept_subscriptions(tmp_path, simulator.url) as made,
    ):
        put = "INSERT OR REPLACE INTO subscription_state VALUES (?, ?)"
        plant(tmp_path, put, name, BROKEN)
        await made.subscriptions.once()
        rows = await made.store.set_aside.rows(state=None)
        assert [(each.kind, each.row) for each in rows] == [(RowKind.SUBSCRIPTION, name)]
        others = [state.kind.value for state in await made.subscriptions.states()]
        assert others == [kind.value for kind in SubscriptionKind if kind.value != name]
        for _ in range(5):
            await made.later(minutes=11)
        (row,) = await made.store.set_aside.rows()
        assert row.tries == 5
        await made.later(hours=3)
        (row,) = await made.store.set_aside.rows()
        with pytest.raises(Conflict):
            await made.store.set_aside.discard(row.id, by="me", reason="x")
        plant(tmp_path, "DELETE FROM subscription_state WHERE name = ?", name)
        await made.store.set_aside.retry(row.id, by="me")
        await made.later(seconds=1)
        assert await made.store.set_aside.rows(state=None) == []
        assert len(await made.subscriptions.states()) == len(SubscriptionKind)


async def test_a_row_that_cannot_be_removed_holds_up_no_other(tmp_path: Path) -> None:
    """A trigger stands for whatever the store refuses."""
    async with a_stage(tmp_path) as stage:
        names = ("a", "b", "c")
        for name in names:
            await stage.store.save([Change(publications=(a_publication(name),))])
        await stage.work()
        refuse = (
            "CREATE TRIGGER refused BEFORE DELETE ON publication WHEN OLD.id = 'b' "
            "BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        plant(tmp_path, refuse)
        left = "SELECT group_concat(id, '') FROM publication"
        await stage.clock.turn(stage.clock.now() + timedelta(days=3))
        await stage.retention.run()
        assert kept(tmp_path, left) == "b"
        row = await stage.only(RowKind.RETENTION, FailedState.WAITING)
        assert row.row == f"{Kept.PUBLICATIONS}/2"
        await stage.tries(stage.retention.run)
        row = await stage.only(RowKind.RETENTION)
        await stage.retention.run()
        assert (await stage.only(RowKind.RETENTION)).tries == row.tries == 5
        plant(tmp_path, "DROP TRIGGER refused")
        await stage.set_aside.retry(row.id, by="me")
        await stage.retention.run()
        assert (kept(tmp_path, left), await stage.failed()) == (None, [])


async def test_a_publication_that_is_set_aside_is_not_removed_with_age(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        await stage.store.save([Change(publications=(a_publication("a"),))])
        Broken(tmp_path, "publication", "body", "id", "a")
        await stage.store.save([Change(publications=(a_publication("b"),))])
        await stage.work()
        await stage.tries()
        await stage.clock.turn(stage.clock.now() + timedelta(days=9))
        await stage.retention.run()
        assert kept(tmp_path, "SELECT group_concat(id, '') FROM publication") == "a"


async def test_a_class_of_rows_that_fails_holds_up_no_other_class(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        await stage.store.save([Change(publications=(a_publication("a"),), audit=(a_note(),))])
        await stage.store.receive([a_message(at=stage.clock.now())])
        await stage.work()
        plant(tmp_path, "UPDATE inbox SET state = 'quarantined', reason = 'x'")
        refuse = (
            "CREATE TRIGGER refused BEFORE UPDATE ON inbox BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        plant(tmp_path, refuse)
        await stage.clock.turn(stage.clock.now() + timedelta(days=3))
        await stage.retention.run()
        assert kept(tmp_path, "SELECT count(*) FROM publication") == 0
        row = await stage.only(RowKind.RETENTION, FailedState.WAITING)
        assert row.row == f"{Kept.QUARANTINE}/1"
