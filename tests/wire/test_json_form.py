"""The desk: short names, bare bodies, and errors that say what to change."""

import json

import pytest

from adapter.commands.flows import RESULT_OF
from adapter.errors import ContractViolation, InvalidRequest, WireError
from adapter.subscriptions.reconcile import SubscriptionOperation as SUBSCRIBING
from adapter.wire.catalog import HOSTED_HERE
from adapter.wire.tools.explain import explain
from adapter.wire.tools.json_form import decode_to_json, encode_from_json, usage_note
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


@pytest.mark.parametrize(
    "name",
    [
        "DataService.InterrogateByEndpoints",
        "DataService.GetInterrogateByEndpointsResult",
        "DataService.InteractiveReadByEndpoint",
        "ControlService.PingByEndpoints",
    ],
)
@pytest.mark.parametrize("way", ["request", "response"])
def test_an_operation_that_no_command_uses_is_decoded_and_says_so(name: str, way: str) -> None:
    decoded = decode_to_json((EXAMPLES / f"{name}.{way}.xml").read_bytes())
    assert (decoded["operation"], decoded["direction"]) == (name, way)
    assert usage_note(name) == usage_note(name, contract=WSDL) == "no command uses it"


def test_what_commands_callbacks_and_subscriptions_use_has_no_note() -> None:
    used = {*map(str, RESULT_OF), *RESULT_OF.values(), *HOSTED_HERE, *map(str, SUBSCRIBING)}
    assert {usage_note(name) for name in used} == {""}


@pytest.mark.parametrize(
    ("namespace", "name", "direction"),
    [
        ("2008/10/control", "RestrictMeter", "request"),
        ("2008/10/control", "GetScheduleRightSizingByGroupResult", "request"),
        ("2008/10/control", "ResetCommModuleResponse", "response"),
        ("2012/03/control/diagnostic", "GetRetrieveTlvByEndpointsResultResponse", "response"),
        ("2008/10/data", "SmsWakeup", "request"),
        ("2008/10/provisioning", "ChangeConfigurationGroup", "request"),
    ],
)
def test_an_operation_without_types_here_is_shown_as_texts(
    namespace: str, name: str, direction: str
) -> None:
    data = (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        f'<{name} xmlns="http://www.itron.com/ami/{namespace}"><request><Id>7</Id><Id>8</Id>'
        '<No xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"/><Empty/></request>'
        f"</{name}></s:Body></s:Envelope>"
    )
    decoded = decode_to_json(data.encode())
    assert decoded["direction"] == direction
    assert decoded["body"] == {"request": {"Id": ["7", "8"], "No": None, "Empty": ""}}
    operation = str(decoded["operation"])
    assert operation.partition(".")[2] == name.removesuffix("Response")
    assert usage_note(operation).startswith("no command uses it; the contract does not describe")
    with pytest.raises(InvalidRequest, match="is not in the contract"):
        encode_from_json(operation, dict(decoded))


def test_an_element_that_begins_no_known_operation_is_still_an_error() -> None:
    data = (EXAMPLES / "ControlService.DisconnectMeter.request.xml").read_bytes()
    for unknown in (b"DisconnectMetres", b"SmsWakeup"):
        with pytest.raises(ContractViolation, match="begins no message"):
            decode_to_json(data.replace(b"DisconnectMeter", unknown))


def test_what_a_schema_has_against_a_message_is_explained() -> None:
    data = (EXAMPLES / "RequestStatusChangedService.StatusChanged.request.xml").read_bytes()
    assert explain(WSDL, data) == []
    (word,) = explain(WSDL, data.replace(b"Executing", b"Sleeping"))
    assert "State" in word
    assert "value must be one of" in word
    assert explain(WSDL, data.replace(b"StatusChanged", b"StatusMoved"))
    assert explain(WSDL, codec().encode_fault("MeterNotFoundFault", {}, reason="")) == []
