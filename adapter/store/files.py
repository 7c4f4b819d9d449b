"""Opening the database file: one process at a time, and only with settings that keep promises."""

import fcntl
import os
from pathlib import Path
from typing import Final

import apsw

from adapter.engine.private_files import close_to_others, owner_only
from adapter.errors import StoreFailed

_WRITER: Final = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
_READER: Final = apsw.SQLITE_OPEN_READWRITE
_FULL: Final = 2
_SOUND: Final = (3, 51, 3)
BUSY_MS: Final = 5_000
_CACHE_KIB: Final = 65_536


class FileLock:
    """Held for as long as the database is open; the operating system ends it with the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> None:
        """Raises StoreFailed when another process, or another store here, has it."""
        descriptor = owner_only(os.fspath(self._path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            store = str(self._path).removesuffix(".lock")
            raise StoreFailed(
                f"{store} is in use by process {holder}; one process at a time owns a store"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def keep_private(path: Path) -> None:
    """Make the database its owner's alone; SQLite gives its log and index the same mode.

    Before a connection is open: closing any descriptor of the file would drop SQLite's locks.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    os.close(owner_only(os.fspath(path), flags))
    for suffix in ("", "-wal", "-shm"):
        close_to_others(path.with_name(path.name + suffix))


def _pragma(connection: apsw.Connection, name: str, value: object, expected: object) -> None:
    """Set, read back, and refuse to go on when it did not take."""
    connection.pragma(name, value)
    actual = connection.pragma(name)
    if actual != expected:
        raise StoreFailed(f"SQLite answers {name}={actual!r}, needed is {expected!r}")


def _common(connection: apsw.Connection) -> None:
    connection.set_busy_timeout(BUSY_MS)
    connection.pragma("trusted_schema", False)
    connection.pragma("temp_store", "memory")
    connection.pragma("mmap_size", 0)


def connect_writer(path: Path, vfs: str | None) -> apsw.Connection:
    """A connection whose COMMIT returns only when the data has reached the disk.

    Raises StoreFailed where SQLite does not keep that, or is older than the one that no longer
    damages a file when a second connection checkpoints as the first begins the log anew.
    """
    if tuple(map(int, apsw.sqlite_lib_version().split("."))) < _SOUND:
        raise StoreFailed(f"SQLite {apsw.sqlite_lib_version()} is too old")
    connection = apsw.Connection(str(path), flags=_WRITER, vfs=vfs)
    try:
        _common(connection)
        _pragma(connection, "journal_mode", "wal", "wal")
        _pragma(connection, "synchronous", "full", _FULL)
        _pragma(connection, "fullfsync", True, 1)
        _pragma(connection, "checkpoint_fullfsync", True, 1)
        connection.pragma("cache_size", -_CACHE_KIB)
        connection.pragma("journal_size_limit", 64 * 2**20)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path, vfs: str | None) -> apsw.Connection:
    # Opened for writing as far as the file goes: a reader of a write-ahead log needs its index.
    connection = apsw.Connection(str(path), flags=_READER, vfs=vfs)
    try:
        _common(connection)
        _pragma(connection, "query_only", True, 1)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    except BaseException:
        connection.close()
        raise
    return connection
