"""A field work system or a requester that says nothing, or no: people learn of it and decide."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapter.engine.orders.field_work import FieldMessage, FieldReport, FieldWorkRefused, Receipt
from adapter.engine.orders.ports import OrderRules, OrderShown, ReplyRefused
from adapter.errors import Conflict, IllegalTransition, InvalidRequest, NotFound
from adapter.model.device import DisconnectLocation, InstallStatus
from adapter.model.ids import EventId
from adapter.model.todo import TodoSubject
from adapter.model.values import replace
from adapter.orders.completion import CompletionReport
from adapter.orders.field_activity import FieldState
from adapter.orders.field_activity_events import MessageKind, WorkReported
from adapter.orders.maintenance import MaintenanceState
from adapter.orders.order import ChildState, OrderKind, OrderState
from adapter.orders.replies import ReplyState, RequesterReply
from tests.engine.orders.site_with_orders import WAIT_S, Place, Rig, rig, state_is, titles

K, S = OrderKind, InstallStatus
ERROR, DONE, GONE = OrderState.ACTIVITY_ERROR, OrderState.COMPLETED, OrderState.DISCARDED
CUT: dict[str, Any] = {"kind": "manual", "spare": "manual", "status": S.MANUAL_ON}
BARE: dict[str, Any] = {"kind": "", "status": None, "spare": "manual"}


def ruled(**changes: object) -> Callable[[OrderRules], OrderRules]:
    return lambda rules: replace(rules, **changes)  # type: ignore[arg-type]


def quick(folder: Path) -> AbstractAsyncContextManager[Rig]:
    """A gateway that has no patience with crews."""
    return rig(folder, customs=ruled(visit_time_out=timedelta(seconds=0.1)))


def visit_is(state: FieldState) -> Callable[[OrderShown], bool]:
    return lambda shown: any(c.field is not None and c.field.state is state for c in shown.children)


def sent(shown: OrderShown) -> bool:
    return [child.fact.state for child in shown.children] == [ChildState.SENT]


async def failed(made: Rig, times: int) -> None:
    """Until the only message has failed so many times, and waits for its next try."""
    store = made.made.app.core.store
    text = "SELECT 1 FROM field_message WHERE state = 'queued' AND attempts = ?"
    async with asyncio.timeout(WAIT_S):
        for _ in iter(int, 1):
            if await store.database.read(lambda db: db.execute(text, (times,)).get) is not None:
                return
            await asyncio.sleep(0.01)


async def lost(made: Rig) -> tuple[Place, OrderShown, FieldMessage]:
    """A cut whose crew is never heard of, on the To Do list."""
    made.crew.idle = lambda message: message.kind is MessageKind.DISPATCH
    place = await made.put(Place(number=0, **CUT))
    order = await made.submit(K.CUT, place)
    shown = await made.until(order.id, state_is(ERROR))
    (message,) = made.crew.heard
    return place, shown, message


async def who(made: Rig, subject: str, action: str) -> list[str]:
    entries = await made.made.app.core.store.audit(subject=subject)
    return [entry.note.actor for entry in entries if entry.note.action == action]


async def test_what_people_report_of_a_visit_in_error_is_what_its_to_do_says_then(
    tmp_path: Path,
) -> None:
    async with quick(tmp_path) as made:
        _, shown, _ = await lost(made)
        visit = shown.children[0].fact.id
        wrong = CompletionReport(at=datetime.now(UTC) + timedelta(hours=1), cause=EventId("wrong"))
        await made.operator.complete_visit(visit, wrong, by="anna")
        (todo,) = await made.orders.todo()
        assert (todo.subject, todo.code) == (TodoSubject.VISIT, "child_failed")
        assert "has not come yet" in todo.text

        found = CompletionReport(at=datetime.now(UTC), cause=EventId("found"))
        await made.operator.cancel_visit(visit, found, by="anna", reason="CM-NoAccess")
        (todo,) = await made.orders.todo()
        assert (todo.subject, todo.code) == (TodoSubject.ORDER, "child_failed")
        assert "is canceled" in todo.text
        assert "CM-NoAccess" in todo.text
        assert "has not come yet" not in todo.text


async def test_a_lost_report_is_told_to_people_and_counts_when_it_comes_late(
    tmp_path: Path,
) -> None:
    async with quick(tmp_path) as made:
        place, shown, message = await lost(made)
        (child,) = shown.children
        assert child.fact.state is ChildState.RESPONSE_ERROR
        (todo,) = await made.orders.todo()
        assert (todo.subject, todo.code) == (TodoSubject.VISIT, "visit_overdue")
        assert "no report has come by" in todo.text
        assert "by hand" in todo.action
        assert todo.since == shown.order.state_since

        await made.operator.retry(shown.order.id, by="anna")  # she goes on waiting
        assert await who(made, child.fact.id, "FieldRetried")
        assert await who(made, shown.order.id, "OrderRetryAsked") == ["anna"]
        news = WorkReported(report=made.crew.done(message))
        late = FieldReport(id="late", activity=child.fact.id, news=news)
        assert await made.orders.receive(late) is Receipt.APPLIED
        done = await made.until(shown.order.id, state_is(DONE))
        assert titles(done) == "CutForNonPayment"
        assert [each.kind for each in made.crew.heard] == [MessageKind.DISPATCH]
        assert await made.status(place.device) is S.MANUAL_OFF
        assert not await made.orders.todo()


async def test_a_lost_visit_is_completed_by_hand_and_the_late_report_changes_nothing(
    tmp_path: Path,
) -> None:
    async with quick(tmp_path) as made:
        place, shown, message = await lost(made)
        visit = shown.children[0].fact.id
        with pytest.raises(Conflict):
            await made.operator.complete_by_hand(shown.order.id, by="anna", reason="done")
        with pytest.raises(Conflict):
            await made.operator.discard(shown.order.id, by="anna")
        seen = CompletionReport(
            at=datetime.now(UTC),
            cause=EventId("seen"),
            disconnect_location=DisconnectLocation.SOURCE,
        )
        await made.operator.complete_visit(visit, seen, by="anna")
        await made.until(shown.order.id, state_is(DONE))
        assert await who(made, visit, "WorkReported") == ["anna"]
        assert await made.status(place.device) is S.MANUAL_ON, "it was cut at the source"
        news = WorkReported(report=made.crew.done(message))
        with pytest.raises(IllegalTransition):
            await made.orders.receive(FieldReport(id="late", activity=visit, news=news))


async def test_a_lost_visit_is_cancelled_with_the_field_work_system_or_by_hand(
    tmp_path: Path,
) -> None:
    async with quick(tmp_path) as made:
        _, shown, _ = await lost(made)
        request = await made.orders.cancel(shown.order.id, by="cis", reason="paid")
        assert request.state in (MaintenanceState.WAITING, MaintenanceState.COMPLETED)
        ended = await made.until(shown.order.id, state_is(GONE))
        assert [each.kind for each in made.crew.heard][1:] == [MessageKind.CANCEL]
        assert ended.requests[0].state is MaintenanceState.COMPLETED

        other = await made.put(Place(number=1, **CUT))
        order = await made.submit(K.CUT, other)
        waiting = await made.until(order.id, state_is(ERROR))
        found = CompletionReport(at=datetime.now(UTC), cause=EventId("found"))
        visit = waiting.children[0].fact.id
        with pytest.raises(InvalidRequest, match="CM-NoAcess is not one of D1-AutoDiscarded"):
            await made.operator.cancel_visit(visit, found, by="anna", reason="CM-NoAcess")
        await made.operator.cancel_visit(visit, found, by="anna", reason="CM-NoAccess")
        canceled = await made.until(order.id, lambda s: s.children[0].fact.final)
        assert canceled.children[0].fact.state is ChildState.CANCELED
        assert await who(made, visit, "WorkCanceled") == ["anna"]
        assert await made.status(other.device) is S.MANUAL_ON
        await made.operator.discard(order.id, by="anna", reason="nobody there")


async def test_an_activity_type_has_its_own_patience(tmp_path: Path) -> None:
    rules = {"orders": {"activity_type": {"cut": {"visit_time_out_hours": 0}}}}
    async with rig(tmp_path, rules=rules) as made:
        made.crew.idle = lambda message: True
        place = await made.put(Place(number=0, **CUT))
        order = await made.submit(K.CUT, place)
        shown = await made.until(order.id, lambda s: len(made.crew.heard) == 1)
        assert shown.children[0].field is not None
        assert shown.children[0].field.patience is None


# ---------------------------------------------------------------- messages that are not taken


async def test_a_refused_wish_for_an_appointment_waits_for_people_and_is_asked_again(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        made.crew.refuse = lambda message: FieldWorkRefused("no such area")
        place = await made.put(Place(number=0, **BARE))
        order = await made.submit(K.ENABLE, place)
        shown = await made.until(order.id, state_is(ERROR))
        assert visit_is(FieldState.APPOINTMENT_ERROR)(shown)
        (todo,) = await made.orders.todo()
        assert "no such area" in todo.text
        assert "retry" in todo.action
        made.crew.refuse = lambda message: None
        await made.operator.retry(order.id, by="anna")
        done = await made.until(order.id, state_is(DONE))
        assert titles(done) == "InstallMeter"
        kinds = [(message.kind, message.number) for message in made.crew.heard]
        assert kinds == [(MessageKind.SLOTS, 2), (MessageKind.DISPATCH, 3)]


async def test_a_wish_for_an_appointment_is_not_tried_for_ever(tmp_path: Path) -> None:
    async with rig(tmp_path, customs=ruled(message_tries=3)) as made:
        made.crew.refuse = lambda message: ConnectionError("away")
        place = await made.put(Place(number=0, **BARE))
        order = await made.submit(K.ENABLE, place)
        for tries in (1, 2):
            await failed(made, tries)
            await made.hurry()
        shown = await made.until(order.id, state_is(ERROR))
        assert visit_is(FieldState.APPOINTMENT_ERROR)(shown)
        assert len(made.crew.tried) == 3
        made.crew.refuse = lambda message: None
        start = datetime.now(UTC) - timedelta(hours=1)
        booked = {"appointmentStart": start.isoformat()}
        await made.orders.update(order.id, booked, by="anna")  # she has called them
        await made.until(order.id, state_is(DONE))
        (message,) = made.crew.heard
        assert (message.kind, message.details["appointmentStart"]) == (
            MessageKind.DISPATCH,
            start.isoformat(),
        )


async def test_an_appointment_that_nobody_books_is_told_to_people(tmp_path: Path) -> None:
    async with quick(tmp_path) as made:
        made.crew.idle = lambda message: message.kind is MessageKind.SLOTS
        place = await made.put(Place(number=0, **BARE))
        order = await made.submit(K.ENABLE, place)
        shown = await made.until(order.id, state_is(ERROR))
        assert visit_is(FieldState.APPOINTMENT_ERROR)(shown)
        (todo,) = await made.orders.todo()
        assert "no appointment by" in todo.text
        made.crew.idle = lambda message: False
        await made.operator.retry(order.id, by="anna")
        await made.until(order.id, state_is(DONE))


async def test_a_payment_that_the_field_work_system_does_not_learn_of_is_seen_by_people(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        made.crew.idle = lambda message: message.kind is MessageKind.DISPATCH
        made.crew.refuse = lambda message: (
            FieldWorkRefused("not now") if message.kind is MessageKind.CANCEL else None
        )
        place = await made.put(Place(number=0, **CUT))
        order = await made.submit(K.CUT, place)
        await made.until(order.id, sent)
        paid = await made.orders.payment(place.point, by="cis", reference="p-1")
        shown = await made.until(order.id, state_is(ERROR))
        assert visit_is(FieldState.RESPONSE_ERROR)(shown)
        todos = {todo.order: todo.text for todo in await made.orders.todo()}
        assert "not told to the field system: not now" in todos[order.id]
        assert paid.reconnection is not None
        assert f"cut order {order.id} is open" in todos[paid.reconnection.id]
        made.crew.refuse = lambda message: None
        await made.operator.retry(order.id, by="anna")
        await made.until(order.id, state_is(GONE))
        over = await made.until(paid.reconnection.id, state_is(OrderState.COMPLETED))
        assert not over.children
        assert [message.kind for message in made.crew.heard] == [
            MessageKind.DISPATCH,
            MessageKind.CANCEL,
        ]
        assert await made.status(place.device) is S.MANUAL_ON


async def test_a_request_in_error_is_tried_again_by_a_person(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        made.crew.idle = lambda message: message.kind is MessageKind.DISPATCH
        made.crew.refuse = lambda message: (
            FieldWorkRefused("not now") if message.kind is MessageKind.CANCEL else None
        )
        place = await made.put(Place(number=0, **CUT))
        order = await made.submit(K.CUT, place)
        await made.until(order.id, sent)
        asked = await made.orders.cancel(order.id, by="cis", reason="moved")
        await made.until(order.id, lambda s: s.requests[0].state is MaintenanceState.ERROR)
        (todo,) = await made.orders.todo()
        assert (todo.subject, todo.id) == (TodoSubject.REQUEST, asked.id)
        made.crew.refuse = lambda message: None
        again = await made.operator.retry_request(order.id, asked.id, by="anna")
        assert again.state in (MaintenanceState.WAITING, MaintenanceState.COMPLETED)
        ended = await made.until(order.id, state_is(GONE))
        assert ended.requests[0].state is MaintenanceState.COMPLETED
        assert await who(made, asked.id, "RequestRetried") == ["anna"]
        with pytest.raises(Conflict):
            await made.operator.retry_request(order.id, asked.id, by="anna")
        with pytest.raises(NotFound):
            await made.operator.retry_request(order.id, "nobody", by="anna")


# ---------------------------------------------------------------- replies


@dataclass
class Refusing:
    """A requester's system that refuses replies of these kinds, and is away for others."""

    refused: frozenset[str] = frozenset()
    away: frozenset[str] = frozenset()
    taken: list[RequesterReply] = field(default_factory=list)

    async def deliver(self, reply: RequesterReply) -> None:
        if reply.kind.value in self.refused:
            raise ReplyRefused("the requester's system answered 422")
        if reply.kind.value in self.away:
            raise ConnectionError("away")
        self.taken.append(reply)


def by_kind(shown: OrderShown) -> dict[str, tuple[ReplyState, int]]:
    return {reply.kind.value: (reply.state, reply.attempts) for reply in shown.replies}


@pytest.mark.parametrize("kind", ["acknowledgement", "interim", "success"])
async def test_each_reply_has_its_own_delivery_and_a_refused_one_holds_nothing_up(
    kind: str, tmp_path: Path
) -> None:
    there = Refusing(refused=frozenset({kind}))
    async with rig(tmp_path, requester=there) as made:
        place = await made.put(Place(number=0, **CUT))
        order = await made.submit(K.CUT, place)
        shown = await made.until(
            order.id, lambda s: bool(s.replies) and s.replies[-1].kind.value == "success"
            and all(r.state is not ReplyState.QUEUED for r in s.replies)
        )  # fmt: skip
        assert shown.order.state is DONE
        wanted = dict.fromkeys(("acknowledgement", "interim", "success"), (ReplyState.DELIVERED, 1))
        assert by_kind(shown) == {**wanted, kind: (ReplyState.REFUSED, 1)}
        (todo,) = await made.orders.todo()
        assert (todo.subject, todo.code) == (TodoSubject.REPLY, "reply_refused")
        assert "422" in todo.text

        there.refused = frozenset()
        (again,) = await made.operator.retry_replies(order.id, by="anna")
        assert again.id == todo.id
        await made.until(order.id, lambda s: by_kind(s)[kind] == (ReplyState.DELIVERED, 2))
        assert not await made.orders.todo()
        assert await who(made, order.id, "DeliveryRetried") == ["anna"]
        assert not await made.operator.retry_replies(order.id, by="anna")
        with pytest.raises(Conflict):
            await made.operator.retry_replies(order.id, by="anna", reply=todo.id)


async def test_a_failure_reply_that_nobody_takes_is_tried_now_or_given_up_by_people(
    tmp_path: Path,
) -> None:
    there = Refusing(away=frozenset({"failure"}))
    async with rig(tmp_path, requester=there) as made:
        place = await made.put(Place(number=0, life_support=True, **CUT))
        order = await made.submit(K.CUT, place)
        await made.until(order.id, state_is(OrderState.VALIDATION_ERROR))
        await made.operator.discard(order.id, by="anna", reason="never here")

        def tried(times: int) -> Callable[[OrderShown], bool]:
            return lambda s: by_kind(s).get("failure") == (ReplyState.QUEUED, times)

        shown = await made.until(order.id, tried(1))
        failed = shown.replies[-1]
        assert "away" in failed.last_error
        await made.operator.retry_replies(order.id, by="anna", reply=failed.id)
        await made.until(order.id, tried(2))
        gone = await made.operator.give_up_reply(order.id, failed.id, by="anna")
        assert gone.state is ReplyState.GIVEN_UP
        there.away = frozenset()
        await made.hurry()
        assert [reply.kind.value for reply in there.taken] == [
            "acknowledgement",
            "negative_acknowledgement",
        ]
        await made.operator.retry_replies(order.id, by="anna", reply=failed.id)
        await made.until(order.id, lambda s: by_kind(s)["failure"][0] is ReplyState.DELIVERED)
        with pytest.raises(NotFound):
            await made.operator.give_up_reply(order.id, "nobody", by="anna")
