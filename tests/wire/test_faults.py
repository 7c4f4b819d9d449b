"""Every fault of the contract, and everything that only looks like one."""

import pytest

from adapter.commands.flows import Operation
from adapter.errors import FaultClass, Refused
from adapter.wire.faults import FAULT_CLASSES, FAULT_NAMESPACES, soap_fault
from adapter.wire.operations import read_answer
from adapter.wire.xml import Soap
from tests.support import for_every
from tests.wire.bodies import EXAMPLES, codec

RETRIED = {"TooManyConcurrentRequestsFault", "TooManyCommandsFault"}
COM = "http://www.itron.com/ami/2008/10/common"
DISPATCHER = "http://schemas.microsoft.com/net/2005/12/windowscommunicationfoundation/dispatcher"


def refusal(data: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        read_answer(codec(), Operation.DISCONNECT_METER, data)
    return caught.value


def envelope(fault: str, ns: str = "http://schemas.xmlsoap.org/soap/envelope/") -> bytes:
    return (
        f'<s:Envelope xmlns:s="{ns}"><s:Body><s:Fault>{fault}</s:Fault></s:Body></s:Envelope>'
    ).encode()


@for_every("name", FAULT_CLASSES)
def test_each_fault_is_read_by_name_with_its_class(name: str) -> None:
    fault = refusal((EXAMPLES / f"fault.{name}.xml").read_bytes()).fault
    assert (fault.name, fault.named) == (name, True)
    expected = FaultClass.RETRY if name in RETRIED else FaultClass.PERMANENT
    if name == "RequestNotFinishedFault":
        expected = FaultClass.POLL_AGAIN
    assert fault.klass is expected
    assert fault.message == "Refused: see detail."
    assert fault.fields["Message"] == "Refused: see detail."


def test_the_fields_of_a_fault_are_kept() -> None:
    fault = refusal((EXAMPLES / "fault.MeterNotFoundFault.xml").read_bytes()).fault
    assert fault.fields["ElectronicSerialNumber"] == "2.16.840.1.114416.0.47110001"
    targets = refusal((EXAMPLES / "fault.NoValidTargetsFoundFault.xml").read_bytes()).fault
    assert "2.16.840.1.114416.0.47110001 NoResponse" in targets.fields["InvalidEndpoints"]


@for_every("name", FAULT_NAMESPACES)
@for_every("soap", Soap)
def test_a_written_fault_is_read_back_in_both_versions(name: str, soap: Soap) -> None:
    fields = {"SecurityFault": {"Id": "9f3b2c44-7d10-4e0a-8f21-3c5a6b7d8e90"}}.get(name, {})
    times = {
        "SecurityFault": {"OccurredWhen": "2025-01-01T00:00:00Z", "Message": "no"},
        "InvalidDateTimeRangeFault": dict.fromkeys(("Start", "End"), "2025-01-01T00:00:00Z"),
    }
    written = codec().encode_fault(
        name, {**fields, **times.get(name, {})}, reason="a < b & c", soap=soap
    )
    fault = refusal(written).fault
    assert fault.name == name
    assert codec().decode(written).body["reason"] == "a < b & c"


@pytest.mark.parametrize("code", ["Sender", "s:Client", "Client", "x:Sender"])
def test_a_fault_code_is_read_with_or_without_prefix(code: str) -> None:
    detail = f'<detail><MeterNotFoundFault xmlns="{COM}"/></detail>'
    data = envelope(f"<faultcode>{code}</faultcode><faultstring>No.</faultstring>{detail}")
    fault = refusal(data).fault
    assert (fault.name, fault.message) == ("MeterNotFoundFault", "No.")


@pytest.mark.parametrize(
    ("code", "klass"),
    [
        ("a:InternalServiceFault", FaultClass.RETRY),
        ("a:DeserializationFailed", FaultClass.PERMANENT),
        ("a:ActionNotSupported", FaultClass.PERMANENT),
        ("s:Server", FaultClass.RETRY),
        ("", FaultClass.RETRY),
    ],
)
def test_a_fault_of_the_platform_has_no_name_and_proves_nothing(
    code: str, klass: FaultClass
) -> None:
    data = envelope(
        f'<faultcode xmlns:a="{DISPATCHER}">{code}</faultcode>'
        "<faultstring>The server was unable to process the request.</faultstring>"
    )
    fault = refusal(data).fault
    assert (fault.named, fault.klass) == (False, klass)
    assert fault.message == "The server was unable to process the request."


@pytest.mark.parametrize(
    "detail",
    [
        "<MeterNotFoundFault/>",
        '<MeterNotFoundFault xmlns="http://example.com/"/>',
        f'<NobodyKnowsThisFault xmlns="{COM}"/>',
        f'<SecurityFault xmlns="{COM}"/>',
        '<ExceptionDetail xmlns="http://schemas.datacontract.org/2004/07/System.ServiceModel"/>',
    ],
)
def test_a_detail_that_is_none_of_the_contracts_faults_has_no_name(detail: str) -> None:
    data = envelope(f"<faultcode>s:Client</faultcode><detail>{detail}</detail>")
    assert not refusal(data).fault.named


STRANGE = '<ExceptionDetail xmlns="http://schemas.datacontract.org/2004/07/System.ServiceModel"/>'


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        (STRANGE, ""),
        ("<!-- trace -->", ""),
        (STRANGE * 3, STRANGE),
        ("", STRANGE),
        ("<a/>", "<b/>"),
    ],
)
def test_a_fault_of_the_contract_is_read_wherever_it_stands_in_the_detail(
    before: str, behind: str
) -> None:
    fault = f'<EndpointNotFoundFault xmlns="{COM}"/>'
    for part in ("detail", "Detail"):
        data = envelope(f"<faultcode>s:Client</faultcode><{part}>{before}{fault}{behind}</{part}>")
        assert refusal(data).fault.name == "EndpointNotFoundFault"


def test_a_fault_inside_an_entry_of_somebody_else_is_none() -> None:
    inside = f'<a><EndpointNotFoundFault xmlns="{COM}"/></a>'
    data = envelope(f"<faultcode>s:Client</faultcode><detail>{inside}</detail>")
    assert not refusal(data).fault.named


def test_a_soap_12_fault_is_read() -> None:
    data = envelope(
        "<s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>a:ActionNotSupported</s:Value>"
        '</s:Subcode></s:Code><s:Reason><s:Text xml:lang="en">No.</s:Text></s:Reason>',
        ns="http://www.w3.org/2003/05/soap-envelope",
    )
    fault = refusal(data).fault
    assert (fault.named, fault.klass, fault.message) == (False, FaultClass.PERMANENT, "No.")


@pytest.mark.parametrize("soap", Soap)
def test_a_plain_fault_escapes_its_reason(soap: Soap) -> None:
    fault = refusal(soap_fault("Server", "</s:Fault> & more", soap=soap)).fault
    assert (fault.named, fault.message) == (False, "</s:Fault> & more")
