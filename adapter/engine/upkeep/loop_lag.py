"""How late the event loop is: what should run now runs so much later."""

import asyncio
from typing import Final

_EVERY_S: Final = 0.5
_LOOKS: Final = 120
"""Of a minute."""


class LoopLag:
    """Looks twice a second, from `start` to `stop`."""

    def __init__(self) -> None:
        self.last_s = 0.0
        self._longest_s = [0.0, 0.0]
        """In this minute, and in the one before."""
        self._looks = 0
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
        """In seconds, in the last minute or two: whoever asks, and however often."""
        return max(self._longest_s)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self.last_s = max(loop.time() - self._due_s, 0.0)
        self._looks += 1
        if self._looks % _LOOKS == 0:
            self._longest_s = [0.0, self._longest_s[0]]
        self._longest_s[0] = max(self._longest_s[0], self.last_s)
        self.start()
