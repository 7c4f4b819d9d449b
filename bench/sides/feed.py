"""A store of events, read raw, served by REST, and posted to a receiver; each is measured here.

python -m bench.sides.feed FOLDER COUNT RECEIVER    says {"url": ..., "count": n}

{"do": "raw"} reads all pages of 1,000; {"do": "post"} has the loop of a receiver post all,
{"do": "bare"} has a plain aiohttp client post the same bodies. Each answers with `seconds` and
`cpu_s`.
"""

import asyncio
import base64
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import aiohttp

from adapter.commands.activity import Activity, Command, CommandRequest, Outcome, State, Target
from adapter.commands.effects import Publish
from adapter.commands.flows import CommandKind
from adapter.engine.clock import SystemClock
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.ports import Change
from adapter.engine.commands.publications import publications
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.feed.deliveries import ReceiverLoop
from adapter.engine.feed.ports import ReceiverState
from adapter.feed.selection import Selection
from adapter.headend.settings import HeadEndSettings
from adapter.model.ids import CommandId, DeviceId, EndpointId
from adapter.model.secret import Secret
from adapter.server import event_loop
from adapter.server.settings import ApiKey, RestSettings, Role
from adapter.service.assembly import connect
from adapter.store.commands.commands import SqliteStore
from adapter.store.feed_deliveries import SqliteDeliveries
from adapter.web.api.rest import Rest
from adapter.webhooks.envelope import envelope
from adapter.webhooks.sender import WebhookReceiver
from adapter.webhooks.settings import EventForm, ReceiverSettings
from adapter.wire.codec import packaged_codec

TOKEN: Final = "bench-" + "0" * 32
AT_ONCE: Final = 16
_KEY: Final = Secret("whsec_" + base64.b64encode(b"b" * 32).decode())
_NOON: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)


def ended(number: int) -> Command:
    """A command of which three events are told."""
    device = f"M{number:06}"
    activity = Activity(
        id=CommandId(f"01kjq6psg1{number:016}"),
        created_at=_NOON,
        effective_at=_NOON,
        expires_at=_NOON + timedelta(hours=1),
        state=State.COMPLETED,
        outcome=Outcome.SUCCEEDED,
        finished_at=_NOON,
    )
    request = CommandRequest(
        kind=CommandKind.REMOTE_DISCONNECT,
        devices=(DeviceId(device),),
        requester="cis",
        reference=f"case-{number}",
    )
    target = Target(device=DeviceId(device), endpoint=EndpointId(f"2.16.840.1.{number}"))
    return Command(request=request, targets=(target,), activity=activity)


async def filled(folder: Path, count: int) -> SqliteStore:
    store = SqliteStore(folder / "feed.db", now=SystemClock().now)
    await store.open()
    told = [
        Publish(name="received"),
        Publish(name="completion.D1-DisconnectDevice"),
        Publish(name="completed"),
    ]
    for start in range(0, count, 3_000):
        some = range(start // 3, min(start + 3_000, count) // 3)
        made = tuple(event for number in some for event in publications(ended(number), told))
        await store.save([Change(publications=made)])
    return store


async def raw(rows: SqliteDeliveries) -> int:
    after, read = 0, 0
    while True:
        page = await rows.page(after, Selection(), limit=1_000)
        after, read = page.next, read + len(page.events)
        if not page.more:
            return read


async def posted(loop: ReceiverLoop) -> int:
    await loop.start(ReceiverState(name="bench", seq=0))
    count = 0
    while made := await loop.once():
        count += made
    assert not loop.waiting
    return count


async def bare(url: str, bodies: Sequence[bytes]) -> int:
    """The same bodies by a plain client, with as many posts under way."""
    left = iter(bodies)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:

        async def worker() -> None:
            for body in left:
                async with session.post(url, data=body) as response:
                    await response.read()

        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return len(bodies)


async def serve(folder: Path, count: int, url: str) -> None:
    async with AsyncExitStack() as stack:
        store = await filled(folder, count)
        stack.push_async_callback(store.close)
        clock, rows = SystemClock(), SqliteDeliveries(store.database)
        core = connect(
            store=store,
            codec=packaged_codec(),
            head_end=HeadEndSettings(base_url="http://127.0.0.1:9"),
            identity=CallbackIdentity("http://127.0.0.1:9", (b"bench" * 8,)),
            settings=CommandSettings(),
            clock=clock,
        )
        keys = (ApiKey.of("bench", TOKEN, Role.READ),)
        rest = await stack.enter_async_context(Rest(core.gateway, RestSettings(keys=keys)))
        await rows.receivers(["bench"])
        settings = ReceiverSettings(name="bench", url=url, keys=(_KEY,), at_once=AT_ONCE)
        receiver = WebhookReceiver(settings, clock)
        stack.push_async_callback(receiver.close)
        loop = ReceiverLoop(receiver, rows, clock, alarm_after=timedelta(days=36_500))
        page = await rows.page(0, Selection(), limit=count)
        bodies = [envelope(event, EventForm.STRUCTURED).body for event in page.events]
        work: Mapping[str, Callable[[], Awaitable[int]]] = {
            "raw": lambda: raw(rows),
            "post": lambda: posted(loop),
            "bare": lambda: bare(url, bodies),
        }
        print(json.dumps({"url": rest.url, "count": len(bodies)}), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            began, cpu = time.perf_counter(), time.process_time()
            made = await work[json.loads(line)["do"]]()
            answer = {
                "count": made,
                "seconds": time.perf_counter() - began,
                "cpu_s": time.process_time() - cpu,
            }
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    event_loop.run(serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
