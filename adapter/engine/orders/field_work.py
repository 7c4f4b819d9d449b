"""The port to the field work system: what crews are asked, and what they report.

Out: `FieldWork.send`, one message at a time of an activity, in order, each with a fixed id that a
repeated delivery keeps. In: a `FieldReport` handed to `FieldInbox.receive`, which is durable when
it returns; the same report id again changes nothing, so that an adapter may deliver at least once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeAlias

from adapter.engine.upkeep.set_aside import SetAside
from adapter.errors import GatewayError
from adapter.model.device import Category, DisconnectLocation, InstallStatus
from adapter.model.ids import DeviceId, OrderId, ServicePointId
from adapter.orders.field_activity_events import (
    AppointmentBooked,
    CrewStarted,
    MessageKind,
    Rescheduled,
    Slot,
    WorkCanceled,
    WorkReported,
)
from adapter.orders.order import ChildId, OrderKind
from adapter.orders.visit_reason import EarlierWork, VisitReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a crew has to know of the place. No customer's name or address."""

    service_point: ServicePointId
    category: Category
    connected: bool
    disconnect_location: DisconnectLocation
    device: DeviceId | None = None
    status: InstallStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMessage:
    """One message to the field work system. `id` is `{activity}/message/{number}`, for ever.

    `kind` DISPATCH asks for the visit, SLOTS for appointment windows (answered by
    AppointmentBooked), MODIFY carries what changed in `details`, CANCEL asks to cancel: the system
    answers WorkCanceled, CancelRefused, or with the work's own report where it came first.
    `not_before` is when the visit may start, UTC. DISPATCH and SLOTS say `why` a crew is wanted,
    and in `history` what the order had done or tried before.
    """

    id: str
    kind: MessageKind
    number: int
    activity: ChildId
    order: OrderId
    order_kind: OrderKind
    task: str
    site: Site
    created_at: datetime
    not_before: datetime | None = None
    appointment: Slot | None = None
    requester: str = ""
    reference: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    why: VisitReason | None = None
    history: tuple[EarlierWork, ...] = ()


class FieldWorkRefused(GatewayError):
    """The field work system will never take this message; people have to look.

    Any other error of `send` means that it may be tried again. `action` is what they can do.
    """

    code = "field_work_refused"

    def __init__(self, text: str, *, action: str = "") -> None:
        super().__init__(text)
        self.action = action


class FieldWork(Protocol):
    """The field work system. A message that comes again with the same id must change nothing."""

    async def send(self, message: FieldMessage) -> None:
        """Return when the system has it durably. Raises FieldWorkRefused, or anything to retry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRefused:
    """The field work system does not cancel: the crew is at it, or was."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherWork:
    """Field work at a service point that no order of ours asked for; `activity` of its report is
    the field work system's own id. Our visits keep clear of it; its effects on the records come
    with the master data."""

    service_point: ServicePointId
    task: str
    created_at: datetime
    ended_at: datetime | None = None
    done: bool = False


FieldNews: TypeAlias = (
    AppointmentBooked
    | CrewStarted
    | Rescheduled
    | WorkReported
    | WorkCanceled
    | CancelRefused
    | OtherWork
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldReport:
    """Something that happened to a visit. `id` is the field work system's and unique there."""

    id: str
    activity: ChildId
    news: FieldNews
    who: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVisit:
    """A visit that is not over: what the field work system was sent of it, and has reported."""

    messages: tuple[FieldMessage, ...]
    reports: tuple[FieldReport, ...]


class Receipt(StrEnum):
    """What became of a report."""

    APPLIED = "applied"
    REPEATED = "repeated"
    """The id is known: nothing changed."""


class FieldInbox(Protocol):
    """Where adapters hand in reports. `set_aside` is for those that keep reports themselves."""

    set_aside: SetAside

    async def receive(self, report: FieldReport) -> Receipt:
        """Durable when it returns. Raises NotFound for an unknown activity, Conflict for news that
        does not fit the activity's state (kept in the audit; nothing changed), StoreFailed.
        """
