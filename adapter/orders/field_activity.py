"""Field activities: one visit from the wish for it to the completion events that record it.

A visit may never be discarded once the field system has it, and work that was reported may never be
lost: it is recorded, or stays in completion error until it is.

Documented: the field activity's states up to Communication In Progress, its acknowledgement, the
duplicate, conflict and restriction checks, the two lists of completion events, the change message,
the flag "Allow Child to Transition Parent Activity" that a validation error sets. The rest of the
lifecycle follows a sibling product (inferred).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from adapter.errors import IllegalTransition
from adapter.model.ids import OrderId
from adapter.model.state_machine import StateMachine
from adapter.model.values import replace
from adapter.orders.completion import CompletionReport
from adapter.orders.field_activity_events import (
    AcknowledgeField,
    AppointmentBooked,
    AppointmentNeeded,
    CancelDeclined,
    CancelEventsExecuted,
    CheckFieldRules,
    CloseFieldTodo,
    CrewStarted,
    EventsExecuted,
    EventsFailed,
    ExecuteEvents,
    FieldCancelAsked,
    FieldDiscarded,
    FieldEvent,
    FieldModified,
    FieldOpened,
    FieldOverdue,
    FieldRejected,
    FieldRetried,
    FieldSendFailed,
    FieldSent,
    FieldValidated,
    FieldWork,
    MessageKind,
    NoticeFailed,
    OpenFieldTodo,
    PushParent,
    RecallMessages,
    Rescheduled,
    SendMessage,
    Slot,
    TellAppointment,
    WakeParent,
    WorkCanceled,
    WorkReported,
)
from adapter.orders.order import ChildId, ChildSpec, ChildState, OrderProblem
from adapter.orders.tasks import field_task


class FieldState(StrEnum):
    PENDING = "Pending"
    VALIDATE = "Validate"
    VALIDATION_ERROR = "Validation Error"
    APPOINTMENT = "Appointment"
    APPOINTMENT_ERROR = "Appointment Error"
    """The wish for an appointment was not taken, or is not answered. Ours."""
    COMMUNICATION = "Communication In Progress"
    COMMUNICATION_ERROR = "Communication Error"
    RESPONSE_ERROR = "Response Error"
    """The field system has the visit and is silent. Named after the outbound communication's."""
    COMPLETION = "Execute Completion Events"
    COMPLETION_ERROR = "Completion Error"
    COMPLETED = "Completed"
    CANCELED = "Canceled"
    DISCARDED = "Discarded"


FIELD_FINAL: Final = frozenset({FieldState.COMPLETED, FieldState.CANCELED, FieldState.DISCARDED})
FIELD_ERRORS: Final = frozenset(
    {
        FieldState.VALIDATION_ERROR,
        FieldState.APPOINTMENT_ERROR,
        FieldState.COMMUNICATION_ERROR,
        FieldState.RESPONSE_ERROR,
        FieldState.COMPLETION_ERROR,
    }
)


class FieldProgress(StrEnum):
    """How far the field system is with what we sent."""

    NOT_SENT = "not_sent"
    SENT = "sent"
    STARTED = "started"


class FieldActivity(Struct, frozen=True, kw_only=True, gc=False):
    """One visit. `messages` counts what was sent out, so that each message has a fixed id.

    `patience` is how long the field system may be silent, None for ever; `answer_by` is when it
    has been silent for too long (UTC), set while something is expected of it.
    """

    id: ChildId
    order: OrderId
    spec: ChildSpec
    created_at: datetime
    state: FieldState = FieldState.PENDING
    progress: FieldProgress = FieldProgress.NOT_SENT
    may_push: bool = False
    appointment: Slot | None = None
    report: CompletionReport | None = None
    reason: str = ""
    cancel_asked: str = ""
    messages: int = 0
    problem: OrderProblem | None = None
    patience: timedelta | None = None
    answer_by: datetime | None = None
    ended_at: datetime | None = None
    version: int = 0


S = FieldState
FIELD_MACHINE: Final[StateMachine[FieldState, FieldEvent]] = StateMachine(
    name="field activity",
    states=FieldState,
    start=S.PENDING,
    final=FIELD_FINAL,
    arrows={
        (S.PENDING, FieldOpened): {S.VALIDATE},
        (S.PENDING, FieldModified): {S.PENDING},
        (S.PENDING, FieldDiscarded): {S.DISCARDED},
        (S.VALIDATE, FieldValidated): {S.COMMUNICATION},
        (S.VALIDATE, AppointmentNeeded): {S.APPOINTMENT},
        (S.VALIDATE, FieldRejected): {S.VALIDATION_ERROR},
        (S.VALIDATE, FieldModified): {S.VALIDATE},
        (S.VALIDATE, FieldDiscarded): {S.DISCARDED},
        (S.VALIDATION_ERROR, FieldRetried): {S.VALIDATE},
        (S.VALIDATION_ERROR, FieldModified): {S.VALIDATE},
        (S.VALIDATION_ERROR, FieldDiscarded): {S.DISCARDED},
        (S.APPOINTMENT, AppointmentBooked): {S.COMMUNICATION},
        (S.APPOINTMENT, FieldModified): {S.VALIDATE},
        (S.APPOINTMENT, FieldDiscarded): {S.DISCARDED},
        (S.APPOINTMENT, FieldSendFailed): {S.APPOINTMENT_ERROR},
        (S.APPOINTMENT, FieldOverdue): {S.APPOINTMENT_ERROR},
        (S.APPOINTMENT_ERROR, FieldRetried): {S.APPOINTMENT},
        (S.APPOINTMENT_ERROR, AppointmentBooked): {S.COMMUNICATION},
        (S.APPOINTMENT_ERROR, FieldModified): {S.VALIDATE},
        (S.APPOINTMENT_ERROR, WorkReported): {S.COMPLETION},
        (S.APPOINTMENT_ERROR, WorkCanceled): {S.COMPLETION},
        (S.APPOINTMENT_ERROR, FieldDiscarded): {S.DISCARDED},
        (S.COMMUNICATION, FieldSent): {S.COMMUNICATION},
        (S.COMMUNICATION, FieldSendFailed): {S.COMMUNICATION_ERROR},
        (S.COMMUNICATION, CrewStarted): {S.COMMUNICATION},
        (S.COMMUNICATION, Rescheduled): {S.COMMUNICATION},
        (S.COMMUNICATION, WorkReported): {S.COMPLETION},
        (S.COMMUNICATION, WorkCanceled): {S.COMPLETION},
        (S.COMMUNICATION, FieldModified): {S.COMMUNICATION},
        (S.COMMUNICATION, FieldCancelAsked): {S.COMMUNICATION},
        (S.COMMUNICATION, CancelDeclined): {S.COMMUNICATION},
        (S.COMMUNICATION, NoticeFailed): {S.RESPONSE_ERROR},
        (S.COMMUNICATION, FieldOverdue): {S.RESPONSE_ERROR},
        (S.COMMUNICATION, FieldDiscarded): {S.DISCARDED},
        (S.COMMUNICATION_ERROR, FieldRetried): {S.COMMUNICATION},
        (S.COMMUNICATION_ERROR, FieldModified): {S.COMMUNICATION},
        (S.COMMUNICATION_ERROR, WorkReported): {S.COMPLETION},
        (S.COMMUNICATION_ERROR, WorkCanceled): {S.COMPLETION},
        (S.COMMUNICATION_ERROR, FieldDiscarded): {S.DISCARDED},
        (S.RESPONSE_ERROR, FieldRetried): {S.COMMUNICATION},
        (S.RESPONSE_ERROR, CrewStarted): {S.COMMUNICATION},
        (S.RESPONSE_ERROR, Rescheduled): {S.COMMUNICATION},
        (S.RESPONSE_ERROR, FieldCancelAsked): {S.COMMUNICATION},
        (S.RESPONSE_ERROR, CancelDeclined): {S.COMMUNICATION},
        (S.RESPONSE_ERROR, FieldModified): {S.RESPONSE_ERROR},
        (S.RESPONSE_ERROR, NoticeFailed): {S.RESPONSE_ERROR},
        (S.RESPONSE_ERROR, WorkReported): {S.COMPLETION},
        (S.RESPONSE_ERROR, WorkCanceled): {S.COMPLETION},
        (S.COMPLETION, EventsExecuted): {S.COMPLETED},
        (S.COMPLETION, CancelEventsExecuted): {S.CANCELED},
        (S.COMPLETION, EventsFailed): {S.COMPLETION_ERROR},
        (S.COMPLETION_ERROR, FieldRetried): {S.COMPLETION},
        (S.COMPLETION_ERROR, WorkCanceled): {S.COMPLETION},
    },
)
"""A visit in completion error cannot be discarded: work was done, and must be recorded. One in
response error can neither: the crew may be at it, so it is cancelled, or ended by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldStep:
    activity: FieldActivity
    effects: tuple[FieldWork, ...]


def step_field(activity: FieldActivity, event: FieldEvent, *, now: datetime) -> FieldStep:
    """Apply one event. Raises IllegalTransition, and changes nothing, without an arrow."""
    what = f"field activity {activity.id}"
    to = FIELD_MACHINE.follow(activity.state, type(event), of=what)
    if isinstance(event, FieldDiscarded) and activity.progress is not _UNSENT:
        raise IllegalTransition(f"{what}: no {type(event).__name__} in {activity.state}")
    changed, effects = _field_change(activity, event, to)
    after = replace(
        changed,
        state=to,
        may_push=activity.may_push or to in FIELD_ERRORS,
        problem=changed.problem if to in FIELD_ERRORS else None,
        answer_by=_answer_by(changed, to, event, now),
        ended_at=now if to in FIELD_FINAL else None,
        messages=activity.messages + sum(isinstance(each, SendMessage) for each in effects),
        version=activity.version + 1,
    )
    return FieldStep(activity=after, effects=(*effects, *_upwards(activity, after)))


_UNSENT: Final = FieldProgress.NOT_SENT


def _upwards(before: FieldActivity, after: FieldActivity) -> tuple[FieldWork, ...]:
    """What the order and people learn of a move: To Dos, a wake-up, or a push where allowed."""
    if after.state is before.state:
        return ()
    effects: list[FieldWork] = []
    if before.state in FIELD_ERRORS:
        effects.append(CloseFieldTodo())
    if after.state in FIELD_ERRORS and after.problem is not None:
        effects.append(OpenFieldTodo(problem=after.problem))
    if after.state in FIELD_FINAL | FIELD_ERRORS or before.state in FIELD_ERRORS:
        effects.append(PushParent() if after.may_push else WakeParent())
    return tuple(effects)


def _field_change(
    activity: FieldActivity, event: FieldEvent, to: FieldState
) -> tuple[FieldActivity, tuple[FieldWork, ...]]:
    match event:
        case FieldOpened():
            return activity, (AcknowledgeField(), CheckFieldRules())
        case FieldValidated():
            return activity, (_message(activity, MessageKind.DISPATCH),)
        case AppointmentNeeded():
            return activity, (_message(activity, MessageKind.SLOTS),)
        case AppointmentBooked(slot=slot):
            booked = replace(activity, appointment=slot)
            return booked, (TellAppointment(slot=slot), _message(booked, MessageKind.DISPATCH))
        case FieldRejected(problem=problem) | FieldSendFailed(problem=problem):
            return replace(activity, problem=problem), ()
        case EventsFailed(problem=problem) | NoticeFailed(problem=problem):
            return replace(activity, problem=problem), ()
        case FieldOverdue():
            return replace(activity, problem=_silence(activity)), ()
        case CancelDeclined():
            return replace(activity, cancel_asked=""), ()
        case FieldSent():
            return _advanced(activity, FieldProgress.SENT), ()
        case CrewStarted():
            return _advanced(activity, FieldProgress.STARTED), ()
        case Rescheduled(slot=slot, reason=reason):
            moved = replace(activity, appointment=slot, reason=reason)
            return moved, (TellAppointment(slot=slot, reason=reason),)
        case WorkReported(report=report):
            done = replace(activity, report=report, cancel_asked="")
            return done, (_execute(done, successful=True),)
        case WorkCanceled(report=report, reason=reason):
            gone = replace(activity, report=report, reason=reason, cancel_asked=reason)
            return gone, (_execute(gone, successful=False),)
        case FieldRetried():
            return _field_retried(activity, event)
        case FieldModified():
            return _modified(activity, event, to)
        case FieldCancelAsked(reason=reason):
            asked = _message(activity, MessageKind.CANCEL, {"reason": reason})
            return replace(activity, cancel_asked=reason), (asked,)
        case FieldDiscarded(reason=reason):
            return replace(activity, reason=reason), ()
        case EventsExecuted() | CancelEventsExecuted():
            return activity, ()


def _advanced(activity: FieldActivity, to: FieldProgress) -> FieldActivity:
    """A late "sent" never takes a started visit back."""
    order = list(FieldProgress)
    further = order.index(to) > order.index(activity.progress)
    return replace(activity, progress=to) if further else activity


def _message(
    activity: FieldActivity, kind: MessageKind, details: Mapping[str, str] | None = None
) -> SendMessage:
    return SendMessage(kind=kind, number=activity.messages + 1, details=details or {})


def _execute(activity: FieldActivity, *, successful: bool) -> ExecuteEvents:
    """Raises IllegalTransition where there is no report to execute."""
    if activity.report is None:
        raise IllegalTransition(f"field activity {activity.id} has no report")
    task = field_task(activity.spec.task)
    canceled = () if task is None else task.canceled
    effects = activity.spec.changes if successful else canceled
    return ExecuteEvents(effects=effects, report=activity.report, successful=successful)


def _field_retried(
    activity: FieldActivity, event: FieldRetried
) -> tuple[FieldActivity, tuple[FieldWork, ...]]:
    match activity.state:
        case FieldState.VALIDATION_ERROR:
            return activity, (CheckFieldRules(),)
        case FieldState.APPOINTMENT_ERROR:
            return activity, (_message(activity, MessageKind.SLOTS),)
        case FieldState.COMMUNICATION_ERROR:
            return activity, (_message(activity, MessageKind.DISPATCH),)
        case FieldState.RESPONSE_ERROR:
            reason = activity.cancel_asked
            asked = _message(activity, MessageKind.CANCEL, {"reason": reason})
            return activity, (asked,) if reason else ()
        case _:
            again = replace(activity, report=event.report or activity.report)
            return again, (_execute(again, successful=not activity.cancel_asked),)


def _modified(
    activity: FieldActivity, event: FieldModified, to: FieldState
) -> tuple[FieldActivity, tuple[FieldWork, ...]]:
    spec = replace(
        activity.spec,
        details={**activity.spec.details, **event.details},
        effective_at=event.not_before or activity.spec.effective_at,
    )
    changed = replace(activity, spec=spec, appointment=event.slot or activity.appointment)
    told = () if event.slot is None else (TellAppointment(slot=event.slot),)
    if to is S.VALIDATE:
        return changed, (*told, CheckFieldRules())
    if activity.state is S.COMMUNICATION_ERROR:
        return changed, (*told, _message(activity, MessageKind.DISPATCH))
    if to in (S.COMMUNICATION, S.RESPONSE_ERROR) and activity.progress is not _UNSENT:
        details = {**event.details, **event.times}
        return changed, (*told, _message(activity, MessageKind.MODIFY, details))
    if to is S.COMMUNICATION:  # what waits to be sent says what the visit was before
        return changed, (*told, RecallMessages(), _message(activity, MessageKind.DISPATCH))
    return changed, told


def _answer_by(
    activity: FieldActivity, to: FieldState, event: FieldEvent, now: datetime
) -> datetime | None:
    """By when the field system has to say something, in state `to`; kept where the event says
    nothing of it.

    From when it was told, or from when the visit may start or its appointment ends.
    """
    patience, sent = activity.patience, activity.progress is not _UNSENT
    waits = to is S.APPOINTMENT or (to is S.COMMUNICATION and sent)
    if patience is None or not waits:
        return None
    dated = isinstance(event, FieldModified) and _moves(event)
    kept = isinstance(event, FieldModified | FieldSent) and not dated
    if kept and activity.answer_by is not None:
        return activity.answer_by
    if activity.cancel_asked or to is S.APPOINTMENT:
        return now + patience
    known = (activity.spec.effective_at, _appointment_end(activity))
    return max([now, *(each for each in known if each is not None)]) + patience


def _moves(event: FieldModified) -> bool:
    """Whether the visit is to be at another time."""
    return bool(event.not_before or event.slot or "appointmentEnd" in event.details)


def _appointment_end(activity: FieldActivity) -> datetime | None:
    if activity.appointment is not None:
        return activity.appointment.end
    try:
        found = datetime.fromisoformat(activity.spec.details.get("appointmentEnd", ""))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _silence(activity: FieldActivity) -> OrderProblem:
    by = "" if activity.answer_by is None else f" by {activity.answer_by.isoformat()}"
    action = "complete or cancel the visit by hand, cancel the order, or retry to go on waiting"
    if activity.state is S.APPOINTMENT:
        text = f"no appointment{by}"
        action = "retry to ask again, or update the order with appointmentStart, appointmentEnd"
    elif activity.cancel_asked:
        text = f"no answer to the wish to cancel{by}"
    else:
        started = activity.progress is FieldProgress.STARTED
        text = f"{'the crew started, and no' if started else 'no'} report has come{by}"
    return OrderProblem(code="visit_overdue", text=text, action=action)


def field_child_state(activity: FieldActivity) -> ChildState:
    """The visit's state on the scale that orders know."""
    if activity.state is S.COMMUNICATION:
        return _BY_PROGRESS[activity.progress]
    return _CHILD_STATES[activity.state]


_BY_PROGRESS: Final = MappingProxyType(
    {
        FieldProgress.NOT_SENT: ChildState.SENDING,
        FieldProgress.SENT: ChildState.SENT,
        FieldProgress.STARTED: ChildState.STARTED,
    }
)
_CHILD_STATES: Final = MappingProxyType(
    {
        S.PENDING: ChildState.QUEUED,
        S.VALIDATE: ChildState.QUEUED,
        S.VALIDATION_ERROR: ChildState.VALIDATION_ERROR,
        S.APPOINTMENT: ChildState.QUEUED,
        S.APPOINTMENT_ERROR: ChildState.COMMUNICATION_ERROR,
        S.COMMUNICATION_ERROR: ChildState.COMMUNICATION_ERROR,
        S.RESPONSE_ERROR: ChildState.RESPONSE_ERROR,
        S.COMPLETION: ChildState.STARTED,
        S.COMPLETION_ERROR: ChildState.COMPLETION_ERROR,
        S.COMPLETED: ChildState.COMPLETED,
        S.CANCELED: ChildState.CANCELED,
        S.DISCARDED: ChildState.DISCARDED,
    }
)
