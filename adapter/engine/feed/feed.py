"""The events of the gateway in one order, for whoever asks from outside."""

import asyncio
import zlib
from typing import Final

from adapter.engine.feed.deliveries import EventDeliveries
from adapter.engine.feed.ports import FeedBounds, FeedPage, FeedStore
from adapter.errors import Conflict
from adapter.feed.selection import Selection

_LOOK_EVERY_S: Final = 30.0
"""Every save of an event wakes who waits; that it should not is not believed for ever."""


def cursor_of(seq: int, id_: str) -> str:
    """Of the event of that number and id."""
    return f"{seq}-{zlib.crc32(id_.encode()):08x}"


class Feed:
    """All events that were stored, each with its number and its fixed id, oldest first.

    The numbers rise in the order of the commits, so that a cursor never passes one that comes
    later. Raises Conflict for a cursor that was never given, NotKept for one whose events are gone.
    """

    def __init__(self, store: FeedStore, deliveries: EventDeliveries) -> None:
        self._store = store
        self.deliveries = deliveries
        """Events to the systems that they are posted to."""
        self._news = asyncio.Event()
        self._saves = 0
        self.waits = True
        """False while the gateway stops: whoever waits gets what there is."""
        self._asked: dict[tuple[int, Selection, int, int], asyncio.Task[FeedPage]] = {}

    def saved(self) -> None:
        """Events were committed."""
        self._saves += 1
        self._news.set()
        self._news = asyncio.Event()

    def let_wait(self, allowed: bool) -> None:
        """Whether callers may wait; those who do get what there is when it is no longer allowed."""
        self.waits = allowed
        self.saved()

    async def bounds(self) -> FeedBounds:
        """The oldest event that is kept, and the newest."""
        return await self._store.bounds()

    async def cursor(self, seq: int) -> str:
        """What stands for the place behind the event of that number: the number, and a mark of the
        event, by which a store that was restored from an older copy shows."""
        known = await self._store.id_of(seq)
        return str(seq) if known is None else cursor_of(seq, known)

    async def place(self, cursor: str) -> int:
        """The number in a cursor. Raises Conflict where another event has it now."""
        number, _, mark = cursor.partition("-")
        seq = int(number)
        known = await self._store.id_of(seq) if mark else None
        if known is not None and cursor_of(seq, known) != cursor:
            raise Conflict(
                f"another event has the number {seq} now: was the store restored from an older "
                "copy? Begin where you know all events by their ids"
            )
        return seq

    async def page(
        self, after: int, wanted: Selection, *, limit: int, wait_s: float = 0.0
    ) -> FeedPage:
        """Up to `limit` events behind the number `after`; where there is none, the first that come
        within `wait_s` seconds, or none."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while True:
            news = self._news
            page = await self._look(after, wanted, limit)
            left = deadline - loop.time()
            if page.events or left <= 0 or not self.waits:
                return page
            after = page.next
            if page.more:
                continue
            try:
                async with asyncio.timeout(min(left, _LOOK_EVERY_S)):
                    await news.wait()
            except TimeoutError:
                pass

    async def _look(self, after: int, wanted: Selection, limit: int) -> FeedPage:
        """Those who wait for the same share one look: it began after the save that woke them."""
        key = (after, wanted, limit, self._saves)
        task = self._asked.get(key)
        if task is None:
            look = self._store.page(after, wanted, limit=limit)
            task = self._asked[key] = asyncio.get_running_loop().create_task(look)
            task.add_done_callback(lambda done: self._asked.pop(key, None))
        return await asyncio.shield(task)
