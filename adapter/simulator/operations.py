"""THE HEAD END'S REQUESTS: one row per operation that is worked off in the background.

A row says how the operation names its targets, which call brings the result and in which shape,
and what the endpoints are asked to do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from adapter.commands.calls import ReadParameters, SwitchReading
from adapter.model.ids import EndpointId
from adapter.model.values import replace
from adapter.simulator import bodies, meters
from adapter.simulator.bodies import Body, flag, items, part, read_time, text
from adapter.simulator.jobs import FaultRaised, Job, JobRequest
from adapter.simulator.meters import Answered, Done, Meter
from adapter.simulator.readings import asked_for


class Targets(StrEnum):
    """How a request names what it is about, and so which faults it has for bad names."""

    METER = "meter"
    ENDPOINT = "endpoint"
    ENDPOINTS = "endpoints"
    GROUP = "group"


class Asks(StrEnum):
    """What every endpoint of a request is asked to do."""

    DISCONNECT = "disconnect"
    RECONNECT = "reconnect"
    VOLTAGE = "voltage"
    SWITCH_STATE = "switch_state"
    PING = "ping"
    READ = "read"


ResultShape = Callable[[Job, int | None], dict[str, object]]


@dataclass(frozen=True, slots=True)
class SimulatedWork:
    """`holder` is the element that carries targets and callback address."""

    operation: str
    targets: Targets
    holder: str
    asks: Asks
    result: str
    shape: ResultShape


T, A = Targets, Asks
# fmt: off
_ROWS: Final = (
    SimulatedWork("ControlService.DisconnectMeter", T.METER, "MeterRequest", A.DISCONNECT,
         "ControlService.GetDisconnectMeterResult", bodies.meter_result),
    SimulatedWork("ControlService.ReconnectMeter", T.METER, "MeterRequest", A.RECONNECT,
         "ControlService.GetReconnectMeterResult", bodies.meter_result),
    SimulatedWork("ControlService.DetectLoadSideVoltageByMeter", T.METER, "MeterRequest", A.VOLTAGE,
         "ControlService.GetDetectLoadSideVoltageByMeterResult", bodies.voltage_result),
    SimulatedWork("ControlService.PingByEndpoints", T.ENDPOINTS, "EndpointCollectionRequest", A.PING,
         "ControlService.GetPingByEndpointsResult", bodies.collection_result),
    SimulatedWork("ControlService.PingByGroup", T.GROUP, "GroupRequest", A.PING,
         "ControlService.GetPingByGroupResult", bodies.group_result),
    SimulatedWork("DiagnosticService.PingByEndpoints", T.ENDPOINTS, "EndpointCollectionRequest", A.PING,
         "DiagnosticService.GetPingByEndpointsResult", bodies.diagnostic_result),
    SimulatedWork("DiagnosticService.PingByGroup", T.GROUP, "GroupRequest", A.PING,
         "DiagnosticService.GetPingByGroupResult", bodies.diagnostic_group_result),
    SimulatedWork("DiagnosticService.ReadDisconnectStateByMeters", T.ENDPOINTS, "EndpointCollectionRequest",
         A.SWITCH_STATE, "DiagnosticService.GetReadDisconnectStateByMetersResult",
         bodies.switch_result),
    SimulatedWork("DataService.ContingencyReadByEndpoints", T.ENDPOINTS, "EndpointCollectionRequest", A.READ,
         "DataService.GetContingencyReadByEndpointsResult", bodies.collection_result),
    SimulatedWork("DataService.InterrogateByEndpoints", T.ENDPOINTS, "EndpointCollectionRequest", A.READ,
         "DataService.GetInterrogateByEndpointsResult", bodies.collection_result),
    SimulatedWork("DataService.InterrogateByGroup", T.GROUP, "GroupRequest", A.READ,
         "DataService.GetInterrogateByGroupResult", bodies.group_result),
    SimulatedWork("DataService.InteractiveReadByEndpoint", T.ENDPOINT, "EndpointRequest", A.READ,
         "DataService.GetInteractiveReadByEndpointResult", bodies.interactive_result),
)
# fmt: on

WORK: Final[Mapping[str, SimulatedWork]] = MappingProxyType({row.operation: row for row in _ROWS})
RESULTS: Final[Mapping[str, SimulatedWork]] = MappingProxyType({row.result: row for row in _ROWS})

TOKEN_CALLS: Final = frozenset(
    {*RESULTS, "RequestService.GetRequestStatus", "RequestService.CancelRequest"}
)
"""Operations whose input is a token."""

PUBLISHES: Final = frozenset(
    row.operation for row in _ROWS if row.asks is Asks.READ and row.targets is not T.ENDPOINT
)
"""Operations whose readings travel as DataArrived; the others' come with the result."""


def read_request(work: SimulatedWork, body: Body) -> JobRequest:
    """What a request asks for. Raises FaultRaised for what no head end would take."""
    request = part(body, "request")
    holder = part(request, work.holder)
    address = text(holder, "StatusChangedService") or None
    if address is not None:
        check_address(address)
    read, self_reads = None, "None"
    sources: tuple[str, ...] = ()
    if work.asks is Asks.READ:
        parameters = part(request, "Parameters")
        start = read_time(parameters.get("ReadingStartTime"), "ReadingStartTime")
        end = read_time(parameters.get("ReadingEndTime"), "ReadingEndTime")
        check_range(start, end)
        read, sources = asked_for(parameters, start, end)
        self_reads = text(parameters, "ReportSelfReadOption") or "None"
        if work.operation.endswith(("InterrogateByGroup", "InterrogateByEndpoints")):
            read = _with_window(read, parameters)
    return JobRequest(
        endpoints=_endpoints(work, holder),
        group=_group(holder) if work.targets is T.GROUP else None,
        address=address,
        read=read,
        sources=sources,
        self_reads=self_reads,
        user_intervention=flag(request, "IsUserInterventionRequired"),
    )


def _with_window(read: ReadParameters, parameters: Body) -> ReadParameters:
    start, end = (
        read_time(parameters.get(name), name)
        for name in ("InterrogationWindowStartTime", "InterrogationWindowEndTime")
    )
    check_range(start, end)
    return replace(read, window_start=start, window_end=end)


def named_endpoints(operation: str, body: Body) -> tuple[EndpointId, ...]:
    """The ESNs a request names itself, for journal and scripts. Never raises."""
    work = WORK.get(operation)
    holder = part(body, "request", work.holder) if work is not None else part(body, "input")
    single = text(holder, "ElectronicSerialNumber")
    named = (single,) if single else items(holder, "ElectronicSerialNumbers")
    return tuple(EndpointId(esn) for esn in named)


def callback_address(operation: str, body: Body) -> str:
    """Where a request wants its callbacks, for the journal; "" where it names none."""
    work = WORK.get(operation)
    if work is None:
        return ""
    return text(part(body, "request", work.holder), "StatusChangedService")


def check_address(address: str) -> None:
    """An address the head end is to call must be an absolute http or https one."""
    scheme, mark, rest = address.partition("://")
    if not _leads_to_a_host(scheme + mark + rest.partition("/")[0]):
        raise FaultRaised("InvalidUriFormatFault", "This is no http address.", Uri=address)


@lru_cache(maxsize=256)
def _leads_to_a_host(start: str) -> bool:
    try:
        parts = urlsplit(start)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def ask(work: SimulatedWork, meter: Meter, job: Job, *, now: datetime) -> Answered:
    """Ask one endpoint. What it tells goes into `job`; the meter it has become is in the answer."""
    match work.asks:
        case Asks.DISCONNECT:
            return meters.disconnect(meter, now=now)
        case Asks.RECONNECT:
            return meters.reconnect(meter, by_customer=job.asked.user_intervention, now=now)
        case Asks.SWITCH_STATE:
            answered = meters.read_switch(meter)
            if isinstance(answered, Done):
                job.switches.append(
                    SwitchReading(
                        endpoint=meter.esn, state=meter.switch, at=meter.switch_changed_at
                    )
                )
            return answered
        case Asks.VOLTAGE:
            answered = meters.answer(meter)
            if isinstance(answered, Done):
                job.voltage = meter.load_side_voltage
            return answered
        case Asks.PING:
            return meters.ping(meter)
        case Asks.READ:
            return meters.answer(meter)


def _endpoints(work: SimulatedWork, holder: Body) -> tuple[EndpointId, ...]:
    if work.targets is T.GROUP:
        return ()
    if work.targets in (T.METER, T.ENDPOINT):
        name = "ElectronicSerialNumber"
        found: tuple[str, ...] = (text(holder, name),)
    else:
        name = "ElectronicSerialNumbers"
        found = tuple(dict.fromkeys(items(holder, name)))
    if not found or not all(found):
        raise FaultRaised("ArgumentFault", f"{name} must not be empty.", ParameterName=name)
    return tuple(EndpointId(esn) for esn in found)


def _group(holder: Body) -> str:
    name = text(holder, "GroupName")
    if not name:
        raise FaultRaised("ArgumentFault", "GroupName is needed.", ParameterName="GroupName")
    return name


def check_range(start: datetime, end: datetime) -> None:
    if start >= end:
        raise FaultRaised(
            "InvalidDateTimeRangeFault",
            "The start must lie before the end.",
            Start=bodies.wire_time(start),
            End=bodies.wire_time(end),
        )
