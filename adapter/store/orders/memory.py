"""Orders as they were last stored, kept at hand: a cache, whose loss changes nothing.

What stands here is used where the file says that it is of that version still; its columns that move
without one are read each time.
"""

from collections import OrderedDict
from typing import Final

from adapter.engine.orders.ports import OrderRecord
from adapter.model.ids import OrderId
from adapter.model.values import replace

MOST_REMEMBERED: Final = 5_000
"""Orders and their children in all: some 20 MB."""


class OrderMemory:
    """The orders that were used last, so many that they and their children are at most `most`."""

    def __init__(self, *, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._size = 0
        self._records: OrderedDict[OrderId, OrderRecord] = OrderedDict()
        self._opening = 0

    def of(self, opening: int) -> "OrderMemory":
        """Of a file that was opened so many times: what stood in it before is not asked for."""
        if opening != self._opening:
            self._records.clear()
            self._size, self._opening = 0, opening
        return self

    def get(self, order: OrderId) -> OrderRecord | None:
        found = self._records.get(order)
        if found is not None:
            self._records.move_to_end(order)
        return found

    def put(self, record: OrderRecord) -> None:
        """What was stored or read; never in the place of something newer."""
        before = self._records.pop(record.order.id, None)
        if before is not None:
            self._size -= _size(before)
            if before.version > record.version:
                record = before
        self._records[record.order.id] = record
        self._size += _size(record)
        while self._size > self._most:
            _, oldest = self._records.popitem(last=False)
            self._size -= _size(oldest)

    def woken(self, order: OrderId, version: int) -> None:
        """It has become this version, and nothing of it is another than before."""
        found = self._records.get(order)
        if found is not None and found.version == version - 1:
            self._records[order] = replace(found, version=version)


def _size(record: OrderRecord) -> int:
    return 1 + len(record.children)
