"""Each of the twelve commands: to success, to a no of the head end, and through lost messages."""

# A command moves between two looks at it, which mypy does not expect of a property.
# mypy: disable-error-code="comparison-overlap, unreachable"

from datetime import datetime, timedelta
from typing import Any

import pytest

from adapter.commands.activity import CommunicationState, CompletionState, Outcome, Work
from adapter.commands.calls import (
    EndpointFailure,
    FailureReason,
    HeadEndOutcome,
    RemoteResult,
    RemoteState,
    SwitchReading,
    SwitchState,
)
from adapter.commands.events import (
    CompletionExecuted,
    OutcomeReceived,
    StatusNotified,
    TimePassed,
    Validated,
)
from adapter.commands.failures import Remedy, failure_row
from adapter.commands.flows import FLOWS, NATURE, READ_KINDS, SWITCH_KINDS, CommandKind, Tells
from adapter.commands.lifecycle import wake_of
from adapter.commands.rules import Violation
from adapter.commands.steps import call_of, for_many
from adapter.commands.timing import Policy
from adapter.errors import Fault, IllegalTransition, NotFound
from adapter.model.ids import CommunicationId, EndpointId, EventId
from adapter.model.values import replace
from tests.commands.run_to_end import (
    FORGOTTEN,
    NOON,
    PERMANENT_FAULT,
    RETRY_FAULT,
    UNFINISHED,
    C,
    Course,
    S,
    X,
    a_status,
)
from tests.support import for_every

TOKEN_KINDS = [kind for kind in CommandKind if not FLOWS[kind].synchronous]
SYNC_KINDS = [kind for kind in CommandKind if FLOWS[kind].synchronous]
RESENT_KINDS = [kind for kind in TOKEN_KINDS if kind not in SWITCH_KINDS]
ANSWER: dict[CommandKind, dict[str, Any]] = {
    C.LOAD_CHECK: {"voltage_present": False},
    C.READ_DISCONNECT_STATE: {"switch": SwitchState.CONNECTED},
}
VALIDATION = Validated(violations=(Violation(rule="install_state", text="not installed"),))


def accepted(kind: CommandKind, **made: Any) -> Course:
    return Course(kind, **made).accept()


def in_flight(kind: CommandKind, **made: Any) -> Course:
    return accepted(kind, **made).take()


def to_the_end(course: Course) -> Course:
    """The head end does what it is asked for, and data arrive."""
    if course.command.flow.synchronous:
        course.send().result()
    else:
        course.answer(**ANSWER.get(course.command.request.kind, {}))
    if course.state is S.WAITING_FOR_MEASUREMENT:
        course.data(found=1)
    return course.execute()


@pytest.mark.parametrize("kind", CommandKind)
def test_a_command_that_all_goes_well_with_completes(kind: CommandKind) -> None:
    course = to_the_end(accepted(kind))
    assert course.state is S.COMPLETED
    assert course.activity.outcome is Outcome.SUCCEEDED
    assert course.published[0] == "received"
    assert course.published[-1] == "completed"
    assert course.lanes_released
    completion = FLOWS[kind].completion
    events = course.activity.completions
    assert [event.kind for event in events] == ([completion] if completion else [])
    assert all(event.state is CompletionState.EXECUTED for event in events)
    assert len(course.sent) == 1


@pytest.mark.parametrize("kind", CommandKind)
def test_dispatch_sends_the_request_named_in_the_flow_table(kind: CommandKind) -> None:
    course = accepted(kind)
    call = call_of(course.command, course.last, callback="https://here/status/x/y")
    assert call.operation is FLOWS[kind].request.operation
    assert (call.callback is None) == FLOWS[kind].synchronous
    assert bool(call.group) == (not call.endpoints)
    assert (call.read is not None) == (kind in READ_KINDS)


@pytest.mark.parametrize("kind", TOKEN_KINDS)
def test_one_meter_that_fails_ends_by_the_row_of_its_reason(kind: CommandKind) -> None:
    for reason in FailureReason:
        course = in_flight(kind, policy=Policy()).status()
        if for_many(course.command.request):
            return
        course.result(RemoteResult.FAILURE, failed={"E0": reason})
        row = failure_row(reason)
        if NATURE[kind].tells is Tells.REACHABLE:
            assert course.activity.outcome is Outcome.UNREACHABLE
            assert course.state is S.COMPLETED
        elif row.remedy is Remedy.RETRY and (row.idle or kind not in SWITCH_KINDS):
            assert course.state is S.COMMUNICATION_IN_PROGRESS
            assert course.last.state is X.QUEUED
            assert course.last.attempt == 2
        elif row.remedy in (Remedy.STOP, Remedy.VISIT):
            assert course.state is S.DISCARDED
            assert course.activity.outcome is Outcome.FAILED
        else:
            assert course.state is S.COMMUNICATION_ERROR
        assert course.activity.completions == ()


@pytest.mark.parametrize("kind", sorted(SWITCH_KINDS))
@pytest.mark.parametrize(
    "result", [RemoteResult.CANCELED, RemoteResult.UNKNOWN, RemoteResult.FAILURE]
)
def test_a_switch_order_is_done_only_by_an_explicit_success(
    kind: CommandKind, result: RemoteResult
) -> None:
    course = in_flight(kind).status().result(result)
    assert course.activity.completions == ()
    expected = {
        RemoteResult.CANCELED: (S.DISCARDED, X.CANCELED),
        RemoteResult.UNKNOWN: (S.COMMUNICATION_IN_PROGRESS, X.UNCLEAR),
        RemoteResult.FAILURE: (S.COMMUNICATION_ERROR, X.COMPLETED),
    }
    assert (course.state, course.main.state) == expected[result]


@pytest.mark.parametrize("kind", sorted(set(CommandKind) - SWITCH_KINDS - set(READ_KINDS)))
def test_a_result_nobody_knows_is_no_success(kind: CommandKind) -> None:
    course = accepted(kind)
    course = course.send() if course.command.flow.synchronous else course.take().status()
    course.result(RemoteResult.UNKNOWN)
    assert course.state is S.COMMUNICATION_ERROR


@for_every("kind", CommandKind)
@for_every("fault", [None, RETRY_FAULT], ids=["not_sent", "busy"])
def test_what_did_nothing_is_sent_again_with_growing_waits_until_it_expires(
    kind: CommandKind, fault: Fault | None
) -> None:
    course = accepted(kind, expires_in=1_000.0)
    assert course.in_vain(fault=fault) == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert len(course.sent) > course.policy.retry.attempts
    assert len({item.id for item in course.sent}) == 1
    assert course.now == course.activity.expires_at
    assert (course.state, course.activity.outcome) == (S.DISCARDED, Outcome.EXPIRED)
    assert course.last.failure is not None
    assert course.last.failure.cause == ("busy" if fault else "not_sent")


@pytest.mark.parametrize("kind", CommandKind)
def test_a_head_end_that_is_back_after_many_tries_is_served(kind: CommandKind) -> None:
    course = accepted(kind)
    for _ in range(2 * course.policy.retry.attempts):
        course.send().not_sent()
        assert course.last.wake is not None
        course.now = course.last.wake
    to_the_end(course)
    assert course.state is S.COMPLETED


@pytest.mark.parametrize("kind", CommandKind)
def test_a_send_that_proves_idle_only_after_the_expiry_is_not_repeated(kind: CommandKind) -> None:
    course = accepted(kind, expires_in=30.0).send()
    course.now = course.activity.expires_at
    course.not_sent().turn(0)
    assert (course.state, course.activity.outcome) == (S.DISCARDED, Outcome.EXPIRED)
    assert len(course.sent) == 1


@pytest.mark.parametrize("kind", CommandKind)
def test_a_busy_head_end_is_asked_again(kind: CommandKind) -> None:
    course = accepted(kind).send().refused(RETRY_FAULT)
    assert (course.last.state, course.last.work) == (X.QUEUED, Work.SEND)
    to_the_end(course)
    assert course.state is S.COMPLETED


@pytest.mark.parametrize("kind", CommandKind)
def test_a_named_refusal_ends_the_command(kind: CommandKind) -> None:
    course = accepted(kind).send().refused(PERMANENT_FAULT)
    assert course.state is S.DISCARDED
    assert course.activity.outcome is Outcome.FAILED
    assert "MeterNotFoundFault" in course.activity.reason
    assert len(course.sent) == 1


@pytest.mark.parametrize("kind", RESENT_KINDS + SYNC_KINDS)
def test_an_unclear_send_of_anything_harmless_is_a_new_attempt(kind: CommandKind) -> None:
    course = accepted(kind).send().unclear()
    old, new = course.command.communications
    assert (old.state, old.superseded) == (X.FAILED, True)
    assert (new.state, new.attempt) == (X.QUEUED, 2)
    assert old.id != new.id
    to_the_end(course)
    assert course.state is S.COMPLETED


@pytest.mark.parametrize("kind", RESENT_KINDS)
def test_late_words_about_the_old_attempt_are_kept_and_move_nothing(kind: CommandKind) -> None:
    course = accepted(kind).send().unclear()
    old = course.command.communications[0]
    course.token(old)
    assert course.command.communication(old.id).token is not None
    verdict = course.callback(communication=old)
    assert verdict.match == "late"
    assert course.activity.late == 1
    assert course.alarms == []
    to_the_end(course)
    assert course.state is S.COMPLETED
    assert course.main.attempt == 2


@pytest.mark.parametrize("kind", TOKEN_KINDS)
def test_polling_heals_a_lost_callback(kind: CommandKind) -> None:
    course = in_flight(kind)
    assert course.main.work is Work.STATUS
    course.now += timedelta(seconds=60)
    course.status(RemoteState.EXECUTING, RemoteResult.PENDING, polled=True)
    assert (course.main.state, course.main.asked) == (X.AWAITING, 1)
    course.status(polled=True)
    assert (course.main.state, course.main.work) == (X.FETCHING, Work.RESULT)
    course.result(**ANSWER.get(kind, {}))
    assert course.main.state is X.COMPLETED


@pytest.mark.parametrize("kind", TOKEN_KINDS)
def test_a_result_that_is_pending_is_polled_for_again(kind: CommandKind) -> None:
    course = in_flight(kind).status().result(RemoteResult.PENDING)
    assert (course.main.state, course.main.work) == (X.AWAITING, Work.STATUS)
    course.status(polled=True).result(**ANSWER.get(kind, {}))
    assert course.main.state is X.COMPLETED


@pytest.mark.parametrize("kind", TOKEN_KINDS)
def test_an_unfinished_result_is_fetched_again_later(kind: CommandKind) -> None:
    course = in_flight(kind).status().ask_failed(UNFINISHED)
    assert (course.main.state, course.main.work) == (X.FETCHING, Work.RESULT)
    assert course.main.wake is not None
    assert course.main.wake > course.now


@pytest.mark.parametrize("kind", TOKEN_KINDS)
def test_a_status_of_another_request_is_not_taken(kind: CommandKind) -> None:
    course = in_flight(kind)
    course.status(token="somebody-elses", polled=True)
    assert (course.main.state, course.main.status) == (X.AWAITING, None)
    with pytest.raises(IllegalTransition):
        course.status(token="somebody-elses")


@pytest.mark.parametrize("kind", TOKEN_KINDS)
def test_a_head_end_that_is_busy_for_ever_is_timed_out(kind: CommandKind) -> None:
    course = in_flight(kind)
    first = course.main
    while course.command.communication(first.id).state is X.AWAITING:
        wake = course.command.communication(first.id).wake
        assert wake is not None
        course.now = wake
        course.status(RemoteState.EXECUTING, RemoteResult.PENDING, communication=first, polled=True)
    failure = course.command.communication(first.id).failure
    assert failure is not None
    assert failure.cause == "timed_out"
    assert course.now == NOON + timedelta(seconds=course.policy.reply_s)


@pytest.mark.parametrize("kind", TOKEN_KINDS)
def test_a_result_of_another_request_is_not_taken(kind: CommandKind) -> None:
    course = in_flight(kind).status()
    course.result(**{**ANSWER.get(kind, {}), "token": "somebody-elses"})
    assert (course.main.state, course.main.work) == (X.FETCHING, Work.RESULT)


@pytest.mark.parametrize("kind", RESENT_KINDS)
def test_a_forgotten_token_is_a_new_attempt_where_that_is_harmless(kind: CommandKind) -> None:
    course = in_flight(kind).ask_failed(FORGOTTEN)
    assert course.command.communications[0].state is X.FAILED
    assert (course.last.state, course.last.attempt) == (X.QUEUED, 2)


@pytest.mark.parametrize("kind", TOKEN_KINDS)
def test_silence_ends_at_the_deadline(kind: CommandKind) -> None:
    course = in_flight(kind)
    deadline = course.main.deadline
    assert deadline == NOON + timedelta(seconds=course.policy.reply_s)
    asked = 0
    while course.command.communications[0].state is X.AWAITING:
        first = course.command.communications[0]
        assert first.wake is not None
        assert first.wake <= deadline
        course.now = first.wake
        course.ask_failed(communication=first)
        asked += 1
    failure = course.command.communications[0].failure
    assert failure is not None
    assert failure.cause == "timed_out"
    assert asked < 30


@pytest.mark.parametrize("kind", TOKEN_KINDS)
def test_a_result_call_that_always_fails_ends_too(kind: CommandKind) -> None:
    course = in_flight(kind).status()
    first = course.main
    while course.command.communication(first.id).state is X.FETCHING:
        wake = course.command.communication(first.id).wake
        assert wake is not None
        course.now = wake
        course.ask_failed(communication=first)
    expected = X.UNCLEAR if kind in SWITCH_KINDS else X.FAILED
    assert course.command.communication(first.id).state is expected


@pytest.mark.parametrize("kind", TOKEN_KINDS)
def test_a_head_end_that_may_not_even_be_asked_cannot_hold_a_command_for_ever(
    kind: CommandKind,
) -> None:
    course = in_flight(kind, expires_in=86_400)
    first = course.main
    course.turn(course.policy.reply_s)
    assert course.command.communication(first.id).state is X.AWAITING
    course.turn(200)
    assert course.command.communication(first.id).state is not X.AWAITING


@pytest.mark.parametrize("kind", CommandKind)
def test_a_send_that_nobody_finished_counts_as_unclear(kind: CommandKind) -> None:
    course = accepted(kind).send()
    assert wake_of(course.command) == NOON + timedelta(seconds=course.policy.send_s)
    course.turn(course.policy.send_s)
    expected = X.UNCLEAR if kind in SWITCH_KINDS else X.FAILED
    assert course.command.communications[0].state is expected


@pytest.mark.parametrize("kind", CommandKind)
def test_a_rule_that_is_broken_waits_for_people_and_then_expires(kind: CommandKind) -> None:
    course = Course(kind).tell(VALIDATION)
    assert course.state is S.VALIDATION_ERROR
    assert course.published == ["to_do.validation_error"]
    course.tell(VALIDATION)
    assert course.published == ["to_do.validation_error"]
    assert wake_of(course.command) == course.activity.expires_at
    course.turn(4 * 3_600.0)
    assert (course.state, course.activity.outcome) == (S.DISCARDED, Outcome.EXPIRED)


@pytest.mark.parametrize("kind", CommandKind)
def test_a_corrected_world_lets_a_command_go_on(kind: CommandKind) -> None:
    course = Course(kind).tell(VALIDATION).accept()
    assert course.state is S.COMMUNICATION_IN_PROGRESS
    assert course.activity.violations == ()
    assert "received" in course.published


@pytest.mark.parametrize("kind", CommandKind)
def test_a_command_waits_for_its_effective_date(kind: CommandKind) -> None:
    course = accepted(kind, effective_in=3_600, expires_in=7_200)
    assert course.state is S.WAITING_FOR_EFFECTIVE_DATE
    assert wake_of(course.command) == NOON + timedelta(hours=1)
    assert course.command.communications == ()
    course.accept()
    assert course.state is S.WAITING_FOR_EFFECTIVE_DATE
    course.now += timedelta(hours=1)
    to_the_end(course.accept())
    assert course.state is S.COMPLETED


def test_a_command_that_became_wrong_while_it_waited_is_stopped_at_its_date() -> None:
    course = accepted(C.REMOTE_DISCONNECT, effective_in=3_600)
    course.now += timedelta(hours=1)
    course.tell(VALIDATION)
    assert course.state is S.VALIDATION_ERROR


@pytest.mark.parametrize("kind", CommandKind)
def test_nothing_is_started_after_the_expiry_date(kind: CommandKind) -> None:
    course = accepted(kind, effective_in=3_600, expires_in=7_200)
    course.now += timedelta(hours=2)
    course.accept()
    assert (course.state, course.activity.outcome) == (S.DISCARDED, Outcome.EXPIRED)
    assert course.sent == []


def test_an_optional_command_is_dropped_for_an_open_opposite_one() -> None:
    course = Course(C.REMOTE_CONNECT, optional=True).tell(Validated(drop_optional=True))
    assert (course.state, course.activity.outcome) == (S.DISCARDED, Outcome.CANCELED)
    assert course.sent == []


@pytest.mark.parametrize("kind", sorted(READ_KINDS))
def test_data_may_come_before_the_result(kind: CommandKind) -> None:
    course = in_flight(kind).status().result()
    assert course.state is S.WAITING_FOR_MEASUREMENT
    assert wake_of(course.command) == course.now
    course.data(found=1)
    assert course.state is S.EXECUTING_COMPLETION_EVENTS
    assert course.execute().state is S.COMPLETED


@pytest.mark.parametrize("kind", sorted(READ_KINDS))
def test_data_may_come_after_the_result_within_the_window(kind: CommandKind) -> None:
    course = in_flight(kind).status().result().data(found=0, missing=1)
    assert course.state is S.WAITING_FOR_MEASUREMENT
    assert wake_of(course.command) == course.now + timedelta(seconds=60)
    course.turn(60)
    course.data(found=1).execute()
    assert course.activity.outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("kind", sorted(READ_KINDS))
def test_a_read_without_data_ends_when_its_window_closes(kind: CommandKind) -> None:
    course = in_flight(kind).status().result()
    course.turn(course.policy.measurement_s)
    course.data(found=0, missing=1)
    assert (course.state, course.activity.outcome) == (S.DISCARDED, Outcome.NO_DATA)


def test_a_load_check_tells_what_it_saw() -> None:
    course = in_flight(C.LOAD_CHECK).status().result(voltage_present=True)
    assert course.state is S.COMPLETED
    assert course.activity.voltage_present is True


def test_a_load_check_without_an_answer_is_no_answer() -> None:
    course = in_flight(C.LOAD_CHECK).status().result(voltage_present=None)
    assert course.state is S.COMMUNICATION_ERROR


def test_read_disconnect_state_tells_the_state_of_the_meter_that_was_asked() -> None:
    course = in_flight(C.READ_DISCONNECT_STATE).status().result(switch=SwitchState.ARMED)
    assert course.activity.switch_state is SwitchState.ARMED


def test_the_switch_state_of_another_meter_tells_nothing() -> None:
    course = in_flight(C.READ_DISCONNECT_STATE).status()
    other = SwitchReading(endpoint=EndpointId("E77"), state=SwitchState.CONNECTED)
    outcome = HeadEndOutcome(result=RemoteResult.SUCCESS, switches=(other,))
    course.tell(OutcomeReceived(communication=course.main.id, outcome=outcome))
    assert course.state is S.COMMUNICATION_ERROR
    assert course.activity.switch_state is None


def test_the_time_of_a_completion_is_the_head_ends_where_it_gave_one() -> None:
    course = in_flight(C.REMOTE_CONNECT)
    acted = NOON + timedelta(minutes=3)
    told = replace(a_status(course.main.id), finished_at=acted)
    course.tell(StatusNotified(communication=course.main.id, status=told)).result()
    assert course.activity.completions[0].at == acted


@pytest.mark.parametrize("acted", [NOON.replace(year=1901), NOON.replace(year=9999)])
def test_a_time_that_cannot_be_is_not_taken_from_the_head_end(acted: datetime) -> None:
    course = in_flight(C.REMOTE_CONNECT)
    told = replace(a_status(course.main.id), finished_at=acted)
    course.tell(StatusNotified(communication=course.main.id, status=told)).result()
    assert abs(course.activity.completions[0].at - NOON) < timedelta(days=1)


@pytest.mark.parametrize("kind", sorted(SWITCH_KINDS))
@pytest.mark.parametrize(
    ("result", "endpoint"),
    [(RemoteResult.SUCCESS, "E1"), (RemoteResult.SUCCESS, "E77"), (RemoteResult.FAILURE, "E77")],
)
def test_a_result_that_contradicts_itself_leaves_a_switch_order_unclear(
    kind: C, result: RemoteResult, endpoint: str
) -> None:
    course = in_flight(kind).status()
    failed = EndpointFailure(
        endpoint=EndpointId(endpoint), reason=FailureReason.COMMUNICATION_ERROR
    )
    outcome = HeadEndOutcome(result=result, failures=(failed,))
    course.tell(OutcomeReceived(communication=course.main.id, outcome=outcome))
    assert course.main.state is CommunicationState.UNCLEAR


def test_events_about_unknown_things_are_refused() -> None:
    course = in_flight(C.REMOTE_CONNECT).status().result()
    with pytest.raises(NotFound):
        course.send(replace(course.main, id=CommunicationId("cmd-99")))
    with pytest.raises(NotFound):
        course.tell(CompletionExecuted(event=EventId("cmd:nothing")))


def test_time_alone_moves_nothing_that_is_not_due() -> None:
    course = in_flight(C.REMOTE_CONNECT)
    before = course.command
    course.tell(TimePassed())
    assert course.command == before


@pytest.mark.parametrize("kind", sorted(SWITCH_KINDS))
def test_what_was_withdrawn_is_never_sent(kind: CommandKind) -> None:
    course = accepted(kind)
    course.turn(4 * 3_600.0)
    assert course.activity.outcome is Outcome.EXPIRED
    with pytest.raises(IllegalTransition):
        course.send()
