"""Answers of the head end as values, and what is no answer."""

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from adapter.commands.calls import (
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
from adapter.commands.flows import PROVISIONING_OPERATIONS, RESULT_OF, Operation
from adapter.errors import ContractViolation, NotWellFormed, WireError
from adapter.model.ids import EndpointId, RequestToken
from adapter.wire.operations import read_answer
from tests.support import for_every
from tests.wire.bodies import EXAMPLES, codec

TOKEN = RequestToken("9f3b2c44-7d10-4e0a-8f21-3c5a6b7d8e90")
UNSET = [
    "0001-01-01T00:00:00",
    "0001-01-01T00:00:00Z",
    "0001-01-01T05:50:36-05:50",
    "9999-12-31T23:59:59.9999999",
    "9999-12-31T23:59:59.9999999Z",
    " 9999-12-31T18:00:00+06:00 ",
]
METER = EndpointId("2.16.840.1.114416.0.47110001")
FAILED = EndpointFailure(
    endpoint=METER, reason=FailureReason.NO_RESPONSE, description="No answer within the time."
)


def example(operation: str, more: str = "") -> bytes:
    return (EXAMPLES / f"{operation}.response{more}.xml").read_bytes()


def answer(operation: Operation, data: bytes | None = None) -> object:
    return read_answer(codec(), operation, example(operation) if data is None else data)


@pytest.mark.parametrize("operation", [*RESULT_OF, Operation.INTERROGATE_ENDPOINTS])
def test_a_request_is_answered_with_its_token(operation: Operation) -> None:
    assert answer(operation) == TokenGiven(token=TOKEN)


@for_every("operation", Operation)
def test_every_operation_has_a_reader(operation: Operation) -> None:
    assert answer(operation) is not None


def test_a_token_is_read_in_lower_case() -> None:
    data = example(Operation.PING).replace(TOKEN.encode(), TOKEN.upper().encode())
    assert answer(Operation.PING, data) == TokenGiven(token=TOKEN)


def test_results_of_one_meter() -> None:
    assert answer(Operation.DISCONNECT_RESULT) == HeadEndOutcome(
        token=TOKEN, result=RemoteResult.SUCCESS
    )
    failure = example(Operation.DISCONNECT_RESULT, ".failure")
    assert answer(Operation.DISCONNECT_RESULT, failure) == HeadEndOutcome(
        token=TOKEN, result=RemoteResult.FAILURE, failures=(FAILED,)
    )


def test_results_of_a_load_check() -> None:
    assert answer(Operation.LOAD_SIDE_VOLTAGE_RESULT) == HeadEndOutcome(
        token=TOKEN, result=RemoteResult.SUCCESS, voltage_present=True
    )
    failure = example(Operation.LOAD_SIDE_VOLTAGE_RESULT, ".failure")
    assert answer(Operation.LOAD_SIDE_VOLTAGE_RESULT, failure) == HeadEndOutcome(
        token=TOKEN, result=RemoteResult.FAILURE, failures=(FAILED,)
    )


@pytest.mark.parametrize(
    "operation",
    [
        Operation.PING_RESULT,
        Operation.CONTINGENCY_READ_RESULT,
        Operation.INTERROGATE_GROUP_RESULT,
        Operation.INTERROGATE_ENDPOINTS_RESULT,
    ],
)
def test_results_of_many_meters_list_those_that_failed(operation: Operation) -> None:
    assert answer(operation) == HeadEndOutcome(
        token=TOKEN, result=RemoteResult.SUCCESS, failures=(FAILED,), truncated=True
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (rb"<((?:\w+:)?EndpointFailure)>.*?</\1>", rb'<\1 i:nil="true"/>'),
        (
            rb"(<(?:\w+:)?EndpointFailure>\s*<(?:\w+:)?ElectronicSerialNumber)>[^<]*<",
            rb'\1 i:nil="1"><',
        ),
    ],
    ids=["nil entry", "nil serial number"],
)
@pytest.mark.parametrize(
    "operation", [Operation.PING_RESULT, Operation.INTERROGATE_ENDPOINTS_RESULT]
)
def test_a_failure_that_names_nobody_proves_nothing_of_those_who_are_not_listed(
    operation: Operation, old: bytes, new: bytes
) -> None:
    data = example(operation).replace(b"MaximumResultsSent>true", b"MaximumResultsSent>false")
    assert answer(operation, data) == HeadEndOutcome(
        token=TOKEN, result=RemoteResult.SUCCESS, failures=(FAILED,), truncated=False
    )
    odd, changed = re.subn(old, new, data, flags=re.DOTALL)
    assert changed == 1
    assert answer(operation, odd) == HeadEndOutcome(
        token=TOKEN, result=RemoteResult.SUCCESS, failures=(), truncated=True
    )


def test_a_failure_of_one_meter_may_leave_it_to_the_result_to_name_it() -> None:
    data = example(Operation.DISCONNECT_RESULT, ".failure")
    odd, changed = re.subn(
        rb"(<\w+:MeterFailure[^>]*>\s*<\w+:ElectronicSerialNumber)>[^<]*<",
        rb'\1 i:nil="true"><',
        data,
    )
    assert changed == 1
    assert answer(Operation.DISCONNECT_RESULT, odd) == HeadEndOutcome(
        token=TOKEN, result=RemoteResult.FAILURE, failures=(FAILED,)
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            rb"<DisconnectSwitchInfo>.*?</DisconnectSwitchInfo>",
            rb'<DisconnectSwitchInfo i:nil="1"/>',
        ),
        (
            rb"(<DisconnectSwitchInfo>\s*<ElectronicSerialNumber)>[^<]*<",
            rb'\1 i:nil="true"><',
        ),
    ],
    ids=["nil entry", "nil serial number"],
)
def test_a_switch_state_of_nobody_is_left_out(old: bytes, new: bytes) -> None:
    data, changed = re.subn(old, new, example(Operation.SWITCH_STATE_RESULT), flags=re.DOTALL)
    assert changed == 1
    outcome = answer(Operation.SWITCH_STATE_RESULT, data)
    assert isinstance(outcome, HeadEndOutcome)
    assert (outcome.switches, outcome.failures) == ((), (FAILED,))


def test_results_of_a_switch_state_read() -> None:
    outcome = answer(Operation.SWITCH_STATE_RESULT)
    assert isinstance(outcome, HeadEndOutcome)
    assert outcome.switches == (
        SwitchReading(
            endpoint=METER,
            state=SwitchState.ARMED,
            at=datetime(2025, 3, 30, 1, 10, tzinfo=UTC),
            extended="Open by command",
        ),
    )


def test_a_status_has_counts_and_times_in_utc() -> None:
    assert answer(Operation.REQUEST_STATUS) == RequestStatus(
        token=TOKEN,
        state=RemoteState.EXECUTING,
        result=RemoteResult.SUCCESS,
        scheduled=2,
        succeeded=1,
        failed=1,
        created_at=datetime(2025, 3, 30, 0, 59, 59, 123456, tzinfo=UTC),
        finished_at=datetime(2025, 3, 30, 1, 0, tzinfo=UTC),
    )


def test_a_time_without_a_zone_is_in_the_head_ends() -> None:
    data = example(Operation.SWITCH_STATE_RESULT).replace(b"T01:10:00Z", b"T01:10:00")
    zone = timezone(timedelta(hours=-5))
    outcome = read_answer(codec(), Operation.SWITCH_STATE_RESULT, data, zone=zone)
    assert isinstance(outcome, HeadEndOutcome)
    assert outcome.switches[0].at == datetime(2025, 3, 30, 6, 10, tzinfo=UTC)


@pytest.mark.parametrize("unset", UNSET)
def test_a_time_nobody_set_is_none(unset: str) -> None:
    data = example(Operation.REQUEST_STATUS).replace(b"2025-03-30T03:00:00+02:00", unset.encode())
    status = answer(Operation.REQUEST_STATUS, data)
    assert isinstance(status, RequestStatus)
    assert status.finished_at is None
    switches = example(Operation.SWITCH_STATE_RESULT).replace(
        b"2025-03-30T01:10:00Z", unset.encode()
    )
    outcome = answer(Operation.SWITCH_STATE_RESULT, switches)
    assert isinstance(outcome, HeadEndOutcome)
    assert [switch.at for switch in outcome.switches] == [None]


def test_words_the_contract_does_not_know_are_unknown_and_refuse_nothing() -> None:
    data = example(Operation.SWITCH_STATE_RESULT)
    for old, new in ((b"Armed", b"Tripped"), (b"NoResponse", b"Eaten"), (b">Success<", b">Half<")):
        data = data.replace(old, new)
    outcome = answer(Operation.SWITCH_STATE_RESULT, data)
    assert isinstance(outcome, HeadEndOutcome)
    assert outcome.result is RemoteResult.UNKNOWN
    assert outcome.failures[0].reason is FailureReason.UNSPECIFIED
    assert outcome.switches[0].state is SwitchState.UNKNOWN
    status = answer(
        Operation.REQUEST_STATUS,
        example(Operation.REQUEST_STATUS).replace(b"Executing", b"Queued"),
    )
    assert isinstance(status, RequestStatus)
    assert status.state is RemoteState.UNKNOWN


def test_a_cancel_is_answered_by_an_empty_response() -> None:
    assert answer(Operation.CANCEL_REQUEST) == CancelTaken()


@pytest.mark.parametrize("operation", [*RESULT_OF, Operation.INTERROGATE_ENDPOINTS])
def test_an_answer_without_a_token_proves_nothing(operation: Operation) -> None:
    good = example(operation)
    id_element = good[good.index(TOKEN.encode()) - 40 : good.index(TOKEN.encode()) + 50]
    assert TOKEN.encode() in id_element
    for token in (b"", b"00000000-0000-0000-0000-000000000000", b"yes", TOKEN.encode()[:-1]):
        with pytest.raises(ContractViolation, match="GUID"):
            answer(operation, good.replace(TOKEN.encode(), token))
    with pytest.raises(ContractViolation, match="GUID"):
        answer(operation, codec().encode_response(operation, {}))


def test_an_answer_to_another_operation_is_refused() -> None:
    for file in Path(EXAMPLES).glob("*.xml"):
        if file.name.startswith(("ControlService.DisconnectMeter.response", "fault.")):
            continue
        with pytest.raises(ContractViolation, match="is no answer to"):
            read_answer(codec(), Operation.DISCONNECT_METER, file.read_bytes())


@pytest.mark.parametrize(
    "data",
    [b"", b"OK", b"<html><body>Bad Gateway</body></html>", b"\x1f\x8b\x08", b"<a>" * 100],
)
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        answer(Operation.DISCONNECT_METER, data)
    with pytest.raises(NotWellFormed):
        answer(Operation.DISCONNECT_METER, example(Operation.DISCONNECT_METER)[:-30])


def test_a_result_must_say_its_result() -> None:
    data = example(Operation.DISCONNECT_RESULT)
    silent, removed = re.subn(rb"<(\w+:Result)[ >].*?</\1>", b"", data)
    assert removed == 1
    with pytest.raises(ContractViolation, match="GetDisconnectMeterResultResult/Result"):
        answer(Operation.DISCONNECT_RESULT, silent)


def provisioning(inside: str, *, year: str = "2009/08") -> bytes:
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        f'<DeregisterMetersResponse xmlns="http://www.itron.com/ami/{year}/provisioning">{inside}'
        "</DeregisterMetersResponse></s:Body></s:Envelope>"
    ).encode()


@pytest.mark.parametrize("year", ["2009/08", "2008/10"])
@pytest.mark.parametrize(
    ("inside", "result"),
    [
        ("", RemoteResult.SUCCESS),
        ("<DeregisterMetersResult/>", RemoteResult.SUCCESS),
        ("<x:A xmlns:x='urn:x'><x:Result>Success</x:Result></x:A>", RemoteResult.SUCCESS),
        ("<R><Result>Failure</Result></R>", RemoteResult.FAILURE),
        ("<R><Result>Odd</Result></R>", RemoteResult.UNKNOWN),
    ],
)
def test_a_provisioning_reply_is_read_whatever_its_type(
    inside: str, result: RemoteResult, year: str
) -> None:
    data = provisioning(inside, year=year)
    assert answer(Operation.DEREGISTER_METERS, data) == HeadEndOutcome(result=result)


def test_a_failure_anywhere_in_a_provisioning_reply_is_found() -> None:
    block = (
        "<R><Result>Success</Result><List><x:Thing xmlns:x='urn:x'>"
        "<x:ElectronicSerialNumber>1</x:ElectronicSerialNumber>"
        "<x:FailureReason>InvalidTargetState</x:FailureReason></x:Thing></List></R>"
    )
    outcome = answer(Operation.DEREGISTER_METERS, provisioning(block))
    assert outcome == HeadEndOutcome(
        result=RemoteResult.FAILURE,
        failures=(
            EndpointFailure(endpoint=EndpointId("1"), reason=FailureReason.INVALID_TARGET_STATE),
        ),
    )


@pytest.mark.parametrize("operation", sorted(PROVISIONING_OPERATIONS))
def test_a_provisioning_reply_in_the_written_form_is_read(operation: Operation) -> None:
    assert answer(operation) == HeadEndOutcome(
        result=RemoteResult.FAILURE, failures=(FAILED,), truncated=True
    )


def test_a_provisioning_reply_of_the_other_operation_is_refused() -> None:
    with pytest.raises(ContractViolation):
        answer(Operation.ADD_METER_DEFINITIONS, provisioning(""))
