"""A command before its exchanges: judged, approved, due, and on to its next step."""

from adapter.commands import ending, steps
from adapter.commands.activity import State, Verdict
from adapter.commands.course import Course
from adapter.commands.effects import Publish
from adapter.commands.events import Validated
from adapter.errors import Forbidden

S = State


def validated(course: Course, event: Validated) -> None:
    """The rules were asked: refuse, wait for a second person or the effective date, or begin."""
    first = course.activity.state is S.PENDING
    if event.drop_optional:
        course.end(S.DISCARDED, Verdict.CANCELED, "optional, and an opposite command is open")
        return
    texts = tuple(item.text for item in event.violations)
    course.set(violations=texts)
    if texts:
        course.to(S.VALIDATION_ERROR, reason="; ".join(texts))
        return
    if first or course.activity.state is S.VALIDATION_ERROR:
        course.effects.append(Publish(name="received"))
    if event.needs_approval and course.activity.approved_by is None:
        if course.activity.state is not S.AWAITING_APPROVAL:
            course.to(S.AWAITING_APPROVAL, reason="a second person must approve")
        return
    ready(course)


def approved(course: Course, by: str) -> None:
    """Raises Forbidden for the requester."""
    if not by or by == course.command.request.requester:
        raise Forbidden("a second person must approve, not the requester")
    course.set(approved_by=by)
    ready(course)


def ready(course: Course) -> None:
    if course.expired:
        course.end(S.DISCARDED, Verdict.EXPIRED, "expired")
        return
    course.set(reason="", verdict=None)
    if course.activity.effective_at > course.now:
        if course.activity.state is not S.WAITING_FOR_EFFECTIVE_DATE:
            course.to(S.WAITING_FOR_EFFECTIVE_DATE)
        return
    course.to(S.CONNECTION_READY)
    next_step(course)


def next_step(course: Course) -> None:
    """Make the exchanges of the first step that is not done, or come to the end."""
    done = course.activity.steps_done
    remaining = [kind for kind in steps.plan(course.command.request) if kind not in done]
    if not remaining:
        ending.finish(course)
        return
    if course.expired:
        course.end(S.DISCARDED, Verdict.EXPIRED, "expired while in progress")
        return
    made = steps.exchanges(course.command, remaining[0], course.policy, now=course.now)
    if not made:
        course.end(S.DISCARDED, Verdict.FAILED, "there is nobody to send to")
        return
    course.make(made)
    course.to(S.COMMUNICATION_IN_PROGRESS)
