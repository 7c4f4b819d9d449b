"""A session of a PostgreSQL server as the store's functions need a connection.

asyncpg speaks to the server on an event loop of the session's own, which runs in the thread that
asks, for as long as it waits. So a session belongs to one thread at a time.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, TypeVar

import asyncpg
import msgspec
from asyncpg.cursor import Cursor
from asyncpg.prepared_stmt import PreparedStatement

from adapter.errors import StoreFailed
from adapter.server import event_loop
from adapter.store.connection import StatementFailed
from adapter.store.postgresql.dialect import Statement, for_many, key_of, statement

T = TypeVar("T")

log = logging.getLogger(__name__)

_CONNECT_S: Final = 20.0
_CLOSE_S: Final = 5.0
_AT_ONCE: Final = 500
"""Rows of a walk that are fetched together."""

_MOST_PREPARED: Final = 1_000
_CONTROL: Final = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
_OF_VALUES: Final = ("21", "22", "23")
"""Classes of errors that a row can cause: cardinality, data, constraints."""

_ANOTHER_WRITER: Final = "audit_pkey"
"""The number of the next entry is taken only where somebody else has written."""

_SETTINGS: Final = {
    "application_name": "openway",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "standard_conforming_strings": "on",
    # What a session holds is given up when the machine that had it is gone.
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "idle_in_transaction_session_timeout": "300s",
}


class FoundRows:
    """Rows that a statement has found, or is about to find (`more`)."""

    def __init__(
        self, rows: Sequence[Sequence[Any]], more: Callable[[], Sequence[Sequence[Any]]] | None
    ) -> None:
        self._rows = rows
        self._more = more
        self._next = 0

    @property
    def get(self) -> Any:
        rows = self.fetchall()
        if not rows:
            return None
        values = [row[0] if len(row) == 1 else row for row in rows]
        return values[0] if len(values) == 1 else values

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def fetchone(self) -> Any:
        if self._next == len(self._rows) and self._more is not None:
            self._rows, self._next = self._more(), 0
            if not self._rows:
                self._more = None
        if self._next == len(self._rows):
            return None
        self._next += 1
        return tuple(self._rows[self._next - 1])

    def fetchall(self) -> list[Any]:
        return list(self)

    def close(self) -> None:
        self._rows, self._more, self._next = (), None, 0


class _Prepared:
    """A statement that the server knows, for one row and for many."""

    def __init__(self, meant: Statement, one: PreparedStatement) -> None:
        self.meant = meant
        self.one = one
        self.many: PreparedStatement | None = None

    @cached_property
    def key(self) -> Callable[[Sequence[object]], object] | None:
        return key_of(self.meant.text)


class ServerSession:
    """The SqlConnection port over one session."""

    def __init__(
        self,
        url: str,
        *,
        reads_only: bool,
        longest_s: float | None,
        password: str | None = None,
    ) -> None:
        """`longest_s`: a statement that takes longer has failed. Raises StoreFailed."""
        make = event_loop.factory() or asyncio.new_event_loop
        self._loop = make()
        self._prepared: dict[str, _Prepared] = {}
        self._changes = self._total = self._last = 0
        try:
            self._server: asyncpg.Connection = self._wait(_connected(url, password, longest_s))
            if reads_only:
                self._wait(self._server.execute("SET default_transaction_read_only = on"))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
            self._loop.close()
            raise StoreFailed(f"cannot reach the store's server: {error}") from error
        except TimeoutError as error:
            self._loop.close()
            text = f"the store's server has not answered in {_CONNECT_S:g} s"
            raise StoreFailed(text) from error

    def close(self) -> None:
        """Never raises: what was not committed is undone by the server."""
        try:
            if not self._server.is_closed():
                self._wait(self._server.close(timeout=_CLOSE_S))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            log.warning("session_not_closed", extra={"reason": str(error)})
            self._server.terminate()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _wait(self, asked: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(asked)

    def _ask(self, asked: Coroutine[Any, Any, T]) -> T:
        try:
            return self._wait(asked)
        except asyncpg.PostgresError as error:
            of_a_row = str(error.sqlstate)[:2] in _OF_VALUES
            another = getattr(error, "constraint_name", None) == _ANOTHER_WRITER
            text = f"{type(error).__name__}: {error}"
            raise StatementFailed(text, of_a_row=of_a_row and not another) from error
        except asyncpg.InterfaceError as error:
            # A value that does not fit its column never leaves.
            raise StatementFailed(str(error), of_a_row=isinstance(error, ValueError)) from error
        except (OSError, TimeoutError) as error:
            text = f"{type(error).__name__}: {error}"
            raise StatementFailed(text, of_a_row=False) from error

    def prepare(self, sql: str, *, many: bool) -> None:
        """Have the server look at a statement. Raises StatementFailed where it refuses it."""
        known = self._known(sql)
        if many:
            self._for_many(known)

    def script(self, text: str) -> None:
        """Statements without values."""
        self._ask(self._server.execute(text))

    # ------------------------------------------------------------ the port

    def execute(self, sql: str, values: Any = (), /) -> FoundRows:
        if sql.startswith(_CONTROL):
            self.script(sql)
            return FoundRows((), None)
        known = self._known(sql)
        given = _given(known.meant, values)
        if known.meant.walked:
            return self._walk(known, given)
        rows = self._ask(known.one.fetch(*given))
        self._count(known, known.one, rows)
        return FoundRows(rows, None)

    def executemany(self, sql: str, rows: Iterable[Any], /) -> FoundRows:
        """One statement for all rows; several only where two rows change the same one."""
        known = self._known(sql)
        given = [_given(known.meant, row) for row in rows]
        changed = 0
        for some in _rounds(given, known.key):
            if len(some) == 1:
                asked, found = known.one, self._ask(known.one.fetch(*some[0]))
            else:
                asked = self._for_many(known)
                columns = [list(column) for column in zip(*some, strict=True)]
                found = self._ask(asked.fetch(*columns))
            self._count(known, asked, found)
            changed += self._changes
        self._changes = changed
        return FoundRows((), None)

    def changes(self) -> int:
        return self._changes

    def total_changes(self) -> int:
        return self._total

    def last_insert_rowid(self) -> int:
        return self._last

    # ------------------------------------------------------------ how

    def _known(self, sql: str) -> _Prepared:
        known = self._prepared.get(sql)
        if known is None:
            if len(self._prepared) >= _MOST_PREPARED:
                self._prepared.clear()
            meant = statement(sql)
            known = _Prepared(meant, self._ask(self._server.prepare(meant.text)))
            self._prepared[sql] = known
        return known

    def _for_many(self, known: _Prepared) -> PreparedStatement:
        if known.many is None:
            types = [each.name for each in known.one.get_parameters()]
            text = for_many(known.meant.text, types)
            known.many = self._ask(self._server.prepare(text))
        return known.many

    def _count(
        self, known: _Prepared, asked: PreparedStatement, rows: Sequence[Sequence[Any]]
    ) -> None:
        kind, _, count = asked.get_statusmsg().partition(" ")
        if kind not in ("INSERT", "UPDATE", "DELETE"):
            return
        self._changes = int(count.rpartition(" ")[2])
        self._total += self._changes
        if known.meant.numbered and rows:
            self._last = rows[-1][0]

    def _walk(self, known: _Prepared, given: Sequence[Any]) -> FoundRows:
        async def opened() -> Cursor:
            return await known.one.cursor(*given)

        cursor = self._ask(opened())
        return FoundRows((), lambda: self._ask(cursor.fetch(_AT_ONCE)))


async def _connected(
    url: str, password: str | None, longest_s: float | None
) -> "asyncpg.Connection":
    server = await asyncpg.connect(
        url,
        password=password,
        timeout=_CONNECT_S,
        command_timeout=longest_s,
        server_settings=_SETTINGS,
        # Statements are prepared here, by name of what they are for.
        statement_cache_size=0,
    )
    # Sums of whole numbers are of this type.
    await server.set_type_codec(
        "numeric", schema="pg_catalog", encoder=str, decoder=_number, format="text"
    )
    return server


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def _given(meant: Statement, values: Any) -> Sequence[Any]:
    if meant.lists or isinstance(values, Mapping):
        found = [values[name] for name in meant.values]
        for place in meant.lists:
            found[place] = msgspec.json.decode(found[place])
        return found
    return [values[name] for name in meant.values] if _shuffled(meant) else list(values)


def _shuffled(meant: Statement) -> bool:
    return meant.values != tuple(range(len(meant.values)))


def _rounds(
    rows: list[Sequence[Any]], key: Callable[[Sequence[object]], object] | None
) -> Iterator[list[Sequence[Any]]]:
    """The rows in their order, each time as many as change different ones."""
    if key is None or len(rows) < 2:
        if rows:
            yield rows
        return
    some: list[Sequence[Any]] = []
    seen: set[object] = set()
    for row in rows:
        mine = key(row)
        if mine in seen:
            yield some
            some, seen = [], set()
        some.append(row)
        seen.add(mine)
    yield some
