"""Field activities and waits: their lifecycles, their messages, and what they tell their order."""

import typing
from datetime import timedelta
from itertools import product

import pytest

from adapter.errors import IllegalTransition
from adapter.model.device import InstallStatus
from adapter.model.ids import EventId, OrderId
from adapter.model.values import replace
from adapter.orders import field_activity_events as f
from adapter.orders.completion import CompletionReport
from adapter.orders.field_activity import (
    FIELD_FINAL,
    FIELD_MACHINE,
    FieldActivity,
    FieldProgress,
    FieldState,
    FieldStep,
    field_child_state,
    step_field,
)
from adapter.orders.field_activity_rules import OtherTask, field_problems, needs_appointment
from adapter.orders.order import ChildId, ChildState, OrderKind, OrderProblem
from adapter.orders.tasks import FIELD_TASKS, CancelReason, FieldEffect, field_task
from adapter.orders.waits import (
    WAIT_MACHINE,
    ReadingArrived,
    WaitActivity,
    WaitDiscarded,
    WaitEvent,
    WaitState,
    WaitTimedOut,
    step_wait,
    wait_child_state,
)
from tests.orders.builders import NOON, a_child, a_manual_meter, a_view
from tests.support import for_every

S = FieldState
PROBLEM = OrderProblem(code="x", text="it broke")
REPORT = CompletionReport(at=NOON, cause=EventId("SO-1.1:report"))
SLOT = f.Slot(start=NOON, end=NOON + timedelta(hours=2))
SAMPLES: dict[type[f.FieldEvent], f.FieldEvent] = {
    type(event): event
    for event in (
        f.FieldOpened(),
        f.FieldValidated(),
        f.AppointmentNeeded(),
        f.FieldRejected(problem=PROBLEM),
        f.AppointmentBooked(slot=SLOT),
        f.FieldSent(),
        f.FieldSendFailed(problem=PROBLEM),
        f.NoticeFailed(problem=PROBLEM),
        f.FieldOverdue(),
        f.CrewStarted(),
        f.Rescheduled(slot=SLOT, reason="CM-Weather"),
        f.WorkReported(report=REPORT),
        f.WorkCanceled(reason="CM-NoAccess", report=REPORT),
        f.EventsExecuted(),
        f.CancelEventsExecuted(),
        f.EventsFailed(problem=PROBLEM),
        f.FieldRetried(who="ann"),
        f.FieldModified(details={"contact": "back door"}),
        f.FieldCancelAsked(reason="paid"),
        f.CancelDeclined(),
        f.FieldDiscarded(reason="paid"),
    )
}


def visit(
    state: FieldState = S.PENDING, task: str = "D1-TurnOffMeter", **changes: object
) -> FieldActivity:
    values: dict[str, object] = {
        "id": ChildId("SO-1.1"),
        "order": OrderId("SO-1"),
        "spec": a_child("D1-FieldActivity", task=task).spec,
        "created_at": NOON,
        "state": state,
        **changes,
    }
    return FieldActivity(**values)  # type: ignore[arg-type]


def after(activity: FieldActivity, *events: f.FieldEvent) -> FieldStep:
    done = FieldStep(activity=activity, effects=())
    for event in events:
        done = step_field(done.activity, event, now=NOON)
    return done


def test_there_is_a_sample_of_every_event() -> None:
    assert set(SAMPLES) == set(typing.get_args(f.FieldEvent))


@for_every(
    ("state", "kind"), list(product(S, SAMPLES)), ids=lambda each: getattr(each, "__name__", each)
)
def test_every_event_in_every_state_follows_an_arrow_or_is_refused(
    state: FieldState, kind: type[f.FieldEvent]
) -> None:
    activity = visit(state, report=REPORT)
    targets = FIELD_MACHINE.targets(state, kind)
    if not targets:
        with pytest.raises(IllegalTransition):
            after(activity, SAMPLES[kind])
    else:
        assert {after(activity, SAMPLES[kind]).activity.state} == targets


@pytest.mark.parametrize("state", sorted(FIELD_FINAL))
def test_nothing_is_taken_in_a_final_state(state: FieldState) -> None:
    assert not [arrow for arrow in FIELD_MACHINE.arrows if arrow[0] is state]


def test_a_visit_is_acknowledged_checked_sent_reported_and_recorded() -> None:
    opened = after(visit(), f.FieldOpened())
    assert opened.effects == (f.AcknowledgeField(), f.CheckFieldRules())
    sent = after(opened.activity, f.FieldValidated())
    assert sent.effects == (f.SendMessage(kind=f.MessageKind.DISPATCH, number=1),)
    done = after(sent.activity, f.FieldSent(), f.CrewStarted(), f.WorkReported(report=REPORT))
    assert done.effects == (
        f.ExecuteEvents(
            effects=(FieldEffect.TURN_OFF, FieldEffect.MEASURE), report=REPORT, successful=True
        ),
    )
    ended = after(done.activity, f.EventsExecuted())
    assert ended.effects == (f.WakeParent(),)
    assert (ended.activity.state, ended.activity.ended_at) == (S.COMPLETED, NOON)


def test_an_appointment_is_asked_for_booked_and_told() -> None:
    activity = visit(S.VALIDATE, "D1-InstallMeter")
    assert needs_appointment(activity)
    asked = after(activity, f.AppointmentNeeded())
    assert asked.effects == (f.SendMessage(kind=f.MessageKind.SLOTS, number=1),)
    booked = after(asked.activity, f.AppointmentBooked(slot=SLOT))
    assert booked.effects == (
        f.TellAppointment(slot=SLOT),
        f.SendMessage(kind=f.MessageKind.DISPATCH, number=2),
    )
    assert not needs_appointment(booked.activity)


def test_an_appointment_that_the_order_brought_along_is_enough() -> None:
    spec = a_child(
        "D1-FieldActivity", task="D1-InstallMeter", details={"appointmentStart": "now"}
    ).spec
    assert not needs_appointment(replace(visit(), spec=spec))
    assert not needs_appointment(visit())


def test_a_validation_error_lets_the_child_push_its_order() -> None:
    failed = after(visit(S.VALIDATE), f.FieldRejected(problem=PROBLEM))
    assert failed.activity.may_push
    assert failed.effects == (f.OpenFieldTodo(problem=PROBLEM), f.PushParent())
    repaired = after(failed.activity, f.FieldRetried(who="ann"))
    assert repaired.effects == (f.CheckFieldRules(), f.CloseFieldTodo(), f.PushParent())


def test_a_change_goes_out_as_a_message_only_once_the_visit_was_sent() -> None:
    change = f.FieldModified(details={"contact": "back door"})
    sending = visit(S.COMMUNICATION)
    assert after(sending, change).effects == (
        f.RecallMessages(),
        f.SendMessage(kind=f.MessageKind.DISPATCH, number=1),
    )
    sent = after(sending, f.FieldSent(), change)
    assert sent.effects == (
        f.SendMessage(kind=f.MessageKind.MODIFY, number=1, details=change.details),
    )
    assert sent.activity.spec.details == {"contact": "back door"}
    assert after(visit(S.APPOINTMENT), change).activity.state is S.VALIDATE


def test_another_time_is_told_in_the_change_message_and_the_visit_is_waited_for_accordingly() -> (
    None
):
    booked = visit(S.COMMUNICATION, progress=FieldProgress.SENT, patience=DAY, appointment=SLOT)
    later = replace(SLOT, start=SLOT.start + DAY, end=SLOT.end + DAY)
    change = f.FieldModified(
        details={"appointmentStart": later.start.isoformat()},
        times={"effectiveAt": later.start.isoformat()},
        not_before=later.start,
        slot=later,
    )
    moved = after(booked, change)
    (told, message) = moved.effects
    assert told == f.TellAppointment(slot=later)
    assert message == f.SendMessage(
        kind=f.MessageKind.MODIFY, number=1, details={**change.details, **change.times}
    )
    assert moved.activity.spec.effective_at == later.start
    assert moved.activity.appointment == later
    assert moved.activity.answer_by == later.end + DAY


def test_a_sent_visit_is_cancelled_by_asking_and_runs_its_cancel_events() -> None:
    sent = visit(S.COMMUNICATION, progress=FieldProgress.SENT)
    with pytest.raises(IllegalTransition):
        after(sent, f.FieldDiscarded(reason="paid"))
    asked = after(sent, f.FieldCancelAsked(reason="paid"))
    assert asked.effects == (
        f.SendMessage(kind=f.MessageKind.CANCEL, number=1, details={"reason": "paid"}),
    )
    assert asked.activity.state is S.COMMUNICATION
    answered = after(asked.activity, f.WorkCanceled(reason="paid", report=REPORT))
    assert answered.effects == (f.ExecuteEvents(effects=(), report=REPORT, successful=False),)
    assert after(answered.activity, f.CancelEventsExecuted()).activity.state is S.CANCELED


def test_work_done_wins_over_a_cancellation_that_was_asked_for() -> None:
    asked = after(visit(S.COMMUNICATION), f.FieldSent(), f.FieldCancelAsked(reason="paid"))
    done = after(asked.activity, f.WorkReported(report=REPORT), f.EventsExecuted())
    assert done.activity.state is S.COMPLETED


def test_a_failed_completion_is_corrected_and_repeated_never_discarded() -> None:
    failed = after(
        visit(S.COMMUNICATION),
        f.WorkReported(report=REPORT),
        f.EventsFailed(problem=PROBLEM),
    )
    assert field_child_state(failed.activity) is ChildState.COMPLETION_ERROR
    with pytest.raises(IllegalTransition):
        after(failed.activity, f.FieldDiscarded(reason="no"))
    better = replace(REPORT, at=NOON + timedelta(hours=1))
    again = after(failed.activity, f.FieldRetried(who="ann", report=better))
    assert again.effects[0] == f.ExecuteEvents(
        effects=FIELD_TASKS["D1-TurnOffMeter"].successful, report=better, successful=True
    )


def test_a_late_sent_never_takes_a_started_visit_back() -> None:
    started = after(visit(S.COMMUNICATION), f.CrewStarted(), f.FieldSent()).activity
    assert started.progress is FieldProgress.STARTED
    assert field_child_state(started) is ChildState.STARTED


DAY = timedelta(days=1)


def test_a_silent_field_system_is_noticed_and_its_late_report_still_counts() -> None:
    sent = after(visit(S.COMMUNICATION, patience=DAY), f.FieldSent()).activity
    assert sent.answer_by == NOON + DAY
    silent = after(sent, f.FieldOverdue())
    assert field_child_state(silent.activity) is ChildState.RESPONSE_ERROR
    assert silent.activity.problem is not None
    assert silent.activity.problem.code == "visit_overdue"
    assert silent.effects == (f.OpenFieldTodo(problem=silent.activity.problem), f.PushParent())
    late = after(silent.activity, f.WorkReported(report=REPORT), f.EventsExecuted())
    assert late.activity.state is S.COMPLETED
    again = after(silent.activity, f.FieldRetried(who="ann"))
    assert again.effects == (f.CloseFieldTodo(), f.PushParent()), "nothing is sent again"
    assert again.activity.answer_by == NOON + DAY
    with pytest.raises(IllegalTransition):
        after(silent.activity, f.FieldDiscarded(reason="no"))


def test_silence_is_counted_from_the_end_of_the_appointment_and_anew_after_each_word() -> None:
    booked = visit(S.COMMUNICATION, patience=DAY, appointment=SLOT)
    sent = after(booked, f.FieldSent())
    assert sent.activity.answer_by == SLOT.end + DAY
    later = f.Slot(start=NOON + 2 * DAY, end=NOON + 3 * DAY)
    moved = after(sent.activity, f.Rescheduled(slot=later, reason="CM-Weather"))
    assert moved.activity.answer_by == NOON + 4 * DAY
    same = after(moved.activity, f.FieldModified(details={"contact": "x"}), f.FieldSent())
    assert same.activity.answer_by == NOON + 4 * DAY
    asked = after(same.activity, f.FieldCancelAsked(reason="paid"))
    assert asked.activity.answer_by == NOON + DAY, "an answer, not a visit, is waited for"
    kept = after(asked.activity, f.CancelDeclined())
    assert kept.activity.answer_by == NOON + 4 * DAY
    named = visit(
        S.COMMUNICATION,
        patience=DAY,
        spec=a_child("D1-FieldActivity", details={"appointmentEnd": SLOT.end.isoformat()}).spec,
    )
    assert after(named, f.FieldSent()).activity.answer_by == SLOT.end + DAY


def test_an_unanswered_wish_to_cancel_is_sent_again_by_a_retry() -> None:
    sent = visit(S.COMMUNICATION, progress=FieldProgress.SENT, patience=DAY)
    asked = after(sent, f.FieldCancelAsked(reason="paid"), f.NoticeFailed(problem=PROBLEM))
    assert asked.activity.state is S.RESPONSE_ERROR
    again = after(asked.activity, f.FieldRetried(who="ann"))
    assert again.effects[0] == f.SendMessage(
        kind=f.MessageKind.CANCEL, number=2, details={"reason": "paid"}
    )


def test_a_wish_for_an_appointment_in_error_is_asked_again_or_answered_late() -> None:
    asked = after(visit(S.VALIDATE, "D1-InstallMeter", patience=DAY), f.AppointmentNeeded())
    assert asked.activity.answer_by == NOON + DAY
    for trouble in (f.FieldOverdue(), f.FieldSendFailed(problem=PROBLEM)):
        failed = after(asked.activity, trouble).activity
        assert failed.state is S.APPOINTMENT_ERROR
        assert field_child_state(failed) is ChildState.COMMUNICATION_ERROR
        again = after(failed, f.FieldRetried(who="ann"))
        assert again.effects[0] == f.SendMessage(kind=f.MessageKind.SLOTS, number=2)
        assert after(failed, f.AppointmentBooked(slot=SLOT)).activity.state is S.COMMUNICATION
        given = f.FieldModified(details={"appointmentStart": NOON.isoformat()})
        assert after(failed, given).effects[0] == f.CheckFieldRules()


def test_without_a_time_out_a_visit_waits_for_ever() -> None:
    assert after(visit(S.COMMUNICATION), f.FieldSent()).activity.answer_by is None


SHOWN = [
    (visit(S.PENDING), ChildState.QUEUED),
    (visit(S.APPOINTMENT), ChildState.QUEUED),
    (visit(S.COMMUNICATION), ChildState.SENDING),
    (visit(S.COMMUNICATION, progress=FieldProgress.SENT), ChildState.SENT),
    (visit(S.COMMUNICATION, progress=FieldProgress.STARTED), ChildState.STARTED),
    (visit(S.COMPLETION), ChildState.STARTED),
    (visit(S.CANCELED), ChildState.CANCELED),
]


@pytest.mark.parametrize(("activity", "state"), SHOWN)
def test_an_order_sees_how_far_a_visit_is(activity: FieldActivity, state: ChildState) -> None:
    assert field_child_state(activity) is state


@pytest.mark.parametrize("state", S)
def test_every_state_has_a_place_on_the_orders_scale(state: FieldState) -> None:
    final = field_child_state(visit(state)) in {
        ChildState.COMPLETED, ChildState.CANCELED, ChildState.DISCARDED
    }  # fmt: skip
    assert final == (state in FIELD_FINAL)


def other(task: str, hours: float, *, done: bool = False) -> OtherTask:
    at = NOON - timedelta(hours=hours)
    return OtherTask(id="SO-0.1", task=task, created_at=at, done_at=at if done else None)


@pytest.mark.parametrize(
    ("others", "codes"),
    [
        ([], []),
        ([other("D1-TurnOffMeter", 1)], ["duplicate"]),
        ([other("D1-TurnOffMeter", 25)], []),
        ([other("D1-TurnOnMeter", 1)], ["conflict"]),
        ([other("D1-TurnOnMeter", 73)], []),
        ([other("D1-ReadMeter", 1)], []),
        ([other("D1-TurnOffMeter", 1, done=True)], ["duplicate"]),
        ([other("D1-TurnOffMeter", 25, done=True)], []),
        ([other("D1-TurnOnMeter", 1, done=True)], []),
        ([other("D1-TurnOffMeter", 2, done=True), other("D1-TurnOnMeter", 1, done=True)], []),
        ([other("D1-TurnOffMeter", 1), other("D1-ReconnectForPayment", 2)],
         ["duplicate", "conflict"]),
    ],
)  # fmt: skip
def test_duplicate_and_contradicting_work_is_found_within_its_hours(
    others: list[OtherTask], codes: list[str]
) -> None:
    view = a_view(OrderKind.DISABLE, device=a_manual_meter(), status=InstallStatus.MANUAL_ON)
    assert [each.code for each in field_problems(visit(), view, others)] == codes


def test_work_is_no_duplicate_of_what_the_order_itself_has_undone_or_people_know_of() -> None:
    others = [other("D1-TurnOffMeter", 2, done=True)]
    own = replace(
        a_child("D1-FieldActivity", 1, ChildState.COMPLETED, task="D1-TurnOnMeter"),
        ended_at=NOON - timedelta(hours=1),
    )
    view = a_view(OrderKind.DISABLE, device=a_manual_meter(), status=InstallStatus.MANUAL_ON)
    assert field_problems(visit(), replace(view, children=(own,)), others) == ()
    known = a_child("D1-FieldActivity", task="D1-TurnOffMeter", details={"allowOverlap": "true"})
    assert field_problems(visit(spec=known.spec), view, others) == ()


def test_no_crew_cuts_where_a_restriction_exists() -> None:
    view = a_view(OrderKind.CUT, point={"life_support": True})
    cut = visit(task="D1-CutForNonPayment")
    assert [each.code for each in field_problems(cut, view, [])] == ["restricted"]
    assert field_problems(visit(task="D1-ReadMeter"), view, []) == ()


def test_a_service_point_type_may_limit_its_field_tasks() -> None:
    view = a_view(OrderKind.DISABLE, point={"sp_type": "Street light"})
    found = field_problems(visit(), view, [], frozenset({"D1-TurnOffItem"}))
    assert [each.text for each in found] == ["D1-TurnOffMeter is not valid for Street light"]


def test_every_base_task_is_a_row() -> None:
    assert len(FIELD_TASKS) == 38
    assert field_task("d1-reconnectitemforpayment") is FIELD_TASKS["D1-ReconnectItemForPayment"]
    assert {"D1-AutoDiscarded", "D1-Undetermined"} <= set(CancelReason)


# Waits -----------------------------------------------------------------------------------------

DUE = NOON + timedelta(hours=72)
WAITS: dict[type[WaitEvent], WaitEvent] = {
    ReadingArrived: ReadingArrived(),
    WaitTimedOut: WaitTimedOut(),
    WaitDiscarded: WaitDiscarded(reason="cancelled"),
}


def wait(state: WaitState = WaitState.WAITING) -> WaitActivity:
    return WaitActivity(
        id=ChildId("SO-1.2"),
        order=OrderId("SO-1"),
        spec=a_child("CM-WaitForMeasurement", due_at=DUE).spec,
        created_at=NOON,
        state=state,
    )


@pytest.mark.parametrize(("state", "kind"), list(product(WaitState, WAITS)))
def test_a_wait_ends_once(state: WaitState, kind: type[WaitEvent]) -> None:
    targets = WAIT_MACHINE.targets(state, kind)
    if not targets:
        with pytest.raises(IllegalTransition):
            step_wait(wait(state), WAITS[kind], now=DUE)
    else:
        ended = step_wait(wait(state), WAITS[kind], now=DUE)
        assert ({ended.state}, ended.ended_at) == (targets, DUE)
        assert wait_child_state(ended) is not ChildState.QUEUED


def test_a_wait_never_times_out_before_its_time() -> None:
    with pytest.raises(IllegalTransition):
        step_wait(wait(), WaitTimedOut(), now=DUE - timedelta(seconds=1))
