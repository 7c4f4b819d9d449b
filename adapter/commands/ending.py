"""The end of a command: data that was waited for, completion events, the final state."""

from dataclasses import replace
from datetime import datetime

from adapter.commands import accounts, steps
from adapter.commands.activity import CompletionEvent, CompletionState, State, StepKind, Verdict
from adapter.commands.course import Course
from adapter.commands.effects import Publish
from adapter.commands.events import DataLookedUp
from adapter.commands.flows import Completion
from adapter.commands.timing import after, next_try
from adapter.errors import IllegalTransition, NotFound
from adapter.model.ids import EventId

S = State


def finish(course: Course) -> None:
    """All steps are done; a read still waits for its data."""
    request = course.command.request
    if request.nature.reads is not None:
        if accounts.hopeless(course.command):
            course.end(S.DISCARDED, Verdict.FAILED, "no endpoint succeeded")
            return
        until = after(course.now, course.policy.measurement_s)
        course.to(S.WAITING_FOR_MEASUREMENT, window_until=until, retry_at=course.now)
        return
    complete(course)


def complete(course: Course) -> None:
    """The head end's part is over: record what has to change in the registry."""
    acted = [item.acted_at for item in steps.current(course.command) if item.acted_at]
    events = completion_events(course, max(acted, default=course.now))
    if course.activity.verdict is None:
        course.set(verdict=accounts.verdict_of(course.command))
    if events:
        course.to(S.EXECUTING_COMPLETION_EVENTS, completions=events, retry_at=None)
    else:
        _to_completed(course)


def completion_events(course: Course, at: datetime) -> tuple[CompletionEvent, ...]:
    main = course.command.flow.completion
    kinds = () if main is None else (main,)
    if StepKind.READ in course.activity.steps_done:
        kinds = (*kinds, Completion.CREATE_IMD)
    return tuple(
        CompletionEvent(id=EventId(f"{course.command.id}:{kind.value}"), kind=kind, at=at)
        for kind in kinds
    )


def _to_completed(course: Course) -> None:
    verdict = course.activity.verdict or Verdict.SUCCEEDED
    course.end(S.COMPLETED, verdict, course.activity.reason)


def looked_up(course: Course, event: DataLookedUp) -> None:
    """Which endpoints have data by now; what is missing has until the window's end."""
    passed = course.activity.window_until is not None and course.now >= course.activity.window_until
    if event.missing and not passed:
        course.set(retry_at=after(course.now, course.policy.poll_every_s))
        return
    if steps.for_many(course.command.request):
        course.book(accounts.data_found(course.command, event))
    if event.missing and not event.found:
        course.end(S.DISCARDED, Verdict.NO_DATA, "no data arrived within the window")
        return
    complete(course)


def _with_completion(course: Course, event_id: EventId, **changes: object) -> None:
    events = tuple(
        replace(item, **changes) if item.id == event_id else item  # type: ignore[arg-type]
        for item in course.activity.completions
    )
    course.set(completions=events)


def _completion(course: Course, event_id: EventId) -> CompletionEvent:
    found = next((x for x in course.activity.completions if x.id == event_id), None)
    if found is None:
        raise NotFound(f"no completion event {event_id}")
    return found


def executed(course: Course, event_id: EventId) -> None:
    """A completion event is done; with the last one the command is. Raises NotFound."""
    event = _completion(course, event_id)
    if event.state is CompletionState.EXECUTED:
        return
    if event.state is not CompletionState.PENDING:
        raise IllegalTransition(f"{event_id} is {event.state}")
    _with_completion(course, event_id, state=CompletionState.EXECUTED, error="")
    course.effects.append(Publish(name=f"completion.{event.kind.value}"))
    left = [x for x in course.activity.completions if x.state is CompletionState.PENDING]
    if not left and course.activity.state is S.EXECUTING_COMPLETION_EVENTS:
        _to_completed(course)


def completion_failed(course: Course, event_id: EventId, error: str) -> None:
    """A completion event could not be executed: again later, at last by people."""
    event = _completion(course, event_id)
    if event.state is not CompletionState.PENDING:
        raise IllegalTransition(f"{event_id} is {event.state}")
    tries = event.tries + 1
    again = next_try(course.policy.retry, tries, now=course.now)
    if course.activity.state is S.NEEDS_PERSON:
        state = CompletionState.ERROR if again is None else CompletionState.PENDING
        _with_completion(course, event_id, state=state, error=error, tries=tries)
        course.set(retry_at=again)
        if again is None:
            course.alarm(f"completion_failed.{event.kind.value}.{tries}", error)
        return
    _with_completion(course, event_id, state=CompletionState.ERROR, error=error, tries=tries)
    hold = after(course.now, course.policy.hold_s)
    course.to(S.COMPLETION_EVENT_ERROR, reason=error, retry_at=again, hold_until=hold)


def discard_completions(course: Course) -> None:
    for event in course.activity.completions:
        if event.state is not CompletionState.EXECUTED:
            _with_completion(course, event.id, state=CompletionState.DISCARDED)


def errors_again(course: Course) -> None:
    for event in course.activity.completions:
        if event.state is CompletionState.ERROR:
            _with_completion(course, event.id, state=CompletionState.PENDING)


def completions_again(course: Course) -> None:
    errors_again(course)
    course.to(S.EXECUTING_COMPLETION_EVENTS, retry_at=None, hold_until=None, reason="")


def completion_error_due(course: Course) -> None:
    activity = course.activity
    if activity.retry_at is not None and activity.retry_at <= course.now:
        completions_again(course)
    elif activity.hold_until is not None and activity.hold_until <= course.now:
        reason = f"the meter acted, the registry did not follow: {activity.reason}"
        course.end(S.NEEDS_PERSON, Verdict.UNKNOWN, reason)
