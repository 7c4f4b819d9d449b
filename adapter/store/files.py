"""Opening the database file: one process at a time, and only with settings that keep promises."""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

from adapter.engine.private_files import close_to_others, owner_only
from adapter.errors import StoreFailed, StoreInUse

log = logging.getLogger(__name__)

_WRITER: Final = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
_READER: Final = apsw.SQLITE_OPEN_READWRITE
_FULL: Final = 2
_SOUND: Final = (3, 51, 3)
BUSY_MS: Final = 5_000
LONGEST_BUSY_S: Final = 600.0
"""Somebody else's transaction is waited for so long; then the store has failed."""

STOPPING_S: Final = 10.0
_TELL_EVERY_S: Final = 30.0
_AGAIN_S: Final = 0.05
_CACHE_KIB: Final = 65_536
_STATEMENTS: Final = 400
"""Kept compiled: those that write many rows have a form for each of a few numbers of rows."""


_TAKEN: Final[set[tuple[int, int]]] = set()
"""Device and inode of what is open in this process. They are asked first: to close a second
descriptor of a database would end the locks that SQLite has on it."""

_TAKING: Final = threading.Lock()


class FileLock:
    """Held for as long as the database is open; the operating system ends it with the process.

    A file beside the database says who has it, and the database itself is locked: another name for
    it, or a lock file that somebody removed, lets nobody in.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._descriptors: list[int] = []
        self._inodes: list[tuple[int, int]] = []

    def take(self) -> None:
        """Raises StoreFailed when another process, or another store here, has it."""
        path = self._store.resolve()
        self._refuse_taken(path)
        named = path.with_name(path.name + ".lock")
        descriptor = owner_only(os.fspath(named), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        if not _locked(descriptor):
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise _in_use(self._store, holder)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        self._descriptors.append(descriptor)

    def take_file(self, path: Path) -> None:
        """Lock a file of the store itself, before a connection to it is open; again it is no
        more than once. Raises StoreFailed."""
        with _TAKING:
            if _inode(path.stat()) in self._inodes:
                return
            self._refuse_taken(path)
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            if not _locked(descriptor):
                holder = _holder_of(descriptor)
                os.close(descriptor)
                raise _in_use(path, holder)
            self._descriptors.append(descriptor)
            self._inodes.append(_inode(os.fstat(descriptor)))
            _TAKEN.add(self._inodes[-1])

    def _refuse_taken(self, path: Path) -> None:
        if path.exists() and _inode(path.stat()) in _TAKEN:
            raise _in_use(path, str(os.getpid()))

    def release(self) -> None:
        """After the last connection was closed."""
        _TAKEN.difference_update(self._inodes)
        self._inodes.clear()
        while self._descriptors:
            os.close(self._descriptors.pop())


def _inode(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _in_use(store: Path, holder: str) -> StoreFailed:
    return StoreInUse(f"{store} is in use by process {holder}; one process at a time owns a store")


def _holder_of(descriptor: int) -> str:
    """Linux lists who holds a lock, by the file's inode."""
    end = f":{os.fstat(descriptor).st_ino}"
    with suppress(OSError), open("/proc/locks", encoding="ascii") as locks:
        for line in locks:
            words = line.split()
            if len(words) > 5 and words[1] == "FLOCK" and words[5].endswith(end):
                return words[4]
    return "unknown"


def keep_private(path: Path) -> None:
    """Make the database its owner's alone; SQLite gives its log and index the same mode.

    One that is there is not opened: closing any descriptor of the file would drop SQLite's locks.
    """
    if not path.exists():
        os.close(owner_only(os.fspath(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC))
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


def begin_writing(
    connection: apsw.Connection,
    name: str,
    *,
    longest_s: float = LONGEST_BUSY_S,
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Begin a transaction that writes. Somebody else may be writing: that is waited out, for
    nothing has begun and nothing is lost.

    Raises apsw.BusyError after `longest_s` seconds, or sooner when it is `stopping`.
    """
    began = told = time.monotonic()
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except apsw.BusyError:
            now = time.monotonic()
            most_s = min(longest_s, STOPPING_S) if stopping() else longest_s
            if now - began >= most_s:
                raise
            if told == began or now - told >= _TELL_EVERY_S:
                told = now
                log.warning("store_busy", extra={"file": name, "waited_s": round(now - began, 1)})
            time.sleep(_AGAIN_S)


def connect_writer(path: Path, vfs: str | None) -> apsw.Connection:
    """A connection whose COMMIT returns only when the data has reached the disk.

    Raises StoreFailed where SQLite does not keep that, or is older than the one that no longer
    damages a file when a second connection checkpoints as the first begins the log anew.
    """
    if tuple(map(int, apsw.sqlite_lib_version().split("."))) < _SOUND:
        raise StoreFailed(f"SQLite {apsw.sqlite_lib_version()} is too old")
    connection = apsw.Connection(str(path), flags=_WRITER, vfs=vfs, statementcachesize=_STATEMENTS)
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
