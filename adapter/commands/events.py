"""What happened, past tense. Facts only: deciding is `lifecycle.step`.

What a command finds out about itself on the way (its "own" events) is never told from outside.
"""

from datetime import datetime

from msgspec import Struct

from adapter.commands.activity import Failure, Work
from adapter.commands.calls import HeadEndOutcome, RequestStatus
from adapter.commands.rules import Violation
from adapter.errors import Fault
from adapter.model.ids import CommunicationId, EndpointId, EventId, RequestToken

# ---------------------------------------------------------------- about one communication


class Dispatched(Struct, frozen=True, kw_only=True, gc=False):
    """The intent to send is about to be committed; the first byte leaves after that. `trace` is
    the traceparent of what sends it; empty: it is not traced."""

    communication: CommunicationId
    trace: str = ""


class TokenReceived(Struct, frozen=True, kw_only=True, gc=False):
    communication: CommunicationId
    token: RequestToken


class SendFailed(Struct, frozen=True, kw_only=True, gc=False):
    """Nothing left this machine (NotSent). `for_good`: nor will it, however often it is tried."""

    communication: CommunicationId
    detail: str
    for_good: bool = False


class SendRefused(Struct, frozen=True, kw_only=True, gc=False):
    """The head end refused by a named fault or a 4xx that must be its own (Refused)."""

    communication: CommunicationId
    fault: Fault


class SendUnclear(Struct, frozen=True, kw_only=True, gc=False):
    """Anything may have happened (OutcomeUnknown): broken reply, time-out, our own crash."""

    communication: CommunicationId
    detail: str


class StatusNotified(Struct, frozen=True, kw_only=True, gc=False):
    """The head end told how far it is: an authenticated callback, or the answer to our poll."""

    communication: CommunicationId
    status: RequestStatus
    polled: bool = False


class OutcomeReceived(Struct, frozen=True, kw_only=True, gc=False):
    """The result call, or a synchronous request, was answered."""

    communication: CommunicationId
    outcome: HeadEndOutcome


class AskFailed(Struct, frozen=True, kw_only=True, gc=False):
    """A status, result or cancel call brought no answer; it is harmless to ask again.

    `fault` is set where the head end did answer, with a fault; `work` says what was asked; `unsent`
    that nothing of it has left.
    """

    communication: CommunicationId
    detail: str
    fault: Fault | None = None
    work: Work = Work.STATUS
    unsent: bool = False


class CancelAnswered(Struct, frozen=True, kw_only=True, gc=False):
    communication: CommunicationId


CommunicationEvent = (
    Dispatched
    | TokenReceived
    | SendFailed
    | SendRefused
    | SendUnclear
    | StatusNotified
    | OutcomeReceived
    | AskFailed
    | CancelAnswered
)


class CancelWanted(Struct, frozen=True, kw_only=True, gc=False):
    """Its command is being canceled."""


class CommunicationWithdrawn(Struct, frozen=True, kw_only=True, gc=False):
    """Nobody wants its answer any more. `why` is kept where it has no failure of its own."""

    why: Failure | None = None


class DeadlinePassed(Struct, frozen=True, kw_only=True, gc=False):
    """It was not sent, or not answered, in its time."""


class LookEnded(Struct, frozen=True, kw_only=True, gc=False):
    """A look at the switch is over. `done`: the unclear order was carried out."""

    done: bool


OwnCommunicationEvent = CancelWanted | CommunicationWithdrawn | DeadlinePassed | LookEnded

# ---------------------------------------------------------------- about one completion event


class CompletionExecuted(Struct, frozen=True, kw_only=True, gc=False):
    """`note` is what people should know of what it made: values that are not regular."""

    event: EventId
    note: str = ""


class CompletionFailed(Struct, frozen=True, kw_only=True, gc=False):
    event: EventId
    error: str


class CompletionRetried(Struct, frozen=True, kw_only=True, gc=False):
    """People, or the time, have it tried again."""

    event: EventId


class CompletionDiscarded(Struct, frozen=True, kw_only=True, gc=False):
    """Its command is discarded, or people found that the meter did not act."""

    event: EventId


CompletionChange = CompletionExecuted | CompletionFailed | CompletionRetried | CompletionDiscarded

# ---------------------------------------------------------------- about the command


class Validated(Struct, frozen=True, kw_only=True, gc=False):
    """The rules were applied to fresh facts; no violations means accepted."""

    violations: tuple[Violation, ...] = ()
    needs_approval: bool = False
    drop_optional: bool = False


class TimePassed(Struct, frozen=True, kw_only=True, gc=False):
    """`now` has moved; whatever is due by it happens. `held`: why no switch order leaves now."""

    held: str = ""


class Approved(Struct, frozen=True, kw_only=True, gc=False):
    """`not_before`: where many are approved at once, when this one may leave."""

    by: str
    not_before: datetime | None = None


class CancelAsked(Struct, frozen=True, kw_only=True, gc=False):
    by: str
    reason: str = ""


class RetryAsked(Struct, frozen=True, kw_only=True, gc=False):
    by: str


class DiscardAsked(Struct, frozen=True, kw_only=True, gc=False):
    by: str
    reason: str = ""


class Resolved(Struct, frozen=True, kw_only=True, gc=False):
    """Two people decided what became of an unknown outcome."""

    done: bool
    operator: str
    approver: str
    note: str = ""


class DataLookedUp(Struct, frozen=True, kw_only=True, gc=False):
    """For which endpoints readings in the wanted period are in the store, and for which not.

    Asked about are those that the head end did not report as failed; an endpoint of which its
    answer told nothing may be among them: data are proof enough.
    """

    found: tuple[EndpointId, ...]
    missing: tuple[EndpointId, ...]


class LateNotified(Struct, frozen=True, kw_only=True, gc=False):
    """A status for a communication that is over: appended, it moves nothing."""

    communication: CommunicationId
    status: RequestStatus


class ClockCorrected(Struct, frozen=True, kw_only=True, gc=False):
    """The clock was wrong and is right again. `by_wrong_clock`: this command was accepted while it
    was `ahead_s` seconds ahead (negative: behind)."""

    ahead_s: float
    by_wrong_clock: bool


class StepBegun(Struct, frozen=True, kw_only=True, gc=False):
    """The communications of the next step are made."""


class StepSucceeded(Struct, frozen=True, kw_only=True, gc=False):
    """Every communication of the step is over, and the command can go on."""


class StepFailed(Struct, frozen=True, kw_only=True, gc=False):
    """The step's answer does not let the command go on, or there was none."""


class StepCanceled(Struct, frozen=True, kw_only=True, gc=False):
    """The step is over because people, or the head end, canceled it."""


class StepExpired(Struct, frozen=True, kw_only=True, gc=False):
    """The command expired before the step was begun, or before it was done."""


class StepUnresolved(Struct, frozen=True, kw_only=True, gc=False):
    """No look at the switch told what became of the order."""


class NobodyFound(Struct, frozen=True, kw_only=True, gc=False):
    """The step has nobody to send to."""


class AlreadySatisfied(Struct, frozen=True, kw_only=True, gc=False):
    """The switch is as wanted: nothing needs to be sent."""


class StepsDone(Struct, frozen=True, kw_only=True, gc=False):
    """No step is left."""


OwnActivityEvent = (
    StepBegun
    | StepSucceeded
    | StepFailed
    | StepCanceled
    | StepExpired
    | StepUnresolved
    | NobodyFound
    | AlreadySatisfied
    | StepsDone
)


ActivityEvent = (
    Validated
    | TimePassed
    | ClockCorrected
    | Approved
    | CancelAsked
    | RetryAsked
    | DiscardAsked
    | Resolved
    | DataLookedUp
    | CompletionExecuted
    | CompletionFailed
    | LateNotified
)

Event = CommunicationEvent | ActivityEvent
