"""A command: what was asked for (CommandRequest), where it stands (Activity), what it sent."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from adapter.commands.calls import (
    FailureReason,
    RemoteResult,
    RequestStatus,
    SwitchState,
)
from adapter.commands.flows import (
    FLOWS,
    NATURE,
    CommandKind,
    Completion,
    Flow,
    Nature,
    Operation,
    Priority,
)
from adapter.errors import NotFound
from adapter.model.device import InstallStatus
from adapter.model.ids import (
    CommandId,
    CommunicationId,
    DeviceId,
    EndpointId,
    EventId,
    OrderId,
    RequestToken,
    ServicePointId,
)


class State(StrEnum):
    """States of a command activity. Names follow the product's; the last four are final.

    NEEDS_PERSON and RESOLVED are ours: what became of the command could not be learned, or the
    registry could not follow. It waits, however long, for what two people decide about it.
    """

    PENDING = "pending"
    VALIDATION_ERROR = "validation_error"
    AWAITING_APPROVAL = "awaiting_approval"
    WAITING_FOR_EFFECTIVE_DATE = "waiting_for_effective_date"
    CONNECTION_READY = "connection_ready"
    COMMUNICATION_IN_PROGRESS = "communication_in_progress"
    COMMUNICATION_ERROR = "communication_error"
    WAITING_FOR_MEASUREMENT = "waiting_for_measurement"
    EXECUTING_COMPLETION_EVENTS = "executing_completion_events"
    COMPLETION_EVENT_ERROR = "completion_event_error"
    CANCELLING = "cancelling"
    NEEDS_PERSON = "needs_person"
    COMPLETED = "completed"
    DISCARDED = "discarded"
    CANCELED = "canceled"
    RESOLVED = "resolved"

    @cached_property
    def final(self) -> bool:
        return self in FINAL

    @property
    def rests(self) -> bool:
        """Whether the program does nothing more about it: it is final, or waits for people
        without a bound."""
        return self in FINAL or self is State.NEEDS_PERSON

    @property
    def waits_for_person(self) -> bool:
        """Whether a person is asked for something, who may let it go on."""
        return self in TO_DO


FINAL: Final = frozenset({State.COMPLETED, State.DISCARDED, State.CANCELED, State.RESOLVED})
TO_DO: Final = frozenset(
    {
        State.VALIDATION_ERROR,
        State.AWAITING_APPROVAL,
        State.COMMUNICATION_ERROR,
        State.COMPLETION_EVENT_ERROR,
        State.NEEDS_PERSON,
    }
)
"""States in which a person is asked for something."""


class Outcome(StrEnum):
    """What came out, for the requester. The state says how far, this says what; see OUTCOMES."""

    SUCCEEDED = "succeeded"
    SUCCEEDED_INFERRED = "succeeded_inferred"
    ALREADY_SATISFIED = "already_satisfied"
    UNREACHABLE = "unreachable"
    PARTIAL = "partial"
    FAILED = "failed"
    NO_DATA = "no_data"
    EXPIRED = "expired"
    CANCELED = "canceled"
    UNKNOWN = "unknown"


OUTCOMES: Final[Mapping[Outcome, str]] = MappingProxyType(
    {
        Outcome.SUCCEEDED: "it was done, and the head end or the data say so",
        Outcome.SUCCEEDED_INFERRED: "nobody confirmed it; what was seen afterwards shows it",
        Outcome.ALREADY_SATISFIED: "the switch was as wanted before: nothing was sent to move it",
        Outcome.UNREACHABLE: "the check was carried out, and no meter answered",
        Outcome.PARTIAL: "of many meters some succeeded",
        Outcome.FAILED: "it was not done, or of many meters none; or a person gave it up",
        Outcome.NO_DATA: "the head end says done, and no data came in `measurement_s`",
        Outcome.EXPIRED: "its time was over before it was sent, or before it was answered",
        Outcome.CANCELED: "canceled by people or at the head end; or optional, and dropped",
        Outcome.UNKNOWN: "nobody knows what became of it, or the registry could not follow",
    }
)
"""What each tells the requester; `openway tables outcomes` prints it."""


class StepKind(StrEnum):
    """One step of a command: one communication, or several when the request is split."""

    LOAD_CHECK = "load_check"
    SWITCH_CHECK = "switch_check"
    READ = "read"
    MAIN = "main"
    SETTLE = "settle"
    """The switch state read that settles an unclear switch order."""


class ReadPeriod(Struct, frozen=True, kw_only=True, gc=False):
    """Data wanted in [start, end); `window_*` is when the head end may work (scheduled reads).

    `events` also brings the meters' event logs.
    """

    start: datetime
    end: datetime
    window_start: datetime | None = None
    window_end: datetime | None = None
    events: bool = False


class Target(Struct, frozen=True, kw_only=True, gc=False):
    device: DeviceId
    endpoint: EndpointId


class UnsureLoadCheck(StrEnum):
    """What follows a load check before a connect that gave no answer. An order chooses; WAIT is
    what a command does by itself."""

    WAIT = "wait"
    """In Communication Error, for people."""
    END = "end"
    """Nothing is connected, and the command is over: its order has another way."""
    CONNECT = "connect"
    """As if there were no voltage."""


class CommandRequest(Struct, frozen=True, kw_only=True, gc=False):
    """What a requester asks for. Validated by `rules` before an activity exists.

    devices             one, or several for kinds of scope METERS; empty for a group
    group               the head end's group name, for scheduled reads
    effective_at        not before this time (UTC); None: now
    expires_at          past it the request is never sent; None: the kind's policy
    idempotency_key     the same key gives the same activity, for ever; other content: Conflict
    optional            may be dropped silently when an opposite command is open
    check_load          detect load-side voltage before a connect; present: not sent
    unsure_load_check   what follows a load check without an answer
    check_switch        read the switch state before a connect or disconnect
    with_read           also fetch a register reading before a connect or disconnect
    emergency_override  sets EmergencyOverride of the head end's request; passes no rule here
    user_intervention_required  a connect only arms the switch; people close it
    ignore_install_state  skip the install-state rule (the registry may be wrong); audited. A
                          disconnect still needs to know a service point that is not protected
    past_unclear_order       operator and approver who send a reconnect past an unclear order
    install_status_override  status to set instead of the usual one (D1-REMONOFF)
    site_install_status   the site's own name of that one
    service_point         where the device of a connect or disconnect has to stand; None: where it
                          stands when the request is accepted
    callback_url          where its end is posted, besides who else gets it; "": nowhere
    """

    kind: CommandKind
    devices: tuple[DeviceId, ...] = ()
    group: str | None = None
    effective_at: datetime | None = None
    expires_at: datetime | None = None
    idempotency_key: str | None = None
    requester: str = ""
    reference: str = ""
    order: OrderId | None = None
    priority: Priority | None = None
    period: ReadPeriod | None = None
    configuration_group: str | None = None
    optional: bool = False
    check_load: bool = False
    unsure_load_check: UnsureLoadCheck = UnsureLoadCheck.WAIT
    check_switch: bool = False
    with_read: bool = False
    emergency_override: bool = False
    user_intervention_required: bool = False
    ignore_install_state: bool = False
    past_unclear_order: tuple[str, str] | None = None
    install_status_override: InstallStatus | None = None
    site_install_status: str = ""
    service_point: ServicePointId | None = None
    callback_url: str = ""

    @property
    def flow(self) -> Flow:
        return FLOWS[self.kind]

    @property
    def nature(self) -> Nature:
        return NATURE[self.kind]


class CommunicationState(StrEnum):
    """States of one communication with the head end (communication out, and its answer)."""

    QUEUED = "queued"
    SENDING = "sending"
    AWAITING = "awaiting"
    FETCHING = "fetching"
    UNCLEAR = "unclear"
    """A switch order that may or may not have been taken; never sent again by the program."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    UNRESOLVED = "unresolved"

    @cached_property
    def final(self) -> bool:
        return self in FINAL_COMMUNICATION


FINAL_COMMUNICATION: Final = frozenset(
    {
        CommunicationState.COMPLETED,
        CommunicationState.FAILED,
        CommunicationState.CANCELED,
        CommunicationState.UNRESOLVED,
    }
)


class Work(StrEnum):
    """What the gateway has to do next for a communication, not before its `wake`."""

    SEND = "send"
    STATUS = "status"
    RESULT = "result"
    CANCEL = "cancel"
    NONE = "none"
    """Nothing to call; `wake` is a deadline."""


class Failure(Struct, frozen=True, kw_only=True, gc=False):
    """Why a communication failed. `cause` is a row of `failures.FAILURES`."""

    cause: str
    detail: str = ""


class Communication(Struct, frozen=True, kw_only=True, gc=False):
    """One attempt to have one request carried out: request, token, status, result.

    The id is `{command}-{ordinal}` and part of the callback address. `deadline` bounds the time
    from token to result (of a look: from its making to its result); `tries` counts sends that
    provably did nothing; `asked` counts polls; `cancel_wanted` says that a CancelRequest is still
    to be sent; `cancels` counts those of which nobody knows whether they were taken.
    """

    id: CommunicationId
    step: StepKind
    operation: Operation
    endpoints: tuple[EndpointId, ...] = ()
    state: CommunicationState = CommunicationState.QUEUED
    work: Work = Work.SEND
    wake: datetime | None = None
    token: RequestToken | None = None
    deadline: datetime | None = None
    sent_at: datetime | None = None
    tries: int = 0
    asked: int = 0
    looks: int = 0
    status: RequestStatus | None = None
    result: RemoteResult | None = None
    endpoint_failure: FailureReason | None = None
    switch: SwitchState | None = None
    voltage_present: bool | None = None
    failure: Failure | None = None
    acted_at: datetime | None = None
    cancel_wanted: bool = False
    cancels: int = 0
    inferred: bool = False
    attempt: int = 1
    superseded: bool = False
    """A later attempt has taken its place; its late answers are kept and ignored."""
    trace: str = ""
    """The traceparent of what sent it; empty: it is not traced."""


class CompletionState(StrEnum):
    PENDING = "pending"
    EXECUTED = "executed"
    ERROR = "error"
    DISCARDED = "discarded"


class CompletionEvent(Struct, frozen=True, kw_only=True, gc=False):
    """A durable record of what must change in the registry; executed once by its id."""

    id: EventId
    kind: Completion
    at: datetime
    state: CompletionState = CompletionState.PENDING
    tries: int = 0
    error: str = ""


class Tally(Struct, frozen=True, kw_only=True, gc=False):
    """Endpoints by outcome (I16): the four add up to `requested`."""

    requested: int = 0
    succeeded: int = 0
    failed: int = 0
    missing: int = 0
    unknown: int = 0


class Resolution(Struct, frozen=True, kw_only=True, gc=False):
    """What people decided about an unknown outcome; two of them."""

    done: bool
    operator: str
    approver: str
    at: datetime
    note: str = ""


class Activity(Struct, frozen=True, kw_only=True, gc=False):
    """The intent and where it stands. Only `lifecycle.step` makes a new one.

    `service_point` is whose supply a connect or disconnect is about: a meter that stands elsewhere
    by then is not switched for it. None where nobody knew it. `waits_since` is since when a person
    is asked for something, while one is. `trace` is the traceparent of its submission; empty: it is
    not traced.
    """

    id: CommandId
    state: State = State.PENDING
    created_at: datetime
    effective_at: datetime
    expires_at: datetime
    hold_until: datetime | None = None
    retry_at: datetime | None = None
    window_until: datetime | None = None
    steps_done: tuple[StepKind, ...] = ()
    communications_made: int = 0
    retries: int = 0
    approved_by: str | None = None
    violations: tuple[str, ...] = ()
    outcome: Outcome | None = None
    reason: str = ""
    service_point: ServicePointId | None = None
    switch_before: SwitchState | None = None
    switch_state: SwitchState | None = None
    voltage_present: bool | None = None
    tally: Tally = Tally()
    completions: tuple[CompletionEvent, ...] = ()
    resolution: Resolution | None = None
    canceled_by: str | None = None
    waits_since: datetime | None = None
    late: int = 0
    finished_at: datetime | None = None
    trace: str = ""

    @property
    def next_completion(self) -> CompletionEvent | None:
        """The completion event whose turn it is; None while one before it waits in error."""
        if self.state is not State.EXECUTING_COMPLETION_EVENTS:
            return None
        left = (x for x in self.completions if x.state is not CompletionState.EXECUTED)
        first = next(left, None)
        return first if first and first.state is CompletionState.PENDING else None


class Command(Struct, frozen=True, kw_only=True, gc=False):
    """The aggregate that is loaded, stepped and saved as one. `version` guards the save.

    In a list, a command for very many has neither targets nor its communications' endpoints:
    `left_out` says of how many targets.
    """

    request: CommandRequest
    targets: tuple[Target, ...]
    activity: Activity
    communications: tuple[Communication, ...] = ()
    version: int = 0
    left_out: int = 0

    @property
    def id(self) -> CommandId:
        return self.activity.id

    @property
    def flow(self) -> Flow:
        return self.request.flow

    def communication(self, communication_id: CommunicationId) -> Communication:
        """Raises NotFound."""
        for item in self.communications:
            if item.id == communication_id:
                return item
        raise NotFound(f"no communication {communication_id} in command {self.id}")
