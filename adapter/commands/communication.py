"""One exchange with the head end: TRANSITIONS and step().

    queued ──dispatched──> sending ──token──> awaiting ──final status──> fetching ──> completed
       ^                      |  └──unclear, switch order──> unclear <──time-out, token forgotten
       └──not sent, busy──────┘                                 └──callback adopted──> awaiting

A switch order whose fate is not known goes to `unclear` and is never sent again from there.
Anything else that is unclear fails and may be sent again under a new exchange (SAFETY policy).
Answers that come when the exchange is over are taken and move nothing; only sending is refused.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from adapter.commands.activity import (
    FINAL_EXCHANGE,
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
    CommunicationEvent,
    Dispatched,
    OutcomeReceived,
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

S = CommunicationState

GRACE_S: Final = 120.0
"""How long after its deadline an exchange is given up even if nobody could ask a last time."""

_CLOCKS_APART: Final = timedelta(days=1)

_BOUNDED: Final = frozenset({StepKind.SETTLE, StepKind.READ})
"""Steps that the command goes on without: their sends are given up after the policy's tries."""

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

Arrow = tuple[CommunicationState, type[CommunicationEvent]]
# fmt: off
TRANSITIONS: Final[Mapping[Arrow, frozenset[CommunicationState]]] = MappingProxyType({
    (S.QUEUED,   Dispatched):      frozenset({S.SENDING}),
    (S.QUEUED,   StatusNotified):  frozenset({S.AWAITING, S.FETCHING, S.CANCELED}),
    (S.SENDING,  TokenReceived):   frozenset({S.AWAITING}),
    (S.SENDING,  OutcomeReceived): frozenset({S.COMPLETED, S.CANCELED}),
    (S.SENDING,  SendFailed):      frozenset({S.QUEUED, S.FAILED, S.CANCELED}),
    (S.SENDING,  SendRefused):     frozenset({S.QUEUED, S.FAILED, S.CANCELED}),
    (S.SENDING,  SendUnclear):     frozenset({S.UNCLEAR, S.FAILED}),
    (S.SENDING,  StatusNotified):  frozenset({S.AWAITING, S.FETCHING, S.CANCELED}),
    (S.AWAITING, TokenReceived):   frozenset({S.AWAITING, S.UNCLEAR, S.FAILED}),
    (S.AWAITING, SendFailed):      frozenset({S.AWAITING}),
    (S.AWAITING, SendRefused):     frozenset({S.AWAITING}),
    (S.AWAITING, SendUnclear):     frozenset({S.AWAITING}),
    (S.AWAITING, StatusNotified):  _IN_FLIGHT,
    (S.AWAITING, OutcomeReceived): _IN_FLIGHT | {S.COMPLETED},
    (S.AWAITING, AskFailed):       _IN_FLIGHT,
    (S.AWAITING, CancelAnswered):  frozenset({S.AWAITING}),
    (S.FETCHING, TokenReceived):   frozenset({S.FETCHING, S.UNCLEAR, S.FAILED}),
    (S.FETCHING, SendFailed):      frozenset({S.FETCHING}),
    (S.FETCHING, SendRefused):     frozenset({S.FETCHING}),
    (S.FETCHING, SendUnclear):     frozenset({S.FETCHING}),
    (S.FETCHING, StatusNotified):  _IN_FLIGHT,
    (S.FETCHING, OutcomeReceived): _IN_FLIGHT | {S.COMPLETED},
    (S.FETCHING, AskFailed):       _IN_FLIGHT,
    (S.FETCHING, CancelAnswered):  frozenset({S.FETCHING}),
    (S.UNCLEAR,  StatusNotified):  frozenset({S.AWAITING, S.FETCHING, S.CANCELED, S.UNCLEAR}),
    (S.UNCLEAR,  TokenReceived):   frozenset({S.AWAITING, S.UNCLEAR}),
    (S.UNCLEAR,  SendFailed):      frozenset({S.UNCLEAR, S.QUEUED, S.CANCELED}),
    (S.UNCLEAR,  SendRefused):     frozenset({S.UNCLEAR, S.QUEUED, S.FAILED, S.CANCELED}),
    (S.UNCLEAR,  SendUnclear):     frozenset({S.UNCLEAR}),
    (S.UNCLEAR,  OutcomeReceived): frozenset({S.UNCLEAR, S.COMPLETED, S.CANCELED}),
    (S.UNCLEAR,  AskFailed):       frozenset({S.UNCLEAR}),
    (S.UNCLEAR,  CancelAnswered):  frozenset({S.UNCLEAR}),
    **{(end, event): frozenset({end}) for end in sorted(FINAL_EXCHANGE) for event in _ANSWERS},
})
# fmt: on


def step(
    exchange: Communication, event: CommunicationEvent, *, now: datetime, policy: Policy
) -> Communication:
    """Apply one event. Raises IllegalTransition, and changes nothing, where there is no arrow."""
    allowed = TRANSITIONS.get((exchange.state, type(event)))
    if allowed is None:
        raise IllegalTransition(f"{type(event).__name__} in {exchange.state} of {exchange.id}")
    if exchange.state is S.QUEUED and isinstance(event, StatusNotified) and not exchange.sent_at:
        raise IllegalTransition(f"{exchange.id} has not been sent")
    moved = _apply(exchange, event, now, policy)
    if moved.state not in allowed:
        raise IllegalTransition(f"{exchange.state} to {moved.state} by {type(event).__name__}")
    return moved


def _apply(
    exchange: Communication, event: CommunicationEvent, now: datetime, policy: Policy
) -> Communication:
    if exchange.state.final:
        return _too_late(exchange, event)
    match event:
        case Dispatched():
            return replace(
                exchange,
                state=S.SENDING,
                work=Work.NONE,
                wake=after(now, policy.send_s),
                sent_at=now,
                failure=None,
            )
        case TokenReceived(token=token):
            return _take_token(exchange, token, now, policy)
        case OutcomeReceived(outcome=outcome):
            return _take_outcome(exchange, outcome, now, policy)
        case StatusNotified(status=status, polled=polled):
            return _take_status(exchange, status, polled, now, policy)
        case SendFailed() | SendRefused() | SendUnclear() if not _reply_counts(exchange):
            return exchange
        case SendFailed(detail=detail):
            return _not_taken(exchange, "not_sent", detail, now, policy)
        case SendRefused(fault=fault):
            return _refused(exchange, fault, now, policy)
        case SendUnclear() if exchange.state is S.UNCLEAR:
            return exchange
        case SendUnclear(detail=detail):
            return lose(exchange, Failure(cause="unclear", detail=detail), now=now, policy=policy)
        case AskFailed(detail=detail, fault=fault):
            return _ask_again(exchange, detail, fault, now, policy)
        case CancelAnswered():
            return _cancel_answered(exchange, now)


def _too_late(exchange: Communication, event: CommunicationEvent) -> Communication:
    """An answer to an exchange that is over: a token is kept, as evidence and for callbacks."""
    if isinstance(event, TokenReceived) and exchange.token is None:
        return replace(exchange, token=event.token)
    return exchange


def _reply_counts(exchange: Communication) -> bool:
    """Whether a reply without a token still tells something.

    Not once a callback has overtaken it and proved the request taken. A send that was given up as
    unclear while it was under way can still prove that it did nothing.
    """
    if exchange.state is S.UNCLEAR:
        unclear = exchange.failure is not None and exchange.failure.cause == "unclear"
        return unclear and exchange.token is None
    return exchange.state is S.SENDING


def _cancel_answered(exchange: Communication, now: datetime) -> Communication:
    told = replace(exchange, cancel_wanted=False)
    if exchange.state is S.AWAITING:
        return replace(told, work=Work.STATUS, wake=now)
    return told


def lose(
    exchange: Communication, failure: Failure, *, now: datetime, policy: Policy
) -> Communication:
    """The fate of a request that was or may have been taken cannot be followed any more."""
    if exchange.operation in SWITCH_OPERATIONS:
        return replace(
            exchange,
            state=S.UNCLEAR,
            work=Work.NONE,
            wake=after(now, policy.settle_s),
            deadline=None,
            failure=failure,
        )
    return fail(exchange, failure)


def fail(exchange: Communication, failure: Failure) -> Communication:
    return replace(exchange, state=S.FAILED, work=Work.NONE, wake=None, failure=failure)


def withdraw(exchange: Communication, failure: Failure | None = None) -> Communication:
    """End an exchange that has not been sent, or whose answer is no longer wanted."""
    why = exchange.failure or failure
    return replace(exchange, state=S.CANCELED, work=Work.NONE, wake=None, failure=why)


def want_cancel(exchange: Communication, *, now: datetime) -> Communication:
    """Ask the head end to cancel: at once where the token is known, else when it comes."""
    if exchange.state is S.QUEUED:
        return withdraw(exchange)
    if exchange.state is S.AWAITING:
        return replace(exchange, cancel_wanted=True, work=Work.CANCEL, wake=now)
    return replace(exchange, cancel_wanted=True)


def due_at(exchange: Communication) -> datetime | None:
    """When time alone moves this exchange, whatever the head end does or is allowed to hear."""
    match exchange.state:
        case S.SENDING | S.UNCLEAR:
            return exchange.wake
        case S.QUEUED:
            return exchange.deadline
        case S.AWAITING | S.FETCHING if exchange.deadline is not None:
            return after(exchange.deadline, GRACE_S)
        case _:
            return None


def overdue(exchange: Communication, *, now: datetime, policy: Policy) -> Communication:
    """What a deadline does to an exchange that waits for its answer, if it has passed."""
    due = due_at(exchange)
    if due is None or due > now:
        return exchange
    match exchange.state:
        case S.SENDING:
            failure = Failure(cause="unclear", detail="the send was interrupted")
            return lose(exchange, failure, now=now, policy=policy)
        case S.QUEUED:
            return fail(exchange, Failure(cause="not_sent", detail="could not be sent in time"))
        case S.AWAITING | S.FETCHING:
            failure = Failure(cause="timed_out", detail="the head end could not be asked")
            return lose(exchange, failure, now=now, policy=policy)
        case _:
            return exchange


def _await(exchange: Communication, now: datetime, policy: Policy) -> Communication:
    cancel = exchange.cancel_wanted
    return replace(
        exchange,
        state=S.AWAITING,
        work=Work.CANCEL if cancel else Work.STATUS,
        wake=now if cancel else next_poll(policy, 0, now=now),
        deadline=exchange.deadline or after(now, policy.reply_s),
        asked=0,
        failure=None,
    )


def _take_token(
    exchange: Communication, token: RequestToken, now: datetime, policy: Policy
) -> Communication:
    if exchange.token is None:
        return _await(replace(exchange, token=token), now, policy)
    if exchange.token == token:
        return exchange
    conflict = Failure(cause="token_conflict", detail=f"{exchange.token} and {token}")
    return lose(exchange, conflict, now=now, policy=policy)


def _take_status(
    exchange: Communication, status: RequestStatus, polled: bool, now: datetime, policy: Policy
) -> Communication:
    """A status moves forward only; what was learned later stays learned (I11)."""
    asked = exchange.asked + 1 if polled else exchange.asked
    if exchange.token is not None and status.token != exchange.token:
        if polled:
            return _ask_again(exchange, "a status of another request", None, now, policy)
        raise IllegalTransition(f"{exchange.id} has another token than {status.token}")
    if exchange.state is S.FETCHING:
        return replace(exchange, asked=asked)
    if exchange.state is S.UNCLEAR and not _adopts(exchange, status, polled):
        return exchange
    noted = replace(exchange, token=exchange.token or status.token, asked=asked)
    if status.state is RemoteState.COMPLETED:
        acted_at = _plausible(exchange, status.finished_at, now)
        noted = replace(noted, status=status, acted_at=acted_at, failure=None)
        if status.result is RemoteResult.CANCELED:
            canceled = Failure(cause="canceled_there", detail="the head end reports Canceled")
            return replace(withdraw(noted), failure=canceled)
        deadline = exchange.deadline or after(now, policy.reply_s)
        return replace(noted, state=S.FETCHING, work=Work.RESULT, wake=now, deadline=deadline)
    if exchange.state is not S.AWAITING:
        return replace(_await(noted, now, policy), status=status)
    if polled:
        return _poll_later(replace(noted, status=status), now, policy)
    return replace(noted, status=status)


def _plausible(
    exchange: Communication, finished: datetime | None, now: datetime
) -> datetime | None:
    """The time the head end says it was done, unless its clock is more than a day off: nobody is
    recorded as dark since the last century, or from the year 9999 on."""
    if finished is None or exchange.sent_at is None:
        return None
    near = exchange.sent_at - _CLOCKS_APART <= finished <= now + _CLOCKS_APART
    return finished if near else None


def _adopts(exchange: Communication, status: RequestStatus, polled: bool) -> bool:
    """Whether a status brings an unclear order back among those whose fate is followed.

    Not where two tokens claim it. A poll that was under way when its time ran out does so only
    with a final status, else asking could go on for ever.
    """
    return not conflicted(exchange) and (not polled or status.state is RemoteState.COMPLETED)


def conflicted(exchange: Communication) -> bool:
    """Whether two tokens claim this exchange, so that neither is trusted any more."""
    return exchange.failure is not None and exchange.failure.cause == "token_conflict"


def _poll_later(exchange: Communication, now: datetime, policy: Policy) -> Communication:
    if exchange.deadline is not None and now >= exchange.deadline:
        return lose(exchange, Failure(cause="timed_out"), now=now, policy=policy)
    if exchange.cancel_wanted:  # asked for while the poll was under way: not to be forgotten
        return replace(exchange, state=S.AWAITING, work=Work.CANCEL, wake=now)
    due = next_poll(policy, exchange.asked, now=now)
    if exchange.deadline is not None:
        due = min(due, exchange.deadline)
    return replace(exchange, state=S.AWAITING, work=Work.STATUS, wake=due)


def _take_outcome(
    exchange: Communication, outcome: HeadEndOutcome, now: datetime, policy: Policy
) -> Communication:
    if exchange.token and outcome.token and outcome.token != exchange.token:
        return _ask_again(exchange, "a result of another request", None, now, policy)
    if conflicted(exchange):
        return exchange
    pending = outcome.result is RemoteResult.PENDING and exchange.operation in RESULT_OF
    if pending:
        unclear = exchange.state is S.UNCLEAR
        return exchange if unclear else _poll_later(exchange, now, policy)
    if exchange.operation in SWITCH_OPERATIONS and _contradicts_itself(exchange, outcome):
        unsure = Failure(cause="result_unknown", detail="the result contradicts itself")
        return lose(exchange, unsure, now=now, policy=policy)
    single = _own_failure(exchange, outcome)
    if single is None and len(exchange.endpoints) == 1:
        if outcome.result is RemoteResult.CANCELED:
            canceled = Failure(cause="canceled_there", detail="the result is Canceled")
            return withdraw(replace(exchange, failure=canceled))
        if outcome.result is RemoteResult.UNKNOWN and exchange.operation in SWITCH_OPERATIONS:
            unknown = Failure(cause="result_unknown")
            return lose(exchange, unknown, now=now, policy=policy)
    return replace(
        exchange,
        state=S.COMPLETED,
        work=Work.NONE,
        wake=None,
        failure=None,
        result=outcome.result,
        endpoint_failure=single,
        switch=_own_switch(exchange, outcome),
        voltage_present=outcome.voltage_present,
        acted_at=exchange.acted_at or now,
    )


def _contradicts_itself(exchange: Communication, outcome: HeadEndOutcome) -> bool:
    """A failure beside a success, or of none but other meters: whether this one moved is open."""
    named = any(item.endpoint == exchange.endpoints[0] for item in outcome.failures)
    return bool(outcome.failures) and (outcome.result is RemoteResult.SUCCESS or not named)


def _own_failure(exchange: Communication, outcome: HeadEndOutcome) -> FailureReason | None:
    """Why the one endpoint of a request failed. A failure in another name counts as well: a
    request for one meter has no other, and success must not be read into doubt."""
    if len(exchange.endpoints) != 1 or not outcome.failures:
        return None
    own = (x.reason for x in outcome.failures if x.endpoint == exchange.endpoints[0])
    return next(own, outcome.failures[0].reason)


def _own_switch(exchange: Communication, outcome: HeadEndOutcome) -> SwitchState | None:
    """The switch state of the one endpoint asked for, if the head end stands by its answer.

    Another meter's state tells nothing.
    """
    if len(exchange.endpoints) != 1 or outcome.result is not RemoteResult.SUCCESS:
        return None
    own = (x.state for x in outcome.switches if x.endpoint == exchange.endpoints[0])
    return next(own, None)


def _not_taken(
    exchange: Communication, cause: str, detail: str, now: datetime, policy: Policy
) -> Communication:
    """Send it again later: it provably did nothing. Until the command expires, but a look and a
    read on the way have their tries, so that neither holds up what comes after it."""
    if exchange.cancel_wanted:
        return withdraw(exchange)
    tries = exchange.tries + 1
    when = next_try if exchange.step in _BOUNDED else backoff
    again = when(policy.retry, tries, now=now)
    failure = Failure(cause=cause, detail=detail)
    if again is None:
        return fail(replace(exchange, tries=tries), failure)
    return replace(
        exchange, state=S.QUEUED, work=Work.SEND, wake=again, tries=tries, failure=failure
    )


def _refused(exchange: Communication, fault: Fault, now: datetime, policy: Policy) -> Communication:
    detail = f"{fault.name}: {fault.message}" if fault.name else fault.message
    if fault.klass is FaultClass.RETRY:
        return _not_taken(exchange, "busy", detail, now, policy)
    if exchange.cancel_wanted:
        return withdraw(exchange)
    return fail(exchange, Failure(cause="refused", detail=detail))


def _ask_again(
    exchange: Communication, detail: str, fault: Fault | None, now: datetime, policy: Policy
) -> Communication:
    """A question without a usable answer: ask again, until the deadline."""
    if exchange.state is S.UNCLEAR:
        return exchange
    asked = replace(exchange, asked=exchange.asked + 1)
    if fault is not None and fault.name == "RequestNotFoundFault":
        forgotten = Failure(cause="token_forgotten", detail=detail)
        return lose(asked, forgotten, now=now, policy=policy)
    if exchange.deadline is not None and now >= exchange.deadline:
        late = Failure(cause="timed_out", detail=detail)
        return lose(asked, late, now=now, policy=policy)
    final_no = fault is not None and fault.named and fault.klass is FaultClass.PERMANENT
    if final_no and exchange.state is S.FETCHING:
        refused = Failure(cause="refused", detail=detail)
        return lose(asked, refused, now=now, policy=policy)
    if final_no and exchange.work is Work.CANCEL:
        asked = replace(asked, cancel_wanted=False)
    work = Work.RESULT if exchange.state is S.FETCHING else Work.STATUS
    if asked.cancel_wanted and exchange.state is S.AWAITING:
        work = Work.CANCEL
    due = next_poll(policy, max(asked.asked, 1), now=now)
    if exchange.deadline is not None:
        due = min(due, exchange.deadline)
    return replace(asked, work=work, wake=due)
