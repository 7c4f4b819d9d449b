"""What the gateway is in alarm of: every command that the list names is typed, and settles it."""

import ast
import asyncio
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest

from adapter.cli.output import Exit
from adapter.engine.commands.switch_holds import HoldReason
from adapter.engine.subscriptions.subscriptions import Silence
from adapter.engine.upkeep import todo_kinds as ways
from adapter.engine.upkeep.todo import Way
from adapter.model.todo import TodoSubject
from adapter.simulator.faults import Effect, Script
from adapter.simulator.settings import SimulatorConfig
from adapter.store.commands.commands import SqliteStore
from adapter.store.commands.holds import SqliteHolds
from adapter.store.subscriptions import SqliteSubscriptions
from tests.cli.running_service import ADMIN, APPROVER, OPERATOR, Service, Terminal, serving
from tests.cli.test_todo import WAYS, NobodyHere, entries, typed, until
from tests.support import for_every

S = TodoSubject
DISK = "disk"


async def fill(folder: Path) -> None:
    """A store that has seen tomorrow, and whose head end has been silent."""
    now = datetime.now(UTC)
    store = SqliteStore(folder / "gateway.db", now=lambda: datetime.now(UTC))
    await store.open()
    silence = Silence(watched=now - timedelta(days=9), allowed_s=60.0, alarm=now)
    await SqliteSubscriptions(store.database).put_silence(silence)
    await SqliteHolds(store.database).put_clock_seen(now + timedelta(days=1))
    await store.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Its clock is doubted, its witness cannot be written, nobody takes its events, and
    its head end answers no check of a meter."""
    folder = tmp_path_factory.mktemp("alarms")
    asyncio.run(fill(folder))
    (folder / "events-keys").write_text("whsec_" + "A" * 44, encoding="utf-8")
    no = Script(effect=Effect.FAULT, fault="InvalidRequestFault", operation="Subscribe*", first=1)
    dead = Script(effect=Effect.CLOSE_BEFORE, operation="PingByEndpoints")
    with ThreadingHTTPServer(("127.0.0.1", 0), NobodyHere) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        more = (
            '[subscriptions]\ndata = "data_service"\nsilence_s = 60.0\n'
            "[events]\nalarm_s = 0.2\n[commands.device_status_check]\nretry.attempts = 1\n"
            f'[[events.webhook]]\nname = "nobody"\nurl = "http://127.0.0.1:{receiver.server_port}"\n'
            'keys_file = "events-keys"\n'
            '[[engine.quota]]\nname = "voltage"\nper_day = 0\n'
            'operations = ["ControlService.DetectLoadSideVoltageByMeter"]\n'
        )
        store = f'witness = "{DISK}/openway.witness"\n'
        head_end = SimulatorConfig(scripts=(no, dead))
        with serving(folder, meters=4, more=more, store=store, head_end=head_end) as running:
            yield running
        receiver.shutdown()


@pytest.fixture
def openway(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    return Terminal(capsys, monkeypatch, service.api_url).as_(ADMIN)


def test_what_the_gateway_is_in_alarm_of_is_settled_as_it_says(
    service: Service, openway: Terminal
) -> None:
    clock, witness = sorted(entries(openway, S.SWITCH_HOLD), key=lambda each: str(each["id"]))
    assert (clock["id"], witness["id"]) == ("switch_hold.clock", "switch_hold.witness")
    typed(openway, witness, ways.OF_HOLD[HoldReason.WITNESS], Exit.CONFLICT)  # nobody mended it
    (service.devices_file.parent / DISK).mkdir()
    typed(openway, witness, ways.OF_HOLD[HoldReason.WITNESS])
    (silent,) = entries(openway, S.SILENCE)  # nobody looks at it while the clock is doubted
    typed(openway, clock, ways.OF_HOLD[HoldReason.CLOCK])
    assert entries(openway, S.SWITCH_HOLD) == []

    until(lambda: bool(entries(openway, S.SUBSCRIPTION)))
    (failed,) = entries(openway, S.SUBSCRIPTION)
    typed(openway, failed, ways.CHECK)
    assert entries(openway, S.SUBSCRIPTION) == []
    typed(openway, silent, ways.CHECK)

    until(lambda: bool(entries(openway, S.UNDELIVERED)))
    (undelivered,) = entries(openway, S.UNDELIVERED)
    typed(openway, undelivered, ways.POST_AGAIN)

    assert openway("devices", "import", str(service.devices_file)).code == Exit.OK
    openway.as_(OPERATOR)
    for meter in ("M700001", "M700002", "M700003"):
        assert openway("command", "submit", "device_status_check", meter).code == Exit.OK
    until(lambda: bool(entries(openway, S.HEAD_END)))
    (lost,) = entries(openway, S.HEAD_END)
    typed(openway.as_(ADMIN), lost, ways.CHECK)
    assert entries(openway, S.HEAD_END) == []


def test_what_is_stopped_and_what_waits_for_room_is_settled_as_it_says(openway: Terminal) -> None:
    assert openway("switching", "stop", "--reason", "a wrong list").code == Exit.OK
    (stopped,) = entries(openway, S.SWITCH_HOLD)
    typed(openway, stopped, ways.OF_HOLD[HoldReason.STOPPED])
    typed(openway.as_(APPROVER), stopped, ways.OF_HOLD[HoldReason.STOPPED])
    assert entries(openway, S.SWITCH_HOLD) == []

    assert openway.as_(OPERATOR)("command", "submit", "load_check", "M700004").code == Exit.OK
    until(lambda: bool(entries(openway, S.LIMIT)))
    (limit,) = entries(openway, S.LIMIT)
    typed(openway, limit, ways.SEE_WAITING)
    typed(openway.as_(ADMIN), limit, ways.LET_PASS, LIMIT="voltage")
    until(lambda: not entries(openway, S.LIMIT))


def test_settings_that_could_not_be_taken_are_settled_as_it_says(
    service: Service, openway: Terminal
) -> None:
    file = service.settings_file
    right = file.read_text(encoding="utf-8")
    file.write_text(right + "\n[stoer]\npath = 1\n", encoding="utf-8")
    assert openway("reload", "--reason", "a new certificate").code != Exit.OK
    (refused,) = entries(openway, S.SETTINGS)
    file.write_text(right, encoding="utf-8")
    typed(openway, refused, ways.RELOAD)
    assert entries(openway, S.SETTINGS) == []


SOURCES: Final = tuple(
    (Path(__file__).parent / name).read_text(encoding="utf-8")
    for name in ("test_todo.py", "test_todo_alarms.py")
)
WAYS_TYPED: Final = frozenset(
    ast.unparse(node.args[2])
    for source in SOURCES
    for node in ast.walk(ast.parse(source))
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "typed"
)
"""The third argument of each call of `typed`."""


@for_every("way", WAYS)
def test_a_test_types_every_command_of_the_list(way: Way) -> None:
    names = {"ways": ways, "HoldReason": HoldReason}
    assert way in [eval(each, names) for each in WAYS_TYPED]


def test_a_test_types_a_command_of_every_kind_of_entry() -> None:
    text = "".join(SOURCES)
    looked_at = re.findall(r"(?:entries|the|gone)\(openway, (?:TodoSubject|S)\.(\w+)", text)
    assert set(looked_at) == {each.name for each in S}
