"""The command activity: step(), and when it wants attention. The arrows are in `transitions.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from adapter.commands import acceptance, clock_correction, communication, ending, people, progress
from adapter.commands.activity import Command, State, Verdict
from adapter.commands.course import Course, Move
from adapter.commands.effects import Effect
from adapter.commands.events import (
    Approved,
    CancelAsked,
    ClockCorrected,
    CompletionExecuted,
    CompletionFailed,
    DataLookedUp,
    DiscardAsked,
    Event,
    LateNotified,
    Resolved,
    RetryAsked,
    TimePassed,
    Validated,
)
from adapter.commands.timing import Policy
from adapter.commands.transitions import ACCEPTS
from adapter.errors import IllegalTransition

S = State

_ASKED: Final[Mapping[type[Event], str]] = MappingProxyType(
    {
        Approved: "approve",
        CancelAsked: "cancel",
        RetryAsked: "retry",
        DiscardAsked: "discard",
        Resolved: "resolve",
    }
)
"""What people ask for, in their words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    command: Command
    effects: tuple[Effect, ...] = ()
    moves: tuple[Move, ...] = ()


def step(command: Command, event: Event, *, now: datetime, policy: Policy) -> Step:
    """Apply one event. Raises IllegalTransition or Forbidden, and then changes nothing."""
    state = command.activity.state
    accepted = ACCEPTS.get(type(event))
    if accepted is not None and state not in accepted:
        what = _ASKED.get(type(event), type(event).__name__)
        raise IllegalTransition(
            f"command {command.id} is {state}; {what} is for {', '.join(sorted(accepted))}"
        )
    course = Course(command, now, policy)
    _take(course, event)
    return Step(command=course.command, effects=tuple(course.effects), moves=tuple(course.moves))


def wake_of(command: Command) -> datetime | None:
    """When the command next needs attention by itself; None: only events move it."""
    activity = command.activity
    times: list[datetime | None] = []
    match activity.state:
        case S.PENDING | S.VALIDATION_ERROR | S.AWAITING_APPROVAL:
            times.append(activity.expires_at)
        case S.WAITING_FOR_EFFECTIVE_DATE:
            times += [activity.effective_at, activity.expires_at]
        case S.COMMUNICATION_ERROR:
            times.append(activity.hold_until)
        case S.COMPLETION_EVENT_ERROR:
            times += [activity.retry_at, activity.hold_until]
        case S.WAITING_FOR_MEASUREMENT:
            times += [activity.retry_at, activity.window_until]
        case S.COMMUNICATION_IN_PROGRESS if any(map(progress.stops_at_expiry, command.exchanges)):
            times.append(activity.expires_at)
        case _:
            pass
    if activity.next_completion is not None:
        times.append(activity.retry_at or activity.created_at)
    if activity.state in (S.COMMUNICATION_IN_PROGRESS, S.CANCELLING):
        times += [communication.due_at(item) for item in command.exchanges]
    return min((time for time in times if time is not None), default=None)


def _take(course: Course, event: Event) -> None:
    match event:
        case Validated():
            acceptance.validated(course, event)
        case Approved(by=by):
            acceptance.approved(course, by)
        case CancelAsked(by=by, reason=reason):
            people.cancel(course, by, reason)
        case RetryAsked():
            people.retry(course)
        case DiscardAsked(by=by, reason=reason):
            ending.discard_completions(course)
            course.end(S.DISCARDED, Verdict.FAILED, reason or f"discarded by {by}")
        case Resolved():
            people.resolved(course, event)
        case DataLookedUp():
            ending.looked_up(course, event)
        case CompletionExecuted(event=event_id):
            ending.executed(course, event_id)
        case CompletionFailed(event=event_id, error=error):
            ending.completion_failed(course, event_id, error)
        case LateNotified():
            progress.late_notice(course, event)
        case TimePassed():
            _time_passed(course)
        case ClockCorrected(ahead_s=ahead_s, by_wrong_clock=wrong):
            course.command = clock_correction.corrected(
                course.command,
                now=course.now,
                ahead_s=ahead_s,
                by_wrong_clock=wrong,
                policy=course.policy,
            )
        case _:
            progress.exchange_moved(course, event)


def _time_passed(course: Course) -> None:
    activity = course.activity
    match activity.state:
        case S.PENDING | S.VALIDATION_ERROR | S.AWAITING_APPROVAL | S.WAITING_FOR_EFFECTIVE_DATE:
            if activity.expires_at <= course.now:
                course.end(S.DISCARDED, Verdict.EXPIRED, activity.reason or "expired")
        case S.COMMUNICATION_ERROR:
            if activity.hold_until is not None and activity.hold_until <= course.now:
                course.end(S.DISCARDED, Verdict.FAILED, activity.reason)
        case S.COMPLETION_EVENT_ERROR:
            ending.completion_error_due(course)
        case S.COMMUNICATION_IN_PROGRESS | S.CANCELLING:
            progress.exchanges_due(course)
        case _:
            pass
