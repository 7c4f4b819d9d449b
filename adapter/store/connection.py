"""What the store's functions need of a database: a SQLite file's connection fits it as it is, and
so does a session of a PostgreSQL server (adapter/store/postgresql/session.py)."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol


class StatementFailed(Exception):
    """A server refused a statement, or did not answer. Of SQLite, apsw has errors of its own.

    `of_a_row`: the values were at fault, and nothing else; the transaction has to be undone.
    """

    def __init__(self, text: str, *, of_a_row: bool) -> None:
        super().__init__(text)
        self.of_a_row = of_a_row


class Rows(Protocol):
    """What a statement has found, one tuple for each row."""

    @property
    def get(self) -> Any:
        """None: no row. One row: it, or its only value. Else the list of all."""

    def __iter__(self) -> Iterator[Any]: ...

    def __next__(self) -> Any: ...

    def fetchone(self) -> Any:
        """The next row, None behind the last."""

    def fetchall(self) -> list[Any]:
        """Those that are left."""

    def close(self) -> None:
        """Nobody asks for the rest."""


class SqlConnection(Protocol):
    """One transaction after the other; its owner begins and ends them."""

    def execute(self, statement: str, values: Any = ..., /) -> Rows:
        """Values: a sequence for `?`, a mapping for `:name`."""

    def executemany(self, statement: str, rows: Iterable[Any], /) -> Rows:
        """The statement for each of the rows, as if one after the other."""

    def changes(self) -> int:
        """Rows that the last statement has written or removed."""

    def total_changes(self) -> int:
        """Rows that all statements so far have written or removed."""

    def last_insert_rowid(self) -> int:
        """The number that was given to the last row that was written."""


class WritingSession(Protocol):
    """Who owns it is the only one that writes. Whatever it raises that is not a row's error means
    that the outcome of the transaction is not known (I12)."""

    @property
    def connection(self) -> SqlConnection: ...

    @property
    def together(self) -> tuple[int, ...]:
        """Numbers of rows, descending, for which a statement with so many is worth its form."""

    @property
    def by_number(self) -> bool:
        """Whether rows name commands and communications by their numbers, where that is shorter."""

    def begin(self, stopping: Callable[[], bool]) -> None:
        """Begin a transaction. While it waits for others, `stopping` tells that it has to hurry."""

    def is_storage(self, error: Exception) -> bool:
        """Whether it is the storage that failed, and not a row or the caller's own code."""

    def rest(self) -> None:
        """After the answers of a transaction were given. Raises what `is_storage` is true of."""


class ReadingSession(Protocol):
    """Who owns it only reads."""

    @property
    def connection(self) -> SqlConnection: ...

    def begin(self) -> None:
        """All that is read until the end is one snapshot, taken now."""

    def end(self) -> None: ...

    def begin_again(self, error: Exception, waited_s: float, *, stopping: bool) -> bool:
        """Whether the whole batch is to be read again, which is possible then; else the error is
        one of the storage. `waited_s`: since the batch began."""

    def go_on(self, error: Exception) -> bool:
        """Whether the error is that of one question alone; then the others can be asked."""
