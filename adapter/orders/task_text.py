"""What a site changes of the field task types: `[field_task.D1-InstallMeter]` of its orders file.

Appointment, duplicates, conflicts and the completion events of a cancelled visit are the site's to
say (documented as attributes of the task type). The events of a successful one stay: the algorithms
count on them.
"""

from collections.abc import Mapping
from dataclasses import replace

from adapter.errors import SettingsError, meant
from adapter.orders.configuration import Table
from adapter.orders.tasks import (
    FIELD_TASKS,
    Appointment,
    FieldEffect,
    FieldTask,
    Overlap,
    field_task,
)

_KEYS = ("appointment", "when_canceled", "duplicates", "conflicts")


def changed_tasks(raw: Mapping[str, object]) -> Mapping[str, FieldTask]:
    """The task types as the site has them, by name. Raises SettingsError naming the place."""
    read = Table("field_task", raw)
    found: dict[str, FieldTask] = {}
    for name in raw:
        task = field_task(name)
        if task is None:
            raise read.fail(name, f"is not a known field task type{meant(name, FIELD_TASKS)}")
        found[task.name] = _changed(task, Table(f"field_task.{name}", read.table(name)))
    return found


def _changed(task: FieldTask, read: Table) -> FieldTask:
    read.only(*_KEYS)
    return replace(
        task,
        appointment=read.choice("appointment", Appointment, task.appointment),
        canceled=_effects(read) if "when_canceled" in read.raw else task.canceled,
        duplicates=_overlap(read, "duplicates", task.duplicates),
        conflicts=_overlap(read, "conflicts", task.conflicts),
    )


def _effects(read: Table) -> tuple[FieldEffect, ...]:
    known = {each.value: each for each in FieldEffect}
    names = read.lines("when_canceled")
    for name in names:
        if name not in known:
            raise read.fail("when_canceled", f"{name} is not one of {', '.join(known)}")
    return tuple(known[name] for name in names)


def _overlap(read: Table, key: str, plain: Overlap) -> Overlap:
    """`{ allowed = false, hours = 48, tasks = [...] }`; what is left out stays."""
    if key not in read.raw:
        return plain
    inner = Table(f"{read.where}, {key}", read.table(key))
    inner.only("allowed", "hours", "tasks")
    return Overlap(
        allowed=inner.flag("allowed", plain.allowed),
        hours=inner.whole("hours", plain.hours),
        tasks=_names(inner) if "tasks" in inner.raw else plain.tasks,
    )


def _names(read: Table) -> frozenset[str]:
    found = []
    for name in read.lines("tasks"):
        task = field_task(name)
        if task is None:
            raise SettingsError(f"{read.where}, tasks: {name} is not a known field task type")
        found.append(task.name)
    return frozenset(found)
