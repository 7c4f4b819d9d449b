"""Others at the same files: another gateway under any name, somebody's SQLite for a moment."""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Final

import apsw
import pytest

from adapter.engine.commands.ports import Change
from adapter.errors import StoreFailed
from adapter.store.commands.commands import SqliteStore
from adapter.store.readings.file import path_beside
from tests.builders import NOON, a_message, a_note, a_submission
from tests.store.conftest import MakeStore


@asynccontextmanager
async def opened(store: SqliteStore) -> AsyncIterator[SqliteStore]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()


# ---------------------------------------------------------------- one process at a time


def by_link(path: Path, name: Path) -> None:
    name.symlink_to(path)


def by_hard_link(path: Path, name: Path) -> None:
    name.hardlink_to(path)


def by_folder(path: Path, name: Path) -> None:
    name.parent.symlink_to(path.parent, target_is_directory=True)


def without_lock_file(path: Path, name: Path) -> None:
    path.with_name(path.name + ".lock").unlink()


def with_its_measurements(path: Path, name: Path) -> None:
    """Another store, whose measurements are those of the first."""
    path_beside(name).hardlink_to(path_beside(path))


NAMES: Final = {
    "link": (by_link, "link.db"),
    "hard link": (by_hard_link, "hard.db"),
    "linked folder": (by_folder, "linked/gateway.db"),
    "no lock file": (without_lock_file, "gateway.db"),
    "its measurements": (with_its_measurements, "another.db"),
}


@pytest.mark.parametrize(("name", "called"), NAMES.values(), ids=NAMES.keys())
@pytest.mark.parametrize("process", ["another process", "the same process"])
async def test_a_store_is_taken_whatever_it_is_called(
    tmp_path: Path, name: Callable[[Path, Path], None], called: str, process: str
) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    path = folder / "gateway.db"
    second = tmp_path / called if "/" in called else folder / called
    async with opened(SqliteStore(path, now=lambda: NOON)) as store:
        name(path, second)
        if process == "the same process":
            with pytest.raises(StoreFailed, match=f"in use by process {os.getpid()}"):
                await SqliteStore(second, now=lambda: NOON).open()
        else:
            assert f"in use by process {os.getpid()}" in await opened_elsewhere(second)
        await store.submit([a_submission(1)])
    async with opened(SqliteStore(path, now=lambda: NOON)) as again:
        assert (await again.ledger()).accepted == 1


async def opened_elsewhere(path: Path) -> str:
    """What another process is told that opens it."""
    code = (
        "import asyncio, sys; from pathlib import Path; from datetime import UTC, datetime\n"
        "from adapter.store.commands.commands import SqliteStore\n"
        "asyncio.run(SqliteStore(Path(sys.argv[1]), now=lambda: datetime.now(UTC)).open())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(path), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode != 0
    return errors.decode()


async def test_another_writer_is_fail_stop(make: MakeStore, path: Path) -> None:
    """One that no lock keeps away: the next entry of the audit has its number already."""
    async with opened(make()) as store:
        await store.save([Change(audit=(a_note("one"),))])
        with closing(apsw.Connection(str(path))) as other, other:
            other.execute(
                "INSERT INTO audit (seq, at, subject, form, note, digest)"
                " VALUES (2, 0, '', 0, x'7b7d', x'')"
            )
        for _ in range(3):
            with pytest.raises(StoreFailed, match=r"must be opened again.*audit\.seq"):
                await store.save([Change(audit=(a_note("two"),))])
        with pytest.raises(StoreFailed, match="must be opened again"):
            await store.ledger()


# ---------------------------------------------------------------- a busy moment


class LetGo(logging.Handler):
    """Somebody who has the file until the store says that it waits."""

    def __init__(self, path: Path, *begin: str) -> None:
        super().__init__()
        self._path, self._begin = path, begin
        self._has, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold)
        self.waited = False

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "store_busy":
            self.waited = True
            self._over.set()

    def _hold(self) -> None:
        with closing(apsw.Connection(str(self._path))) as other:
            other.set_busy_timeout(30_000)
            for statement in self._begin:
                other.execute(statement)
            self._has.set()
            self._over.wait(50.0)
            other.execute("ROLLBACK")

    def __enter__(self) -> "LetGo":
        logging.getLogger("adapter.store").addHandler(self)
        self._thread.start()
        self._has.wait(30.0)
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        logging.getLogger("adapter.store").removeHandler(self)


async def test_somebody_who_writes_beside_the_store_for_seconds_is_waited_out(
    make: MakeStore, path: Path
) -> None:
    async with opened(make()) as store:
        with LetGo(path, "BEGIN IMMEDIATE") as somebody:
            ids = await asyncio.gather(*(store.receive([a_message(b"one")]) for _ in range(20)))
        assert somebody.waited
        assert len({number for some in ids for number in some}) == 20
        await store.submit([a_submission(1)])
        assert (await store.ledger()).received == 20


async def test_somebody_who_writes_to_the_measurements_is_waited_out(
    make: MakeStore, path: Path
) -> None:
    async with opened(make()) as store:
        with LetGo(path_beside(path), "BEGIN IMMEDIATE") as somebody:
            await store.receive([a_message(b"callbacks pass by")])
            assert not somebody.waited
            await store.database.measure(lambda tx: None)
        assert somebody.waited


async def test_an_opening_waits_for_somebody_who_has_the_file_alone(
    make: MakeStore, path: Path
) -> None:
    async with opened(make()):
        pass
    with LetGo(path, "PRAGMA locking_mode=EXCLUSIVE", "BEGIN EXCLUSIVE") as somebody:
        async with opened(make()) as store:
            assert (await store.ledger()).received == 0
    assert somebody.waited
