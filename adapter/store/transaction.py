"""One transaction of a writing thread, and rows that are written many at a time."""

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Final, TypeAlias

import apsw

from adapter.store.chain import Head
from adapter.store.skeletons import Skeletons

Row: TypeAlias = tuple[int | str | bytes | None, ...]
Mark: TypeAlias = tuple[Head, int, int]
Published: TypeAlias = tuple[int, int, bytes]
"""(number, at, body) of a publication."""

_MOST_AT_ONCE: Final = 32
"""Rows in one statement. Each number of rows is a statement of its own: powers of two are few."""


@dataclass(frozen=True, slots=True, eq=False)
class Many:
    """A statement over several rows: what stands before them, how many columns a row has, and what
    stands behind them. Each is one of its own, and hashed as quickly."""

    before: str
    columns: int
    behind: str = ""
    told: bool = False
    """What it returns of rows that were appended is kept until the transaction is over."""

    def run(self, connection: apsw.Connection, rows: list[Row]) -> list[tuple[Any, ...]]:
        """What it returns of all rows."""
        found: list[tuple[Any, ...]] = []
        start = 0
        while start < len(rows):
            count = min(_MOST_AT_ONCE, 1 << ((len(rows) - start).bit_length() - 1))
            values = tuple(chain.from_iterable(rows[start : start + count]))
            found += connection.execute(_sql(self, count), values)
            start += count
        return found

    def sql(self, rows: int) -> str:
        return _sql(self, rows)


@lru_cache(maxsize=512)
def _sql(many: Many, rows: int) -> str:
    row = f"({', '.join('?' * many.columns)})"
    return f"{many.before} VALUES {', '.join([row] * rows)}{many.behind}"


class Transaction:
    """What an operation of the writing thread works on; `head` is the audit chain's last entry.

    What is appended is written with what others append, before anybody works on `connection`, and
    before the end. So a row that breaks a constraint shows late: then the thread undoes all, and
    runs each operation apart, `careful` not to write such a row.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        head: Head | None = None,
        skeletons: Skeletons | None = None,
    ) -> None:
        self.immediate = connection
        """The connection, for statements about tables to which nothing is appended."""
        self.head = head or Head()
        self.skeletons = skeletons or Skeletons()
        self.careful = False
        self.told: list[tuple[Any, ...]] = []
        """What was returned of rows that were appended, of statements whose rows are `told`."""
        self.bodies: dict[str, bytes] = {}
        """Of publications, by id, as they were before they were compressed."""
        self._appended: defaultdict[Many, list[Row]] = defaultdict(list)

    @property
    def connection(self) -> apsw.Connection:
        """For every statement: what was appended is written."""
        if self._appended:
            self.flush()
        return self.immediate

    def append(self, to: Many, *rows: Row) -> None:
        self._appended[to] += rows

    def flush(self) -> None:
        """Write what was appended."""
        appended, self._appended = self._appended, defaultdict(list)
        for many, rows in appended.items():
            found = many.run(self.immediate, rows)
            if many.told:
                self.told += found

    def mark(self) -> Mark:
        """Before work that may be undone."""
        return self.head, len(self.told), len(self.skeletons)

    def taken(self) -> list[Published]:
        """The publications that are new: they are committed."""
        told, self.told = self.told, []
        bodies, self.bodies = self.bodies, {}
        return [(seq, at, bodies[id]) for seq, at, id in told]

    def forget(self, mark: Mark) -> None:
        """The work since then is undone, and what it has appended."""
        self._appended.clear()
        self.head, told, skeletons = mark
        self.skeletons.forget(skeletons)
        del self.told[told:]
        kept = {id for _, _, id in self.told}
        self.bodies = {id: body for id, body in self.bodies.items() if id in kept}
