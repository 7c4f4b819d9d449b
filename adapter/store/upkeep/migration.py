"""What bringing a store to this program's version would do: looked at, and tried on a copy."""

import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import apsw

from adapter.errors import NotFound, StoreFailed
from adapter.store.files import connect_writer
from adapter.store.migrate import APPLICATION_ID, SCHEMA, SCHEMA_MEASURED, check_version, migrate
from adapter.store.readings.file import MARK, path_beside
from adapter.store.upkeep.backup import StoreCopy, check_copy, copy_store, reader_beside

_ROOM: Final = 2.2
"""A trial needs so many times the store's size: a copy, and what a migration writes anew of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlan:
    """One file of a store: which migrations it would run, by the names of their files."""

    path: Path
    version: int
    newest: int
    bytes: int
    migrations: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A migration that was run on a copy. `took_s` is by file, without the copying; `found` is what
    the copy has after it."""

    took_s: Sequence[float]
    bytes_after: Sequence[int]
    copied_s: float
    found: StoreCopy


def plan_of(store: Path) -> Sequence[FilePlan]:
    """Of both files; nothing is written.

    Raises NotFound without a store, StoreFailed for one of a newer program, of another one, of a
    version before the first release, and where it cannot be read.
    """
    files = (
        (store, SCHEMA, APPLICATION_ID),
        (path_beside(store), SCHEMA_MEASURED, MARK),
    )
    return [_plan_of(path, folder, mark) for path, folder, mark in files]


def _plan_of(path: Path, folder: Traversable, mark: int) -> FilePlan:
    if not path.is_file():
        raise NotFound(f"there is no store at {path}")
    try:
        with closing(reader_beside(path)) as connection:
            version = check_version(connection, folder, mark)
            pages = int(connection.pragma("page_count")) * int(connection.pragma("page_size"))
    except apsw.Error as error:
        raise StoreFailed(f"{path.name}: {type(error).__name__}: {error}") from error
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    return FilePlan(
        path=path,
        version=version,
        newest=int(names[-1][:4]),
        bytes=pages,
        migrations=[name for name in names if int(name[:4]) > version],
    )


def try_on_a_copy(store: Path, *, scratch: Path) -> Trial:
    """Copy the store into a folder below `scratch`, migrate the copy, look through it, remove it.
    The gateway may run. Raises NotFound, StoreFailed."""
    needed = _ROOM * sum(each.bytes for each in plan_of(store))
    free = shutil.disk_usage(scratch).free
    if free < needed:
        raise StoreFailed(f"{scratch}: a trial needs {needed / 2**20:.0f} MiB free")
    with tempfile.TemporaryDirectory(prefix="openway-migration-", dir=scratch) as folder:
        copy = Path(folder) / store.name
        began = time.perf_counter()
        copy_store(store, copy)
        copied_s = time.perf_counter() - began
        took = [
            _migrated(copy, SCHEMA, APPLICATION_ID),
            _migrated(path_beside(copy), SCHEMA_MEASURED, MARK),
        ]
        found = check_copy(copy)
        return Trial(
            took_s=took,
            bytes_after=[copy.stat().st_size, path_beside(copy).stat().st_size],
            copied_s=copied_s,
            found=found,
        )


def _migrated(path: Path, folder: Traversable, mark: int) -> float:
    """How many seconds it took, with the wait for the disk."""
    try:
        with closing(connect_writer(path, None)) as connection:
            began = time.perf_counter()
            migrate(connection, folder, mark)
            connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)
            took = time.perf_counter() - began
            connection.pragma("journal_mode", "delete")
            return took
    except apsw.Error as error:
        raise StoreFailed(f"{path.name}: {type(error).__name__}: {error}") from error
