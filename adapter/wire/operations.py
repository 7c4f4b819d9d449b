"""THE OPERATIONS ON THE WIRE: one row per operation of the head end that we call.

A row says how a call becomes the body of its request, how the reply becomes an answer, and what a
contract must have in that reply. An answer is taken only where it is the exact response element of
the operation that was called and holds what the operation promises: a request must give a GUID that
is not nil, a status a token and a state. Anything else is a WireError, which for a sender means
that nothing is known.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

import msgspec
from lxml import etree

from adapter.commands.calls import (
    Answer,
    Call,
    CancelTaken,
    EndpointFailure,
    FailureReason,
    HeadEndOutcome,
    ReadParameters,
    RemoteResult,
    RemoteState,
    RequestStatus,
    SwitchReading,
    SwitchState,
    TokenGiven,
)
from adapter.commands.flows import Operation
from adapter.errors import ContractViolation, Refused
from adapter.model.ids import EndpointId
from adapter.wire.codec import Codec, Direction, JsonValue
from adapter.wire.faults import is_fault, read_fault
from adapter.wire.scalars import (
    Fields,
    count,
    date_time,
    group,
    groups,
    needed,
    optional_instant,
    text,
    token_of,
    word,
)
from adapter.wire.xml import local_name, open_envelope

T = TypeVar("T")
Body: TypeAlias = dict[str, JsonValue]

MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
"""A result for 100,000 endpoints that all failed has about 20 MB; requests are split far below."""


class OperationReply(msgspec.Struct, frozen=True, kw_only=True):
    """The response of an operation: `content` its element, if it was parsed, `fields` what its
    result holds, `name` what the result is called. Times without a zone are in `zone`."""

    content: etree._Element | None
    name: str
    fields: Fields
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class OperationRow:
    """`request` is what stands inside the request's wrapper, `answer` reads the reply.

    `reply_has` are the paths below `{Operation}Result` that a contract must have for it.
    """

    operation: Operation
    request: Callable[[Call], Body]
    answer: Callable[[OperationReply], Answer]
    reply_has: tuple[str, ...]


def request_body(call: Call) -> Body:
    """What stands inside the request's wrapper. Raises ContractViolation naming what `call` lacks.

    Flags that are false are left out where the contract lets them.
    """
    return OPERATIONS[call.operation].request(call)


def encode_call(codec: Codec, call: Call, *, header: bytes = b"") -> bytes:
    """The envelope of `call`, with a ready SOAP header block where one is needed."""
    return codec.encode_request(call.operation, request_body(call), header=header)


def read_answer(
    codec: Codec,
    operation: Operation,
    data: bytes,
    *,
    max_bytes: int = MAX_ANSWER_BYTES,
    zone: tzinfo = UTC,
) -> Answer:
    """What the head end answered to `operation`. Times without a zone are in `zone`.

    Raises Refused for a fault of any kind (look at `fault.named`: an unnamed one proves nothing),
    NotWellFormed or ContractViolation for bytes that are no answer to this operation.
    """
    row, content = OPERATIONS[operation], None
    # What the contract says nothing of is looked for in a tree.
    message = codec.decode_at_once(data) if row.reply_has and len(data) <= max_bytes else None
    if message is None:
        content = open_envelope(data, max_bytes=max_bytes).content
        if is_fault(content):
            raise Refused(read_fault(content))
        message = codec.decode_content(content)
    if message.operation != operation or message.direction is not Direction.RESPONSE:
        raise ContractViolation(f"is no answer to {operation}", at=message.name)
    name = f"{operation.partition('.')[2]}Result"
    fields = group(message.body, name)
    return row.answer(OperationReply(content=content, name=name, fields=fields, zone=zone))


# ---------------------------------------------------------------- requests


def _token(call: Call) -> Body:
    return {"input": {"Id": _needed(call, "token", call.token)}}


def _add_meters(call: Call) -> Body:
    body: Body = {}
    if call.configuration_group is not None:
        body["ConfigurationGroupName"] = call.configuration_group
    return {"input": body | {"ElectronicSerialNumbers": _many(call)}}


def _deregister(call: Call) -> Body:
    return {"input": {"ElectronicSerialNumbers": _many(call)}}


def _disconnect(call: Call) -> Body:
    return {"request": {"MeterRequest": _one_meter(call), **_override(call)}}


def _reconnect(call: Call) -> Body:
    return {
        "request": {
            "MeterRequest": _one_meter(call),
            "IsUserInterventionRequired": call.user_intervention_required,
            **_override(call),
        }
    }


def _voltage(call: Call) -> Body:
    return {"request": {"MeterRequest": _one_meter(call)}}


def _endpoints(call: Call) -> Body:
    return {"request": {"EndpointCollectionRequest": _collection(call)}}


def _contingency_read(call: Call) -> Body:
    read: ReadParameters = _needed(call, "read", call.read)
    flags = {
        "RetrieveLoadProfileData": read.load_profile,
        "RetrieveLogEvents": read.events,
        "RetrieveRecentRegisters": read.registers,
    }
    parameters = _period(read) | _set(flags)
    return {"request": {"EndpointCollectionRequest": _collection(call), "Parameters": parameters}}


def _interrogate_group(call: Call) -> Body:
    target = {"GroupName": _needed(call, "group", call.group), **_callback(call)}
    return {"request": {"GroupRequest": target, "Parameters": _interrogation(call)}}


def _interrogate_endpoints(call: Call) -> Body:
    target = _collection(call)
    return {"request": {"EndpointCollectionRequest": target, "Parameters": _interrogation(call)}}


def _interrogation(call: Call) -> Body:
    """Interrogation has no flag for recent registers; the last self read is asked for (inferred).

    It is the one register flag that changes nothing in the meter.
    """
    read: ReadParameters = _needed(call, "read", call.read)
    window: Body = {
        "InterrogationWindowStartTime": date_time(_needed(call, "read", read.window_start)),
        "InterrogationWindowEndTime": date_time(_needed(call, "read", read.window_end)),
    }
    flags = {
        "RetrieveLoadProfileData": read.load_profile,
        "RetrieveLogEvents": read.events,
        "RetrievePriorSelfRead": read.registers,
    }
    return {**_period(read), **window, **_set(flags)}


def _period(read: ReadParameters) -> Body:
    return {"ReadingStartTime": date_time(read.start), "ReadingEndTime": date_time(read.end)}


def _set(flags: Mapping[str, bool]) -> Body:
    return dict.fromkeys((name for name, wanted in flags.items() if wanted), True)


def _override(call: Call) -> Body:
    return _set({"EmergencyOverride": call.emergency_override})


def _one_meter(call: Call) -> Body:
    if len(call.endpoints) != 1:
        raise ContractViolation(f"needs one endpoint, not {len(call.endpoints)}", at=call.operation)
    return {"ElectronicSerialNumber": call.endpoints[0], **_callback(call)}


def _collection(call: Call) -> Body:
    return {"ElectronicSerialNumbers": _many(call), **_callback(call)}


def _many(call: Call) -> list[JsonValue]:
    return list(_needed(call, "endpoints", call.endpoints or None))


def _callback(call: Call) -> Body:
    return {} if call.callback is None else {"StatusChangedService": call.callback}


def _needed(call: Call, name: str, value: T | None) -> T:
    if value is None:
        raise ContractViolation(f"needs {name}", at=call.operation)
    return value


# ---------------------------------------------------------------- answers


def request_status(fields: Fields, *, zone: tzinfo = UTC) -> RequestStatus:
    """com:RequestStatus, of which token and state must be there."""
    token = group(fields, "RequestToken")
    return RequestStatus(
        token=token_of(token.get("Id"), "RequestStatus/RequestToken/Id"),
        state=word(RemoteState, needed(fields, "State"), RemoteState.UNKNOWN),
        result=word(RemoteResult, fields.get("Result"), RemoteResult.UNKNOWN),
        scheduled=count(fields, "EndpointsScheduled"),
        succeeded=count(fields, "SuccessfulEndpoints"),
        failed=count(fields, "FailedEndpoints"),
        created_at=optional_instant(text(fields, "CreatedWhen"), zone=zone),
        finished_at=optional_instant(text(fields, "FinishedWhen"), zone=zone),
    )


def _token_given(reply: OperationReply) -> Answer:
    return TokenGiven(token=token_of(reply.fields.get("Id"), f"{reply.name}/Id"))


def _status(reply: OperationReply) -> Answer:
    return request_status(reply.fields, zone=reply.zone)


def _cancel(reply: OperationReply) -> Answer:
    return CancelTaken()


def _outcome(reply: OperationReply) -> Answer:
    """The four result types of the contract have the same names for the same things."""
    fields, name = reply.fields, reply.name
    if "Result" not in fields:
        raise ContractViolation("is missing", at=f"{name}/Result")
    listed = group(fields, "EndpointFailureResult")
    failures, unnamed = _failures(fields)
    voltage = fields.get("IsVoltagePresent")
    token = group(fields, "RequestToken").get("Id")
    return HeadEndOutcome(
        token=None if token is None else token_of(token, f"{name}/RequestToken/Id"),
        result=word(RemoteResult, fields["Result"], RemoteResult.UNKNOWN),
        failures=failures,
        truncated=unnamed or listed.get("MaximumResultsSent") is True,
        switches=tuple(
            _switch(entry, reply.zone)
            for entry in groups(fields, "MeterDisconnectSwitchResults")
            if text(entry, "ElectronicSerialNumber") is not None
        ),
        voltage_present=voltage if isinstance(voltage, bool) else None,
    )


def _failures(fields: Fields) -> tuple[tuple[EndpointFailure, ...], bool]:
    """Those that name their endpoint, and whether one does not: a nil entry, or a nil serial
    number. Then nothing is proven for those that are not listed, as where the list was cut.

    The failure of a request for one meter may leave it to the result to name it.
    """
    single = group(fields, "MeterFailure")
    if single and text(single, "ElectronicSerialNumber") is None:
        single = {**single, "ElectronicSerialNumber": fields.get("ElectronicSerialNumber")}
    listed = group(fields, "EndpointFailureResult").get("Failures")
    entries = [*(listed if isinstance(listed, list) else ()), *([single] if single else ())]
    failures = tuple(
        failure(entry)
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("ElectronicSerialNumber"), str)
    )
    return failures, len(failures) < len(entries)


def failure(fields: Fields) -> EndpointFailure:
    return EndpointFailure(
        endpoint=EndpointId(needed(fields, "ElectronicSerialNumber")),
        reason=word(FailureReason, fields.get("FailureReason"), FailureReason.UNSPECIFIED),
        description=text(fields, "Description") or "",
    )


def _switch(fields: Fields, zone: tzinfo) -> SwitchReading:
    return SwitchReading(
        endpoint=EndpointId(needed(fields, "ElectronicSerialNumber")),
        state=word(SwitchState, fields.get("SwitchState"), SwitchState.UNKNOWN),
        at=optional_instant(text(fields, "LastSwitchStateUpdateTime"), zone=zone),
        extended=text(fields, "ExtendedSwitchState") or "",
    )


def _provisioning(reply: OperationReply) -> Answer:
    """What a provisioning reply says, whatever its fields are called above this.

    Its type is not known (inferred): every block with a serial number and a failure reason is a
    failure, an element named Result is the result, and a reply with neither is a success.
    """
    content = reply.content
    assert content is not None
    failures = tuple(
        failure(fields) for fields in map(_leaves, content.iter()) if "FailureReason" in fields
    )
    stated = next((e.text for e in content.iter() if local_name(e) == "Result"), None)
    if stated is not None and not len(failures):
        result = word(RemoteResult, stated.strip(), RemoteResult.UNKNOWN)
    else:
        result = RemoteResult.FAILURE if failures else RemoteResult.SUCCESS
    truncated = any(
        local_name(e) == "MaximumResultsSent" and (e.text or "").strip() in ("true", "1")
        for e in content.iter()
    )
    return HeadEndOutcome(result=result, failures=failures, truncated=truncated)


def _leaves(element: etree._Element) -> dict[str, JsonValue]:
    return {local_name(child): child.text or "" for child in element if not len(child)}


# ---------------------------------------------------------------- the rows


def _below(above: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{above}/{name}" for name in names)


STATUS_HAS: Final = ("RequestToken/Id", "State", "Result", "SuccessfulEndpoints", "FailedEndpoints")
"""What is read of a com:RequestStatus, wherever it stands."""

_FAILURE: Final = ("ElectronicSerialNumber", "FailureReason")
_TOKEN: Final = ("Id",)
_ONE: Final = ("Result", *_below("MeterFailure", *_FAILURE))
_MANY: Final = (
    "Result",
    "EndpointFailureResult/MaximumResultsSent",
    *_below("EndpointFailureResult/Failures", *_FAILURE),
)
_VOLTAGE: Final = (*_ONE, "IsVoltagePresent")
_SWITCHES: Final = (
    *_MANY,
    *_below("MeterDisconnectSwitchResults", "ElectronicSerialNumber", "SwitchState"),
)

_O, _R = Operation, OperationRow
# fmt: off
_ROWS: Final = (
    #  operation                         request                 answer         the reply has
    _R(_O.ADD_METER_DEFINITIONS,         _add_meters,            _provisioning, ()),
    _R(_O.DEREGISTER_METERS,             _deregister,            _provisioning, ()),
    _R(_O.RECONNECT_METER,               _reconnect,             _token_given,  _TOKEN),
    _R(_O.RECONNECT_RESULT,              _token,                 _outcome,      _ONE),
    _R(_O.DISCONNECT_METER,              _disconnect,            _token_given,  _TOKEN),
    _R(_O.DISCONNECT_RESULT,             _token,                 _outcome,      _ONE),
    _R(_O.LOAD_SIDE_VOLTAGE,             _voltage,               _token_given,  _TOKEN),
    _R(_O.LOAD_SIDE_VOLTAGE_RESULT,      _token,                 _outcome,      _VOLTAGE),
    _R(_O.CONTINGENCY_READ,              _contingency_read,      _token_given,  _TOKEN),
    _R(_O.CONTINGENCY_READ_RESULT,       _token,                 _outcome,      _MANY),
    _R(_O.INTERROGATE_GROUP,             _interrogate_group,     _token_given,  _TOKEN),
    _R(_O.INTERROGATE_GROUP_RESULT,      _token,                 _outcome,      _MANY),
    _R(_O.INTERROGATE_ENDPOINTS,         _interrogate_endpoints, _token_given,  _TOKEN),
    _R(_O.INTERROGATE_ENDPOINTS_RESULT,  _token,                 _outcome,      _MANY),
    _R(_O.PING,                          _endpoints,             _token_given,  _TOKEN),
    _R(_O.PING_RESULT,                   _token,                 _outcome,      _MANY),
    _R(_O.SWITCH_STATE,                  _endpoints,             _token_given,  _TOKEN),
    _R(_O.SWITCH_STATE_RESULT,           _token,                 _outcome,      _SWITCHES),
    _R(_O.REQUEST_STATUS,                _token,                 _status,       STATUS_HAS),
    _R(_O.CANCEL_REQUEST,                _token,                 _cancel,       ()),
)
# fmt: on

OPERATIONS: Final[Mapping[Operation, OperationRow]] = MappingProxyType(
    {row.operation: row for row in _ROWS}
)
