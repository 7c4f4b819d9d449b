"""What is not in the contract is not written, and the error names the place."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zeep.exceptions import Error as ZeepError

from adapter.errors import ContractError, ContractViolation
from adapter.wire.tools.reference import reference_request
from tests.wire.bodies import bodies, catalog, codec

DISCONNECT = "ControlService.DisconnectMeter"
METER = {"ElectronicSerialNumber": "1"}
ZERO = "00000000-0000-0000-0000-000000000000"


def written(key: str, body: dict[str, Any]) -> str:
    return codec().encode_request(key, body).decode()


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "DisconnectMeter/request: is missing"),
        ({"input": {}}, "DisconnectMeter/request: is missing"),
        ({"request": {}}, "DisconnectMeter/request/MeterRequest: is missing"),
        ({"request": 1}, "DisconnectMeter/request: needs named fields"),
        (
            {"request": {"MeterRequest": METER, "Extra": 1}},
            "DisconnectMeter/request/Extra: is not in the contract",
        ),
        (
            {"request": {"MeterRequest": METER}, "requests": {}},
            "DisconnectMeter/requests: is not in the contract",
        ),
        (
            {"request": {"MeterRequest": {"ElectronicSerialNumber": 1}}},
            "DisconnectMeter/request/MeterRequest/ElectronicSerialNumber: needs text",
        ),
        (
            {"request": {"MeterRequest": {"ElectronicSerialNumber": "\x07"}}},
            r"ElectronicSerialNumber: character U\+0007",
        ),
        (
            {"request": {"MeterRequest": METER, "EmergencyOverride": "true"}},
            "DisconnectMeter/request/EmergencyOverride: needs true or false",
        ),
        (
            {"request": {"MeterRequest": METER, "EmergencyOverride": None}},
            "EmergencyOverride: may not be null",
        ),
        ({"request": {"MeterRequest": METER, "Metadata": {}}}, "Metadata: open content"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_with_its_place(
    body: dict[str, Any], place: str
) -> None:
    with pytest.raises(ContractViolation, match=place):
        written(DISCONNECT, body)


def test_a_place_in_a_list_is_counted() -> None:
    body = {"request": {"EndpointCollectionRequest": {"ElectronicSerialNumbers": ["a", 2]}}}
    with pytest.raises(ContractViolation, match=r"ElectronicSerialNumbers/\[1\]: needs text"):
        written("DiagnosticService.PingByEndpoints", body)


@pytest.mark.parametrize("text", ["none", "PowerOutageOrRestoration "])
def test_a_word_outside_an_enumeration_is_not_sent(text: str) -> None:
    exception = {
        "ElectronicSerialNumber": "1",
        "ReceivedWhen": "2025-01-01T00:00:00Z",
        "ExceptionCategory": text,
        "Name": "x",
    }
    with pytest.raises(ContractViolation, match=r"\[0\]/ExceptionCategory: .* is none of Unknown"):
        written(
            "ExceptionSubscriberService.ExceptionsArrived",
            {"input": {"MeterExceptionCollection": [exception]}},
        )


STATUS = {
    "RequestToken": {"Id": ZERO},
    "State": "Completed",
    "EndpointsScheduled": 1,
    "Result": "Success",
    "SuccessfulEndpoints": 1,
    "FailedEndpoints": 0,
    "CreatedWhen": "2025-01-01T00:00:00Z",
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"EndpointsScheduled": 2**31},
        {"EndpointsScheduled": True},
        {"EndpointsScheduled": "1"},
        {"EndpointsScheduled": 1.0},
        {"CreatedWhen": "yesterday"},
        {"CreatedWhen": datetime(2025, 1, 1)},  # noqa: DTZ001
        {"RequestToken": {"Id": "{" + ZERO + "}"}},
        {"RequestToken": {"Id": ZERO + "\n"}},
        {"State": None},
    ],
)
def test_a_value_of_the_wrong_type_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ContractViolation, match=next(iter(wrong))):
        written(
            "RequestStatusChangedService.StatusChanged",
            {"input": {"RequestStatus": {**STATUS, **wrong}}},
        )


def test_values_of_python_are_taken_as_well() -> None:
    status = {
        **STATUS,
        "RequestToken": {"Id": UUID(ZERO)},
        "CreatedWhen": datetime(2025, 1, 1, 1, tzinfo=UTC),
    }
    text = written(
        "RequestStatusChangedService.StatusChanged", {"input": {"RequestStatus": status}}
    )
    assert "<com:CreatedWhen>2025-01-01T01:00:00Z<" in text
    assert f"<com:Id>{ZERO}<" in text
    assert register({"type": "xs:decimal", "value": Decimal("1E+3")}).count(">1000<") == 1


def register(value: object) -> str:
    read = {
        "Identifier": "1",
        "DeviceClass": "x",
        "ScalingType": "None",
        "RegisterValues": [
            {
                "Quantity": "Wh d",
                "Source": "CurrentRegister",
                "Timestamp": "2025-01-01T00:00:00Z",
                "Value": value,
            }
        ],
    }
    return written("DataSubscriberService.DataArrived", {"input": {"ReadDataCollection": [read]}})


@pytest.mark.parametrize(
    "value",
    [
        "123",
        {"type": "xs:decimal"},
        {"type": "xs:decimal", "value": "12,5"},
        {"type": "xs:int", "value": "one"},
        {"type": "dat:Thing", "value": "1"},
        {"type": 'xs:a" b="', "value": "1"},
        {"type": "xs:string", "value": "1", "more": 1},
        {"value": 5},
    ],
)
def test_a_value_of_any_type_must_say_its_type_and_be_of_it(value: object) -> None:
    with pytest.raises(ContractViolation, match="Value"):
        register(value)


def test_an_unknown_operation_or_fault_is_named() -> None:
    with pytest.raises(ContractError, match=r"ControlService\.Explode"):
        codec().encode_request("ControlService.Explode", {})
    with pytest.raises(ContractError, match="NoFault"):
        codec().encode_fault("NoFault", {}, reason="")


@pytest.mark.parametrize("key", sorted(catalog().operations)[::5])
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_an_unknown_key_is_an_error_here_as_in_zeep(key: str, data: st.DataObject) -> None:
    body = data.draw(bodies(catalog().spec(key).request)) | {"Unheard": "1"}
    with pytest.raises(ContractViolation, match="Unheard"):
        codec().encode_request(key, body)
    with pytest.raises((TypeError, ZeepError)):
        reference_request(catalog(), key, body)
