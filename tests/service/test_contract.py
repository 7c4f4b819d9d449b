"""The contract that settings name: what a start takes, refuses and says of it."""

import logging
import shutil
from pathlib import Path

import pytest

from adapter.cli import run as openway
from adapter.cli.output import Exit
from adapter.commands.activity import CommandRequest
from adapter.commands.flows import CommandKind
from adapter.errors import SettingsError
from adapter.service.app import build, contract
from adapter.service.settings import Settings, load
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.registry import device_id, registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from tests.wire.bodies import WSDL
from tests.wire.test_gate import without_operation
from tests.wire.test_port_types import only_port_types

ALL = frozenset(CommandKind)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(WSDL, tmp_path / "wsdl"))


def settings_in(folder: Path, head_end: str = "http://127.0.0.1:9") -> Settings:
    path = folder / "openway.toml"
    path.write_text(
        '[store]\npath = "gateway.db"\n[listener]\nport = 0\n[api]\nport = 0\n'
        f'[head_end]\nbase_url = "{head_end}"\n[contract]\nwsdl = "wsdl"\n'
    )
    return load(path, {})


@pytest.mark.parametrize("actions", [True, False])
async def test_commands_run_by_port_types_without_a_binding(
    tmp_path: Path, copy: Path, caplog: pytest.LogCaptureFixture, actions: bool
) -> None:
    """With wsaw:Action the head end has the whole contract; the default actions are its own."""
    only_port_types(copy, actions=actions)
    theirs = SimulatorConfig(
        port=0, population=PopulationPlan(count=2), wsdl=None if actions else copy
    )
    with caplog.at_level(logging.WARNING):
        async with (
            Simulator(theirs) as simulator,
            build(settings_in(tmp_path, simulator.url)) as app,
        ):
            meters = simulator.world.population
            await app.gateway.registry.import_devices(registry_of(meters), by="test")
            for kind in (CommandKind.REMOTE_DISCONNECT, CommandKind.READ_DISCONNECT_STATE):
                asked = CommandRequest(
                    kind=kind,
                    devices=(device_id(next(iter(meters))),),
                    idempotency_key=kind.value,
                    requester="test",
                )
                command = await app.gateway.commands.submit(asked)
                done = await app.gateway.commands.wait(command.id, timeout_s=60)
                assert (done.activity.state, done.activity.outcome) == ("completed", "succeeded")
    told = [vars(each)["remark"] for each in caplog.records if each.msg == "contract_remark"]
    assert any("ControlService has no binding" in each for each in told)


def test_a_start_names_each_operation_that_is_missing_once(copy: Path) -> None:
    without_operation(copy / "common.wsdl", "GetRequestStatus")
    without_operation(copy / "event-subscriber.wsdl", "EventsArrived")
    with pytest.raises(SettingsError) as refused:
        contract(copy, ALL)
    told = str(refused.value)
    assert told.startswith("contract.wsdl: RequestService.GetRequestStatus: the operation is missi")
    assert told.count("GetRequestStatus") == told.count("EventsArrived") == 1
    assert "(needed by remote_connect, remote_disconnect, " in told
    assert "EventSubscriberService.EventsArrived: the operation is missing (hosted here)" in told


@pytest.mark.parametrize("left", ["nothing", "no WSDL", "a file that is none", "an operation less"])
def test_a_contract_that_cannot_be_used_is_a_settings_fault(
    tmp_path: Path, copy: Path, capsys: pytest.CaptureFixture[str], left: str
) -> None:
    if left == "an operation less":
        without_operation(copy / "control.wsdl", "DisconnectMeter")
    else:
        shutil.rmtree(copy)
    if left == "no WSDL":
        copy.mkdir()
    if left == "a file that is none":
        copy.write_text("<a/>")
    settings_in(tmp_path)
    file = str(tmp_path / "openway.toml")
    assert openway(["config", "check", "--config", file]) == Exit.SETTINGS
    checked = capsys.readouterr().err
    assert "error: contract.wsdl: " in checked
    assert openway(["serve", "--config", file]) == Exit.SETTINGS
    assert capsys.readouterr().err.splitlines()[-1] == checked.splitlines()[-1]


def test_a_simulators_contract_that_is_not_there_is_a_settings_fault_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "simulator.toml").write_text('wsdl = "none"\n')
    file = str(tmp_path / "simulator.toml")
    assert openway(["simulate", "--port", "0", "--config", file]) == Exit.SETTINGS
    assert "simulator.wsdl: " in capsys.readouterr().err


def test_a_folder_whose_own_subscriber_lacks_what_we_host_is_told_by_the_check(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without_operation(copy / "event-subscriber.wsdl", "EventsArrived")
    assert openway(["wsdl", "check", str(copy)]) == Exit.WITHOUT_SUCCESS
    assert "EventSubscriberService.EventsArrived: the operation is missing" in (
        capsys.readouterr().err
    )


def test_config_check_says_what_was_taken_for_granted(
    tmp_path: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only_port_types(copy)
    settings_in(tmp_path)
    assert openway(["config", "check", "--config", str(tmp_path / "openway.toml")]) == Exit.OK
    assert "warning: control.wsdl: port type ControlService has no binding" in (
        capsys.readouterr().err
    )
