"""A call of ours as the body of its request, in the contract's names: one row per operation."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

from adapter.commands.calls import Call, ReadParameters
from adapter.commands.flows import Operation
from adapter.errors import ContractViolation
from adapter.wire.codec import Codec, JsonValue
from adapter.wire.scalars import date_time

T = TypeVar("T")
Body: TypeAlias = dict[str, JsonValue]


def request_body(call: Call) -> Body:
    """What stands inside the request's wrapper. Raises ContractViolation naming what `call` lacks.

    Flags that are false are left out where the contract lets them.
    """
    return _ROWS[call.operation](call)


def encode_call(codec: Codec, call: Call, *, header: bytes = b"") -> bytes:
    """The envelope of `call`, with a ready SOAP header block where one is needed."""
    return codec.encode_request(call.operation, request_body(call), header=header)


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


def _interrogate(call: Call) -> Body:
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
    return {
        "request": {
            "GroupRequest": {"GroupName": _needed(call, "group", call.group), **_callback(call)},
            "Parameters": {**_period(read), **window, **_set(flags)},
        }
    }


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


_O = Operation
_ROWS: Final[Mapping[Operation, Callable[[Call], Body]]] = MappingProxyType(
    {
        _O.ADD_METER_DEFINITIONS: _add_meters,
        _O.DEREGISTER_METERS: _deregister,
        _O.RECONNECT_METER: _reconnect,
        _O.RECONNECT_RESULT: _token,
        _O.DISCONNECT_METER: _disconnect,
        _O.DISCONNECT_RESULT: _token,
        _O.LOAD_SIDE_VOLTAGE: _voltage,
        _O.LOAD_SIDE_VOLTAGE_RESULT: _token,
        _O.CONTINGENCY_READ: _contingency_read,
        _O.CONTINGENCY_READ_RESULT: _token,
        _O.INTERROGATE_GROUP: _interrogate,
        _O.INTERROGATE_GROUP_RESULT: _token,
        _O.PING: _endpoints,
        _O.PING_RESULT: _token,
        _O.SWITCH_STATE: _endpoints,
        _O.SWITCH_STATE_RESULT: _token,
        _O.REQUEST_STATUS: _token,
        _O.CANCEL_REQUEST: _token,
    }
)
