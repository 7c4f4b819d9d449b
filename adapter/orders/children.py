"""Field activities and waits: the children of an order that this program itself carries through.

Documented: the field activity's states up to Communication In Progress, its acknowledgement, the
duplicate, conflict and restriction checks, the two lists of completion events, the change message,
the flag "Allow Child to Transition Parent Activity" that a validation error sets. The rest of the
lifecycle follows a sibling product (inferred); the waits are ours in their detail.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from adapter.errors import IllegalTransition
from adapter.model.ids import OrderId
from adapter.orders.completion import CompletionReport
from adapter.orders.field_events import (
    AcknowledgeField,
    AppointmentBooked,
    AppointmentNeeded,
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
    FieldRejected,
    FieldRetried,
    FieldSent,
    FieldValidated,
    FieldWork,
    MessageKind,
    OpenFieldTodo,
    PushParent,
    Rescheduled,
    SendFailed,
    SendMessage,
    Slot,
    TellAppointment,
    WakeParent,
    WorkCanceled,
    WorkReported,
)
from adapter.orders.order import ChildId, ChildSpec, ChildState, Problem, View
from adapter.orders.tasks import Appointment, field_task


class FieldState(StrEnum):
    PENDING = "Pending"
    VALIDATE = "Validate"
    VALIDATION_ERROR = "Validation Error"
    APPOINTMENT = "Appointment"
    COMMUNICATION = "Communication In Progress"
    COMMUNICATION_ERROR = "Communication Error"
    COMPLETION = "Execute Completion Events"
    COMPLETION_ERROR = "Completion Error"
    COMPLETED = "Completed"
    CANCELED = "Canceled"
    DISCARDED = "Discarded"


FIELD_FINAL: Final = frozenset({FieldState.COMPLETED, FieldState.CANCELED, FieldState.DISCARDED})
_ERRORS: Final = frozenset(
    {FieldState.VALIDATION_ERROR, FieldState.COMMUNICATION_ERROR, FieldState.COMPLETION_ERROR}
)


class Progress(StrEnum):
    """How far the field system is with what we sent."""

    NOT_SENT = "not_sent"
    SENT = "sent"
    STARTED = "started"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldActivity:
    """One visit. `messages` counts what was sent out, so that each message has a fixed id."""

    id: ChildId
    order: OrderId
    spec: ChildSpec
    created_at: datetime
    state: FieldState = FieldState.PENDING
    progress: Progress = Progress.NOT_SENT
    may_push: bool = False
    appointment: Slot | None = None
    report: CompletionReport | None = None
    reason: str = ""
    cancel_asked: str = ""
    messages: int = 0
    problem: Problem | None = None
    ended_at: datetime | None = None
    version: int = 0


S = FieldState
FIELD_TRANSITIONS: Final[Mapping[tuple[FieldState, type[FieldEvent]], FieldState]] = (
    MappingProxyType(
        {
            (S.PENDING, FieldOpened): S.VALIDATE,
            (S.PENDING, FieldModified): S.PENDING,
            (S.PENDING, FieldDiscarded): S.DISCARDED,
            (S.VALIDATE, FieldValidated): S.COMMUNICATION,
            (S.VALIDATE, AppointmentNeeded): S.APPOINTMENT,
            (S.VALIDATE, FieldRejected): S.VALIDATION_ERROR,
            (S.VALIDATE, FieldModified): S.VALIDATE,
            (S.VALIDATE, FieldDiscarded): S.DISCARDED,
            (S.VALIDATION_ERROR, FieldRetried): S.VALIDATE,
            (S.VALIDATION_ERROR, FieldModified): S.VALIDATE,
            (S.VALIDATION_ERROR, FieldDiscarded): S.DISCARDED,
            (S.APPOINTMENT, AppointmentBooked): S.COMMUNICATION,
            (S.APPOINTMENT, FieldModified): S.VALIDATE,
            (S.APPOINTMENT, FieldDiscarded): S.DISCARDED,
            (S.COMMUNICATION, FieldSent): S.COMMUNICATION,
            (S.COMMUNICATION, SendFailed): S.COMMUNICATION_ERROR,
            (S.COMMUNICATION, CrewStarted): S.COMMUNICATION,
            (S.COMMUNICATION, Rescheduled): S.COMMUNICATION,
            (S.COMMUNICATION, WorkReported): S.COMPLETION,
            (S.COMMUNICATION, WorkCanceled): S.COMPLETION,
            (S.COMMUNICATION, FieldModified): S.COMMUNICATION,
            (S.COMMUNICATION, FieldCancelAsked): S.COMMUNICATION,
            (S.COMMUNICATION, FieldDiscarded): S.DISCARDED,
            (S.COMMUNICATION_ERROR, FieldRetried): S.COMMUNICATION,
            (S.COMMUNICATION_ERROR, FieldModified): S.COMMUNICATION,
            (S.COMMUNICATION_ERROR, WorkReported): S.COMPLETION,
            (S.COMMUNICATION_ERROR, WorkCanceled): S.COMPLETION,
            (S.COMMUNICATION_ERROR, FieldDiscarded): S.DISCARDED,
            (S.COMPLETION, EventsExecuted): S.COMPLETED,
            (S.COMPLETION, CancelEventsExecuted): S.CANCELED,
            (S.COMPLETION, EventsFailed): S.COMPLETION_ERROR,
            (S.COMPLETION_ERROR, FieldRetried): S.COMPLETION,
            (S.COMPLETION_ERROR, WorkCanceled): S.COMPLETION,
        }
    )
)
"""A visit in completion error cannot be discarded: work was done, and must be recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldStep:
    activity: FieldActivity
    effects: tuple[FieldWork, ...]


def step_field(activity: FieldActivity, event: FieldEvent, *, now: datetime) -> FieldStep:
    """Apply one event. Raises IllegalTransition, and changes nothing, without an arrow."""
    to = FIELD_TRANSITIONS.get((activity.state, type(event)))
    if to is None or (isinstance(event, FieldDiscarded) and activity.progress is not _UNSENT):
        raise IllegalTransition(
            f"field activity {activity.id}: no {type(event).__name__} in {activity.state}"
        )
    changed, effects = _field_change(activity, event, to)
    after = replace(
        changed,
        state=to,
        may_push=activity.may_push or to in _ERRORS,
        problem=changed.problem if to in _ERRORS else None,
        ended_at=now if to in FIELD_FINAL else None,
        messages=activity.messages + sum(isinstance(each, SendMessage) for each in effects),
        version=activity.version + 1,
    )
    return FieldStep(activity=after, effects=(*effects, *_upwards(activity, after)))


_UNSENT: Final = Progress.NOT_SENT


def _upwards(before: FieldActivity, after: FieldActivity) -> tuple[FieldWork, ...]:
    """What the order and people learn of a move: To Dos, a wake-up, or a push where allowed."""
    if after.state is before.state:
        return ()
    effects: list[FieldWork] = []
    if before.state in _ERRORS:
        effects.append(CloseFieldTodo())
    if after.state in _ERRORS and after.problem is not None:
        effects.append(OpenFieldTodo(problem=after.problem))
    if after.state in FIELD_FINAL | _ERRORS or before.state in _ERRORS:
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
        case FieldRejected(problem=problem) | SendFailed(problem=problem):
            return replace(activity, problem=problem), ()
        case EventsFailed(problem=problem):
            return replace(activity, problem=problem), ()
        case FieldSent():
            return _advanced(activity, Progress.SENT), ()
        case CrewStarted():
            return _advanced(activity, Progress.STARTED), ()
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


def _advanced(activity: FieldActivity, to: Progress) -> FieldActivity:
    """A late "sent" never takes a started visit back."""
    order = list(Progress)
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
    effects = () if task is None else (task.successful if successful else task.canceled)
    return ExecuteEvents(effects=effects, report=activity.report, successful=successful)


def _field_retried(
    activity: FieldActivity, event: FieldRetried
) -> tuple[FieldActivity, tuple[FieldWork, ...]]:
    match activity.state:
        case FieldState.VALIDATION_ERROR:
            return activity, (CheckFieldRules(),)
        case FieldState.COMMUNICATION_ERROR:
            return activity, (_message(activity, MessageKind.DISPATCH),)
        case _:
            again = replace(activity, report=event.report or activity.report)
            return again, (_execute(again, successful=not activity.cancel_asked),)


def _modified(
    activity: FieldActivity, event: FieldModified, to: FieldState
) -> tuple[FieldActivity, tuple[FieldWork, ...]]:
    spec = replace(activity.spec, details={**activity.spec.details, **event.details})
    changed = replace(activity, spec=spec)
    if to is S.VALIDATE:
        return changed, (CheckFieldRules(),)
    if activity.state is S.COMMUNICATION_ERROR:
        return changed, (_message(activity, MessageKind.DISPATCH),)
    if activity.state is S.COMMUNICATION and activity.progress is not _UNSENT:
        return changed, (_message(activity, MessageKind.MODIFY, event.details),)
    return changed, ()


def field_child_state(activity: FieldActivity) -> ChildState:
    """The visit's state on the scale that orders know."""
    if activity.state is S.COMMUNICATION:
        return _BY_PROGRESS[activity.progress]
    return _CHILD_STATES[activity.state]


_BY_PROGRESS: Final = MappingProxyType(
    {
        Progress.NOT_SENT: ChildState.SENDING,
        Progress.SENT: ChildState.SENT,
        Progress.STARTED: ChildState.STARTED,
    }
)
_CHILD_STATES: Final = MappingProxyType(
    {
        S.PENDING: ChildState.QUEUED,
        S.VALIDATE: ChildState.QUEUED,
        S.VALIDATION_ERROR: ChildState.VALIDATION_ERROR,
        S.APPOINTMENT: ChildState.QUEUED,
        S.COMMUNICATION_ERROR: ChildState.COMMUNICATION_ERROR,
        S.COMPLETION: ChildState.STARTED,
        S.COMPLETION_ERROR: ChildState.COMPLETION_ERROR,
        S.COMPLETED: ChildState.COMPLETED,
        S.CANCELED: ChildState.CANCELED,
        S.DISCARDED: ChildState.DISCARDED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherTask:
    """Another field activity at the same service point that is not final."""

    id: ChildId
    task: str
    created_at: datetime


def field_problems(
    activity: FieldActivity,
    view: View,
    others: Sequence[OtherTask],
    valid_tasks: frozenset[str] | None = None,
) -> tuple[Problem, ...]:
    """The rules of Validate that the visit breaks: task, duplicate, conflict, restriction.

    `valid_tasks` are those of the service point type, where the site enforces them (documented).
    """
    task = field_task(activity.spec.task)
    if task is None:
        return (Problem(code="field_task", text=f"unknown field task {activity.spec.task}"),)
    problems: list[Problem] = []
    if valid_tasks is not None and task.name not in valid_tasks:
        kind = view.service_point.sp_type
        problems.append(Problem(code="field_task", text=f"{task.name} is not valid for {kind}"))
    for code, overlap in (("duplicate", task.duplicates), ("conflict", task.conflicts)):
        since = activity.created_at - timedelta(hours=overlap.hours)
        hit = next((o for o in others if o.task in overlap.tasks and o.created_at >= since), None)
        if hit is not None and not overlap.allowed:
            problems.append(Problem(code=code, text=f"{hit.task} {hit.id} is open here"))
    if view.restricted and task.disconnects:
        text = f"nothing may be disconnected here: {view.restricted}"
        problems.append(Problem(code="restricted", text=text))
    return tuple(problems)


def needs_appointment(activity: FieldActivity) -> bool:
    """Whether the task type requires one and the order brought none along."""
    task = field_task(activity.spec.task)
    booked = activity.appointment is not None or "appointmentStart" in activity.spec.details
    return task is not None and task.appointment is Appointment.REQUIRED and not booked
