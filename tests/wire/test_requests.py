"""Calls as requests: the right fields, in the contract's order, and none that is not needed."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from adapter.commands.calls import Call, ReadParameters
from adapter.commands.flows import Operation
from adapter.errors import ContractViolation
from adapter.model.ids import EndpointId, RequestToken
from adapter.wire.operations import OPERATIONS, encode_call, request_body
from tests.support import for_every
from tests.wire.bodies import codec

TOKEN = RequestToken("9f3b2c44-7d10-4e0a-8f21-3c5a6b7d8e90")
METER = EndpointId("2.16.840.1.114416.0.47110001")
DAY = datetime(2025, 3, 30, tzinfo=UTC)
READ = ReadParameters(
    start=DAY,
    end=DAY + timedelta(days=1),
    window_start=DAY + timedelta(hours=25),
    window_end=DAY + timedelta(hours=29),
)


def a_call(operation: Operation, **more: Any) -> Call:
    given: dict[str, Any] = {
        "endpoints": (METER,),
        "group": "Feeder 7",
        "token": TOKEN,
        "callback": "https://gateway.example/openway/status/1",
        "read": READ,
    }
    return Call(operation=operation, **{**given, **more})


def test_the_table_has_one_row_for_every_operation() -> None:
    assert list(OPERATIONS) == list(Operation)


@for_every("operation", Operation)
def test_every_operation_is_written_and_read_back(operation: Operation) -> None:
    message = codec().decode(encode_call(codec(), a_call(operation)))
    assert message.operation == operation
    assert message.body == request_body(a_call(operation))


def test_flags_that_are_false_stay_away_unless_the_contract_wants_them() -> None:
    assert b"EmergencyOverride" not in encode_call(codec(), a_call(Operation.DISCONNECT_METER))
    connect = encode_call(codec(), a_call(Operation.RECONNECT_METER))
    assert b"EmergencyOverride" not in connect
    assert b"<ctl:IsUserInterventionRequired>false<" in connect
    urgent = encode_call(codec(), a_call(Operation.DISCONNECT_METER, emergency_override=True))
    assert b"<ctl:EmergencyOverride>true<" in urgent


def test_what_a_read_asks_for_is_flagged_in_the_contracts_order() -> None:
    every = ReadParameters(
        start=DAY,
        end=DAY,
        window_start=DAY,
        window_end=DAY,
        load_profile=True,
        registers=True,
        events=True,
    )
    contingency = encode_call(codec(), a_call(Operation.CONTINGENCY_READ, read=every))
    flags = [b"RetrieveLoadProfileData", b"RetrieveLogEvents", b"RetrieveRecentRegisters"]
    places = [contingency.index(flag) for flag in flags]
    assert places == sorted(places)
    assert b"Retrieve" not in encode_call(codec(), a_call(Operation.CONTINGENCY_READ))
    for operation in (Operation.INTERROGATE_GROUP, Operation.INTERROGATE_ENDPOINTS):
        interrogation = encode_call(codec(), a_call(operation, read=every))
        assert b"RetrievePriorSelfRead" in interrogation


def test_an_interrogation_of_endpoints_names_them_and_the_window() -> None:
    other = EndpointId("2.16.840.1.114416.0.47110002")
    call = a_call(Operation.INTERROGATE_ENDPOINTS, endpoints=(METER, other))
    assert codec().decode(encode_call(codec(), call)).body == {
        "request": {
            "EndpointCollectionRequest": {
                "ElectronicSerialNumbers": [METER, other],
                "StatusChangedService": "https://gateway.example/openway/status/1",
            },
            "Parameters": {
                "ReadingStartTime": "2025-03-30T00:00:00Z",
                "ReadingEndTime": "2025-03-31T00:00:00Z",
                "InterrogationWindowStartTime": "2025-03-31T01:00:00Z",
                "InterrogationWindowEndTime": "2025-03-31T05:00:00Z",
            },
        }
    }


def test_times_travel_in_utc() -> None:
    berlin = timezone(timedelta(hours=2))
    read = ReadParameters(
        start=datetime(2025, 5, 1, tzinfo=berlin), end=datetime(2025, 5, 2, 0, 0, 1, 5, berlin)
    )
    body = encode_call(codec(), a_call(Operation.CONTINGENCY_READ, read=read))
    assert b"<dat:ReadingStartTime>2025-04-30T22:00:00Z<" in body
    assert b"<dat:ReadingEndTime>2025-05-01T22:00:01.000005Z<" in body


def test_many_endpoints_and_no_callback() -> None:
    meters = tuple(EndpointId(f"meter {n} <&>") for n in range(1_000))
    call = a_call(Operation.PING, endpoints=meters, callback=None)
    message = codec().decode(encode_call(codec(), call))
    assert message.body == {
        "request": {"EndpointCollectionRequest": {"ElectronicSerialNumbers": list(meters)}}
    }


def test_a_header_block_stands_in_the_header() -> None:
    data = encode_call(codec(), a_call(Operation.CANCEL_REQUEST), header=b"<a xmlns='urn:x'/>")
    assert b"<s:Header><a xmlns='urn:x'/></s:Header><s:Body>" in data


@pytest.mark.parametrize(
    ("operation", "missing"),
    [
        (Operation.DISCONNECT_METER, {"endpoints": ()}),
        (Operation.DISCONNECT_METER, {"endpoints": (METER, METER)}),
        (Operation.PING, {"endpoints": ()}),
        (Operation.DEREGISTER_METERS, {"endpoints": ()}),
        (Operation.INTERROGATE_GROUP, {"group": None}),
        (Operation.INTERROGATE_GROUP, {"read": ReadParameters(start=DAY, end=DAY)}),
        (Operation.INTERROGATE_ENDPOINTS, {"endpoints": ()}),
        (Operation.INTERROGATE_ENDPOINTS, {"read": ReadParameters(start=DAY, end=DAY)}),
        (Operation.CONTINGENCY_READ, {"read": None}),
        (Operation.REQUEST_STATUS, {"token": None}),
        (Operation.CANCEL_REQUEST, {"token": RequestToken("1")}),
        (Operation.DISCONNECT_METER, {"endpoints": (EndpointId("a\x00b"),)}),
    ],
)
def test_a_call_that_lacks_something_is_refused(
    operation: Operation, missing: dict[str, Any]
) -> None:
    with pytest.raises(ContractViolation, match=operation.partition(".")[2]):
        encode_call(codec(), a_call(operation, **missing))
