"""The desk: short names, bare bodies, and errors that say what to change."""

import json

import pytest

from adapter.errors import ContractViolation, InvalidRequest, WireError
from adapter.wire.tools.explain import explain
from adapter.wire.tools.json_form import decode_to_json, encode_from_json
from tests.wire.bodies import EXAMPLES, WSDL, codec

BODY = {"request": {"MeterRequest": {"ElectronicSerialNumber": "1"}}}


def test_a_bare_body_is_a_request() -> None:
    data = encode_from_json("DisconnectMeter", BODY)
    assert decode_to_json(data) == {
        "operation": "ControlService.DisconnectMeter",
        "direction": "request",
        "body": BODY,
    }


def test_what_is_printed_is_what_is_read() -> None:
    printed = json.dumps(decode_to_json(encode_from_json("DisconnectMeter", BODY)))
    assert decode_to_json(encode_from_json("DisconnectMeter", json.loads(printed))) == json.loads(
        printed
    )


@pytest.mark.parametrize("contract", [None, WSDL])
def test_another_contract_can_be_named(contract: object) -> None:
    assert encode_from_json("DisconnectMeter", BODY, contract=None if contract is None else WSDL)


@pytest.mark.parametrize(
    ("operation", "message", "said"),
    [
        ("PingByEndpoints", {}, "is in several services: .*ControlService"),
        ("Explode", {}, "Explode is not in the contract"),
        ("DisconnectMeter", {"direction": "sideways", "body": {}}, "direction"),
        ("DisconnectMeter", {"direction": "request"}, "body"),
        ("", {"direction": "fault", "body": {"fault": "NoFault"}}, "NoFault"),
    ],
)
def test_a_wrong_order_is_explained(operation: str, message: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        encode_from_json(operation, message)


def test_a_body_that_does_not_fit_names_the_place() -> None:
    with pytest.raises(ContractViolation, match="DisconnectMeter/request/Meter: is not"):
        encode_from_json("DisconnectMeter", {"request": {**BODY["request"], "Meter": 1}})


def test_bytes_that_are_no_message_are_an_error() -> None:
    with pytest.raises(WireError):
        decode_to_json(b"hello")


def test_what_a_schema_has_against_a_message_is_explained() -> None:
    data = (EXAMPLES / "RequestStatusChangedService.StatusChanged.request.xml").read_bytes()
    assert explain(WSDL, data) == []
    (word,) = explain(WSDL, data.replace(b"Executing", b"Sleeping"))
    assert "State" in word
    assert "value must be one of" in word
    assert explain(WSDL, data.replace(b"StatusChanged", b"StatusMoved"))
    assert explain(WSDL, codec().encode_fault("MeterNotFoundFault", {}, reason="")) == []
