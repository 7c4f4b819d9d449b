"""`openway simulate` and `openway serve` as processes, from the first meter to the last signal."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from adapter.cli import run
from adapter.cli.output import Exit

ROOT = Path(__file__).parents[2]
KEY = "ann-" + "0" * 32
_END_S = 30.0


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENWAY_")}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "OPENWAY_STORE_PATH": str(folder / "gateway.db"),
        "OPENWAY_LISTENER_PORT": "0",
        "OPENWAY_API_PORT": "0",
        "OPENWAY_API_KEYS": f"ann read,operate,switch,admin {KEY}",
        "OPENWAY_API_KEY": KEY,
        "OPENWAY_LOG_FORMAT": "json",
    }


@contextmanager
def running(
    folder: Path, environ: dict[str, str], *arguments: str
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "adapter", *arguments],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def openway(
    folder: Path, environ: dict[str, str], *arguments: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "adapter", *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def logged(stream: IO[str] | None, event: str) -> dict[str, str]:
    """The first line of this event; the test's own time-out bounds the wait."""
    assert stream is not None
    for line in stream:
        found = json.loads(line)
        if found["event"] == event:
            assert isinstance(found, dict)
            return found
    pytest.fail(f"the log ended without {event}")


@pytest.mark.parametrize("event_loop", ["uvloop", "asyncio"])
def test_a_site_is_set_up_from_the_command_line_alone(tmp_path: Path, event_loop: str) -> None:
    environ = environment(tmp_path)
    if event_loop == "asyncio":
        (tmp_path / "uvloop.py").write_text("raise ImportError('as where it is not installed')")
    simulate = ("simulate", "--port", "0", "--meters", "5", "--json")
    with running(tmp_path, environ, *simulate, "--write-devices", "meters.json") as simulator:
        assert simulator.stdout is not None
        head_end = json.loads(simulator.stdout.readline())["url"]
        environ["OPENWAY_HEAD_END_BASE_URL"] = head_end
        with running(tmp_path, environ, "serve") as gateway:
            started = logged(gateway.stderr, "rest_started")
            assert started["event_loop"] == event_loop
            environ["OPENWAY_API_URL"] = started["url"]
            imported = openway(tmp_path, environ, "devices", "import", "meters.json")
            assert imported.stdout == "5 devices, 5 service points, 5 installs loaded\n"
            done = openway(
                tmp_path, environ, "command", "submit", "remote_disconnect", "M700001",
                "--wait", "30", "--json",
            )  # fmt: skip
            assert done.returncode == Exit.OK, done.stderr
            assert json.loads(done.stdout)["outcome"] == "succeeded"
            gateway.send_signal(signal.SIGTERM)
            _, told = gateway.communicate(timeout=_END_S)
            assert gateway.returncode == Exit.OK
            assert KEY not in told
            assert all(json.loads(line)["event"] for line in told.splitlines())
        simulator.send_signal(signal.SIGINT)
        simulator.communicate(timeout=_END_S)
        assert simulator.returncode == Exit.OK


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which command lines run in this process: those that end before they serve."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.mark.usefixtures("here")
def test_the_address_that_a_gateway_cannot_have_is_named(
    taken: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENWAY_HEAD_END_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("OPENWAY_API_PORT", str(taken))
    assert run(["serve"]) == Exit.CONFLICT
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: 127.0.0.1:{taken}: Address already in use (api.host, api.port)"
    )


@pytest.mark.usefixtures("here")
def test_where_readings_are_delivered_to_must_be_a_url(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--deliver-to", "localhost"]) == Exit.INVALID
    assert "--deliver-to" in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_a_port_that_is_taken_is_told_in_a_line(
    taken: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["simulate", "--port", str(taken)]) == Exit.CONFLICT
    assert capsys.readouterr().err == (
        f"error: 127.0.0.1:{taken}: Address already in use (simulator.host, simulator.port)\n"
    )


def test_the_simulators_own_file_is_read_and_options_go_before_it(tmp_path: Path) -> None:
    (tmp_path / "he.toml").write_text("[population]\ncount = 7\nseed = 3\n", encoding="utf-8")
    environ = environment(tmp_path)
    for more, meters in (((), 7), (("--meters", "9"), 9)):
        arguments = ("simulate", "--config", "he.toml", "--port", "0", "--json", *more)
        with running(tmp_path, environ, *arguments) as simulator:
            assert simulator.stdout is not None
            assert json.loads(simulator.stdout.readline())["meters"] == meters


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    shell = f'"{sys.executable}" -m adapter tables --json | head -c 10; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", shell],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == Exit.OK
    assert "Traceback" not in done.stderr


def test_a_reader_that_is_gone_before_the_first_line_is_no_error(tmp_path: Path) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "adapter", "tables", "--json"],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (Exit.OK, "")
