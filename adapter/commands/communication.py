"""One communication with the head end: COMMUNICATION_MACHINE and step().

    queued ──dispatched──> sending ──token──> awaiting ──final status──> fetching ──> completed
       ^                      |  └──unclear, switch order──> unclear <──time-out, token forgotten
       └──not sent, busy──────┘                                 └──callback adopted──> awaiting

It follows one request from its queue to the head end's answer, or to where no answer can be had.
It may never be sent again while it may have been taken. A switch order whose fate is not known goes
to `unclear`, and leaves it only by news: of the head end, of the send itself, or of a look at the
switch; it is never withdrawn. Anything else that is unclear fails, and may be sent again under a
new communication. Answers that come when it is over are taken and move nothing.

Nothing final is believed unasked: a callback that tells an end makes the gateway ask for it, and
what the head end then answers counts. That it was canceled is asked of the status, all else of the
result. What the answer disproves is forgotten, so that a forged end hides no true one.
"""

from datetime import datetime, timedelta
from typing import Final, TypeAlias

from adapter.commands.activity import (
    FINAL_COMMUNICATION,
    Communication,
    CommunicationState,
    Failure,
    StepKind,
    Work,
)
from adapter.commands.calls import (
    FailureReason,
    HeadEndOutcome,
    RemoteResult,
    RemoteState,
    RequestStatus,
    SwitchState,
)
from adapter.commands.events import (
    AskFailed,
    CancelAnswered,
    CancelWanted,
    CommunicationEvent,
    CommunicationWithdrawn,
    DeadlinePassed,
    Dispatched,
    LookEnded,
    OutcomeReceived,
    OwnCommunicationEvent,
    SendFailed,
    SendRefused,
    SendUnclear,
    StatusNotified,
    TokenReceived,
)
from adapter.commands.flows import RESULT_OF, SWITCH_OPERATIONS
from adapter.commands.timing import Policy, after, backoff, next_poll, next_try
from adapter.errors import Fault, FaultClass, IllegalTransition
from adapter.model.ids import RequestToken
from adapter.model.state_machine import StateMachine
from adapter.model.values import replace_struct as replace

S = CommunicationState

GRACE: Final = timedelta(seconds=120)
"""How long after its deadline a communication is given up even if nobody could ask a last time."""

PROMPT_QUESTIONS: Final = 8
"""So many unanswered questions may follow the callbacks of one request at once; past them only the
schedule asks, whatever callbacks claim."""

CANCEL_TRIES: Final = 8
"""So many CancelRequests may go unanswered. Between two of them the status is looked at."""

_CLOCKS_APART: Final = timedelta(days=1)

_NOT_FINISHED: Final = "RequestNotFinishedFault"

_BOUNDED: Final = frozenset({StepKind.SETTLE, StepKind.READ})
"""Steps that the command goes on without: their sends are given up after the policy's tries."""

_TAKEN: Final = frozenset({S.AWAITING, S.FETCHING})

_IN_FLIGHT: Final = frozenset({S.AWAITING, S.FETCHING, S.UNCLEAR, S.FAILED, S.CANCELED})

_ANSWERS: Final[tuple[type[CommunicationEvent], ...]] = (
    TokenReceived,
    OutcomeReceived,
    SendFailed,
    SendRefused,
    SendUnclear,
    StatusNotified,
    AskFailed,
    CancelAnswered,
)

COMMUNICATION_MACHINE: Final[
    StateMachine[CommunicationState, CommunicationEvent | OwnCommunicationEvent]
] = StateMachine(
    name="communication",
    states=CommunicationState,
    start=S.QUEUED,
    final=FINAL_COMMUNICATION,
    arrows={
        (S.QUEUED, Dispatched): {S.SENDING},
        (S.QUEUED, StatusNotified): {S.AWAITING, S.FETCHING},
        (S.QUEUED, CancelWanted): {S.CANCELED},
        (S.QUEUED, CommunicationWithdrawn): {S.CANCELED},
        (S.QUEUED, DeadlinePassed): {S.FAILED},
        (S.SENDING, TokenReceived): {S.AWAITING},
        (S.SENDING, OutcomeReceived): {S.COMPLETED, S.CANCELED},
        (S.SENDING, SendFailed): {S.QUEUED, S.FAILED, S.CANCELED},
        (S.SENDING, SendRefused): {S.QUEUED, S.FAILED, S.CANCELED},
        (S.SENDING, SendUnclear): {S.UNCLEAR, S.FAILED},
        (S.SENDING, StatusNotified): {S.AWAITING, S.FETCHING},
        (S.SENDING, CancelWanted): {S.SENDING},
        (S.SENDING, CommunicationWithdrawn): {S.CANCELED},
        (S.SENDING, DeadlinePassed): {S.UNCLEAR, S.FAILED},
        (S.AWAITING, TokenReceived): {S.AWAITING, S.UNCLEAR, S.FAILED},
        (S.AWAITING, SendFailed): {S.AWAITING},
        (S.AWAITING, SendRefused): {S.AWAITING},
        (S.AWAITING, SendUnclear): {S.AWAITING},
        (S.AWAITING, StatusNotified): _IN_FLIGHT,
        (S.AWAITING, OutcomeReceived): _IN_FLIGHT | {S.COMPLETED},
        (S.AWAITING, AskFailed): _IN_FLIGHT,
        (S.AWAITING, CancelAnswered): {S.AWAITING},
        (S.AWAITING, CancelWanted): {S.AWAITING},
        (S.AWAITING, CommunicationWithdrawn): {S.CANCELED},
        (S.AWAITING, DeadlinePassed): {S.UNCLEAR, S.FAILED},
        (S.FETCHING, TokenReceived): {S.FETCHING, S.UNCLEAR, S.FAILED},
        (S.FETCHING, SendFailed): {S.FETCHING},
        (S.FETCHING, SendRefused): {S.FETCHING},
        (S.FETCHING, SendUnclear): {S.FETCHING},
        (S.FETCHING, StatusNotified): _IN_FLIGHT,
        (S.FETCHING, OutcomeReceived): _IN_FLIGHT | {S.COMPLETED},
        (S.FETCHING, AskFailed): _IN_FLIGHT,
        (S.FETCHING, CancelAnswered): {S.FETCHING},
        (S.FETCHING, CancelWanted): {S.FETCHING},
        (S.FETCHING, CommunicationWithdrawn): {S.CANCELED},
        (S.FETCHING, DeadlinePassed): {S.UNCLEAR, S.FAILED},
        (S.UNCLEAR, StatusNotified): {S.AWAITING, S.FETCHING, S.CANCELED, S.UNCLEAR},
        (S.UNCLEAR, TokenReceived): {S.AWAITING, S.UNCLEAR},
        (S.UNCLEAR, SendFailed): {S.UNCLEAR, S.QUEUED, S.CANCELED},
        (S.UNCLEAR, SendRefused): {S.UNCLEAR, S.QUEUED, S.FAILED, S.CANCELED},
        (S.UNCLEAR, SendUnclear): {S.UNCLEAR},
        (S.UNCLEAR, OutcomeReceived): {S.UNCLEAR, S.COMPLETED, S.CANCELED},
        (S.UNCLEAR, AskFailed): {S.UNCLEAR},
        (S.UNCLEAR, CancelAnswered): {S.UNCLEAR},
        (S.UNCLEAR, LookEnded): {S.UNCLEAR, S.COMPLETED, S.UNRESOLVED},
        **{(end, event): {end} for end in sorted(FINAL_COMMUNICATION) for event in _ANSWERS},
    },
)

Moved: TypeAlias = tuple[CommunicationState, Communication]
"""Where an event leads, and what else it changes; the machine judges before the state is set."""


def step(
    communication: Communication,
    event: CommunicationEvent | OwnCommunicationEvent,
    *,
    now: datetime,
    policy: Policy,
) -> Communication:
    """Apply one event. Raises IllegalTransition, and changes nothing, where there is no arrow."""
    before, of = communication.state, f"communication {communication.id}"
    COMMUNICATION_MACHINE.expect(before, type(event), of=of)
    if before is S.QUEUED and isinstance(event, StatusNotified) and not communication.sent_at:
        raise IllegalTransition(f"{communication.id} has not been sent")
    to, changed = _apply(communication, event, now, policy)
    COMMUNICATION_MACHINE.check(before, type(event), to, of=of)
    return replace(changed, state=to)


def _apply(
    communication: Communication,
    event: CommunicationEvent | OwnCommunicationEvent,
    now: datetime,
    policy: Policy,
) -> Moved:
    if communication.state.final:
        return _too_late(communication, event)
    match event:  # the most frequent ones first
        case StatusNotified(status=status, polled=polled):
            return _take_status(communication, status, polled, now, policy)
        case Dispatched(trace=trace):
            return _sending(communication, trace, now, policy)
        case TokenReceived(token=token):
            return _take_token(communication, token, now, policy)
        case OutcomeReceived(outcome=outcome):
            return _take_outcome(communication, outcome, now, policy)
        case SendFailed() | SendRefused() | SendUnclear() if not _reply_counts(communication):
            return _stay(communication)
        case SendFailed(detail=detail, for_good=True) if communication.state is S.SENDING:
            return _unwritable(communication, detail)
        case SendFailed(detail=detail):
            return _not_taken(communication, "not_sent", detail, now, policy)
        case SendRefused(fault=fault):
            return _refused(communication, fault, now, policy)
        case SendUnclear() if communication.state is S.UNCLEAR:
            return _stay(communication)
        case SendUnclear(detail=detail):
            return unclear(communication, Failure(cause="unclear", detail=detail), now, policy)
        case AskFailed() if communication.work is Work.CANCEL:
            return _cancel_again(communication, event, now, policy)
        case AskFailed(detail=detail, fault=fault):
            return _ask_again(communication, detail, fault, now, policy)
        case CancelAnswered():
            return _cancel_answered(communication, now)
        case CommunicationWithdrawn(why=why):
            return _withdraw(communication, why)
        case CancelWanted():
            return _want_cancel(communication, now)
        case DeadlinePassed():
            return _time_out(communication, now, policy)
        case LookEnded(done=done):
            return switch_read_back(communication, done, now, policy)


def _stay(communication: Communication) -> Moved:
    return communication.state, communication


def _sending(communication: Communication, trace: str, now: datetime, policy: Policy) -> Moved:
    wake = after(now, policy.send_s)
    return S.SENDING, replace(
        communication, work=Work.NONE, wake=wake, sent_at=now, failure=None, trace=trace
    )


def _too_late(
    communication: Communication, event: CommunicationEvent | OwnCommunicationEvent
) -> Moved:
    """An answer to a communication that is over: a token is kept, as evidence and for callbacks."""
    if isinstance(event, TokenReceived) and communication.token is None:
        return _stay(replace(communication, token=event.token))
    return _stay(communication)


def _reply_counts(communication: Communication) -> bool:
    """Whether a reply without a token still tells something.

    Not once a callback has overtaken it and proved the request taken. A send that was given up as
    unclear while it was under way can still prove that it did nothing.
    """
    if communication.state is S.UNCLEAR:
        unheard = communication.failure is not None and communication.failure.cause == "unclear"
        return unheard and communication.token is None
    return communication.state is S.SENDING


def _cancel_answered(communication: Communication, now: datetime) -> Moved:
    told = replace(communication, cancel_wanted=False)
    if communication.state is S.AWAITING:
        return _stay(replace(told, work=Work.STATUS, wake=now))
    return _stay(told)


def unclear(communication: Communication, failure: Failure, now: datetime, policy: Policy) -> Moved:
    """The fate of a request that was or may have been taken cannot be followed any more.

    A connect or disconnect goes to UNCLEAR, where it is listened for and its switch is looked at;
    it is not sent again. Anything else fails, and may be sent again by its row of FAILURES.
    """
    if communication.operation not in SWITCH_OPERATIONS:
        return _fail(communication, failure)
    wake = after(now, policy.settle_s)
    return S.UNCLEAR, replace(
        communication, work=Work.NONE, wake=wake, deadline=None, failure=failure
    )


def _fail(communication: Communication, failure: Failure) -> Moved:
    return S.FAILED, replace(communication, work=Work.NONE, wake=None, failure=failure)


def _withdraw(communication: Communication, failure: Failure | None = None) -> Moved:
    """End a communication that has not been sent, or whose answer is no longer wanted."""
    why = communication.failure or failure
    return S.CANCELED, replace(communication, work=Work.NONE, wake=None, failure=why)


def _want_cancel(communication: Communication, now: datetime) -> Moved:
    """Ask the head end to cancel: at once where the token is known, else when it comes."""
    if communication.state is S.QUEUED:
        return _withdraw(communication)
    wanted = replace(communication, cancel_wanted=True)
    if communication.state is S.AWAITING:
        return _stay(replace(wanted, work=Work.CANCEL, wake=now))
    return _stay(wanted)


def due_at(communication: Communication) -> datetime | None:
    """When time alone moves this communication, whatever the head end does or may still hear."""
    state, deadline = communication.state, communication.deadline
    if state in _TAKEN:
        return None if deadline is None else deadline + GRACE
    if state in FINAL_COMMUNICATION:
        return None
    return deadline if state is S.QUEUED else communication.wake


def overdue(communication: Communication, now: datetime) -> bool:
    """Whether DeadlinePassed is true of it. What is unclear has a look at the switch instead."""
    due = due_at(communication)
    return due is not None and due <= now and communication.state is not S.UNCLEAR


def _time_out(communication: Communication, now: datetime, policy: Policy) -> Moved:
    """Raises IllegalTransition before its time: timers may fire early after a clock change."""
    if not overdue(communication, now):
        raise IllegalTransition(f"communication {communication.id} is not due")
    match communication.state:
        case S.QUEUED:
            unsent = Failure(cause="not_sent", detail="could not be sent in time")
            return _fail(communication, unsent)
        case S.SENDING:
            cut = Failure(cause="unclear", detail="the send was interrupted")
            return unclear(communication, cut, now, policy)
        case _:
            unasked = Failure(cause="timed_out", detail="the head end could not be asked")
            return unclear(communication, unasked, now, policy)


def switch_read_back(
    communication: Communication, done: bool, now: datetime, policy: Policy
) -> Moved:
    """What a look at the switch tells of an unclear order; at last it is left to people."""
    if done:
        return S.COMPLETED, replace(communication, wake=None, inferred=True, acted_at=now)
    if communication.looks >= policy.settle_looks:
        return S.UNRESOLVED, replace(communication, wake=None)
    return _stay(replace(communication, wake=after(now, policy.settle_s)))


def _await(communication: Communication, now: datetime, policy: Policy) -> Moved:
    cancel = communication.cancel_wanted
    return S.AWAITING, replace(
        communication,
        work=Work.CANCEL if cancel else Work.STATUS,
        wake=now if cancel else next_poll(policy, 0, now=now),
        deadline=communication.deadline or after(now, policy.reply_s),
        asked=0,
        failure=None,
    )


def _take_token(
    communication: Communication, token: RequestToken, now: datetime, policy: Policy
) -> Moved:
    if communication.token is None:
        return _await(replace(communication, token=token), now, policy)
    if communication.token == token:
        return _stay(communication)
    conflict = Failure(cause="token_conflict", detail=f"{communication.token} and {token}")
    return unclear(communication, conflict, now, policy)


def _take_status(
    communication: Communication, status: RequestStatus, polled: bool, now: datetime, policy: Policy
) -> Moved:
    """A status moves forward only; what was learned later stays learned (I11)."""
    asked = communication.asked + 1 if polled else communication.asked
    if communication.token is not None and status.token != communication.token:
        if polled:
            return _ask_again(communication, "a status of another request", None, now, policy)
        raise IllegalTransition(f"{communication.id} has another token than {status.token}")
    if communication.state is S.FETCHING:
        return _told_again(replace(communication, asked=asked), status, now)
    if communication.state is S.UNCLEAR and not _adopts(communication, status, polled):
        return _stay(communication)
    noted = replace(communication, token=communication.token or status.token, asked=asked)
    if status.state is RemoteState.COMPLETED:
        return _take_end(noted, status, polled, now, policy)
    noted = replace(noted, status=status)
    if communication.state is not S.AWAITING:
        return _await(noted, now, policy)
    return _poll_later(noted, now, policy) if polled else _stay(noted)


def _take_end(
    communication: Communication, status: RequestStatus, polled: bool, now: datetime, policy: Policy
) -> Moved:
    """The head end is said to be done: ask for the result, or whether it was canceled indeed."""
    canceled = status.result is RemoteResult.CANCELED
    prompt = communication.asked < PROMPT_QUESTIONS
    if not polled and (canceled or not prompt):
        return _ask_for_status(communication, prompt, now, policy)
    acted_at = _plausible(communication, status.finished_at, now)
    noted = replace(communication, status=status, acted_at=acted_at, failure=None)
    if canceled:
        return _withdraw(noted, Failure(cause="canceled_there", detail="its status is Canceled"))
    deadline = communication.deadline or after(now, policy.reply_s)
    return S.FETCHING, replace(noted, work=Work.RESULT, wake=now, deadline=deadline)


def _told_again(communication: Communication, status: RequestStatus, now: datetime) -> Moved:
    """An end told while the result is asked for: at once where the one before was disproved."""
    if status.state is not RemoteState.COMPLETED or communication.status is not None:
        return _stay(communication)
    prompt = communication.asked < PROMPT_QUESTIONS
    wake = now if prompt else communication.wake
    if status.result is RemoteResult.CANCELED:
        return _stay(replace(communication, wake=wake))
    acted_at = _plausible(communication, status.finished_at, now)
    return _stay(replace(communication, status=status, acted_at=acted_at, wake=wake))


def _ask_for_status(
    communication: Communication, prompt: bool, now: datetime, policy: Policy
) -> Moved:
    """A callback's word alone: the request is followed, and its status asked for."""
    waits = communication.state is S.AWAITING
    followed = communication if waits else _await(communication, now, policy)[1]
    return S.AWAITING, replace(followed, wake=now if prompt else followed.wake)


def _disproved(communication: Communication) -> Communication:
    """It is not over, whatever was told of it: the true end is still to be heard of."""
    return replace(communication, status=None, acted_at=None)


def _plausible(
    communication: Communication, finished: datetime | None, now: datetime
) -> datetime | None:
    """The time the head end says it was done, unless its clock is more than a day off: nobody is
    recorded as dark since the last century, or from the year 9999 on."""
    if finished is None or communication.sent_at is None:
        return None
    near = communication.sent_at - _CLOCKS_APART <= finished <= now + _CLOCKS_APART
    return finished if near else None


def _adopts(communication: Communication, status: RequestStatus, polled: bool) -> bool:
    """Whether a status brings an unclear order back among those whose fate is followed.

    Not where two tokens claim it. A poll that was under way when its time ran out does so only
    with a final status, else asking could go on for ever.
    """
    return not conflicted(communication) and (not polled or status.state is RemoteState.COMPLETED)


def conflicted(communication: Communication) -> bool:
    """Whether two tokens claim this communication, so that neither is trusted any more."""
    return communication.failure is not None and communication.failure.cause == "token_conflict"


def _poll_later(communication: Communication, now: datetime, policy: Policy) -> Moved:
    if communication.deadline is not None and now >= communication.deadline:
        return unclear(communication, Failure(cause="timed_out"), now, policy)
    if communication.cancel_wanted and not communication.cancels:  # wanted during the poll
        return S.AWAITING, replace(communication, work=Work.CANCEL, wake=now)
    work = Work.CANCEL if communication.cancel_wanted else Work.STATUS
    wake = _next_question(communication, now, policy)
    return S.AWAITING, replace(communication, work=work, wake=wake)


def _next_question(communication: Communication, now: datetime, policy: Policy) -> datetime:
    due = next_poll(policy, communication.asked, now=now)
    return due if communication.deadline is None else min(due, communication.deadline)


def _take_outcome(
    communication: Communication, outcome: HeadEndOutcome, now: datetime, policy: Policy
) -> Moved:
    if communication.token and outcome.token and outcome.token != communication.token:
        return _ask_again(communication, "a result of another request", None, now, policy)
    if conflicted(communication):
        return _stay(communication)
    pending = outcome.result is RemoteResult.PENDING and communication.operation in RESULT_OF
    if pending:
        if communication.state is S.UNCLEAR:
            return _stay(communication)
        asked = replace(communication, asked=communication.asked + 1)
        return _poll_later(_disproved(asked), now, policy)
    if communication.operation in SWITCH_OPERATIONS and _contradicts_itself(communication, outcome):
        unsure = Failure(cause="result_unknown", detail="the result contradicts itself")
        return unclear(communication, unsure, now, policy)
    single = _own_failure(communication, outcome)
    if single is None and len(communication.endpoints) == 1:
        if outcome.result is RemoteResult.CANCELED:
            canceled = Failure(cause="canceled_there", detail="the result is Canceled")
            return _withdraw(replace(communication, failure=canceled))
        if outcome.result is RemoteResult.UNKNOWN and communication.operation in SWITCH_OPERATIONS:
            unknown = Failure(cause="result_unknown")
            return unclear(communication, unknown, now, policy)
    return S.COMPLETED, replace(
        communication,
        work=Work.NONE,
        wake=None,
        failure=None,
        result=outcome.result,
        endpoint_failure=single,
        switch=_own_switch(communication, outcome),
        voltage_present=outcome.voltage_present,
        acted_at=communication.acted_at or now,
    )


def _contradicts_itself(communication: Communication, outcome: HeadEndOutcome) -> bool:
    """A failure beside a success, or of none but other meters: whether this one moved is open."""
    named = any(item.endpoint == communication.endpoints[0] for item in outcome.failures)
    return bool(outcome.failures) and (outcome.result is RemoteResult.SUCCESS or not named)


def _own_failure(communication: Communication, outcome: HeadEndOutcome) -> FailureReason | None:
    """Why the one endpoint of a request failed. A failure in another name counts as well: a
    request for one meter has no other, and success must not be read into doubt."""
    if len(communication.endpoints) != 1 or not outcome.failures:
        return None
    own = (x.reason for x in outcome.failures if x.endpoint == communication.endpoints[0])
    return next(own, outcome.failures[0].reason)


def _own_switch(communication: Communication, outcome: HeadEndOutcome) -> SwitchState | None:
    """The switch state of the one endpoint asked for, if the head end stands by its answer.

    Another meter's state tells nothing.
    """
    if len(communication.endpoints) != 1 or outcome.result is not RemoteResult.SUCCESS:
        return None
    own = (x.state for x in outcome.switches if x.endpoint == communication.endpoints[0])
    return next(own, None)


def _not_taken(
    communication: Communication, cause: str, detail: str, now: datetime, policy: Policy
) -> Moved:
    """Send it again later: it provably did nothing. Until the command expires, but a look and a
    read on the way have their tries, so that neither holds up what comes after it."""
    if communication.cancel_wanted:
        return _withdraw(communication)
    tries = communication.tries + 1
    when = next_try if communication.step in _BOUNDED else backoff
    again = when(policy.retry, tries, now=now)
    failure = Failure(cause=cause, detail=detail)
    if again is None:
        return _fail(replace(communication, tries=tries), failure)
    return S.QUEUED, replace(
        communication, work=Work.SEND, wake=again, tries=tries, failure=failure
    )


def _unwritable(communication: Communication, detail: str) -> Moved:
    if communication.cancel_wanted:
        return _withdraw(communication)
    return _fail(communication, Failure(cause="unwritable", detail=detail))


def _refused(communication: Communication, fault: Fault, now: datetime, policy: Policy) -> Moved:
    detail = f"{fault.name}: {fault.message}" if fault.name else fault.message
    if fault.klass is FaultClass.RETRY:
        return _not_taken(communication, "busy", detail, now, policy)
    if communication.cancel_wanted:
        return _withdraw(communication)
    return _fail(communication, Failure(cause="refused", detail=detail))


def _ask_again(
    communication: Communication, detail: str, fault: Fault | None, now: datetime, policy: Policy
) -> Moved:
    """A question without a usable answer: ask again, until the deadline."""
    if communication.state is S.UNCLEAR:
        return _stay(communication)
    asked = replace(communication, asked=communication.asked + 1)
    if fault is not None and fault.name == "RequestNotFoundFault":
        forgotten = Failure(cause="token_forgotten", detail=detail)
        return unclear(asked, forgotten, now, policy)
    if fault is not None and fault.name == _NOT_FINISHED:
        asked = _disproved(asked)
    if communication.deadline is not None and now >= communication.deadline:
        late = Failure(cause="timed_out", detail=detail)
        return unclear(asked, late, now, policy)
    final_no = fault is not None and fault.named and fault.klass is FaultClass.PERMANENT
    if final_no and communication.state is S.FETCHING:
        refused = Failure(cause="refused", detail=detail)
        return unclear(asked, refused, now, policy)
    work = Work.RESULT if communication.state is S.FETCHING else Work.STATUS
    if asked.cancel_wanted and not asked.cancels and communication.state is S.AWAITING:
        work = Work.CANCEL
    return _stay(replace(asked, work=work, wake=_next_question(asked, now, policy)))


def _cancel_again(
    communication: Communication, event: AskFailed, now: datetime, policy: Policy
) -> Moved:
    """A CancelRequest without a usable answer. Where it may have been taken, the status tells."""
    fault = event.fault
    late = communication.deadline is not None and now >= communication.deadline
    if fault is not None and fault.name == "RequestNotFoundFault":
        return _ask_again(communication, event.detail, fault, now, policy)
    if not late and (event.unsent or (fault is not None and fault.klass is FaultClass.RETRY)):
        asked = replace(communication, asked=communication.asked + 1)
        return _stay(replace(asked, wake=_next_question(asked, now, policy)))
    cancels = communication.cancels + 1
    refused = fault is not None and fault.named and fault.klass is FaultClass.PERMANENT
    wanted = cancels < CANCEL_TRIES and not refused and not late
    looked_at = replace(communication, work=Work.STATUS, wake=now)
    return _stay(replace(looked_at, cancels=cancels, cancel_wanted=wanted))
