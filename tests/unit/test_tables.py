"""The transition tables: every state and event is an arrow or refused; nothing leaves the end."""

from dataclasses import replace
from typing import get_args

import pytest

from adapter.commands import communication as communication_steps
from adapter.commands import lifecycle, transitions
from adapter.commands.activity import (
    FINAL,
    FINAL_COMMUNICATION,
    Communication,
    CommunicationState,
    State,
    StepKind,
    Work,
)
from adapter.commands.calls import FailureReason, HeadEndOutcome, RemoteResult
from adapter.commands.events import (
    ActivityEvent,
    Approved,
    AskFailed,
    CancelAnswered,
    CancelAsked,
    CommunicationEvent,
    DiscardAsked,
    Dispatched,
    OutcomeReceived,
    RetryAsked,
    SendFailed,
    SendRefused,
    SendUnclear,
    StatusNotified,
    TokenReceived,
)
from adapter.commands.failures import FAILURES, Remedy, failure_row
from adapter.commands.flows import Operation
from adapter.commands.timing import Policy
from adapter.errors import IllegalTransition
from adapter.model.ids import CommunicationId, EndpointId
from tests.unit.driving import NOON, PERMANENT_FAULT, a_command, a_status, token_of

ID = CommunicationId("cmd-1")
COMMUNICATION_EVENTS: tuple[CommunicationEvent, ...] = (
    Dispatched(communication=ID),
    TokenReceived(communication=ID, token=token_of(ID)),
    SendFailed(communication=ID, detail=""),
    SendRefused(communication=ID, fault=PERMANENT_FAULT),
    SendUnclear(communication=ID, detail=""),
    StatusNotified(communication=ID, status=a_status(ID)),
    OutcomeReceived(communication=ID, outcome=HeadEndOutcome(result=RemoteResult.SUCCESS)),
    AskFailed(communication=ID, detail=""),
    CancelAnswered(communication=ID),
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


@pytest.mark.parametrize("operation", [Operation.PING, Operation.DISCONNECT_METER])
@pytest.mark.parametrize("state", CommunicationState)
@pytest.mark.parametrize("event", COMMUNICATION_EVENTS, ids=lambda event: type(event).__name__)
def test_an_communication_event_is_an_arrow_or_refused(
    state: CommunicationState, event: CommunicationEvent, operation: Operation
) -> None:
    communication = a_communication(state, operation)
    allowed = communication_steps.TRANSITIONS.get((state, type(event)))
    never_sent = state is CommunicationState.QUEUED and isinstance(event, StatusNotified)
    if allowed is None or never_sent:
        with pytest.raises(IllegalTransition):
            communication_steps.step(communication, event, now=NOON, policy=Policy())
        return
    moved = communication_steps.step(communication, event, now=NOON, policy=Policy())
    assert moved.state in allowed
    assert moved.id == communication.id


@pytest.mark.parametrize("state", sorted(FINAL_COMMUNICATION))
def test_no_arrow_leads_out_of_a_final_communication_and_nothing_is_sent_from_it(
    state: CommunicationState,
) -> None:
    arrows = {e: to for (s, e), to in communication_steps.TRANSITIONS.items() if s is state}
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
    starts = {state for state, event in communication_steps.TRANSITIONS if event is Dispatched}
    assert starts == {CommunicationState.QUEUED}


def test_every_state_has_a_row_and_final_ones_are_empty() -> None:
    assert set(transitions.TRANSITIONS) == set(State)
    assert all(not transitions.TRANSITIONS[state] for state in FINAL)
    assert all(transitions.TRANSITIONS[state] for state in set(State) - FINAL)


def test_every_state_can_be_reached_and_can_reach_a_final_one() -> None:
    reached, front = {State.PENDING}, [State.PENDING]
    while front:
        for target in transitions.TRANSITIONS[front.pop()] - reached:
            reached.add(target)
            front.append(target)
    assert reached == set(State)
    ends = set(FINAL)
    while more := {s for s in State if s not in ends and transitions.TRANSITIONS[s] & ends}:
        ends |= more
    assert ends == set(State)


def test_every_event_about_the_command_says_where_it_is_taken() -> None:
    assert set(transitions.ACCEPTS) == set(get_args(ActivityEvent))


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize(
    "event",
    [Approved(by="b"), CancelAsked(by="b"), RetryAsked(by="b"), DiscardAsked(by="b")],
    ids=lambda event: type(event).__name__,
)
def test_what_people_ask_is_refused_where_the_table_has_no_place_for_it(
    state: State, event: ActivityEvent
) -> None:
    command = a_command()
    command = replace(command, activity=replace(command.activity, state=state))
    if state not in transitions.ACCEPTS[type(event)]:
        with pytest.raises(IllegalTransition):
            lifecycle.step(command, event, now=NOON, policy=Policy())


def test_every_failure_reason_has_a_meaning_and_a_remedy() -> None:
    assert set(FailureReason) <= set(FAILURES)
    assert all(row.meaning for row in FAILURES.values())
    assert failure_row("NeverHeardOf").remedy is Remedy.ASK
    assert not failure_row("NeverHeardOf").idle


@pytest.mark.parametrize("reason", [FailureReason.NO_RESPONSE, FailureReason.COMMUNICATION_ERROR])
def test_a_meter_that_did_not_answer_may_have_acted(reason: FailureReason) -> None:
    assert not failure_row(reason).idle
