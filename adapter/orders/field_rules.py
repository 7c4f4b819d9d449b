"""The rules that a field activity has to keep in Validate: task, duplicate, conflict, restriction.

Documented: that each task type says which other tasks are its duplicates and conflicts, whether
they are allowed, and a threshold in hours. What the threshold is counted from is ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapter.orders.children import FieldActivity
from adapter.orders.order import ChildId, Problem, View
from adapter.orders.tasks import AS_SHIPPED, Appointment, FieldTask, field_task


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
    changed: Mapping[str, FieldTask] = AS_SHIPPED,
) -> tuple[Problem, ...]:
    """The rules of Validate that the visit breaks: task, duplicate, conflict, restriction.

    `valid_tasks` are those of the service point type, where the site enforces them (documented);
    `changed` the task types that the site has changed.
    """
    task = field_task(activity.spec.task, changed)
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


def needs_appointment(
    activity: FieldActivity, changed: Mapping[str, FieldTask] = AS_SHIPPED
) -> bool:
    """Whether the task type requires one and the order brought none along."""
    task = field_task(activity.spec.task, changed)
    booked = activity.appointment is not None or "appointmentStart" in activity.spec.details
    return task is not None and task.appointment is Appointment.REQUIRED and not booked
