"""Whether supply gets through at a service point, since when, and what made it so. Pure.

Two places may be open: the source of the service point, which a crew opens and closes, and the
switch of the device there. A point without a device has no supply, but for items that have none.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from adapter.model.device import Category, Device, InstallEvent, InstallStatus, ServicePoint
from adapter.model.ids import DeviceId, EventId

_COMMAND: Final = re.compile(r"([0-9a-z]{26}):D1-.*")
_NOT_THERE: Final = frozenset({InstallStatus.PENDING, InstallStatus.REMOVED})


class SwitchedBy(StrEnum):
    COMMAND = "command"
    CREW = "crew"
    IMPORT = "import"
    """As it was loaded, or corrected by an import."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointChange:
    """What field work, or an import with a reason, changed at a service point; of the audit.

    `cause` is that of the on/off history; `name` the visit, or the import. None: not changed.
    """

    at: datetime
    by: SwitchedBy
    cause: EventId
    name: str
    connected: bool | None = None
    removed: DeviceId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Switching:
    """How something stands, since when, and by what. `cause` is the command, the visit or the
    import, "" where it came with the master data; `since` None and `by` None: nobody has said."""

    on: bool
    since: datetime | None = None
    by: SwitchedBy | None = None
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointView:
    """A service point with all devices that are and were there, the newest installation first, and
    what has changed at it, the oldest first."""

    service_point: ServicePoint
    installs: tuple[tuple[Device, InstallEvent], ...] = ()
    changes: tuple[PointChange, ...] = ()

    @property
    def current(self) -> tuple[Device, InstallEvent] | None:
        """The device that is there; one that is only planned is not."""
        return next((each for each in self.installs if _there(each[1])), None)

    @property
    def source(self) -> Switching:
        """The source status of the service point."""
        on = self.service_point.connected
        change = next((e for e in reversed(self.changes) if e.connected is on), None)
        if change is None:
            return Switching(on=on, by=SwitchedBy.IMPORT)
        return Switching(on=on, since=change.at, by=change.by, cause=change.name)

    @property
    def supply(self) -> Switching:
        """Whether supply gets through to the customer."""
        source, current = self.source, self.current
        if current is not None:
            device = switched(current[1], self.changes)
            return _both(source, device)
        if self.service_point.category is Category.MULTI_ITEM or not source.on:
            return source
        return self._without_device()

    def _without_device(self) -> Switching:
        gone = [event for _, event in self.installs if event.removed_at is not None]
        if not gone:
            return Switching(on=False)
        last = max(gone, key=lambda event: event.removed_at or event.installed_at)
        change = next((e for e in reversed(self.changes) if e.removed == last.device), None)
        return Switching(
            on=False,
            since=last.removed_at,
            by=SwitchedBy.IMPORT if change is None else change.by,
            cause="" if change is None else change.name,
        )


def switched(event: InstallEvent, changes: Sequence[PointChange]) -> Switching:
    """How a device stands, since the first of the last entries of its history that say so."""
    on, entry = event.connected, None
    for each in reversed(event.history):
        if each.on is not on:
            break
        entry = each
    if entry is None:
        return Switching(on=on, since=event.installed_at, by=SwitchedBy.IMPORT)
    by, cause = whose(entry.cause, changes)
    return Switching(on=on, since=entry.at, by=by, cause=cause)


def whose(cause: EventId, changes: Sequence[PointChange]) -> tuple[SwitchedBy, str]:
    """What is behind a cause of an on/off history, by its name."""
    change = next((each for each in changes if each.cause == cause), None)
    if change is not None:
        return change.by, change.name
    command = _COMMAND.fullmatch(cause)
    if command is not None:
        return SwitchedBy.COMMAND, command[1]
    return SwitchedBy.IMPORT, "" if cause == "import" else cause


def _there(event: InstallEvent) -> bool:
    return event.removed_at is None and event.status not in _NOT_THERE


def _both(source: Switching, device: Switching) -> Switching:
    """On since the later of the two; off by the one that is off, the source before the device."""
    if not source.on or not device.on:
        return source if not source.on else device
    if source.since is None or (device.since is not None and device.since >= source.since):
        return device
    return source
