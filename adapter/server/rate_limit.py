"""How often something may happen in a minute: failing callers, audited refusals, log lines.

Whatever comes, memory, log and audit grow by so much a minute and no more. A right key is let in
all the same, from whatever address: nobody can lock a caller out by failing in its name.
"""

import logging
import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Final

_MOST_NAMES: Final = 4096
_ALL_OTHERS: Final = ""
_LINES_PER_MINUTE: Final = 10


class RateLimit:
    """Lets each name through so often within a minute of the clock that `take` is told, in
    seconds. Names past the first 4,096 of a minute share one."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._minute = 0
        self._counts: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()

    def take(self, name: str, now_s: float) -> int | None:
        """None: once too often. Else how many of the name were left out since it last came through,
        in minutes before this one."""
        minute = int(now_s // 60)
        if minute != self._minute:
            self._begin(minute)
        if name not in self._counts and len(self._counts) >= _MOST_NAMES:
            name = _ALL_OTHERS
        self._counts[name] += 1
        return None if self._counts[name] > self._per_minute else self._left_out.pop(name, 0)

    def _begin(self, minute: int) -> None:
        for name, count in self._counts.items():
            known = name in self._left_out or len(self._left_out) < _MOST_NAMES
            if known and count > self._per_minute:
                self._left_out[name] += count - self._per_minute
        self._minute = minute
        self._counts.clear()


class LimitedLog:
    """At most 10 lines a minute per event name; the next one says how many were left out."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._limit = RateLimit(_LINES_PER_MINUTE)

    def info(self, event: str, **fields: object) -> None:
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._write(logging.WARNING, event, fields)

    def _write(self, level: int, event: str, fields: Mapping[str, object]) -> None:
        left_out = self._limit.take(event, time.monotonic())
        if left_out is not None:
            self._log.log(level, event, extra={**fields, "left_out": left_out})


class AuditedRefusals:
    """Which refusals get a row: a caller's first in a minute, `per_minute` rows in all."""

    def __init__(self, per_minute: int) -> None:
        self._callers = RateLimit(1)
        self._rows = RateLimit(per_minute)
        self._passed_over = 0

    def pick(self, caller: str, *, now: datetime) -> int | None:
        """None: no row for this one; else how many had none since the row before."""
        now_s = now.timestamp()
        again = self._callers.take(caller, now_s) is None
        if again or self._rows.take("", now_s) is None:
            self._passed_over += 1
            return None
        before, self._passed_over = self._passed_over, 0
        return before
