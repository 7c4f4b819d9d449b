"""What the stores of all subjects are built on: threads that have a session each."""

import asyncio
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from adapter.engine.upkeep.set_aside import SetAside
from adapter.errors import StoreFailed
from adapter.store.chain import Head
from adapter.store.connection import SqlConnection
from adapter.store.feed_newest import MOST_PUBLICATIONS, NewestPublications
from adapter.store.threads import Reader, StoreHealth, Writer
from adapter.store.transaction import Published, Transaction
from adapter.store.upkeep.failed_rows import SqliteFailedRows

T = TypeVar("T")


class Database(ABC):
    """A database that one process at a time has open.

    One thread writes, in groups; one reads what the engine waits for; one answers the questions
    that may take long, one those about the feed. Measurements may have a writing thread of their
    own. `now` gives the times of audit entries, publications and debits. `path` is the file of the
    store, or what its own files on this machine are named after.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime], remembering: bool) -> None:
        self.remembering = remembering
        """Whether the stores built on this may keep at hand what they have stored."""
        self._path = path
        self._now = now
        self._health = StoreHealth()
        self._open_now = False
        self.published: Callable[[], None] = lambda: None
        """Called in the event loop when publications were committed: a hint."""
        self.newest = NewestPublications(most=MOST_PUBLICATIONS if remembering else 0)
        self.openings = 0
        """How often it was opened: the rows may be others than before."""
        self.set_aside = SetAside(SqliteFailedRows(self), now)
        """Rows of any loop that failed unexpectedly."""

    # ------------------------------------------------------------ what each kind does by itself

    _writer: Writer
    _quick: Reader
    _slow: Reader
    _feed: Reader

    @abstractmethod
    def _open(self) -> None:
        """Connect, bring the schema to this program's version, start the threads; blocks. Raises
        StoreFailed, and has given back everything then."""

    @abstractmethod
    def _close(self) -> None:
        """End the threads, which finish what was asked for, and disconnect; blocks."""

    @property
    @abstractmethod
    def _workers(self) -> tuple[Reader | Writer, ...]:
        """What is asked of them is finished in this order."""

    staging_module: str
    """Name of the module by which another process puts the rows of a load."""

    @abstractmethod
    def staging_place(self) -> str:
        """Where it puts them, as that module has it."""

    @abstractmethod
    async def measure(self, work: Callable[[Transaction], T]) -> T:
        """One transaction on the measurements, on a thread of its own."""

    # ------------------------------------------------------------ what all do alike

    async def open(self) -> None:
        """Raises StoreFailed: in use, of a newer program, damaged, or unable to keep promises."""
        self.newest.clear()
        await asyncio.to_thread(self._open)
        self.openings += 1
        self._open_now = True

    async def close(self) -> None:
        """Finish what was asked for and close. Raises StoreFailed where that fails."""
        if self._open_now:
            self._open_now = False
            for worker in self._workers:
                worker.hand_over()
            await asyncio.to_thread(self._close)

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
        """What belongs to the store on this machine stands beside it."""
        return self._path

    @property
    def commits(self) -> int:
        """Transactions written since the store was opened."""
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

    async def read(self, work: Callable[[SqlConnection], T]) -> T:
        """A question that is answered at once, on a snapshot."""
        self.check_open()
        return await self._quick.call(work)

    async def query(self, work: Callable[[SqlConnection], T]) -> T:
        """A question that may take long."""
        self.check_open()
        return await self._slow.call(work)

    async def feed(self, work: Callable[[SqlConnection], T]) -> T:
        """A question about publications, which many ask, again and again."""
        self.check_open()
        return await self._feed.call(work)

    def check_open(self) -> None:
        """Raises StoreFailed where the store is closed, or the storage has failed."""
        if not self._open_now:
            raise StoreFailed("the store is not open")
        self._health.check()

    @property
    def head(self) -> Head:
        """The audit chain's last entry that is on disk. Raises StoreFailed."""
        self.check_open()
        return self._writer.head
