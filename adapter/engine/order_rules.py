"""How a site orchestrates its service orders, as the engine needs it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapter.model.capability import supported_commands
from adapter.model.device import Device
from adapter.model.measurement import NO_SCHEDULES, ReadSchedule
from adapter.orders.configuration import OrdersConfiguration, parse_configuration
from adapter.orders.order import (
    ActivityType,
)
from adapter.orders.verdict import NO_CUSTOMS, Customs


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRules:
    """How a site orchestrates: matrix and activity types, its own functions, its calendar of reads.

    `valid_tasks` are the field tasks of a service point type, where the site enforces them;
    `head_end_commands` what the head end offers.
    """

    configuration: OrdersConfiguration = field(default_factory=lambda: parse_configuration({}))
    customs: Customs = NO_CUSTOMS
    schedules: Mapping[str, ReadSchedule] = field(default_factory=lambda: NO_SCHEDULES)
    valid_tasks: Mapping[str, frozenset[str]] = field(default_factory=dict)
    head_end_commands: frozenset[str] = frozenset()

    def activity_type(self, name: str) -> ActivityType | None:
        return self.configuration.activity_types.get(name)

    def supported(self, device: Device | None) -> frozenset[str]:
        if device is None:
            return frozenset()
        return supported_commands(device, {}, {device.head_end: self.head_end_commands})
