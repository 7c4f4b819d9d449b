"""The two SQLite files: durable when a call returns, one process at a time."""

import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import apsw

from adapter.errors import StoreFailed
from adapter.store.commands import reading
from adapter.store.database import Database
from adapter.store.files import FileLock, connect_writer, keep_private
from adapter.store.files_sessions import Checkpointer, FileReading, FileWriting
from adapter.store.migrate import check_version, migrate
from adapter.store.readings import file as measured_file
from adapter.store.readings.file import (
    check,
    connect_measured,
    connect_reader_of_both,
    path_beside,
    prepare,
)
from adapter.store.skeletons import Skeletons
from adapter.store.threads import Reader, StoreHealth, Writer
from adapter.store.transaction import Transaction
from adapter.store.upkeep.failed_rows import held

log = logging.getLogger(__name__)

T = TypeVar("T")
_CLOSE_WAIT_MS: Final = 500
_LONGEST_OPENING_S: Final = 60.0


class FileDatabase(Database):
    """The files of one store (a lock file beside them says who has them). Measurements have a file
    and a writing thread of their own. `vfs` names a registered SQLite file layer, None is the
    operating system's.
    """

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], datetime],
        vfs: str | None = None,
        remembering: bool = True,
    ) -> None:
        super().__init__(path, now=now, remembering=remembering)
        self._vfs = vfs
        self._lock = FileLock(path)
        self._connections: list[apsw.Connection] = []

    def _open(self) -> None:
        self._lock.take()
        try:
            self._health = StoreHealth()
            keep_private(self._path)
            self._lock.take_file(self._path)
            writer = self._connect()
            head = reading.audit_head(writer)
            skeletons = Skeletons.of(writer)
            self.set_aside.know(held(writer))
        except (apsw.Error, OSError) as error:
            self._release()
            raise StoreFailed(f"cannot open {self._path.name}: {error}") from error
        except BaseException:
            self._release()
            raise
        _, measured, copying, quick, slow, feed = self._connections
        self._checkpointer = Checkpointer(copying, self._health)
        self._writer = Writer(
            FileWriting(writer, "store-writer", self._checkpointer),
            self._health,
            head,
            skeletons=skeletons,
            told=self._told,
        )
        name = "store-measured"
        self._measured = Writer(FileWriting(measured, name), self._health, name=name)
        self._quick = Reader("store-reader", FileReading(quick), self._health)
        self._slow = Reader("store-query", FileReading(slow), self._health)
        self._feed = Reader("store-feed", FileReading(feed), self._health)
        for worker in (self._checkpointer, *self._workers):
            worker.start()

    @property
    def _workers(self) -> tuple[Reader | Writer, ...]:
        """What is asked of them is finished in this order."""
        return self._feed, self._slow, self._quick, self._measured, self._writer

    def _connect(self) -> apsw.Connection:
        """All connections, the writer's first. Somebody may have the file for a moment."""
        began = time.monotonic()
        while True:
            try:
                writer = connect_writer(self._path, self._vfs)
                self._connections = [writer]
                for connection in self._beside(writer):
                    self._connections.append(connection)
                return writer
            except apsw.BusyError as error:
                self._disconnect()
                if time.monotonic() - began >= _LONGEST_OPENING_S:
                    raise
                log.warning("store_busy", extra={"file": self._path.name, "reason": str(error)})

    def _beside(self, writer: apsw.Connection) -> Iterator[apsw.Connection]:
        """The other connections; the files are brought to this program's version."""
        check_version(writer)
        prepare(self._path, writer, self._vfs)
        migrate(writer)
        self._lock.take_file(path_beside(self._path))
        measured = connect_measured(self._path, self._vfs)
        yield measured
        check(measured, self._path)
        yield connect_writer(self._path, self._vfs)
        for _ in range(3):
            yield connect_reader_of_both(self._path, self._vfs)

    def _close(self) -> None:
        for worker in (*self._workers, self._checkpointer):
            worker.stop()
        failed = self._health.failed
        try:
            for writer in self._connections[:2]:
                if failed:
                    # What the file holds is for the next opening to find out.
                    writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                else:
                    writer.set_busy_timeout(_CLOSE_WAIT_MS)
                    writer.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            pass  # Somebody else reads the file: its log is whole, and the next opening reads it.
        except apsw.Error as error:
            self._health.fail(error)
        self._release()
        if self._health.failed and not failed:
            raise self._health.error()

    def _release(self) -> None:
        self._disconnect()
        self._lock.release()

    def _disconnect(self) -> None:
        for connection in reversed(self._connections):
            try:
                connection.close()
            except apsw.Error as error:
                self._health.fail(error)
        self._connections = []

    staging_module = measured_file.__name__

    def staging_place(self) -> str:
        return str(self._path)

    async def measure(self, work: Callable[[Transaction], T]) -> T:
        """One transaction in the file of measurements, on a thread of its own."""
        self.check_open()
        return await self._measured.call(work)
