"""How late the event loop is: what should run now runs so much later."""

import asyncio
from typing import Final

_EVERY_S: Final = 0.5


class LoopLag:
    """Looks twice a second, from `start` to `stop`."""

    def __init__(self) -> None:
        self.last_s = 0.0
        self._longest_s = 0.0
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._due_s = loop.time() + _EVERY_S
        self._timer = loop.call_at(self._due_s, self._look, loop)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def longest(self) -> float:
        """In seconds, since this was asked last."""
        longest, self._longest_s = self._longest_s, 0.0
        return longest

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self.last_s = max(loop.time() - self._due_s, 0.0)
        self._longest_s = max(self._longest_s, self.last_s)
        self.start()
