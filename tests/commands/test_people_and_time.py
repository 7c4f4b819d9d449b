"""What people ask and what time brings, in every state that waits."""

# A command moves between two looks at it, which mypy does not expect of a property.
# mypy: disable-error-code="comparison-overlap, unreachable"

from collections.abc import Callable
from datetime import timedelta

import pytest

from adapter.commands.activity import CompletionState, Outcome, State
from adapter.commands.calls import FailureReason, RemoteResult
from adapter.commands.events import (
    Approved,
    CancelAsked,
    CompletionExecuted,
    CompletionFailed,
    DiscardAsked,
    Resolved,
    RetryAsked,
    Validated,
)
from adapter.commands.flows import FLOWS, CommandKind
from adapter.commands.lifecycle import wake_of
from adapter.commands.rules import Violation
from adapter.commands.transitions import ACTIVITY_MACHINE
from adapter.errors import Forbidden, IllegalTransition
from tests.commands.run_to_end import FORGOTTEN, C, Course, S, X, next_time
from tests.support import for_every

BROKEN = Validated(violations=(Violation(rule="r", text="no"),))


def approval() -> Course:
    return Course(C.REMOTE_DISCONNECT).tell(Validated(needs_approval=True))


def communication_error() -> Course:
    course = Course(C.REMOTE_DISCONNECT).accept()
    return course.answer(RemoteResult.FAILURE, failed={"E0": FailureReason.ERROR_RESPONSE})


def completion_error() -> Course:
    return Course(C.REMOTE_DISCONNECT).accept().answer().completion_fails()


def needs_person() -> Course:
    course = Course(C.REMOTE_DISCONNECT).accept().send().unclear()
    for _ in range(course.policy.settle_looks):
        course.turn(course.policy.settle_s)
        course.answer(communication=course.look)
    return course


def cancelling() -> Course:
    return Course(C.REMOTE_DISCONNECT).accept().take().tell(CancelAsked(by="x"))


IN: dict[State, Callable[[], Course]] = {
    S.PENDING: lambda: Course(C.REMOTE_DISCONNECT),
    S.VALIDATION_ERROR: lambda: Course(C.REMOTE_DISCONNECT).tell(BROKEN),
    S.AWAITING_APPROVAL: approval,
    S.WAITING_FOR_EFFECTIVE_DATE: lambda: Course(C.REMOTE_DISCONNECT, effective_in=60).accept(),
    S.COMMUNICATION_IN_PROGRESS: lambda: Course(C.REMOTE_DISCONNECT).accept(),
    S.COMMUNICATION_ERROR: communication_error,
    S.WAITING_FOR_MEASUREMENT: lambda: Course(C.ON_DEMAND_READ_SCALAR).accept().answer(),
    S.EXECUTING_COMPLETION_EVENTS: lambda: Course(C.REMOTE_DISCONNECT).accept().answer(),
    S.COMPLETION_EVENT_ERROR: completion_error,
    S.CANCELLING: cancelling,
    S.COMPLETED: lambda: Course(C.REMOTE_DISCONNECT).accept().answer().execute(),
    S.DISCARDED: lambda: communication_error().tell(DiscardAsked(by="x")),
    S.CANCELED: lambda: Course(C.REMOTE_DISCONNECT).accept().tell(CancelAsked(by="x")),
    S.NEEDS_PERSON: needs_person,
    S.RESOLVED: lambda: needs_person().tell(Resolved(done=False, operator="a", approver="b")),
}
"""A command in every state in which one can rest."""

RESTING = sorted(IN)


def test_every_state_but_the_one_that_is_passed_through_can_be_rested_in() -> None:
    assert set(State) - set(IN) == {S.CONNECTION_READY}
    for state, made in IN.items():
        assert made().state is state


@for_every("state", RESTING)
@for_every("asked", [CancelAsked, DiscardAsked, RetryAsked, Approved])
def test_people_are_heard_where_the_table_says_so_and_else_refused(
    state: State, asked: type[CancelAsked]
) -> None:
    course = IN[state]()
    before = course.command
    if state not in ACTIVITY_MACHINE.takes(asked):
        with pytest.raises(IllegalTransition):
            course.tell(asked(by="clerk"))
        assert course.command == before
    elif state is S.NEEDS_PERSON:
        with pytest.raises(Forbidden):
            course.tell(asked(by="clerk"))
    else:
        course.tell(asked(by="clerk"))
        assert course.state is not state


@for_every("state", RESTING)
def test_a_discarded_command_is_over_and_gives_its_lane_back(state: State) -> None:
    if state not in ACTIVITY_MACHINE.takes(DiscardAsked):
        return
    course = IN[state]().tell(DiscardAsked(by="clerk", reason="no longer wanted"))
    assert (course.state, course.activity.reason) == (S.DISCARDED, "no longer wanted")
    assert course.lanes_released
    assert wake_of(course.command) is None


@for_every("state", RESTING)
def test_time_alone_brings_every_command_to_an_end(state: State) -> None:
    """Nobody answers and nobody asks: whatever waits, ends within a bound."""
    course = IN[state]()
    bound = course.now + timedelta(days=3)
    for _ in range(100):
        if course.state.rests or course.activity.next_completion is not None:
            break
        if course.state is S.WAITING_FOR_MEASUREMENT:
            course.now = wake_of(course.command) or course.now
            course.data(found=0, missing=1)
            continue
        wake = wake_of(course.command)
        assert wake is not None
        course.turn(max((wake - course.now).total_seconds(), 0))
        if course.state is S.WAITING_FOR_EFFECTIVE_DATE:
            course.accept()
        assert course.now < bound
    assert course.state.rests or course.state is S.EXECUTING_COMPLETION_EVENTS


@for_every("state", RESTING)
def test_a_final_state_is_never_left_by_time_or_by_late_words(state: State) -> None:
    course = IN[state]()
    if not course.state.rests:
        return
    for _ in range(3):
        course.turn(86_400)
        for communication in course.command.communications:
            course.callback(communication=communication)
            course.token(communication)
            course.result(communication=communication)
        course.turn(0)
    assert course.state is state


# ---------------------------------------------------------------- approval


def test_a_second_person_approves_and_the_order_goes_out() -> None:
    course = approval().tell(Approved(by="supervisor"))
    assert course.state is S.COMMUNICATION_IN_PROGRESS
    assert course.activity.approved_by == "supervisor"


@pytest.mark.parametrize("by", ["billing", "Billing", "b1lling", ""])
def test_the_requester_cannot_approve(by: str) -> None:
    course = approval()
    with pytest.raises(Forbidden):
        course.tell(Approved(by=by))
    assert course.state is S.AWAITING_APPROVAL


def test_validating_again_does_not_pass_over_the_approval_nor_announce_it_twice() -> None:
    course = approval()
    for _ in range(3):
        course.tell(Validated(needs_approval=True))
    assert course.state is S.AWAITING_APPROVAL
    assert course.published == ["received", "to_do.awaiting_approval"]


def test_an_approved_command_that_breaks_a_rule_keeps_its_approval() -> None:
    course = Course(C.REMOTE_DISCONNECT, effective_in=60).tell(Validated(needs_approval=True))
    course.tell(Approved(by="supervisor")).tell(BROKEN)
    assert course.state is S.VALIDATION_ERROR
    course.now += timedelta(seconds=60)
    course.tell(Validated(needs_approval=True))
    assert course.state is S.COMMUNICATION_IN_PROGRESS


def test_an_approval_after_the_expiry_sends_nothing() -> None:
    course = approval()
    course.now += timedelta(hours=5)
    course.tell(Approved(by="supervisor"))
    assert (course.state, course.activity.outcome) == (S.DISCARDED, Outcome.EXPIRED)


# ---------------------------------------------------------------- completion events


def test_a_failed_completion_is_tried_again_without_sending_the_command_again() -> None:
    course = completion_error()
    retry_at = course.activity.retry_at
    assert retry_at is not None
    assert wake_of(course.command) == retry_at
    course.turn((retry_at - course.now).total_seconds())
    assert course.state is S.EXECUTING_COMPLETION_EVENTS
    assert wake_of(course.command) is not None
    course.execute()
    assert course.state is S.COMPLETED
    assert len(course.sent) == 1


def test_a_completion_that_never_works_ends_with_a_person() -> None:
    course = completion_error()
    while course.state is not S.NEEDS_PERSON:
        wake = wake_of(course.command)
        assert wake is not None
        assert wake > course.now, "the wake of a used-up retry is in the future"
        course.turn((wake - course.now).total_seconds())
        if course.activity.next_completion is not None:
            course.completion_fails()
    assert course.activity.completions[0].tries == course.policy.retry.attempts
    assert not course.lanes_released


def test_people_can_have_a_completion_tried_again() -> None:
    course = completion_error().tell(RetryAsked(by="clerk")).execute()
    assert course.state is S.COMPLETED


def test_completion_events_run_in_order_and_stop_at_the_first_that_fails() -> None:
    course = Course(C.REMOTE_CONNECT, with_read=True).accept().answer().answer()
    first, second = course.activity.completions
    course.completion_fails()
    assert course.activity.next_completion is None
    with pytest.raises(IllegalTransition):
        course.tell(CompletionExecuted(event=second.id))
    wake = wake_of(course.command)
    assert wake is not None
    course.turn((wake - course.now).total_seconds())
    assert course.activity.next_completion is not None
    assert course.activity.next_completion.id == first.id
    assert course.execute().state is S.COMPLETED


def test_a_completion_takes_effect_once() -> None:
    course = Course(C.REMOTE_CONNECT, with_read=True).accept().answer().answer()
    first = course.activity.completions[0]
    course.tell(CompletionExecuted(event=first.id))
    course.tell(CompletionExecuted(event=first.id))
    assert course.published.count("completion.D1-ConnectDevice") == 1
    with pytest.raises(IllegalTransition):
        course.tell(CompletionFailed(event=first.id, error="late"))
    assert course.activity.completions[0].state is CompletionState.EXECUTED


def test_discarding_a_failed_completion_marks_it_and_executes_nothing() -> None:
    course = completion_error().tell(DiscardAsked(by="clerk"))
    assert [x.state for x in course.activity.completions] == [CompletionState.DISCARDED]
    assert course.activity.next_completion is None


@pytest.mark.parametrize("kind", [k for k in CommandKind if FLOWS[k].completion])
def test_no_completion_event_without_a_success_of_the_head_end(kind: CommandKind) -> None:
    course = Course(kind).accept()
    course.turn(4 * 3_600.0)
    assert course.activity.completions == ()


# ---------------------------------------------------------------- expiry


@pytest.mark.parametrize("kind", [k for k in CommandKind if not FLOWS[k].synchronous])
def test_expiry_while_in_progress_gives_up_what_moves_no_switch(kind: CommandKind) -> None:
    course = Course(kind, expires_in=300).accept().take()
    course.turn(300)
    if FLOWS[kind].request.operation.value.endswith(("ReconnectMeter", "DisconnectMeter")):
        assert course.main.state is X.AWAITING
        return
    assert (course.state, course.activity.outcome) == (S.DISCARDED, Outcome.EXPIRED)
    assert course.callback(communication=course.main).match == "late"
    assert course.state is S.DISCARDED


@pytest.mark.parametrize("kind", CommandKind)
def test_expiry_waits_for_the_reply_of_what_is_being_sent(kind: CommandKind) -> None:
    course = Course(kind, expires_in=30).accept().send().turn(30)
    assert course.main.state is X.SENDING
    assert next_time(course.command) is not None
    if FLOWS[kind].synchronous:
        course.result().execute()
        assert course.state is S.COMPLETED


@pytest.mark.parametrize("kind", CommandKind)
def test_nothing_is_dispatched_after_the_expiry_even_before_anybody_noticed(
    kind: CommandKind,
) -> None:
    course = Course(kind, expires_in=30).accept()
    course.now += timedelta(seconds=30)
    with pytest.raises(Forbidden):
        course.send()
    assert course.turn(0).activity.outcome is Outcome.EXPIRED


def test_a_read_that_fails_after_its_expiry_waits_for_nobody() -> None:
    course = Course(C.ON_DEMAND_READ_SCALAR, expires_in=30).accept().send().turn(30).unclear()
    assert course.state is S.DISCARDED


def test_a_check_that_ends_after_the_expiry_sends_no_order() -> None:
    course = Course(C.REMOTE_CONNECT, check_load=True, expires_in=30).accept().take().status()
    course.now += timedelta(seconds=30)
    course.result(voltage_present=False)
    assert (course.state, course.activity.outcome) == (S.DISCARDED, Outcome.EXPIRED)


# ---------------------------------------------------------------- cancel


def test_a_canceled_read_that_fails_is_canceled() -> None:
    course = Course(C.ON_DEMAND_READ_SCALAR).accept().send().tell(CancelAsked(by="x"))
    course.unclear()
    assert course.state is S.CANCELED
    assert "not known" in course.activity.reason
    course = Course(C.ON_DEMAND_READ_SCALAR).accept().take().tell(CancelAsked(by="x"))
    course.ask_failed(FORGOTTEN)
    assert course.state is S.CANCELED


def test_a_canceled_command_whose_head_end_says_nothing_more_ends() -> None:
    course = Course(C.ON_DEMAND_READ_SCALAR).accept().take().tell(CancelAsked(by="x"))
    while not course.state.final:
        wake = course.main.wake
        assert wake is not None
        course.now = max(course.now, wake)
        course.ask_failed()
        course.now += timedelta(seconds=1)
    assert course.state is S.CANCELED


def test_a_request_canceled_at_the_head_end_by_others_ends_the_command() -> None:
    course = Course(C.REMOTE_DISCONNECT).accept().take()
    course.status(result=RemoteResult.CANCELED, polled=True)
    assert (course.state, course.activity.outcome) == (S.DISCARDED, Outcome.CANCELED)
    assert course.activity.reason == "canceled_there"
