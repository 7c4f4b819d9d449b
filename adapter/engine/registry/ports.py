"""What goes into the registry by an import, what is known before, what is left alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapter.model.device import Device, InstallEvent, ServicePoint
from adapter.model.ids import DeviceId, ServicePointId

Named = tuple[str, ...]
"""Which member of an import: its list, and what it is known by there."""


def named(member: Device | ServicePoint | InstallEvent) -> Named:
    match member:
        case Device(id=device):
            return ("device", device)
        case ServicePoint(id=point):
            return ("service_point", point)
        case InstallEvent():
            at = member.installed_at.timestamp()
            return ("install", member.device, member.service_point, f"{at:.6f}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """Master data to load.

    `said` names the fields that a member was given with; a member that is not in it says all of
    its fields. A field that is not said stays as the registry has it. `rows` is where in its file
    each device stood.
    """

    devices: tuple[Device, ...] = ()
    service_points: tuple[ServicePoint, ...] = ()
    installs: tuple[InstallEvent, ...] = ()
    said: Mapping[Named, frozenset[str]] = field(default_factory=dict, compare=False)
    rows: Mapping[DeviceId, int] = field(default_factory=dict, compare=False)

    def says(self, member: Device | ServicePoint | InstallEvent, name: str) -> bool:
        told = self.said.get(named(member))
        return told is None or name in told


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the registry has that an import is about.

    devices         those that the import names, and those that name an endpoint of theirs
    service_points  those that it names
    installs        all install events of these devices, and the open ones at these service points,
                    by device, time and service point
    twins           by list and id, of those that are new: the known id that people take it for
    """

    devices: Mapping[DeviceId, Device] = field(default_factory=dict)
    service_points: Mapping[ServicePointId, ServicePoint] = field(default_factory=dict)
    installs: tuple[InstallEvent, ...] = ()
    twins: Mapping[Named, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportDifference:
    """A field of which the file says otherwise than the registry, and why it was left alone; of
    one that was overridden the `reason` that was given."""

    subject: str
    """The device, or the service point where the field is one of a service point."""
    field: str
    stored: str
    given: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What became of an import: how many members it had, what was left alone, what overridden."""

    devices: int
    service_points: int
    installs: int
    left_alone: tuple[ImportDifference, ...] = ()
    overridden: tuple[ImportDifference, ...] = ()
