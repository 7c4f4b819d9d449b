"""Callbacks a second with a durable answer, beside a listener that parses with zeep only."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import aiohttp
from aiohttp import web
from lxml import etree

from adapter.engine.clock import SystemClock
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.settings import CommandSettings
from adapter.headend.settings import HeadEndSettings
from adapter.model.ids import CommunicationId
from adapter.server.connections import bind, url_of
from adapter.service.app import running
from adapter.service.assembly import connect
from adapter.service.settings import Api, Settings
from adapter.store.commands.commands import SqliteStore
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec
from bench.report import Rate

_KEY = "RequestStatusChangedService.StatusChanged"
_CONNECTIONS = 32
_IDENTITY_KEY = b"bench" * 8


def status_message(codec: Codec, number: int) -> bytes:
    status = {
        "RequestToken": {"Id": str(UUID(int=number + 1))},
        "State": "Executing",
        "EndpointsScheduled": 1,
        "Result": "Pending",
        "SuccessfulEndpoints": 0,
        "FailedEndpoints": 0,
        "CreatedWhen": "2026-11-21T10:00:00Z",
    }
    return codec.encode_request(_KEY, {"input": {"RequestStatus": status}})


async def _post(name: str, url: Callable[[int], str], bodies: list[bytes]) -> Rate:
    """Send all bodies over a fixed number of connections."""
    action = '"http://www.itron.com/ami/2008/10/common/RequestStatusChangedService/StatusChanged"'
    headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": action}
    latencies: list[float] = []
    numbers = iter(range(len(bodies)))

    async def client(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            started = time.perf_counter()
            async with session.post(url(number), data=bodies[number], headers=headers) as reply:
                await reply.read()
                if reply.status != 200:
                    raise SystemExit(f"{name}: HTTP {reply.status}")
            latencies.append(time.perf_counter() - started)

    connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as session:
        started = time.perf_counter()
        await asyncio.gather(*(client(session) for _ in range(_CONNECTIONS)))
        seconds = time.perf_counter() - started
    return Rate(name=name, count=len(bodies), seconds=seconds, latencies=latencies)


async def _baseline(codec: Codec, bodies: list[bytes]) -> Rate:
    element = codec.catalog.document(_KEY).types.get_element(
        "{http://www.itron.com/ami/2008/10/common}StatusChanged"
    )
    schema = codec.catalog.document(_KEY).types

    async def handle(request: web.Request) -> web.Response:
        body = etree.fromstring(await request.read())[0][0]
        element.parse(body, schema)  # type: ignore[no-untyped-call]
        return web.Response(body=b"<ok/>", content_type="text/xml")

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        name = "aiohttp and zeep parsing, nothing stored"
        return await _post(name, lambda number: f"http://127.0.0.1:{port}/", bodies)
    finally:
        await runner.cleanup()


async def _ours(codec: Codec, bodies: list[bytes], folder: Path) -> Rate:
    clock = SystemClock()
    listening = bind("127.0.0.1", 0)
    store = SqliteStore(folder / "bench.db", now=clock.now)
    await store.open()
    identity = CallbackIdentity(url_of(listening, tls=False), (_IDENTITY_KEY,))
    core = connect(
        store=store,
        codec=codec,
        head_end=HeadEndSettings(base_url="http://127.0.0.1:9"),
        identity=identity,
        settings=CommandSettings(),
        clock=clock,
    )
    try:
        async with running(core, Settings(api=Api(port=0)), listening, clock):
            name = "listener: judged, durable on SQLite, answered"
            rate = await _post(
                name, lambda number: identity.address(CommunicationId(f"bench-{number}")), bodies
            )
            kept = (await core.gateway.upkeep.ledger()).received
            if kept != len(bodies):
                raise SystemExit(f"{kept} of {len(bodies)} callbacks are in the inbox")
            return rate
    finally:
        await store.close()


async def _both(count: int) -> tuple[Rate, Rate]:
    codec = Codec(Catalog.load())
    bodies = [status_message(codec, number) for number in range(count)]
    steps: list[Callable[[], Awaitable[Rate]]] = [lambda: _baseline(codec, bodies)]
    with tempfile.TemporaryDirectory() as temporary:
        steps.append(lambda: _ours(codec, bodies, Path(temporary)))
        baseline, ours = [await step() for step in steps]
    return baseline, ours


def measure(count: int) -> tuple[Rate, Rate]:
    return asyncio.run(_both(count))
