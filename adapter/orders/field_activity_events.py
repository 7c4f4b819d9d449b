"""What happens to a field activity, past tense, and what is to be done next, imperative."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from adapter.orders.completion import CompletionReport
from adapter.orders.order import OrderProblem
from adapter.orders.tasks import FieldEffect


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """An appointment window, UTC."""

    start: datetime
    end: datetime
    taken_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldOpened:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldValidated:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentNeeded:
    """Valid, and the task type wants an appointment that is not booked yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRejected:
    problem: OrderProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentBooked:
    slot: Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSent:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSendFailed:
    problem: OrderProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeFailed:
    """A wish to cancel what was sent could not be delivered."""

    problem: OrderProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldOverdue:
    """The field system has been silent for longer than the visit may wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewStarted:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescheduled:
    slot: Slot
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkReported:
    """Done, by the field system or by hand (`who`)."""

    report: CompletionReport
    who: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkCanceled:
    """Not done. `report` may still hold what the crew found."""

    reason: str
    report: CompletionReport
    who: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsExecuted:
    """The completion events of a success took effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelEventsExecuted:
    """The completion events of a cancellation took effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsFailed:
    problem: OrderProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRetried:
    """After a correction. `report` replaces one whose completion events failed."""

    who: str
    report: CompletionReport | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldModified:
    """What the requester changed; after sending it goes out as a change message (documented).

    `times` are the order's times in that message. `not_before` is when the visit may start, `slot`
    another appointment; None leaves them as they are.
    """

    details: Mapping[str, str]
    times: Mapping[str, str] = field(default_factory=dict)
    not_before: datetime | None = None
    slot: Slot | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldCancelAsked:
    """The field system is asked to cancel; its answer decides."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelDeclined:
    """The field system does not cancel: the visit goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDiscarded:
    reason: str


FieldEvent: TypeAlias = (
    FieldOpened
    | FieldValidated
    | AppointmentNeeded
    | FieldRejected
    | AppointmentBooked
    | FieldSent
    | FieldSendFailed
    | NoticeFailed
    | FieldOverdue
    | CrewStarted
    | Rescheduled
    | WorkReported
    | WorkCanceled
    | EventsExecuted
    | CancelEventsExecuted
    | EventsFailed
    | FieldRetried
    | FieldModified
    | FieldCancelAsked
    | CancelDeclined
    | FieldDiscarded
)


class MessageKind(StrEnum):
    """What goes out to the field work system. The first two names are documented."""

    DISPATCH = "D1-FieldActivityOBComm"
    MODIFY = "D1-ActivityModifyOBComm"
    CANCEL = "CM-ActivityCancelOBComm"
    SLOTS = "CM-AppointmentSlots"


@dataclass(frozen=True, slots=True, kw_only=True)
class SendMessage:
    """One outbound message; `{activity}/message/{number}` is its fixed id."""

    kind: MessageKind
    number: int
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallMessages:
    """What is queued for the field system and has not left is void: another message follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFieldRules:
    """Run `field_problems`, feed FieldValidated, AppointmentNeeded or FieldRejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecuteEvents:
    """Apply these to the records, then feed EventsExecuted, CancelEventsExecuted, EventsFailed."""

    effects: tuple[FieldEffect, ...]
    report: CompletionReport
    successful: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AcknowledgeField:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class TellAppointment:
    """Subscribers learn of a booked or moved appointment."""

    slot: Slot
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeParent:
    """Let the order's monitor look now instead of at its next turn. Moves nothing by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushParent:
    """Move the order: `lifecycle.pushed`. Only ever given while the flag allows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFieldTodo:
    problem: OrderProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseFieldTodo:
    pass


FieldWork: TypeAlias = (
    SendMessage
    | RecallMessages
    | CheckFieldRules
    | ExecuteEvents
    | AcknowledgeField
    | TellAppointment
    | WakeParent
    | PushParent
    | OpenFieldTodo
    | CloseFieldTodo
)
