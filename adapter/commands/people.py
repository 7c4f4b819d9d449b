"""What people do to a command: cancel, try again, close an unknown outcome."""

from dataclasses import replace

from adapter.commands import acceptance, communication, ending, steps
from adapter.commands.activity import CompletionState, Resolution, State, Verdict
from adapter.commands.course import Course
from adapter.commands.effects import Publish, ReleaseLanes
from adapter.commands.events import Resolved
from adapter.errors import Forbidden

S = State


def cancel(course: Course, by: str, reason: str) -> None:
    """At once where nothing is under way, else the head end is asked. Raises Forbidden."""
    if steps.unclear(course.command) is not None:
        raise Forbidden("the order's outcome is unclear: it cannot be canceled any more")
    course.set(canceled_by=by)
    open_ones = [item for item in course.command.exchanges if not item.state.final]
    for exchange in open_ones:
        course.put(communication.want_cancel(exchange, now=course.now))
    if all(item.state.final for item in course.command.exchanges):
        course.end(S.CANCELED, Verdict.CANCELED, reason or f"canceled by {by}")
    else:
        course.to(S.CANCELLING, reason=reason)


def retry(course: Course) -> None:
    """Again what waits in an error state, as far as it is not done. Raises Forbidden."""
    if course.activity.state is S.COMPLETION_EVENT_ERROR:
        ending.completions_again(course)
        return
    if course.activity.state is S.NEEDS_PERSON:
        _resolved_again(course)
        return
    if course.expired:
        raise Forbidden("the command has expired: a new one is needed")
    redo = (
        course.command.request.nature.leaves is not None
    )  # the checks too: the world has moved on
    parts = course.command.exchanges if redo else steps.current(course.command)
    for exchange in parts:
        course.put(replace(exchange, superseded=True))
    if redo:
        course.set(steps_done=())
    course.set(retries=course.activity.retries + 1, verdict=None, reason="", hold_until=None)
    course.to(S.CONNECTION_READY)
    acceptance.next_step(course)


def _resolved_again(course: Course) -> None:
    if all(x.state is not CompletionState.ERROR for x in course.activity.completions):
        raise Forbidden("there is nothing to repeat; to order it again needs a new command")
    if course.activity.resolution is None:
        raise Forbidden("two people must first decide what became of it")
    ending.errors_again(course)
    course.set(retry_at=None)


def resolved(course: Course, event: Resolved) -> None:
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
        ending.discard_completions(course)
    elif course.activity.completions:
        ending.errors_again(course)
    else:
        course.set(completions=ending.completion_events(course, course.now))
    course.set(retry_at=None)
    course.effects += [Publish(name="resolved", text=event.note), ReleaseLanes()]
