"""What goes into the registry by an import, what is known before, what is left alone; and what is
asked of service points."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from adapter.model.device import Device, InstallEvent, ServicePoint
from adapter.model.ids import CommandId, DeviceId, ServicePointId
from adapter.model.supply import PointView

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
    switching       the connect or disconnect that has left for the meter of a device and is not
                    over
    """

    devices: Mapping[DeviceId, Device] = field(default_factory=dict)
    service_points: Mapping[ServicePointId, ServicePoint] = field(default_factory=dict)
    installs: tuple[InstallEvent, ...] = ()
    twins: Mapping[Named, str] = field(default_factory=dict)
    switching: Mapping[DeviceId, CommandId] = field(default_factory=dict)


def looks_like(new: str, known: str) -> str:
    """What is wrong with a new id that people take for one of the registry, at every door."""
    return f"{new} looks like {known}, which the registry has"


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


POINT_CHANGED: Final = "ServicePointChanged"
"""The action of the audit entries that say what field work, or an import with a reason, changed."""


def point_subject(point: ServicePointId) -> str:
    """What those entries are about."""
    return f"service_point:{point}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PointFilter:
    """What to list; None is any. By id, `limit` at most, behind `after`.

    supplied   whether supply gets through to the customer
    connected  the source status
    bare       without a device
    """

    supplied: bool | None = None
    connected: bool | None = None
    bare: bool | None = None
    sp_type: str | None = None
    after: ServicePointId | None = None
    limit: int = 50

    def passes(self, view: PointView) -> bool:
        return (
            self.supplied in (None, view.supply.on)
            and self.connected in (None, view.service_point.connected)
            and self.bare in (None, view.current is None)
            and self.sp_type in (None, view.service_point.sp_type)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PointPage:
    """`next` is where the page after this one begins: behind it. A page may be short, even empty,
    and have one all the same."""

    rows: tuple[PointView, ...]
    next: ServicePointId | None = None


class ServicePointStore(Protocol):
    async def point(self, point: ServicePointId) -> PointView | None: ...

    async def points(self, wanted: PointFilter) -> PointPage: ...
