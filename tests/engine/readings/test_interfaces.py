"""Quarantine, error records, tables and retention over REST and on the command line, all real."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapter.cli.output import Exit
from tests.cli.running_service import ADMIN, OPERATOR, Service, Terminal, serving
from tests.wire.payloads import data_arrived, event_log, meter_event, read_data

TABLES = '[intake]\ntables = "tables.toml"\nevents = "events.toml"\n[retention]\ninbox_days = 0\n'
GOOD = '[quantities.Gas]\nunit = "m3"\n'
BAD = "<b:ReadData/>"
"""Well-formed, and still too deep for the streaming intake."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("desk")
    (made / "tables.toml").write_text("")
    (made / "events.toml").write_text("")
    return made


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    with serving(folder, meters=2, more=TABLES) as running:
        yield running


@pytest.fixture
def openway(
    service: Service,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Terminal:
    monkeypatch.setenv("OPENWAY_CONFIG", str(folder / "openway.toml"))
    terminal = Terminal(capsys, monkeypatch, service.api_url).as_(ADMIN)
    assert terminal("devices", "import", str(service.devices_file)).code == Exit.OK
    return terminal


@pytest.fixture
def meter(service: Service) -> str:
    return str(json.loads(service.devices_file.read_bytes())["devices"][0]["endpoint"])


def send(service: Service, body: bytes) -> int:
    headers = {"Content-Type": "text/xml; charset=utf-8"}
    request = urllib.request.Request(
        f"{service.listener_url}/openway/data", data=body, headers=headers
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def until(look: Callable[[], bool]) -> None:
    """What the service does by itself takes a moment."""
    deadline = time.monotonic() + 60
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def quarantined(openway: Terminal) -> list[dict[str, object]]:
    found = openway("quarantine", "list", "--json").json["items"]
    assert isinstance(found, list)
    return found


def errors(openway: Terminal) -> list[dict[str, object]]:
    found = json.loads(openway("intake", "errors", "--json").out)
    assert isinstance(found, list)
    return found


def test_a_large_refused_message_is_shown_around_its_byte_and_judged_again(
    openway: Terminal, service: Service, meter: str
) -> None:
    body = data_arrived(*[read_data(meter, range(96))] * 30, *[BAD] * 1_001)
    assert len(body) > 262_144
    assert send(service, body) == 200
    until(lambda: len(quarantined(openway)) == 1)
    (row,) = quarantined(openway)
    assert "openway readings payloads" in openway("quarantine", "list").err
    assert "openway" not in openway("quarantine", "list", "--state", "stored").err
    number = str(row["id"])
    assert row["bytes"] == len(body)
    answer = openway("quarantine", "show", number, "--json").json
    position = answer["position"]
    assert isinstance(position, int)
    assert body.count(b"<b:ReadData/>", 0, position) == 1_000
    assert (answer["size"], answer["complete"]) == (len(body), False)
    assert body.startswith(str(answer["text"]).encode())
    shown = openway("quarantine", "show", number)
    assert f"around byte {position}" in shown.err
    assert f"{BAD}>>>{BAD}" in shown.out
    retried = openway("quarantine", "retry", number, "--wait", "25s")
    assert retried.code == Exit.WITHOUT_SUCCESS
    assert retried.out.startswith(f"message {number} is quarantined now: more than 1000 parts")
    again = openway("quarantine", "retry", number, "--wait", "0", "--json")
    assert fields_of(again.json["message"])["state"] in ("new", "loading", "quarantined")
    until(lambda: len(quarantined(openway)) == 1)
    assert openway("quarantine", "discard", number).code == Exit.OK
    assert quarantined(openway) == []


def fields_of(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def test_a_small_one_is_shown_whole_with_the_byte_where_it_breaks(
    openway: Terminal, service: Service, meter: str
) -> None:
    body = data_arrived(read_data(meter, [1]))[:-9]
    assert send(service, body) != 200
    (row,) = quarantined(openway)
    answer = openway("quarantine", "show", str(row["id"]), "--json").json
    broken = body.rindex(b"</")
    assert (answer["text"], answer["complete"], answer["position"]) == (body.decode(), True, broken)
    assert openway("quarantine", "discard", str(row["id"])).code == Exit.OK


def test_tables_are_read_again_and_error_records_with_them(
    openway: Terminal, service: Service, folder: Path, meter: str
) -> None:
    log = event_log(meter_event("Cover Removed").replace("<e:ID>18001</e:ID>", ""))
    body = data_arrived(read_data(meter, [5], quantity="Gas", log=log), read_data("", [1]))
    assert send(service, body) == 200
    until(lambda: len(errors(openway)) == 2)
    until(lambda: len(openway("device-events", "errors", "--json").json["items"]) == 1)  # type: ignore[arg-type]
    unknown, bad = sorted(errors(openway), key=lambda row: str(row["reason"]), reverse=True)
    assert (unknown["reason"], unknown["detail"]) == ("unknown_quantity", "Gas")
    assert bad["reason"] == "bad_part"
    payload = str(bad["payload"])
    assert openway("intake", "errors", "--payload", payload, "--json").out.count('"reason"') == 2
    assert openway("intake", "errors", "--payload", "4711", "--json").out.strip() == "[]"
    assert bad["position"] == body.rindex(b"<b:ReadData>")

    (folder / "tables.toml").write_text(GOOD + "[quantities.Steam]\ntou = 'x'\n")
    refused = openway("intake", "reload")
    assert refused.code == Exit.CONFLICT
    assert "quantities.'Steam' needs a unit" in refused.err
    assert openway("intake", "reprocess").code == Exit.CONFLICT
    assert openway.as_(OPERATOR)("intake", "reload").code == Exit.CONFLICT
    openway.as_(ADMIN)
    (folder / "tables.toml").write_text(GOOD)
    (folder / "events.toml").write_text('[[event]]\nname = "Cover Removed"\nstandard = ""\n')
    assert "event 1 needs a name" in openway("intake", "reload").err
    row = '[[event]]\nname = "Cover Removed"\nstandard = "tamper"\n'
    (folder / "events.toml").write_text(row)
    before = openway("intake", "reload", "--json").json
    assert (before["events"], before["storm_rules"]) == (3, 1)

    done = openway("intake", "reprocess", "--json").json
    assert done["values"] == 0
    assert done["still_open"] in (1, 2)
    assert openway("device-events", "reprocess", "--json").json["new"] == 1
    number = str(bad["id"])
    assert openway("intake", "discard", number, "--reason", "no meter").code == Exit.OK
    assert openway("intake", "discard", number, "--reason", "no meter").code == Exit.CONFLICT
    assert openway("intake", "discard", "4711", "--reason", "").code == Exit.NOT_FOUND
    assert number not in [str(row["id"]) for row in errors(openway)]


def test_how_long_rows_are_kept_is_shown_and_a_sweep_begun(openway: Terminal) -> None:
    shown = openway("retention", "show", "--json").json["items"]
    assert isinstance(shown, list)
    days = {row["row_class"]: row["days"] for row in shown}
    assert (days["messages"], days["inbox"], days["quarantine"]) == (90.0, None, None)
    assert openway.as_(OPERATOR)("retention", "run").code == Exit.CONFLICT
    begun = openway.as_(ADMIN)("retention", "run")
    assert begun.code == Exit.OK
    until(lambda: openway("retention", "show", "--json").json["running"] is False)
    assert openway("retention", "show", "--json").json["finished_at"] is not None
    assert openway("audit", "verify").code == Exit.OK
