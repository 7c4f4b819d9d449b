"""What happened, past tense. Facts only: deciding is `lifecycle.step`.

What a command finds out about itself on the way (its "own" events) is never told from outside.
"""

from dataclasses import dataclass

from adapter.commands.activity import Failure, Work
from adapter.commands.calls import HeadEndOutcome, RequestStatus
from adapter.commands.rules import Violation
from adapter.errors import Fault
from adapter.model.ids import CommunicationId, EndpointId, EventId, RequestToken

# ---------------------------------------------------------------- about one communication


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatched:
    """The intent to send is about to be committed; the first byte leaves after that."""

    communication: CommunicationId


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenReceived:
    communication: CommunicationId
    token: RequestToken


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFailed:
    """Nothing left this machine (NotSent). `for_good`: nor will it, however often it is tried."""

    communication: CommunicationId
    detail: str
    for_good: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRefused:
    """The head end refused by a named fault or a 4xx that must be its own (Refused)."""

    communication: CommunicationId
    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class SendUnclear:
    """Anything may have happened (OutcomeUnknown): broken reply, time-out, our own crash."""

    communication: CommunicationId
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusNotified:
    """The head end told how far it is: an authenticated callback, or the answer to our poll."""

    communication: CommunicationId
    status: RequestStatus
    polled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeReceived:
    """The result call, or a synchronous request, was answered."""

    communication: CommunicationId
    outcome: HeadEndOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class AskFailed:
    """A status, result or cancel call brought no answer; it is harmless to ask again.

    `fault` is set where the head end did answer, with a fault; `work` says what was asked.
    """

    communication: CommunicationId
    detail: str
    fault: Fault | None = None
    work: Work = Work.STATUS


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAnswered:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelWanted:
    """Its command is being canceled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommunicationWithdrawn:
    """Nobody wants its answer any more. `why` is kept where it has no failure of its own."""

    why: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinePassed:
    """It was not sent, or not answered, in its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookEnded:
    """A look at the switch is over. `done`: the unclear order was carried out."""

    done: bool


OwnCommunicationEvent = CancelWanted | CommunicationWithdrawn | DeadlinePassed | LookEnded

# ---------------------------------------------------------------- about one completion event


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionExecuted:
    """`note` is what people should know of what it made: values that are not regular."""

    event: EventId
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionFailed:
    event: EventId
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRetried:
    """People, or the time, have it tried again."""

    event: EventId


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionDiscarded:
    """Its command is discarded, or people found that the meter did not act."""

    event: EventId


CompletionChange = CompletionExecuted | CompletionFailed | CompletionRetried | CompletionDiscarded

# ---------------------------------------------------------------- about the command


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """The rules were applied to fresh facts; no violations means accepted."""

    violations: tuple[Violation, ...] = ()
    needs_approval: bool = False
    drop_optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed:
    """`now` has moved; whatever is due by it happens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAsked:
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryAsked:
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardAsked:
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Two people decided what became of an unknown outcome."""

    done: bool
    operator: str
    approver: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataLookedUp:
    """For which endpoints readings in the wanted period are in the store, and for which not.

    Asked about are those that the head end did not report as failed; an endpoint of which its
    answer told nothing may be among them: data are proof enough.
    """

    found: tuple[EndpointId, ...]
    missing: tuple[EndpointId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LateNotified:
    """A status for a communication that is over: appended, it moves nothing."""

    communication: CommunicationId
    status: RequestStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockCorrected:
    """The clock was wrong and is right again. `by_wrong_clock`: this command was accepted while it
    was `ahead_s` seconds ahead (negative: behind)."""

    ahead_s: float
    by_wrong_clock: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBegun:
    """The communications of the next step are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSucceeded:
    """Every communication of the step is over, and the command can go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed:
    """The step's answer does not let the command go on, or there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCanceled:
    """The step is over because people, or the head end, canceled it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepExpired:
    """The command expired before the step was begun, or before it was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUnresolved:
    """No look at the switch told what became of the order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NobodyFound:
    """The step has nobody to send to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadySatisfied:
    """The switch is as wanted: nothing needs to be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsDone:
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
