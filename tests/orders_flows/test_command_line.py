"""`openway order` and `openway todo` against a running service."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from adapter.cli.exits import Exit
from tests.cli.serving import ADMIN, APPROVER, OPERATOR, Service, Terminal, serving

FIRST = 700_001
WAIT_S = 30.0


def point(number: int) -> str:
    """Each test has service points of its own."""
    return f"SP{FIRST + number}"


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

    order = submitted(openway, "cut", 1)
    assert submitted(openway, "cut", 1) == order
    shown = until(openway, order, "completed")
    (child,) = members(shown["children"])
    assert (child["activity"], child["state"]) == ("D1-RemoteDisconnect", "completed")
    first = members(shown["passes"])[0]["decisions"][0]
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
    order = str(nowhere.json["id"])
    until(openway, order, "validation_error")
    assert openway("order", "show", order).code == Exit.WITHOUT_SUCCESS
    todo = json.loads(openway("todo", "list", "--json").out)["items"]
    (entry,) = [item for item in todo if item["order"] == order]
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


def test_a_payment_ends_the_cut_that_waits(openway: Terminal) -> None:
    order = submitted(openway, "cut", 3, "--effective-at", "+1d")
    until(openway, order, "waiting")
    paid = openway("order", "payment", point(3), "--reference", "p-1", "--json")
    assert [(item["id"], item["state"]) for item in json.loads(paid.out)["items"]] == [
        (order, "discarded")
    ]
    assert openway("order", "payment", point(3)).code == Exit.OK


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
