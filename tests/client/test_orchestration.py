"""The example of an orchestration, killed as it works: it knows each outcome exactly once."""

import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from adapter.cli.client import Client, fields, items
from adapter.model.secret import Secret
from tests.cli.running_service import ADMIN, OPERATOR, Terminal, serving

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "orchestration.py"
WAIT_S = 110.0
LOOK_S = 0.005


def test_the_example_has_fewer_than_60_lines() -> None:
    assert EXAMPLE.read_text(encoding="utf-8").count("\n") < 60


@pytest.mark.parametrize(
    "count",
    [150, pytest.param(1_000, marks=[pytest.mark.soak, pytest.mark.timeout(900)])],
)
def test_an_orchestration_that_is_killed_twice_knows_each_outcome_once(
    count: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(tmp_path, meters=count) as service:
        openway = Terminal(capsys, monkeypatch, service.api_url)
        openway.as_(ADMIN)("devices", "import", str(service.devices_file))
        file = tmp_path / "work.db"
        kills = sorted(random.Random(count).sample(range(1, count // 2), 2))
        known_at_kills = [killed_at(kill, service.api_url, file, count) for kill in kills]
        assert started(service.api_url, file, count).wait(WAIT_S) == 0

        with closing(sqlite3.connect(file)) as db:
            known = db.execute("SELECT key, command, outcome FROM outcome").fetchall()
        assert len({command for _, command, _ in known}) == len(known) == count
        assert {outcome for _, _, outcome in known} == {"succeeded"}
        assert {command for _, command, _ in known} == set(commands_of(service.api_url))
    told = f"{count} commands, killed when {known_at_kills} outcomes were known\n"
    with capsys.disabled():
        sys.stderr.write(told)


def test_a_command_that_waits_for_a_person_holds_up_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, meters=3) as service:
        openway = Terminal(capsys, monkeypatch, service.api_url)
        openway.as_(ADMIN)("devices", "import", str(service.devices_file))
        client = Client(url=service.api_url, key=Secret(OPERATOR))
        devices = items(fields(client.get("/devices", {})))
        device = fields(devices[0]["device"])["id"]
        openway.as_(OPERATOR)(
            "command", "submit", "device_status_check", str(device), "--effective-at", "+2h"
        )
        for _ in range(2):
            assert started(service.api_url, tmp_path / "work.db", 3).wait(WAIT_S) == 0
            assert outcomes_in(tmp_path / "work.db") == 2
        for each in items(fields(client.get("/commands", {"state": "completed"}))):
            outcomes = items(fields(client.get(f"/commands/{each['id']}/outcomes")))
            assert [outcome["result"] for outcome in outcomes] == ["succeeded"]


def started(url: str, file: Path, count: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, str(EXAMPLE), url, str(file), str(count)],
        env=os.environ | {"OPENWAY_API_KEY": OPERATOR},
    )


def killed_at(least: int, url: str, file: Path, count: int) -> int:
    """How many outcomes it knew when it was killed, which is as soon as it knows so many."""
    process = started(url, file, count)
    while process.poll() is None and outcomes_in(file) < least:
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_S)
    assert process.poll() is None
    process.kill()
    process.wait(WAIT_S)
    return outcomes_in(file)


def outcomes_in(file: Path) -> int:
    if not file.exists():
        return 0
    with closing(sqlite3.connect(file, timeout=WAIT_S)) as db, suppress(sqlite3.OperationalError):
        return int(db.execute("SELECT count(*) FROM outcome").fetchone()[0])
    return 0


def commands_of(url: str) -> list[str]:
    client, found, cursor = Client(url=url, key=Secret(OPERATOR)), list[str](), None
    while True:
        page = fields(client.get("/commands", {"limit": 500, "cursor": cursor}))
        found += [str(each["id"]) for each in items(page)]
        if (cursor := page["next"]) is None:
            return found
