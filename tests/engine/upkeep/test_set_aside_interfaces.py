"""What is set aside, at a running gateway: REST, command line, and the fault end to end."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from adapter.cli.output import Exit
from adapter.engine.upkeep.set_aside import WAITS, RowKind
from adapter.store.commands.commands import SqliteStore
from tests.cli.running_service import ADMIN, APPROVER, OPERATOR, Service, Terminal, serving
from tests.engine.upkeep.broken_rows import FILE, plant
from tests.web.both_servers import NOON
from tests.wire.payloads import data_arrived, read_data

SECRET = "/openway/status/attempt-1/0123456789abcdef0123456789abcdef"
ROWS = (
    (RowKind.SCHEDULE, "s1"),
    (RowKind.COMMUNICATION, "e1"),
    (RowKind.EVENT, "7"),
    (RowKind.SUBSCRIPTION, "silence"),
    (RowKind.EVENT, "8"),
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("set-aside")

    async def fill() -> None:
        store = SqliteStore(folder / FILE, now=lambda: NOON)
        await store.open()
        for kind, row in ROWS:
            error = ValueError(f"\x1b[31mbad {SECRET} Authorization: Basic dXNlcjpzZWNyZXQ=\x00")
            for _ in range(len(WAITS) + 1):
                await store.set_aside.fail(kind, row, error)
        await store.close()

    asyncio.run(fill())
    with serving(folder, meters=4) as running:
        yield running


@pytest.fixture
def openway(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    monkeypatch.setenv("OPENWAY_CONFIG", str(service.devices_file.parent / "openway.toml"))
    return Terminal(capsys, monkeypatch, service.api_url).as_(ADMIN)


def test_what_is_set_aside_is_listed_with_its_error_and_without_secrets(openway: Terminal) -> None:
    told = openway("set-aside", "list", "--json").json
    items = told["items"]
    assert isinstance(items, list)
    assert [(each["kind"], each["row"]) for each in items][:2] == [
        ("schedule", "s1"),
        ("communication", "e1"),
    ]
    first = items[0]
    assert (first["error"], first["tries"], first["state"]) == ("ValueError", 5, "set_aside")
    assert (first["due_at"], first["first_failed_at"]) == (
        None,
        NOON.isoformat().replace("+00:00", "Z"),
    )
    assert "0123456789abcdef" not in str(told)
    assert "dXNlcjpzZWNyZXQ" not in str(told)
    assert "\x1b" not in str(first["detail"])
    plain = openway("set-aside", "list")
    assert (plain.code, "ValueError" in plain.out) == (Exit.OK, True)
    assert "silence" in openway("set-aside", "list", "--kind", "subscription").out
    assert openway("set-aside", "list", "--state", "waiting", "--json").json["items"] == []
    page = openway("set-aside", "list", "--limit", "1", "--json").json
    assert page["next"] == str(first["id"])
    shown = openway("set-aside", "show", str(first["id"]), "--json").json
    assert shown == first


def test_it_stands_among_the_todos(openway: Terminal) -> None:
    told = openway("todo", "list", "--json").json["items"]
    assert isinstance(told, list)
    codes = {each["code"] for each in told if each["subject"] == "set_aside"}
    assert {"schedule_set_aside", "communication_set_aside"} <= codes
    assert "set-aside retry" in openway("todo", "list").out


def test_who_may_retry_a_command_may_put_its_row_back_and_admins_the_rest(
    openway: Terminal,
) -> None:
    assert openway("set-aside", "retry", "2").code == Exit.CONFLICT
    assert openway.as_(APPROVER)("set-aside", "retry", "1").code == Exit.CONFLICT
    assert openway.as_(OPERATOR)("set-aside", "retry", "1").code == Exit.CONFLICT
    assert openway("set-aside", "discard", "3", "--reason", "x").code == Exit.CONFLICT
    back = openway("set-aside", "retry", "2", "--reason", "looked at", "--json")
    assert back.code == Exit.OK


def test_a_row_is_put_back_and_discarded_with_an_audit_entry(openway: Terminal) -> None:
    told = openway("set-aside", "retry", "1", "--reason", "mended")
    assert "1 is put back: schedule s1" in told.out
    discarded = openway("set-aside", "discard", "3", "--reason", "no use", "--json").json["items"]
    assert isinstance(discarded, list)
    assert discarded[0]["state"] == "discarded"
    audit = openway("audit", "list", "--limit", "500", "--json").json["items"]
    assert isinstance(audit, list)
    noted = [(each["action"], each["actor"], each["subject"]) for each in audit]
    assert ("SetAside", "gateway", "schedule:s1") in noted
    assert ("PutBack", "root", "schedule:s1") in noted
    assert ("SetAsideDiscarded", "root", "event:7") in noted


def test_all_of_a_kind_are_put_back_at_once(openway: Terminal) -> None:
    told = openway("set-aside", "retry", "--all", "event", "--json").json["items"]
    assert isinstance(told, list)
    assert [each["row"] for each in told] in (["7", "8"], ["8"])
    assert openway("set-aside", "retry").code == Exit.INVALID


def test_what_cannot_be_decided_is_told(openway: Terminal) -> None:
    assert openway("set-aside", "discard", "4", "--reason", "x").code == Exit.CONFLICT
    assert openway("set-aside", "show", "999").code == Exit.NOT_FOUND
    assert openway("set-aside", "retry", str(10**30)).code == Exit.INVALID
    assert openway("set-aside", "discard", "1").code == Exit.INVALID


# ---------------------------------------------------------------- the fault, end to end


def post(service: Service, body: bytes) -> int:
    request = urllib.request.Request(
        f"{service.listener_url}/openway/data",
        data=body,
        headers={"Content-Type": "text/xml; charset=utf-8"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def values(openway: Terminal, device: str) -> int:
    span = ("--from", "2024-05-01T00:00:00Z", "--to", "2024-05-03T00:00:00Z")
    return len(openway("readings", "show", device, *span, "--json").out.splitlines())


def until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_number_past_64_bits_and_then_the_data_of_another_meter(
    service: Service, openway: Terminal
) -> None:
    assert openway("devices", "import", str(service.devices_file)).code == Exit.OK
    devices = json.loads(service.devices_file.read_bytes())["devices"]
    first, second = (str(each["endpoint"]) for each in devices[:2])
    huge = read_data(first, [1, 2], block=(1, 18446744073709551615))
    assert post(service, data_arrived(huge)) == 200
    assert post(service, data_arrived(read_data(second, [3, 4]))) == 200

    def loaded() -> bool:
        payloads = openway("readings", "payloads", "--json").json["items"]
        assert isinstance(payloads, list)
        return [each["state"] for each in payloads] == ["loaded", "loaded"]

    until(loaded)
    errors = json.loads(openway("intake", "errors", "--json").out)
    assert [each["endpoint"] for each in errors] == [first]
    assert "TotalBlocks" in str(errors[0]["detail"])
    for device in devices[:2]:
        assert values(openway, device["id"]) == 2


def test_a_payload_that_fails_in_a_running_gateway_holds_up_nobody(
    service: Service, openway: Terminal
) -> None:
    folder = service.devices_file.parent
    assert openway("devices", "import", str(service.devices_file)).code == Exit.OK
    devices = json.loads(service.devices_file.read_bytes())["devices"]
    broken, whole = devices[2], devices[3]
    body = json.dumps({"endpoint": broken["endpoint"]}).encode()
    plant(folder, "UPDATE device SET body = ? WHERE id = ?", body, broken["id"])
    assert post(service, data_arrived(read_data(str(broken["endpoint"]), [1]))) == 200
    assert post(service, data_arrived(read_data(str(whole["endpoint"]), [1, 2, 3]))) == 200

    def waiting() -> list[dict[str, object]]:
        found = openway("set-aside", "list", "--state", "waiting", "--kind", "payload", "--json")
        items = found.json["items"]
        assert isinstance(items, list)
        return items

    until(lambda: len(waiting()) == 1)
    assert values(openway, whole["id"]) == 3
    assert openway("devices", "import", str(service.devices_file)).code == Exit.OK
    assert openway("set-aside", "retry", str(waiting()[0]["id"])).code == Exit.OK
    until(lambda: waiting() == [])
