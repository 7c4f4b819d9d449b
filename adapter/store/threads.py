"""The threads that own the connections to a database: writers with group commit, and readers.

What is asked in one turn of the event loop is one batch. While it is at work, all that is asked
becomes the next one, together with what its answers bring about; no timer waits for company. A
call's answer is given only after COMMIT has returned. After any storage error nothing is answered
any more but StoreFailed: whether the last commit happened is not known until the database is
opened again (I12).
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from adapter.engine.crash_points import reached
from adapter.errors import StoreFailed
from adapter.store.chain import Head
from adapter.store.connection import ReadingSession, SqlConnection, WritingSession
from adapter.store.skeletons import Skeletons
from adapter.store.transaction import Mark, Published, Transaction

T = TypeVar("T")

log = logging.getLogger(__name__)

_LARGEST_BATCH: Final = 512
_FIRST_PASSES: Final = 1
"""Passes of the event loop in which a batch gathers when the thread rests."""

_NEXT_PASSES: Final = 3
"""The same after answers: a task wakes, steps its command, and its save is asked for."""

_ALONG_S: Final = 2.0
"""After so long what nobody waits for is written by itself."""


class StoreHealth:
    """Whether the storage can still be trusted; once lost, it stays lost."""

    def __init__(self) -> None:
        self._reason: str | None = None

    def fail(self, error: BaseException) -> None:
        if self._reason is None:
            self._reason = f"{type(error).__name__}: {error}"

    @property
    def failed(self) -> bool:
        return self._reason is not None

    def error(self) -> StoreFailed:
        return StoreFailed(f"the store has failed and must be opened again ({self._reason})")

    def check(self) -> None:
        if self.failed:
            raise self.error()


@dataclass(frozen=True, slots=True)
class _Job:
    """Of a job that goes along with others nobody waits: it has no `future`. `asked_for`: somebody
    may ask for what it writes."""

    # One job's result type is its caller's; the queue holds jobs of all kinds.
    work: Callable[[Any], Any]
    future: asyncio.Future[Any] | None
    loop: asyncio.AbstractEventLoop
    asked_for: bool = False


_Result = tuple[_Job, Any, BaseException | None]


class _Worker:
    """A thread with a queue of batches. `_run_batch` is called with one or more jobs."""

    def __init__(self, name: str, health: StoreHealth) -> None:
        self._health = health
        self._queue: SimpleQueue[list[_Job] | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gathered: list[_Job] = []
        self._gathering = False
        """Or at work on a batch: who asks now is heard of."""
        self._along: list[_Job] = []
        self.asked_for = 0
        """Jobs that go along with others, may be asked for, and are not known to be done."""
        self._alone: asyncio.TimerHandle | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def call(self, work: Callable[[Any], T]) -> T:
        """Have `work` done by the thread. Raises StoreFailed once the storage has failed."""
        self._health.check()
        loop = self._running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._gathered.append(_Job(work, future, loop))
        if not self._gathering:
            self._gathering = True
            loop.call_soon(self._hand_over, loop, _FIRST_PASSES)
        return await future

    def along(self, work: Callable[[Any], object], *, asked_for: bool = False) -> None:
        """Have `work` done with the next batch; where none comes, by itself a little later. A crash
        may lose it. Raises StoreFailed once the storage has failed."""
        self._health.check()
        loop = self._running_loop()
        self._along.append(_Job(work, None, loop, asked_for))
        self.asked_for += asked_for
        if self._alone is None:
            self._alone = loop.call_later(_ALONG_S, self.hand_over)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # nobody hands over what another loop has gathered
            self._loop, self._gathering, self._alone = loop, False, None
        return loop

    def _hand_over(self, loop: asyncio.AbstractEventLoop, passes: int) -> None:
        if passes:
            loop.call_soon(self._hand_over, loop, passes - 1)
        else:
            self._gathering = bool(self._gathered)
            if self._gathering:
                self.hand_over()

    def hand_over(self) -> None:
        """What has been gathered becomes the next batch; called in the event loop's thread."""
        if self._alone is not None:
            self._alone.cancel()
            self._alone = None
        jobs = self._along + self._gathered
        if jobs:
            self._gathered, self._along = [], []
            self._queue.put(jobs)

    def _answer(self, results: list[_Result]) -> None:
        """Hand results to the event loops that wait for them, one wake-up for each loop."""
        by_loop: dict[asyncio.AbstractEventLoop, list[_Result]] = {}
        for result in results:
            by_loop.setdefault(result[0].loop, []).append(result)
        for loop, mine in by_loop.items():
            with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                loop.call_soon_threadsafe(self._settle, loop, mine)

    def _settle(self, loop: asyncio.AbstractEventLoop, results: list[_Result]) -> None:
        for job, value, error in results:
            if job.future is None:
                self.asked_for -= job.asked_for
                if error is not None:
                    log.error("not_written", extra={"worker": self._thread.name}, exc_info=error)
            elif job.future.done():
                continue
            elif error is None:
                job.future.set_result(value)
            else:
                job.future.set_exception(error)
        self._hand_over(loop, _NEXT_PASSES)

    def stop(self) -> None:
        """Finish what has been handed over and end the thread; blocks."""
        self._stopping = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            for start in range(0, len(batch), _LARGEST_BATCH):
                self._run_some(batch[start : start + _LARGEST_BATCH])
            del batch  # what it holds may be large

    def _run_some(self, batch: list[_Job]) -> None:
        if self._health.failed:
            results = self._refusals(batch)
        else:
            try:
                results = self._run_batch(batch)
            except Exception as error:
                # Anything unforeseen in a transaction leaves its outcome unknown.
                self._health.fail(error)
                results = self._refusals(batch)
        self._answer(results)
        self._rest()

    def _refusals(self, batch: list[_Job]) -> list[_Result]:
        return [(job, None, self._health.error()) for job in batch]

    def _run_batch(self, batch: list[_Job]) -> list[_Result]:
        raise NotImplementedError

    def _rest(self) -> None:
        """After the answers have been given."""


class Writer(_Worker):
    """Owns the only connection of this process that writes a database.

    `head` is that of the audit chain and `skeletons` are those of messages, where the database has
    them. `told` is called in the event loop, after the answers of a commit that has publications,
    with those that are new, or None where they are not at hand.
    """

    def __init__(
        self,
        session: WritingSession,
        health: StoreHealth,
        head: Head | None = None,
        *,
        skeletons: Skeletons | None = None,
        name: str = "store-writer",
        told: Callable[[Sequence[Published] | None], None] = lambda told: None,
    ) -> None:
        super().__init__(name, health)
        self._session = session
        self._connection: SqlConnection = session.connection
        self._tell = told
        self._told: SimpleQueue[Sequence[Published] | None] = SimpleQueue()
        self._transaction = Transaction(
            session.connection,
            head,
            skeletons,
            together=session.together,
            by_number=session.by_number,
        )
        self.commits = 0
        self.head = self._transaction.head
        """The audit chain's last entry that is on disk."""

    def _run_batch(self, batch: list[_Job]) -> list[_Result]:
        results = self._run_at_once(batch) or self._run_apart(batch)
        self._transaction.finish()
        reached("store.before_commit")
        self._connection.execute("COMMIT")
        self.commits += 1
        self.head = self._transaction.head
        published = self._transaction.taken()
        if published != []:
            self._told.put(published)
        reached("store.after_commit")
        return results

    def _settle(self, loop: asyncio.AbstractEventLoop, results: list[_Result]) -> None:
        super()._settle(loop, results)
        while not self._told.empty():
            self._tell(self._told.get())

    def _begin(self) -> None:
        self._session.begin(lambda: self._stopping)

    def _run_at_once(self, batch: list[_Job]) -> list[_Result] | None:
        """All jobs, as if none could fail; None, and nothing is done, where one does."""
        mark = self._transaction.mark()
        self._transaction.careful = False
        self._begin()
        try:
            results: list[_Result] = [(job, job.work(self._transaction), None) for job in batch]
            self._transaction.flush()
            return results
        except Exception as error:
            self._undo(error, mark, "ROLLBACK")
            return None

    def _run_apart(self, batch: list[_Job]) -> list[_Result]:
        self._transaction.careful = True
        self._begin()
        return [self._run_job(job) for job in batch]

    def _run_job(self, job: _Job) -> _Result:
        """One job inside a savepoint of its own: a bad row cannot hurt the others."""
        mark = self._transaction.mark()
        self._connection.execute("SAVEPOINT job")
        try:
            result: _Result = (job, job.work(self._transaction), None)
            self._transaction.flush()
        except Exception as error:
            self._undo(error, mark, "ROLLBACK TO job")
            result = (job, None, error)
        self._connection.execute("RELEASE job")
        return result

    def _undo(self, error: Exception, mark: Mark, statement: str) -> None:
        """Raises the error where it is the storage that has failed."""
        if self._session.is_storage(error):
            raise error
        self._connection.execute(statement)
        self._transaction.forget(mark)

    def _rest(self) -> None:
        if self._health.failed:
            return
        try:
            self._session.rest()
        except Exception as error:
            if not self._session.is_storage(error):
                raise
            self._health.fail(error)


class Reader(_Worker):
    """Owns a connection that can only read; a batch of jobs sees one snapshot.

    The snapshot begins after the jobs were asked for, so that everybody reads what was answered
    to them before.
    """

    def __init__(self, name: str, session: ReadingSession, health: StoreHealth) -> None:
        super().__init__(name, health)
        self._session = session

    def _run_batch(self, batch: list[_Job]) -> list[_Result]:
        began = time.monotonic()
        while True:
            try:
                return self._read(batch)
            except Exception as error:
                waited_s = time.monotonic() - began
                if not self._session.begin_again(error, waited_s, stopping=self._stopping):
                    raise

    def _read(self, batch: list[_Job]) -> list[_Result]:
        self._session.begin()
        results: list[_Result] = []
        for job in batch:
            try:
                results.append((job, job.work(self._session.connection), None))
            except Exception as error:
                if not self._session.go_on(error):
                    raise
                results.append((job, None, error))
        self._session.end()
        return results
