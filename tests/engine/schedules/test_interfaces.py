"""Events, outages, schedules and subscriptions on the command line, over REST, all parts real."""

import json
from collections.abc import Iterator

import pytest

from adapter.cli.output import Exit
from tests.cli.running_service import ADMIN, OPERATOR, Service, Terminal, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("beside")) as running:
        yield running


@pytest.fixture
def openway(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    terminal = Terminal(capsys, monkeypatch, service.api_url)
    assert terminal.as_(ADMIN)("devices", "import", str(service.devices_file)).code == Exit.OK
    return terminal.as_(OPERATOR)


def test_a_schedule_is_added_shown_paused_resumed_and_removed(openway: Terminal) -> None:
    made = openway(
        "schedule", "add", "Substation 1", "interval", "--name", "twice a day",
        "--first", "08:00", "--every", "12h", "--zone", "America/Chicago", "--buffer", "1h",
        "--count", "10", "--events", "--json",
    )  # fmt: skip
    assert made.code == Exit.OK
    recurrence = made.json["recurrence"]
    assert recurrence == {
        "first": "08:00:00", "length_s": 43_200, "time_zone": "America/Chicago",
        "buffer_s": 3_600, "catch_up": True, "count": 10, "end": None,
    }  # fmt: skip
    number = str(made.json["id"])
    assert number in openway("schedule", "list", "--state", "active").out
    for verb, state in (("pause", "paused"), ("resume", "active"), ("remove", "ended")):
        assert openway("schedule", verb, number, "--json").json["state"] == state
    assert openway("schedule", "resume", number).code == Exit.CONFLICT
    assert "twice a day" in openway("schedule", "show", number).out
    assert openway("schedule", "report", number).code == Exit.OK
    assert openway("schedule", "show", "nothing").code == Exit.NOT_FOUND


def test_a_plan_that_cannot_work_is_refused_by_the_name_of_its_field(openway: Terminal) -> None:
    refused = openway("schedule", "add", "Substation 1", "scalar", "--every", "7h")
    assert refused.code == Exit.INVALID
    assert "length" in refused.err


def test_one_read_is_made_and_reported_by_device(openway: Terminal) -> None:
    made = openway("schedule", "add", "Substation 1", "interval", "--once", "-4h", "-1h", "--json")
    number = str(made.json["id"])
    rows: list[dict[str, object]] = []
    while not rows:
        answer = json.loads(openway("schedule", "report", number, "--json").out)
        rows = answer["items"]
    command = openway("command", "show", str(rows[0]["command"]), "--json").json
    assert command["kind"] == "scheduled_read_interval"
    report = openway("schedule", "report", number, "1", "--json").json
    assert "outcome" in report
    devices = report["devices"]
    assert isinstance(devices, list)
    assert devices
    assert len(devices) == report["expected"]
    assert "missing" in openway("schedule", "report", number, "1").out
    everybody = openway("schedule", "report", number, "1", "--all")
    assert all(str(each["device"]) in everybody.out for each in devices)
    assert f"{len(devices)} devices shown" in everybody.err
    assert openway("schedule", "report", number, "1", "--result", "nothing").code == Exit.INVALID
    assert openway("schedule", "report", number, "1", "--result", "missing", "--json").code == 0


def test_events_outages_and_subscriptions_are_shown(openway: Terminal) -> None:
    assert openway(
        "device-events", "list", "--name", "power_down", "--since", "-1d", "--json"
    ).json == {
        "items": [],
        "next": None,
    }
    assert openway("device-events", "errors").code == Exit.OK
    assert openway("outages", "--json").json == {"items": [], "without_supply": 0, "next": None}
    assert "0 meters without supply now" in openway("outages", "--ended", "--since", "-2h").err
    assert openway("outages", "--cursor", "yesterday").code == Exit.INVALID
    assert openway("subscriptions", "show", "--json").json["items"] == []


def test_looking_again_at_unknown_events_takes_an_administrator(
    openway: Terminal, service: Service
) -> None:
    assert openway("device-events", "reprocess").code == Exit.CONFLICT
    done = openway.as_(ADMIN)("device-events", "reprocess", "--json")
    assert done.json == {"new": 0, "repeated": 0, "unknown": 0}
    assert openway.as_(ADMIN)("subscriptions", "check").code == Exit.OK
