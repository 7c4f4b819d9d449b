"""The lookups that a site may extend: what the gateway comes with, and the site's own values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from adapter.orders.activities import BUSINESS_OBJECTS, BusinessObject
from adapter.orders.tasks import AS_SHIPPED, FIELD_TASKS, FieldTask, field_task


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLookups:
    """`objects` are the activity business objects; `changed_tasks` the field task types that a site
    has changed or has of its own."""

    objects: Mapping[str, BusinessObject] = field(default_factory=lambda: BUSINESS_OBJECTS)
    changed_tasks: Mapping[str, FieldTask] = field(default_factory=lambda: AS_SHIPPED)

    def task(self, name: str) -> FieldTask | None:
        """By its name, whatever its case."""
        return field_task(name, self.changed_tasks)

    @property
    def task_names(self) -> tuple[str, ...]:
        return (*FIELD_TASKS, *(name for name in self.changed_tasks if name not in FIELD_TASKS))


BASE: Final = OrderLookups()
