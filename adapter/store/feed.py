"""The feed in SQLite: publications in their one order, passed on as they are stored."""

from typing import Any, Final

import msgspec

from adapter.engine.feed.ports import FeedBounds, FeedPage
from adapter.errors import Conflict, NotKept
from adapter.feed.selection import Selection
from adapter.store.compression import PLAIN, expanded
from adapter.store.connection import SqlConnection
from adapter.store.database import Database
from adapter.store.rows import moment

_MOST_LOOKED_AT: Final = 10_000
"""So many rows one look passes over to find those that are wanted."""

NEWEST: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'publication'"
OLDEST: Final = "SELECT min(seq) FROM publication"
ID: Final = "SELECT id FROM publication WHERE seq = ?"
ROWS: Final = "SELECT seq, at, form, body FROM publication WHERE seq > ? ORDER BY seq LIMIT ?"


class _Head(msgspec.Struct):
    """What tells whether an event is wanted."""

    type: str
    subject: str


_head_of: Final = msgspec.json.Decoder(_Head).decode


class SqliteFeed:
    """The FeedStore port over a Database."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def bounds(self) -> FeedBounds:
        return await self._store.feed(_bounds)

    async def id_of(self, seq: int) -> str | None:
        return await self._store.feed(lambda db: db.execute(ID, (seq,)).get)

    async def page(self, after: int, wanted: Selection, *, limit: int) -> FeedPage:
        return await self._store.feed(lambda db: _page(db, after, wanted, limit))


def _bounds(db: SqlConnection) -> FeedBounds:
    return FeedBounds(oldest=db.execute(OLDEST).get, newest=db.execute(NEWEST).get or 0)


def _page(db: SqlConnection, after: int, wanted: Selection, limit: int) -> FeedPage:
    check_cursor(after, _bounds(db))
    events: list[bytes] = []
    unreadable: list[int] = []
    seen, last = 0, after
    most = limit if wanted.everything else _MOST_LOOKED_AT
    for row in db.execute(ROWS, (after, most)):
        seen, last = seen + 1, row[0]
        try:
            event = _event(row, wanted)
        except Exception:  # whatever stands in a row: the publisher notes what it cannot read
            unreadable.append(last)
            continue
        if event is not None:
            events.append(event)
            if len(events) == limit:
                break
    more = len(events) == limit or seen == most
    return FeedPage(events=events, next=last, more=more, unreadable=unreadable)


def check_cursor(after: int, bounds: FeedBounds) -> None:
    """Raises Conflict for a number that no event had yet: the store is older than who asks. Raises
    NotKept where events behind it were removed."""
    if after > bounds.newest:
        raise Conflict(
            f"no event has the number {after}, the newest is {bounds.newest}: "
            "was the store restored from an older copy?"
        )
    first = bounds.newest + 1 if bounds.oldest is None else bounds.oldest
    if 0 < after < first - 1:
        raise NotKept(f"events behind {after} are no longer kept; the oldest is behind {first - 1}")


def _event(row: tuple[Any, ...], wanted: Selection) -> bytes | None:
    """None: not wanted."""
    if wanted.everything:
        return event_of(row)
    seq, at, form, body = row
    plain = expanded(form, body)
    head = _head_of(plain)
    return event_of((seq, at, PLAIN, plain)) if wanted.fits(head.type, head.subject) else None


def event_of(row: tuple[Any, ...]) -> bytes:
    """The stored object with its number and time before its own members."""
    seq, at, form, body = row
    plain = expanded(form, body)
    return b'{"seq":%d,"at":%b,%b' % (seq, msgspec.json.encode(moment(at)), plain[1:])
