"""The command activity: step(), the one way in, and when it wants attention.

It hands each event on, and has what people ask for: cancel, retry, resolve. Not the arrows
(`transitions.py`), not what the head end's answers bring (`progress.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from adapter.commands import clock_correction, progress, steps
from adapter.commands import communication as communication_steps
from adapter.commands.activity import Command, CompletionState, Outcome, Resolution, State
from adapter.commands.effects import Effect, Publish, ReleaseLanes
from adapter.commands.events import (
    Approved,
    CancelAsked,
    CancelWanted,
    ClockCorrected,
    CommunicationEvent,
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
from adapter.commands.transitions import ACTIVITY_MACHINE, Move, Transition
from adapter.errors import Forbidden, IllegalTransition

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
    _expect(command, event)
    course = Transition(command, type(event), now, policy)
    _take(course, event)
    return Step(command=course.command, effects=tuple(course.effects), moves=tuple(course.moves))


def _expect(command: Command, event: Event) -> None:
    """Raises IllegalTransition in words of people. A communication judges its own events."""
    state, accepted = command.activity.state, ACTIVITY_MACHINE.takes(type(event))
    if isinstance(event, CommunicationEvent) or state in accepted:
        return
    what = _ASKED.get(type(event), type(event).__name__)
    raise IllegalTransition(
        f"command {command.id} is {state}; {what} is for {', '.join(sorted(accepted))}"
    )


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
        case S.COMMUNICATION_IN_PROGRESS if any(
            map(progress.stops_at_expiry, command.communications)
        ):
            times.append(activity.expires_at)
        case _:
            pass
    if activity.next_completion is not None:
        times.append(activity.retry_at or activity.created_at)
    if activity.state in (S.COMMUNICATION_IN_PROGRESS, S.CANCELLING):
        times += [communication_steps.due_at(item) for item in command.communications]
    return min((time for time in times if time is not None), default=None)


def _take(course: Transition, event: Event) -> None:
    match event:
        case Validated():
            progress.validated(course, event)
        case Approved(by=by):
            progress.approved(course, by)
        case CancelAsked(by=by, reason=reason):
            cancel(course, by, reason)
        case RetryAsked():
            retry(course)
        case DiscardAsked(by=by, reason=reason):
            progress.discard_completions(course)
            course.end(S.DISCARDED, Outcome.FAILED, reason or f"discarded by {by}")
        case Resolved():
            resolved(course, event)
        case DataLookedUp():
            progress.looked_up(course, event)
        case CompletionExecuted():
            progress.executed(course, event)
        case CompletionFailed():
            progress.completion_failed(course, event)
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
            progress.communication_moved(course, event)


def _time_passed(course: Transition) -> None:
    activity = course.activity
    match activity.state:
        case S.PENDING | S.VALIDATION_ERROR | S.AWAITING_APPROVAL | S.WAITING_FOR_EFFECTIVE_DATE:
            if activity.expires_at <= course.now:
                course.end(S.DISCARDED, Outcome.EXPIRED, activity.reason or "expired")
        case S.COMMUNICATION_ERROR:
            if activity.hold_until is not None and activity.hold_until <= course.now:
                course.end(S.DISCARDED, Outcome.FAILED, activity.reason)
        case S.COMPLETION_EVENT_ERROR:
            progress.completion_error_due(course)
        case S.COMMUNICATION_IN_PROGRESS | S.CANCELLING:
            progress.communications_due(course)
        case _:
            pass


def cancel(course: Transition, by: str, reason: str) -> None:
    """At once where nothing is under way, else the head end is asked. Raises Forbidden."""
    if steps.unclear(course.command) is not None:
        raise Forbidden("the order's outcome is unclear: it cannot be canceled any more")
    course.set(canceled_by=by)
    open_ones = [item for item in course.command.communications if not item.state.final]
    for communication in open_ones:
        course.move(communication, CancelWanted())
    if all(item.state.final for item in course.command.communications):
        course.end(S.CANCELED, Outcome.CANCELED, reason or f"canceled by {by}")
    else:
        course.to(S.CANCELLING, reason=reason)


def retry(course: Transition) -> None:
    """Again what waits in an error state, as far as it is not done. Raises Forbidden."""
    if course.activity.state is S.COMPLETION_EVENT_ERROR:
        progress.completions_again(course)
        return
    if course.activity.state is S.NEEDS_PERSON:
        _resolved_again(course)
        return
    if course.expired:
        raise Forbidden("the command has expired: a new one is needed")
    redo = (
        course.command.request.nature.leaves is not None
    )  # the checks too: the world has moved on
    parts = course.command.communications if redo else steps.current(course.command)
    for communication in parts:
        course.put(replace(communication, superseded=True))
    if redo:
        course.set(steps_done=())
    course.set(retries=course.activity.retries + 1, outcome=None, reason="", hold_until=None)
    course.to(S.CONNECTION_READY)
    progress.next_step(course)


def _resolved_again(course: Transition) -> None:
    if all(x.state is not CompletionState.ERROR for x in course.activity.completions):
        raise Forbidden("there is nothing to repeat; to order it again needs a new command")
    if course.activity.resolution is None:
        raise Forbidden("two people must first decide what became of it")
    progress.errors_again(course)
    course.set(retry_at=None)


def resolved(course: Transition, event: Resolved) -> None:
    """Two people say what became of an unknown outcome. Raises Forbidden."""
    if event.operator == event.approver or not event.operator or not event.approver:
        raise Forbidden("an unknown outcome is closed by two different people")
    if course.activity.resolution is not None:
        raise Forbidden("this command has been closed already")
    course.set(
        resolution=Resolution(
            done=event.done,
            operator=event.operator,
            approver=event.approver,
            at=course.now,
            note=event.note,
        )
    )
    if not event.done:
        progress.discard_completions(course)
    elif course.activity.completions:
        progress.errors_again(course)
    else:
        course.set(completions=progress.completion_events(course, course.now))
    course.set(retry_at=None)
    course.effects += [Publish(name="resolved", text=event.note), ReleaseLanes()]
