"""The lookups that a site may extend: what the gateway comes with, and the site's own values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from adapter.model.device import InstallStatus
from adapter.orders.activities import BUSINESS_OBJECTS, BusinessObject
from adapter.orders.tasks import (
    AS_SHIPPED,
    FIELD_TASKS,
    CancelReason,
    FieldTask,
    RescheduleReason,
    field_task,
)

NO_STATUSES: Final[Mapping[str, InstallStatus]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLookups:
    """`objects` are the activity business objects; `changed_tasks` the field task types that a site
    has changed or has of its own; `statuses` the install statuses of its own, with the one whose
    physical state each means; the reasons are those of D1-CancelReasonLookup and
    D1-RescheduleReasonLookup."""

    objects: Mapping[str, BusinessObject] = field(default_factory=lambda: BUSINESS_OBJECTS)
    changed_tasks: Mapping[str, FieldTask] = field(default_factory=lambda: AS_SHIPPED)

    statuses: Mapping[str, InstallStatus] = field(default_factory=lambda: NO_STATUSES)
    cancel_reasons: tuple[str, ...] = tuple(CancelReason)
    reschedule_reasons: tuple[str, ...] = tuple(RescheduleReason)

    def task(self, name: str) -> FieldTask | None:
        """By its name, whatever its case."""
        return field_task(name, self.changed_tasks)

    def status(self, name: str) -> tuple[InstallStatus, str] | None:
        """The status of that name, whatever its case, and the site's own name where it is one."""
        for own, meant in self.statuses.items():
            if own.casefold() == name.casefold():
                return meant, own
        known = (each for each in InstallStatus if each.value.casefold() == name.casefold())
        return next(((each, "") for each in known), None)

    @property
    def status_names(self) -> tuple[str, ...]:
        return (*InstallStatus, *self.statuses)

    @property
    def task_names(self) -> tuple[str, ...]:
        return (*FIELD_TASKS, *(name for name in self.changed_tasks if name not in FIELD_TASKS))


BASE: Final = OrderLookups()
