"""The command line against a running gateway and a simulated head end."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from adapter.cli.output import Exit
from tests.cli.running_service import ADMIN, APPROVER, OPERATOR, Service, Terminal, serving

FIRST = 700_001


def meter(number: int) -> str:
    """Each test has meters of its own."""
    return f"M{FIRST + number}"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def openway(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    terminal = Terminal(capsys, monkeypatch, service.api_url)
    assert terminal.as_(ADMIN)("devices", "import", str(service.devices_file)).code == Exit.OK
    return terminal.as_(OPERATOR)


def test_devices_that_were_imported_are_listed_and_shown(openway: Terminal) -> None:
    listed = openway("devices", "list", "--json", "--limit", "500")
    assert len(json.loads(listed.out)["items"]) == 40
    shown = openway("devices", "show", meter(0), "--json").json
    assert shown["installed"]["status"] == "Conn-Comm"  # type: ignore[index]
    assert meter(0) in openway("devices", "list").out
    told = openway("devices", "show", meter(0), "--measurements").out
    assert "Conn-Comm" in told
    assert "{" not in told


def test_a_disconnect_is_seen_to_its_end(openway: Terminal) -> None:
    done = openway("command", "submit", "remote_disconnect", meter(1), "--wait", "30", "--json")
    assert done.code == Exit.OK
    assert done.json["outcome"] == "succeeded"
    assert done.json["completion_events"] == [
        {"event": "D1-DisconnectDevice", "state": "executed", "error": None}
    ]
    assert "Disconn-Comm" in openway("devices", "show", meter(1)).out
    told = openway("command", "show", str(done.json["id"]), "--history", "--outcomes", "--messages")
    assert "DisconnectMeter  D8-DisconnectMeterDR" in told.out
    assert "GetDisconnectMeterResult  D8-DisconnectMeterResultDR" in told.out
    assert "StatusChanged  D8-StatusChanged" in told.out
    assert "business_object=D8-StatusChanged" in told.out
    assert "AuditNote" not in told.out
    history = openway("command", "show", str(done.json["id"]), "--history").out
    assert "{" not in history
    assert "kind=remote_disconnect" in history


def test_a_service_point_tells_which_command_took_its_supply(openway: Terminal) -> None:
    done = openway("command", "submit", "remote_disconnect", meter(21), "--wait", "30", "--json")
    point = meter(21).replace("M", "SP")
    shown = openway("service-points", "show", point, "--json").json
    supply = shown["supply"]
    assert isinstance(supply, dict)
    assert (supply["on"], supply["by"], supply["cause"]) == (False, "command", done.json["id"])
    told = openway("service-points", "show", point).out
    assert f"by command {done.json['id']}" in told
    assert meter(21) in told
    assert "{" not in told
    dark = openway("service-points", "list", "--supplied", "false", "--limit", "500").out
    assert point in dark
    assert meter(22).replace("M", "SP") not in dark
    assert openway("service-points", "list", "--supplied", "maybe").code == Exit.INVALID
    assert openway("service-points", "show", "SP-nowhere").code == Exit.NOT_FOUND


def test_a_command_is_followed_line_by_line(openway: Terminal) -> None:
    made = openway("command", "submit", "device_status_check", meter(2), "--json")
    assert made.code == Exit.OK
    followed = openway("command", "watch", str(made.json["id"]), "--json")
    states = [json.loads(line)["state"] for line in followed.out.splitlines()]
    assert states[-1] == "completed"
    assert len(states) == len(set(states))
    assert followed.code == Exit.OK


def test_the_same_key_gives_the_same_command_and_another_content_conflicts(
    openway: Terminal,
) -> None:
    order = ("command", "submit", "load_check", "--idempotency-key", "cli-1", "--json")
    first, second = openway(*order, meter(3)), openway(*order, meter(3))
    assert first.json["id"] == second.json["id"]
    other = openway(*order, meter(4))
    assert other.code == Exit.CONFLICT
    assert json.loads(other.err)["error"]["code"] == "conflict"


def test_a_command_that_cannot_work_yet_waits_and_can_be_discarded(openway: Terminal) -> None:
    refused = openway("command", "submit", "remote_connect", meter(5), "--json")
    assert refused.code == Exit.WITHOUT_SUCCESS
    assert refused.json["state"] == "validation_error"
    assert "idempotency key cli-" in refused.err
    command = str(refused.json["id"])
    assert openway("command", "watch", command).code == Exit.WITHOUT_SUCCESS
    assert openway("command", "retry", command, "--json").json["state"] == "validation_error"
    ended = openway("command", "discard", command, "--reason", "not needed", "--json")
    assert ended.json["state"] == "discarded"
    assert openway("command", "retry", command).code == Exit.CONFLICT


def test_a_command_that_waits_is_not_done_in_time_and_can_be_canceled(openway: Terminal) -> None:
    later = openway(
        "command", "submit", "load_check", meter(6), "--effective-at", "+1h", "--wait", "0.2",
        "--json",
    )  # fmt: skip
    assert later.code == Exit.UNREACHABLE
    assert later.json["state"] == "waiting_for_effective_date"
    assert "still waiting_for_effective_date" in later.err
    command = str(later.json["id"])
    listed = openway("command", "list", "--open", "--device", meter(6), "--json")
    assert [item["id"] for item in json.loads(listed.out)["items"]] == [command]
    assert openway("command", "cancel", command, "--json").json["state"] == "canceled"
    assert openway("command", "watch", command).code == Exit.WITHOUT_SUCCESS
    again = openway("command", "cancel", command)
    assert again.code == Exit.CONFLICT
    assert f"command {command} is canceled; cancel is for " in again.err


def test_a_scheduled_read_takes_a_period_in_short(openway: Terminal) -> None:
    wrong = openway("command", "submit", "on_demand_read_scalar", meter(7))
    assert wrong.code == Exit.INVALID
    assert "--start and --end" in wrong.err
    made = openway(
        "command", "submit", "on_demand_read_scalar", meter(7), "--start", "-1d", "--end", "now",
        "--effective-at", "+1h", "--json",
    )  # fmt: skip
    assert made.code == Exit.OK


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (("command", "submit", "load_check", "NOBODY"), Exit.INVALID, "NOBODY"),
        (("command", "submit", "load_check", "A", "B"), Exit.INVALID, "devices"),
        (("command", "submit", "make_coffee", "M1"), Exit.INVALID, "make_coffee"),
        (("command", "submit", "load_check", "M1", "--effective-at", "soon"), Exit.INVALID, "+2h"),
        (("command", "submit", "load_check", "M1", "--wait", "-1"), Exit.INVALID, "wait"),
        (
            ("command", "submit", "load_check", "M1", "--effective-at", "+9999999d"),
            Exit.INVALID,
            "calendar",
        ),
        (("command", "list", "--cursor", "foo"), Exit.INVALID, "cursor"),
        (("command", "show", "nothing"), Exit.NOT_FOUND, "nothing"),
        (("command", "show", "a/../b?c"), Exit.NOT_FOUND, "a/../b?c"),
        (("command", "watch", "nothing"), Exit.NOT_FOUND, "nothing"),
        (("command", "approve", "nothing"), Exit.CONFLICT, "approve"),
        (("devices", "show", "NOBODY"), Exit.NOT_FOUND, "NOBODY"),
        (("quarantine", "show", "4711"), Exit.NOT_FOUND, "4711"),
        (("quarantine", "retry", "4711"), Exit.CONFLICT, "admin"),
        (("quarantine", "discard", "4711"), Exit.CONFLICT, "openway config new-key"),
    ],
)
def test_what_is_refused_is_one_clear_line(
    openway: Terminal, arguments: tuple[str, ...], code: Exit, named: str
) -> None:
    refused = openway(*arguments)
    assert refused.code == code
    assert refused.out == ""
    assert named in refused.err


def test_half_a_head_is_wrong_usage_and_no_alarm(openway: Terminal) -> None:
    refused = openway.as_(ADMIN)("audit", "verify", "--head", "5")
    assert (refused.code, refused.out) == (Exit.INVALID, "")
    assert "NUMBER:DIGEST" in refused.err


def test_the_last_admin_stays(openway: Terminal) -> None:
    refused = openway.as_(ADMIN)("keys", "withdraw", "root")
    assert refused.code == Exit.CONFLICT
    assert "the last key with the role admin; add another first" in refused.err
    assert openway("keys", "list").code == Exit.OK


def test_without_a_key_nobody_is_let_in_and_told_how_to_get_one(openway: Terminal) -> None:
    refused = openway.as_("not-a-key")("command", "list")
    assert refused.code == Exit.CONFLICT
    assert "openway config new-key" in refused.err


def test_a_refused_message_is_listed_judged_again_and_discarded(
    openway: Terminal, service: Service
) -> None:
    parts = urlsplit(service.listener_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    connection.request(
        "POST", "/openway/status", b"<no-soap>", {"Content-Type": "text/xml; charset=utf-8"}
    )
    assert connection.getresponse().status >= 400
    connection.close()
    row = json.loads(openway.as_(ADMIN)("quarantine", "list", "--json").out)["items"][0]
    number = str(row["id"])
    assert "not a SOAP envelope but no-soap" in row["reason"]
    assert "not a SOAP envelope" in openway("quarantine", "list").out
    assert "<no-soap>" in openway("quarantine", "show", number).out
    assert openway("quarantine", "discard", number).code == Exit.OK
    assert openway("quarantine", "retry", number).code == Exit.CONFLICT


def test_the_books_are_read_and_verified(openway: Terminal) -> None:
    assert openway.as_(ADMIN)("audit", "verify", "--json").json["intact"] is True
    assert "Imported" in openway("audit", "list").out
    assert "accepted" in openway("ledger").out
    assert isinstance(openway("ledger", "--json").json["accepted"], int)


def test_two_people_are_needed_to_pass_the_fence(openway: Terminal) -> None:
    order = ("command", "submit", "remote_connect", meter(8), "--past-unclear-order", "--json")
    alone = openway(*order)
    assert alone.code == Exit.CONFLICT
    assert "second" in alone.err
    both = openway.as_(OPERATOR, APPROVER)(*order)
    assert both.code in (Exit.OK, Exit.WITHOUT_SUCCESS)


def test_a_gateway_that_is_not_there_is_named(
    openway: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENWAY_API_URL", "http://127.0.0.1:9")
    refused = openway("command", "list")
    assert refused.code == Exit.UNREACHABLE
    assert "127.0.0.1:9" in refused.err
    assert "openway serve" in refused.err


def test_what_answers_but_is_no_gateway_is_named(
    openway: Terminal, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENWAY_API_URL", service.listener_url)
    assert openway("command", "list").code != Exit.OK


def test_a_file_of_commands_is_submitted_as_one(openway: Terminal, tmp_path: Path) -> None:
    table = tmp_path / "checks.csv"
    table.write_text("device,reference\nM700021,a\nM700022,b\n", encoding="utf-8")
    asked = ("--kind", "device_status_check", "--idempotency-key", "bulk-1")
    made = openway("command", "submit-file", str(table), *asked, "--wait", "1m", "--json")
    assert made.code == Exit.OK, made.err
    assert (made.json["accepted"], made.json["states"]) == (2, {"completed": 2})
    again = openway("command", "submit-file", str(table), *asked, "--json")
    assert again.json["id"] == made.json["id"]
    rows = openway("command", "bulk", str(made.json["id"]), "--rows")
    assert "M700022" in rows.out
    assert "2 completed" in openway("command", "bulk", str(made.json["id"])).out

    lines = tmp_path / "checks.jsonl"
    header = '{"kind": "device_status_check", "idempotency_key": "bulk-2"}'
    lines.write_text(f'{header}\n{{"device": "M700021"}}\n{{"device": "nobody"}}\n', "utf-8")
    refused = openway("command", "submit-file", str(lines))
    assert refused.code == Exit.INVALID
    assert "line 3: devices: nobody is not in the registry" in refused.err
    assert "nobody is not in the registry" in refused.out
