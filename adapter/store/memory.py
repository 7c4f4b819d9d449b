"""What was last stored, kept at hand: a cache, whose loss changes nothing.

Whoever saves a command that moved meanwhile is refused by its version, whatever stood here; then
it is forgotten and read again. Of an order what stands here is used where the file says that it is
of that version still; its columns that move without one are read each time.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, Generic, Protocol, TypeVar

from adapter.commands.activity import Command
from adapter.engine.orders.ports import OrderRecord
from adapter.model.ids import CommandId, OrderId

MOST_COMMANDS: Final = 60_000
"""Commands and their meters in all: some 30 MB."""
MOST_ORDERS: Final = 5_000
"""Orders and their children in all: some 20 MB."""


class _Versioned(Protocol):
    @property
    def version(self) -> int: ...


_Key = TypeVar("_Key", bound=str)
_Row = TypeVar("_Row", bound=_Versioned)


class VersionMemory(Generic[_Key, _Row]):
    """The rows that were used last, so many that their sizes are at most `most` in all."""

    def __init__(
        self, key: Callable[[_Row], _Key], size: Callable[[_Row], int], *, most: int
    ) -> None:
        self._key = key
        self._size_of = size
        self._most = most
        self._size = 0
        self._rows: OrderedDict[_Key, _Row] = OrderedDict()

    def get(self, key: _Key) -> _Row | None:
        found = self._rows.get(key)
        if found is not None:
            self._rows.move_to_end(key)
        return found

    def as_of(self, key: _Key, version: int) -> _Row | None:
        """The row as it was stored with this version, where that is at hand."""
        found = self._rows.get(key)
        return found if found is not None and found.version == version else None

    def put(self, rows: Iterable[_Row]) -> None:
        """What was stored or read; never in the place of something newer."""
        for each in rows:
            row, key = each, self._key(each)
            before = self._rows.get(key)
            if before is not None:
                self._size -= self._size_of(before)
                if before.version > row.version:
                    row = before
            self._rows[key] = row
            self._rows.move_to_end(key)
            self._size += self._size_of(row)
        while self._size > self._most:
            _, oldest = self._rows.popitem(last=False)
            self._size -= self._size_of(oldest)

    def forget(self, key: _Key) -> None:
        found = self._rows.pop(key, None)
        if found is not None:
            self._size -= self._size_of(found)

    def clear(self) -> None:
        self._rows.clear()
        self._size = 0


def command_memory(*, most: int = MOST_COMMANDS) -> VersionMemory[CommandId, Command]:
    return VersionMemory(lambda row: row.activity.id, lambda row: 10 + len(row.targets), most=most)


def order_memory(*, most: int = MOST_ORDERS) -> VersionMemory[OrderId, OrderRecord]:
    return VersionMemory(lambda row: row.order.id, lambda row: 1 + len(row.children), most=most)
