"""The command activity: step(), the one way in, and when it wants attention.

It hands each event on, and has what people ask for: cancel, retry, resolve. Not the arrows
(`transitions.py`), not what the head end's answers bring (`progress.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from adapter.commands import clock_correction, progress, steps
from adapter.commands import communication as communication_steps
from adapter.commands.activity import Activity, Command, CompletionState, Outcome, Resolution, State
from adapter.commands.effects import Effect, ReleaseLanes
from adapter.commands.events import (
    ActivityEvent,
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
from adapter.model.names import alike
from adapter.model.values import replace_struct as replace

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


_DATES: Final[Mapping[State, Callable[[Activity], Sequence[datetime | None]]]] = MappingProxyType(
    {
        S.PENDING: lambda activity: (activity.expires_at,),
        S.VALIDATION_ERROR: lambda activity: (activity.expires_at,),
        S.AWAITING_APPROVAL: lambda activity: (activity.expires_at,),
        S.WAITING_FOR_EFFECTIVE_DATE: lambda activity: (activity.effective_at, activity.expires_at),
        S.COMMUNICATION_ERROR: lambda activity: (activity.hold_until,),
        S.COMPLETION_EVENT_ERROR: lambda activity: (activity.retry_at, activity.hold_until),
        S.WAITING_FOR_MEASUREMENT: lambda activity: (activity.retry_at, activity.window_until),
    }
)
"""The dates of the activity that end a state."""


class Step(Struct, frozen=True, kw_only=True, gc=False):
    command: Command
    effects: tuple[Effect, ...] = ()
    moves: tuple[Move, ...] = ()


def step(command: Command, event: Event, *, now: datetime, policy: Policy) -> Step:
    """Apply one event. Raises IllegalTransition or Forbidden, and then changes nothing."""
    transition = Transition(command, type(event), now, policy)
    if isinstance(event, CommunicationEvent):
        progress.communication_moved(transition, event)
    else:
        _expect(command, event)
        _take(transition, event)
    return Step(
        command=transition.command, effects=tuple(transition.effects), moves=tuple(transition.moves)
    )


def _expect(command: Command, event: ActivityEvent) -> None:
    """Raises IllegalTransition in words of people. A communication judges its own events."""
    state = command.activity.state
    if ACTIVITY_MACHINE.targets(state, type(event)):
        return
    accepted = ACTIVITY_MACHINE.takes(type(event))
    what = _ASKED.get(type(event), type(event).__name__)
    raise IllegalTransition(
        f"command {command.id} is {state}; {what} is for {', '.join(sorted(accepted))}"
    )


def wake_of(command: Command) -> datetime | None:
    """When the command next needs attention by itself; None: only events move it."""
    activity, state = command.activity, command.activity.state
    times: list[datetime | None] = []
    if state in (S.COMMUNICATION_IN_PROGRESS, S.CANCELLING):
        times = [communication_steps.due_at(item) for item in command.communications]
        if state is S.COMMUNICATION_IN_PROGRESS:
            for item in command.communications:
                if progress.stops_at_expiry(item):
                    times.append(activity.expires_at)
                    break
    elif (dates := _DATES.get(state)) is not None:
        times += dates(activity)
    if activity.next_completion is not None:
        times.append(activity.retry_at or activity.created_at)
    return min(filter(None, times), default=None)


def _take(transition: Transition, event: ActivityEvent) -> None:
    match event:
        case Validated():
            progress.validated(transition, event)
        case Approved(by=by, not_before=not_before):
            progress.approved(transition, by, not_before)
        case CancelAsked(by=by, reason=reason):
            cancel(transition, by, reason)
        case RetryAsked():
            retry(transition)
        case DiscardAsked(by=by, reason=reason):
            progress.discard_completions(transition)
            transition.end(S.DISCARDED, Outcome.FAILED, reason or f"discarded by {by}")
        case Resolved():
            resolved(transition, event)
        case DataLookedUp():
            progress.looked_up(transition, event)
        case CompletionExecuted():
            progress.executed(transition, event)
        case CompletionFailed():
            progress.completion_failed(transition, event)
        case LateNotified():
            progress.late_notice(transition, event)
        case TimePassed(held=held):
            transition.held = held
            _time_passed(transition)
        case ClockCorrected(ahead_s=ahead_s, by_wrong_clock=wrong):
            transition.command = clock_correction.corrected(
                transition.command,
                now=transition.now,
                ahead_s=ahead_s,
                by_wrong_clock=wrong,
                policy=transition.policy,
            )


def _time_passed(transition: Transition) -> None:
    activity = transition.activity
    match activity.state:
        case S.PENDING | S.VALIDATION_ERROR | S.AWAITING_APPROVAL | S.WAITING_FOR_EFFECTIVE_DATE:
            if activity.expires_at <= transition.now:
                transition.end(S.DISCARDED, Outcome.EXPIRED, activity.reason or "expired")
        case S.COMMUNICATION_ERROR:
            if activity.hold_until is not None and activity.hold_until <= transition.now:
                transition.end(S.DISCARDED, Outcome.FAILED, activity.reason)
        case S.COMPLETION_EVENT_ERROR:
            progress.completion_error_due(transition)
        case S.COMMUNICATION_IN_PROGRESS | S.CANCELLING:
            progress.communications_due(transition)
        case _:
            pass


def cancel(transition: Transition, by: str, reason: str) -> None:
    """At once where nothing is under way, else the head end is asked. Raises Forbidden."""
    if steps.unclear(transition.command) is not None:
        raise Forbidden("the order's outcome is unclear: it cannot be canceled any more")
    transition.set(canceled_by=by)
    open_ones = [item for item in transition.command.communications if not item.state.final]
    for communication in open_ones:
        transition.move(communication, CancelWanted())
    if all(item.state.final for item in transition.command.communications):
        transition.end(S.CANCELED, Outcome.CANCELED, reason or f"canceled by {by}")
    else:
        transition.to(S.CANCELLING, reason=reason)


def retry(transition: Transition) -> None:
    """Again what waits in an error state, as far as it is not done. Raises Forbidden."""
    if transition.activity.state is S.COMPLETION_EVENT_ERROR:
        progress.completions_again(transition)
        return
    if transition.activity.state is S.NEEDS_PERSON:
        _resolved_again(transition)
        return
    if transition.expired:
        raise Forbidden("the command has expired: a new one is needed")
    redo = (
        transition.command.request.nature.leaves is not None
    )  # the checks too: the world has moved on
    parts = transition.command.communications if redo else steps.current(transition.command)
    for communication in parts:
        transition.put(replace(communication, superseded=True))
    if redo:
        transition.set(steps_done=())
    transition.set(
        retries=transition.activity.retries + 1, outcome=None, reason="", hold_until=None
    )
    transition.to(S.CONNECTION_READY)
    progress.next_step(transition)


def _resolved_again(transition: Transition) -> None:
    if all(x.state is not CompletionState.ERROR for x in transition.activity.completions):
        raise Forbidden("there is nothing to repeat; to order it again needs a new command")
    if transition.activity.resolution is None:
        raise Forbidden("two people must first decide what became of it")
    progress.completions_again(transition)


def resolved(transition: Transition, event: Resolved) -> None:
    """Two people say what became of an unknown outcome. Raises Forbidden."""
    if alike(event.operator, event.approver) or not event.operator or not event.approver:
        raise Forbidden("an unknown outcome is closed by two different people")
    transition.set(
        resolution=Resolution(
            done=event.done,
            operator=event.operator,
            approver=event.approver,
            at=transition.now,
            note=event.note,
        )
    )
    if not event.done:
        progress.discard_completions(transition)
    elif not transition.activity.completions:
        transition.set(completions=progress.completion_events(transition, transition.now))
    if event.done and transition.activity.completions:
        progress.completions_again(transition)
        transition.effects.append(ReleaseLanes())
    else:
        transition.end(S.RESOLVED, Outcome.UNKNOWN, event.note)
