"""What a machine reads: /metrics with a role of its own; /readyz, which says what is wrong."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapter.cli.output import Exit
from adapter.server.scrape import PREFIX
from adapter.service.metric_table import METRICS
from tests.cli.running_service import ADMIN, OPERATOR, Service, Terminal, serving

CALLBACK = "RequestStatusChangedService.StatusChanged"
WATCH = "watcher-" + "0" * 32
WAIT_S = 30.0
WRONG = (
    ("head_end_lost",),
    ("head_end_slow",),
    ("breaker_open",),
    ("todo_entries", "head_end"),
    ("signals_total", "head_end_lost"),
    ("switch_holds", "clock"),
    ("commands", "needs_person"),
    ("call_failures_total", "outcome_unknown", "ControlService.DisconnectMeter"),
    ("command_ends_total", "remote_disconnect", "unknown"),
    ("orders", "Activity Error"),
    ("intake_lag_seconds", "judge"),
    ("meters_without_supply",),
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("metrics")
    with serving(folder, meters=6, keys=f"prometheus metrics {WATCH}\n") as running:
        yield running


@pytest.fixture
def openway(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    terminal = Terminal(capsys, monkeypatch, service.api_url)
    assert terminal.as_(ADMIN)("devices", "import", str(service.devices_file)).code == Exit.OK
    return terminal.as_(OPERATOR)


def get(url: str, key: str = "") -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def samples(service: Service) -> dict[tuple[str, ...], float]:
    """Name of each sample and its labels, by the names of the labels, with its value."""
    status, text = get(f"{service.api_url}/metrics", WATCH)
    assert status == 200
    return {
        (each.name, *each.labels.values()): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def test_before_anything_is_wrong_what_could_be_is_there_with_nought(service: Service) -> None:
    _, text = get(f"{service.api_url}/metrics", WATCH)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for name, row in METRICS.items():
        family = families[f"{PREFIX}{name}".removesuffix("_total")]
        assert family.type == row.type.value, name
        assert family.documentation == row.text
        found = {
            tuple(each.labels[label] for label in row.labels if label in each.labels)
            for each in family.samples
        }
        always = () if row.labels and not row.words else product(*row.words)
        assert found >= set(always), name
    found_now = samples(service)
    for wrong in WRONG:
        assert found_now[f"openway_{wrong[0]}", *wrong[1:]] == 0, wrong


def test_every_key_reads_metrics_and_one_for_them_reads_nothing_else(service: Service) -> None:
    assert get(f"{service.api_url}/metrics")[0] == 401
    assert get(f"{service.api_url}/metrics", OPERATOR)[0] == 200
    assert get(f"{service.api_url}/metrics", WATCH)[0] == 200
    assert get(f"{service.api_url}/api/v1/commands", WATCH)[0] == 403


def test_rates_errors_durations_depths_and_limits_are_there(
    service: Service, openway: Terminal
) -> None:
    done = openway("command", "submit", "remote_disconnect", "M700001", "--wait", "30")
    assert done.code == Exit.OK
    broken = openway("command", "submit", "remote_connect", "M700002")
    assert broken.code == Exit.WITHOUT_SUCCESS
    found = samples(service)
    assert found["openway_call_seconds_count", "ControlService.DisconnectMeter"] == 1
    assert found["openway_submit_to_sent_seconds_count", "remote_disconnect"] == 1
    assert found["openway_commands", "completed"] == 1
    assert found["openway_todo_entries", "command"] == 1
    assert found["openway_todo_oldest_seconds", "command"] >= 0
    assert found["openway_oldest_open_command_seconds", "validation_error"] > 0
    assert found["openway_oldest_open_kind_seconds", "remote_connect"] > 0
    assert found["openway_command_ends_total", "remote_disconnect", "succeeded"] == 1
    assert found["openway_commands_accepted_total",] == 2
    assert found["openway_completion_events", "D1-DisconnectDevice", "executed"] == 1
    assert found["openway_arrival_to_seen_seconds_count", CALLBACK] >= 1
    assert found["process_resident_memory_bytes",] > 0
    assert found["openway_signals_total", "command_waits"] == 1
    assert found["openway_signals_total", "started"] == 1
    assert found["openway_breaker_open",] == 0
    assert found["openway_limits_concurrency",] > 0
    assert found["openway_commits_total",] > 0
    assert found["openway_disk_free_bytes",] > 0
    assert found["openway_store_bytes", "gateway.db"] > 0
    assert found["openway_store_up",] == 1
    assert ("openway_loop_lag_seconds",) in found
    route = "POST /api/v1/commands"
    assert found["openway_rest_request_seconds_count", route] >= 2
    assert found["openway_rest_counts_total", "status_202"] >= 2
    assert found["openway_rest_requests_total", route, "202"] >= 2


def test_durations_are_asked_for_by_operation_and_hour(openway: Terminal) -> None:
    openway("command", "submit", "device_status_check", "M700003", "--wait", "30")
    rows = openway("durations", "--measure", "call", "--json").json["items"]
    assert isinstance(rows, list)
    assert "DiagnosticService.PingByEndpoints" in {row["name"] for row in rows}
    assert "PingByEndpoints" in openway("durations").out
    assert openway("durations", "--measure", "nothing").code == Exit.INVALID


def test_readiness_goes_off_before_the_ports_do(tmp_path: Path) -> None:
    (tmp_path / "openway.toml").write_text(
        '[store]\npath = "gateway.db"\n[head_end]\nbase_url = "http://127.0.0.1:9"\n'
        "[listener]\nport = 0\n[api]\nport = 0\nleave_s = 5.0\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "adapter", "--config", "openway.toml", "serve"]
    environ = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "OPENWAY_LOG_FORMAT": "json",
    }
    with subprocess.Popen(
        command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        started = next(line for line in process.stderr if '"rest_started"' in line)
        url = started.split('"url": "')[1].split('"')[0]
        assert get(f"{url}/readyz")[0] == 200
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + WAIT_S
        while (answer := get(f"{url}/readyz"))[0] == 200:
            assert time.monotonic() < deadline
        assert answer[0] == 503
        assert '"leaving"' in answer[1]
        process.kill()
        process.stderr.read()
