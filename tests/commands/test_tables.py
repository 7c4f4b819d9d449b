"""The transition tables: every state and event is an arrow or refused; nothing leaves the end."""

from datetime import timedelta
from typing import get_args

import pytest

from adapter.commands import communication as communication_steps
from adapter.commands import lifecycle
from adapter.commands.activity import (
    FINAL,
    FINAL_COMMUNICATION,
    OUTCOMES,
    Communication,
    CommunicationState,
    CompletionEvent,
    CompletionState,
    Outcome,
    State,
    StepKind,
    Work,
)
from adapter.commands.calls import FailureReason, HeadEndOutcome, RemoteResult
from adapter.commands.communication import COMMUNICATION_MACHINE, GRACE
from adapter.commands.completion import COMPLETION_MACHINE, step_completion
from adapter.commands.events import (
    ActivityEvent,
    Approved,
    AskFailed,
    CancelAnswered,
    CancelAsked,
    CancelWanted,
    CommunicationEvent,
    CommunicationWithdrawn,
    CompletionChange,
    CompletionDiscarded,
    CompletionExecuted,
    CompletionFailed,
    CompletionRetried,
    DeadlinePassed,
    DiscardAsked,
    Dispatched,
    LookEnded,
    OutcomeReceived,
    OwnActivityEvent,
    OwnCommunicationEvent,
    RetryAsked,
    SendFailed,
    SendRefused,
    SendUnclear,
    StatusNotified,
    TokenReceived,
)
from adapter.commands.failures import (
    FAILURES,
    FATE_UNKNOWN,
    Remedy,
    failure_row,
    follows_for_switch_order,
)
from adapter.commands.flows import Completion, Operation
from adapter.commands.timing import Policy
from adapter.commands.transitions import ACTIVITY_MACHINE
from adapter.errors import IllegalTransition
from adapter.model.ids import CommunicationId, EndpointId, EventId
from adapter.model.values import replace
from tests.commands.run_to_end import (
    FORGOTTEN,
    NOON,
    PERMANENT_FAULT,
    a_command,
    a_status,
    token_of,
)
from tests.support import for_every

ID = CommunicationId("cmd-1")
COMMUNICATION_EVENTS: tuple[CommunicationEvent, ...] = (
    Dispatched(communication=ID),
    TokenReceived(communication=ID, token=token_of(ID)),
    SendFailed(communication=ID, detail=""),
    SendFailed(communication=ID, detail="", for_good=True),
    SendRefused(communication=ID, fault=PERMANENT_FAULT),
    SendUnclear(communication=ID, detail=""),
    StatusNotified(communication=ID, status=a_status(ID)),
    OutcomeReceived(communication=ID, outcome=HeadEndOutcome(result=RemoteResult.SUCCESS)),
    AskFailed(communication=ID, detail=""),
    CancelAnswered(communication=ID),
)

OWN_EVENTS: tuple[OwnCommunicationEvent, ...] = (
    CancelWanted(),
    CommunicationWithdrawn(),
    DeadlinePassed(),
    LookEnded(done=True),
    LookEnded(done=False),
)


def a_communication(
    state: CommunicationState, operation: Operation = Operation.PING
) -> Communication:
    work = {
        CommunicationState.QUEUED: Work.SEND,
        CommunicationState.AWAITING: Work.STATUS,
        CommunicationState.FETCHING: Work.RESULT,
    }.get(state, Work.NONE)
    return Communication(
        id=ID,
        step=StepKind.MAIN,
        operation=operation,
        endpoints=(EndpointId("E0"),),
        state=state,
        work=work,
        wake=NOON,
        sent_at=None if state is CommunicationState.QUEUED else NOON,
        token=token_of(ID) if work in (Work.STATUS, Work.RESULT) else None,
    )


def test_the_samples_cover_every_communication_event() -> None:
    assert {type(event) for event in COMMUNICATION_EVENTS} == set(get_args(CommunicationEvent))
    assert {type(event) for event in OWN_EVENTS} == set(get_args(OwnCommunicationEvent))


@for_every("operation", [Operation.PING, Operation.DISCONNECT_METER])
@for_every("state", CommunicationState)
@for_every("event", COMMUNICATION_EVENTS, ids=lambda event: type(event).__name__)
def test_an_communication_event_is_an_arrow_or_refused(
    state: CommunicationState, event: CommunicationEvent, operation: Operation
) -> None:
    communication = a_communication(state, operation)
    allowed = COMMUNICATION_MACHINE.targets(state, type(event))
    never_sent = state is CommunicationState.QUEUED and isinstance(event, StatusNotified)
    if not allowed or never_sent:
        with pytest.raises(IllegalTransition):
            communication_steps.step(communication, event, now=NOON, policy=Policy())
        return
    moved = communication_steps.step(communication, event, now=NOON, policy=Policy())
    assert moved.state in allowed
    assert moved.id == communication.id


@pytest.mark.parametrize("operation", [Operation.PING, Operation.DISCONNECT_METER])
@pytest.mark.parametrize("state", CommunicationState)
@pytest.mark.parametrize("event", OWN_EVENTS, ids=str)
def test_what_a_command_finds_of_its_communication_is_an_arrow_or_refused(
    state: CommunicationState, event: OwnCommunicationEvent, operation: Operation
) -> None:
    long_ago = NOON - GRACE
    communication = replace(a_communication(state, operation), deadline=long_ago)
    allowed = COMMUNICATION_MACHINE.targets(state, type(event))
    if not allowed:
        with pytest.raises(IllegalTransition):
            communication_steps.step(communication, event, now=NOON, policy=Policy())
        return
    moved = communication_steps.step(communication, event, now=NOON, policy=Policy())
    assert moved.state in allowed


@pytest.mark.parametrize("state", CommunicationState)
def test_a_deadline_that_has_not_passed_ends_nothing(state: CommunicationState) -> None:
    soon = NOON + timedelta(seconds=1)
    communication = replace(a_communication(state), wake=soon, deadline=soon)
    with pytest.raises(IllegalTransition):
        communication_steps.step(communication, DeadlinePassed(), now=NOON, policy=Policy())


def test_an_order_whose_fate_is_unclear_is_neither_withdrawn_nor_canceled_nor_timed_out() -> None:
    for event in (CancelWanted, CommunicationWithdrawn, DeadlinePassed):
        assert not COMMUNICATION_MACHINE.targets(CommunicationState.UNCLEAR, event)


@pytest.mark.parametrize("state", sorted(FINAL_COMMUNICATION))
def test_no_arrow_leads_out_of_a_final_communication_and_nothing_is_sent_from_it(
    state: CommunicationState,
) -> None:
    arrows = {e: to for (s, e), to in COMMUNICATION_MACHINE.arrows.items() if s is state}
    assert Dispatched not in arrows
    assert all(to == frozenset({state}) for to in arrows.values())


@pytest.mark.parametrize("state", sorted(FINAL_COMMUNICATION))
def test_a_late_reply_leaves_its_token_as_evidence_and_moves_nothing(
    state: CommunicationState,
) -> None:
    over = a_communication(state)
    told = communication_steps.step(
        over, TokenReceived(communication=ID, token=token_of(ID)), now=NOON, policy=Policy()
    )
    assert told.token == token_of(ID)
    other = TokenReceived(communication=ID, token=token_of(ID, "another"))
    assert communication_steps.step(told, other, now=NOON, policy=Policy()) == told


def test_only_a_queued_communication_can_be_dispatched() -> None:
    starts = {state for state, event in COMMUNICATION_MACHINE.arrows if event is Dispatched}
    assert starts == {CommunicationState.QUEUED}


def test_every_state_has_a_row_and_final_ones_are_empty() -> None:
    assert {state for state, _ in ACTIVITY_MACHINE.arrows} == set(State)
    assert all(not ACTIVITY_MACHINE.next_states(state) for state in FINAL)
    assert all(ACTIVITY_MACHINE.next_states(state) for state in set(State) - FINAL)


def test_every_state_can_be_reached_and_can_reach_a_final_one() -> None:
    reached, front = {State.PENDING}, [State.PENDING]
    while front:
        for target in ACTIVITY_MACHINE.next_states(front.pop()) - reached:
            reached.add(target)
            front.append(target)
    assert reached == set(State)
    ends = set(FINAL)
    while more := {s for s in State if s not in ends and ACTIVITY_MACHINE.next_states(s) & ends}:
        ends |= more
    assert ends == set(State)


def test_every_event_about_the_command_says_where_it_is_taken() -> None:
    told = {event for _, event in ACTIVITY_MACHINE.arrows}
    assert told == {*get_args(ActivityEvent), *get_args(OwnActivityEvent)}


@for_every("state", State)
@for_every(
    "event",
    [Approved(by="b"), CancelAsked(by="b"), RetryAsked(by="b"), DiscardAsked(by="b")],
    ids=lambda event: type(event).__name__,
)
def test_what_people_ask_is_refused_where_the_table_has_no_place_for_it(
    state: State, event: ActivityEvent
) -> None:
    command = a_command()
    command = replace(command, activity=replace(command.activity, state=state))
    if state not in ACTIVITY_MACHINE.takes(type(event)):
        with pytest.raises(IllegalTransition):
            lifecycle.step(command, event, now=NOON, policy=Policy())


EVENT = EventId("cmd:connect")
CHANGES: tuple[CompletionChange, ...] = (
    CompletionExecuted(event=EVENT),
    CompletionFailed(event=EVENT, error="no"),
    CompletionRetried(event=EVENT),
    CompletionDiscarded(event=EVENT),
)


@pytest.mark.parametrize("state", CompletionState)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: type(change).__name__)
def test_what_happens_to_a_completion_event_is_an_arrow_or_refused(
    state: CompletionState, change: CompletionChange
) -> None:
    assert {type(each) for each in CHANGES} == set(get_args(CompletionChange))
    event = CompletionEvent(id=EVENT, kind=Completion.CONNECT_DEVICE, at=NOON, state=state)
    allowed = COMPLETION_MACHINE.targets(state, type(change))
    if not allowed:
        with pytest.raises(IllegalTransition, match=EVENT):
            step_completion(event, change)
        return
    moved = step_completion(event, change)
    assert {moved.state} == allowed
    assert moved.tries == (1 if isinstance(change, CompletionFailed) else 0)


def test_every_failure_reason_has_a_meaning_and_a_remedy() -> None:
    assert set(FailureReason) <= set(FAILURES)
    assert all(row.meaning for row in FAILURES.values())
    assert failure_row("NeverHeardOf").remedy is Remedy.ASK
    assert not failure_row("NeverHeardOf").idle


@pytest.mark.parametrize("reason", [FailureReason.NO_RESPONSE, FailureReason.COMMUNICATION_ERROR])
def test_a_meter_that_did_not_answer_may_have_acted(reason: FailureReason) -> None:
    assert not failure_row(reason).idle


def test_every_outcome_has_a_meaning() -> None:
    assert set(OUTCOMES) == set(Outcome)


_OPEN_FATE: tuple[
    tuple[str, CommunicationState, CommunicationEvent | OwnCommunicationEvent], ...
] = (
    ("unclear", CommunicationState.SENDING, SendUnclear(communication=ID, detail="")),
    ("unclear", CommunicationState.SENDING, DeadlinePassed()),
    ("timed_out", CommunicationState.AWAITING, DeadlinePassed()),
    (
        "token_forgotten",
        CommunicationState.AWAITING,
        AskFailed(communication=ID, detail="", fault=FORGOTTEN),
    ),
    (
        "token_conflict",
        CommunicationState.AWAITING,
        TokenReceived(communication=ID, token=token_of(ID, "another")),
    ),
    (
        "result_unknown",
        CommunicationState.FETCHING,
        OutcomeReceived(communication=ID, outcome=HeadEndOutcome(result=RemoteResult.UNKNOWN)),
    ),
)


def test_every_cause_that_leaves_the_fate_open_has_its_case() -> None:
    assert {cause for cause, _, _ in _OPEN_FATE} == FATE_UNKNOWN
    assert all(follows_for_switch_order(cause) is None for cause in FATE_UNKNOWN)


@for_every("case", _OPEN_FATE, ids=lambda case: case[0])
def test_a_switch_order_whose_fate_is_open_has_its_switch_looked_at(
    case: tuple[str, CommunicationState, CommunicationEvent | OwnCommunicationEvent],
) -> None:
    cause, state, event = case
    long_ago = NOON - GRACE
    order = replace(a_communication(state, Operation.DISCONNECT_METER), deadline=long_ago)
    moved = communication_steps.step(order, event, now=NOON, policy=Policy())
    assert moved.state is CommunicationState.UNCLEAR
    assert moved.failure is not None
    assert moved.failure.cause == cause


def test_no_failure_sends_a_switch_order_again_unless_it_proves_that_nothing_was_done() -> None:
    for cause, row in FAILURES.items():
        assert follows_for_switch_order(cause) is not Remedy.RETRY or row.idle
