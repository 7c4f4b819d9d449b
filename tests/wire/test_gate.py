"""The WSDL gate names the commands that a contract cannot carry, and why."""

import json
import re
import shutil
from pathlib import Path

import pytest

from adapter.cli import run as openway
from adapter.cli.output import Exit
from adapter.commands.flows import FLOWS, RESULT_OF, CommandKind, Operation
from adapter.errors import ContractError
from adapter.wire.catalog import Catalog
from adapter.wire.gate import operations_of
from adapter.wire.notifications import DATA_ARRIVED, STATUS_CHANGED
from adapter.wire.operations import encode_call
from adapter.wire.tools.json_form import check, check_as_json, check_subscribing, report
from tests.wire.bodies import WSDL, codec, content_of
from tests.wire.test_requests import a_call

C = CommandKind
ASYNCHRONOUS = {kind for kind, flow in FLOWS.items() if not flow.synchronous}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(WSDL, tmp_path / "wsdl"))


def edit(file: Path, old: str, new: str, count: int = -1) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, count))


def without_operation(file: Path, name: str) -> None:
    block = re.compile(rf'\s*<wsdl:operation name="{name}">.*?</wsdl:operation>', re.DOTALL)
    text = block.sub("", file.read_text())
    assert text != file.read_text()
    file.write_text(text)


def broken(place: Path) -> dict[CommandKind, str]:
    return {finding.command: f"{finding.operation}: {finding.problem}" for finding in check(place)}


def test_the_packaged_contract_breaks_nothing() -> None:
    assert check(WSDL) == []
    for file in WSDL.glob("*.wsdl"):
        assert check(file) == []


def test_every_command_needs_its_operations_and_those_of_its_callbacks() -> None:
    assert operations_of(C.DEVICE_COMMISSIONING) == (Operation.ADD_METER_DEFINITIONS,)
    for kind in ASYNCHRONOUS:
        assert STATUS_CHANGED in operations_of(kind)
    assert DATA_ARRIVED in operations_of(C.ON_DEMAND_READ_SCALAR)
    assert DATA_ARRIVED not in operations_of(C.REMOTE_CONNECT)


@pytest.mark.parametrize(
    ("file", "name", "commands"),
    [
        ("control", "DisconnectMeter", {C.REMOTE_DISCONNECT}),
        ("control", "GetReconnectMeterResult", {C.REMOTE_CONNECT}),
        ("control", "PingByEndpoints", set()),
        ("diagnostic", "PingByEndpoints", {C.DEVICE_STATUS_CHECK, C.MULTI_DEVICE_STATUS_CHECK}),
        ("data", "InterrogateByGroup", {C.SCHEDULED_READ_SCALAR, C.SCHEDULED_READ_INTERVAL}),
        ("data", "InterrogateByEndpoints", set()),
        ("provisioning", "AddMeterDefinitions", {C.DEVICE_COMMISSIONING}),
        ("common", "GetRequestStatus", ASYNCHRONOUS),
        ("request-status-changed", "StatusChanged", ASYNCHRONOUS),
    ],
)
def test_a_missing_operation_breaks_the_commands_that_use_it(
    copy: Path, file: str, name: str, commands: set[CommandKind]
) -> None:
    without_operation(copy / f"{file}.wsdl", name)
    found = broken(copy)
    assert found.keys() == commands
    for problem in found.values():
        assert f".{name}: the operation is missing" in problem


@pytest.mark.parametrize(
    ("schema", "element", "commands", "said"),
    [
        ("ctl", "EmergencyOverride", {C.REMOTE_CONNECT, C.REMOTE_DISCONNECT}, "which is sent"),
        ("ctl", "IsUserInterventionRequired", {C.REMOTE_CONNECT}, "which is sent"),
        ("ctl", "IsVoltagePresent", {C.LOAD_CHECK}, "which is read"),
        ("dia", "SwitchState", {C.READ_DISCONNECT_STATE}, "which is read"),
        ("com", "State", ASYNCHRONOUS, "which is read"),
        (
            "dat",
            "RetrieveRecentRegisters",
            {C.ON_DEMAND_READ_SCALAR, C.ON_DEMAND_READ_INTERVAL},
            "which is sent",
        ),
        (
            "dat",
            "TimeDataEnd",
            {kind for kind in CommandKind if "read_" in kind and "state" not in kind},
            "which is read",
        ),
        ("com", "Metadata", set(), ""),
    ],
)
def test_a_missing_element_breaks_the_commands_that_need_it(
    copy: Path, schema: str, element: str, commands: set[CommandKind], said: str
) -> None:
    edit(copy / "xsd" / f"{schema}.xsd", f'<xs:element name="{element}"', '<xs:element name="X"')
    found = broken(copy)
    assert found.keys() == commands
    for problem in found.values():
        assert f"{element}, {said}" in problem


def test_an_element_that_is_demanded_and_not_sent_breaks_its_command(copy: Path) -> None:
    edit(
        copy / "xsd" / "ctl.xsd",
        '<xs:element name="IsUserInterventionRequired"',
        '<xs:element name="Reason" type="xs:string"/><xs:element name="IsUserInterventionRequired"',
    )
    found = broken(copy)
    assert found.keys() == {C.REMOTE_CONNECT}
    assert "ReconnectMeter/request/Reason: is missing" in found[C.REMOTE_CONNECT]


def test_an_element_of_another_type_breaks_its_command(copy: Path) -> None:
    edit(
        copy / "xsd" / "ctl.xsd",
        'name="IsUserInterventionRequired" type="xs:boolean"',
        'name="IsUserInterventionRequired" type="xs:int"',
    )
    assert "needs a whole number" in broken(copy)[C.REMOTE_CONNECT]


def test_one_file_is_judged_by_its_own_services(copy: Path) -> None:
    without_operation(copy / "control.wsdl", "DisconnectMeter")
    found = broken(copy / "control.wsdl")
    assert found.keys() == {C.REMOTE_DISCONNECT}
    assert broken(copy / "data.wsdl") == {}


def test_a_file_alone_carries_what_it_has_and_the_packaged_files_are_not_counted() -> None:
    told = report(WSDL / "provisioning.wsdl")
    assert {kind for kind, lacked in told.lacks.items() if not lacked} == {
        C.DEVICE_COMMISSIONING,
        C.DEVICE_DECOMMISSIONING,
    }
    assert (told.findings, told.good) == ((), False)
    assert all(told.ways.values())
    control = report(WSDL / "control.wsdl").lacks[C.REMOTE_DISCONNECT]
    assert [each.operation for each in control] == [
        Operation.REQUEST_STATUS,
        Operation.CANCEL_REQUEST,
    ]
    assert not any(report(WSDL).lacks.values())


def all_in_one(folder: Path) -> Path:
    """A file that imports those of the head end's services, which are no more in the folder."""
    files = [each for each in folder.glob("*.wsdl") if "subscriber" not in each.name]
    imports = ""
    for file in files:
        if file.name != "request-status-changed.wsdl":
            namespace = file.read_text().split('targetNamespace="')[1].split('"')[0]
            imports += f'<import namespace="{namespace}" location="{file.stem}.part"/>'
            file.rename(file.with_suffix(".part"))
    whole = folder / "all.wsdl"
    whole.write_text(
        '<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" targetNamespace="urn:all">'
        f"{imports}</definitions>"
    )
    return whole


def test_one_file_with_every_service_of_the_head_end_carries_every_command(copy: Path) -> None:
    told = report(all_in_one(copy))
    assert told.good
    assert told.remarks == ()
    assert not any(told.ways.values())


def test_the_command_line_says_of_one_file_what_it_carries_and_ends_accordingly(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert openway(["wsdl", "check", str(copy / "control.wsdl")]) == Exit.WITHOUT_SUCCESS
    said = capsys.readouterr()
    assert "carries 0 of 12 commands alone" in said.out
    assert "all 12 commands" not in said.out
    assert said.out.count("RequestService.GetRequestStatus") == 1
    assert "the packaged ones, are not counted" in said.err
    file = copy / "provisioning.wsdl"
    assert openway(["wsdl", "check", str(file), "--json"]) == Exit.WITHOUT_SUCCESS
    told = json.loads(capsys.readouterr().out)
    assert told["carried"] == ["device_commissioning", "device_decommissioning"]
    assert told["lacking"]["load_check"][0] == "ControlService.DetectLoadSideVoltageByMeter"
    assert openway(["wsdl", "check", str(all_in_one(copy))]) == Exit.OK
    assert "carries 12 of 12 commands alone" in capsys.readouterr().out


def test_a_folder_that_lacks_an_operation_of_many_commands_names_it_once(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without_operation(copy / "common.wsdl", "GetRequestStatus")
    assert openway(["wsdl", "check", str(copy)]) == Exit.WITHOUT_SUCCESS
    assert capsys.readouterr().out.count("GetRequestStatus") == 1


def test_a_finding_says_command_operation_and_problem(copy: Path) -> None:
    without_operation(copy / "control.wsdl", "DisconnectMeter")
    (finding,) = check(copy)
    assert str(finding) == (
        "remote_disconnect: ControlService.DisconnectMeter: the operation is missing"
    )
    assert check_as_json(copy)[0]["command"] == "remote_disconnect"


def test_what_cannot_be_read_is_an_error_and_not_a_finding(copy: Path) -> None:
    (copy / "control.wsdl").write_text("<definitions/>")
    with pytest.raises(ContractError):
        check(copy)


def test_other_order_and_namespace_change_the_bytes_and_break_nothing(copy: Path) -> None:
    schema = copy / "xsd" / "com.xsd"
    text = schema.read_text()
    serial = '      <xs:element name="ElectronicSerialNumber" type="xs:string" nillable="true"/>\n'
    address = (
        '      <xs:element name="StatusChangedService" type="xs:anyURI" minOccurs="0" '
        'nillable="true"/>\n'
    )
    assert serial + address in text
    schema.write_text(text.replace(serial + address, address + serial))
    for file in (copy / "control.wsdl", copy / "xsd" / "ctl.xsd"):
        edit(file, "ami/2008/10/control", "ami/2031/10/control")
    assert check(copy) == []
    theirs = type(codec())(Catalog.load(copy))
    call = a_call(Operation.DISCONNECT_METER)
    written = encode_call(theirs, call)
    content = content_of(written)
    assert content.tag.startswith("{http://www.itron.com/ami/2031/10/control}")
    assert [child.tag.rpartition("}")[2] for child in content[0][0]] == [
        "StatusChangedService",
        "ElectronicSerialNumber",
    ]
    assert theirs.decode(written).body == codec().decode(encode_call(codec(), call)).body


def test_results_belong_to_requests_that_exist() -> None:
    for request, result in RESULT_OF.items():
        assert {request, result} <= codec().catalog.operations.keys()


def subscribing(place: Path) -> dict[str, str]:
    found = check_subscribing(place)
    return {row["subscription"]: f"{row['operation']}: {row['problem']}" for row in found}


def test_each_way_to_subscribe_is_judged_by_its_own_operations(copy: Path) -> None:
    assert subscribing(WSDL) == {}
    without_operation(copy / "data.wsdl", "SubscribeToEndpointData")
    assert subscribing(copy) == {
        'subscriptions.data = "data_service"': "DataService.SubscribeToEndpointData: "
        "the operation is missing"
    }
    assert check(copy) == []


def test_a_contract_without_the_subscription_service_says_so(copy: Path) -> None:
    (copy / "subscriptions.wsdl").unlink()
    found = subscribing(copy)
    assert set(found) == {
        'subscriptions.data = "subscription_service"',
        'subscriptions.exceptions = "subscription_service"',
    }


def test_what_is_read_of_the_subscriptions_that_are_held_must_be_there(copy: Path) -> None:
    edit(copy / "xsd" / "sub.xsd", 'name="UriCollection"', 'name="Uris"')
    problems = {row["problem"] for row in check_subscribing(copy)}
    assert any("UriCollection, which is read" in problem for problem in problems)
    assert any("UriCollection, which is sent" in problem for problem in problems)
