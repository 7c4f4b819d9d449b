"""aiohttp at both ends, exchanging the bytes of a status check and doing nothing else with them.

python -m bench.sides.bare_aiohttp HEAD_END_URL    answers {"count": n, "at_once": n}

What the gateway sends and is sent for one command: request with callback address, three callbacks,
result. Nothing is parsed, judged, or written down; this is what HTTP by aiohttp costs.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from aiohttp import web

from adapter.commands.calls import Call
from adapter.commands.flows import Operation
from adapter.model.ids import EndpointId
from adapter.wire.codec import packaged_codec
from adapter.wire.operations import request_body
from bench.payloads import ESN

_FIRST: Final = 700_001
_ADDRESS: Final = "http://gateway.example:8101/status"
_CALLBACKS: Final = 3
_ID: Final = re.compile(rb"Id>([^<]+)<")
_XML: Final = {"Content-Type": "text/xml; charset=utf-8"}
_TOKEN: Final = "5b0c7e0e-6d0f-4a55-9a6e-2f6f4a1f0c11"


class Messages:
    """The bytes of the two requests and of the answer to a callback, and where they go."""

    def __init__(self, head_end: str) -> None:
        codec = packaged_codec()
        call = Call(
            operation=Operation.PING,
            endpoints=(EndpointId(f"{ESN}{_FIRST}"),),
            callback=_ADDRESS,
        )
        self.ping = codec.encode_request(Operation.PING, request_body(call))
        self.result = codec.encode_request(Operation.PING_RESULT, {"input": {"Id": _TOKEN}})
        self.taken = codec.encode_response("RequestStatusChangedService.StatusChanged", {})
        self.url = head_end + codec.catalog.spec(Operation.PING).path
        self.headers = {key: _headers(codec.catalog.spec(key).soap_action) for key in _ASKED}

    def ping_for(self, number: int, address: str) -> bytes:
        body = self.ping.replace(str(_FIRST).encode(), str(_FIRST + number).encode())
        return body.replace(_ADDRESS.encode(), address.encode())


_ASKED: Final = (Operation.PING, Operation.PING_RESULT)


def _headers(action: str) -> Mapping[str, str]:
    return {**_XML, "SOAPAction": f'"{action}"'}


class Exchanges:
    """Commands under way: how many callbacks of each have come."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages
        self._came: dict[str, int] = {}
        self._ended: dict[str, asyncio.Event] = {}
        self.address = ""

    async def callback(self, request: web.Request) -> web.Response:
        await request.read()
        number = request.match_info["number"]
        self._came[number] = self._came.get(number, 0) + 1
        if self._came[number] == _CALLBACKS:
            self._ended[number].set()
        return web.Response(body=self._messages.taken, headers=_XML)

    async def one(self, session: aiohttp.ClientSession, number: int) -> None:
        name, messages = str(number), self._messages
        self._came.pop(name, None)
        ended = self._ended[name] = asyncio.Event()
        body = messages.ping_for(number, f"{self.address}/{name}")
        token = _ID.search(await self._post(session, Operation.PING, body))
        assert token is not None
        await ended.wait()
        body = messages.result.replace(_TOKEN.encode(), token[1])
        await self._post(session, Operation.PING_RESULT, body)

    async def _post(
        self, session: aiohttp.ClientSession, operation: Operation, body: bytes
    ) -> bytes:
        headers = self._messages.headers[operation]
        async with session.post(self._messages.url, data=body, headers=headers) as reply:
            if reply.status != 200:
                raise SystemExit(f"{operation}: HTTP {reply.status}")
            return await reply.read()


async def run(exchanges: Exchanges, *, count: int, at_once: int) -> dict[str, Any]:
    places, latencies = asyncio.Semaphore(at_once), list[float]()

    async def one(session: aiohttp.ClientSession, number: int) -> None:
        async with places:
            started = time.perf_counter()
            await exchanges.one(session, number)
            latencies.append(time.perf_counter() - started)

    connector = aiohttp.TCPConnector(limit=64)
    cpu, started = time.process_time(), time.perf_counter()
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(one(session, number) for number in range(count)))
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "cpu_s": time.process_time() - cpu, "latencies": [latencies]}


async def serve(head_end: str) -> None:
    exchanges = Exchanges(Messages(head_end))
    app = web.Application()
    app.router.add_post("/openway/status/{number}", exchanges.callback)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    exchanges.address = f"http://127.0.0.1:{runner.addresses[0][1]}/openway/status"
    print(json.dumps({}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await run(exchanges, **json.loads(line))), flush=True)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
