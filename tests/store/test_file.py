"""The database file: versions, settings, tampering."""

import os
from pathlib import Path
from typing import Final

import apsw
import pytest

from adapter.engine.commands.ports import Change
from adapter.errors import StoreFailed
from adapter.store.files import connect_reader, connect_writer
from adapter.store.migrate import APPLICATION_ID, BEFORE_RELEASE, check_version, migrate, scripts
from adapter.store.readings.file import path_beside
from adapter.store.readings.reports import open_store
from tests.builders import NOON, a_message, a_note, a_publication, a_submission
from tests.store.conftest import MakeStore
from tests.support import run


def _edit(path: Path, *statements: str) -> None:
    connection = apsw.Connection(str(path))
    for statement in statements:
        connection.execute(statement)
    connection.close()


def _open(make: MakeStore) -> None:
    async def opened() -> None:
        store = make()
        await store.open()
        await store.close()

    run(opened())


async def test_somebody_who_reads_the_file_while_it_is_closed_does_no_harm(
    make: MakeStore, path: Path
) -> None:
    store = make()
    await store.open()
    await store.save([Change(audit=_NOTES)])
    somebody = apsw.Connection(str(path))
    somebody.execute("BEGIN; SELECT count(*) FROM audit").fetchall()
    await store.save([Change(audit=_NOTES)])
    await store.close()
    somebody.close()
    await store.open()
    assert await store.verify_audit() == 2 * len(_NOTES)
    await store.close()


def test_a_database_of_a_newer_program_is_refused_untouched(make: MakeStore, path: Path) -> None:
    _open(make)
    _edit(path, "PRAGMA user_version = 9999")
    before = path.read_bytes()
    with pytest.raises(StoreFailed, match="newer program"):
        _open(make)
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_refused(make: MakeStore, path: Path) -> None:
    _edit(path, "CREATE TABLE theirs (x)")
    with pytest.raises(StoreFailed, match="another program"):
        _open(make)


@pytest.mark.parametrize("mark", sorted(BEFORE_RELEASE))
def test_a_store_from_before_the_first_release_is_refused_untouched(
    make: MakeStore, path: Path, mark: int
) -> None:
    old = path_beside(path) if mark == min(BEFORE_RELEASE) else path
    _open(make)
    _edit(old, f"PRAGMA application_id = {mark}", "PRAGMA user_version = 11")
    before = old.read_bytes()
    with pytest.raises(StoreFailed, match=r"before the first release.*begin a new one"):
        _open(make)
    if old == path:
        with pytest.raises(StoreFailed, match="before the first release"):
            open_store(path)
    assert old.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(make: MakeStore, path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(StoreFailed, match="cannot open"):
        _open(make)


def test_a_failed_opening_leaves_the_file_free_for_the_next(make: MakeStore, path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(StoreFailed):
        _open(make)
    path.unlink()
    _open(make)


def test_a_new_file_gets_every_migration_once(path: Path) -> None:
    connection = connect_writer(path, None)
    newest = scripts()[-1][0]
    assert migrate(connection) == newest
    assert migrate(connection) == newest
    assert connection.pragma("user_version") == newest
    assert connection.pragma("application_id") == APPLICATION_ID
    connection.close()


def test_a_later_migration_runs_once_and_keeps_the_rows(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "schema"
    folder.mkdir()
    (folder / "0001_initial.sql").write_text("CREATE TABLE one (x);")
    connection = connect_writer(path, None)
    assert migrate(connection, folder) == 1
    connection.execute("INSERT INTO one VALUES ('kept')")
    (folder / "0002_more.sql").write_text("ALTER TABLE one ADD COLUMN y DEFAULT 'new';")
    assert migrate(connection, folder) == 2
    assert migrate(connection, folder) == 2
    assert list(connection.execute("SELECT x, y FROM one")) == [("kept", "new")]
    (folder / "0003_broken.sql").write_text("CREATE TABLE two (x); ALTER TABLE none ADD y;")
    with pytest.raises(apsw.SQLError):
        migrate(connection, folder)
    assert check_version(connection, folder) == 2
    assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'two'").get == 0
    connection.close()


def test_a_migration_that_fails_leaves_nothing_behind(path: Path) -> None:
    """All scripts, the version and the mark are one transaction."""
    connection = connect_writer(path, None)
    connection.pragma("application_id", APPLICATION_ID)
    connection.execute("CREATE TABLE measurement (in_the_way)")
    with pytest.raises(apsw.SQLError):
        migrate(connection)
    tables = list(connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"))
    assert tables == [("measurement",)]
    assert connection.pragma("user_version") == 0
    connection.close()


def test_the_writer_waits_for_the_disk_and_readers_cannot_write(path: Path) -> None:
    writer = connect_writer(path, None)
    assert writer.pragma("journal_mode") == "wal"
    assert writer.pragma("synchronous") == 2
    assert writer.pragma("mmap_size") == 0
    migrate(writer)
    reader = connect_reader(path, None)
    with pytest.raises(apsw.ReadOnlyError):
        reader.execute("DELETE FROM command")
    reader.close()
    writer.close()


_NOTES = tuple(a_note(f"subject-{number}") for number in range(6))


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            "UPDATE audit SET note = CAST(replace(note, 'test', 'pest') AS BLOB) WHERE seq = 2",
            "2 was changed",
        ),
        (
            "UPDATE skeleton SET text = CAST(replace(text, 'test', 'pest') AS BLOB)",
            "3 was changed",
        ),
        ("DELETE FROM skeleton", "3 was changed"),
        ("UPDATE audit SET at = at + 1 WHERE seq = 2", "2 was changed"),
        ("DELETE FROM audit WHERE seq = 4", "4 is missing"),
        ("DELETE FROM audit WHERE seq = 1", "1 is missing"),
        (
            "UPDATE audit SET seq = CASE seq WHEN 3 THEN -4 WHEN 4 THEN -3 END WHERE seq IN (3, 4);"
            "UPDATE audit SET seq = -seq WHERE seq < 0",
            "3 was changed",
        ),
    ],
    ids=[
        "edited",
        "skeleton edited",
        "no skeleton",
        "other time",
        "gap",
        "no beginning",
        "reordered",
    ],
)
async def test_tampering_with_the_audit_is_found(
    make: MakeStore, path: Path, statement: str, found: str
) -> None:
    async def write() -> None:
        store = make()
        await store.open()
        await store.save([Change(audit=_NOTES)])
        assert await store.verify_audit() == len(_NOTES)
        await store.close()

    async def verify() -> None:
        store = make()
        await store.open()
        try:
            await store.verify_audit()
        finally:
            await store.close()

    await write()
    _edit(path, *(f"{part}" for part in statement.split(";")))
    with pytest.raises(StoreFailed, match=found):
        await verify()


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE tally SET rows = rows + 1 WHERE what = 'command'", "command "),
        ("DELETE FROM tally WHERE what = 'publication'", "publication"),
        ("INSERT INTO tally VALUES ('inbox', 'applied', 3)", "inbox applied"),
    ],
    ids=["one more", "forgotten", "of nothing"],
)
async def test_counts_that_are_not_those_of_the_rows_are_found(
    make: MakeStore, path: Path, statement: str, found: str
) -> None:
    store = make()
    await store.open()
    await store.submit([a_submission(publications=(a_publication("e-1"),))])
    assert await store.verify_audit() == 0
    _edit(path, statement)
    with pytest.raises(StoreFailed, match=f"not those of the rows: .*{found}"):
        await store.verify_audit()
    await store.close()


async def test_a_cut_tail_shows_against_a_head_noted_elsewhere(make: MakeStore, path: Path) -> None:
    """Behind the running store's back; after a restart only a witness file can tell."""
    store = make()
    await store.open()
    await store.save([Change(audit=_NOTES)])
    witness = await store.audit_head()
    _edit(path, "DELETE FROM audit WHERE seq > 4")
    with pytest.raises(StoreFailed, match="after 4 are missing"):
        await store.verify_audit()
    await store.close()
    await store.open()
    assert await store.verify_audit() == 4
    assert await store.audit_head() != witness
    await store.close()


async def test_closing_leaves_whole_files(make: MakeStore, path: Path) -> None:
    store = make()
    await store.open()
    await store.submit([a_submission(1)])
    await store.close()
    await store.close()
    names = [path.name, f"{path.name}.lock", "gateway.measurements.db"]
    assert sorted(item.name for item in path.parent.iterdir()) == names


LAG: Final = 8_000_000
"""Bytes of the log that may be left to copy: beyond them the test waits for the copying thread."""


def size(path: Path) -> int:
    return path.stat().st_size


async def test_the_log_is_emptied_while_the_store_runs(make: MakeStore, path: Path) -> None:
    log, sizes = path.with_name(path.name + "-wal"), list[int]()
    store = make()
    await store.open()
    for number in range(60):
        await store.receive([a_message(bytes(1_000_000))])
        while size(path) < number * 1_000_000 - LAG:
            await store.unread(limit=1, now=NOON)
    sizes.extend((size(log), size(path)))
    await store.close()
    assert sizes[0] < 30_000_000 < sizes[1]


@pytest.mark.parametrize("umask", [0o000, 0o022])
async def test_the_files_are_their_owners_alone_whatever_the_umask(
    make: MakeStore, path: Path, umask: int
) -> None:
    async def modes() -> set[tuple[str, int]]:
        store = make()
        await store.open()
        await store.submit([a_submission()])
        found = {(each.name, each.stat().st_mode & 0o777) for each in path.parent.iterdir()}
        await store.close()
        return found

    before = os.umask(umask)
    try:
        names = [path.name + suffix for suffix in ("", "-wal", "-shm", ".lock")]
        assert await modes() >= {(name, 0o600) for name in names}
        path.chmod(0o644)  # as a program before this one left it
        assert (path.name, 0o600) in await modes()
    finally:
        os.umask(before)
