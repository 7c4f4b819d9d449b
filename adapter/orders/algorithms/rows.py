"""Typed parameters of the ten algorithm types, as the matrix and the configuration give them."""

from dataclasses import dataclass
from enum import StrEnum

from adapter.model.device import Category, DisconnectLocation, InstallStatus
from adapter.model.measurement import CONDITION_LIMIT
from adapter.orders.activities import (
    FIELD_ACTIVITY,
    INCOMPATIBLE_DEVICE,
    WAIT_MEASUREMENT,
    WAIT_SCHEDULED_READ,
)

SKIP = "skip"


class AlgorithmType(StrEnum):
    """The source's ten types. CUSTOM is a site's own function and has no row in the source."""

    DVCOMCHK = "D1-DVCOMCHK"
    CONPRECON = "D1-CONPRECON"
    CRSPACT = "D1-CRSPACT"
    CREMTREXC = "D1-CREMTREXC"
    UPDDVC = "D1-UPDDVC"
    REMONOFF = "D1-REMONOFF"
    DCRMMTR = "D1-DCRMMTR"
    CHKMSMT = "D1-CHKMSMT"
    CANSPACT = "D1-CANSPACT"
    UPDSPAC = "D1-UPDSPAC"
    CUSTOM = "custom"


class MissingService(StrEnum):
    """ "Error if SP Not Connected or no Device Installed"."""

    YES = "Yes"
    CONTINUE = "Con"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One "SP State and Activity BO to Create": conditions (None matches all) and a result.

    `number` and `origin` ("parameter", "zone", "service point") name the row in messages; `text`
    is its mnemonic form.
    """

    number: int
    text: str
    origin: str = "parameter"
    connected: bool | None = None
    disconnect_location: DisconnectLocation | None = None
    device_installed: bool | None = None
    status: InstallStatus | None = None
    category: Category | None = None
    sp_type: str = ""
    business_object: str = ""
    task: str = ""
    alternative: str = ""
    execute_override: bool = False

    @property
    def label(self) -> str:
        return f"{self.origin} row {self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompatibilityCheckParameters:
    """D1-DVCOMCHK. `task` is ours: the field task of the activity, where the object has none."""

    activity_bo: str = INCOMPATIBLE_DEVICE
    task: str = "D1-ExchangeMeter"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectIfConnectedBefore:
    """D1-CONPRECON. The source names no parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSpecificActivity:
    """D1-CRSPACT."""

    field_activity_bo: str = ""
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateMeterExchange:
    """D1-CREMTREXC. `item_task` is ours: an item is exchanged by a task of its own."""

    activity_bo: str = FIELD_ACTIVITY
    task: str = "D1-ExchangeMeter"
    item_task: str = "D1-ExchangeDevice"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateDevice:
    """D1-UPDDVC.

    `service_point_rows` is ours: rows looked at first, by the service point's own state, because
    the source's rows see only the install event, and a crew may have cut at the source.
    `alternative_after` is ours too: so many failed commands are followed by the alternative field
    task; 0 leaves every failure to people.
    """

    missing: MissingService = MissingService.YES
    rows: tuple[Row, ...] = ()
    field_activity_bo: str = ""
    element: str = ""
    stop_value: str = ""
    service_point_rows: tuple[Row, ...] = ()
    alternative_after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOffOn:
    """D1-REMONOFF."""

    incompatibility_bo: str = INCOMPATIBLE_DEVICE
    connect_bo: str = "D1-RemoteConnect"
    disconnect_bo: str = "D1-RemoteDisconnect"
    status_after_connect: InstallStatus = InstallStatus.CONN_COMM
    status_after_disconnect: InstallStatus = InstallStatus.DISCONN_COMM


@dataclass(frozen=True, slots=True, kw_only=True)
class DecommissionRemoved:
    """D1-DCRMMTR. `blocking` is ours: the old meter may never answer again."""

    activity_bo: str = "D1-DeviceDecommission"
    blocking: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckMeasurement:
    """D1-CHKMSMT. The condition codes' base values are not published; these are ours."""

    wait_bo: str = WAIT_MEASUREMENT
    field_bo: str = FIELD_ACTIVITY
    task: str = "D1-ReadMeter"
    scheduled_bo: str = WAIT_SCHEDULED_READ
    on_demand_bo: str = "D1-OnDemandReadScalar"
    normal_start: int = 500_000
    normal_end: int = CONDITION_LIMIT
    bottom: int = 300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintainSpecificActivity:
    """D1-CANSPACT and D1-UPDSPAC. The source names no parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomFunction:
    """A site's own algorithm, by its configured name `package.module:function`."""

    function: str


Parameters = (
    CompatibilityCheckParameters
    | ConnectIfConnectedBefore
    | CreateSpecificActivity
    | CreateMeterExchange
    | UpdateDevice
    | RemoteOffOn
    | DecommissionRemoved
    | CheckMeasurement
    | MaintainSpecificActivity
    | CustomFunction
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """One algorithm of an orchestration: its type, its name, its parameters."""

    type: AlgorithmType
    name: str
    parameters: Parameters
