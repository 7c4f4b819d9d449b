"""The simulated head end takes no more than a WCF service takes, unless it is told to."""

import re
from pathlib import Path

import pytest

from adapter.wire.served import served_by_head_end
from tests.simulator.running_simulator import (
    DISCONNECT,
    ENDPOINTS_READ,
    ONE,
    PING,
    READ,
    RECONNECT,
    TWO,
    Rig,
    codec,
    request,
    running,
    text,
)
from tests.support import every_case

EXAMPLES = Path(__file__).parents[1] / "wire" / "examples"
SOAP_12 = b"http://www.w3.org/2003/05/soap-envelope"
SOAP_11 = b"http://schemas.xmlsoap.org/soap/envelope/"
LENIENT = {"strict": False}
NIL = b'xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"'


def written(operation: str, *endpoints: str, **parameters: object) -> bytes:
    body = request(operation, *endpoints, address=None, **parameters)
    return codec().encode_request(operation, body)


def member(payload: bytes, name: str) -> bytes:
    """The whole element of that name, as it stands in `payload`."""
    found = re.search(rf"<(\w+:{name})>.*?</\1>".encode(), payload)
    assert found is not None, (name, payload)
    return found[0]


def without(payload: bytes, name: str) -> bytes:
    return payload.replace(member(payload, name), b"")


async def refused(rig: Rig, operation: str, payload: bytes, code: str, reason: str) -> None:
    status, raw = await rig.post(operation, payload)
    assert (status, text(codec().decode(raw).body, "faultcode")) == (500, code)
    entry = rig.simulator.journal.entries()[-1]
    assert entry["kind"] == "refused"
    assert entry["reason"] == reason
    assert rig.simulator.journal.count(operation) == 0


@pytest.mark.parametrize(
    "media",
    [
        "application/soap+xml; charset=utf-8",
        "application/xml",
        "application/octet-stream",
        "text/plain; charset=utf-8",
        "text/xml; charset=iso-8859-1",
    ],
)
async def test_another_content_type_is_answered_415_and_nothing_is_done(media: str) -> None:
    async with running() as rig:
        payload = written(DISCONNECT, ONE)
        status, raw = await rig.post(DISCONNECT, payload, {"Content-Type": media})
        assert (status, raw) == (415, b"The content type must be text/xml; charset=utf-8.")
        [entry] = rig.simulator.journal.entries()
        assert (entry["kind"], entry["status"]) == ("refused", 415)
        assert entry["reason"] == f"its content type is {media}"
        assert rig.simulator.journal.count(DISCONNECT) == 0


@pytest.mark.parametrize(
    "media", ["text/xml", "TEXT/XML; charset=UTF-8", 'text/xml;charset="utf-8"']
)
async def test_the_content_type_of_soap_1_1_is_taken_in_any_spelling(media: str) -> None:
    async with running() as rig:
        status, _ = await rig.post(DISCONNECT, written(DISCONNECT, ONE), {"Content-Type": media})
        assert status == 200


async def test_an_envelope_of_soap_1_2_is_a_version_mismatch() -> None:
    async with running() as rig:
        payload = written(DISCONNECT, ONE).replace(SOAP_11, SOAP_12)
        await refused(rig, DISCONNECT, payload, "VersionMismatch", "its envelope is of SOAP 1.2")


@pytest.mark.parametrize("action", ["", '""', "DisconnectMeter", "of another operation"])
async def test_the_action_must_be_there_and_be_that_of_the_operation(action: str) -> None:
    if action == "of another operation":
        action = f'"{codec().catalog.spec(RECONNECT).soap_action}"'
    async with running() as rig:
        status, raw = await rig.post(DISCONNECT, written(DISCONNECT, ONE), {"SOAPAction": action})
        assert status == 500
        assert b"ws/2005/05/addressing/none" in raw
        assert codec().decode(raw).body["faultcode"] == "ActionNotSupported"
        assert rig.simulator.journal.count(DISCONNECT) == 0


async def test_an_action_without_quotes_is_taken_as_wcf_takes_it() -> None:
    async with running() as rig:
        action = codec().catalog.spec(DISCONNECT).soap_action
        status, _ = await rig.post(DISCONNECT, written(DISCONNECT, ONE), {"SOAPAction": action})
        assert status == 200


@pytest.mark.parametrize(
    ("operation", "name", "reason"),
    [
        (DISCONNECT, "MeterRequest", "DisconnectMeter/request: lacks MeterRequest"),
        (
            DISCONNECT,
            "ElectronicSerialNumber",
            "DisconnectMeter/request/MeterRequest: lacks ElectronicSerialNumber",
        ),
        (
            RECONNECT,
            "IsUserInterventionRequired",
            "ReconnectMeter/request: lacks IsUserInterventionRequired",
        ),
        (
            PING,
            "ElectronicSerialNumbers",
            "PingByEndpoints/request/EndpointCollectionRequest: lacks ElectronicSerialNumbers",
        ),
        (
            ENDPOINTS_READ,
            "InterrogationWindowEndTime",
            "InterrogateByEndpoints/request/Parameters: lacks InterrogationWindowEndTime",
        ),
        (READ, "Parameters", "ContingencyReadByEndpoints/request: lacks Parameters"),
    ],
)
async def test_a_member_that_the_contract_requires_must_be_there(
    operation: str, name: str, reason: str
) -> None:
    async with running() as rig:
        payload = without(written(operation, ONE), name)
        await refused(rig, operation, payload, "DeserializationFailed", reason)


async def test_a_required_member_that_stands_too_late_is_lacking() -> None:
    async with running() as rig:
        payload = written(READ, ONE)
        start, end = (member(payload, f"Reading{name}Time") for name in ("Start", "End"))
        late = payload.replace(start + end, end + start)
        reason = "ContingencyReadByEndpoints/request/Parameters: lacks ReadingStartTime"
        await refused(rig, READ, late, "DeserializationFailed", reason)


async def test_an_optional_member_out_of_the_order_of_the_contract_is_not_passed_over() -> None:
    async with running() as rig:
        given = {"RetrieveRecentRegisters": True, "ReportSelfReadOption": "None"}
        payload = written(READ, ONE, **given)
        first, second = (member(payload, name) for name in given)
        turned = payload.replace(first + second, second + first)
        reason = (
            "ContingencyReadByEndpoints/request/Parameters/RetrieveRecentRegisters: "
            "does not stand where the contract has it"
        )
        await refused(rig, READ, turned, "DeserializationFailed", reason)
        assert (await rig.post(READ, payload))[0] == 200


async def test_nil_stands_only_where_the_contract_allows_it() -> None:
    async with running() as rig:
        payload = written(RECONNECT, ONE)
        flag = member(payload, "IsUserInterventionRequired")
        nil = flag.replace(b">false<", b" " + NIL + b"><")
        reason = "ReconnectMeter/request/IsUserInterventionRequired: must not be nil"
        await refused(rig, RECONNECT, payload.replace(flag, nil), "DeserializationFailed", reason)


async def test_elements_that_the_contract_does_not_have_are_passed_over() -> None:
    async with running() as rig:
        later = b'<x:Later xmlns:x="urn:later">1</x:Later></dia:request>'
        payload = written(PING, ONE, TWO).replace(b"</dia:request>", later)
        assert later in payload
        assert (await rig.post(PING, payload))[0] == 200


async def test_every_example_of_a_request_is_taken() -> None:
    async with running() as rig:
        with every_case() as case:
            for operation in sorted(spec.key for spec in served_by_head_end(codec().catalog)):
                with case(operation):
                    await rig.post(operation, (EXAMPLES / f"{operation}.request.xml").read_bytes())
                    assert rig.simulator.journal.count(operation) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/xml"},
        {"Content-Type": "application/soap+xml; charset=utf-8", "SOAPAction": ""},
        {"SOAPAction": ""},
    ],
)
async def test_a_lenient_simulator_takes_other_headers(headers: dict[str, str]) -> None:
    async with running(LENIENT) as rig:
        assert (await rig.post(DISCONNECT, written(DISCONNECT, ONE), headers))[0] == 200


async def test_a_lenient_simulator_takes_soap_1_2_and_members_left_out_or_turned_round() -> None:
    async with running(LENIENT) as rig:
        payload = written(RECONNECT, ONE)
        for taken in (
            payload.replace(SOAP_11, SOAP_12),
            without(payload, "IsUserInterventionRequired"),
        ):
            assert (await rig.post(RECONNECT, taken))[0] == 200
        payload = written(READ, ONE)
        start, end = (member(payload, f"Reading{name}Time") for name in ("Start", "End"))
        assert (await rig.post(READ, payload.replace(start + end, end + start)))[0] == 200


async def test_a_lenient_simulator_still_refuses_the_action_of_another_operation() -> None:
    async with running(LENIENT) as rig:
        other = {"SOAPAction": codec().catalog.spec(PING).soap_action}
        status, raw = await rig.post(DISCONNECT, written(DISCONNECT, ONE), other)
        assert (status, codec().decode(raw).body["faultcode"]) == (500, "ActionNotSupported")
