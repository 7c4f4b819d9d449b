"""An hour in which one receiver is away, another slow, and the gateway is killed ten times."""

import asyncio
import signal
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from adapter.engine.clock import HandClock
from adapter.feed.selection import Selection
from adapter.server.connections import bind, url_of
from adapter.store.feed import SqliteFeed
from tests.builders import NOON
from tests.engine.feed.feed_process import METERS, MINUTES, NAMES, receivers
from tests.engine.feed.receiving import DeliverySite, a_site
from tests.forked import python, ready

DEATHS = [
    "deliver.before:1", "deliver.after:2", "deliver.settled:3", "deliver.after:1",
    "deliver.before:9", "deliver.after:12", "deliver.settled:20", "store.before_commit:30",
    "store.after_commit:25", "deliver.after:31",
]  # fmt: skip


class Three:
    """The receivers: `away` answers 503 while it is; `slow` answers when `held` is let go."""

    def __init__(self) -> None:
        self.away = True
        self.held = asyncio.Event()
        self.held.set()
        self.taken: dict[str, list[tuple[str, str]]] = {name: [] for name in NAMES}

    async def take(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        event = msgspec.json.decode(await request.read())
        if name == "away" and self.away:
            return web.Response(status=503)
        if name == "slow":
            await self.held.wait()
        self.taken[name].append((event["subject"], event["id"]))
        return web.Response(status=204)

    def in_order(self, name: str) -> dict[str, list[str]]:
        """By meter; what came twice once, as its id says."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for subject, event in dict.fromkeys(self.taken[name]):
            found[subject].append(event)
        return {subject: ids for subject, ids in found.items() if subject.startswith("M")}


@pytest.mark.timeout(600)  # ten starts of a process, on a machine that may be busy
async def test_nothing_is_lost_or_out_of_order_and_the_healthy_receiver_is_not_delayed(
    tmp_path: Path,
) -> None:
    ready()
    three = Three()
    app = web.Application()
    app.router.add_post("/{name}", three.take)
    runner = web.AppRunner(app)
    await runner.setup()
    listening = bind("127.0.0.1", 0)
    await web.SockSite(runner, listening).start()
    url = url_of(listening, tls=False)
    try:
        for life, death in enumerate(DEATHS):
            assert await lived(tmp_path, url, life, death) == -signal.SIGKILL
        await after_it(tmp_path, url, three)
    finally:
        three.held.set()
        await runner.cleanup()


async def lived(folder: Path, url: str, life: int, death: str) -> int:
    arguments = ("tests.engine.feed.feed_process", str(folder), url, str(life))
    status, _ = await asyncio.to_thread(python, *arguments, OPENWAY_CRASH_AT=death)
    return status


async def after_it(folder: Path, url: str, three: Three) -> None:
    clock = HandClock(NOON + timedelta(minutes=MINUTES * len(DEATHS)))
    async with a_site(folder, *receivers(url), clock=clock) as site:
        await site.work("good")
        three.held.clear()
        await site.put("held", subject="M0")  # or it has nothing to post, where it took all before
        slow = asyncio.create_task(site.work("slow"))
        names = [f"last-{number}" for number in range(50)]
        for number, name in enumerate(names):
            await site.put(name, subject=f"M{number % METERS}")
        await site.work("good")
        assert set(names) <= {event for _, event in three.taken["good"]}
        assert not slow.done()
        three.held.set()
        await slow
        assert three.taken["away"] == []
        three.away = False
        await site.pass_time(1200, "away", step_s=30)
        await site.work("slow")
        await site.work("good")
        stored = await all_of(site)
        for name in NAMES:
            assert three.in_order(name) == stored, name
            assert await site.open(name) == []
    assert len(stored["M0"]) >= 12


async def all_of(site: DeliverySite) -> dict[str, list[str]]:
    """What is in the feed, by meter."""
    page = await SqliteFeed(site.store.database).page(0, Selection(), limit=1_000_000)
    assert not page.more
    found: defaultdict[str, list[str]] = defaultdict(list)
    for raw in page.events:
        event = msgspec.json.decode(raw)
        if event["subject"].startswith("M"):
            found[event["subject"]].append(event["id"])
    return dict(found)
