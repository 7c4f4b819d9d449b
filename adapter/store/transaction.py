"""One transaction of a writing thread, and rows that are written many at a time."""

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Final, TypeAlias

from adapter.errors import NotFound
from adapter.store.chain import Head
from adapter.store.connection import SqlConnection
from adapter.store.skeletons import Skeletons

Row: TypeAlias = tuple[int | str | bytes | None, ...]
Mark: TypeAlias = tuple[Head, int, int, dict[tuple[str, str], int]]
Published: TypeAlias = tuple[int, int, bytes]
"""(number, at, body) of a publication."""
SavedRow: TypeAlias = tuple[int, int, int, int | None]
"""(number, version, noted, wake) of a command; its wake may have been moved since."""

MOST_AT_HAND: Final = 10_000
"""Rows of commands, and numbers of communications: some three megabytes and one."""


@dataclass(frozen=True, slots=True, eq=False)
class Many:
    """A statement over several rows: what stands before them, how many columns a row has, and what
    stands behind them. Each is one of its own, and hashed as quickly."""

    before: str
    columns: int
    behind: str = ""
    told: bool = False
    """Its rows are publications, which are told when the transaction is over."""
    numbered: bool = False
    """The numbers of its rows, which begin with an id, are kept at hand."""

    def run(
        self, connection: SqlConnection, rows: list[Row], together: tuple[int, ...] = ()
    ) -> None:
        """`together`: numbers of rows, descending, that have a statement of their own."""
        start = 0
        for count in together:
            while start + count <= len(rows):
                values = tuple(chain.from_iterable(rows[start : start + count]))
                connection.execute(_sql(self, count), values)
                start += count
        if start < len(rows):
            connection.executemany(_sql(self, 1), rows[start:])

    def sql(self, rows: int) -> str:
        return _sql(self, rows)


@dataclass(frozen=True, slots=True, eq=False)
class Each:
    """A statement that changes one row that is there, for several rows; where it is not `counted`,
    none or several for each."""

    text: str
    counted: bool = True

    def run(self, connection: SqlConnection, rows: list[Row]) -> None:
        """Raises NotFound where one is not there."""
        if not self.changes(connection, rows) and self.counted:
            raise NotFound("a row that was to be changed is missing")

    def changes(self, connection: SqlConnection, rows: list[Row]) -> bool:
        """Whether each of them was there."""
        before = connection.total_changes()
        connection.executemany(self.text, rows)
        return connection.total_changes() - before == len(rows)

    def sql(self, rows: int) -> str:
        return self.text


@lru_cache(maxsize=512)
def _sql(many: Many, rows: int) -> str:
    row = f"({', '.join('?' * many.columns)})"
    return f"{many.before} VALUES {', '.join([row] * rows)}{many.behind}"


_COUNT: Final = Many(
    "INSERT INTO tally (what, key, rows)",
    3,
    " ON CONFLICT (what, key) DO UPDATE SET rows = tally.rows + excluded.rows",
)


class Transaction:
    """What an operation of the writing thread works on; `head` is the audit chain's last entry.

    What is appended is written with what others append, before anybody works on `connection`, and
    before the end. So a row that breaks a constraint shows late: then the thread undoes all, and
    runs each operation apart, `careful` not to write such a row.
    """

    def __init__(
        self,
        connection: SqlConnection,
        head: Head | None = None,
        skeletons: Skeletons | None = None,
        *,
        together: tuple[int, ...] = (),
        by_number: bool = True,
    ) -> None:
        self._together = together
        self.by_number = by_number
        """Whether rows name commands and communications by their numbers, where that is shorter."""
        self.immediate = connection
        """The connection, for statements about tables to which nothing is appended."""
        self.head = head or Head()
        self.skeletons = skeletons or Skeletons()
        self.careful = False
        self.saved: dict[str, SavedRow] = {}
        """Rows of commands as they were saved last, as far as they are at hand, by id."""
        self.numbers: dict[str, int] = {}
        """Of communications, as far as they are at hand."""
        self.bodies: dict[str, bytes] = {}
        """Of publications, by id, as they were before they were compressed."""
        self.free_numbers: list[int] = []
        """For new commands, taken from the server; what is undone loses them."""
        self._appended: defaultdict[Many | Each, list[Row]] = defaultdict(list)
        self._counts: dict[tuple[str, str], int] = {}
        # (number, row); a publication's row begins with its id and its time
        self._told: list[tuple[int, tuple[Any, ...]]] = []
        self._told_all = True

    @property
    def later(self) -> bool:
        """Whether also what is guarded by a row is appended: a server takes as long for a statement
        as for a hundred rows. Where a guard is not met, all is undone, and done carefully."""
        return not (self.by_number or self.careful)

    @property
    def guarded(self) -> SqlConnection:
        """For statements about commands and lanes, which are appended to where that is `later`."""
        return self.connection if self.later else self.immediate

    @property
    def connection(self) -> SqlConnection:
        """For every statement: what was appended is written."""
        if self._appended:
            self.flush()
        return self.immediate

    def append(self, to: Many | Each, *rows: Row) -> None:
        self._appended[to] += rows

    def flush(self) -> None:
        """Write what was appended."""
        appended, self._appended = self._appended, defaultdict(list)
        for many, rows in appended.items():
            if isinstance(many, Each):
                many.run(self.immediate, rows)
            elif many.told:
                self._tell(many, rows)
            else:
                many.run(self.immediate, rows, self._together)
                if many.numbered and self.by_number:
                    self._number(rows)

    def _number(self, rows: list[Row]) -> None:
        """They follow each other: all were made."""
        first = self.immediate.last_insert_rowid() - len(rows) + 1
        self.numbers |= {str(row[0]): first + place for place, row in enumerate(rows)}
        while len(self.numbers) > MOST_AT_HAND:
            del self.numbers[next(iter(self.numbers))]

    def _tell(self, many: Many, rows: list[Row]) -> None:
        """Their numbers follow each other, unless one was there already. Cheaper than RETURNING."""
        before = self.immediate.total_changes()
        many.run(self.immediate, rows, self._together)
        made = self.immediate.total_changes() - before
        self.count("publication", "", made)
        last = self.immediate.last_insert_rowid()
        if made == len(rows):
            self._told += zip(range(last - made + 1, last + 1), rows, strict=True)
        else:
            self._told_all = False

    def count(self, what: str, key: str, more: int = 1) -> None:
        """For the tally: there are so many rows more of this kind."""
        self._counts[what, key] = self._counts.get((what, key), 0) + more

    def moved(self, what: str, before: str | None, after: str | None) -> None:
        """For the tally: a row that was counted under one key now is under another, or none."""
        if before != after:
            if before is not None:
                self.count(what, before, -1)
            if after is not None:
                self.count(what, after)

    def finish(self) -> None:
        """Before the commit: all that was counted is added to the tally."""
        counts, self._counts = self._counts, {}
        rows: list[Row] = [(what, key, more) for (what, key), more in counts.items() if more]
        _COUNT.run(self.immediate, rows, self._together)

    def mark(self) -> Mark:
        """Before work that may be undone."""
        return self.head, len(self._told), len(self.skeletons), self._counts.copy()

    def taken(self) -> list[Published] | None:
        """The publications that are new: they are committed. None: who wants them has to look."""
        told, self._told = self._told, []
        bodies, self.bodies = self.bodies, {}
        whole, self._told_all = self._told_all, True
        return [(seq, at, bodies[id]) for seq, (id, at, *_) in told] if whole else None

    def forget(self, mark: Mark) -> None:
        """The work since then is undone, and what it has appended."""
        self.saved.clear()
        self.numbers.clear()
        self._appended.clear()
        self.head, told, skeletons, self._counts = mark
        self.skeletons.forget(skeletons)
        del self._told[told:]
        kept = {row[0] for _, row in self._told}
        self.bodies = {id: body for id, body in self.bodies.items() if id in kept}
