"""What the feed needs of a store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from adapter.feed.selection import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """Some events in their order, each as JSON. `next` is the cursor behind them and behind what
    was looked at and not wanted; `more`: the look ended before the newest event. `unreadable` are
    the numbers of events whose rows are damaged."""

    events: Sequence[bytes]
    next: int
    more: bool
    unreadable: Sequence[int] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedBounds:
    """Numbers of the oldest event that is kept (None: none is) and of the newest that ever was."""

    oldest: int | None
    newest: int


class FeedStore(Protocol):
    async def bounds(self) -> FeedBounds: ...

    async def page(self, after: int, wanted: Selection, *, limit: int) -> FeedPage:
        """The first events behind `after`. Raises Conflict where there was never one of that
        number, NotKept where the ones behind it were removed."""
