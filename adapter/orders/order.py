"""Service orders, the facts they are decided from, and what a decision can be.

Everything here is a value that can be stored as JSON (`persist.py`). Times are UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NewType

from msgspec import Struct

from adapter.commands.activity import UnsureLoadCheck
from adapter.commands.failures import EXPIRED_HELD, LOAD_CHECK_UNSURE, LOAD_SIDE_VOLTAGE
from adapter.commands.flows import CommandKind
from adapter.model.device import (
    Category,
    Device,
    InstallEvent,
    InstallStatus,
    MeasuringComponent,
    ServicePoint,
)
from adapter.model.ids import CommandId, DeviceId, OrderId, ServicePointId
from adapter.model.measurement import Measurement
from adapter.orders.activities import ChildKind
from adapter.orders.algorithms.rows import ParameterRow
from adapter.orders.lookups import BASE, OrderLookups
from adapter.orders.tasks import FieldEffect, field_task

ChildId = NewType("ChildId", str)
"""`{order}.{number}`: creating the same child twice gives the same id."""


def parent_of(child: ChildId) -> OrderId:
    """The order whose child it is, if it is one at all."""
    return OrderId(child.rpartition(".")[0])


NO_FIELDS: Final[Mapping[str, str]] = MappingProxyType({})

CONNECT_NEW_DEVICE: Final = "connectNewDevice"
DO_NOT_CONNECT: Final = "D1NC"
"""Do Not Connect / Turn On; documented."""
DO_CONNECT: Final = "D1CN"
"""Ours: the product's code for "connect" is not published."""

RECONNECT_ORDER: Final = "reconnectOrder"
"""The element of a cut that was paid for too late: the order that reconnects. Ours."""


LOAD_CHECK: Final = "loadCheck"
"""The element that says for one order whether a remote connect is checked first. Ours."""

NETTED_WITH: Final = "nettedWith"
"""The element of two orders that take each other's switching away: the other one. Ours."""

LOAD_CHECK_CAUSES: Final = frozenset({LOAD_SIDE_VOLTAGE, LOAD_CHECK_UNSURE})
"""Why a command that began with a load check did not connect."""


class OrderKind(StrEnum):
    ENABLE = "enable"
    DISABLE = "disable"
    CUT = "cut"
    RECONNECT = "reconnect"
    EXCHANGE = "exchange"
    BACK_TO_BACK = "back_to_back"


class OrderState(StrEnum):
    """The states up to READY are documented; those after it are inferred, except DISCARDED."""

    PENDING = "Pending"
    VALIDATE = "Validate"
    VALIDATION_ERROR = "Validation Error"
    WAITING = "Waiting for Effective Date"
    READY = "Are SP and Device Ready?"
    IN_PROGRESS = "Activity In Progress"
    ACTIVITY_ERROR = "Activity Error"
    RETRY = "Retry"
    COMPLETED = "Completed"
    DISCARDED = "Discarded"


FINAL_STATES: Final = frozenset({OrderState.COMPLETED, OrderState.DISCARDED})
ERROR_STATES: Final = frozenset({OrderState.VALIDATION_ERROR, OrderState.ACTIVITY_ERROR})


class ChildState(StrEnum):
    """Where a child stands, as far as its order needs to know; one scale for all kinds.

    QUEUED: nothing has left. SENDING: its message is being sent. SENT: with the field system or
    the head end. UNCLEAR: a switch order of which nobody knows yet whether it was taken.
    CANCELLING: the head end is asked to cancel it, and how it ends is not known yet. STARTED: the
    crew or the meter is at it. RESPONSE_ERROR: with the field system, which is silent.
    """

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    UNCLEAR = "unclear"
    CANCELLING = "cancelling"
    STARTED = "started"
    VALIDATION_ERROR = "validation_error"
    COMMUNICATION_ERROR = "communication_error"
    RESPONSE_ERROR = "response_error"
    COMPLETION_ERROR = "completion_error"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELED = "canceled"
    DISCARDED = "discarded"


CHILD_FINAL: Final = frozenset(
    {
        ChildState.COMPLETED,
        ChildState.FAILED,
        ChildState.TIMED_OUT,
        ChildState.CANCELED,
        ChildState.DISCARDED,
    }
)
CHILD_ERROR: Final = frozenset(
    {
        ChildState.VALIDATION_ERROR,
        ChildState.COMMUNICATION_ERROR,
        ChildState.RESPONSE_ERROR,
        ChildState.COMPLETION_ERROR,
    }
)


class TimeoutPolicy(StrEnum):
    """What follows a wait for a reading that ended without one. Ours."""

    FIELD_READ = "field_read"
    ERROR = "error"


class LoadCheck(StrEnum):
    """Whether a remote connect is checked for voltage on the load side first. Ours."""

    SUPPORTED = "supported"
    """Where the device supports the detection; elsewhere it is connected without."""
    ALWAYS = "always"
    """A device that does not support it counts as one that gives no answer."""
    NEVER = "never"


class OnLoadSideVoltage(StrEnum):
    """What follows voltage on the load side of a meter that is to be connected. Ours."""

    PEOPLE = "people"
    VISIT = "visit"


class OnUnsureLoadCheck(StrEnum):
    """What follows a load check that gives no answer. Ours."""

    PEOPLE = "people"
    VISIT = "visit"
    CONNECT = "connect"


class Components(StrEnum):
    """Which billing components need a measurement. Ours: the source does not say."""

    ALL = "all"
    FIRST = "first"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityType:
    """What a site configures for one orchestration activity type.

    The two algorithms, the three window settings and the two zones are the source's: `point_rows`
    is "Field Task By Service Point Condition", `device_rows` "Field Task By Device Condition". The
    default values and everything else are ours. `visit_time_out_hours` None is the gateway's own
    setting, 0 never. `load_check_field_task` is the visit of `on_load_side_voltage` and
    `on_unsure_load_check`. `netting` takes needless switching away, see `netting.py`.
    """

    name: str
    kind: OrderKind
    compatibility_algorithm: str = ""
    override_algorithm: str = ""
    within_the_day: bool = False
    minimum_offset_days: int = 1
    maximum_offset_days: int = 7
    components: Components = Components.ALL
    wait_time_out_hours: int = 72
    on_wait_time_out: TimeoutPolicy = TimeoutPolicy.FIELD_READ
    visit_time_out_hours: int | None = None
    pass_bound: int = 20
    require_evidence: bool = False
    reconnect_on_payment: bool = True
    load_check: LoadCheck = LoadCheck.SUPPORTED
    on_load_side_voltage: OnLoadSideVoltage = OnLoadSideVoltage.PEOPLE
    on_unsure_load_check: OnUnsureLoadCheck = OnUnsureLoadCheck.PEOPLE
    load_check_field_task: str = "D1-ServiceInvestigation"
    netting: bool = False
    moratoria: tuple["Moratorium", ...] = ()
    point_rows: tuple[ParameterRow, ...] = ()
    device_rows: tuple[ParameterRow, ...] = ()

    @property
    def wait_time_out(self) -> timedelta:
        return timedelta(hours=self.wait_time_out_hours)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moratorium:
    """Days on which nobody is cut, both included, in the service point's own calendar. Ours."""

    first: date
    last: date
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderProblem:
    """Why an order cannot go on, for people: a stable code, a sentence, the next action.

    `without_supply` says that the order itself took away a customer's supply and has not restored
    it; `order` names the one that blocks this.
    """

    code: str
    text: str
    action: str = ""
    without_supply: bool = False
    order: OrderId | None = None


class ServiceOrder(Struct, frozen=True, kw_only=True, gc=False):
    """One orchestration activity. `version` guards concurrent change.

    `service_at` is the service date/time that measurements are looked for at. `fields` are the
    activity's own elements (connectNewDevice, newDevice, noticeReference, read...), by name.
    `passes` counts children since the last retry by people, of which `first_of_retry` is the
    number before the first; `stop` is why the order must end before another child is created.
    `trace` is the traceparent of its submission; empty: it is not traced.
    """

    id: OrderId
    kind: OrderKind
    service_point: ServicePointId
    activity_type: str
    requester: str
    external_reference: str
    created_at: datetime
    effective_at: datetime
    service_at: datetime
    account: str = ""
    priority: int = 0
    fields: Mapping[str, str] = NO_FIELDS
    state: OrderState = OrderState.PENDING
    state_since: datetime | None = None
    ended_at: datetime | None = None
    passes: int = 0
    children: int = 0
    first_of_retry: int = 0
    awaited_child: ChildId | None = None
    stop: str = ""
    problem: OrderProblem | None = None
    replies: int = 0
    callback_url: str = ""
    trace: str = ""
    version: int = 0

    @property
    def final(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def rests(self) -> bool:
        """It is final, or waits for a person."""
        return self.final or self.state in ERROR_STATES

    def child_id(self, number: int) -> ChildId:
        return ChildId(f"{self.id}.{number}")


class ChildSpec(Struct, frozen=True, kw_only=True, gc=False):
    """The child that an algorithm wants: business object, target, and what it has to carry.

    `override` is the install status that a command's completion sets instead of the usual one,
    `site_status` the site's own name of it.
    A child that is not `blocking` may fail without stopping the order: the algorithm that made it
    has another way. `effects` are those of a field task of a site's own, None those of a base one.
    `due_at` is when a wait ends; `effective_at` when a command or visit may start.
    `check_load`: a connect begins with a load check, and `unsure_load_check` follows one that gives
    no answer.
    """

    business_object: str
    kind: ChildKind
    command: CommandKind | None = None
    task: str = ""
    device: DeviceId | None = None
    override: InstallStatus | None = None
    site_status: str = ""
    blocking: bool = True
    effective_at: datetime | None = None
    due_at: datetime | None = None
    details: Mapping[str, str] = NO_FIELDS
    effects: tuple[FieldEffect, ...] | None = None
    check_load: bool = False
    unsure_load_check: UnsureLoadCheck = UnsureLoadCheck.WAIT

    @property
    def changes(self) -> tuple[FieldEffect, ...]:
        """What the field work changes when it is done."""
        if self.effects is not None:
            return self.effects
        task = field_task(self.task) if self.task else None
        return () if task is None else task.successful

    @property
    def purpose(self) -> tuple[str, str, str]:
        """What makes two children the same work: object, field task, device."""
        return self.business_object, self.task, self.device or ""


class ChildFact(Struct, frozen=True, kw_only=True, gc=False):
    """One child of an order as its algorithms see it. `number` orders them by creation.

    `reason` of a command begins with its cause where a step of it failed. `action` is what people
    can do about its trouble; `may_push` is the flag "Allow Child to Transition Parent Activity"
    (documented). `cell`, `type`, `algorithm`, `row` and `note` are of the decision that made it.
    """

    id: ChildId
    number: int
    spec: ChildSpec
    state: ChildState
    created_at: datetime
    ended_at: datetime | None = None
    algorithm: str = ""
    row: str = ""
    cell: int = 0
    type: str = ""
    note: str = ""
    reason: str = ""
    action: str = ""
    may_push: bool = False

    @property
    def final(self) -> bool:
        return self.state in CHILD_FINAL

    @property
    def completed(self) -> bool:
        return self.state is ChildState.COMPLETED

    @property
    def load_check_cause(self) -> str:
        """Why a load check kept the connect from being sent; "" where none did."""
        cause = self.reason.partition(":")[0]
        held = self.state is ChildState.FAILED and self.spec.check_load
        return cause if held and cause in LOAD_CHECK_CAUSES else ""

    @property
    def expired_held(self) -> bool:
        """Whether its time passed while no switch order might leave: nothing of it has left."""
        return self.state is ChildState.FAILED and self.reason.startswith(EXPIRED_HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A device that was installed at the service point, its install event, what it supports."""

    device: Device
    event: InstallEvent
    capabilities: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """Another order on the same service point that is not final."""

    id: OrderId
    kind: OrderKind
    state: OrderState


class View(Struct, frozen=True, kw_only=True, gc=False):
    """The fresh facts of one pass. Loaded anew each time; nothing is carried from pass to pass.

    `capabilities` are the command kinds that the device type and its head end both support.
    `removed` are former installations, latest last; `children` are in the order of their numbers.
    `scheduled_reads` belong to the service point's measurement cycle. `reading_on_its_way` says
    that an initial measurement is being validated. `disconnect_open` is a disconnect of the device
    that is not this order's and not over; looked for where an order is to give supply back.
    """

    now: datetime
    service_point: ServicePoint
    activity_type: ActivityType
    device: Device | None = None
    installed: InstallEvent | None = None
    removed: tuple[Installation, ...] = ()
    capabilities: frozenset[str] = frozenset()
    measurements: tuple[Measurement, ...] = ()
    scheduled_reads: tuple[datetime, ...] = ()
    reading_on_its_way: bool = False
    disconnect_open: CommandId | None = None
    children: tuple[ChildFact, ...] = ()
    open_orders: tuple[OpenOrder, ...] = ()
    lookups: OrderLookups = BASE

    @property
    def status(self) -> InstallStatus | None:
        """Status of the current install event; None where the device is gone or was never there."""
        if self.installed is None or self.installed.removed_at is not None:
            return None
        return self.installed.status

    @property
    def site_status(self) -> str:
        """The site's own name of the status; "" where it has none, or no longer means that one."""
        if self.installed is None or self.status is None:
            return ""
        name = self.installed.site_status
        return name if self.lookups.statuses.get(name) is self.status else ""

    @property
    def device_installed(self) -> bool:
        """By removal date and by status: production data hold OFF meters that were taken away.

        A Pending install event is a device that is planned and not yet in place (inferred).
        """
        return self.device is not None and self.status not in (
            None,
            InstallStatus.PENDING,
            InstallStatus.REMOVED,
        )

    @property
    def device_expected(self) -> bool:
        """Multi-items have no device records (documented for unbadged items)."""
        return self.service_point.category is not Category.MULTI_ITEM

    @property
    def on(self) -> bool:
        """The device is installed and lets supply through."""
        return self.device_installed and self.installed is not None and self.installed.connected

    @property
    def commissioned(self) -> bool:
        return self.installed is not None and self.installed.commissioned

    @property
    def restricted(self) -> str:
        """Why nothing may be disconnected here, or nothing."""
        if self.service_point.life_support:
            return "life support"
        return "protected list" if self.service_point.protected else ""

    def supports(self, command: CommandKind) -> bool:
        return self.device is not None and self.device.smart and command in self.capabilities

    def billing_components(self) -> tuple[MeasuringComponent, ...]:
        if self.device is None:
            return ()
        found = tuple(each for each in self.device.components if each.billing)
        return found[:1] if self.activity_type.components is Components.FIRST else found

    def of(self, business_object: str) -> tuple[ChildFact, ...]:
        """Own children of that business object, oldest first."""
        return tuple(c for c in self.children if c.spec.business_object == business_object)

    def facts(self) -> Mapping[str, str]:
        """What a decision saw, for the record: names and values, no customer data."""
        point = self.service_point
        ahead = next((at for at in self.scheduled_reads if at >= self.now), None)
        more = {
            "spType": point.sp_type,
            "restricted": self.restricted,
            "removedDevices": " ".join(each.device.id for each in self.removed),
            "disconnectOpen": self.disconnect_open or "",
            "readingOnItsWay": "true" if self.reading_on_its_way else "",
            "nextScheduledRead": ahead.isoformat() if ahead is not None else "",
        }
        return {
            **{name: value for name, value in more.items() if value},
            "servicePointConnected": str(point.connected).lower(),
            "disconnectLocation": point.disconnect_location.value,
            "deviceInstalledAtSP": str(self.device_installed).lower(),
            "installationEventStatus": self.site_status or self.status or "-",
            "spTypeCategory": point.category.value,
            "device": self.device.id if self.device is not None else "-",
            "commands": " ".join(sorted(self.capabilities)) or "-",
        }
