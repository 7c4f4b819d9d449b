"""Callers that wait until something rests: a command, or an order."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_LOOK_EVERY_S: Final = 30.0
"""Every save wakes who waits; that it should not is not believed for ever."""


class Watchers(Generic[K, V]):
    """The save that brings it to rest wakes them. `rests` says of what was saved, or seen, whether
    it is final or needs a person."""

    def __init__(self, rests: Callable[[V], bool]) -> None:
        self._rests = rests
        self._waiting: dict[K, set[asyncio.Future[V | None]]] = {}

    def changed(self, id_: K, value: V) -> None:
        """It was saved."""
        if id_ not in self._waiting or not self._rests(value):
            return
        for ended in self._waiting[id_]:
            _tell(ended, value)

    async def wait(self, id_: K, look: Callable[[K], Awaitable[V]], *, timeout_s: float) -> V:
        """What `look` sees when it rests, or after `timeout_s` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            ended: asyncio.Future[V | None] = loop.create_future()
            waiting = self._waiting.setdefault(id_, set())
            waiting.add(ended)
            try:
                found = await look(id_)
                left = deadline - loop.time()
                if self._rests(found) or left <= 0:
                    return found
                alarm = loop.call_later(min(left, _LOOK_EVERY_S), _tell, ended, None)
                try:
                    saved = await ended
                finally:
                    alarm.cancel()
            finally:
                waiting.discard(ended)
                if not waiting:
                    del self._waiting[id_]
            if saved is not None:
                return saved


def _tell(ended: asyncio.Future[V | None], value: V | None) -> None:
    """None: time to look again."""
    if not ended.done():
        ended.set_result(value)
