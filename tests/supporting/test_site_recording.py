"""A night of a running gateway is recorded from its API and played back at home."""

import json
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapter.cli.output import Exit
from adapter.commands.calls import Answer, Call, RemoteState, RequestStatus
from adapter.commands.flows import SWITCH_OPERATIONS, CommandKind
from adapter.commands.timing import POLICIES, Policy
from adapter.errors import OutcomeUnknown
from adapter.headend.client import Encoded
from adapter.headend.contract import ContractWire
from adapter.headend.verdict import judge
from adapter.model.values import replace, replace_struct
from adapter.replay.player import play
from adapter.replay.scenario import read
from adapter.replay.stage import Program
from adapter.simulator.settings import SimulatorConfig
from adapter.support.site_recording import LATENCY_S
from adapter.wire.codec import ReadMessage
from adapter.wire.inbox import InboxReader
from tests.cli.running_service import ADMIN, APPROVER, OPERATOR, Service, Terminal, serving
from tests.replay.recordings import codec
from tests.support import for_every, run
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


@pytest.mark.soak  # on a busy machine a recorded timer may fall outside of what is played
@pytest.mark.timeout(600)
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


class OtherWire(ContractWire):
    """Writes one value of a request otherwise."""

    def encode(self, call: Call, *, header: bytes) -> Encoded:
        made = super().encode(call, header=header)
        return replace(made, body=made.body.replace(b">2.16.840.1.", b">2.16.840.2."))


class OtherReader(InboxReader):
    """Takes every request for done as soon as the head end has begun it."""

    def status_told(self, message: ReadMessage) -> RequestStatus:
        told = super().status_told(message)
        return replace_struct(told, state=RemoteState.COMPLETED)

    def status(self, raw: bytes) -> RequestStatus:
        return replace_struct(super().status(raw), state=RemoteState.COMPLETED)


def suspicious(call: Call, status: int, body: bytes, **more: Any) -> Answer:
    """Believes no reply to a request that moves a switch."""
    answer = judge(call, status, body, **more)
    if call.operation in SWITCH_OPERATIONS:
        raise OutcomeUnknown("who knows")
    return answer


def other_policies(**changes: Any) -> Mapping[CommandKind, Policy]:
    return {kind: replace(policy, **changes) for kind, policy in POLICIES.items()}


def changes_of_code() -> Iterator[tuple[str, Program, str, str]]:
    """What was changed, the program, what is told of the message, and of the decision."""
    program = Program.of(codec())
    yield (
        "a value that is written",
        replace(program, wire=OtherWire(codec())),
        "/ElectronicSerialNumber: expected '2.16.840.1.",
        "step 4: recorded TokenReceived",
    )
    yield (
        "a judgement of a reply",
        replace(program, judge=suspicious),
        "",
        "step 4: recorded TokenReceived, by gateway, #1",
    )
    yield (
        "what is read of a callback",
        replace(program, reader=OtherReader(codec())),
        "",
        "recorded Notified",
    )
    for name, seconds in (("poll_first_s", 60.5), ("send_s", 59.0), ("reply_s", 1_799.0)):
        policies = other_policies(**{name: seconds})
        yield (name, replace(program, policies=policies), "", f"{seconds:g} s")


@for_every("change, program, message, decision", changes_of_code(), ids=lambda each: str(each)[:30])
def test_a_change_of_code_is_named_by_message_and_by_decision(
    recordings: Path, change: str, program: Program, message: str, decision: str
) -> None:
    folder = min((recordings / "remote_disconnect").iterdir())
    assert not run(play(read(folder), codec())).difference
    played = run(play(read(folder), codec(), program))
    assert message in played.difference, change
    assert decision in played.decision, change


def test_a_call_may_have_been_late_by_the_latency_of_a_machine_and_never_early(
    recordings: Path,
) -> None:
    what = read(min((recordings / "device_status_check").iterdir()))

    def moved(by_s: float) -> str:
        """With every message that much later."""
        messages = tuple(replace(each, at=each.at + by_s) for each in what.messages)
        ends = what.ends_at + by_s
        return run(play(replace(what, messages=messages, ends_at=ends), codec())).difference

    assert "got it at 0 s" in moved(-1.0)
    assert moved(2.0) == ""
    assert "got it at 0 s" in moved(LATENCY_S + 1.0)
