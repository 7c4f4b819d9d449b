"""The two SQLite files: durable when a call returns, one process at a time."""

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import apsw

from adapter.engine.upkeep.set_aside import SetAside
from adapter.errors import StoreFailed
from adapter.store.chain import Head
from adapter.store.commands import reading
from adapter.store.feed_newest import MOST_PUBLICATIONS, NewestPublications
from adapter.store.files import FileLock, connect_writer, keep_private
from adapter.store.migrate import check_version, migrate
from adapter.store.readings.file import (
    check,
    connect_measured,
    connect_reader_of_both,
    path_beside,
    prepare,
)
from adapter.store.skeletons import Skeletons
from adapter.store.threads import Checkpointer, Reader, StoreHealth, Writer
from adapter.store.transaction import Published, Transaction
from adapter.store.upkeep.failed_rows import SqliteFailedRows, held

log = logging.getLogger(__name__)

T = TypeVar("T")
_CLOSE_WAIT_MS: Final = 500
_LONGEST_OPENING_S: Final = 60.0


class Database:
    """The files of one store, opened by one process (a lock file beside them says so).

    One thread writes, in groups; one reads what the engine waits for; one answers the questions
    that may take long, one those about the feed. Measurements have a file and a writing thread of
    their own. `now` gives the times of audit entries, publications and debits. `vfs` names a
    registered SQLite file layer, None is the operating system's.
    """

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], datetime],
        vfs: str | None = None,
        remembering: bool = True,
    ) -> None:
        self.remembering = remembering
        """Whether the stores built on this may keep at hand what they have stored."""
        self._path = path
        self._now = now
        self._vfs = vfs
        self._lock = FileLock(path)
        self._connections: list[apsw.Connection] = []
        self._health = StoreHealth()
        self._open_now = False
        self.published: Callable[[], None] = lambda: None
        """Called in the event loop when publications were committed: a hint."""
        self.newest = NewestPublications(most=MOST_PUBLICATIONS if remembering else 0)
        self.openings = 0
        """How often the files were opened: they may be others than before."""
        self.set_aside = SetAside(SqliteFailedRows(self), now)
        """Rows of any loop that failed unexpectedly."""

    async def open(self) -> None:
        """Raises StoreFailed: in use, of a newer program, damaged, or unable to keep promises."""
        self.newest.clear()
        await asyncio.to_thread(self._open)
        self.openings += 1
        self._open_now = True

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
            writer,
            self._health,
            head,
            skeletons=skeletons,
            checkpointer=self._checkpointer,
            told=self._told,
        )
        self._measured = Writer(measured, self._health, name="store-measured")
        self._quick = Reader("store-reader", quick, self._health)
        self._slow = Reader("store-query", slow, self._health)
        self._feed = Reader("store-feed", feed, self._health)
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

    async def close(self) -> None:
        """Finish what was asked for and close. Raises StoreFailed if the last checkpoint fails."""
        if self._open_now:
            self._open_now = False
            for worker in self._workers:
                worker.hand_over()
            await asyncio.to_thread(self._close)

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

    def _told(self, publications: Sequence[Published] | None) -> None:
        if publications is None:
            self.newest.clear()
        else:
            self.newest.put(publications)
        self.published()

    def now(self) -> datetime:
        """The store's clock."""
        return self._now()

    @property
    def path(self) -> Path:
        """The database file; what belongs to it stands beside it."""
        return self._path

    @property
    def commits(self) -> int:
        """Transactions written since the file was opened."""
        return self._writer.commits

    def free_bytes(self) -> int:
        """What is free on the disk that holds the files."""
        return shutil.disk_usage(self._path.parent).free

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """One transaction of the writing thread; for the stores of all subjects."""
        self.check_open()
        return await self._writer.call(work)

    def write_along(
        self, work: Callable[[Transaction], object], *, asked_for: bool = False
    ) -> None:
        """With the next transaction of the writing thread, or with one of its own soon after. A
        crash may lose it, and nobody is told when it is done."""
        self.check_open()
        self._writer.along(work, asked_for=asked_for)

    async def written_along(self) -> None:
        """What was to go along and may be asked for is written when it returns; where nothing was,
        nothing is done."""
        self.check_open()
        if self._writer.asked_for:
            await self._writer.call(lambda tx: None)

    async def measure(self, work: Callable[[Transaction], T]) -> T:
        """One transaction in the file of measurements, on a thread of its own."""
        self.check_open()
        return await self._measured.call(work)

    async def read(self, work: Callable[[apsw.Connection], T]) -> T:
        """A question that is answered at once, on a snapshot."""
        self.check_open()
        return await self._quick.call(work)

    async def query(self, work: Callable[[apsw.Connection], T]) -> T:
        """A question that may take long."""
        self.check_open()
        return await self._slow.call(work)

    async def feed(self, work: Callable[[apsw.Connection], T]) -> T:
        """A question about publications, which many ask, again and again."""
        self.check_open()
        return await self._feed.call(work)

    def check_open(self) -> None:
        """Raises StoreFailed where the file is closed, or the storage has failed."""
        if not self._open_now:
            raise StoreFailed("the store is not open")
        self._health.check()

    @property
    def head(self) -> Head:
        """The audit chain's last entry that is on disk. Raises StoreFailed."""
        self.check_open()
        return self._writer.head
