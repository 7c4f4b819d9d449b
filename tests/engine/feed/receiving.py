"""A system that events are posted to, on loopback: it keeps what comes, and does as it is told."""

import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from adapter.engine.clock import HandClock
from adapter.engine.commands.ports import Change, Clock
from adapter.engine.feed.deliveries import EventDeliveries, ReceiverLoop
from adapter.model.secret import Secret
from adapter.server.connections import bind, url_of
from adapter.store.commands.commands import SqliteStore
from adapter.store.feed_deliveries import SqliteDeliveries
from adapter.webhooks.sender import WebhookReceiver
from adapter.webhooks.settings import CallbackReceiverSettings, ReceiverSettings
from tests.builders import NOON, a_publication
from tests.new_stores import new_store

SECRET: Final = "whsec_" + base64.b64encode(b"k" * 32).decode()
OLD: Final = "whsec_" + base64.b64encode(b"o" * 32).decode()


@dataclass
class Posted:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.body)
        return found


@dataclass
class ReceivingSystem:
    """`answer` is the status for each post; `taken` are the events that were answered 2xx."""

    url: str = ""
    posts: list[Posted] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    answer: Callable[[Posted], int] = lambda posted: 204
    headers: dict[str, str] = field(default_factory=dict)

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        posted = Posted(request.path, headers, await request.read())
        self.posts.append(posted)
        status = self.answer(posted)
        if 200 <= status < 300:
            self.taken.append(posted.event)
        return web.Response(status=status, headers=self.headers)

    @property
    def ids(self) -> list[str]:
        """Of what was taken; what came twice once, as its id says."""
        return list(dict.fromkeys(each["id"] for each in self.taken))

    def of(self, subject: str) -> list[str]:
        """The same, of what was about one thing."""
        mine = (each["id"] for each in self.taken if each["subject"] == subject)
        return list(dict.fromkeys(mine))


@asynccontextmanager
async def a_system() -> AsyncIterator[ReceivingSystem]:
    system = ReceivingSystem()
    app = web.Application()
    app.router.add_post("/{path:.*}", system.take)
    runner = web.AppRunner(app)
    await runner.setup()
    listening = bind("127.0.0.1", 0)
    system.url = url_of(listening, tls=False) + "/hook"
    await web.SockSite(runner, listening).start()
    try:
        yield system
    finally:
        await runner.cleanup()


def a_receiver(url: str, name: str = "cis", **changes: Any) -> ReceiverSettings:
    given: dict[str, Any] = {"name": name, "url": url, "keys": (Secret(SECRET),), **changes}
    return ReceiverSettings(**given)


@dataclass
class DeliverySite:
    store: SqliteStore
    clock: HandClock
    deliveries: EventDeliveries

    def loop(self, name: str = "cis") -> ReceiverLoop:
        return self.deliveries.of(name)

    async def put(self, *names: str, **changes: Any) -> None:
        """Events, each in a transaction of its own."""
        for name in names:
            made = a_publication(name, **changes)
            await self.store.save([Change(publications=(made,))])

    async def work(self, name: str = "cis") -> None:
        """Until nothing is due."""
        while await self.loop(name).once():
            pass

    async def pass_time(self, seconds: float, name: str = "cis", *, step_s: float = 60.0) -> None:
        """Time passes in steps, and what is due is posted in each."""
        left = seconds
        while left > 0:
            await self.clock.turn(self.clock.now() + timedelta(seconds=min(left, step_s)))
            await self.work(name)
            left -= step_s

    async def open(self, name: str = "cis", dead: bool | None = None) -> list[int]:
        found = await self.deliveries.not_taken(name, dead=dead, limit=10_000)
        return [each.seq for each in found]


@asynccontextmanager
async def a_site(
    folder: Path,
    *receivers: ReceiverSettings | CallbackReceiverSettings,
    clock: HandClock | None = None,
    signing: Clock | None = None,
) -> AsyncIterator[DeliverySite]:
    """`signing` is the clock of signatures, where that is another one."""
    clock = clock or HandClock(NOON)
    async with AsyncExitStack() as stack:
        store = SqliteStore(new_store(folder / "gateway.db"), now=clock.now)
        await store.open()
        stack.push_async_callback(store.close)
        made: Sequence[WebhookReceiver] = [
            WebhookReceiver(each, signing or clock) for each in receivers
        ]
        deliveries = EventDeliveries(
            made, SqliteDeliveries(store.database), clock, alarm_after=timedelta(minutes=15)
        )
        await deliveries.start()
        stack.push_async_callback(deliveries.stop)
        yield DeliverySite(store, clock, deliveries)
