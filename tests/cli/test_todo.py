"""What waits for people at a running gateway: every command that the list names is typed."""

import asyncio
import json
import shlex
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import pytest

from adapter.cli import openway as program
from adapter.cli.output import Exit
from adapter.commands.activity import (
    Command,
    CompletionEvent,
    CompletionState,
    Outcome,
    Resolution,
    State,
    Target,
)
from adapter.commands.flows import CommandKind, Completion
from adapter.engine.commands.switch_holds import Hold, HoldReason
from adapter.engine.upkeep import todo_kinds as ways
from adapter.engine.upkeep.set_aside import WAITS, RowKind
from adapter.engine.upkeep.todo import Todo, TodoEntry, Way
from adapter.model.ids import DeviceId, EndpointId, EventId
from adapter.model.todo import TodoSubject
from adapter.model.values import replace
from adapter.store.commands.commands import SqliteStore
from adapter.store.commands.holds import SqliteHolds
from tests.builders import a_command, a_request, a_submission
from tests.cli.running_service import ADMIN, APPROVER, OPERATOR, Service, Terminal, serving
from tests.wire.payloads import data_arrived, event_log, meter_event, read_data

FIRST = 700_001
WAIT_S = 60.0
WAYS = [each for each in vars(ways).values() if isinstance(each, Way)] + [*ways.OF_HOLD.values()]
CUT = CommandKind.REMOTE_DISCONNECT
PLANTED: dict[str, tuple[State, int, CommandKind]] = {
    "retried": (State.COMMUNICATION_ERROR, 2, CUT),
    "given up": (State.COMMUNICATION_ERROR, 1, CUT),
    "followed": (State.COMPLETION_EVENT_ERROR, 1, CUT),
    "not done": (State.NEEDS_PERSON, 1, CUT),
    "done": (State.NEEDS_PERSON, 1, CUT),
    "registry": (State.NEEDS_PERSON, 1, CUT),
    "approved": (State.AWAITING_APPROVAL, 2, CUT),
    "broken": (State.VALIDATION_ERROR, 1, CUT),
}
"""Name -> state, of how many meters, kind; each group has a reason of its own."""


def planted(now: datetime) -> Iterator[Command]:
    number = 0
    for name, (state, count, kind) in PLANTED.items():
        for _ in range(count):
            number += 1
            device = f"M{FIRST + number}"
            command = a_command(
                number,
                request=a_request(kind, device, reference=name, requester=f"cis {name}"),
                communications=(),
                state=state,
                reason=name,
                waits_since=now,
                hold_until=now + timedelta(days=1),
            )
            event = CompletionEvent(
                id=EventId(f"{command.id}:{Completion.DISCONNECT_DEVICE}"),
                kind=Completion.DISCONNECT_DEVICE,
                at=now,
                state=CompletionState.ERROR,
            )
            late = name in ("followed", "registry")
            activity = replace(
                command.activity,
                created_at=now - timedelta(hours=1),
                effective_at=now - timedelta(hours=1),
                expires_at=now + timedelta(days=1),
                outcome=Outcome.UNKNOWN if state is State.NEEDS_PERSON else None,
                violations=(f"{device}: something ({name})",)
                if state is State.VALIDATION_ERROR
                else (),
                completions=(event,) if late else (),
                resolution=Resolution(done=True, operator="ann", approver="bob", at=now)
                if name == "registry"
                else None,
            )
            target = Target(device=DeviceId(device), endpoint=EndpointId(f"E-{device}"))
            yield replace(command, activity=activity, targets=(target,))


class NobodyHere(BaseHTTPRequestHandler):
    """A requester's system that takes no reply."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


async def fill(folder: Path) -> None:
    """A store of which a gateway has run before, with one of everything that rows can wait for."""
    now = datetime.now(UTC)
    store = SqliteStore(folder / "gateway.db", now=lambda: datetime.now(UTC))
    await store.open()
    for number, command in enumerate(planted(now), 1):
        await store.submit([a_submission(number, command=command)])
    for kind, row in ((RowKind.EVENT, "7"), (RowKind.EVENT, "8"), (RowKind.SUBSCRIPTION, "data")):
        for _ in range(len(WAITS) + 1):
            await store.set_aside.fail(kind, row, ValueError("bad"))
    hold = Hold(reason=HoldReason.OLDER_STORE, since=now, text="the store may be an older copy")
    await SqliteHolds(store.database).put_hold(hold, audit=(), publications=())
    await store.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("todo")
    (folder / "gateway.key").write_text("k" * 64, encoding="utf-8")
    (folder / "gateway.key").chmod(0o600)
    asyncio.run(fill(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), NobodyHere) as requester:
        threading.Thread(target=requester.serve_forever, daemon=True).start()
        (folder / "reply-keys").write_text("whsec_" + "A" * 44, encoding="utf-8")
        replies = f'url = "http://127.0.0.1:{requester.server_port}/"\nkeys_file = "reply-keys"\n'
        more = f"[replies]\n{replies}"
        with serving(folder, more=more) as running:
            yield running
        requester.shutdown()


@pytest.fixture
def openway(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    monkeypatch.setenv("OPENWAY_CONFIG", str(service.devices_file.parent / "openway.toml"))
    terminal = Terminal(capsys, monkeypatch, service.api_url)
    assert terminal.as_(ADMIN)("devices", "import", str(service.devices_file)).code == Exit.OK
    return terminal


def entries(openway: Terminal, subject: TodoSubject) -> list[dict[str, Any]]:
    found = openway("todo", "list", "--subject", subject.value, "--limit", "500", "--json").json[
        "items"
    ]
    assert isinstance(found, list)
    return found


def the(openway: Terminal, subject: TodoSubject, text: str) -> dict[str, Any]:
    """The entry whose reason has the text."""
    (found,) = [each for each in entries(openway, subject) if text in each["text"]]
    return found


def until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def typed(
    openway: Terminal, entry: dict[str, Any], way: Way, *may_fail: Exit, **named: str
) -> None:
    """That command line of the entry, word for word, but for what people have to name."""
    (line,) = [each["typed"] for each in entry["commands"] if each["does"] == way.does]
    name, *words = shlex.split(line)
    assert name == "openway"
    done = openway(*(named.get(word, word) for word in words))
    assert done.code in (Exit.OK, *may_fail), done.err


def gone(openway: Terminal, subject: TodoSubject, text: str) -> bool:
    return not any(text in each["text"] for each in entries(openway, subject))


def states(openway: Terminal, reference: str) -> set[str]:
    listed = openway("command", "list", "--limit", "500", "--json").json["items"]
    assert isinstance(listed, list)
    return {str(each["state"]) for each in listed if each["reference"] == reference}


def test_what_holds_switch_orders_comes_first_and_is_confirmed_as_it_says(
    openway: Terminal,
) -> None:
    listed = openway("todo", "list", "--json").json["items"]
    assert isinstance(listed, list)
    assert listed[0]["id"] == "switch_hold.older_store"
    typed(openway, listed[0], ways.OF_HOLD[HoldReason.OLDER_STORE])
    assert entries(openway, TodoSubject.SWITCH_HOLD) == []


def test_commands_are_tried_again_and_given_up_as_it_says(openway: Terminal) -> None:
    openway.as_(OPERATOR)
    retried = the(openway, TodoSubject.COMMAND, ": retried")
    assert retried["count"] == 2
    typed(openway, retried, ways.RETRY_COMMAND)
    assert gone(openway, TodoSubject.COMMAND, ": retried")
    typed(openway, the(openway, TodoSubject.COMMAND, ": given up"), ways.GIVE_UP_COMMAND)
    assert states(openway, "given up") == {"discarded"}
    typed(openway, the(openway, TodoSubject.COMMAND, "something (broken)"), ways.RETRY_COMMAND)
    assert gone(openway, TodoSubject.COMMAND, "something (broken)")


def test_two_people_approve_and_resolve_as_it_says(openway: Terminal) -> None:
    approved = the(openway, TodoSubject.COMMAND, "cis approved")
    assert (approved["count"], approved["takes_two"]) == (2, True)
    typed(openway.as_(APPROVER), approved, ways.APPROVE)
    assert gone(openway, TodoSubject.COMMAND, "cis approved")
    openway.as_(OPERATOR, APPROVER)
    not_done = the(openway, TodoSubject.COMMAND, ": not done")
    assert [each["people"] for each in not_done["commands"]] == [1, 2, 2]
    typed(openway, not_done, ways.LOOK, Exit.WITHOUT_SUCCESS)
    typed(openway, not_done, ways.NOT_DONE)
    assert states(openway, "not done") == {"resolved"}
    typed(openway, the(openway, TodoSubject.COMMAND, ": done"), ways.DONE)
    until(lambda: states(openway, "done") == {"resolved"})
    device = openway("command", "list", "--state", "resolved", "--json")
    assert "resolved" in device.out


def test_the_registry_follows_as_it_says(openway: Terminal) -> None:
    openway.as_(OPERATOR)
    typed(openway, the(openway, TodoSubject.COMMAND, ": followed"), ways.RETRY_COMMAND)
    until(lambda: states(openway, "followed") == {"completed"})
    typed(openway, the(openway, TodoSubject.COMMAND, ": registry"), ways.FOLLOW)
    until(lambda: states(openway, "registry") == {"resolved"})


def test_rows_that_were_set_aside_are_put_back_and_given_up_as_it_says(openway: Terminal) -> None:
    events, data = entries(openway, TodoSubject.SET_ASIDE)
    assert (events["count"], len(events["commands"]), len(data["commands"])) == (2, 2, 1)
    typed(openway, data, ways.PUT_BACK)
    typed(openway, events, ways.LEAVE)
    assert entries(openway, TodoSubject.SET_ASIDE) == []


def post(service: Service, path: str, body: bytes) -> int:
    headers = {"Content-Type": "text/xml; charset=utf-8"}
    request = urllib.request.Request(f"{service.listener_url}/openway/{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_messages_in_quarantine_are_judged_again_and_dropped_as_it_says(
    service: Service, openway: Terminal
) -> None:
    for _ in range(3):
        post(service, "data", b"<no-envelope/>")
    entry = the(openway, TodoSubject.MESSAGE, "no-envelope")
    typed(openway, entry, ways.JUDGE, Exit.WITHOUT_SUCCESS)
    typed(openway, the(openway, TodoSubject.MESSAGE, "no-envelope"), ways.DROP)
    assert entries(openway, TodoSubject.MESSAGE) == []


def test_error_records_are_processed_again_and_closed_as_it_says(
    service: Service, openway: Terminal
) -> None:
    assert post(service, "data", data_arrived(read_data("stranger-1", [1, 2]))) == 200
    until(lambda: bool(entries(openway, TodoSubject.ERROR_RECORD)))
    (entry,) = entries(openway, TodoSubject.ERROR_RECORD)
    typed(openway, entry, ways.REPROCESS)
    typed(openway, entry, ways.CLOSE_ERRORS)
    assert entries(openway, TodoSubject.ERROR_RECORD) == []


def test_events_that_no_table_knows_are_looked_at_again_as_it_says(
    service: Service, openway: Terminal
) -> None:
    devices = json.loads(service.devices_file.read_bytes())["devices"]
    log = event_log(meter_event("Nobody Knows This").replace("<e:ID>18001</e:ID>", ""))
    body = data_arrived(read_data(str(devices[0]["endpoint"]), [1], log=log))
    assert post(service, "data", body) == 200
    until(lambda: bool(entries(openway, TodoSubject.UNKNOWN_EVENT)))
    typed(openway, the(openway, TodoSubject.UNKNOWN_EVENT, "Nobody Knows This"), ways.LOOK_AGAIN)


def test_a_file_of_keys_that_cannot_be_used_is_told_as_it_says(
    openway: Terminal, service: Service
) -> None:
    file = service.devices_file.parent / "keys"
    good = file.read_text(encoding="utf-8")
    file.write_text(f"{good}eve king {'0' * 40}\n", encoding="utf-8")
    until(lambda: bool(entries(openway, TodoSubject.KEY_FILE)))
    typed(openway, the(openway, TodoSubject.KEY_FILE, "must be roles"), ways.SEE_KEYS)
    file.write_text(good, encoding="utf-8")
    until(lambda: entries(openway, TodoSubject.KEY_FILE) == [])


def submitted(openway: Terminal, kind: str, point: str, *more: str) -> str:
    """The id of an order, also of one that is stopped at once."""
    words = ("--reference", f"{kind}-{point}", *more, "--json")
    made = openway("order", "submit", kind, point, *words)
    assert made.code in (Exit.OK, Exit.WITHOUT_SUCCESS), made.err
    return str(made.json["id"])


def test_orders_and_visits_are_tried_again_and_closed_as_it_says(
    openway: Terminal, tmp_path: Path
) -> None:
    openway.as_(OPERATOR)
    for number in range(3):
        submitted(openway, "cut", f"nowhere-{number}")
    until(lambda: [e["count"] for e in entries(openway, TodoSubject.ORDER)] == [3])
    (entry,) = entries(openway, TodoSubject.ORDER)
    typed(openway, entry, ways.RETRY_ORDER)
    until(lambda: [e["count"] for e in entries(openway, TodoSubject.ORDER)] == [3])
    (entry,) = entries(openway, TodoSubject.ORDER)
    typed(openway, entry, ways.GIVE_UP_ORDER)
    until(lambda: entries(openway, TodoSubject.ORDER) == [])

    place = {
        "devices": [{"id": name, "serial": name} for name in ("HAND-1", "HAND-2")],
        "service_points": [{"id": "SP-HAND-1"}, {"id": "SP-HAND-2"}],
        "installs": [
            {
                "device": f"HAND-{number}",
                "service_point": f"SP-HAND-{number}",
                "installed_at": "2024-01-01T00:00:00Z",
                "status": "ManualOn",
            }
            for number in (1, 2)
        ],
    }
    file = tmp_path / "manual.json"
    file.write_text(json.dumps(place))
    assert openway.as_(ADMIN)("devices", "import", str(file)).code == Exit.OK
    openway.as_(OPERATOR)
    for number in (1, 2):
        submitted(openway, "disable", f"SP-HAND-{number}")
    until(lambda: len(visits(openway)) == 2)
    (entry,) = entries(openway, TodoSubject.VISIT)
    assert [each["typed"].split()[2] for each in entry["commands"]] == [
        "retry",
        "complete-visit",
        "cancel-visit",
    ]
    first, second = visits(openway)
    typed(openway, entry, ways.RETRY_OF_VISIT)
    until(lambda: visits(openway) == [second, first])  # it waits since then
    typed(openway, of_visit(openway, second), ways.COMPLETE_VISIT)
    until(lambda: second not in visits(openway))
    typed(openway, of_visit(openway, first), ways.CANCEL_VISIT)
    until(lambda: first not in visits(openway))
    closed = the(openway, TodoSubject.ORDER, "is canceled: CM-NoAccess")
    typed(openway, closed, ways.COMPLETE_ORDER)
    assert gone(openway, TodoSubject.ORDER, "is canceled: CM-NoAccess")


def placed(openway: Terminal, folder: Path, device: str, status: str, *spare: str) -> str:
    """The service point of a manual meter that is put there; `spare` are in stock."""
    given = {
        "devices": [{"id": name, "serial": name} for name in (device, *spare)],
        "service_points": [{"id": f"SP-{device}"}],
        "installs": [
            {
                "device": device,
                "service_point": f"SP-{device}",
                "installed_at": "2024-01-01T00:00:00Z",
                "status": status,
            }
        ],
    }
    file = folder / f"{device}.json"
    file.write_text(json.dumps(given))
    assert openway.as_(ADMIN)("devices", "import", str(file)).code == Exit.OK
    openway.as_(OPERATOR)
    return f"SP-{device}"


def test_what_a_crew_installed_is_told_as_it_says(openway: Terminal, tmp_path: Path) -> None:
    for old, new in (("OLD-1", "NEW-1"), ("OLD-2", "NEW-2")):
        point = placed(openway, tmp_path, old, "ManualOn", new)
        known = ("--field", f"newDevice={new}") if new == "NEW-1" else ()
        order = submitted(openway, "exchange", point, *known)
        until(lambda order=order: f"{order}.1" in visits(openway))  # type: ignore[misc]
        entry = of_visit(openway, f"{order}.1")
        assert (f"--new-device {new}" in str(entry["commands"])) == bool(known)
        typed(openway, entry, ways.INSTALLED, DEVICE=new)
        until(lambda order=order: f"{order}.1" not in visits(openway))  # type: ignore[misc]
        assert point in openway("devices", "show", new).out


def test_a_paid_reconnection_that_was_given_up_is_ordered_anew_as_it_says(
    openway: Terminal, tmp_path: Path
) -> None:
    point = placed(openway, tmp_path, "DARK-1", "ManualOff")
    paid = openway("order", "payment", point, "--json").json["reconnection"]
    assert isinstance(paid, dict)
    given_up = ("order", "discard", paid["id"], "--reason", "by mistake")
    until(lambda: openway(*given_up).code == Exit.OK)  # not while its visit is being sent
    entry = the(openway, TodoSubject.ORDER, "the customer has paid and stays without supply")
    assert entry["dark"] == [point]
    typed(openway, entry, ways.PAYMENT)
    assert gone(openway, TodoSubject.ORDER, "the customer has paid and stays without supply")


def of_visit(openway: Terminal, visit: str) -> dict[str, Any]:
    (entry,) = (e for e in entries(openway, TodoSubject.VISIT) if visit in str(e["commands"]))
    return entry


def visits(openway: Terminal) -> list[str]:
    """The visits that wait, the oldest first."""
    found: list[str] = []
    for entry in entries(openway, TodoSubject.VISIT):
        items = openway("todo", "show", entry["id"], "--json").json["items"]
        assert isinstance(items, list)
        found += [str(each["id"]) for each in items]
    return found


def test_a_visit_whose_report_was_wrong_and_a_request_in_error_are_settled_as_it_says(
    openway: Terminal, tmp_path: Path
) -> None:
    device = {"id": "HAND-9", "serial": "HAND-9"}
    install = {
        "device": "HAND-9",
        "service_point": "SP-HAND-9",
        "installed_at": "2024-01-01T00:00:00Z",
        "status": "ManualOn",
    }
    other = {"id": "HAND-8", "serial": "HAND-8"}
    given = {"devices": [device, other], "service_points": [{"id": "SP-HAND-9"}]}
    file = tmp_path / "manual.json"
    file.write_text(json.dumps({**given, "installs": [install]}))
    assert openway.as_(ADMIN)("devices", "import", str(file)).code == Exit.OK
    openway.as_(OPERATOR)
    order = submitted(openway, "exchange", "SP-HAND-9")
    until(lambda: f"{order}.1" in visits(openway))
    work = ("order", "complete-visit", f"{order}.1", "--new-device", "HAND-8")
    refused = openway(*work, "--removed-device", "HAND-1")
    assert refused.code == Exit.WITHOUT_SUCCESS
    assert f"{order}.1 was not completed: " in refused.err
    assert "HAND-1" in refused.err
    asked = openway("order", "cancel", order, "--reason", "stays", "--json")
    assert (asked.code, asked.json["state"]) == (Exit.CONFLICT, "error")
    (request,) = entries(openway, TodoSubject.REQUEST)
    typed(openway, request, ways.RETRY_REQUEST, Exit.CONFLICT)  # tried, and in error again
    typed(openway, of_visit(openway, f"{order}.1"), ways.CANCEL_VISIT)
    until(lambda: f"{order}.1" not in visits(openway))
    assert openway("order", "discard", order, "--reason", "stays").code == Exit.OK
    until(lambda: entries(openway, TodoSubject.REQUEST) == [])


def test_replies_that_were_refused_are_sent_again_and_given_up_as_it_says(
    openway: Terminal,
) -> None:
    openway.as_(OPERATOR)
    submitted(openway, "cut", "nowhere-replies")
    until(lambda: bool(entries(openway, TodoSubject.REPLY)))
    typed(openway, entries(openway, TodoSubject.REPLY)[0], ways.RETRY_REPLY)
    until(lambda: bool(entries(openway, TodoSubject.REPLY)))
    entry = entries(openway, TodoSubject.REPLY)[0]
    typed(openway, entry, ways.GIVE_UP_REPLY)
    left = [line for each in entries(openway, TodoSubject.REPLY) for line in each["commands"]]
    assert entry["commands"][-1] not in left  # others may have been refused meanwhile


def test_an_entry_is_claimed_by_one_person_at_a_time(openway: Terminal) -> None:
    openway.as_(OPERATOR)
    submitted(openway, "cut", "nowhere-claimed")
    until(lambda: not gone(openway, TodoSubject.ORDER, "unknown: nowhere-"))
    entry = the(openway, TodoSubject.ORDER, "unknown: nowhere-")
    claimed = openway("todo", "claim", entry["id"], "--json").json["entry"]
    assert isinstance(claimed, dict)
    assert claimed["claimed_by"] == "ann"
    assert openway.as_(ADMIN)("todo", "claim", entry["id"]).code == Exit.CONFLICT
    assert "ann" in openway("todo", "list", "--subject", "order").out
    assert "openway order retry" in openway("todo", "show", entry["id"]).out
    assert openway("todo", "unclaim", entry["id"]).code == Exit.OK
    assert openway("todo", "claim", entry["id"]).code == Exit.OK
    audit = openway("audit", "list", "--limit", "500", "--json").json["items"]
    assert isinstance(audit, list)
    noted = [each for each in audit if each["subject"] == f"todo:{entry['id']}"]
    assert [(each["actor"], each["action"]) for each in noted] == [
        ("ann", "TodoClaimed"),
        ("root", "TodoUnclaimed"),
        ("root", "TodoClaimed"),
    ]
    assert openway("todo", "show", "nothing").code == Exit.NOT_FOUND


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.typed)
def test_every_way_is_a_command_line_of_this_program(way: Way) -> None:
    todo = Todo(
        subject=TodoSubject.ORDER,
        id="1",
        order="1",
        device="M-1",
        service_point="SP-1",
        since=datetime.now(UTC),
        code="x",
        text="x",
        ways=(way,),
    )
    (made,) = TodoEntry(id="x", todos=(todo, replace(todo, id="2"))).commands
    name, *words = shlex.split(made.typed)
    assert name == "openway"
    group: click.Command = program
    context = click.Context(program)
    while isinstance(group, click.Group):
        found = group.get_command(context, words.pop(0))
        assert found is not None, made.typed
        group = found
    group.make_context("x", words)  # raises UsageError for what cannot be typed so
