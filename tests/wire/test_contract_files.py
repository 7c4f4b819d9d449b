"""The WSDL and XSD files: complete, of one pattern, and readable without a network."""

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
import xmlschema
import zeep
from lxml import etree

from adapter.commands.flows import CommandKind, Operation
from adapter.errors import ContractError
from adapter.wire.catalog import HOSTED_HERE, Catalog
from adapter.wire.codec import Codec
from adapter.wire.faults import FAULT_NAMESPACES
from adapter.wire.shapes import Struct
from adapter.wire.tools.json_form import check
from tests.support import for_every
from tests.wire.bodies import WSDL, catalog

WSDL_FILES = sorted(WSDL.glob("*.wsdl"))
XSD_FILES = sorted((WSDL / "xsd").glob("*.xsd"))
FOR_SUBSCRIBING = {
    "SubscriptionService.RetrieveSubscriptionsBySystemName",
    "SubscriptionService.SubscribeToEndpointData",
    "SubscriptionService.SubscribeToEndpointExceptionsByMeter",
    "SubscriptionService.SubscribeToEndpointExceptionsByGroups",
    "SubscriptionService.CancelDataSubscription",
    "SubscriptionService.CancelExceptionSubscription",
    "DataService.SubscribeToEndpointData",
    "DataService.CancelEndpointDataSubscription",
}
FOR_ONE_METER = {
    "DataService.InteractiveReadByEndpoint",
    "DataService.GetInteractiveReadByEndpointResult",
    "ControlService.PingByEndpoints",
    "ControlService.GetPingByEndpointsResult",
}
RESULT_FAULTS = {
    "ArgumentFault",
    "RequestNotFoundFault",
    "RequestNotFinishedFault",
    "OperationFault",
    "SecurityFault",
    "TooManyConcurrentRequestsFault",
}


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> NoReturn:
        raise AssertionError("a contract was looked for on the network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(WSDL, tmp_path / "wsdl"))


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("file", WSDL_FILES, ids=lambda file: file.name)
def test_every_wsdl_loads_in_zeep(file: Path) -> None:
    assert zeep.Client(str(file)).wsdl.services  # type: ignore[no-untyped-call]


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("file", XSD_FILES, ids=lambda file: file.name)
def test_every_schema_compiles_in_lxml_and_xmlschema(file: Path) -> None:
    etree.XMLSchema(etree.parse(file))
    schema = xmlschema.XMLSchema(str(file), allow="local")
    assert schema.target_namespace


@pytest.mark.usefixtures("no_network")
def test_the_catalog_loads_without_a_network() -> None:
    assert Codec(Catalog.load(WSDL)).catalog.operations
    assert Catalog.load().operations.keys() == Catalog.load(WSDL).operations.keys()


def test_schemas_are_one_per_namespace_and_qualified() -> None:
    roots = [etree.parse(file).getroot() for file in XSD_FILES]
    namespaces = [root.get("targetNamespace") for root in roots]
    assert len(namespaces) == len(set(namespaces)) == 12
    assert {root.get("elementFormDefault") for root in roots} == {"qualified"}


def test_the_operations_are_those_that_something_uses_and_no_others() -> None:
    used = {*map(str, Operation), *HOSTED_HERE, *FOR_SUBSCRIBING, *FOR_ONE_METER}
    assert catalog().operations.keys() == used


@for_every("key", sorted(catalog().operations))
def test_actions_and_names_follow_the_one_rule_of_the_contract(key: str) -> None:
    spec = catalog().spec(key)
    assert spec.soap_action == f"{spec.namespace}/{spec.service}/{spec.name}"
    assert spec.request.tag == f"{{{spec.namespace}}}{spec.name}"
    assert spec.response.tag == f"{{{spec.namespace}}}{spec.name}Response"
    if key not in HOSTED_HERE:
        assert spec.path == spec.namespace.removeprefix("http://www.itron.com")


@for_every("key", sorted(catalog().operations))
def test_every_operation_declares_its_faults(key: str) -> None:
    faults = set(catalog().spec(key).faults)
    assert faults <= FAULT_NAMESPACES.keys()
    if key in HOSTED_HERE:
        assert not faults
    else:
        assert faults >= {"ArgumentFault", "OperationFault", "SecurityFault"}
    if catalog().spec(key).name.startswith("Get") and not key.startswith("RequestService"):
        assert faults == RESULT_FAULTS


def test_every_fault_row_has_its_element_in_the_contract() -> None:
    declared = {name: field.namespace for name, field in catalog().faults.items()}
    assert declared == dict(FAULT_NAMESPACES)


def test_the_readme_tells_the_origin_of_every_file() -> None:
    readme = (WSDL / "README.md").read_text()
    for file in WSDL_FILES:
        assert f"`{file.name}`" in readme
        assert re.search(r"<wsdl:documentation>\s*Origin: ", file.read_text())
    for file in XSD_FILES:
        assert f"`xsd/{file.name}`" in readme


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("address", ["http://example.com/x.xsd", "https://example.com/x.xsd"])
def test_an_import_from_the_network_is_refused(copy: Path, address: str) -> None:
    file = copy / "control.wsdl"
    file.write_text(file.read_text().replace("xsd/ctl.xsd", address))
    with pytest.raises(ContractError, match=r"example\.com"):
        Catalog.load(copy)


def test_a_wsdl_with_a_document_type_is_refused(copy: Path) -> None:
    file = copy / "control.wsdl"
    text = file.read_text().split("?>", 1)[1]
    file.write_text(f'<!DOCTYPE x [<!ENTITY e "e">]>{text}')
    with pytest.raises(ContractError):
        Catalog.load(copy)


def test_a_folder_without_wsdl_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=re.escape(str(tmp_path))):
        Catalog.load(tmp_path)


def test_a_file_that_is_not_there_or_no_wsdl_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.wsdl").write_text("<wsdl:definitions")
    for place in (tmp_path, tmp_path / "absent.wsdl"):
        with pytest.raises(ContractError):
            Catalog.load(place)


def test_a_choice_in_a_type_is_named_as_not_understood(copy: Path) -> None:
    file = copy / "xsd" / "com.xsd"
    text = file.read_text()
    group = text.index('<xs:complexType name="GroupRequest">')
    body = text[group:].replace("xs:sequence>", "xs:choice>", 2)
    file.write_text(text[:group] + body)
    loaded = Catalog.load(copy)
    with pytest.raises(ContractError, match="GroupRequest: xs:choice"):
        loaded.spec(Operation.INTERROGATE_GROUP)
    assert loaded.spec(Operation.DISCONNECT_METER).name == "DisconnectMeter"
    assert {finding.command for finding in check(copy)} == {
        CommandKind.SCHEDULED_READ_SCALAR,
        CommandKind.SCHEDULED_READ_INTERVAL,
    }


def test_services_of_ours_that_a_site_has_no_files_for_are_the_packaged_ones(
    copy: Path,
) -> None:
    for file in (*copy.glob("*-subscriber.wsdl"), copy / "request-status-changed.wsdl"):
        file.unlink()
    assert Catalog.load(copy).operations.keys() == catalog().operations.keys()


def test_faults_are_a_sites_own_also_where_a_file_of_ours_fills_a_gap(copy: Path) -> None:
    (copy / "request-status-changed.wsdl").unlink()
    file = copy / "xsd" / "com.xsd"
    file.write_text(file.read_text().replace('name="ParameterName"', 'name="Parameter"'))
    fault = Catalog.load(copy).faults["ArgumentFault"].content
    assert isinstance(fault, Struct)
    assert [field.name for field in fault.fields] == ["Message", "Parameter"]


def test_a_single_wsdl_with_its_schemas_inside_is_read_the_same(tmp_path: Path) -> None:
    document = etree.parse(WSDL / "control.wsdl")
    (types,) = document.getroot().iterfind("{http://schemas.xmlsoap.org/wsdl/}types")
    types.clear()
    for file in XSD_FILES:
        schema = etree.parse(file).getroot()
        for inner in schema.iterfind("{http://www.w3.org/2001/XMLSchema}import"):
            del inner.attrib["schemaLocation"]
        types.append(schema)
    single = tmp_path / "control.wsdl"
    document.write(single)
    theirs = Catalog.load(single)
    for key in theirs.operations:
        assert theirs.spec(key) == catalog().spec(key)
    assert check(single) == []


def test_the_contract_inside_the_package_is_taken_where_it_is_installed(tmp_path: Path) -> None:
    no_cache = shutil.ignore_patterns("__pycache__")
    package = Path(shutil.copytree(WSDL.parent / "adapter", tmp_path / "adapter", ignore=no_cache))
    shutil.copytree(WSDL, package / "wire" / "contract")
    program = (
        "from adapter.wire.catalog import Catalog\n"
        "catalog = Catalog.load()\n"
        "print(catalog.place, len(catalog.operations))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert said.stdout.split() == [
        str(package / "wire" / "contract"),
        str(len(catalog().operations)),
    ]
