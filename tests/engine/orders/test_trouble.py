"""What goes wrong on the way: children that fail, people who repair, replies that do not arrive."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapter.commands.activity import CommandRequest
from adapter.commands.calls import FailureReason, SwitchState
from adapter.commands.flows import CommandKind, Operation
from adapter.engine.listing import AskedFilter
from adapter.engine.orders.field_work import FieldReport, FieldWorkRefused, Receipt
from adapter.engine.orders.ports import OrderFilter, OrderRules, OrderShown
from adapter.engine.orders.requests import OrderRequest
from adapter.errors import Conflict, Forbidden, InvalidRequest, NotFound
from adapter.model.device import DisconnectLocation, InstallStatus
from adapter.model.ids import EventId, OrderId, ServicePointId
from adapter.model.todo import TodoSubject
from adapter.model.values import replace
from adapter.orders.completion import CompletionReport
from adapter.orders.field_activity_events import CrewStarted, WorkCanceled, WorkReported
from adapter.orders.maintenance import MaintenanceState
from adapter.orders.order import ChildId, ChildState, OrderKind, OrderState, ServiceOrder
from adapter.orders.tasks import FieldEffect
from adapter.simulator.faults import Effect
from tests.engine.commands.quick_site import script, sends
from tests.engine.orders.crew import a_manual_meter
from tests.engine.orders.site_with_orders import Place, Rig, gave_up, rig, state_is, titles

K, S = OrderKind, InstallStatus
ERROR, DONE = OrderState.ACTIVITY_ERROR, OrderState.COMPLETED
MANUAL: dict[str, Any] = {"kind": "manual", "spare": "manual"}


async def test_a_second_order_with_the_same_reference_is_the_first(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0, read=True))
        first = await made.submit(K.ENABLE, place, reference="same")
        again = await made.submit(K.ENABLE, place, reference="same")
        assert again.id == first.id
        with pytest.raises(Conflict, match="other content"):
            await made.submit(K.CUT, place, reference="same")
        await made.ended(first.id)
        assert len((await made.orders.list()).rows) == 1


async def test_what_can_never_be_an_order_is_refused_and_not_stored(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = Place(number=0)
        point = place.point
        naive = datetime(2026, 1, 1)  # noqa: DTZ001
        for wrong, field in (
            (OrderRequest(kind=K.CUT, service_point=point, external_reference=""), "external"),
            (
                OrderRequest(
                    kind=K.CUT, service_point=point, external_reference="r", activity_type="x"
                ),
                "activity_type",
            ),
            (
                OrderRequest(
                    kind=K.CUT, service_point=point, external_reference="r", effective_at=naive
                ),
                "effective_at",
            ),
        ):
            with pytest.raises(InvalidRequest, match=field):
                await made.orders.submit(wrong)
        assert not (await made.orders.list()).rows


async def test_an_unknown_service_point_is_answered_and_can_be_retried(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = Place(number=0, read=True)
        order = await made.submit(K.ENABLE, place)
        shown = await made.ended(order.id)
        assert shown.order.state is OrderState.VALIDATION_ERROR
        assert await made.replied(order.id, "negative_acknowledgement")
        (todo,) = await made.orders.todo()
        assert (todo.subject, todo.id, todo.code) == (
            TodoSubject.ORDER,
            order.id,
            "service_point",
        )
        await made.put(place)
        await made.operator.retry(order.id, by="anna")
        assert (await made.ended(order.id)).order.state is DONE
        assert not await made.orders.todo()
        actors = {entry.note.actor for entry in await made.orders.history(order.id)}
        assert "anna" in actors


async def test_life_support_bars_a_cut(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0, life_support=True))
        order = await made.submit(K.CUT, place)
        shown = await made.ended(order.id)
        assert shown.order.state is OrderState.VALIDATION_ERROR
        assert shown.order.problem is not None
        assert shown.order.problem.code == "restricted"
        assert sends(made.made, Operation.DISCONNECT_METER, 0) == 0


async def test_of_two_orders_at_one_service_point_one_works_and_the_other_waits(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        made.crew.idle = lambda message: True
        place = await made.put(Place(number=0, status=S.MANUAL_OFF, read=True, **MANUAL))
        first = await made.submit(K.ENABLE, place)
        await made.until(first.id, state_is(OrderState.IN_PROGRESS))
        second = await made.submit(K.DISABLE, place)
        blocked = await made.ended(second.id)
        assert blocked.order.problem is not None
        assert blocked.order.problem.code == "order_open"
        assert blocked.order.problem.order == first.id
        message = made.crew.heard[-1]
        await made.crew.report(message, WorkReported(report=made.crew.done(message)))
        assert (await made.ended(first.id)).order.state is DONE
        made.crew.idle = lambda message: False
        after = await made.until(second.id, state_is(DONE))
        assert titles(after) == "TurnOffMeter"


async def test_two_orders_in_the_same_instant_do_not_both_hold_the_service_point(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        made.crew.idle = lambda message: True
        place = await made.put(Place(number=0, status=S.MANUAL_OFF, read=True, **MANUAL))
        orders = [await made.submit(K.ENABLE, place, reference=f"r{n}") for n in range(6)]
        await made.until(orders[0].id, state_is(OrderState.IN_PROGRESS))
        for order in orders[1:]:
            await made.until(order.id, state_is(OrderState.VALIDATION_ERROR))
        assert len(made.crew.heard) == 1


NO_CONTACT = {"reason": FailureReason.COMMUNICATION_ERROR}


async def test_a_failed_command_waits_for_people_and_a_retry_makes_another(tmp_path: Path) -> None:
    fails = script(Effect.ENDPOINT_FAILURE, "DisconnectMeter", first=1, **NO_CONTACT)
    async with rig(tmp_path, fails) as made:
        place = await made.put(Place(number=0))
        order = await made.submit(K.CUT, place)
        shown = await made.until(order.id, gave_up)
        assert [child.fact.state for child in shown.children] == [ChildState.FAILED]
        assert [todo.order for todo in await made.orders.todo()] == [order.id]
        await made.operator.retry(order.id, by="anna")
        done = await made.until(order.id, state_is(DONE))
        assert titles(done) == "RemoteDisconnect > RemoteDisconnect"
        assert not await made.orders.todo()
        assert sends(made.made, Operation.DISCONNECT_METER, 0) == 2


async def test_a_command_that_took_the_key_of_a_child_is_not_taken_for_it(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0, read=True))
        other = await made.put(Place(number=1, read=True))
        soon = datetime.now(UTC) + timedelta(seconds=1)
        order = await made.submit(K.CUT, place, effective_at=soon)
        stranger = CommandRequest(
            kind=CommandKind.REMOTE_DISCONNECT,
            devices=(other.device,),
            idempotency_key=f"{order.id}.1",
            ignore_install_state=True,
        )
        taken = await made.made.app.gateway.commands.submit(stranger)
        shown = await made.until(order.id, state_is(ERROR))
        assert taken.id in shown.children[0].fact.reason
        await made.operator.retry(order.id, by="anna")
        ended = await made.until(order.id, lambda shown: shown.order.final)
        assert ended.order.state is DONE
        assert await made.status(place.device) is S.DISCONN_COMM


async def test_an_unknown_outcome_holds_the_order_until_two_people_decide(tmp_path: Path) -> None:
    async with rig(tmp_path, script(Effect.CLOSE_BEFORE, "DisconnectMeter")) as made:
        place = await made.put(Place(number=0))
        order = await made.submit(K.CUT, place)
        shown = await made.ended(order.id)
        assert shown.order.state is ERROR
        (child,) = shown.children
        assert child.command is not None
        with pytest.raises(Conflict):
            await made.operator.discard(order.id, by="anna")
        await made.made.app.gateway.commands.resolve(
            child.command, done=True, operator="anna", approver="berta"
        )
        assert (await made.until(order.id, state_is(DONE))).children[0].fact.completed
        assert await made.status(place.device) is S.DISCONN_COMM


async def test_a_change_over_that_fails_in_the_middle_is_the_most_urgent_and_never_given_up(
    tmp_path: Path,
) -> None:
    fails = script(Effect.ENDPOINT_FAILURE, "ReconnectMeter", first=1, **NO_CONTACT)
    async with rig(tmp_path, fails) as made:
        place = await made.put(Place(number=0, read=True))
        order = await made.submit(K.BACK_TO_BACK, place)
        shown = await made.until(order.id, gave_up)
        assert shown.order.problem is not None
        assert shown.order.problem.without_supply
        (todo,) = await made.orders.todo()
        assert (todo.priority, todo.code) == (100, "customer_without_supply")
        with pytest.raises(Forbidden):
            await made.operator.discard(order.id, by="anna")
        with pytest.raises(Forbidden):
            await made.operator.complete_by_hand(order.id, by="anna", reason="no")
        request = await made.orders.cancel(order.id, by="cis", reason="customer stays")
        assert request.state is MaintenanceState.COMPLETED
        ended = await made.until(order.id, state_is(DONE))
        assert titles(ended) == "RemoteDisconnect > RemoteConnect > RemoteConnect"
        assert ended.replies[-1].details["withdrawal"] == "too late: customer stays"
        assert made.switch(0) is SwitchState.CONNECTED
        assert await made.status(place.device) is S.CONN_COMM


async def test_a_report_that_contradicts_the_records_waits_and_a_corrected_one_completes(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        here = await made.put(Place(number=0, kind="", status=None, spare="manual"))
        await made.put(Place(number=1, status=S.MANUAL_ON, **MANUAL))
        right = made.crew.spares[here.point]
        made.crew.spares[here.point] = a_manual_meter("D-1")
        order = await made.submit(K.ENABLE, here)
        shown = await made.ended(order.id)
        assert shown.order.state is ERROR
        (child,) = shown.children
        assert child.fact.state is ChildState.COMPLETION_ERROR
        assert "SP-1" in child.fact.reason
        with pytest.raises(Conflict):
            await made.operator.discard(order.id, by="anna")
        report = CompletionReport(
            at=datetime.now(UTC), cause=EventId("corrected"), new_device=right
        )
        made.crew.present[here.point] = right
        await made.operator.complete_visit(child.fact.id, report, by="anna")
        done = await made.until(order.id, state_is(DONE))
        assert titles(done) == "InstallMeter > ReadMeter"
        view = await made.made.app.gateway.registry.device(right.id)
        assert view.installed is not None
        assert view.installed.service_point == here.point


async def reported_at(made: Rig, at: datetime) -> tuple[OrderId, OrderShown]:
    """A cut by a crew that says it was done then."""
    made.crew.idle = lambda message: True
    place = await made.put(Place(number=0, status=S.MANUAL_ON, **MANUAL))
    order = await made.submit(K.CUT, place)
    await made.until(order.id, lambda shown: bool(made.crew.heard))
    (message,) = made.crew.heard
    done = replace(made.crew.done(message), at=at)
    await made.crew.report(message, WorkReported(report=done))
    shown = await made.ended(order.id)
    assert shown.order.state is ERROR
    assert shown.children[0].fact.state is ChildState.COMPLETION_ERROR
    assert await made.status(place.device) is S.MANUAL_ON, "nothing was changed"
    return order.id, shown


async def test_work_that_a_crew_did_in_the_future_waits_for_people(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        order, shown = await reported_at(made, datetime.now(UTC) + timedelta(hours=1))
        assert "has not come yet" in shown.children[0].fact.reason
        await made.operator.retry(order, by="anna")
        again = await made.until(order, lambda x: x.order.version > shown.order.version + 1)
        assert again.children[0].fact.state is ChildState.COMPLETION_ERROR
        report = CompletionReport(at=datetime.now(UTC), cause=EventId("right"))
        await made.operator.complete_visit(shown.children[0].fact.id, report, by="anna")
        await made.until(order, state_is(DONE))


async def test_work_long_before_its_visit_was_ordered_counts_where_people_vouch_for_it(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        at = datetime.now(UTC) - timedelta(days=3)
        order, shown = await reported_at(made, at)
        assert "long before the visit was ordered" in shown.children[0].fact.reason
        await made.operator.retry(order, by="anna")
        await made.until(order, state_is(DONE))
        view = await made.made.app.gateway.registry.device(Place(number=0).device)
        assert view.installed is not None
        assert view.installed.history[-1].at == at


async def test_a_refused_message_is_a_communication_error_and_can_be_sent_again(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        made.crew.refuse = lambda message: FieldWorkRefused("unknown task")
        place = await made.put(Place(number=0, status=S.MANUAL_ON, **MANUAL))
        order = await made.submit(K.CUT, place)
        shown = await made.ended(order.id)
        assert shown.children[0].fact.state is ChildState.COMMUNICATION_ERROR
        made.crew.refuse = lambda message: None
        await made.operator.retry(order.id, by="anna")
        done = await made.until(order.id, state_is(DONE))
        assert titles(done) == "CutForNonPayment"
        assert [message.number for message in made.crew.heard] == [2]


async def test_a_message_that_cannot_leave_now_is_tried_again_with_the_same_id(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        made.crew.refuse = lambda message: (
            ConnectionError("away") if len(made.crew.tried) < 2 else None
        )
        place = await made.put(Place(number=0, status=S.MANUAL_ON, **MANUAL))
        order = await made.submit(K.CUT, place)
        await made.until(order.id, lambda shown: len(made.crew.tried) == 1)
        shown = await made.orders.show(order.id)
        assert shown.order.state is OrderState.IN_PROGRESS
        await made.hurry()
        done = await made.until(order.id, state_is(DONE))
        assert titles(done) == "CutForNonPayment"
        assert len(set(made.crew.tried)) == 1


async def test_a_repeated_report_changes_nothing_and_one_that_comes_too_late_is_refused(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0, status=S.MANUAL_ON, **MANUAL))
        order = await made.submit(K.CUT, place)
        await made.until(order.id, state_is(DONE))
        (message,) = made.crew.heard
        news = WorkReported(report=made.crew.done(message))
        again = FieldReport(id=f"{message.id}:WorkReported", activity=message.activity, news=news)
        assert await made.orders.receive(again) is Receipt.REPEATED
        late = FieldReport(id="late", activity=message.activity, news=CrewStarted())
        with pytest.raises(Conflict):
            await made.orders.receive(late)
        unknown = FieldReport(id="x", activity=ChildId("nobody.1"), news=CrewStarted())
        with pytest.raises(NotFound):
            await made.orders.receive(unknown)
        refused = [
            e for e in await made.orders.history(order.id) if e.note.action == "ReportRefused"
        ]
        assert len(refused) == 1
        view = await made.made.app.gateway.registry.device(place.device)
        assert view.installed is not None
        assert len(view.installed.history) == 1


class FailingRules(OrderRules):
    """Under which no second visit can be made while they are `broken`."""

    broken = False

    def patience(self, order: ServiceOrder) -> timedelta | None:
        if FailingRules.broken:
            raise LookupError("the rules are broken")
        return super().patience(order)


def failing(rules: OrderRules) -> OrderRules:
    return FailingRules(**{each.name: getattr(rules, each.name) for each in fields(rules)})


async def test_a_report_is_kept_though_the_look_that_it_leads_to_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path, customs=failing) as made:
        made.crew.idle = lambda message: True
        place = await made.put(Place(number=0, status=S.MANUAL_ON, **MANUAL))
        order = await made.submit(K.DISABLE, place)
        await made.until(order.id, lambda shown: bool(made.crew.heard))
        (message,) = made.crew.heard
        news = WorkReported(report=made.crew.done(message))
        report = FieldReport(id="done", activity=message.activity, news=news)
        monkeypatch.setattr(FailingRules, "broken", True)
        with pytest.raises(LookupError):
            await made.orders.receive(report)
        assert await made.status(place.device) is S.MANUAL_OFF
        monkeypatch.setattr(FailingRules, "broken", False)
        assert await made.orders.receive(report) is Receipt.REPEATED
        await made.until(order.id, lambda shown: len(made.crew.heard) == 2)


async def test_a_visit_that_people_complete_stays_so_though_the_look_that_it_leads_to_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path, customs=failing) as made:
        made.crew.idle = lambda message: True
        place = await made.put(Place(number=0, status=S.MANUAL_ON, **MANUAL))
        order = await made.submit(K.DISABLE, place)
        await made.until(order.id, lambda shown: bool(made.crew.heard))
        (message,) = made.crew.heard
        monkeypatch.setattr(FailingRules, "broken", True)
        done = made.crew.done(message)
        with pytest.raises(LookupError):
            await made.operator.complete_visit(message.activity, done, by="ann")
        assert await made.status(place.device) is S.MANUAL_OFF
        monkeypatch.setattr(FailingRules, "broken", False)
        made.orders.poke()
        await made.until(order.id, lambda shown: len(made.crew.heard) == 2)


async def test_a_visit_that_the_crew_gives_up_needs_people(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        made.crew.idle = lambda message: True
        place = await made.put(Place(number=0, status=S.MANUAL_ON, **MANUAL))
        order = await made.submit(K.CUT, place)
        await made.until(order.id, lambda shown: len(made.crew.heard) == 1)
        report = CompletionReport(at=datetime.now(UTC), cause=EventId("no-access"))
        canceled = WorkCanceled(reason="no access", report=report)
        await made.crew.report(made.crew.heard[0], canceled)
        shown = await made.ended(order.id)
        assert shown.order.state is ERROR
        assert shown.children[0].fact.state is ChildState.CANCELED
        assert "no access" in shown.children[0].fact.reason
        await made.operator.discard(order.id, by="anna", reason="customer moved")
        assert (await made.orders.get(order.id)).state is OrderState.DISCARDED
        assert (await made.replied(order.id, "failure"))[-1] == "failure"
        assert await made.status(place.device) is S.MANUAL_ON


async def test_people_may_close_an_order_by_hand(tmp_path: Path) -> None:
    fails = script(Effect.ENDPOINT_FAILURE, "DisconnectMeter", **NO_CONTACT)
    async with rig(tmp_path, fails) as made:
        place = await made.put(Place(number=0))
        order = await made.submit(K.CUT, place)
        await made.until(order.id, gave_up)
        done = await made.operator.complete_by_hand(order.id, by="anna", reason="cut at the pole")
        assert done.state is DONE
        assert await made.replied(order.id, "success")
        with pytest.raises(Conflict):
            await made.operator.retry(order.id, by="anna")


async def test_a_corrected_order_is_tried_again_with_what_was_corrected(tmp_path: Path) -> None:
    rules = {"orders": {"activity_type": {"cut": {"require_evidence": True}}}}
    async with rig(tmp_path, rules=rules) as made:
        place = await made.put(Place(number=0))
        order = await made.submit(K.CUT, place)
        shown = await made.ended(order.id)
        assert shown.order.problem is not None
        assert shown.order.problem.code == "evidence"
        await made.operator.correct(order.id, by="anna", fields={"noticeReference": "letter 7"})
        await made.operator.retry(order.id, by="anna")
        assert (await made.until(order.id, state_is(DONE))).order.fields["noticeReference"]


async def test_work_that_changes_nothing_is_not_ordered_again(tmp_path: Path) -> None:
    """A commissioning that the records do not follow, or a crew that turned nothing on."""
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0, status=S.MANUAL_OFF, read=True, **MANUAL))
        made.crew.idle = lambda message: True
        order = await made.submit(K.ENABLE, place)
        await made.until(order.id, lambda shown: len(made.crew.heard) == 1)
        nothing = CompletionReport(
            at=datetime.now(UTC),
            cause=EventId("nothing"),
            not_done=frozenset({FieldEffect.TURN_ON}),
        )
        await made.crew.report(made.crew.heard[0], WorkReported(report=nothing))
        shown = await made.ended(order.id)
        assert shown.order.problem is not None
        assert shown.order.problem.code == "no_progress"
        assert titles(shown) == "TurnOnMeter"


async def test_replies_are_tried_until_they_arrive_each_with_one_id(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        made.answers.fail = lambda reply: len(made.answers.deliveries) <= 2
        place = await made.put(Place(number=0, read=True))
        order = await made.submit(K.ENABLE, place)
        assert (await made.ended(order.id)).order.state is DONE
        await made.until(order.id, lambda shown: len(made.answers.deliveries) >= 1)
        for _ in range(2):
            await made.hurry()
        assert await made.replied(order.id, "success") == ["acknowledgement", "success"]
        first = [r.id for r in made.answers.deliveries if r.kind.value == "acknowledgement"]
        assert len(first) == 3
        assert set(first) == {f"{order.id}/reply/1"}
        shown = await made.until(
            order.id, lambda shown: all(r.state.value == "delivered" for r in shown.replies)
        )
        assert [reply.attempts for reply in shown.replies] == [3, 1]
        operator, first_id = made.orders.operator, shown.replies[0].id
        assert await operator.retry_replies(order.id, by="ann") == []
        with pytest.raises(Conflict):
            await operator.retry_replies(order.id, by="ann", reply=first_id)
        with pytest.raises(Conflict):
            await operator.give_up_reply(order.id, first_id, by="ann")


async def test_an_order_for_tomorrow_waits_and_is_judged_again_when_it_is_due(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0))
        soon = datetime.now(UTC) + timedelta(seconds=0.6)
        order = await made.submit(K.CUT, place, effective_at=soon)
        await made.until(order.id, state_is(OrderState.WAITING))
        await made.put(Place(number=0, life_support=True))
        shown = await made.ended(order.id)
        assert shown.order.problem is not None
        assert shown.order.problem.code == "restricted"
        assert sends(made.made, Operation.DISCONNECT_METER, 0) == 0


async def test_orders_are_listed_by_kind_state_and_place(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        one = await made.put(Place(number=0, read=True))
        two = await made.put(Place(number=1, read=True, life_support=True))
        enabled = await made.submit(K.ENABLE, one)
        barred = await made.submit(K.CUT, two)
        await made.ended(enabled.id)
        await made.ended(barred.id)

        async def found(**wanted: object) -> list[str]:
            listed = (await made.orders.list(OrderFilter(**wanted))).rows  # type: ignore[arg-type]
            return [order.id for order in listed]

        assert await found() == [barred.id, enabled.id]
        assert await found(kind=K.CUT) == [barred.id]
        assert await found(state=DONE) == [enabled.id]
        assert await found(service_point=one.point) == [enabled.id]
        assert await found(open_only=True) == [barred.id]
        assert await found(limit=1) == [barred.id]
        assert await found(before=barred.id) == [enabled.id]
        asked = barred.requester, barred.external_reference
        both = AskedFilter(requester=asked[0], reference=asked[1])
        assert await found(asked=both) == [barred.id]
        assert await found(asked=AskedFilter(requester="nobody")) == []
        late = barred.created_at + timedelta(days=1)
        assert await found(asked=AskedFilter(since=enabled.created_at)) == await found()
        assert await found(asked=AskedFilter(since=late)) == []
        assert await found(asked=AskedFilter(updated=late)) == []
        assert await found(asked=AskedFilter(updated=enabled.created_at)) == await found()


async def test_show_tells_which_cell_and_row_decided_and_what_each_saw(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0, read=True, status=S.DISCONN_COMM))
        order = await made.submit(K.ENABLE, place)
        shown = await made.until(order.id, state_is(DONE))
        first, last = shown.passes
        decided = first.decisions[-1]
        assert (decided.cell, decided.type) == (3, "D1-UPDDVC")
        assert decided.facts["installationEventStatus"] == "Disconn-Comm"
        assert decided.row
        assert last.decisions[-1].facts["installationEventStatus"] == "Conn-Comm"
        assert shown.children[0].fact.row == decided.row


async def test_a_plan_names_the_steps_and_sends_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(
            Place(
                number=0,
                kind="",
                status=None,
                connected=False,
                location=DisconnectLocation.SOURCE,
            )
        )
        request = OrderRequest(
            kind=K.ENABLE, service_point=place.point, external_reference="", requester="cis"
        )
        plan = await made.orders.plan(request)
        assert plan.titles[:2] == ("ConnSPAtSrceAndInstMtr", "DeviceCommission")
        assert not (await made.orders.list()).rows
        assert not made.crew.heard
        nowhere = OrderRequest(
            kind=K.CUT, service_point=ServicePointId("SP-99"), external_reference=""
        )
        with pytest.raises(NotFound):
            await made.orders.plan(nowhere)
        with pytest.raises(NotFound):
            await made.orders.get(OrderId("nobody"))
