"""Port types without a binding, and contracts of several files that overlap."""

import re
import shutil
from pathlib import Path

import pytest

from adapter.commands.calls import Call
from adapter.commands.flows import Operation
from adapter.errors import ContractError
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec
from adapter.wire.operations import encode_call
from adapter.wire.tools.json_form import check
from tests.wire.bodies import WSDL, catalog, codec
from tests.wire.test_requests import a_call

BINDING = re.compile(r"\s*<wsdl:binding .*?</wsdl:binding>", re.DOTALL)
SERVICE = re.compile(r"\s*<wsdl:service .*?</wsdl:service>", re.DOTALL)
ACTION = re.compile(r' wsaw:Action="[^"]*"')
CONTROL = "http://www.itron.com/ami/2008/10/control"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(WSDL, tmp_path / "wsdl"))


def only_port_types(folder: Path, *, actions: bool = True) -> Path:
    """The folder, with the abstract half of every file alone."""
    for file in folder.glob("*.wsdl"):
        text = SERVICE.sub("", BINDING.sub("", file.read_text()))
        file.write_text(text if actions else ACTION.sub("", text))
    return folder


def disconnect() -> Call:
    return a_call(Operation.DISCONNECT_METER)


def test_port_types_alone_carry_every_command_as_with_their_bindings(copy: Path) -> None:
    loaded = Catalog.load(only_port_types(copy))
    assert check(copy) == []
    assert loaded.operations.keys() == catalog().operations.keys()
    for key, spec in loaded.operations.items():
        theirs = catalog().spec(key)
        assert (spec.soap_action, spec.request, spec.response, sorted(spec.faults)) == (
            *(theirs.soap_action, theirs.request, theirs.response, sorted(theirs.faults)),
        )
    assert loaded.spec(Operation.DISCONNECT_METER) == catalog().spec(Operation.DISCONNECT_METER)
    assert encode_call(Codec(loaded), disconnect()) == encode_call(codec(), disconnect())


def test_a_port_type_without_binding_is_a_remark_and_named_once(copy: Path) -> None:
    loaded = Catalog.load(only_port_types(copy))
    (said,) = [each for each in loaded.remarks if "ControlService" in each]
    assert said == (
        "control.wsdl: port type ControlService has no binding: taken as document/literal SOAP 1.1 "
        "by wsaw:Action at /ami/2008/10/control, which is inferred"
    )
    assert len(loaded.remarks) == len(set(loaded.remarks)) == len(list(copy.glob("*.wsdl")))


def test_without_wsaw_action_it_is_the_default_of_ws_addressing(copy: Path) -> None:
    loaded = Catalog.load(only_port_types(copy, actions=False))
    spec = loaded.spec(Operation.DISCONNECT_METER)
    assert spec.soap_action == f"{CONTROL}/ControlService/DisconnectMeterRequest"
    (said,) = [each for each in loaded.remarks if "ControlService" in each]
    assert "by its default actions" in said
    assert "DisconnectMeter, " in said


@pytest.mark.parametrize(
    ("told", "action"),
    [
        ('name="Off"', f"{CONTROL}/ControlService/Off"),
        ('xmlns:m="http://www.w3.org/2007/05/addressing/metadata" m:Action="urn:off"', "urn:off"),
    ],
)
def test_the_default_action_takes_the_name_of_the_input(copy: Path, told: str, action: str) -> None:
    file = only_port_types(copy, actions=False) / "control.wsdl"
    message = 'message="ctl:ControlService_DisconnectMeter_InputMessage"'
    assert message in file.read_text()
    file.write_text(file.read_text().replace(message, f"{message} {told}"))
    assert Catalog.load(file).spec(Operation.DISCONNECT_METER).soap_action == action


def test_an_operation_whose_message_is_missing_costs_itself_alone(copy: Path) -> None:
    file = only_port_types(copy) / "control.wsdl"
    message = 'message="ctl:ControlService_DisconnectMeter_InputMessage"'
    file.write_text(file.read_text().replace(message, 'message="ctl:Gone"'))
    loaded = Catalog.load(copy)
    assert {each.operation for each in check(copy)} == {Operation.DISCONNECT_METER}
    assert any("'DisconnectMeter' was not found" in each for each in loaded.remarks)


def test_two_unbound_port_types_of_one_name_that_differ_are_left_out_and_named(copy: Path) -> None:
    file = only_port_types(copy) / "control.wsdl"
    part = copy / "other.part"
    other = file.read_text().replace(f'targetNamespace="{CONTROL}"', 'targetNamespace="urn:o"')
    part.write_text(other.replace('message="ctl:', 'xmlns:o="urn:o" message="o:'))
    imported = '<wsdl:import namespace="urn:o" location="other.part"/><wsdl:types>'
    file.write_text(file.read_text().replace("<wsdl:types>", imported))
    (said,) = [each for each in Catalog.load(copy).remarks if "left out" in each]
    assert "(ControlService, ControlService)" in said
    assert "is defined twice, and differs in path of its address" in said


def test_a_urn_is_parted_by_colons(copy: Path) -> None:
    file = only_port_types(copy, actions=False) / "control.wsdl"
    text = file.read_text().replace(f'targetNamespace="{CONTROL}"', 'targetNamespace="urn:ctl"')
    file.write_text(text.replace('message="ctl:', 'xmlns:u="urn:ctl" message="u:'))
    spec = Catalog.load(file).spec(Operation.DISCONNECT_METER)
    assert spec.soap_action == "urn:ctl:ControlService:DisconnectMeterRequest"
    assert (spec.path, spec.namespace) == ("/", CONTROL)


def test_a_binding_without_a_service_is_taken_as_it_is(copy: Path) -> None:
    for file in copy.glob("*.wsdl"):
        file.write_text(SERVICE.sub("", file.read_text()))
    text = (copy / "control.wsdl").read_text()
    (copy / "control.wsdl").write_text(text.replace('soapAction="http:', 'soapAction="urn:x:'))
    loaded = Catalog.load(copy)
    assert loaded.spec(Operation.DISCONNECT_METER).soap_action.startswith("urn:x:")
    assert any("ControlService has a binding and no address" in each for each in loaded.remarks)


def test_a_service_of_soap_12_alone_is_a_remark(copy: Path) -> None:
    file = copy / "control.wsdl"
    file.write_text(file.read_text().replace("/wsdl/soap/", "/wsdl/soap12/"))
    assert Catalog.load(copy).remarks == (
        "control.wsdl: ControlService is bound to SOAP 1.2 alone, "
        "and is called by SOAP 1.1 all the same",
    )


def test_a_port_type_that_another_file_binds_is_not_bound_again(copy: Path) -> None:
    """As WCF writes it: the port type in a file of its own, which the service's file imports."""
    file, part = copy / "control.wsdl", copy / "control0.wsdl"
    text = file.read_text()
    part.write_text(SERVICE.sub("", BINDING.sub("", text)))
    start, end = text.index("<wsdl:types>"), text.index("<wsdl:binding ")
    split = f'<wsdl:import namespace="{CONTROL}" location="control0.wsdl"/>'
    file.write_text(text[:start] + split + text[end:])
    loaded = Catalog.load(copy)
    assert loaded.remarks == ()
    assert loaded.operations == catalog().operations
    part_alone = Catalog.load(part)
    assert "ControlService.DisconnectMeter" in part_alone.operations
    assert part_alone.services_of(part) == {"ControlService"}


def test_a_service_with_ports_of_several_port_types_offers_them_all(copy: Path) -> None:
    file = copy / "control.wsdl"
    second = file.read_text()
    port_type = second[second.index("<wsdl:portType") : second.index("<wsdl:service")]
    ports = second[second.index("<wsdl:port ") : second.index("</wsdl:service>")]
    added = (port_type + "@").replace('ControlService"', 'OtherService"')
    added = added.replace("BasicHttpBinding_ControlService", "Other")
    text = second.replace("<wsdl:service", added.removesuffix("@") + "<wsdl:service")
    other = ports.replace("BasicHttpBinding_ControlService", "Other")
    file.write_text(text.replace(ports, ports + other))
    loaded = Catalog.load(copy)
    assert {"ControlService.DisconnectMeter", "OtherService.DisconnectMeter"} <= set(
        loaded.operations
    )


def test_what_two_files_describe_in_the_same_way_is_one_operation(copy: Path) -> None:
    shutil.copy(copy / "control.wsdl", copy / "control2.wsdl")
    assert Catalog.load(copy).operations == catalog().operations
    assert check(copy) == []


def test_files_that_share_a_service_between_them_are_merged(copy: Path) -> None:
    whole = (copy / "control.wsdl").read_text()
    block = re.compile(r'\s*<wsdl:operation name="DisconnectMeter">.*?</wsdl:operation>', re.DOTALL)
    (copy / "control.wsdl").write_text(block.sub("", whole))
    (copy / "control2.wsdl").write_text(whole)
    assert Catalog.load(copy).operations == catalog().operations


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'soapAction="http://www.itron.com/ami/2008/10/control/ControlService/DisconnectMeter"',
            'soapAction="urn:x"',
            "SOAPAction: 'http://www.itron.com/ami/2008/10/control/ControlService/DisconnectMeter',"
            " 'urn:x'",
        ),
        (":8103/ami/2008/10/control", ":8103/other", "path of its address: '/ami/2008/10/control'"),
        ("xsd/ctl.xsd", "xsd/ctl2.xsd", "DisconnectMeter/request/EmergencyOverride: is in the fi"),
        ('<wsdl:fault name="ArgumentFault">', '<wsdl:fault name="X">', "fault ArgumentFault: is"),
    ],
)
def test_what_two_files_describe_in_two_ways_is_refused_with_both_and_the_difference(
    copy: Path, old: str, new: str, said: str
) -> None:
    text = (copy / "control.wsdl").read_text()
    assert old in text
    ctl = (copy / "xsd" / "ctl.xsd").read_text()
    (copy / "xsd" / "ctl2.xsd").write_text(ctl.replace('"EmergencyOverride"', '"Emergency"'))
    (copy / "control2.wsdl").write_text(text.replace(old, new))
    with pytest.raises(ContractError) as refused:
        Catalog.load(copy)
    assert str(refused.value).startswith("control.wsdl and control2.wsdl both define ControlServi")
    assert said in str(refused.value)


def test_a_fault_that_two_files_describe_in_two_ways_is_a_remark(copy: Path) -> None:
    com = Path(shutil.copytree(copy / "xsd", copy / "xsd2")) / "com.xsd"
    com.write_text(com.read_text().replace('"ParameterName"', '"Parameter"'))
    text = (copy / "provisioning.wsdl").read_text()
    (copy / "provisioning.wsdl").write_text(text.replace('"xsd/', '"xsd2/'))
    said = [each for each in Catalog.load(copy).remarks if "ArgumentFault" in each]
    assert any("provisioning.wsdl differ in the fault ArgumentFault" in each for each in said)
