"""How callbacks travel: which connections they take, what they say, what becomes of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from adapter.simulator.access import basic
from tests.simulator.running_simulator import DISCONNECT, ONE, Rig, request, running

Hear = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def listening(hear: Hear) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(hear), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def disconnect(rig: Rig, address: str) -> None:
    """Three callbacks go to the address."""
    await rig.call(DISCONNECT, request(DISCONNECT, ONE, address=address))
    await rig.turn()


async def test_callbacks_to_one_place_share_a_connection_until_it_is_closed() -> None:
    ports: list[int] = []

    async def hear(received: web.BaseRequest) -> web.Response:
        assert received.transport is not None
        ports.append(received.transport.get_extra_info("peername")[1])
        return web.Response(headers={"Connection": "close"} if len(ports) == 3 else None)

    async with listening(hear) as base, running() as rig:
        await disconnect(rig, f"{base}/first")
        await disconnect(rig, f"{base}/second")
    assert len(ports) == 6
    assert len(set(ports[:3])) == len(set(ports[3:])) == 1
    assert ports[2] != ports[3]


async def test_an_address_may_have_a_user_a_query_and_what_must_be_quoted() -> None:
    heard: list[web.BaseRequest] = []

    async def hear(received: web.BaseRequest) -> web.Response:
        heard.append(received)
        return web.Response()

    async with listening(hear) as base, running() as rig:
        place = base.removeprefix("http://")
        await disconnect(rig, f"http://ann:a%20b@{place}/stat us/100%25?of=1")
    assert len(heard) == 3
    for each in heard:
        assert each.headers["Host"] == place
        assert each.headers["Authorization"] == basic("ann", "a b")
        assert each.rel_url.raw_path_qs == "/stat%20us/100%25?of=1"


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    paths: list[str] = []

    async def hear(received: web.BaseRequest) -> web.Response:
        paths.append(received.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with listening(hear) as base, running() as rig:
        await disconnect(rig, f"{base}/status")
        tried = rig.simulator.journal.entries(operation="StatusChanged")
    assert [each["status"] for each in tried] == [307, 307, 307]
    assert set(paths) == {"/status"}


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/silent", "TimeoutError"),
        ("/closes", "ServerDisconnectedError"),
        ("/garbage", "HttpProcessingError"),
        ("/half", ""),
    ],
)
async def test_the_journal_has_why_there_was_no_answer(path: str, error: str) -> None:
    """One that breaks off in its body is an answer: there was a status."""
    said = {
        "/garbage": b"garbage\r\n\r\n",
        "/half": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1",
    }

    async def hear(received: web.BaseRequest) -> web.Response:
        if path == "/silent":
            await asyncio.Event().wait()
        assert received.transport is not None
        received.transport.write(said.get(path, b""))
        received.transport.close()
        return web.Response()

    async with listening(hear) as base, running({"limits": {"callback_timeout_s": 0.05}}) as rig:
        await disconnect(rig, f"{base}{path}")
        tried = rig.simulator.journal.entries(operation="StatusChanged")
    assert len(tried) == 3
    for entry in tried:
        assert entry["status"] == (None if error else 200)
        assert str(entry.get("error", "")).startswith(error)


async def test_a_long_answer_is_read_to_its_end_and_its_connection_is_used_again() -> None:
    ports: set[int] = set()

    async def hear(received: web.BaseRequest) -> web.Response:
        assert received.transport is not None
        ports.add(received.transport.get_extra_info("peername")[1])
        return web.Response(body=bytes(4_000_000))

    async with listening(hear) as base, running() as rig:
        await disconnect(rig, f"{base}/status")
        tried = rig.simulator.journal.entries(operation="StatusChanged")
    assert [each["status"] for each in tried] == [200, 200, 200]
    assert len(ports) == 1


async def test_a_stop_drops_what_is_under_way_and_a_start_sends_again() -> None:
    heard = asyncio.Event()
    silent = True

    async def hear(received: web.BaseRequest) -> web.Response:
        heard.set()
        if silent:
            await asyncio.Event().wait()
        return web.Response()

    async with listening(hear) as base, running() as rig:
        await rig.call(DISCONNECT, request(DISCONNECT, ONE, address=f"{base}/status"))
        turning = asyncio.create_task(rig.turn())
        await heard.wait()
        await rig.simulator.stop()
        await turning
        assert rig.simulator.journal.entries(operation="StatusChanged") == []
        silent = False
        await rig.simulator.start()
        await disconnect(rig, f"{base}/status")
        tried = rig.simulator.journal.entries(operation="StatusChanged")
        assert {each["status"] for each in tried} == {200}
        assert len(tried) >= 3
