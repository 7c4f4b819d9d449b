"""Service points, devices and install events, and how a command's completion moves them.

The install statuses are the product's documented ones; the arrows of `INSTALL_TRANSITIONS` are
inferred from them (COMMANDS notes, section 3.3) and are data for that reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from adapter.errors import GatewayError
from adapter.model.ids import DeviceId, EndpointId, EventId, ServicePointId
from adapter.model.values import replace
from adapter.model.whole_numbers import Span

THIS_HEAD_END: Final = "openway"
"""What the gateway's own head end is called where a site names it nothing else."""


class InstallStatus(StrEnum):
    """Option value of an install event's status, as the algorithm parameters spell it."""

    PENDING = "Pending"
    CONN_PRECOMM = "Conn-PreComm"
    PRECONN_COMM = "PreConn-Comm"
    CONN_COMM = "Conn-Comm"
    DISCONN_COMM = "Disconn-Comm"
    CONN_DECOMM = "Conn-Decomm"
    DISCONN_DECOMM = "Disconn-Decomm"
    MANUAL_ON = "ManualOn"
    MANUAL_OFF = "ManualOff"
    REMOVED = "Removed"


CONNECTED: Final = frozenset(
    {
        InstallStatus.CONN_PRECOMM,
        InstallStatus.CONN_COMM,
        InstallStatus.CONN_DECOMM,
        InstallStatus.MANUAL_ON,
    }
)
COMMISSIONED: Final = frozenset(
    {InstallStatus.PRECONN_COMM, InstallStatus.CONN_COMM, InstallStatus.DISCONN_COMM}
)


class InstallEffect(StrEnum):
    """What a completion event does to an install event."""

    COMMISSION = "commission"
    DECOMMISSION = "decommission"
    CONNECT = "connect"
    DISCONNECT = "disconnect"


_S, _E = InstallStatus, InstallEffect
INSTALL_TRANSITIONS: Final[Mapping[tuple[InstallStatus, InstallEffect], InstallStatus]] = (
    MappingProxyType(
        {
            (_S.PENDING, _E.COMMISSION): _S.PRECONN_COMM,
            (_S.PENDING, _E.CONNECT): _S.CONN_PRECOMM,
            (_S.CONN_PRECOMM, _E.COMMISSION): _S.CONN_COMM,
            (_S.PRECONN_COMM, _E.CONNECT): _S.CONN_COMM,
            (_S.PRECONN_COMM, _E.DECOMMISSION): _S.DISCONN_DECOMM,
            (_S.CONN_COMM, _E.DISCONNECT): _S.DISCONN_COMM,
            (_S.CONN_COMM, _E.DECOMMISSION): _S.CONN_DECOMM,
            (_S.DISCONN_COMM, _E.CONNECT): _S.CONN_COMM,
            (_S.DISCONN_COMM, _E.DECOMMISSION): _S.DISCONN_DECOMM,
            (_S.CONN_DECOMM, _E.COMMISSION): _S.CONN_COMM,
            (_S.DISCONN_DECOMM, _E.COMMISSION): _S.DISCONN_COMM,
        }
    )
)


class Category(StrEnum):
    """SP_CATEGORY_FLG: what is measured at a service point."""

    METER = "D1MT"
    ITEM = "D1IT"
    MULTI_ITEM = "D1MI"


class DisconnectLocation(StrEnum):
    """DISCONN_LOC_FLG: where a service point that is not connected is open."""

    SOURCE = "D1SR"
    DEVICE = "D1DV"


class ComponentKind(StrEnum):
    SCALAR = "scalar"
    INTERVAL = "interval"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePoint:
    """Where service is delivered. `connected` is the source status; `protected` bars disconnects.

    `measurement_cycle` names the meter reading schedule; `sp_type` the site's own classification.
    """

    id: ServicePointId
    category: Category = Category.METER
    connected: bool = True
    disconnect_location: DisconnectLocation = DisconnectLocation.DEVICE
    time_zone: str = "UTC"
    life_support: bool = False
    protected: bool = False
    sp_type: str = ""
    measurement_cycle: str = ""


INTERVALS_S: Final = Span(0, 366 * 86_400)
"""Seconds that an interval of a component may have; 0: it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuringComponent:
    """One channel or register of a device that the utility bills or analyses.

    `quantity` is the head end's word ("Wh d"), compared without case and blanks. `unit` and
    `seconds`, the interval length, are what is said of it: "" and 0 where nobody does.
    """

    id: str
    kind: ComponentKind
    quantity: str
    unit: str = ""
    seconds: int = 0
    billing: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A meter or item. `capabilities` names the command kinds it supports; empty means none.

    A meter without an endpoint is a manual meter. `head_end` names the head end that it is at;
    "" is this gateway's own.
    """

    id: DeviceId
    endpoint: EndpointId | None = None
    serial: str = ""
    device_type: str = ""
    head_end: str = ""
    configuration_group: str = ""
    groups: frozenset[str] = frozenset()
    capabilities: frozenset[str] = frozenset()
    components: tuple[MeasuringComponent, ...] = ()
    category: Category = Category.METER

    @property
    def smart(self) -> bool:
        return self.endpoint is not None

    def belongs_to(self, head_end: str) -> bool:
        """Whether it is at this head end. Names are compared without case and outer blanks."""
        named = self.head_end.strip().casefold()
        return not named or named == head_end.strip().casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class OnOff:
    """One entry of an install event's on/off history; `cause` is the completion event."""

    at: datetime
    on: bool
    cause: EventId


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallEvent:
    """A device at a service point. `version` guards concurrent change; times are UTC.

    `site_status` is the site's own name of the status, where a command was asked to set that one;
    `status` says which physical state it means.
    """

    device: DeviceId
    service_point: ServicePointId
    installed_at: datetime
    removed_at: datetime | None = None
    status: InstallStatus = InstallStatus.PENDING
    armed: bool = False
    history: tuple[OnOff, ...] = ()
    version: int = 0
    site_status: str = ""

    @property
    def connected(self) -> bool:
        return self.removed_at is None and self.status in CONNECTED

    @property
    def commissioned(self) -> bool:
        return self.removed_at is None and self.status in COMMISSIONED


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceView:
    """A device with where it stands now; what rules and completion events look at."""

    device: Device
    service_point: ServicePoint | None = None
    installed: InstallEvent | None = None

    @property
    def in_use(self) -> bool:
        """Not removed: what was never installed is waiting to be."""
        return self.installed is None or self.installed.removed_at is None

    @property
    def stands_at(self) -> ServicePointId | None:
        """The service point that it is installed at; None where it is removed, or never was."""
        installed = self.installed
        return installed.service_point if installed is not None and self.in_use else None


class InstallRefused(GatewayError):
    """An install event has no arrow for this effect in its status."""

    code = "install_state"


def allows(installed: InstallEvent | None, effect: InstallEffect) -> bool:
    """Whether `effect` has an arrow from the current status (commission also creates).

    A removed device keeps its last status, so that it can still be decommissioned: the meter that
    an exchange brought back is registered at the head end until then.
    """
    if installed is None:
        return effect is InstallEffect.COMMISSION
    if installed.removed_at is not None and effect is not InstallEffect.DECOMMISSION:
        return effect is InstallEffect.COMMISSION
    return (installed.status, effect) in INSTALL_TRANSITIONS


def override_problem(effect: InstallEffect, status: InstallStatus) -> str:
    """Why the completion of such a command may not set this status instead of the usual one, or
    nothing.

    It must say what the command did, and the install rule must let the next one through: a meter
    that was switched off under a status without a way back would stay off for good.
    """
    after = _AFTER_OVERRIDE[effect]
    if status in after:
        return ""
    off, on = effect is InstallEffect.DISCONNECT, effect is InstallEffect.CONNECT
    if off and status in CONNECTED:
        why = "a connected status would hide the off"
    elif on and status not in CONNECTED:
        why = "does not name a connected status"
    elif off:
        why = f"no remote connect is allowed from {status}, and the customer would stay off"
    else:
        why = f"{status} is no status after a {effect} that further commands are allowed from"
    return f"{why} ({' or '.join(sorted(after))} can be set)"


def _leads(status: InstallStatus, effect: InstallEffect) -> bool:
    return (status, effect) in INSTALL_TRANSITIONS


_COMMISSIONABLE: Final = {s for s in InstallStatus if s in COMMISSIONED or _leads(s, _E.COMMISSION)}
_AFTER_OVERRIDE: Final[Mapping[InstallEffect, frozenset[InstallStatus]]] = MappingProxyType(
    {
        _E.DISCONNECT: frozenset(
            s for s in InstallStatus if s is not _S.PENDING and _leads(s, _E.CONNECT)
        ),
        _E.CONNECT: frozenset(CONNECTED & _COMMISSIONABLE),
        _E.COMMISSION: COMMISSIONED,
        _E.DECOMMISSION: frozenset({_S.CONN_DECOMM, _S.DISCONN_DECOMM}),
    }
)
"""Which statuses a site may have set instead of the usual one. Ours."""


def already(installed: InstallEvent | None, effect: InstallEffect) -> bool:
    """Whether the world already is as `effect` would leave it."""
    if installed is None:
        return False
    if installed.removed_at is not None and effect is not InstallEffect.DECOMMISSION:
        return False
    match effect:
        case InstallEffect.COMMISSION:
            return installed.commissioned
        case InstallEffect.DECOMMISSION:
            return installed.status in (InstallStatus.CONN_DECOMM, InstallStatus.DISCONN_DECOMM)
        case InstallEffect.CONNECT:
            return installed.connected
        case InstallEffect.DISCONNECT:
            return installed.status in (InstallStatus.DISCONN_COMM, InstallStatus.DISCONN_DECOMM)


def apply_effect(
    view: DeviceView,
    effect: InstallEffect,
    *,
    at: datetime,
    cause: EventId,
    armed: bool = False,
    override: InstallStatus | None = None,
    site_status: str = "",
) -> InstallEvent:
    """The install event after `effect` at `at` (the head end's execution time where it gave one).

    A repeated cause changes nothing. A status that already is as wanted stays, with a history
    entry: the command did run. `override` is the status that D1-REMONOFF wants instead, and
    `site_status` the site's own name of it.
    Raises InstallRefused when there is no arrow and the wish is not already met.
    """
    installed = view.installed
    gone = installed is not None and installed.removed_at is not None
    if installed is None or (gone and effect is not InstallEffect.DECOMMISSION):
        if effect is not InstallEffect.COMMISSION or view.service_point is None:
            raise InstallRefused(f"device {view.device.id} is not installed at a service point")
        installed = InstallEvent(
            device=view.device.id, service_point=view.service_point.id, installed_at=at
        )
    if any(entry.cause == cause for entry in installed.history):
        return installed
    status = INSTALL_TRANSITIONS.get((installed.status, effect))
    if status is None:
        if not already(installed, effect):
            raise InstallRefused(f"no {effect} from install status {installed.status}")
        status = installed.status
    history = installed.history
    if effect in (InstallEffect.CONNECT, InstallEffect.DISCONNECT):
        on = effect is InstallEffect.CONNECT
        history = (*history, OnOff(at=at, on=on, cause=cause))
        installed = replace(installed, armed=armed and on)
    return replace(installed, status=override or status, site_status=site_status, history=history)
