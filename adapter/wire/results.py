"""The head end's answers as values: one row per operation.

An answer is taken only where it is the exact response element of the operation that was called and
holds what the operation promises: a request must give a GUID that is not nil, a status a token and
a state. Anything else is a WireError, which for a sender means that nothing is known.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from types import MappingProxyType
from typing import Final

from lxml import etree

from adapter.commands.calls import (
    Answer,
    CancelTaken,
    EndpointFailure,
    FailureReason,
    HeadEndOutcome,
    RemoteResult,
    RemoteState,
    RequestStatus,
    SwitchReading,
    SwitchState,
    TokenGiven,
)
from adapter.commands.flows import PROVISIONING_OPERATIONS, Operation
from adapter.errors import ContractViolation, Refused
from adapter.model.ids import EndpointId
from adapter.wire.codec import Codec, Direction, JsonValue
from adapter.wire.faults import is_fault, read_fault
from adapter.wire.fields import Fields, count, group, groups, needed, text, token_of, word
from adapter.wire.scalars import optional_instant
from adapter.wire.xml import local_name, open_envelope

MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
"""A result for 100,000 endpoints that all failed has about 20 MB; requests are split far below."""


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
    content = open_envelope(data, max_bytes=max_bytes).content
    if is_fault(content):
        raise Refused(read_fault(content))
    message = codec.decode_content(content)
    if message.operation != operation or message.direction is not Direction.RESPONSE:
        raise ContractViolation(f"is no answer to {operation}", at=local_name(content))
    if operation in PROVISIONING_OPERATIONS:
        return _provisioning(content)
    name = operation.partition(".")[2]
    return _ROWS[operation](message.body, f"{name}Result", zone)


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


def _token_given(body: Fields, name: str, zone: tzinfo) -> Answer:
    return TokenGiven(token=token_of(group(body, name).get("Id"), f"{name}/Id"))


def _status(body: Fields, name: str, zone: tzinfo) -> Answer:
    return request_status(group(body, name), zone=zone)


def _cancel(body: Fields, name: str, zone: tzinfo) -> Answer:
    return CancelTaken()


def _outcome(body: Fields, name: str, zone: tzinfo) -> Answer:
    """The four result types of the contract have the same names for the same things."""
    fields = group(body, name)
    if "Result" not in fields:
        raise ContractViolation("is missing", at=f"{name}/Result")
    listed = group(fields, "EndpointFailureResult")
    single = group(fields, "MeterFailure")
    voltage = fields.get("IsVoltagePresent")
    token = group(fields, "RequestToken").get("Id")
    return HeadEndOutcome(
        token=None if token is None else token_of(token, f"{name}/RequestToken/Id"),
        result=word(RemoteResult, fields["Result"], RemoteResult.UNKNOWN),
        failures=tuple(
            failure(entry) for entry in (*groups(listed, "Failures"), *([single] if single else ()))
        ),
        truncated=listed.get("MaximumResultsSent") is True,
        switches=tuple(
            _switch(entry, zone) for entry in groups(fields, "MeterDisconnectSwitchResults")
        ),
        voltage_present=voltage if isinstance(voltage, bool) else None,
    )


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


def _provisioning(content: etree._Element) -> HeadEndOutcome:
    """What a provisioning reply says, whatever its fields are called above this.

    Its type is not known (inferred): every block with a serial number and a failure reason is a
    failure, an element named Result is the result, and a reply with neither is a success.
    """
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


_O = Operation
_ROWS: Final[Mapping[Operation, Callable[[Fields, str, tzinfo], Answer]]] = MappingProxyType(
    {
        _O.RECONNECT_METER: _token_given,
        _O.RECONNECT_RESULT: _outcome,
        _O.DISCONNECT_METER: _token_given,
        _O.DISCONNECT_RESULT: _outcome,
        _O.LOAD_SIDE_VOLTAGE: _token_given,
        _O.LOAD_SIDE_VOLTAGE_RESULT: _outcome,
        _O.CONTINGENCY_READ: _token_given,
        _O.CONTINGENCY_READ_RESULT: _outcome,
        _O.INTERROGATE_GROUP: _token_given,
        _O.INTERROGATE_GROUP_RESULT: _outcome,
        _O.PING: _token_given,
        _O.PING_RESULT: _outcome,
        _O.SWITCH_STATE: _token_given,
        _O.SWITCH_STATE_RESULT: _outcome,
        _O.REQUEST_STATUS: _status,
        _O.CANCEL_REQUEST: _cancel,
    }
)
