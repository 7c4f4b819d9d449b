"""How a site orchestrates its service orders, as the engine needs it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from adapter.model.capability import supported_commands
from adapter.model.device import Device
from adapter.model.measurement import NO_SCHEDULES, ReadSchedule
from adapter.orders.algorithms.verdict import NO_CUSTOMS, Customs
from adapter.orders.configuration import OrdersConfiguration, parse_configuration
from adapter.orders.order import ActivityType, ServiceOrder
from adapter.orders.tasks import AS_SHIPPED, FieldTask


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRules:
    """How a site orchestrates: matrix and activity types, its own functions, its calendar of reads.

    `valid_tasks` are the field tasks of a service point type, where the site enforces them;
    `tasks` the task types that it has changed; `head_end_commands` what the head end offers. A
    visit of which nothing is heard for `visit_time_out`, and a message that failed `message_tries`
    times, are left to people.
    """

    configuration: OrdersConfiguration = field(default_factory=lambda: parse_configuration({}))
    customs: Customs = NO_CUSTOMS
    schedules: Mapping[str, ReadSchedule] = field(default_factory=lambda: NO_SCHEDULES)
    valid_tasks: Mapping[str, frozenset[str]] = field(default_factory=dict)
    tasks: Mapping[str, FieldTask] = field(default_factory=lambda: AS_SHIPPED)
    head_end_commands: frozenset[str] = frozenset()
    visit_time_out: timedelta | None = timedelta(hours=72)
    message_tries: int = 10

    def activity_type(self, name: str) -> ActivityType | None:
        return self.configuration.activity_types.get(name)

    def patience(self, order: ServiceOrder) -> timedelta | None:
        """How long the field work system may be silent about a visit of this order."""
        type_ = self.activity_type(order.activity_type)
        if type_ is None or type_.visit_time_out_hours is None:
            return self.visit_time_out
        return timedelta(hours=type_.visit_time_out_hours) or None

    def supported(self, device: Device | None) -> frozenset[str]:
        if device is None:
            return frozenset()
        return supported_commands(device, {}, {device.head_end: self.head_end_commands})
