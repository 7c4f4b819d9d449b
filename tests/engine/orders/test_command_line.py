"""`openway order` and `openway todo` against a running service."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter.cli.output import Exit
from tests.cli.running_service import ADMIN, APPROVER, OPERATOR, Service, Terminal, serving

FIRST = 700_001
WAIT_S = 30.0
OWN = """
[orders.install_status.CM-OffForChange]
means = "Disconn-Comm"
"""


def point(number: int) -> str:
    """Each test has service points of its own."""
    return f"SP{FIRST + number}"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    (folder / "orders.toml").write_text(OWN, encoding="utf-8")
    with serving(folder, more='[orders]\nfile = "orders.toml"\n') as running:
        yield running


@pytest.fixture
def openway(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    terminal = Terminal(capsys, monkeypatch, service.api_url)
    assert terminal.as_(ADMIN)("devices", "import", str(service.devices_file)).code == Exit.OK
    return terminal.as_(OPERATOR)


def members(value: object) -> list[dict[str, Any]]:
    assert isinstance(value, list)
    return value


def submitted(openway: Terminal, kind: str, number: int, *more: str) -> str:
    made = openway(
        "order", "submit", kind, point(number), "--reference", f"{kind}-{number}", *more, "--json"
    )
    assert made.code == Exit.OK, made.err
    return str(made.json["id"])


def until(openway: Terminal, order: str, *states: str) -> dict[str, Any]:
    """What `order show --json` tells when the order is in one of the states."""
    deadline = time.monotonic() + WAIT_S
    while True:
        shown = openway("order", "show", order, "--json").json
        known = shown["order"]
        assert isinstance(known, dict)
        if known["state"] in states:
            return shown
        assert time.monotonic() < deadline, known


def test_an_order_is_planned_submitted_listed_and_shown_with_what_decided(
    openway: Terminal,
) -> None:
    planned = openway("order", "plan", "cut", point(1), "--json")
    assert planned.code == Exit.OK
    (step,) = members(planned.json["steps"])
    assert (step["title"], step["type"], step["cell"]) == ("RemoteDisconnect", "D1-UPDDVC", 1)
    text = openway("order", "plan", "cut", point(1))
    assert "RemoteDisconnect" in text.out
    assert "parameter row" in text.out
    text = openway("order", "plan", "enable", point(1))
    assert f"measurement:M{FIRST + 1}-R=none" in text.out

    order = submitted(openway, "cut", 1)
    assert submitted(openway, "cut", 1) == order
    shown = until(openway, order, "completed")
    (child,) = members(shown["children"])
    assert (child["activity"], child["state"]) == ("D1-RemoteDisconnect", "completed")
    first = members(shown["evaluations"])[0]["decisions"][0]
    assert first["facts"]["installationEventStatus"] == "Conn-Comm"
    people = openway("order", "show", order)
    assert people.code == Exit.OK
    assert "installationEventStatus=Conn-Comm" in people.out
    assert "1. D1-UPDDVC Cut: create D1-RemoteDisconnect (parameter row 1)" in people.out
    assert "success" in people.out

    listed = openway("order", "list", "--kind", "cut", "--service-point", point(1), "--json")
    assert [item["id"] for item in json.loads(listed.out)["items"]] == [order]
    assert order in openway("order", "list", "--state", "completed").out
    assert openway("order", "list", "--open", "--service-point", point(1)).err == "0 orders\n"


def test_an_order_in_error_is_on_the_to_do_list_until_people_decide(openway: Terminal) -> None:
    nowhere = openway("order", "submit", "cut", "nowhere", "--reference", "nowhere", "--json")
    assert (nowhere.code, nowhere.json["state"]) == (Exit.WITHOUT_SUCCESS, "validation_error")
    order = str(nowhere.json["id"])
    assert openway("order", "show", order).code == Exit.WITHOUT_SUCCESS
    (entry,) = json.loads(openway("todo", "list", "--subject", "order", "--json").out)["items"]
    assert json.loads(openway("todo", "show", entry["id"], "--json").out)["items"][0]["id"] == order
    assert entry["code"] == "service_point"
    assert entry["age_s"] >= 0
    assert order in openway("todo", "list").out

    corrected = openway("order", "correct", order, "--field", "contact=ring", "--json")
    assert corrected.json["fields"] == {"contact": "ring"}
    assert openway("order", "retry", order).code == Exit.OK
    until(openway, order, "validation_error")
    refused = openway("order", "complete", order, "--reason", "by hand")
    assert refused.code == Exit.CONFLICT
    assert "is Validation Error; it can be completed by hand in Activity Error" in refused.err
    assert openway("order", "discard", order, "--reason", "no such place").code == Exit.OK
    until(openway, order, "discarded")
    assert openway("order", "retry", order).code == Exit.CONFLICT
    told = openway("order", "show", order)
    by_people = [line for line in told.out.splitlines() if "  ann: " in line]
    for asked, why in (
        ("Submitted", "service_point: nowhere"),
        ("Corrected", "changed: contact"),
        ("RetryAsked", "Validation Error -> Retry"),
        ("DiscardAsked", "reason: no such place"),
    ):
        assert any(asked in line and why in line for line in by_people), by_people
    assert order not in openway("todo", "list").out


def test_an_order_for_tomorrow_is_changed_and_cancelled(openway: Terminal) -> None:
    order = submitted(openway, "cut", 2, "--effective-at", "+1d")
    first = until(openway, order, "waiting")
    assert "waits until" in openway("order", "plan", "--order", order).out
    changed = openway("order", "update", order, "--field", "contact=ring", "--json")
    assert changed.code == Exit.OK
    assert (changed.json["state"], changed.json["changes"]) == ("completed", {"contact": "ring"})
    later = openway("order", "update", order, "--effective-at", "+2d", "--service-at", "+2d")
    assert later.code == Exit.OK
    assert (
        until(openway, order, "waiting")["order"]["effective_at"] > first["order"]["effective_at"]
    )
    asking = ("order", "cancel", order, "--reason", "moved", "--reference", "c1", "--json")
    cancelled = openway(*asking)
    assert (cancelled.code, cancelled.json["accepted"]) == (Exit.OK, True)
    again = openway(*asking)
    assert again.json["id"] == cancelled.json["id"]
    late = openway("order", "update", order, "--field", "contact=no")
    assert late.code == Exit.CONFLICT
    assert openway("order", "plan", "--order", order).code == Exit.CONFLICT


def test_who_gives_up_a_reconnection_reads_that_supply_stays_off(openway: Terminal) -> None:
    until(openway, submitted(openway, "cut", 9), "completed")
    order = submitted(openway, "reconnect", 9, "--effective-at", "+1d")
    until(openway, order, "waiting")
    later = openway("order", "correct", order, "--effective-at", "+2d", "--json")
    assert later.json["advice"] == ""
    told = openway("order", "discard", order, "--reason", "mistyped")
    assert told.code == Exit.OK
    assert "the customer stays without supply: see to it, or order a reconnection" in told.out


def test_a_payment_ends_the_cut_that_waits(openway: Terminal) -> None:
    order = submitted(openway, "cut", 3, "--effective-at", "+1d")
    until(openway, order, "waiting")
    paid = openway("order", "payment", point(3), "--reference", "p-1", "--json")
    assert [(item["id"], item["state"]) for item in json.loads(paid.out)["items"]] == [
        (order, "discarded")
    ]
    assert openway("order", "payment", point(3)).code == Exit.OK


MANUAL = {
    "devices": [
        {
            "id": name,
            "serial": name,
            "components": [{"id": "kwh", "kind": "scalar", "quantity": "Wh d"}],
        }
        for name in ("HAND-1", "HAND-2", "HAND-3", "HAND-4", "HAND-5")
    ],
    "service_points": [{"id": "SP-HAND-1"}, {"id": "SP-HAND-2"}, {"id": "SP-HAND-4"}],
    "installs": [
        {
            "device": f"HAND-{number}",
            "service_point": f"SP-HAND-{number}",
            "installed_at": "2024-01-01T00:00:00Z",
            "status": "ManualOn",
        }
        for number in (1, 2, 4)
    ],
}


def without_field_work(openway: Terminal, folder: Path, kind: str, point: str) -> str:
    """An order whose visit nobody can be sent to; the visit's id."""
    file = folder / "manual.json"
    file.write_text(json.dumps(MANUAL))
    assert openway.as_(ADMIN)("devices", "import", str(file)).code == Exit.OK
    openway.as_(OPERATOR)
    made = openway("order", "submit", kind, point, "--reference", f"{kind}-{point}", "--json")
    until(openway, str(made.json["id"]), "activity_error")
    return f"{made.json['id']}.1"


def test_a_visit_is_completed_by_hand_and_the_audit_says_by_whom(
    openway: Terminal, tmp_path: Path
) -> None:
    visit = without_field_work(openway, tmp_path, "disable", "SP-HAND-1")
    order = visit.removesuffix(".1")
    assert f"openway order retry {order}" in openway("todo", "list").out
    assert openway("order", "complete-visit", "nobody.1").code == Exit.NOT_FOUND
    assert openway("order", "complete-visit", f"{order}.9").code == Exit.NOT_FOUND
    assert openway("order", "complete-visit", "x").code == Exit.INVALID
    work = ("order", "complete-visit", visit, "--remark", "gate was locked")
    assert openway(*work, "--new-device", "nobody").code == Exit.NOT_FOUND
    assert openway(*work, "--reading", "kwh").code == Exit.INVALID
    assert openway(*work, "--reading", "kwh=lots").code == Exit.INVALID
    denied = openway.as_(APPROVER)(*work)
    assert denied.code == Exit.CONFLICT
    assert openway.as_(OPERATOR)(*work, "--reading", "kwh=4711.5", "--json").code == Exit.OK
    shown = until(openway, order, "completed")
    (child,) = members(shown["children"])
    assert (child["task"], child["state"]) == ("D1-TurnOffMeter", "completed")
    assert shown["order"]["fields"]["readValue"] == "kwh=4711.5"
    assert f"kwh read by a crew, {visit}/by-hand/" in openway("readings", "show", "HAND-1").out
    told = json.loads(openway("audit", "list", "--limit", "500", "--json").out)["items"]
    said = [each for each in told if each["subject"] == visit and each["action"] == "WorkReported"]
    assert [each["actor"] for each in said] == ["ann"]
    assert openway(*work).code == Exit.CONFLICT


def test_a_wrong_report_a_request_in_error_and_a_visit_that_was_not_made(
    openway: Terminal, tmp_path: Path
) -> None:
    visit = without_field_work(openway, tmp_path, "exchange", "SP-HAND-2")
    order = visit.removesuffix(".1")
    work = ("order", "complete-visit", visit, "--new-device", "HAND-3", "--removed-device")
    assert openway(*work, "HAND-1").code == Exit.WITHOUT_SUCCESS
    shown = openway("order", "show", order, "--json").json
    assert members(shown["children"])[0]["state"] == "completion_error"
    asked = openway("order", "cancel", order, "--reason", "stays", "--json")
    assert (asked.code, asked.json["state"]) == (Exit.CONFLICT, "error")
    retry = ("order", "retry-request", order, str(asked.json["id"]), "--json")
    again = openway(*retry)
    assert (again.code, again.json["state"]) == (Exit.CONFLICT, "error")
    assert openway("order", "retry-request", order, "nobody").code == Exit.NOT_FOUND
    cancelled = openway("order", "cancel-visit", visit, "--reason", "CM-NoAccess", "--json")
    assert cancelled.code == Exit.OK
    shown = openway("order", "show", order, "--json").json
    (child,) = members(shown["children"])
    assert (child["state"], child["reason"]) == ("canceled", "CM-NoAccess")
    assert openway("order", "discard", order, "--reason", "stays").code == Exit.OK
    ended = until(openway, order, "discarded")
    assert [each["state"] for each in members(ended["requests"])] == ["rejected"]
    assert openway(*retry).code == Exit.CONFLICT


def test_people_leave_a_device_in_a_status_of_the_site_as_crews_do(
    openway: Terminal, tmp_path: Path
) -> None:
    visit = without_field_work(openway, tmp_path, "exchange", "SP-HAND-4")
    work = ("order", "complete-visit", visit, "--new-device", "HAND-5", "--removed-device")
    refused = openway(*work, "HAND-4", "--install-status", "CM-Nowhere")
    assert refused.code == Exit.INVALID
    assert "install_status: CM-Nowhere is not one of Pending, " in refused.err
    assert "CM-OffForChange" in refused.err
    assert openway(*work, "HAND-4", "--install-status", "cm-offforchange").code == Exit.OK
    left = openway("devices", "show", "HAND-5", "--json").json["installed"]
    assert isinstance(left, dict)
    assert (left["status"], left["site_status"]) == ("Disconn-Comm", "CM-OffForChange")


def test_a_command_sets_a_status_of_the_site(openway: Terminal) -> None:
    meter = f"M{FIRST + 20}"
    cut = ("command", "submit", "remote_disconnect", meter, "--wait", "30s", "--json")
    refused = openway(*cut, "--install-status-override", "CM-Nowhere")
    assert refused.code == Exit.INVALID
    assert "install_status_override: CM-Nowhere is not one of" in refused.err
    assert (
        openway(*cut, "--install-status-override", "CM-OffForChange").json["state"] == "completed"
    )
    left = openway("devices", "show", meter, "--json").json["installed"]
    assert isinstance(left, dict)
    assert (left["status"], left["site_status"]) == ("Disconn-Comm", "CM-OffForChange")


def test_replies_without_a_receiver_say_so_and_are_offered_again_on_demand(
    openway: Terminal,
) -> None:
    order = submitted(openway, "cut", 5)
    shown = until(openway, order, "completed")
    while {str(each["state"]) for each in members(shown["replies"])} != {"no_receiver"}:
        shown = openway("order", "show", order, "--json").json
    replies = members(shown["replies"])
    first = str(replies[0]["id"])
    told = openway("order", "show", order).out
    assert first in told
    assert "no_receiver" in told
    assert "replies.url" in told
    assert openway("order", "retry-replies", order, first).code == Exit.OK
    assert openway("order", "discard-reply", order, "nobody").code == Exit.NOT_FOUND
    assert openway("order", "retry-replies", "nobody").code == Exit.NOT_FOUND


def test_readings_are_entered_one_by_one_and_from_a_file(openway: Terminal, tmp_path: Path) -> None:
    meter = f"M{FIRST + 5}"
    entered = openway("readings", "enter", meter, f"{meter}-R=12.5", "--at", "-1h")
    assert (entered.code, entered.out) == (Exit.OK, "1 reading entered\n")
    wrong = openway("readings", "enter", meter, "gas=1")
    assert wrong.code == Exit.INVALID
    assert "measurements[1].component: gas is not one of" in wrong.err
    assert f"{meter}-R entered by ann, 20" in openway("readings", "show", meter).out
    file = tmp_path / "book.csv"
    file.write_text(f"device,component,at,value\n{meter},{meter}-R,2026-01-01T00:00:00Z,7\n")
    assert openway("readings", "import", str(file), "--json").json == {"entered": 1}
    day = ("--from", "2025-12-31T00:00:00Z", "--to", "2026-01-01T00:00:00Z")
    row = openway("readings", "show", meter, *day, "--json").json
    assert (row["value"], row["unit"], row["origin"], row["entered_by"]) == (
        "7",
        "kWh",
        "entered",
        "ann",
    )
    assert str(row["entered_at"]) > str(row["at"])
    assert openway("readings", "export", meter, *day, "--out", str(file)).code == Exit.OK
    header, line = file.read_text().splitlines()
    assert header.endswith(",payload,origin,entered_by,entered_at")
    assert line.endswith(f",0,entered,ann,{row['entered_at']}")
    file.write_text("device,component,at,value\nM1,kwh,now,7\n")
    refused = openway("readings", "import", str(file))
    assert refused.code == Exit.INVALID
    assert "book.csv, row 2, at: is no time" in refused.err


def test_wrong_usage_and_missing_rights_have_their_exit_codes(openway: Terminal) -> None:
    assert openway("order", "submit", "burn", point(4), "--reference", "x").code == Exit.INVALID
    assert openway("order", "submit", "cut", point(4)).code == Exit.INVALID
    assert openway("order", "plan").code == Exit.INVALID
    assert openway("order", "plan", "cut", "nowhere").code == Exit.NOT_FOUND
    assert openway("order", "show", "nobody").code == Exit.NOT_FOUND
    wrong = openway(
        "order", "submit", "cut", point(4), "--reference", "y", "--field", "no-equals-sign"
    )
    assert wrong.code == Exit.INVALID
    unknown = openway(
        "order", "submit", "cut", point(4), "--reference", "y", "--activity-type", "mine"
    )
    assert unknown.code == Exit.INVALID
    assert "activity_type" in unknown.err
    denied = openway.as_(APPROVER)("order", "submit", "cut", point(4), "--reference", "y")
    assert denied.code == Exit.CONFLICT


def test_an_order_is_waited_for_as_a_command_is(openway: Terminal) -> None:
    def told(kind: str, where: str, reference: str, wait: str) -> tuple[int, str]:
        made = openway(
            "order", "submit", kind, where, "--reference", reference, "--wait", wait, "--json"
        )
        return made.code, str(made.json["state"])

    assert told("cut", point(30), "waited", "1m") == (Exit.OK, "completed")
    assert told("cut", "nowhere", "in vain", "1m") == (Exit.WITHOUT_SUCCESS, "validation_error")
    later = ("--effective-at", "+2h")
    made = openway(
        "order", "submit", "cut", point(31), "--reference", "later", *later, "--wait", "0.1"
    )
    assert made.code == Exit.UNREACHABLE
    assert "still Waiting for Effective Date after 0.1 s" in made.err
