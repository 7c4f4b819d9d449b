"""One lock for each name, for as long as somebody holds or waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class NamedLocks:
    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def holding(self, name: str) -> AsyncIterator[None]:
        """Nobody else in this process holds the name meanwhile."""
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            yield
