"""Callers that are turned away: how often one address may fail, and which refusals are audited.

Whatever comes, memory and the audit grow by so much a minute and no more. A right key is let in all
the same, from whatever address: nobody can lock a caller out by failing in its name.
"""

from collections import Counter
from datetime import datetime
from typing import Final

_MOST: Final = 4096
_ALL_OTHERS: Final = ""


class PerMinute:
    """Counts by name, within the minute of the clock; names past the first 4,096 share one."""

    def __init__(self) -> None:
        self._minute = 0
        self._counts: Counter[str] = Counter()

    def add(self, name: str, *, now: datetime) -> int:
        """How often it was `name` in this minute, this time included."""
        minute = int(now.timestamp() // 60)
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
        if name not in self._counts and len(self._counts) >= _MOST:
            name = _ALL_OTHERS
        self._counts[name] += 1
        return self._counts[name]


class Audited:
    """Which refusals get a row: a caller's first in a minute, `per_minute` rows in all."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._callers = PerMinute()
        self._rows = PerMinute()
        self._passed_over = 0

    def pick(self, caller: str, *, now: datetime) -> int | None:
        """None: no row for this one; else how many had none since the row before."""
        first = self._callers.add(caller, now=now) == 1
        if not first or self._rows.add("", now=now) > self._per_minute:
            self._passed_over += 1
            return None
        before, self._passed_over = self._passed_over, 0
        return before
