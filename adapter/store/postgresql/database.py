"""A PostgreSQL database that one gateway has open."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from adapter.errors import StoreFailed, StoreInUse
from adapter.store.commands import reading
from adapter.store.connection import StatementFailed
from adapter.store.database import Database
from adapter.store.postgresql import staging
from adapter.store.postgresql.migration import check_server, migrate
from adapter.store.postgresql.session import ServerSession
from adapter.store.skeletons import Skeletons
from adapter.store.threads import Reader, StoreHealth, Writer
from adapter.store.transaction import Transaction
from adapter.store.upkeep.failed_rows import held

T = TypeVar("T")

_OWNER: Final = 0x4F57_4F57
"""Number of the advisory lock that the writing session holds."""

_TAKE: Final = "SELECT pg_try_advisory_lock(?)"
_HOLDER: Final = """
SELECT coalesce(host(client_addr), 'the same machine') || ', since ' || backend_start
FROM pg_locks JOIN pg_stat_activity ON pg_stat_activity.pid = pg_locks.pid
WHERE locktype = 'advisory' AND objid = ? AND granted
    AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
_WAIT_S: Final = 20.0
"""The server needs so long at the most to find that who had the lock is gone."""

_AGAIN_S: Final = 0.25
_WRITE_S: Final = 60.0
_QUICK_S: Final = 60.0
_SLOW_S: Final = 600.0


class _Writing:
    """The WritingSession port. The lock is the session's: who has lost it cannot write."""

    together: tuple[int, ...] = ()
    by_number = False

    def __init__(self, session: ServerSession) -> None:
        self.connection = session

    def begin(self, stopping: Callable[[], bool]) -> None:
        self.connection.execute("BEGIN")

    def is_storage(self, error: Exception) -> bool:
        return _is_storage(error)

    def rest(self) -> None:
        """The server looks after its log by itself."""


class _Reading:
    """The ReadingSession port."""

    def __init__(self, session: ServerSession) -> None:
        self.connection = session

    def begin(self) -> None:
        self.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")

    def end(self) -> None:
        self.connection.execute("COMMIT")

    def begin_again(self, error: Exception, waited_s: float, *, stopping: bool) -> bool:
        return False

    def go_on(self, error: Exception) -> bool:
        """A statement that failed has ended the snapshot for all: the others see a new one."""
        if _is_storage(error):
            return False
        if isinstance(error, StatementFailed):
            self.connection.execute("ROLLBACK")
            self.begin()
        return True


def _is_storage(error: Exception) -> bool:
    return isinstance(error, StatementFailed) and not error.of_a_row


class PostgresqlDatabase(Database):
    """`url` as libpq has it: postgresql://user@host/database?sslmode=verify-full. `path`
    is what the gateway's own files on this machine are named after."""

    def __init__(
        self,
        url: str,
        path: Path,
        *,
        now: Callable[[], datetime],
        password: str | None = None,
        remembering: bool = True,
    ) -> None:
        super().__init__(path, now=now, remembering=remembering)
        self._url = url
        self._password = password
        self._sessions: list[ServerSession] = []

    def __repr__(self) -> str:
        parts = urlsplit(self._url)
        return f"PostgresqlDatabase({parts.hostname or ''}{parts.path})"

    def _open(self) -> None:
        try:
            self._health = StoreHealth()
            writer = self._connect(_WRITE_S)
            check_server(writer)
            self._take(writer)
            migrate(writer)
            head = reading.audit_head(writer)
            skeletons = Skeletons.of(writer)
            measured = _Writing(self._connect(_WRITE_S))
            self.set_aside.know(held(writer))
            readers = [
                Reader(name, _Reading(self._connect(longest_s, reads_only=True)), self._health)
                for name, longest_s in (
                    ("store-reader", _QUICK_S),
                    ("store-query", _SLOW_S),
                    ("store-feed", _QUICK_S),
                )
            ]
        except StatementFailed as error:
            self._disconnect()
            raise StoreFailed(f"cannot open the store: {error}") from error
        except BaseException:
            self._disconnect()
            raise
        self._quick, self._slow, self._feed = readers
        self._writer = Writer(
            _Writing(writer), self._health, head, skeletons=skeletons, told=self._told
        )
        # Nobody sees the rows of a load before the writer has shown them: this needs no lock.
        self._measured = Writer(measured, self._health, name="store-measured")
        for worker in self._workers:
            worker.start()

    @property
    def _workers(self) -> tuple[Reader | Writer, ...]:
        return self._feed, self._slow, self._quick, self._measured, self._writer

    def _connect(self, longest_s: float, *, reads_only: bool = False) -> ServerSession:
        session = ServerSession(
            self._url, password=self._password, reads_only=reads_only, longest_s=longest_s
        )
        self._sessions.append(session)
        return session

    def _take(self, writer: ServerSession) -> None:
        """Who had it may be gone without the server's knowledge: that is waited for."""
        began = time.monotonic()
        while not writer.execute(_TAKE, (_OWNER,)).get:
            holder = writer.execute(_HOLDER, (_OWNER,)).get
            if time.monotonic() - began >= self.wait_s:
                raise StoreInUse(
                    f"the store is in use by a gateway on {holder}; one at a time owns it"
                )
            time.sleep(_AGAIN_S)

    wait_s = _WAIT_S

    def _close(self) -> None:
        for worker in self._workers:
            worker.stop()
        self._disconnect()

    def _disconnect(self) -> None:
        """The writer's last: the next owner sees all that was asked for done."""
        for session in reversed(self._sessions):
            session.close()
        self._sessions = []

    async def measure(self, work: Callable[[Transaction], T]) -> T:
        self.check_open()
        return await self._measured.call(work)

    staging_module = staging.__name__

    def staging_place(self) -> str:
        return staging.place_of(self._url, self._password)
