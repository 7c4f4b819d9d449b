"""Cancel and update: the matrix by child status, races with completion, answers to the requester."""

import typing
from itertools import product

import pytest

from adapter.errors import IllegalTransition
from adapter.model.ids import OrderId
from adapter.model.values import replace
from adapter.orders import maintenance as m
from adapter.orders.algorithms.canspact_updspac import MAINTENANCE_MATRIX, Action, Group
from adapter.orders.maintenance import (
    MAINTENANCE_FINAL,
    MAINTENANCE_MACHINE,
    MaintenanceActivity,
    MaintenanceState,
    MaintenanceStep,
    Purpose,
    child_ended,
    first_answer,
    maintain,
    step_maintenance,
)
from adapter.orders.order import (
    RECONNECT_ORDER,
    ChildFact,
    ChildState,
    OrderKind,
    OrderState,
    ServiceOrder,
)
from tests.orders.builders import NOON, a_child, an_order
from tests.support import for_every

C, S = ChildState, MaintenanceState
FIELD, COMMAND, WAIT = "D1-FieldActivity", "D1-RemoteDisconnect", "CM-WaitForMeasurement"
ORDER = an_order(OrderKind.CUT, state=OrderState.IN_PROGRESS)

# fmt: off
MATRIX: list[tuple[str, ChildState, str, str]] = [
    (FIELD,   C.QUEUED,              "discard the child; nothing was sent", "change the child; nothing was sent"),
    (FIELD,   C.VALIDATION_ERROR,    "discard the child; nothing was sent", "change the child; nothing was sent"),
    (FIELD,   C.SENDING,             "stop the communication, discard the child", "change the child; nothing was sent"),
    (FIELD,   C.SENT,                "ask the field system to cancel",      "send a change message"),
    (FIELD,   C.STARTED,             "too late",                            "too late"),
    (FIELD,   C.COMMUNICATION_ERROR, "discard the child; nothing was sent", "change the child; nothing was sent"),
    (FIELD,   C.COMPLETION_ERROR,    "work was done: people decide",        "too late"),
    (FIELD,   C.COMPLETED,           "nothing to cancel; the order stops before its next child", "too late"),
    (FIELD,   C.CANCELED,            "already so",                          "too late"),
    (FIELD,   C.DISCARDED,           "already so",                          "too late"),
    (COMMAND, C.QUEUED,              "discard the child; nothing was sent", "change the child; nothing was sent"),
    (COMMAND, C.SENDING,             "ask the head end to cancel",          "too late"),
    (COMMAND, C.SENT,                "ask the head end to cancel",          "too late"),
    (COMMAND, C.UNCLEAR,             "wait for its outcome, then ask the head end to cancel what still may be", "too late"),
    (COMMAND, C.CANCELLING,          "asked already; the answer is awaited", "too late"),
    (COMMAND, C.STARTED,             "too late",                            "too late"),
    (COMMAND, C.COMMUNICATION_ERROR, "work was done: people decide",        "too late"),
    (COMMAND, C.RESPONSE_ERROR,      "work was done: people decide",        "too late"),
    (COMMAND, C.COMPLETED,           "nothing to cancel; the order stops before its next child", "too late"),
    (WAIT,    C.QUEUED,              "discard the child; nothing was sent", "change the child; nothing was sent"),
    (WAIT,    C.RESPONSE_ERROR,      "discard the child; nothing was sent", "change the child; nothing was sent"),
]
# fmt: on


@for_every(("business_object", "state", "cancel", "update"), MATRIX)
def test_what_a_request_does_follows_from_the_childs_status(
    business_object: str, state: ChildState, cancel: str, update: str
) -> None:
    child = a_child(business_object, 1, state)
    assert maintain(Purpose.CANCEL, ORDER, child) == cancel
    assert maintain(Purpose.UPDATE, ORDER, child) == update


def test_every_status_of_every_kind_of_child_has_a_cell() -> None:
    others = product({Group.FIELD, Group.WAIT}, {C.UNCLEAR, C.CANCELLING})
    assert set(MAINTENANCE_MATRIX) == set(product(Group, ChildState)) - set(others)


def test_without_a_child_the_order_itself_is_maintained() -> None:
    assert maintain(Purpose.CANCEL, ORDER, None) is Action.DISCARD_ORDER
    assert maintain(Purpose.UPDATE, ORDER, None) is Action.CHANGE_ORDER


@pytest.mark.parametrize(
    ("state", "cancel"),
    [(OrderState.COMPLETED, Action.REJECT), (OrderState.DISCARDED, Action.ALREADY)],
)
def test_a_final_order_leaves_nothing_to_maintain(state: OrderState, cancel: Action) -> None:
    final = an_order(OrderKind.CUT, state=state)
    assert maintain(Purpose.CANCEL, final, None) is cancel
    assert maintain(Purpose.UPDATE, final, None) is Action.REJECT


def test_a_cut_that_was_done_is_not_cancelled_and_the_answer_says_what_to_do() -> None:
    done = an_order(OrderKind.CUT, state=OrderState.COMPLETED)
    answer = m.first_answer(Purpose.CANCEL, done, None)
    assert isinstance(answer, m.TooLate)
    assert answer.reason == (
        "too late: the order is Completed. If supply is off, order a reconnection."
    )


SAMPLES: dict[type[m.MaintenanceEvent], m.MaintenanceEvent] = {
    type(event): event
    for event in (
        m.RequestOpened(),
        m.RequestValid(),
        m.RequestInvalid(reason="no such order"),
        m.ActionTaken(action=Action.DISCARD_CHILD),
        m.ResponseAwaited(action=Action.SEND_CANCEL),
        m.TooLate(reason="crew at work"),
        m.Answered(outcome="canceled"),
        m.RequestFailed(reason="no answer"),
        m.RequestRetried(who="ann"),
    )
}


def request(
    state: MaintenanceState = S.PENDING, purpose: Purpose = Purpose.CANCEL
) -> MaintenanceActivity:
    return MaintenanceActivity(
        id="MA-1",
        purpose=purpose,
        order=OrderId("SO-1"),
        requester="cis",
        reference="c-1",
        created_at=NOON,
        state=state,
    )


def after(activity: MaintenanceActivity, *events: m.MaintenanceEvent) -> MaintenanceStep:
    done = MaintenanceStep(activity=activity, effects=())
    for event in events:
        done = step_maintenance(done.activity, event, now=NOON)
    return done


def answer(done: MaintenanceStep) -> m.ReplyToRequest:
    (found,) = (each for each in done.effects if isinstance(each, m.ReplyToRequest))
    return found


def test_there_is_a_sample_of_every_event() -> None:
    assert set(SAMPLES) == set(typing.get_args(m.MaintenanceEvent))


@for_every(
    ("state", "kind"), list(product(S, SAMPLES)), ids=lambda each: getattr(each, "__name__", each)
)
def test_every_event_in_every_state_follows_an_arrow_or_is_refused(
    state: MaintenanceState, kind: type[m.MaintenanceEvent]
) -> None:
    targets = MAINTENANCE_MACHINE.targets(state, kind)
    if not targets:
        with pytest.raises(IllegalTransition):
            after(request(state), SAMPLES[kind])
    else:
        assert {after(request(state), SAMPLES[kind]).activity.state} == targets


@pytest.mark.parametrize("state", sorted(MAINTENANCE_FINAL))
def test_nothing_is_taken_in_a_final_state(state: MaintenanceState) -> None:
    assert not [arrow for arrow in MAINTENANCE_MACHINE.arrows if arrow[0] is state]


@pytest.mark.parametrize("to", sorted(MAINTENANCE_FINAL))
def test_every_end_is_answered(to: MaintenanceState) -> None:
    for (state, kind), targets in MAINTENANCE_MACHINE.arrows.items():
        if to in targets:
            accepted = answer(after(request(state), SAMPLES[kind])).accepted
            assert accepted == (to is S.COMPLETED)


def acted(order: ServiceOrder, child: ChildFact | None) -> MaintenanceStep:
    opened = after(request(), m.RequestOpened(), m.RequestValid()).activity
    return after(opened, first_answer(Purpose.CANCEL, order, child))


def test_a_queued_child_is_discarded_and_the_request_answered_at_once() -> None:
    done = acted(ORDER, a_child(COMMAND, 1, C.QUEUED))
    assert done.activity.state is S.COMPLETED
    assert answer(done).details["result"] == "discard the child; nothing was sent"


def test_a_cancel_that_comes_after_completion_says_what_to_do_about_it() -> None:
    done = acted(ORDER, a_child(COMMAND, 1, C.COMPLETED))
    assert answer(done).accepted
    assert answer(done).details["result"].endswith("If supply is off, order a reconnection.")


def test_a_command_that_the_meter_has_answered_cannot_be_called_back() -> None:
    done = acted(ORDER, a_child(COMMAND, 1, C.STARTED))
    assert done.activity.state is S.REJECTED
    assert answer(done).details["result"].startswith("too late: the activity is started.")


CALLED_BACK = [
    (C.SENT, Action.CALL_BACK, "the head end is asked to cancel"),
    (C.UNCLEAR, Action.AWAIT_OUTCOME, "is not known"),
    (C.CANCELLING, Action.ASKED, "asked already"),
]


@pytest.mark.parametrize(("state", "action", "told"), CALLED_BACK)
def test_a_cancel_of_a_command_that_has_left_waits_and_says_what_is_to_come(
    state: ChildState, action: Action, told: str
) -> None:
    done = acted(ORDER, a_child(COMMAND, 1, state))
    assert (done.activity.state, done.activity.action) == (S.WAITING, action)
    assert told in done.activity.outcome
    assert not done.effects


BY_PEOPLE = (C.COMMUNICATION_ERROR, C.RESPONSE_ERROR, C.COMPLETION_ERROR)


@pytest.mark.parametrize("child", [None, *(s for s in C if s not in BY_PEOPLE)])
def test_a_cancel_of_whoever_is_dark_answers_that_supply_is_restored_whatever_became_of_the_child(
    child: ChildState | None,
) -> None:
    order = an_order(OrderKind.BACK_TO_BACK, state=OrderState.ACTIVITY_ERROR)
    fact = None if child is None else a_child("D1-RemoteConnect", 2, child)
    answer = first_answer(Purpose.CANCEL, order, fact, dark=True)
    assert isinstance(answer, m.ActionTaken)
    assert answer.action is Action.RESTORE_FIRST


@pytest.mark.parametrize("state", [C.QUEUED, C.SENT, C.UNCLEAR, C.STARTED])
def test_what_restores_supply_is_left_alone_and_the_order_stops_after_it(
    state: ChildState,
) -> None:
    order = an_order(OrderKind.BACK_TO_BACK, state=OrderState.IN_PROGRESS)
    child = a_child("D1-RemoteConnect", 2, state)
    answer = first_answer(Purpose.CANCEL, order, child, dark=True)
    assert answer == m.ActionTaken(action=Action.RESTORE_FIRST, child=child.id)


def test_a_visit_is_not_cancelled_twice_while_the_answer_is_awaited() -> None:
    answer = first_answer(Purpose.CANCEL, ORDER, a_child(FIELD, 1, C.SENT), asked=True)
    assert isinstance(answer, m.ResponseAwaited)
    assert answer.action is Action.ASKED


def test_the_end_of_a_command_that_was_called_back_is_told_with_its_reason() -> None:
    waiting = after(request(S.ACTING), m.ResponseAwaited(action=Action.CALL_BACK)).activity
    gone = replace(a_child(COMMAND, 1, C.CANCELED), reason="canceled by cis")
    told = child_ended(waiting, ORDER, gone)
    assert told == m.Answered(outcome="the activity is canceled: canceled by cis")
    off = child_ended(waiting, ORDER, a_child(COMMAND, 1, C.COMPLETED))
    assert off == m.TooLate(
        reason="too late: the activity is completed. If supply is off, order a reconnection."
    )
    paid = replace(ORDER, fields={RECONNECT_ORDER: "SO-2"})
    restored = child_ended(waiting, paid, a_child(COMMAND, 1, C.COMPLETED))
    assert restored == m.TooLate(
        reason="too late: the activity is completed. If supply is off, order SO-2 reconnects it."
    )
    change_over = an_order(OrderKind.BACK_TO_BACK, state=OrderState.IN_PROGRESS)
    first_half = child_ended(waiting, change_over, a_child(COMMAND, 1, C.COMPLETED))
    assert isinstance(first_half, m.TooLate)
    assert first_half.reason.endswith("Supply is restored; then the order stops.")


def test_work_in_completion_error_waits_for_people() -> None:
    done = acted(ORDER, a_child(FIELD, 1, C.COMPLETION_ERROR))
    assert done.activity.state is S.ERROR
    assert [type(each) for each in done.effects] == [m.OpenRequestTodo]


RACES = [
    (Purpose.CANCEL, C.SENT, None),
    (Purpose.CANCEL, C.CANCELED, m.Answered),
    (Purpose.CANCEL, C.COMPLETED, m.TooLate),
    (Purpose.UPDATE, C.COMPLETED, m.Answered),
    (Purpose.UPDATE, C.CANCELED, m.TooLate),
]


@pytest.mark.parametrize(("purpose", "state", "kind"), RACES)
def test_a_race_with_the_childs_end_is_decided_once_by_how_it_ended(
    purpose: Purpose, state: ChildState, kind: type[m.MaintenanceEvent] | None
) -> None:
    waiting = after(
        request(S.ACTING, purpose), m.ResponseAwaited(action=Action.SEND_CANCEL)
    ).activity
    event = child_ended(waiting, ORDER, a_child(FIELD, 1, state))
    assert (type(event) if event is not None else None) is kind
    if event is not None:
        done = after(waiting, event)
        assert answer(done).accepted == (kind is m.Answered)
        with pytest.raises(IllegalTransition):
            after(done.activity, event)
