"""How the store's threads use SQLite files: what waits for others, what fails, and the log."""

import re
import threading
from collections.abc import Callable
from typing import Final

import apsw

from adapter.store.files import BUSY_MS, LONGEST_BUSY_S, STOPPING_S, begin_writing
from adapter.store.threads import StoreHealth

_CHECKPOINT_PAGES: Final = 2_000
"""Pages in the write-ahead log after which they are copied into the database."""

_RESTART_PAGES: Final = 2 * _CHECKPOINT_PAGES
"""Pages after which the writer waits for a moment without readers, to begin the log anew."""

_RESTART_WAIT_MS: Final = 20

_TOGETHER: Final = (32, 16)
"""Rows in one statement; fewer take less when each is run by itself."""

_ROW_ERRORS: Final = (apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError)
"""What a single bad row can cause. Every other error of SQLite is one of the storage."""

_ANOTHER_WRITER: Final = "audit.seq"
"""The number of the next entry is taken only where somebody else has written."""

_OF_A_VALUE: Final = re.compile(r"malformed JSON|bad JSON path|JSON cannot hold|integer overflow")
"""What SQLite's functions say of a value that they are given; the statement is undone, no more."""


def _is_storage(error: Exception) -> bool:
    """Whether it is SQLite that failed. A number past 64 bits or a text that is no UTF-8 never
    reach it: apsw raises OverflowError and UnicodeError, which are Python's own."""
    if isinstance(error, apsw.ConstraintError):
        return _ANOTHER_WRITER in str(error)
    if isinstance(error, apsw.SQLError):
        return _OF_A_VALUE.search(str(error)) is None
    return isinstance(error, apsw.Error) and not isinstance(error, _ROW_ERRORS)


class Checkpointer:
    """A thread that copies the write-ahead log into the database while the writer commits on.

    Needs a SQLite that is sure of itself with a second connection there (3.51.3 or later).
    """

    def __init__(self, connection: apsw.Connection, health: StoreHealth) -> None:
        self._connection = connection
        self._health = health
        self._due = threading.Event()
        self.copying = threading.Lock()
        """Held while the log is copied."""
        self.caught_up = False
        """The log was just copied: what is left of it is what was committed meanwhile."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="store-checkpoint", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def poke(self) -> None:
        """The log has grown long."""
        self.caught_up = False
        self._due.set()

    def stop(self) -> None:
        """End the thread; blocks."""
        self._stopping = True
        self._due.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            if self._stopping or self._health.failed:
                return
            try:
                with self.copying:
                    self._connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_PASSIVE)
                self.caught_up = True
            except apsw.BusyError:
                pass  # somebody else copies it
            except apsw.Error as error:
                self._health.fail(error)


class FileWriting:
    """The WritingSession port over a SQLite file. Without a `checkpointer` it copies the log
    itself, when it rests."""

    together = _TOGETHER
    by_number = True

    def __init__(
        self, connection: apsw.Connection, name: str, checkpointer: Checkpointer | None = None
    ) -> None:
        self.connection = connection
        self._name = name
        self._checkpointer = checkpointer
        self._pages = self._copied = 0
        # Having a hook of our own also ends SQLite's automatic checkpoints, whose errors are lost.
        connection.set_wal_hook(self._committed)

    def _committed(self, connection: apsw.Connection, name: str, pages: int) -> int:
        self._pages = pages
        return 0

    def begin(self, stopping: Callable[[], bool]) -> None:
        begin_writing(self.connection, self._name, stopping=stopping)

    def is_storage(self, error: Exception) -> bool:
        return _is_storage(error)

    def rest(self) -> None:
        if self._pages < self._copied:
            self._copied = 0  # the log has begun anew
        beside = self._checkpointer
        if beside is not None and self._pages >= _RESTART_PAGES and beside.caught_up:
            beside.caught_up = False
            if beside.copying.acquire(blocking=False):
                try:
                    self._copy(restart=True)
                finally:
                    beside.copying.release()
        elif self._pages - self._copied >= _CHECKPOINT_PAGES:
            self._copied = self._pages
            if beside is not None:
                beside.poke()
            else:
                self._copy(restart=self._pages >= _RESTART_PAGES)

    def _copy(self, *, restart: bool) -> None:
        mode = apsw.SQLITE_CHECKPOINT_RESTART if restart else apsw.SQLITE_CHECKPOINT_PASSIVE
        try:
            self.connection.set_busy_timeout(_RESTART_WAIT_MS)
            self.connection.wal_checkpoint("main", mode)
        except apsw.BusyError:
            pass  # a long query reads on; the next commits come back to it
        finally:
            self.connection.set_busy_timeout(BUSY_MS)


class FileReading:
    """The ReadingSession port over SQLite files. The snapshot of the gateway's file begins before
    that of the measurements: a load that the one calls loaded is whole in the other."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection

    def begin(self) -> None:
        self.connection.execute("BEGIN")
        self.connection.execute("SELECT 1 FROM main.sqlite_schema LIMIT 1")

    def end(self) -> None:
        self.connection.execute("COMMIT")

    def begin_again(self, error: Exception, waited_s: float, *, stopping: bool) -> bool:
        """The file is somebody's alone for a moment. What only reads is read again."""
        if not isinstance(error, apsw.BusyError):
            return False
        self.connection.execute("ROLLBACK")
        return waited_s < (STOPPING_S if stopping else LONGEST_BUSY_S)

    def go_on(self, error: Exception) -> bool:
        return not _is_storage(error)
