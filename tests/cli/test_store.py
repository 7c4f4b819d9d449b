"""`openway store migrate`: what it would do is told and tried, before it is done."""

import hashlib
import json
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from adapter.cli.output import Exit
from adapter.engine.clock import SystemClock
from adapter.store.commands.commands import SqliteStore
from adapter.store.migrate import APPLICATION_ID, SCHEMA, SCHEMA_MEASURED, scripts
from adapter.store.readings.file import MARK, path_beside
from tests.cli.running_service import Printed, Terminal


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Of a program that knew all migrations but the newest, as it stands when its gateway has
    stopped."""
    path = tmp_path / "openway.db"
    _make(path, scripts(SCHEMA)[:-1], APPLICATION_ID)
    _make(path_beside(path), scripts(SCHEMA_MEASURED), MARK)
    return path


def _make(path: Path, known: list[tuple[int, str]], mark: int) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("journal_mode", "wal")
        for _, script in known:
            connection.execute(script)
        connection.pragma("application_id", mark)
        connection.pragma("user_version", known[-1][0])


@pytest.fixture
def openway(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    monkeypatch.setenv("OPENWAY_STORE_PATH", str(store))
    return Terminal(capsys, monkeypatch, "http://127.0.0.1:1")


def version_of(path: Path) -> int:
    with closing(apsw.Connection(str(path))) as connection:
        return int(connection.pragma("user_version"))


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files_of(done: Printed) -> list[dict[str, object]]:
    found = json.loads(done.out)["files"]
    assert isinstance(found, list)
    return found


def test_a_dry_run_names_what_would_run_and_changes_nothing(openway: Terminal, store: Path) -> None:
    before, there = digest_of(store), {each.name for each in store.parent.iterdir()}
    done = openway("store", "migrate", "--dry-run", "--json")
    assert done.code == Exit.OK
    newest = scripts(SCHEMA)[-1][0]
    ours, measured = files_of(done)
    assert (ours["version"], ours["newest"]) == (newest - 1, newest)
    (named,) = [each.name for each in SCHEMA.iterdir() if each.name.startswith(f"{newest:04}")]
    assert (ours["migrations"], measured["migrations"]) == ([named], [])
    trial = json.loads(done.out)["dry_run"]
    assert len(trial["took_s"]) == len(trial["bytes_after"]) == 2
    assert (digest_of(store), version_of(store)) == (before, newest - 1)
    assert {each.name for each in store.parent.iterdir()} == there
    assert "nothing was changed" in openway("store", "migrate", "--dry-run").err


def test_it_is_done_after_a_backup_of_what_was(openway: Terminal, store: Path) -> None:
    folder = store.parent / "before"
    done = openway("store", "migrate", "--backup", str(folder))
    assert (done.code, "done" in done.err) == (Exit.OK, True)
    newest = scripts(SCHEMA)[-1][0]
    assert version_of(store) == newest
    assert version_of(folder / "store.db") == newest - 1
    again = openway("store", "migrate", "--no-backup")
    assert (again.code, "this program's version" in again.err) == (Exit.OK, True)


def test_nothing_is_migrated_without_a_word_about_a_backup(openway: Terminal, store: Path) -> None:
    assert openway("store", "migrate").code == Exit.INVALID
    both = openway("store", "migrate", "--no-backup", "--backup", str(store.parent / "b"))
    assert both.code == Exit.INVALID
    assert version_of(store) == scripts(SCHEMA)[-1][0] - 1


def test_a_store_of_a_newer_program_is_refused_untouched(openway: Terminal, store: Path) -> None:
    with closing(apsw.Connection(str(store))) as connection:
        connection.pragma("user_version", 9999)
    before = digest_of(store)
    for more in (["--dry-run"], ["--no-backup"]):
        done = openway("store", "migrate", *more)
        assert done.code == Exit.FAILED
        assert "newer program" in done.err
    assert digest_of(store) == before


def test_a_store_that_is_not_there_is_named(openway: Terminal, store: Path) -> None:
    store.unlink()
    done = openway("store", "migrate", "--dry-run")
    assert (done.code, str(store) in done.err) == (Exit.NOT_FOUND, True)
    assert not store.exists()


async def test_a_dry_run_may_be_made_while_a_gateway_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "openway.db"
    monkeypatch.setenv("OPENWAY_STORE_PATH", str(path))
    openway = Terminal(capsys, monkeypatch, "http://127.0.0.1:1")
    running = SqliteStore(path, now=SystemClock().now)
    await running.open()
    try:
        assert openway("store", "migrate", "--dry-run").code == Exit.OK
        done = openway("store", "migrate", "--no-backup")
        assert (done.code, "this program's version" in done.err) == (Exit.OK, True)
        assert await running.by_key("any") is None
    finally:
        await running.close()
