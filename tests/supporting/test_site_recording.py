"""A night of a running gateway is recorded from its API and played back at home."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter.cli.output import Exit
from adapter.simulator.settings import SimulatorConfig
from tests.cli.running_service import ADMIN, APPROVER, OPERATOR, Service, Terminal, serving
from tests.supporting.secrets_within import found_in, in_files

SERIAL = "ZQX-4711-KESTREL"
PERSON = "Wilhelmina Brodersen"
NAMED = (SERIAL, PERSON, "M700001", "M700003", "SP700001", "15.243.700001", "Substation 1")
_SCRIPTS = [
    {"effect": "fault", "operation": "ReadDisconnectStateByMeters", "fault": "ArgumentFault",
     "text": f"no meter of {PERSON}", "nth": 1},
    {"effect": "lose_reply", "operation": "DetectLoadSideVoltageByMeter*", "nth": 1},
    {"effect": "endpoint_failure", "operation": "ReconnectMeter", "reason": "NoResponse", "nth": 1},
]  # fmt: skip


def night(terminal: Terminal, service: Service) -> int:
    """Commands of every nature, alone, together and repeated; how many."""
    rows = json.loads(service.devices_file.read_text())
    rows["devices"][0]["serial"] = SERIAL
    service.devices_file.write_text(json.dumps(rows))
    assert terminal.as_(ADMIN)("devices", "import", str(service.devices_file)).code == Exit.OK
    terminal.as_(OPERATOR)
    asked = (
        ("remote_disconnect", "M700001"),
        ("remote_connect", "M700001"),
        ("remote_connect", "M700001"),
        ("read_disconnect_state", "M700002"),
        ("read_disconnect_state", "M700002"),
        ("load_check", "M700003"),
        ("device_status_check", "M700004"),
        ("multi_device_status_check", "M700005", "M700006", "M700007"),
        ("remote_disconnect", "M700008", "--check-switch", "--with-read"),
        ("device_decommissioning", "M700009"),
        ("device_commissioning", "M700009"),
        ("on_demand_read_scalar", "M700010", "--start", "-2h", "--end", "-1h"),
        ("on_demand_read_interval", "M700011", "--start", "-2h", "--end", "-1h"),
        ("scheduled_read_interval", "--group", "Substation 1", "--start", "-3h", "--end", "-2h"),
    )
    for kind, *more in asked:
        done = terminal(
            "command", "submit", kind, *more, "--wait", "30", "--reference", PERSON, "--json"
        )
        assert done.code in (Exit.OK, Exit.WITHOUT_SUCCESS), done
    for state in ("communication_error", "validation_error"):
        listed = terminal("command", "list", "--state", state, "--json").json["items"]
        assert isinstance(listed, list)
        for row in listed:
            terminal("command", "discard", row["id"], "--reason", f"so says {PERSON}")
    return len(asked)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recorded")


@pytest.fixture
def recordings(
    recorded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The night, recorded once."""
    to = recorded / "night"
    if to.exists():
        return to
    since = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    config = SimulatorConfig.read({"script": _SCRIPTS})
    with serving(recorded, head_end=config, meters=12) as service:
        terminal = Terminal(capsys, monkeypatch, service.api_url)
        many = night(terminal, service)
        file = str(recorded / "openway.toml")
        ask = ("--config", file, "record", "--since", since, "--to", str(to), "--json")
        assert terminal(*ask).code == Exit.CONFLICT  # the operator's key: it takes an administrator
        told = terminal.as_(ADMIN)(*ask)
    assert told.code == Exit.OK, told
    assert told.json["left_out"] == []
    assert told.json["commands"] == many
    return to


def replayed(terminal: Terminal, folder: Path) -> list[dict[str, object]]:
    told = terminal("replay", str(folder), "--json")
    rows = json.loads(told.out)
    assert told.code == (Exit.WITHOUT_SUCCESS if any(r["difference"] for r in rows) else Exit.OK)
    assert isinstance(rows, list)
    return rows


@pytest.fixture
def openway(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(capsys, monkeypatch, "http://127.0.0.1:9")


def test_a_recorded_night_is_played_without_a_difference(
    recordings: Path, openway: Terminal
) -> None:
    rows = replayed(openway, recordings)
    assert [(row["name"], row["difference"]) for row in rows if row["difference"]] == []
    assert len(rows) >= 7
    assert sum(int(str(row["messages"])) for row in rows) > 40


def test_nothing_in_a_recording_names_anybody(recordings: Path) -> None:
    assert not found_in(in_files(recordings), (*NAMED, OPERATOR, ADMIN, APPROVER))


def changed(recordings: Path, to: Path, kind: str, file: str, old: str, new: str) -> Path:
    """A copy of the first recording of a kind with one text in one file changed."""
    shutil.copytree(min((recordings / kind).iterdir()), to / kind / "copy")
    (place,) = (to / kind / "copy").glob(file)
    text = place.read_text(encoding="utf-8")
    assert old in text
    place.write_text(text.replace(old, new, 1), encoding="utf-8")
    return to


def test_a_changed_request_is_named_by_xpath_and_by_decision(
    recordings: Path, openway: Terminal, tmp_path: Path
) -> None:
    tag = "ElectronicSerialNumber>"
    folder = changed(
        recordings, tmp_path, "remote_disconnect", "01-*.xml", f"<com:{tag}", f"<com:{tag}9"
    )
    (row,) = replayed(openway, folder)
    assert "ControlService.DisconnectMeter: /Envelope/Body/DisconnectMeter/" in str(
        row["difference"]
    )
    assert "/ElectronicSerialNumber: expected '92.16" in str(row["difference"])
    assert "step 4: recorded TokenReceived" in str(row["decision"])
    told = openway("replay", str(folder))
    assert "first decision that differs: command 1 (remote_disconnect), step 4" in told.err


def test_a_changed_reply_is_named_by_what_is_decided_otherwise(
    recordings: Path, openway: Terminal, tmp_path: Path
) -> None:
    folder = changed(
        recordings, tmp_path, "device_status_check", "scenario.toml", "status = 200", "status = 503"
    )
    (row,) = replayed(openway, folder)
    assert "step 4: recorded TokenReceived" in str(row["decision"])
    assert "now SendUnclear" in str(row["decision"])
    assert row["difference"]


def test_a_gateway_with_another_policy_decides_otherwise_and_the_step_is_named(
    recordings: Path, openway: Terminal, tmp_path: Path
) -> None:
    approved = "[switch]\nneeds_approval = true\n\n# What follows"
    folder = changed(
        recordings, tmp_path, "remote_disconnect", "scenario.toml", "# What follows", approved
    )
    (row,) = replayed(openway, folder)
    assert "step 2: recorded Validated" in str(row["decision"])
    assert "awaiting_approval" in str(row["decision"])


def test_a_file_that_no_recording_uses_is_told(
    recordings: Path, openway: Terminal, tmp_path: Path
) -> None:
    shutil.copytree(recordings, tmp_path / "night")
    folder = min((tmp_path / "night" / "load_check").iterdir())
    (folder / "99-callback.xml").write_text("<a/>")
    rows = replayed(openway, folder)
    assert rows[0]["unused"] == ["99-callback.xml"]
    assert "99-callback.xml is used by nothing" in openway("replay", str(folder)).err
