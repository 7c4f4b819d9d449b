"""The rules that a field activity has to keep in Validate: task, duplicate, conflict, restriction.

Documented: that each task type says which other tasks are its duplicates and conflicts, whether
they are allowed, and a threshold in hours. What the threshold is counted from is ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from adapter.orders.activities import ChildKind
from adapter.orders.field_activity import FieldActivity
from adapter.orders.order import OrderProblem, View
from adapter.orders.tasks import AS_SHIPPED, Appointment, FieldTask, field_task

ALLOW_OVERLAP: Final = "allowOverlap"
"""The element of an order by which people say "true": they know of the other work. Ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherTask:
    """Another field activity at the same service point. `done_at` is when its work was done; one
    that ended without being done is none."""

    id: str
    task: str
    created_at: datetime
    done_at: datetime | None = None


def field_problems(
    activity: FieldActivity,
    view: View,
    others: Sequence[OtherTask],
    valid_tasks: frozenset[str] | None = None,
    changed: Mapping[str, FieldTask] = AS_SHIPPED,
) -> tuple[OrderProblem, ...]:
    """The rules of Validate that the visit breaks: task, duplicate, conflict, restriction.

    `valid_tasks` are those of the service point type, where the site enforces them (documented);
    `changed` the task types that the site has changed.
    """
    task = field_task(activity.spec.task, changed)
    if task is None:
        return (OrderProblem(code="field_task", text=f"unknown field task {activity.spec.task}"),)
    problems: list[OrderProblem] = []
    if valid_tasks is not None and task.name not in valid_tasks:
        kind = view.service_point.sp_type
        problems.append(
            OrderProblem(code="field_task", text=f"{task.name} is not valid for {kind}")
        )
    if activity.spec.details.get(ALLOW_OVERLAP) != "true":
        problems += _overlapping(activity, task, view, others)
    if view.restricted and task.disconnects:
        text = f"nothing may be disconnected here: {view.restricted}"
        problems.append(OrderProblem(code="restricted", text=text))
    return tuple(problems)


def _overlapping(
    activity: FieldActivity, task: FieldTask, view: View, others: Sequence[OtherTask]
) -> list[OrderProblem]:
    """Open work created within the threshold; and work done within it, as a duplicate only: what
    was done contradicts nothing any more, but to do it again may be a mistake."""
    problems: list[OrderProblem] = []
    for code, overlap in (("duplicate", task.duplicates), ("conflict", task.conflicts)):
        if overlap.allowed:
            continue
        since = activity.created_at - timedelta(hours=overlap.hours)
        open_ = (each for each in others if each.done_at is None)
        hit = next((o for o in open_ if o.task in overlap.tasks and o.created_at >= since), None)
        last = _last_done(view, others) if code == "duplicate" else None
        if hit is not None:
            text = f"{hit.task} {hit.id} is open here since {hit.created_at.isoformat()}"
            problems.append(OrderProblem(code=code, text=text, action=_ACTION))
        elif last and last.task in overlap.tasks and last.done_at and last.done_at >= since:
            text = f"{last.task} {last.id} was done here at {last.done_at.isoformat()}"
            problems.append(OrderProblem(code=code, text=text, action=_ACTION))
    return problems


_ACTION: Final = (
    f"look at the other work, then retry, or update the order with {ALLOW_OVERLAP}=true"
)


def _last_done(view: View, others: Sequence[OtherTask]) -> OtherTask | None:
    """The last work that was done at the service point, where it was not this order's own."""
    done = [(each.done_at, each) for each in others if each.done_at is not None]
    if not done:
        return None
    at, last = max(done, key=lambda pair: pair[0])
    own = (c.ended_at for c in view.children if c.completed and c.spec.kind is ChildKind.FIELD)
    return None if any(ended is not None and ended > at for ended in own) else last


def needs_appointment(
    activity: FieldActivity, changed: Mapping[str, FieldTask] = AS_SHIPPED
) -> bool:
    """Whether the task type requires one and the order brought none along."""
    task = field_task(activity.spec.task, changed)
    booked = activity.appointment is not None or "appointmentStart" in activity.spec.details
    return task is not None and task.appointment is Appointment.REQUIRED and not booked
