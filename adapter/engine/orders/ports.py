"""What service orders need from outside: a site's rules, their store, measurements, the
requester's system.

A case is one order with everything that is its own: children, requests to cancel or update. It is
loaded, stepped and saved as one, guarded by one version, so that of two who race for it the first
to commit wins and the other looks again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from adapter.engine.commands.ports import AuditNote, Publication
from adapter.engine.listing import ANYBODYS, AskedFilter, Listing
from adapter.engine.orders.field_work import FieldMessage, FieldReport, OpenVisit, OtherWork
from adapter.engine.upkeep.set_aside import SetAside
from adapter.engine.upkeep.todo import Todo
from adapter.errors import GatewayError
from adapter.model.capability import supported_commands
from adapter.model.device import THIS_HEAD_END, Device, InstallEvent, ServicePoint
from adapter.model.ids import CommandId, DeviceId, OrderId, ServicePointId
from adapter.model.measurement import NO_SCHEDULES, CycleSchedule, Measurement
from adapter.orders.algorithms.table import MEASURING
from adapter.orders.algorithms.verdict import NO_CUSTOMS, Customs, Decision
from adapter.orders.configuration import OrdersConfiguration, parse_configuration
from adapter.orders.field_activity import FieldActivity
from adapter.orders.field_activity_rules import OtherTask
from adapter.orders.maintenance import MaintenanceActivity
from adapter.orders.order import (
    ActivityType,
    ChildFact,
    ChildId,
    OpenOrder,
    OrderKind,
    OrderState,
    ServiceOrder,
)
from adapter.orders.replies import RequesterReply
from adapter.orders.tasks import AS_SHIPPED, FieldTask
from adapter.orders.waits import WaitActivity


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRules:
    """How a site orchestrates: matrix and activity types, its own functions, its calendar of reads.

    `valid_tasks` are the field tasks of a service point type, where the site enforces them;
    `tasks` the task types that it has changed; `head_end_commands` what the head end offers, and
    `head_end` its name: a device of another one supports no command here. A
    visit of which nothing is heard for `visit_time_out`, and a message that failed `message_tries`
    times, are left to people.
    """

    configuration: OrdersConfiguration = field(default_factory=lambda: parse_configuration({}))
    customs: Customs = NO_CUSTOMS
    schedules: Mapping[str, CycleSchedule] = field(default_factory=lambda: NO_SCHEDULES)
    valid_tasks: Mapping[str, frozenset[str]] = field(default_factory=dict)
    tasks: Mapping[str, FieldTask] = field(default_factory=lambda: AS_SHIPPED)
    head_end_commands: frozenset[str] = frozenset()
    head_end: str = THIS_HEAD_END
    visit_time_out: timedelta | None = timedelta(hours=72)
    message_tries: int = 10

    def activity_type(self, name: str) -> ActivityType | None:
        return self.configuration.activity_types.get(name)

    def reads_measurements(self, kind: OrderKind) -> bool:
        """Whether an algorithm of such an order may look at measurements."""
        return any(cell.type in MEASURING for cell in self.configuration.matrix[kind])

    def patience(self, order: ServiceOrder) -> timedelta | None:
        """How long the field work system may be silent about a visit of this order."""
        type_ = self.activity_type(order.activity_type)
        if type_ is None or type_.visit_time_out_hours is None:
            return self.visit_time_out
        return timedelta(hours=type_.visit_time_out_hours) or None

    def supported(self, device: Device | None) -> frozenset[str]:
        return supported_commands(device, {}, {self.head_end: self.head_end_commands})


class Child(Struct, frozen=True, kw_only=True, gc=False):
    """One child: what its order knows of it, and what it is besides.

    `command` is None until the gateway has taken it; `field` and `wait` are set for those kinds.
    `leaving` says that a visit's message is being sent at this moment; told by the store.
    """

    fact: ChildFact
    command: CommandId | None = None
    field: FieldActivity | None = None
    wait: WaitActivity | None = None
    leaving: bool = False


class OrderRecord(Struct, frozen=True, kw_only=True, gc=False):
    """`wake` is when somebody has to look at it at the latest; `blocked_by` the order whose end
    lets this one try again; `version` is the stored row's."""

    order: ServiceOrder
    children: tuple[Child, ...] = ()
    requests: tuple[MaintenanceActivity, ...] = ()
    blocked_by: OrderId | None = None
    wake: datetime | None = None
    version: int = 0

    @property
    def facts(self) -> tuple[ChildFact, ...]:
        return tuple(child.fact for child in self.children)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderWorld:
    """The records about one service point as they are now. `removed` has the latest last."""

    service_point: ServicePoint | None = None
    device: Device | None = None
    installed: InstallEvent | None = None
    removed: tuple[tuple[Device, InstallEvent], ...] = ()
    open_orders: tuple[OpenOrder, ...] = ()
    other_tasks: tuple[OtherTask, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallWrite:
    """An install event as it becomes, guarded by its version; `replaces` is a planned one."""

    event: InstallEvent
    replaces: InstallEvent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldWrite:
    """What completion events of field work change. `point_before` guards `point_after`."""

    point_before: ServicePoint | None = None
    point_after: ServicePoint | None = None
    devices: tuple[Device, ...] = ()
    installs: tuple[InstallWrite, ...] = ()
    measurements: tuple[Measurement, ...] = ()

    @property
    def empty(self) -> bool:
        changes = (self.devices, self.installs, self.measurements)
        return self.point_after is None and not any(changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPass:
    """One look at the world as it is kept: the state it was made in, and every decision."""

    order: OrderId
    number: int
    at: datetime
    state: OrderState
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChange:
    """One transaction's worth: all of it happens, or none.

    `holds` says that the order keeps its service point for itself (POINT_TAKEN when another one
    does); `supersedes` are orders that give theirs up for it and are woken; `opens` are orders that
    are made with it. `awaits` is a command of others that has to be over before it is tried again:
    it is woken when nothing is held by that command any more. `unchanged` are the children and
    requests that are stored as they are. `drops` are activities whose unsent messages must not
    leave (LEAVING when one is on its way); `recalls` the same, and `messages` take their place.
    `report` makes a field report known (KNOWN when it is already).
    """

    case: OrderRecord
    holds: bool = False
    unchanged: frozenset[str] = frozenset()
    awaits: CommandId | None = None
    supersedes: tuple[OrderId, ...] = ()
    opens: tuple["NewOrder", ...] = ()
    passes: tuple[OrderPass, ...] = ()
    replies: tuple[RequesterReply, ...] = ()
    messages: tuple[FieldMessage, ...] = ()
    drops: tuple[ChildId, ...] = ()
    recalls: tuple[ChildId, ...] = ()
    report: FieldReport | None = None
    world: WorldWrite = field(default_factory=WorldWrite)
    audit: tuple[AuditNote, ...] = ()
    publications: tuple[Publication, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """An order that is made; `content` is the fingerprint of what it was made from."""

    change: OrderChange
    content: str


class CaseSaved(StrEnum):
    SAVED = "saved"
    MOVED = "moved"
    WORLD_MOVED = "world_moved"
    POINT_TAKEN = "point_taken"
    LEAVING = "leaving"
    KNOWN = "known"
    REFERENCE_TAKEN = "reference_taken"
    """A request's reference belongs to one about another order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """A field message that has its turn. `attempts` counts those that failed."""

    message: FieldMessage
    attempts: int = 0


class MessageState(StrEnum):
    QUEUED = "queued"
    LEAVING = "leaving"
    """Being sent, or was when the process ended: it is sent again, with the same id."""
    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """What to list; None is any. Newest first, `limit` at most, older than `before`."""

    kind: OrderKind | None = None
    state: OrderState | None = None
    service_point: ServicePointId | None = None
    open_only: bool = False
    asked: AskedFilter = ANYBODYS
    before: OrderId | None = None
    limit: int = 50


OrderLook = tuple[OrderRecord, OrderWorld | None]
WorldWanted = Callable[[OrderRecord], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderShown:
    """An order with everything that happened: children, the passes that decided, replies."""

    order: ServiceOrder
    children: tuple[Child, ...]
    passes: tuple[OrderPass, ...]
    replies: tuple[RequesterReply, ...]
    requests: tuple[MaintenanceActivity, ...]


class OrderStore(Protocol):
    """Batch in, batch out; every call is idempotent or guarded. What is set aside is never due."""

    set_aside: SetAside

    async def submit(self, write: OrderChange, content: str) -> tuple[OrderId, bool]:
        """A new case; the requester's known reference gives the known order.

        The second value says whether `content` is what that order was made from.
        """

    async def load(self, orders: Sequence[OrderId]) -> Mapping[OrderId, OrderRecord]: ...

    async def look(self, order: OrderId, wanted: WorldWanted) -> OrderLook | None:
        """The order, and its `world` at the same moment where that is `wanted`."""

    async def save(self, batch: Sequence[OrderChange]) -> Sequence[CaseSaved]: ...

    async def save_and_look(
        self, write: OrderChange, wanted: WorldWanted
    ) -> tuple[CaseSaved, OrderLook | None]:
        """Save, and `look` at what has become of it before anybody else can change it; None where
        it was not saved."""

    async def shown(self, order: OrderId) -> OrderShown | None: ...

    async def world(self, point: ServicePointId, order: OrderId) -> OrderWorld:
        """The service point as it is, and who else is at work there beside `order`."""

    async def due(self, *, limit: int, now: datetime) -> Sequence[OrderId]:
        """Cases whose `wake` has passed, oldest first."""

    async def put_off(self, orders: Sequence[OrderId], now: datetime, until: datetime) -> None:
        """Have those that are due at `now` looked at again by `until`."""

    async def wake(self, orders: Sequence[OrderId], at: datetime) -> None:
        """Have open cases looked at by `at`."""

    async def waiting_for(self, devices: Sequence[DeviceId]) -> Sequence[OrderId]:
        """Orders with an open child on one of the devices."""

    async def waiting_at(self, names: Sequence[str]) -> Sequence[OrderId]:
        """The same for devices that have one of the names as endpoint or as serial number."""

    async def list(self, wanted: OrderFilter) -> Listing[ServiceOrder, OrderId]:
        """A row that cannot be read keeps no other out."""

    async def replies(self, order: OrderId) -> Sequence[RequesterReply]: ...

    async def request(self, requester: str, reference: str) -> MaintenanceActivity | None:
        """The request to cancel or update that this reference has made."""

    async def todo(self, *, limit: int) -> Sequence[Todo]:
        """What waits for people, the most urgent and oldest first."""

    async def order_of(self, child: ChildId) -> OrderId | None: ...

    async def other_work(self, report: FieldReport, news: OtherWork) -> bool:
        """Keep what is told of work that is not ours; False where the report is known."""

    async def report_known(self, report: str) -> bool: ...

    # messages to the field work system
    async def next_messages(
        self, *, limit: int, now: datetime, lease_until: datetime
    ) -> Sequence[OutgoingMessage]:
        """The first unsent message of each activity that is due; they are marked LEAVING."""

    async def settle_message(
        self, message: str, state: MessageState, *, due: datetime | None = None
    ) -> None:
        """SENT, FAILED, or QUEUED again for `due`."""

    async def open_visits(self) -> Sequence[OpenVisit]:
        """Visits that are not over and of which the field work system was sent something."""

    # replies
    async def next_replies(self, *, limit: int, now: datetime) -> Sequence[RequesterReply]:
        """Queued replies that are due, oldest first, of each order the first only."""

    async def drop_reply(self, reply: str) -> None:
        """Give up a reply that cannot be read: those behind it have their turn."""

    async def settle_reply(self, reply: RequesterReply, *, note: AuditNote | None = None) -> bool:
        """The reply as it becomes, after a try or by people; False where it has moved meanwhile."""

    # measurements that crews bring
    async def crew_measurements(
        self, device: DeviceId, start: datetime, end: datetime
    ) -> Sequence[Measurement]: ...


class FinalMeasurements(Protocol):
    """Final measurements: the gateway's own store, or a site's measurement system."""

    async def final(
        self, device: DeviceId, start: datetime, end: datetime, *, near: datetime
    ) -> Sequence[Measurement]:
        """Of those with `start <= at < end`, of each component and condition code at least the
        one nearest to `near` on either side. A site's system may raise anything: it is asked
        again."""


class ReplyRefused(GatewayError):
    """The requester's system will never take this reply as it is; people have to look."""

    code = "reply_refused"


class NoReceiver(GatewayError):
    """Nobody is set up to take replies; the text says what to configure."""

    code = "no_receiver"


class Requester(Protocol):
    """Where replies go: the system that ordered. A reply's id is fixed; it may come twice."""

    async def deliver(self, reply: RequesterReply) -> None:
        """Return when it has the reply. Raises ReplyRefused, NoReceiver, or anything to be asked
        again."""
