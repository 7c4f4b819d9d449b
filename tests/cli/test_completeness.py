"""`openway completeness` against a running gateway: what it counts, lists and reads again."""

import json
from collections.abc import Iterator

import pytest

from adapter.cli.output import Exit
from tests.cli.running_service import ADMIN, OPERATOR, Service, Terminal, serving

METERS = 12
LIST = ("completeness", "meters", "not_since")
AGAIN = ("completeness", "read-again", "not_since", "--reason", "after the storm")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service"), meters=METERS) as running:
        yield running


@pytest.fixture
def openway(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    terminal = Terminal(capsys, monkeypatch, service.api_url)
    assert terminal.as_(ADMIN)("devices", "import", str(service.devices_file)).code == Exit.OK
    return terminal.as_(OPERATOR)


def test_it_counts_those_that_have_never_reported(openway: Terminal) -> None:
    told = openway("completeness", "show")
    assert told.code == Exit.OK
    assert f"today: meters        {METERS}" in told.out
    assert f"never reported       {METERS}" in told.out
    days = openway("completeness", "days", "--first", "2026-03-01", "--last", "2026-03-02")
    assert days.code == Exit.OK
    listed = json.loads(openway(*LIST, "--json").out)
    assert listed["total"] == len(listed["items"]) == METERS
    assert "3 meters; more: --cursor" in openway(*LIST, "--limit", "3").err
    assert openway("completeness", "windows").out.strip().splitlines()


def test_a_dry_run_reads_nothing_and_a_bound_is_kept(openway: Terminal) -> None:
    told = openway(*AGAIN, "--dry-run")
    assert told.code == Exit.OK
    assert f"{METERS}: never reported" in told.err
    assert f"{METERS} meters would be asked; nothing was" in told.err
    assert openway(*AGAIN, "--at-most", "3").code == Exit.CONFLICT
    assert json.loads(openway("command", "list", "--json").out)["items"] == []
    done = openway(*AGAIN, "--at-most", str(METERS), "--key", "k", "--json").json
    assert done["asked"] == METERS
    again = openway(*AGAIN, "--key", "k", "--json").json
    assert again["command"] == done["command"]


def test_what_cannot_be_is_refused(openway: Terminal) -> None:
    assert openway("completeness", "meters", "silent").code == Exit.INVALID
    assert openway("completeness", "days", "--first", "yesterday").code == Exit.INVALID
    kind = ("--kind", "scheduled_read_interval")
    assert openway(*AGAIN, *kind).code == Exit.INVALID
