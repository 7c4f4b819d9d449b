"""Connect and disconnect: never twice on a guess, checked before, settled by looking, by people."""

# A command moves between two looks at it, which mypy does not expect of a property.
# mypy: disable-error-code="comparison-overlap, unreachable"

from datetime import timedelta
from typing import Any

import pytest

from adapter.commands.activity import CompletionState, Outcome, StepKind, UnsureLoadCheck, Work
from adapter.commands.calls import FailureReason, RemoteResult, RemoteState, SwitchState
from adapter.commands.communication import CANCEL_TRIES
from adapter.commands.correlation import Match
from adapter.commands.events import CancelAnswered, CancelAsked, Resolved, RetryAsked
from adapter.commands.flows import FLOWS, SWITCH_KINDS, CommandKind, Completion
from adapter.commands.lifecycle import wake_of
from adapter.commands.timing import Policy
from adapter.errors import Forbidden, IllegalTransition
from tests.commands.run_to_end import (
    FORGOTTEN,
    NOON,
    PERMANENT_FAULT,
    RETRY_FAULT,
    C,
    Course,
    S,
    X,
)

KINDS = sorted(SWITCH_KINDS)
BEFORE = {
    C.REMOTE_DISCONNECT: SwitchState.CONNECTED,
    C.REMOTE_CONNECT: SwitchState.DISCONNECTED,
}
AFTER = {
    C.REMOTE_DISCONNECT: SwitchState.DISCONNECTED,
    C.REMOTE_CONNECT: SwitchState.CONNECTED,
}
COMPLETION = {
    C.REMOTE_DISCONNECT: Completion.DISCONNECT_DEVICE,
    C.REMOTE_CONNECT: Completion.CONNECT_DEVICE,
}


def sending(kind: CommandKind, **made: Any) -> Course:
    return Course(kind, **{"switch_before": BEFORE[kind], **made}).accept().send()


def unclear(kind: CommandKind, **made: Any) -> Course:
    return sending(kind, **made).unclear()


def looking(kind: CommandKind, **made: Any) -> Course:
    """The settle time has passed and the switch state read is queued."""
    course = unclear(kind, **made)
    return course.turn(course.policy.settle_s)


def needs_person(kind: CommandKind) -> Course:
    course = unclear(kind)
    for _ in range(course.policy.settle_looks):
        course.turn(course.policy.settle_s)
        course.answer(communication=course.look, switch=BEFORE[kind])
    assert course.state is S.NEEDS_PERSON
    return course


def sends(course: Course) -> int:
    return course.sends_of(FLOWS[course.command.request.kind].request.operation)


# ---------------------------------------------------------------- unclear


@pytest.mark.parametrize("kind", KINDS)
def test_an_unclear_order_is_never_sent_again_by_itself(kind: CommandKind) -> None:
    course = unclear(kind)
    assert (course.main.state, course.main.work) == (X.UNCLEAR, Work.NONE)
    with pytest.raises(IllegalTransition):
        course.send(course.main)
    for _ in range(200):
        if course.state.rests:
            break
        course.turn(300)
        if course.of(StepKind.SETTLE) and course.look.state is X.QUEUED:
            course.answer(communication=course.look, switch=BEFORE[kind])
    assert course.state is S.NEEDS_PERSON
    assert sends(course) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["unclear", "timed_out", "token_forgotten", "interrupted"])
def test_every_way_to_lose_an_order_leads_to_listening(kind: CommandKind, how: str) -> None:
    course = sending(kind)
    if how == "unclear":
        course.unclear()
    elif how == "interrupted":
        course.turn(course.policy.send_s)
    elif how == "token_forgotten":
        course.token().ask_failed(FORGOTTEN)
    else:
        course.token()
        course.now += timedelta(seconds=course.policy.reply_s)
        course.ask_failed()
    assert course.main.state is X.UNCLEAR
    due = course.now + timedelta(seconds=course.policy.settle_s)
    assert course.main.wake == wake_of(course.command) == due
    assert course.of(StepKind.SETTLE) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_callback_at_its_address_reveals_the_token_of_a_lost_reply(kind: CommandKind) -> None:
    course = unclear(kind)
    assert course.callback(RemoteState.EXECUTING, RemoteResult.PENDING).match is Match.MATCHED
    assert (course.main.state, course.main.work) == (X.AWAITING, Work.STATUS)
    assert course.main.token is not None
    assert course.main.deadline == course.now + timedelta(seconds=course.policy.reply_s)
    course.callback()
    course.result().execute()
    assert (course.state, course.activity.outcome) == (S.COMPLETED, Outcome.SUCCEEDED)
    assert sends(course) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_reply_that_comes_after_it_was_given_up_is_adopted(kind: CommandKind) -> None:
    course = sending(kind).turn(60)
    assert course.main.state is X.UNCLEAR
    course.token()
    assert course.main.state is X.AWAITING


@pytest.mark.parametrize("kind", KINDS)
def test_a_send_given_up_too_early_can_still_prove_that_nothing_left(kind: CommandKind) -> None:
    course = sending(kind).turn(60)
    course.not_sent()
    assert course.main.state is X.QUEUED
    course = sending(kind).turn(60)
    course.refused(PERMANENT_FAULT)
    assert course.state is S.DISCARDED


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_reply_is_moot_once_a_callback_came(kind: CommandKind) -> None:
    course = sending(kind)
    course.callback()
    assert course.main.state is X.FETCHING
    course.unclear().not_sent().refused(PERMANENT_FAULT)
    assert course.main.state is X.FETCHING


@pytest.mark.parametrize("kind", KINDS)
def test_a_callback_for_an_order_that_was_called_busy_stops_the_resend(kind: CommandKind) -> None:
    course = sending(kind).refused(RETRY_FAULT)
    assert course.main.state is X.QUEUED
    assert course.callback().match is Match.MATCHED
    assert course.main.state is X.FETCHING
    course.result().execute()
    assert course.state is S.COMPLETED
    assert sends(course) == 1


# ---------------------------------------------------------------- looking


@pytest.mark.parametrize("kind", KINDS)
def test_the_look_infers_success_where_the_switch_was_the_opposite_before(
    kind: CommandKind,
) -> None:
    course = looking(kind).answer(switch=AFTER[kind])
    assert course.state is S.EXECUTING_COMPLETION_EVENTS
    assert [event.kind for event in course.activity.completions] == [COMPLETION[kind]]
    course.execute()
    assert (course.state, course.activity.outcome) == (S.COMPLETED, Outcome.SUCCEEDED_INFERRED)
    assert sends(course) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [None, "wanted"])
def test_the_look_infers_nothing_without_an_opposite_before(
    kind: CommandKind, before: str | None
) -> None:
    course = unclear(kind, switch_before=AFTER[kind] if before else None)
    for _ in range(course.policy.settle_looks):
        course.turn(course.policy.settle_s)
        course.answer(communication=course.look, switch=AFTER[kind])
    assert (course.state, course.activity.outcome) == (S.NEEDS_PERSON, Outcome.UNKNOWN)
    assert course.activity.switch_state is AFTER[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_switch_that_has_not_moved_is_looked_at_again_and_then_a_person_is_asked(
    kind: CommandKind,
) -> None:
    course = looking(kind).answer(switch=BEFORE[kind])
    assert course.state is S.COMMUNICATION_IN_PROGRESS
    assert wake_of(course.command) == course.now + timedelta(seconds=course.policy.settle_s)
    course.turn(course.policy.settle_s)
    course.answer(communication=course.look, switch=BEFORE[kind])
    assert (course.state, course.activity.outcome) == (S.NEEDS_PERSON, Outcome.UNKNOWN)
    assert not course.lanes_released
    assert course.alarms == ["needs_person"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["refused", "unclear", "unreachable", "unsent", "forgotten"])
def test_a_look_that_brings_nothing_counts_as_a_look(kind: CommandKind, how: str) -> None:
    course = unclear(kind)
    for number in range(course.policy.settle_looks):
        course.turn(course.policy.settle_s)
        assert len(course.of(StepKind.SETTLE)) == number + 1
        if how == "refused":
            course.send().refused(PERMANENT_FAULT)
        elif how == "unclear":
            course.send().unclear()
        elif how == "forgotten":
            course.take().ask_failed(FORGOTTEN)
        elif how == "unreachable":
            course.answer(failed={"E0": FailureReason.NO_RESPONSE})
        else:
            before = len(course.sent)
            course.in_vain(course.look)
            assert len(course.sent) - before == course.policy.retry.attempts
    assert course.state is S.NEEDS_PERSON


@pytest.mark.parametrize("kind", KINDS)
def test_a_look_that_may_not_leave_cannot_hold_the_command_for_ever(kind: CommandKind) -> None:
    course = unclear(kind)
    for _ in range(40):
        if course.state.rests:
            break
        wake = wake_of(course.command)
        assert wake is not None
        course.turn((wake - course.now).total_seconds())
    assert course.state is S.NEEDS_PERSON


@pytest.mark.parametrize("kind", KINDS)
def test_a_callback_while_a_look_is_under_way_makes_the_look_moot(kind: CommandKind) -> None:
    course = looking(kind).send()
    look = course.look
    course.callback(communication=course.main)
    assert course.command.communication(look.id).state is X.CANCELED
    course.token(look)
    course.result(communication=course.main).execute()
    assert (course.state, course.activity.outcome) == (S.COMPLETED, Outcome.SUCCEEDED)


@pytest.mark.parametrize("kind", KINDS)
def test_an_order_lost_twice_is_not_settled_by_the_look_of_the_first_time(
    kind: CommandKind,
) -> None:
    course = looking(kind).take(None)
    course.callback(RemoteState.EXECUTING, RemoteResult.PENDING, communication=course.main)
    course.ask_failed(FORGOTTEN, course.main)
    assert course.main.state is X.UNCLEAR
    assert course.main.wake is not None


@pytest.mark.parametrize("kind", KINDS)
def test_looks_go_on_after_the_command_expired(kind: CommandKind) -> None:
    course = unclear(kind, expires_in=600)
    course.turn(900)
    assert course.state is S.COMMUNICATION_IN_PROGRESS
    course.turn(0)
    course.answer(communication=course.look, switch=AFTER[kind]).execute()
    assert course.activity.outcome is Outcome.SUCCEEDED_INFERRED


@pytest.mark.parametrize("kind", KINDS)
def test_an_order_under_way_at_its_expiry_is_followed_to_its_end(kind: CommandKind) -> None:
    course = sending(kind, expires_in=600).token()
    course.turn(700)
    assert course.main.state is X.AWAITING
    course.status().result().execute()
    assert course.activity.outcome is Outcome.SUCCEEDED


# ---------------------------------------------------------------- tokens that contradict


@pytest.mark.parametrize("kind", KINDS)
def test_two_tokens_for_one_order_raise_an_alarm_and_neither_is_adopted(
    kind: CommandKind,
) -> None:
    course = sending(kind)
    course.callback(RemoteState.EXECUTING, RemoteResult.PENDING)
    course.token(name="another")
    assert course.main.state is X.UNCLEAR
    assert course.alarms == ["token_conflict"]
    assert course.callback().match is Match.CONTRADICTION
    course.status(communication=course.main)
    assert course.main.state is X.UNCLEAR
    assert sends(course) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_callback_with_another_token_is_never_applied(kind: CommandKind) -> None:
    course = sending(kind).token()
    assert course.callback(token="another").match is Match.CONTRADICTION
    assert course.main.state is X.AWAITING


# ---------------------------------------------------------------- people


@pytest.mark.parametrize("kind", KINDS)
def test_two_people_close_an_unknown_outcome_as_done(kind: CommandKind) -> None:
    course = needs_person(kind)
    with pytest.raises(Forbidden):
        course.tell(Resolved(done=True, operator="a", approver="A"))
    course.tell(Resolved(done=True, operator="a", approver="b"))
    assert course.lanes_released
    assert [event.kind for event in course.activity.completions] == [COMPLETION[kind]]
    assert wake_of(course.command) is not None
    assert course.state is S.EXECUTING_COMPLETION_EVENTS
    course.execute()
    assert course.state is S.RESOLVED
    assert course.activity.completions[0].state is CompletionState.EXECUTED
    with pytest.raises(IllegalTransition):
        course.tell(Resolved(done=False, operator="a", approver="b"))
    assert wake_of(course.command) is None


@pytest.mark.parametrize("kind", KINDS)
def test_two_people_close_an_unknown_outcome_as_not_done(kind: CommandKind) -> None:
    course = needs_person(kind)
    course.tell(Resolved(done=False, operator="a", approver="b"))
    assert course.state is S.RESOLVED
    assert course.lanes_released
    assert course.activity.completions == ()
    assert wake_of(course.command) is None


def test_a_completion_ordered_by_people_is_tried_again_until_people_are_told() -> None:
    course = needs_person(C.REMOTE_DISCONNECT)
    course.tell(Resolved(done=True, operator="a", approver="b"))
    failed = 0
    while course.state is not S.NEEDS_PERSON:
        if course.activity.next_completion is not None:
            course.completion_fails()
            failed += 1
        wake = wake_of(course.command)
        assert wake is not None
        course.turn((wake - course.now).total_seconds())
    assert failed == course.policy.retry.attempts
    assert course.alarms == ["needs_person", "needs_person"]
    course.tell(RetryAsked(by="a")).execute()
    assert course.activity.completions[0].state is CompletionState.EXECUTED
    assert course.state is S.RESOLVED


def test_what_the_registry_cannot_follow_can_be_decided_once_more() -> None:
    course = needs_person(C.REMOTE_DISCONNECT)
    course.tell(Resolved(done=True, operator="a", approver="b")).completion_fails()
    while course.state is not S.NEEDS_PERSON:
        wake = wake_of(course.command)
        assert wake is not None
        course.turn((wake - course.now).total_seconds())
        if course.activity.next_completion is not None:
            course.completion_fails()
    course.tell(Resolved(done=False, operator="b", approver="a"))
    assert course.state is S.RESOLVED
    assert course.activity.completions[0].state is CompletionState.DISCARDED


def test_an_unknown_outcome_cannot_be_ordered_again_in_the_same_command() -> None:
    course = needs_person(C.REMOTE_DISCONNECT)
    with pytest.raises(Forbidden):
        course.tell(RetryAsked(by="a"))
    assert sends(course) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_late_success_of_an_order_that_was_given_up_is_an_alarm(kind: CommandKind) -> None:
    course = needs_person(kind)
    before = course.activity.state
    assert course.callback(communication=course.main).match is Match.LATE
    assert course.alarms == ["needs_person", "late"]
    assert course.activity.state is before


def test_a_late_success_of_a_mere_read_is_no_alarm() -> None:
    course = needs_person(C.REMOTE_DISCONNECT)
    course.callback(RemoteState.COMPLETED, RemoteResult.FAILURE, communication=course.look)
    assert course.alarms == ["needs_person"]


@pytest.mark.parametrize("kind", KINDS)
def test_people_may_order_it_again_after_a_failure_and_the_checks_are_made_again(
    kind: CommandKind,
) -> None:
    course = Course(kind, check_switch=True).accept()
    course.answer(switch=BEFORE[kind])
    course.answer(RemoteResult.FAILURE, failed={"E0": FailureReason.ERROR_RESPONSE})
    assert course.state is S.COMMUNICATION_ERROR
    course.tell(RetryAsked(by="a"))
    assert course.last.step is StepKind.SWITCH_CHECK
    course.answer(switch=AFTER[kind]).execute()
    assert course.activity.outcome is Outcome.ALREADY_SATISFIED
    assert sends(course) == 1


def test_an_expired_command_is_not_retried() -> None:
    course = Course(C.REMOTE_CONNECT, expires_in=600).accept()
    course.answer(RemoteResult.FAILURE, failed={"E0": FailureReason.ERROR_RESPONSE})
    course.now += timedelta(seconds=700)
    with pytest.raises(Forbidden):
        course.tell(RetryAsked(by="a"))


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_does_not_prove_the_meter_idle_is_never_followed_by_a_resend(
    kind: CommandKind,
) -> None:
    course = sending(kind).token().status()
    course.result(RemoteResult.FAILURE, failed={"E0": FailureReason.NO_RESPONSE})
    assert course.state is S.COMMUNICATION_ERROR
    assert sends(course) == 1


# ---------------------------------------------------------------- checks and read before


def checked(**made: Any) -> Course:
    return Course(C.REMOTE_CONNECT, **made).accept()


def test_the_steps_run_one_after_another_and_the_order_comes_last() -> None:
    course = checked(check_load=True, check_switch=True, with_read=True)
    course.answer(switch=SwitchState.DISCONNECTED).answer(voltage_present=False).answer()
    assert [item.step for item in course.sent] == [
        StepKind.SWITCH_CHECK,
        StepKind.LOAD_CHECK,
        StepKind.READ,
    ]
    assert course.last.step is StepKind.MAIN
    course.answer().execute()
    assert course.state is S.COMPLETED
    kinds = [event.kind for event in course.activity.completions]
    assert kinds == [Completion.CONNECT_DEVICE, Completion.CREATE_IMD]
    assert course.activity.switch_before is SwitchState.DISCONNECTED
    assert course.activity.voltage_present is False


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({"voltage_present": True}, S.DISCARDED),
        ({"voltage_present": None}, S.COMMUNICATION_ERROR),
        ({"result": RemoteResult.FAILURE, "voltage_present": False}, S.COMMUNICATION_ERROR),
        ({"result": RemoteResult.UNKNOWN, "voltage_present": False}, S.COMMUNICATION_ERROR),
        ({"failed": {"E0": FailureReason.ERROR_RESPONSE}}, S.COMMUNICATION_ERROR),
        ({"failed": {"E9": FailureReason.ERROR_RESPONSE}}, S.COMMUNICATION_ERROR),
        ({"result": RemoteResult.CANCELED}, S.DISCARDED),
    ],
)
def test_a_load_check_without_a_clear_no_holds_the_connect_back(
    answer: dict[str, Any], state: S
) -> None:
    course = checked(check_load=True).answer(**answer)
    assert course.state is state
    assert sends(course) == 0


@pytest.mark.parametrize(
    ("follows", "state"),
    [
        (UnsureLoadCheck.WAIT, S.COMMUNICATION_ERROR),
        (UnsureLoadCheck.END, S.DISCARDED),
        (UnsureLoadCheck.CONNECT, S.COMMUNICATION_IN_PROGRESS),
    ],
)
def test_an_order_says_what_follows_a_load_check_without_an_answer(
    follows: UnsureLoadCheck, state: S
) -> None:
    course = checked(check_load=True, unsure_load_check=follows).answer(voltage_present=None)
    assert course.state is state
    assert sends(course) == 0
    assert (course.last.step is StepKind.MAIN) is (follows is UnsureLoadCheck.CONNECT)
    live = checked(check_load=True, unsure_load_check=follows).answer(voltage_present=True)
    assert live.state is S.DISCARDED


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (SwitchState.DISCONNECTED, S.COMMUNICATION_IN_PROGRESS),
        (SwitchState.ARMED, S.COMMUNICATION_IN_PROGRESS),
        (SwitchState.CONNECTED, S.EXECUTING_COMPLETION_EVENTS),
        (SwitchState.DISCONNECTED_OR_DIVERSION, S.DISCARDED),
        (SwitchState.UNKNOWN, S.COMMUNICATION_ERROR),
        (None, S.COMMUNICATION_ERROR),
    ],
)
def test_what_the_switch_check_sees_decides_about_a_connect(
    seen: SwitchState | None, state: S
) -> None:
    course = checked(check_switch=True).answer(switch=seen)
    assert course.state is state
    assert sends(course) == 0
    if state is S.EXECUTING_COMPLETION_EVENTS:
        assert course.execute().activity.outcome is Outcome.ALREADY_SATISFIED


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (SwitchState.CONNECTED, S.COMMUNICATION_IN_PROGRESS),
        (SwitchState.ARMED, S.COMMUNICATION_IN_PROGRESS),
        (SwitchState.DISCONNECTED, S.EXECUTING_COMPLETION_EVENTS),
        (SwitchState.DISCONNECTED_OR_DIVERSION, S.EXECUTING_COMPLETION_EVENTS),
        (SwitchState.UNKNOWN, S.COMMUNICATION_ERROR),
    ],
)
def test_what_the_switch_check_sees_decides_about_a_disconnect(seen: SwitchState, state: S) -> None:
    course = Course(C.REMOTE_DISCONNECT, check_switch=True).accept().answer(switch=seen)
    assert course.state is state


@pytest.mark.parametrize("how", ["unsent", "busy", "refused", "failed", "canceled"])
def test_an_optional_read_that_fails_does_not_hold_the_order_back(how: str) -> None:
    course = checked(with_read=True)
    if how == "refused":
        course.send().refused(PERMANENT_FAULT)
    elif how in ("unsent", "busy"):
        course.in_vain(fault=RETRY_FAULT if how == "busy" else None)
        assert len(course.sent) == course.policy.retry.attempts
    elif how == "failed":
        course.answer(failed={"E0": FailureReason.ERROR_RESPONSE})
    else:
        course.take().status(result=RemoteResult.CANCELED, polled=True)
    assert course.last.step is StepKind.MAIN
    assert course.state is S.COMMUNICATION_IN_PROGRESS


def test_an_armed_meter_is_what_a_connect_with_user_intervention_wants() -> None:
    course = Course(C.REMOTE_CONNECT, user_intervention_required=True).accept()
    course.answer().execute()
    assert course.activity.switch_state is SwitchState.ARMED


# ---------------------------------------------------------------- cancel


def canceled(course: Course) -> Course:
    return course.tell(CancelAsked(by="clerk"))


@pytest.mark.parametrize("kind", CommandKind)
def test_what_is_not_sent_is_canceled_at_once(kind: CommandKind) -> None:
    course = canceled(Course(kind).accept())
    assert (course.state, course.activity.outcome) == (S.CANCELED, Outcome.CANCELED)
    with pytest.raises(IllegalTransition):
        course.send()


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancel_while_sending_is_carried_to_the_head_end_when_the_token_comes(
    kind: CommandKind,
) -> None:
    course = canceled(sending(kind))
    assert course.state is S.CANCELLING
    course.token()
    assert (course.main.state, course.main.work) == (X.AWAITING, Work.CANCEL)
    course.tell(CancelAnswered(communication=course.main.id))
    assert course.main.work is Work.STATUS
    course.status(result=RemoteResult.CANCELED, polled=True)
    assert (course.state, course.activity.outcome) == (S.CANCELED, Outcome.CANCELED)
    assert course.activity.completions == ()


@pytest.mark.parametrize("lost", ["not_sent", "busy", "refused"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_cancel_while_sending_ends_it_where_nothing_was_taken(
    kind: CommandKind, lost: str
) -> None:
    course = canceled(sending(kind))
    if lost == "not_sent":
        course.not_sent()
    else:
        course.refused(RETRY_FAULT if lost == "busy" else PERMANENT_FAULT)
    assert course.state is S.CANCELED
    assert sends(course) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancel_while_sending_does_not_hide_an_unclear_order(kind: CommandKind) -> None:
    course = canceled(sending(kind)).unclear()
    assert (course.state, course.main.state) == (S.CANCELLING, X.UNCLEAR)
    course.turn(course.policy.settle_s)
    course.answer(communication=course.look, switch=AFTER[kind]).execute()
    assert (course.state, course.activity.outcome) == (S.COMPLETED, Outcome.SUCCEEDED_INFERRED)


@pytest.mark.parametrize("kind", KINDS)
def test_a_canceled_order_that_stays_unclear_goes_to_a_person(kind: CommandKind) -> None:
    course = canceled(sending(kind)).unclear()
    for _ in range(course.policy.settle_looks):
        course.turn(course.policy.settle_s)
        course.answer(communication=course.look, switch=BEFORE[kind])
    assert course.state is S.NEEDS_PERSON


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancel_that_comes_too_late_ends_as_what_happened(kind: CommandKind) -> None:
    course = canceled(sending(kind).token())
    course.status().result().execute()
    assert (course.state, course.activity.outcome) == (S.COMPLETED, Outcome.SUCCEEDED)
    assert course.activity.reason == "the cancel came too late"


def test_a_canceled_order_that_failed_anyway_waits_for_nobody() -> None:
    course = canceled(sending(C.REMOTE_CONNECT).token())
    course.status().result(RemoteResult.FAILURE, failed={"E0": FailureReason.ERROR_RESPONSE})
    assert (course.state, course.activity.outcome) == (S.DISCARDED, Outcome.FAILED)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancel_is_not_forgotten_while_a_poll_is_under_way(kind: CommandKind) -> None:
    course = canceled(sending(kind).token())
    course.status(RemoteState.EXECUTING, RemoteResult.PENDING, polled=True)
    assert course.main.work is Work.CANCEL
    course.ask_failed(unsent=True)
    assert course.main.work is Work.CANCEL
    course.ask_failed(PERMANENT_FAULT)
    assert course.main.work is Work.STATUS


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancel_whose_reply_is_lost_is_asked_again_so_often_and_each_time_after_a_look(
    kind: CommandKind,
) -> None:
    patient = Policy(reply_s=4 * 3_600.0)
    course, asked = canceled(sending(kind, policy=patient).token()), ""
    while course.main.state is X.AWAITING:
        assert course.main.wake is not None
        course.now = max(course.now, course.main.wake)
        if course.main.work is Work.CANCEL:
            asked += "C"
            course.ask_failed()
        else:
            asked += "S"
            course.status(RemoteState.EXECUTING, RemoteResult.PENDING, polled=True)
    assert asked.startswith("CS" * CANCEL_TRIES + "S")
    assert asked.count("C") == CANCEL_TRIES
    assert course.main.state is X.UNCLEAR


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancel_whose_reply_is_lost_is_believed_by_the_status(kind: CommandKind) -> None:
    course = canceled(sending(kind).token()).ask_failed()
    assert (course.main.work, course.main.wake) == (Work.STATUS, course.now)
    course.ask_failed()
    assert course.main.work is Work.STATUS, "not before the status is known"
    course.status(result=RemoteResult.CANCELED, polled=True)
    assert (course.state, course.activity.outcome) == (S.CANCELED, Outcome.CANCELED)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancel_that_is_lost_at_the_deadline_has_a_last_look_at_the_status(
    kind: CommandKind,
) -> None:
    course = canceled(sending(kind).token())
    assert course.main.deadline is not None
    course.now = course.main.deadline
    course.ask_failed()
    assert (course.main.state, course.main.work) == (X.AWAITING, Work.STATUS)
    course.status(result=RemoteResult.CANCELED, polled=True)
    assert course.state is S.CANCELED


def test_an_unclear_order_cannot_be_canceled() -> None:
    course = unclear(C.REMOTE_DISCONNECT)
    with pytest.raises(Forbidden):
        canceled(course)
    assert course.activity.canceled_by is None


@pytest.mark.parametrize(
    "answer", [{"voltage_present": False}, {"voltage_present": True}, {"voltage_present": None}]
)
def test_a_cancel_during_the_load_check_does_not_go_on_to_the_connect(
    answer: dict[str, Any],
) -> None:
    course = checked(check_load=True).take()
    canceled(course)
    course.status().result(**answer)
    assert course.state is S.CANCELED
    assert sends(course) == 0


def test_a_cancel_during_a_switch_check_that_is_satisfied_changes_nothing() -> None:
    course = checked(check_switch=True).take()
    canceled(course).status().result(switch=SwitchState.CONNECTED)
    assert course.state is S.CANCELED
    assert course.activity.completions == ()


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_is_canceled_once(kind: CommandKind) -> None:
    course = canceled(sending(kind))
    with pytest.raises(IllegalTransition):
        canceled(course)


def test_a_conflict_of_tokens_while_the_result_is_fetched_ignores_the_result() -> None:
    course = sending(C.REMOTE_DISCONNECT)
    course.callback()
    course.token(name="another")
    course.result(communication=course.main)
    assert course.main.state is X.UNCLEAR


def test_retries_by_the_program_are_bounded() -> None:
    policy = Policy(expires_s=1e6)
    course = Course(C.REMOTE_CONNECT, policy=policy, expires_in=1e6).accept()
    while course.state is S.COMMUNICATION_IN_PROGRESS:
        course.now = max(course.now, course.last.wake or NOON)
        course.answer(RemoteResult.FAILURE, failed={"E0": FailureReason.TOO_MANY_REQUESTS})
    assert sends(course) == policy.retry.attempts
    assert course.state is S.COMMUNICATION_ERROR
