"""The publications that were committed last, kept at hand: a cache, whose loss changes nothing.

Whoever is offered every publication as it comes need not read what has just been written.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import islice
from operator import itemgetter
from typing import Final

from adapter.store.transaction import Published

MOST_PUBLICATIONS: Final = 1_000
_MOST_BYTES: Final = 4 * 2**20


class NewestPublications:
    """Those behind a number that moves on as there are more than `most` of them."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._rows: deque[Published] = deque()
        self._bytes = 0
        self._behind: int | None = None
        """All behind this number are at hand; None: nobody has told of any."""

    def put(self, publications: Sequence[Published]) -> None:
        """What was committed, in the order of the commits."""
        if self._behind is None:
            self._behind = publications[0][0] - 1
        for each in publications:
            self._rows.append(each)
            self._bytes += len(each[2])
        while len(self._rows) > self._most or self._bytes > _MOST_BYTES:
            oldest = self._rows.popleft()
            self._bytes -= len(oldest[2])
            self._behind = oldest[0]

    def behind(self, number: int, *, limit: int) -> list[Published] | None:
        """The first of those behind a number; None: that is for the file to tell."""
        if self._behind is None or number < self._behind:
            return None
        first = bisect_right(self._rows, number, key=itemgetter(0))
        return list(islice(self._rows, first, first + limit))

    def clear(self) -> None:
        self._rows.clear()
        self._bytes, self._behind = 0, None
