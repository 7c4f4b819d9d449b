"""What crosses the wire, as values: our calls, the head end's answers and its notifications.

Source of fields and enum members: the contract (wsdl/README.md). Enums are open on the wire: a
member the contract did not have when this was written is read as UNKNOWN, never refused.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from adapter.commands.flows import Operation
from adapter.model.ids import EndpointId, RequestToken


class RemoteState(StrEnum):
    """com:State, how far the head end is with a request."""

    INITIALIZING = "Initializing"
    EXECUTING = "Executing"
    COMPLETED = "Completed"
    UNKNOWN = "Unknown"


class RemoteResult(StrEnum):
    """com:Result."""

    PENDING = "Pending"
    SUCCESS = "Success"
    FAILURE = "Failure"
    CANCELED = "Canceled"
    UNKNOWN = "Unknown"


class SwitchState(StrEnum):
    """dia:DisconnectSwitchState."""

    UNKNOWN = "Unknown"
    CONNECTED = "Connected"
    DISCONNECTED = "Disconnected"
    ARMED = "Armed"
    DISCONNECTED_OR_DIVERSION = "DisconnectedOrDiversion"


class FailureReason(StrEnum):
    """com:FailureReason and dia:FailureReason together; an unknown member reads as Unspecified."""

    UNSPECIFIED = "Unspecified"
    TARGET_NOT_REGISTERED = "TargetNotRegistered"
    TARGET_NOT_FOUND = "TargetNotFound"
    COMMUNICATION_ERROR = "CommunicationError"
    SECURITY_FAILURE = "SecurityFailure"
    CONFIGURATION_ERROR = "ConfigurationError"
    OPERATION_NOT_SUPPORTED = "OperationNotSupported"
    ERROR_RESPONSE = "ErrorResponse"
    NO_RESPONSE = "NoResponse"
    INVALID_IDENTIFIER = "InvalidIdentifier"
    INVALID_TARGET_STATE = "InvalidTargetState"
    PUBLISHING_ERROR = "PublishingError"
    TOO_MANY_REQUESTS = "TooManyRequests"
    TYPE_MISMATCH = "TypeMismatch"
    READ_WRITE_DENIED = "ReadWriteDenied"


class ReadParameters(Struct, frozen=True, kw_only=True, gc=False):
    """Period [start, end) in UTC and what to bring. `window_*` only for interrogations."""

    start: datetime
    end: datetime
    window_start: datetime | None = None
    window_end: datetime | None = None
    load_profile: bool = False
    registers: bool = False
    events: bool = False


class Call(Struct, frozen=True, kw_only=True, gc=False):
    """One request to the head end.

    `endpoints` has one member for operations on one meter; `group` is set for InterrogateByGroup;
    `token` for result, status and cancel calls; `callback` becomes com:StatusChangedService.
    """

    operation: Operation
    endpoints: tuple[EndpointId, ...] = ()
    group: str | None = None
    token: RequestToken | None = None
    callback: str | None = None
    read: ReadParameters | None = None
    configuration_group: str | None = None
    emergency_override: bool = False
    user_intervention_required: bool = False


class EndpointFailure(Struct, frozen=True, kw_only=True, gc=False):
    endpoint: EndpointId
    reason: FailureReason
    description: str = ""


class SwitchReading(Struct, frozen=True, kw_only=True, gc=False):
    """One dia:DisconnectSwitchInfo. `at` is the head end's time of the last change, if given."""

    endpoint: EndpointId
    state: SwitchState
    at: datetime | None = None
    extended: str = ""


class TokenGiven(Struct, frozen=True, kw_only=True, gc=False):
    """The head end took the request; its outcome comes later under this token."""

    token: RequestToken


class RequestStatus(Struct, frozen=True, kw_only=True, gc=False):
    """com:RequestStatus, from a callback or from GetRequestStatus. Times are UTC."""

    token: RequestToken
    state: RemoteState
    result: RemoteResult
    scheduled: int = 0
    succeeded: int = 0
    failed: int = 0
    created_at: datetime | None = None
    finished_at: datetime | None = None


class HeadEndOutcome(Struct, frozen=True, kw_only=True, gc=False):
    """The answer of a Get...Result call, or of a synchronous provisioning call (no token).

    `truncated` is MaximumResultsSent: the failure list was cut, absence proves nothing (I16).
    """

    token: RequestToken | None = None
    result: RemoteResult = RemoteResult.UNKNOWN
    failures: tuple[EndpointFailure, ...] = ()
    truncated: bool = False
    switches: tuple[SwitchReading, ...] = ()
    voltage_present: bool | None = None


class CancelTaken(Struct, frozen=True, kw_only=True, gc=False):
    """CancelRequest was answered; a later status tells whether it had an effect."""


Answer = TokenGiven | RequestStatus | HeadEndOutcome | CancelTaken


class ReadingKind(StrEnum):
    REGISTER = "register"
    INTERVAL = "interval"


class Reading(Struct, frozen=True, kw_only=True, gc=False):
    """One value that arrived in a dat:ReadData.

    `at` is the register's timestamp, or the END of the interval, in UTC. `value` is engineering
    units of `quantity` (multiplied by the pulse multiplier where ScalingType is None; inferred).
    `seconds` is the interval's length, 0 for registers. `statuses` are the head end's own words.
    `condition` is the code that the intake gave it, six digits, higher is better; None before that.
    A `value` that counts as no measurement is None from the intake on.
    """

    endpoint: EndpointId
    kind: ReadingKind
    quantity: str
    source: str
    at: datetime
    value: Decimal | None
    seconds: int = 0
    statuses: tuple[str, ...] = ()
    condition: int | None = None
