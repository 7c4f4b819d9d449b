"""THE COMMAND-FLOW TABLE: which messages and completion events each smart meter command has.

Its rows are the source document "Itron OpenWay Command Flows", names included; the operations are
those of the contract (wsdl/README.md). `openway tables` prints it. Below it stands NATURE, our own columns: what
the rest of the program asks of a kind. Nothing else in it tells one kind from another.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from adapter.model.device import InstallEffect


class CommandKind(StrEnum):
    DEVICE_COMMISSIONING = "device_commissioning"
    DEVICE_DECOMMISSIONING = "device_decommissioning"
    REMOTE_CONNECT = "remote_connect"
    REMOTE_DISCONNECT = "remote_disconnect"
    ON_DEMAND_READ_SCALAR = "on_demand_read_scalar"
    ON_DEMAND_READ_INTERVAL = "on_demand_read_interval"
    SCHEDULED_READ_SCALAR = "scheduled_read_scalar"
    SCHEDULED_READ_INTERVAL = "scheduled_read_interval"
    DEVICE_STATUS_CHECK = "device_status_check"
    MULTI_DEVICE_STATUS_CHECK = "multi_device_status_check"
    LOAD_CHECK = "load_check"
    READ_DISCONNECT_STATE = "read_disconnect_state"


class Operation(StrEnum):
    """The head end's operations that can be called, as `{Service}.{Operation}` of the WSDL.

    No command uses InterrogateByEndpoints; a site's own command may.
    """

    ADD_METER_DEFINITIONS = "ProvisioningService.AddMeterDefinitions"
    DEREGISTER_METERS = "ProvisioningService.DeregisterMeters"
    RECONNECT_METER = "ControlService.ReconnectMeter"
    RECONNECT_RESULT = "ControlService.GetReconnectMeterResult"
    DISCONNECT_METER = "ControlService.DisconnectMeter"
    DISCONNECT_RESULT = "ControlService.GetDisconnectMeterResult"
    LOAD_SIDE_VOLTAGE = "ControlService.DetectLoadSideVoltageByMeter"
    LOAD_SIDE_VOLTAGE_RESULT = "ControlService.GetDetectLoadSideVoltageByMeterResult"
    CONTINGENCY_READ = "DataService.ContingencyReadByEndpoints"
    CONTINGENCY_READ_RESULT = "DataService.GetContingencyReadByEndpointsResult"
    INTERROGATE_GROUP = "DataService.InterrogateByGroup"
    INTERROGATE_GROUP_RESULT = "DataService.GetInterrogateByGroupResult"
    INTERROGATE_ENDPOINTS = "DataService.InterrogateByEndpoints"
    INTERROGATE_ENDPOINTS_RESULT = "DataService.GetInterrogateByEndpointsResult"
    PING = "DiagnosticService.PingByEndpoints"
    PING_RESULT = "DiagnosticService.GetPingByEndpointsResult"
    SWITCH_STATE = "DiagnosticService.ReadDisconnectStateByMeters"
    SWITCH_STATE_RESULT = "DiagnosticService.GetReadDisconnectStateByMetersResult"
    REQUEST_STATUS = "RequestService.GetRequestStatus"
    CANCEL_REQUEST = "RequestService.CancelRequest"


class Completion(StrEnum):
    COMMISSION_DEVICE = "D1-CommissionDevice"
    DECOMMISSION_DEVICE = "D1-DecommissionDevice"
    CONNECT_DEVICE = "D1-ConnectDevice"
    DISCONNECT_DEVICE = "D1-DisconnectDevice"
    CREATE_IMD = "D1-CreateIMD"


class Scope(StrEnum):
    """How many meters one request of this kind may name."""

    METER = "meter"
    METERS = "meters"
    GROUP = "group"


class Priority(StrEnum):
    """Order of sending. A reconnect is urgent by default: being dark is the worse harm."""

    URGENT = "urgent"
    NORMAL = "normal"
    BULK = "bulk"

    @property
    def rank(self) -> int:
        return ("urgent", "normal", "bulk").index(self.value)


class Leaves(StrEnum):
    """How a command leaves the switch of its meter."""

    OPEN = "open"
    CLOSED = "closed"


class Reads(StrEnum):
    """What a read brings: values of registers, or of intervals."""

    SCALAR = "scalar"
    INTERVAL = "interval"


class Tells(StrEnum):
    """What the answer itself has to tell. REACHABLE: that a meter fails is an answer too."""

    REACHABLE = "reachable"
    VOLTAGE = "voltage"
    SWITCH = "switch"


@dataclass(frozen=True, slots=True)
class FlowMessage:
    """One communication: its name and business object in the source, its operation on the wire."""

    title: str
    business_object: str
    operation: Operation


@dataclass(frozen=True, slots=True)
class Flow:
    kind: CommandKind
    title: str
    business_object: str
    scope: Scope
    request: FlowMessage
    result: FlowMessage | None
    notice: str | None
    completion: Completion | None

    @property
    def synchronous(self) -> bool:
        """The reply is the outcome: no token, no callback, no result call."""
        return self.result is None


@dataclass(frozen=True, slots=True)
class Nature:
    """What a kind is to us.

    effect       what it changes in the registry
    leaves       how it leaves the switch. Such a request is never sent twice on a guess (I3)
    reads        what its data are; the command waits for them
    schedulable  may be asked for by a schedule
    tells        what its answer has to tell
    priority     where the request names none
    """

    kind: CommandKind
    effect: InstallEffect | None
    leaves: Leaves | None
    reads: Reads | None
    schedulable: bool
    tells: Tells | None
    priority: Priority


COMPLETION_TITLES: Final[Mapping[Completion, str]] = MappingProxyType(
    {
        Completion.COMMISSION_DEVICE: "Device Commissioning Completion Event",
        Completion.DECOMMISSION_DEVICE: "Device Decommissioning Completion Event",
        Completion.CONNECT_DEVICE: "Connect Device Completion Event",
        Completion.DISCONNECT_DEVICE: "Disconnect Device Completion Event",
        Completion.CREATE_IMD: "Create IMD Completion Event",
    }
)

C, O, E, M, S = CommandKind, Operation, Completion, FlowMessage, Scope  # noqa: E741
STATUS_CHANGED: Final = "D8-StatusChanged"

# fmt: off
_ROWS: Final = (
    #    command                      title in the source            activity object          scope     outbound communication                                                                                             result outbound communication                                                                                                inbound         completion event
    Flow(C.DEVICE_COMMISSIONING,      "Device Commissioning",        "D1-DeviceCommission",   S.METER,  M("Itron - Add Meter Definition (Commission)", "D8-AddMeterDefinitionsDR", O.ADD_METER_DEFINITIONS),                None,                                                                                                                        None,           E.COMMISSION_DEVICE),
    Flow(C.DEVICE_DECOMMISSIONING,    "Device Decommissioning",      "D1-DeviceDecommission", S.METER,  M("Itron - Deregister Meter (Decommission)", "D8-DeregisterMeterDR", O.DEREGISTER_METERS),                          None,                                                                                                                        None,           E.DECOMMISSION_DEVICE),
    Flow(C.REMOTE_CONNECT,            "Remote Connect",              "D1-RemoteConnect",      S.METER,  M("Itron - Reconnect Meter (Remote Connect)", "D8-ReconnectMeterDR", O.RECONNECT_METER),                            M("Itron - Reconnect Meter Result", "D8-ReconnectMeterResultDR", O.RECONNECT_RESULT),                                        STATUS_CHANGED, E.CONNECT_DEVICE),
    Flow(C.REMOTE_DISCONNECT,         "Remote Disconnect",           "D1-RemoteDisconnect",   S.METER,  M("Itron - Meter Remote Disconnect", "D8-DisconnectMeterDR", O.DISCONNECT_METER),                                   M("Itron - Disconnect Meter Result", "D8-DisconnectMeterResultDR", O.DISCONNECT_RESULT),                                     STATUS_CHANGED, E.DISCONNECT_DEVICE),
    Flow(C.ON_DEMAND_READ_SCALAR,     "On-Demand Read (Scalar)",     "D1-OnDemandReadScalar", S.METERS, M("Itron - Contingency Read (Scalar)", "D8-ReadScalarDR", O.CONTINGENCY_READ),                                      M("Itron - On Demand Read Result", "D8-ReadOnDemandReadResultDR", O.CONTINGENCY_READ_RESULT),                                STATUS_CHANGED, E.CREATE_IMD),
    Flow(C.ON_DEMAND_READ_INTERVAL,   "On-Demand Read (Interval)",   "D1-OnDemandReadInterval", S.METERS, M("Itron - Contingency Read (Interval)", "D8-ReadIntervalDR", O.CONTINGENCY_READ),                                M("Itron - On Demand Read Result", "D8-ReadOnDemandReadResultDR", O.CONTINGENCY_READ_RESULT),                                STATUS_CHANGED, E.CREATE_IMD),
    Flow(C.SCHEDULED_READ_SCALAR,     "Scheduled Read (Scalar)",     "D8-ScheduleRead",       S.GROUP,  M("Itron - Interrogate By Group", "D8-InterrogateByGroupDR", O.INTERROGATE_GROUP),                                  M("Itron - Interrogate by Group Results", "D8-InterrogateByGroupResultDR", O.INTERROGATE_GROUP_RESULT),                      STATUS_CHANGED, E.CREATE_IMD),
    Flow(C.SCHEDULED_READ_INTERVAL,   "Scheduled Read (Interval)",   "D8-ScheduleRead",       S.GROUP,  M("Itron - Interrogate By Group", "D8-InterrogateByGroupDR", O.INTERROGATE_GROUP),                                  M("Itron - Interrogate by Group Results", "D8-InterrogateByGroupResultDR", O.INTERROGATE_GROUP_RESULT),                      STATUS_CHANGED, E.CREATE_IMD),
    Flow(C.DEVICE_STATUS_CHECK,       "Device Status Check",         "D1-DeviceStatusCheck",  S.METER,  M("Itron - Ping By Endpoints (Status Check)", "D8-PingByEndpointsDR", O.PING),                                      M("Itron - Ping By Endpoints Result", "D8-PingByEndpointsResultDR", O.PING_RESULT),                                         STATUS_CHANGED, None),
    Flow(C.MULTI_DEVICE_STATUS_CHECK, "Multi-Device Status Check",   "D1-MultiDeviceStatusCheck", S.METERS, M("Itron – Ping By Endpoints Multi-Device", "D8-PingByEndpointsMultiDvcDR", O.PING),                            M("Itron – Ping By Endpoints Multi Dvc Result", "D8-PingByEndpointsMDResultDR", O.PING_RESULT),                             STATUS_CHANGED, None),
    Flow(C.LOAD_CHECK,                "Load Check",                  "D1-LoadCheck",          S.METER,  M("Itron – Detect Load Side Voltage", "D8-DetectLoadSideVoltgeByMtrDR", O.LOAD_SIDE_VOLTAGE),                       M("Itron – Detect Load Side Voltage Result", "D8-DetLoadSideVoltageMtrRsltDR", O.LOAD_SIDE_VOLTAGE_RESULT),                 STATUS_CHANGED, None),
    Flow(C.READ_DISCONNECT_STATE,     "Read Disconnect State",       "D1-ReadDisconnectState", S.METERS, M("Itron - Read Disconnect State", "D8-ReadDisconStateByMtrDR", O.SWITCH_STATE),                                   M("Itron - ReadDisconnectStateByMeter Result", "D8-ReadDisconStByMtrResultDR", O.SWITCH_STATE_RESULT),                     STATUS_CHANGED, None),
)
# fmt: on

FLOWS: Final[Mapping[CommandKind, Flow]] = MappingProxyType({row.kind: row for row in _ROWS})

I, L, R, T, P = InstallEffect, Leaves, Reads, Tells, Priority  # noqa: E741
# fmt: off
_NATURES: Final = (
    #      command                      effect           leaves    reads       schedulable  tells        priority
    Nature(C.DEVICE_COMMISSIONING,      I.COMMISSION,    None,     None,       False,       None,        P.NORMAL),
    Nature(C.DEVICE_DECOMMISSIONING,    I.DECOMMISSION,  None,     None,       False,       None,        P.NORMAL),
    Nature(C.REMOTE_CONNECT,            I.CONNECT,       L.CLOSED, None,       False,       None,        P.URGENT),
    Nature(C.REMOTE_DISCONNECT,         I.DISCONNECT,    L.OPEN,   None,       False,       None,        P.NORMAL),
    Nature(C.ON_DEMAND_READ_SCALAR,     None,            None,     R.SCALAR,   False,       None,        P.NORMAL),
    Nature(C.ON_DEMAND_READ_INTERVAL,   None,            None,     R.INTERVAL, False,       None,        P.NORMAL),
    Nature(C.SCHEDULED_READ_SCALAR,     None,            None,     R.SCALAR,   True,        None,        P.BULK),
    Nature(C.SCHEDULED_READ_INTERVAL,   None,            None,     R.INTERVAL, True,        None,        P.BULK),
    Nature(C.DEVICE_STATUS_CHECK,       None,            None,     None,       False,       T.REACHABLE, P.NORMAL),
    Nature(C.MULTI_DEVICE_STATUS_CHECK, None,            None,     None,       False,       T.REACHABLE, P.NORMAL),
    Nature(C.LOAD_CHECK,                None,            None,     None,       False,       T.VOLTAGE,   P.NORMAL),
    Nature(C.READ_DISCONNECT_STATE,     None,            None,     None,       False,       T.SWITCH,    P.NORMAL),
)
# fmt: on

NATURE: Final[Mapping[CommandKind, Nature]] = MappingProxyType({row.kind: row for row in _NATURES})

EFFECT_OF: Final[Mapping[CommandKind, InstallEffect]] = MappingProxyType(
    {row.kind: row.effect for row in _NATURES if row.effect is not None}
)
OPENING_KINDS: Final = frozenset(row.kind for row in _NATURES if row.leaves is Leaves.OPEN)
CLOSING_KINDS: Final = frozenset(row.kind for row in _NATURES if row.leaves is Leaves.CLOSED)
SWITCH_KINDS: Final = OPENING_KINDS | CLOSING_KINDS
READ_KINDS: Final = frozenset(row.kind for row in _NATURES if row.reads is not None)
INTERVAL_KINDS: Final = frozenset(row.kind for row in _NATURES if row.reads is Reads.INTERVAL)
SCHEDULED_KINDS: Final = frozenset(row.kind for row in _NATURES if row.schedulable)

RESULT_OF: Final[Mapping[Operation, Operation]] = MappingProxyType(
    {row.request.operation: row.result.operation for row in _ROWS if row.result is not None}
)
"""The result operation that belongs to a request operation."""

WINDOW_OPERATIONS: Final = frozenset({O.INTERROGATE_GROUP, O.INTERROGATE_ENDPOINTS})
"""Requests that tell the head end when it may work; the others have no window."""

SWITCH_OPERATIONS: Final = frozenset(FLOWS[kind].request.operation for kind in SWITCH_KINDS)
"""Requests that move a switch: never sent twice on a guess (I3)."""

PROVISIONING_OPERATIONS: Final = frozenset(
    FLOWS[kind].request.operation
    for kind, effect in EFFECT_OF.items()
    if effect in (InstallEffect.COMMISSION, InstallEffect.DECOMMISSION)
)
