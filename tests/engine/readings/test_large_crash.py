"""A large payload whose gateway is killed again and again: no gap, no double, row by row."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from adapter.store.readings.reports import open_store
from bench.payloads import INTERVALS, values, write_payload

ROOT = Path(__file__).parents[3]
_LONGEST_S = 900.0
_LAST = int(datetime(2024, 5, 2, tzinfo=UTC).timestamp()) * 1_000_000
_STEP = 900_000_000
_ROWS = """
SELECT c.device, m.at, m.head_end_value FROM channel c CROSS JOIN measured m ON m.channel = c.id
     CROSS JOIN load ON load.id = m.load
WHERE load.state = 'loaded' ORDER BY c.id, m.at, m.load, m.n"""


class Gateway:
    """One process after the other over the same folder."""

    def __init__(self, folder: Path, meters: int) -> None:
        self.folder = folder
        self.meters = meters

    @contextmanager
    def running(self, crash_at: str = "") -> Iterator[tuple[subprocess.Popen[bytes], str]]:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.engine.readings.listening_process",
                str(self.folder),
                str(self.meters),
            ],
            env={**os.environ, "OPENWAY_CRASH_AT": crash_at},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().decode().strip()
        finally:
            process.kill()
            process.communicate()

    def until_dead(self, process: subprocess.Popen[bytes]) -> None:
        assert process.wait(timeout=_LONGEST_S) == -signal.SIGKILL

    def ask(self, query: str) -> list[tuple[object, ...]]:
        connection = open_store(self.folder / "gateway.db")
        try:
            return list(connection.execute(query))
        finally:
            connection.close()

    def shown(self) -> int:
        ((count,),) = self.ask(f"SELECT count(*) FROM ({_ROWS})")
        assert isinstance(count, int)
        return count


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + _LONGEST_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def post(
    url: str, body: Path, *, share: float = 1.0, sent: Callable[[], None] | None = None
) -> int:
    """The status. With a `share` the rest never comes; `sent` is called when it has left."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_LONGEST_S)
    size = body.stat().st_size
    left = int(size * share)
    with closing(connection), open(body, "rb") as file:
        connection.putrequest("POST", "/openway/data")
        connection.putheader("Content-Type", "text/xml; charset=utf-8")
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        while left and (piece := file.read(min(left, 1 << 20))):
            connection.send(piece)
            left -= len(piece)
        if sent is not None:
            sent()
        return connection.getresponse().status


def expected(meters: int) -> Iterator[tuple[str, int, str]]:
    """Every row of the payload, in the order of the channels."""
    texts = values()
    for number in range(meters):
        for slot, text in enumerate(texts[number % len(texts)]):
            yield f"D{number}", _LAST - (INTERVALS - 1 - slot) * _STEP, text


def killed_again_and_again(folder: Path, size: int) -> None:
    """Killed while the body comes in, and at every step from there to all rows seen."""
    body = folder / "payload.xml"
    meters = write_payload(body, size)
    gateway = Gateway(folder, meters)
    killed_half_sent(gateway, body)
    with gateway.running("listener.before_receive:1") as (process, url):
        with suppress(OSError, http.client.HTTPException):
            post(url, body)
        gateway.until_dead(process)
    assert gateway.ask("SELECT id FROM inbox") == []
    with gateway.running("intake.staged:1") as (process, url):
        assert post(url, body) == 200
        gateway.until_dead(process)
    half = meters * INTERVALS // 1_152 // 2
    for point in (f"intake.staged:{half}", "intake.before_loaded:1"):
        with gateway.running(point) as (process, _):
            gateway.until_dead(process)
        assert gateway.shown() == 0, point
    with gateway.running("intake.after_loaded:1") as (process, _):
        gateway.until_dead(process)
    assert gateway.shown() == meters * INTERVALS
    with gateway.running():
        until(lambda: gateway.ask("SELECT 1 FROM load WHERE state = 'abandoned'") == [])
    check(gateway)


def killed_half_sent(gateway: Gateway, body: Path) -> None:
    with gateway.running() as (process, url):

        def kill() -> None:
            until(lambda: list((gateway.folder / "gateway.spool").glob("*.gz")))
            process.kill()

        with suppress(OSError, http.client.HTTPException):
            post(url, body, share=0.5, sent=kill)


def check(gateway: Gateway) -> None:
    """Every row of the payload is there, once, and nothing else is left of it."""
    assert gateway.ask("SELECT state FROM payload") == [("loaded",)]
    assert gateway.ask("SELECT state FROM inbox") == [("stored",)]
    assert gateway.ask("SELECT count(*) FROM measured") == [(gateway.meters * INTERVALS,)]
    rows = gateway.ask(_ROWS)
    for row, wanted in zip_longest(rows, expected(gateway.meters)):
        assert row == wanted
    os.write(2, f"killed and killed again: {len(rows)} rows, each as it was sent\n".encode())


@pytest.mark.timeout(360)  # the worker stands back for all else that runs on the machine
def test_a_payload_killed_half_sent_and_half_staged_is_there_once(tmp_path: Path) -> None:
    body = tmp_path / "payload.xml"
    gateway = Gateway(tmp_path, write_payload(body, 1_000_000))
    killed_half_sent(gateway, body)
    with gateway.running("intake.staged:3") as (process, url):
        assert post(url, body) == 200
        gateway.until_dead(process)
    assert gateway.shown() == 0
    with gateway.running():
        until(
            lambda: (
                gateway.shown() and not gateway.ask("SELECT 1 FROM load WHERE state = 'abandoned'")
            )
        )
    check(gateway)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_200_megabytes_whose_gateway_is_killed_again_and_again_are_there_once(
    tmp_path: Path,
) -> None:
    killed_again_and_again(tmp_path, int(os.environ.get("SOAK_BYTES", "200000000")))
