"""Log lines that a flood cannot multiply: so many of a kind in a minute, the rest counted."""

import logging
import time
from typing import Final

_PER_MINUTE: Final = 10
_KINDS: Final = 64


class SeldomLog:
    """At most 10 lines a minute per event name; the next one says how many were left out."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._kinds: dict[str, tuple[float, int]] = {}

    def warning(self, event: str, **fields: object) -> None:
        started, count = self._kinds.get(event, (0.0, 0))
        now = time.monotonic()
        left_out = 0
        if not count or now - started >= 60:
            left_out, started, count = max(count - _PER_MINUTE, 0), now, 0
        count += 1
        if event in self._kinds or len(self._kinds) < _KINDS:
            self._kinds[event] = (started, count)
        if count <= _PER_MINUTE:
            self._log.warning(event, extra={**fields, "left_out": left_out})
