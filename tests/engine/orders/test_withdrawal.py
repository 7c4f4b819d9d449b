"""Orders that somebody does not want any more: cancel, update, payment, and an opposite order."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapter.commands.calls import SwitchState
from adapter.commands.flows import Operation
from adapter.commands.rules import SwitchPolicy
from adapter.engine import crash_points
from adapter.engine.orders.field_work import CancelRefused, FieldWorkRefused
from adapter.engine.orders.ports import OrderShown
from adapter.errors import Conflict, InvalidRequest
from adapter.model.device import InstallStatus
from adapter.model.ids import OrderId
from adapter.model.todo import TodoSubject
from adapter.orders.algorithms.canspact_updspac import Action
from adapter.orders.field_activity_events import CrewStarted, MessageKind, WorkReported
from adapter.orders.maintenance import MaintenanceActivity, MaintenanceState
from adapter.orders.order import ChildState, OrderKind, OrderState
from adapter.orders.payment import PaidSupply
from tests.engine.commands.quick_site import sends
from tests.engine.orders.site_with_orders import UNASKED, UNTOLD, Place, Rig, rig, state_is, titles

K, S, M = OrderKind, InstallStatus, MaintenanceState
DONE, DISCARDED = OrderState.COMPLETED, OrderState.DISCARDED
IN_PROGRESS, WAITING = OrderState.IN_PROGRESS, OrderState.WAITING
MANUAL: dict[str, Any] = {"kind": "manual", "spare": "manual", "status": S.MANUAL_ON}
LATER = timedelta(days=1)
APPROVAL = SwitchPolicy(needs_approval=True)


def child_is(state: ChildState) -> Any:
    def reached(shown: OrderShown) -> bool:
        return bool(shown.children) and shown.children[-1].fact.state is state

    return reached


async def a_visit(made: Rig, *, started: bool = False) -> OrderShown:
    """A cut whose crew has the job, and maybe began."""
    made.crew.idle = lambda message: message.kind is MessageKind.DISPATCH
    place = await made.put(Place(number=0, **MANUAL))
    order = await made.submit(K.CUT, place)
    shown = await made.until(order.id, child_is(ChildState.SENT))
    if started:
        await made.crew.report(made.crew.heard[0], CrewStarted())
        shown = await made.until(order.id, child_is(ChildState.STARTED))
    return shown


async def test_an_order_that_waits_is_discarded_at_once_and_a_repeated_cancel_gets_the_same_answer(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0))
        order = await made.submit(K.CUT, place, effective_at=datetime.now(UTC) + LATER)
        await made.until(order.id, state_is(WAITING))
        first = await made.orders.cancel(order.id, by="cis", reason="paid", reference="c-1")
        assert (first.state, first.action) == (M.COMPLETED, Action.DISCARD_ORDER)
        assert (await made.orders.get(order.id)).state is DISCARDED
        again = await made.orders.cancel(order.id, by="cis", reason="paid", reference="c-1")
        assert again == first
        other = await made.orders.cancel(order.id, by="cis", reason="paid", reference="c-2")
        assert (other.state, other.action) == (M.COMPLETED, Action.ALREADY)
        with pytest.raises(Conflict):
            await made.orders.update(order.id, {"contact": "x"}, by="cis", reference="c-1")
        kinds = await made.replied(order.id, "cancellation")
        assert kinds.count("failure") == 1


async def test_a_cancel_that_is_repeated_while_the_first_is_under_way_gets_the_same_answer(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0))
        order = await made.submit(K.CUT, place, effective_at=datetime.now(UTC) + LATER)
        await made.until(order.id, state_is(WAITING))
        asked = (made.orders.cancel(order.id, by="cis", reference="c-1") for _ in range(3))
        first, *others = await asyncio.gather(*asked)
        assert first.state is M.COMPLETED
        assert others == [first, first]


async def test_who_may_not_complete_an_order_by_hand_does_not_call_its_command_back(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, switch=APPROVAL) as made:
        place = await made.put(Place(number=0))
        order = await made.submit(K.CUT, place)
        shown = await made.until(order.id, lambda s: bool(s.children and s.children[0].command))
        command = shown.children[0].command
        assert command is not None
        with pytest.raises(Conflict, match="completed by hand in Activity Error"):
            await made.operator.complete_by_hand(order.id, by="ann", reason="done")
        assert not (await made.made.app.gateway.commands.get(command)).activity.state.final


async def test_a_cancel_that_ends_a_command_of_which_nothing_has_left_says_so(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, switch=APPROVAL) as made:
        place = await made.put(Place(number=0))
        order = await made.submit(K.CUT, place)
        await made.until(order.id, lambda s: bool(s.children and s.children[0].command))
        told = await made.orders.cancel(order.id, by="cis", reason="paid")
        assert (told.state, told.action) == (M.COMPLETED, Action.DISCARD_CHILD)
        assert "already" not in told.outcome
        ended = await made.until(order.id, state_is(DISCARDED))
        assert ended.children[0].fact.final


async def test_a_cancel_ends_a_command_that_the_gateway_has_and_the_order_does_not_know_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted: list[str] = []
    canceller = asyncio.current_task()

    def arrive(point: str) -> None:
        if point == "order.after_submit":
            submitted.append(point)
        if point == "order.before_save" and submitted and asyncio.current_task() is not canceller:
            raise ConnectionError("what was submitted is not written down")

    async with rig(tmp_path, switch=APPROVAL) as made:
        place = await made.put(Place(number=0))
        monkeypatch.setattr(crash_points, "_arrive", arrive)
        order = await made.submit(K.CUT, place)
        shown = await made.until(order.id, lambda s: bool(submitted))
        assert shown.children[0].command is None
        told = await made.orders.cancel(order.id, by="cis", reason="paid")
        assert (told.state, told.action) == (M.COMPLETED, Action.DISCARD_CHILD)
        assert (await made.orders.get(order.id)).state is DISCARDED


async def test_one_reference_for_cancels_of_two_orders_at_once_is_refused_to_the_second(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        orders = []
        for number in range(2):
            place = await made.put(Place(number=number))
            order = await made.submit(K.CUT, place, effective_at=datetime.now(UTC) + LATER)
            await made.until(order.id, state_is(WAITING))
            orders.append(order.id)
        asked = (made.orders.cancel(each, by="cis", reference="c-1") for each in orders)
        told = await asyncio.gather(*asked, return_exceptions=True)
        (refused,) = [each for each in told if isinstance(each, BaseException)]
        assert isinstance(refused, Conflict)
        assert "reference belongs" in str(refused)
        ended = [(await made.orders.get(each)).final for each in orders]
        assert sorted(ended) == [False, True]


async def test_a_queued_command_is_called_back_and_nothing_is_sent(tmp_path: Path) -> None:
    async with rig(tmp_path, switch=APPROVAL) as made:
        place = await made.put(Place(number=0))
        order = await made.submit(K.CUT, place)
        shown = await made.until(order.id, lambda s: bool(s.children and s.children[0].command))
        request = await made.orders.cancel(order.id, by="cis", reason="paid")
        assert request.state is M.COMPLETED
        assert (await made.orders.get(order.id)).state is DISCARDED
        command = shown.children[0].command
        assert command is not None
        assert (await made.made.app.gateway.commands.get(command)).activity.state.final
        assert sends(made.made, Operation.DISCONNECT_METER, 0) == 0


async def test_a_sent_visit_is_cancelled_by_the_field_system(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        shown = await a_visit(made)
        order = shown.order.id
        request = await made.orders.cancel(order, by="cis", reason="paid")
        assert request.action is Action.SEND_CANCEL
        ended = await made.until(order, state_is(DISCARDED))
        assert [c.fact.state for c in ended.children] == [ChildState.CANCELED]
        (answered,) = ended.requests
        assert answered.state is M.COMPLETED
        assert [m.kind for m in made.crew.heard] == [MessageKind.DISPATCH, MessageKind.CANCEL]
        assert await made.status(Place(number=0).device) is S.MANUAL_ON


async def test_a_started_crew_is_not_called_back(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        shown = await a_visit(made, started=True)
        order = shown.order.id
        request = await made.orders.cancel(order, by="cis", reason="paid")
        assert (request.state, request.action) == (M.REJECTED, Action.REJECT)
        assert "order a reconnection" in request.outcome
        message = made.crew.heard[0]
        await made.crew.report(message, WorkReported(report=made.crew.done(message)))
        assert (await made.until(order, state_is(DONE))).order.stop == ""


async def test_a_cancel_that_the_field_system_refuses_is_answered_and_the_work_counts(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        shown = await a_visit(made)
        made.crew.idle = lambda message: True
        order = shown.order.id
        await made.orders.cancel(order, by="cis", reason="paid")
        await made.until(order, lambda s: len(made.crew.heard) == 2)
        await made.crew.report(made.crew.heard[1], CancelRefused(reason="crew on site"))
        refused = await made.until(order, lambda s: s.requests[0].state is M.REJECTED)
        assert refused.requests[0].outcome == "crew on site"
        message = made.crew.heard[0]
        await made.crew.report(message, WorkReported(report=made.crew.done(message)))
        done = await made.until(order, state_is(DONE))
        assert done.replies[-1].details["advice"] == "supply is off: order a reconnection"


@pytest.mark.parametrize("first", ["cancel", "completion"])
async def test_cancel_and_completion_race_and_the_first_one_wins(
    first: str, tmp_path: Path
) -> None:
    async with rig(tmp_path) as made:
        shown = await a_visit(made)
        made.crew.idle = lambda message: True
        order = shown.order.id
        message = made.crew.heard[0]
        report = made.crew.report(message, WorkReported(report=made.crew.done(message)))
        cancel = made.orders.cancel(order, by="cis", reason="paid")
        both = (cancel, report) if first == "cancel" else (report, cancel)
        await asyncio.gather(*both)
        ended = await made.until(order, lambda s: s.order.final)
        assert ended.children[0].fact.completed
        assert await made.status(Place(number=0).device) is S.MANUAL_OFF
        (request,) = ended.requests
        assert request.state in (M.REJECTED, M.COMPLETED)
        assert request.ended_at is not None
        assert [m.kind for m in made.crew.heard].count(MessageKind.DISPATCH) == 1
        answers = [r for r in ended.replies if r.kind.value == "cancellation"]
        assert len(answers) == 1


async def test_a_cancel_message_that_cannot_be_delivered_waits_for_people_who_retry_it(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        shown = await a_visit(made)
        order = shown.order.id
        made.crew.refuse = lambda message: FieldWorkRefused("no such message")
        request = await made.orders.cancel(order, by="cis", reason="paid")
        await made.until(order, lambda s: s.requests[0].state is M.ERROR)
        assert TodoSubject.REQUEST in {todo.subject for todo in await made.orders.todo()}
        made.crew.refuse = lambda message: None
        await made.operator.retry_request(order, request.id, by="anna")
        ended = await made.until(order, state_is(DISCARDED))
        assert ended.requests[0].state is M.COMPLETED
        assert not await made.orders.todo()


async def test_an_update_reaches_an_order_a_visit_that_was_sent_and_not_one_that_began(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=1))
        later = await made.submit(K.CUT, place, effective_at=datetime.now(UTC) + LATER)
        await made.until(later.id, state_is(WAITING))
        soon = datetime.now(UTC).isoformat()
        changed = await made.orders.update(later.id, {"effectiveAt": soon}, by="cis")
        assert (changed.state, changed.action) == (M.COMPLETED, Action.CHANGE_ORDER)
        await made.until(later.id, state_is(DONE))

        shown = await a_visit(made)
        order = shown.order.id
        sent = await made.orders.update(order, {"contact": "ring twice"}, by="cis")
        assert sent.action is Action.SEND_CHANGE
        await made.until(order, lambda s: len(made.crew.heard) == 2)
        assert made.crew.heard[1].kind is MessageKind.MODIFY
        assert made.crew.heard[1].details == {"contact": "ring twice"}
        await made.crew.report(made.crew.heard[0], CrewStarted())
        await made.until(order, child_is(ChildState.STARTED))
        late = await made.orders.update(order, {"contact": "no"}, by="cis")
        assert late.state is M.REJECTED
        with pytest.raises(InvalidRequest):
            await made.orders.update(order, {"effectiveAt": "tomorrow"}, by="cis")
        message = made.crew.heard[0]
        await made.crew.report(message, WorkReported(report=made.crew.done(message)))
        ended = await made.until(order, state_is(DONE))
        assert [each.state for each in ended.requests] == [M.COMPLETED, M.REJECTED]


async def test_another_time_and_appointment_reach_the_crew_and_the_answer_names_what_does_not(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        shown = await a_visit(made)
        order = shown.order.id
        at = datetime.now(UTC).replace(microsecond=0) + LATER
        given = {
            "effectiveAt": at.isoformat(),
            "serviceAt": at.isoformat(),
            "appointmentStart": at.isoformat(),
            "instructions": "dog",
        }
        asked = await made.orders.update(order, given, by="cis")
        assert asked.changed == dict.fromkeys(given, "in the change message")
        assert asked.not_changed == {}
        await made.until(order, lambda s: len(made.crew.heard) == 2)
        message = made.crew.heard[1]
        assert (message.kind, message.not_before) == (MessageKind.MODIFY, at)
        assert message.details == given
        changed = await made.orders.get(order)
        assert (changed.effective_at, changed.service_at) == (at, at)


async def test_an_update_of_a_visit_that_waits_to_be_sent_leaves_in_the_visit_itself(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        made.crew.refuse = lambda message: ConnectionError("not there")
        place = await made.put(Place(number=0, **MANUAL))
        order = await made.submit(K.CUT, place)
        await made.until(order.id, child_is(ChildState.SENDING))
        asked = await updated(made, order.id, {"contact": "ring twice"})
        assert asked.changed == {"contact": "in the visit; nothing was sent"}
        made.crew.refuse = lambda message: None
        await made.hurry()
        await made.until(order.id, state_is(DONE))
        (message,) = made.crew.heard
        assert message.kind is MessageKind.DISPATCH
        assert message.details["contact"] == "ring twice"


async def updated(made: Rig, order: OrderId, changes: dict[str, str]) -> MaintenanceActivity:
    """Update it; again where a message was just leaving."""
    for _ in range(1000):
        with suppress(Conflict):
            asked = await made.orders.update(order, changes, by="cis")
            if asked.action is Action.CHANGE_CHILD:
                return asked
        await made._moved()
    raise AssertionError("it is always leaving")


async def test_an_update_of_a_queued_command_changes_what_it_can_and_names_the_rest(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, switch=APPROVAL) as made:
        place = await made.put(Place(number=0))
        order = await made.submit(K.CUT, place)
        await made.until(order.id, lambda s: bool(s.children and s.children[0].command))
        later = (datetime.now(UTC) + LATER).isoformat()
        both = {"effectiveAt": later, "contact": "x"}
        asked = await made.orders.update(order.id, both, by="cis")
        assert (asked.state, list(asked.changed)) == (M.COMPLETED, ["contact"])
        assert asked.outcome.endswith("not changed: effectiveAt")
        why = asked.not_changed["effectiveAt"]
        assert why == "a command is queued already: cancel and order anew"
        none = await made.orders.update(order.id, {"effectiveAt": later}, by="cis")
        assert (none.state, none.not_changed) == (M.REJECTED, {"effectiveAt": why})
        (first, second) = [
            r for r in (await made.orders.show(order.id)).replies if r.kind.value == "update"
        ]
        assert (first.details["accepted"], second.details["accepted"]) == ("true", "false")
        assert first.details["notChanged"] == second.details["notChanged"]
        audit = await made.orders.history(OrderId(asked.id))
        assert audit[-1].note.detail["not_changed"] == asked.not_changed


async def test_what_is_fixed_when_an_order_is_made_is_refused_and_nothing_is_changed(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        shown = await a_visit(made)
        for name in ("priority", "requester"):
            with pytest.raises(InvalidRequest, match=f"{name} is fixed"):
                await made.orders.update(shown.order.id, {name: "5", "contact": "x"}, by="cis")
        assert (await made.orders.get(shown.order.id)).fields == {}


async def test_a_payment_voids_a_cut_that_waits_for_its_time(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0))
        order = await made.submit(K.CUT, place, effective_at=datetime.now(UTC) + LATER)
        await made.until(order.id, state_is(WAITING))
        paid = await made.orders.payment(place.point, by="billing", reference="p-7")
        (ended,) = paid.cuts
        assert (paid.supply, paid.reconnection) == (PaidSupply.NOT_CUT, None)
        assert (ended.id, ended.state) == (order.id, DISCARDED)
        assert await made.replied(order.id, "failure")
        assert not (await made.orders.payment(place.point, by="billing")).cuts


async def test_a_payment_voids_a_cut_whose_command_waits_for_approval(tmp_path: Path) -> None:
    async with rig(tmp_path, switch=APPROVAL) as made:
        place = await made.put(Place(number=0))
        order = await made.submit(K.CUT, place)
        await made.until(order.id, lambda s: bool(s.children and s.children[0].command))
        await made.orders.payment(place.point, by="billing")
        assert (await made.orders.get(order.id)).state is DISCARDED
        assert sends(made.made, Operation.DISCONNECT_METER, 0) == 0
        assert made.switch(0) is SwitchState.CONNECTED


async def test_a_payment_that_comes_while_the_meter_switches_reconnects_afterwards(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, UNTOLD, policy=UNASKED) as made:
        place = await made.put(Place(number=0))
        order = await made.submit(K.CUT, place)
        await made.switched_off(0)
        paid = await made.orders.payment(place.point, by="billing")
        assert paid.cuts[0].stop
        assert paid.reconnection is not None
        done = await made.until(order.id, state_is(DONE))
        told = f"supply is off: order {paid.reconnection.id} reconnects it"
        assert done.replies[-1].details["advice"] == told
        assert sends(made.made, Operation.DISCONNECT_METER, 0) == 1
        await made.until(paid.reconnection.id, state_is(DONE))
        assert made.switch(0) is SwitchState.CONNECTED


async def test_a_reconnection_makes_a_queued_cut_void_and_then_has_nothing_to_do(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0))
        cut = await made.submit(K.CUT, place, effective_at=datetime.now(UTC) + LATER)
        await made.until(cut.id, state_is(WAITING))
        reconnect = await made.submit(K.RECONNECT, place)
        done = await made.until(reconnect.id, state_is(DONE))
        assert titles(done) == ""
        ended = await made.until(cut.id, state_is(DISCARDED))
        assert reconnect.id in (ended.replies[-1].details["reason"])
        assert sends(made.made, Operation.DISCONNECT_METER, 0) == 0


async def test_a_reconnection_waits_for_a_cut_under_way_and_then_restores_supply(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, UNTOLD, policy=UNASKED) as made:
        place = await made.put(Place(number=0))
        cut = await made.submit(K.CUT, place)
        await made.switched_off(0)
        reconnect = await made.submit(K.RECONNECT, place)
        await made.until(cut.id, state_is(DONE))
        done = await made.until(reconnect.id, state_is(DONE))
        (told,) = (r for r in done.replies if r.kind.value == "negative_acknowledgement")
        assert cut.id in told.details["reason"]
        assert titles(done) == "RemoteConnect"
        assert made.switch(0) is SwitchState.CONNECTED
