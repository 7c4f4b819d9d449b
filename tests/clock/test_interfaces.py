"""What people see of a clock that is not believed, and how they say that it is right."""

import asyncio
import json
import shlex
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapter.cli.output import Exit
from adapter.store.commands.commands import SqliteStore
from adapter.store.commands.holds import SqliteHolds
from tests.cli.running_service import ADMIN, OPERATOR, Printed, Service, Terminal, serving
from tests.clock.lives import FAR


async def _seen_far_ahead(folder: Path) -> None:
    """A store that was in use by a clock that was far ahead."""
    store = SqliteStore(folder / "gateway.db", now=lambda: datetime.now(UTC))
    await store.open()
    await SqliteHolds(store.database).put_clock_seen(datetime.now(UTC) + FAR)
    await store.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    asyncio.run(_seen_far_ahead(tmp_path))
    with serving(tmp_path, meters=4) as running:
        yield running


def readiness(service: Service) -> dict[str, Any]:
    with urllib.request.urlopen(f"{service.api_url}/readyz") as answer:
        assert answer.status == 200  # callbacks and reads are served all the same
        found = json.loads(answer.read())
    assert isinstance(found, dict)
    return found


def items(printed: Printed) -> list[dict[str, Any]]:
    found = printed.json["items"]
    assert isinstance(found, list)
    return found


def test_readiness_to_dos_and_command_line_tell_it_until_an_administrator_confirms(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    openway = Terminal(capsys, monkeypatch, service.api_url)
    assert openway.as_(ADMIN)("devices", "import", str(service.devices_file)).code == Exit.OK
    openway.as_(OPERATOR)

    told = readiness(service)
    assert told["status"] == "held"
    (held,) = told["held"]
    assert held["reason"] == "clock"
    assert "400 days" in held["text"]
    assert "openway clock confirm" in held["action"]
    (todo,) = items(openway("todo", "list", "--json"))
    assert (todo["subject"], todo["code"]) == ("switch_hold", "switch_hold_clock")
    assert "400 days" in openway("clock", "show").out
    assert "clock" in openway("holds", "list").out

    cut = openway("command", "submit", "remote_disconnect", "M700001", "--wait", "1", "--json")
    assert cut.json["state"] == "communication_in_progress"
    reason = "seen to"
    refused = openway("clock", "confirm", "--reason", reason)
    assert refused.code != Exit.OK
    assert "admin" in refused.err
    openway.as_(ADMIN)
    assert openway("clock", "confirm", "--reason", " ").code == Exit.INVALID
    name, *typed = shlex.split(todo["commands"][0]["typed"])
    assert (name, typed[:2]) == ("openway", ["clock", "confirm"])
    done = openway(*typed)
    assert done.code == Exit.OK
    assert "not held" in done.err
    assert openway("clock", "confirm", "--reason", reason).code != Exit.OK  # nothing left

    assert readiness(service) == {"status": "ready", "held": [], "warnings": []}
    assert items(openway("todo", "list", "--json")) == []
    assert "yes" in openway("clock", "show").out
    ended = openway("command", "watch", str(cut.json["id"]), "--json")
    assert ended.code == Exit.OK
    entries = items(openway("audit", "list", "--json"))
    (released,) = [each for each in entries if each["action"] == "SwitchOrdersReleased"]
    assert released["actor"] == "root"
    assert released["subject"] == "switch_hold:clock"
    assert released["detail"]["reason"] == reason
