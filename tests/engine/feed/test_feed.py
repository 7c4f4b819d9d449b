"""Who waits for events is woken by their save, and those who wait for the same look once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from adapter.engine.clock import HandClock
from adapter.engine.commands.ports import Change
from adapter.engine.feed.deliveries import EventDeliveries
from adapter.engine.feed.feed import Feed
from adapter.engine.feed.ports import FeedPage
from adapter.errors import InvalidRequest
from adapter.feed.selection import Selection, TypePatterns
from adapter.store.commands.commands import SqliteStore
from adapter.store.feed import SqliteFeed
from adapter.store.feed_deliveries import SqliteDeliveries
from tests.builders import NOON, a_publication
from tests.new_stores import new_store

ORDERS = Selection(types=TypePatterns.of(["openway.order.*"]))


class CountingFeed(SqliteFeed):
    looks = 0

    async def page(self, after: int, wanted: Selection, *, limit: int) -> FeedPage:
        self.looks += 1
        return await super().page(after, wanted, limit=limit)


@asynccontextmanager
async def a_feed(folder: Path) -> AsyncIterator[tuple[SqliteStore, CountingFeed, Feed]]:
    clock = HandClock(NOON)
    store = SqliteStore(new_store(folder / "gateway.db"), now=clock.now)
    await store.open()
    rows = CountingFeed(store.database)
    nobody = EventDeliveries((), SqliteDeliveries(store.database), clock, alarm_after=timedelta(1))
    feed = Feed(rows, nobody)
    store.database.published = feed.saved
    try:
        yield store, rows, feed
    finally:
        await store.close()


async def put(store: SqliteStore, name: str, type_: str = "openway.command.received") -> None:
    await store.save([Change(publications=(a_publication(name, type=type_),))])


async def asleep(feed: Feed) -> None:
    """Whoever has asked has looked, and waits: questions are answered one after the other."""
    await feed.bounds()
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_save_wakes_and_forty_who_wait_for_the_same_look_once(tmp_path: Path) -> None:
    async with a_feed(tmp_path) as (store, rows, feed):
        many = [
            asyncio.create_task(feed.page(0, Selection(), limit=10, wait_s=40)) for _ in range(40)
        ]
        await asleep(feed)
        assert rows.looks == 1
        assert not any(task.done() for task in many)
        await put(store, "a")
        pages = await asyncio.wait_for(asyncio.gather(*many), 20)
        assert rows.looks == 2
        assert all(page == pages[0] and len(page.events) == 1 for page in pages)


async def test_what_is_not_wanted_wakes_nobody_for_good(tmp_path: Path) -> None:
    async with a_feed(tmp_path) as (store, _, feed):
        waiting = asyncio.create_task(feed.page(0, ORDERS, limit=10, wait_s=40))
        await asleep(feed)
        for number in range(3):
            await put(store, f"command-{number}")
        await asleep(feed)
        assert not waiting.done()
        await put(store, "order", "openway.order.completed")
        page = await asyncio.wait_for(waiting, 20)
        assert len(page.events) == 1
        assert page.next == (await feed.bounds()).newest


async def test_one_of_many_who_goes_takes_no_look_from_the_others(tmp_path: Path) -> None:
    async with a_feed(tmp_path) as (store, _, feed):
        first, other = [
            asyncio.create_task(feed.page(0, Selection(), limit=10, wait_s=40)) for _ in range(2)
        ]
        first.cancel()
        await asleep(feed)
        await put(store, "a")
        assert len((await asyncio.wait_for(other, 20)).events) == 1


@pytest.mark.parametrize("pattern", ["", "a b", "a*b", "**", "openway/x", "é"])
def test_a_type_is_a_name_or_how_names_begin(pattern: str) -> None:
    with pytest.raises(InvalidRequest):
        TypePatterns.of([pattern])
