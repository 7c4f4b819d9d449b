"""What scheduled reads need from the store, and what is reported of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from adapter.commands.activity import Outcome, State, Tally
from adapter.engine.commands.ports import AuditNote
from adapter.engine.upkeep.set_aside import SetAside
from adapter.model.ids import CommandId, DeviceId, EndpointId
from adapter.schedules.recurrence import Window
from adapter.schedules.schedule import ReadSchedule, ScheduleId, ScheduleState


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedWindow:
    """One request that a schedule made. `expected` devices were in the group then. `missed` lies
    unread before it, `skipped` windows of it: catch-up is off or bounded."""

    number: int
    covers: Window
    missed: Window | None
    command: CommandId
    at: datetime
    expected: int
    skipped: int = 0


class ReadResult(StrEnum):
    """How the read of one expected device ended, in the order in which reports list them."""

    MISSING = "missing"
    FAILED = "failed"
    UNKNOWN = "unknown"
    WAITING = "waiting"
    """It has not ended."""
    SUCCEEDED = "succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRead:
    device: DeviceId
    endpoint: EndpointId
    result: ReadResult
    reason: str = ""
    incomplete: str = ""
    """It was read, but came with so many of its blocks only, as `2 of 3 blocks`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowReport:
    """What became of one window: the tally's four add up to the devices that were expected."""

    window: IssuedWindow
    state: State
    outcome: Outcome | None
    tally: Tally
    waiting: int
    """Expected devices of which nothing is known yet."""
    incomplete: int | None = None
    """Devices that were read, but not with all their blocks; None: they were not counted."""
    devices: tuple[DeviceRead, ...] = ()
    next: str | None = None
    """Leads to the devices after these; None: there are none."""


class ScheduleStore(Protocol):
    set_aside: SetAside

    async def put_schedule(
        self,
        schedule: ReadSchedule,
        *,
        audit: Sequence[AuditNote] = (),
        window: IssuedWindow | None = None,
    ) -> bool:
        """Save it, with the window that was issued. False: it moved since it was loaded.

        A schedule of version 0 is new.
        """

    async def schedules(
        self,
        *,
        state: ScheduleState | None = None,
        after: ScheduleId | None = None,
        limit: int = 50,
    ) -> Sequence[ReadSchedule]: ...

    async def schedule(self, schedule: ScheduleId) -> ReadSchedule | None: ...

    async def due_schedules(self, *, now: datetime, limit: int) -> Sequence[ReadSchedule]: ...

    async def windows(
        self, schedule: ScheduleId, *, before: int | None = None, limit: int = 50
    ) -> Sequence[IssuedWindow]:
        """Newest first."""
