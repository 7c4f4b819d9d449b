"""The simulated head end as users run it, and what HTTP by aiohttp costs at its end.

python -m bench.sides.simulated simulator|aiohttp    prints {"url": ...}; ends with its input

`aiohttp` has the cheap head end's ready bytes behind aiohttp's low-level server and a bare client
session: nothing is parsed, judged or kept, so that this is the least that such a head end takes.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import aiohttp
from aiohttp import web
from yarl import URL

from adapter.service.app import made_to_stay
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from adapter.wire.codec import packaged_codec
from bench.sides.head_end import DELAYS_S, CheapHeadEnd, ReadyBytes

_METERS: Final = 100_000
_CALLBACK: Final = {
    "Content-Type": "text/xml; charset=utf-8",
    "SOAPAction": '"http://www.itron.com/ami/2008/10/common/RequestStatusChangedService/StatusChanged"',
}


@asynccontextmanager
async def simulator() -> AsyncIterator[str]:
    plan = PopulationPlan(count=_METERS)
    async with AsyncExitStack() as stack:
        with made_to_stay():
            made = Simulator(SimulatorConfig(population=plan), codec=packaged_codec())
            started = await stack.enter_async_context(made)
        yield started.url


class Sessions(CheapHeadEnd):
    """The cheap head end, its callbacks sent by one client session."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        super().__init__(ReadyBytes(packaged_codec()), DELAYS_S)
        self._session = session
        self._under_way: set[asyncio.Task[None]] = set()

    def _call_back(self, url: str, body: bytes) -> None:
        task = asyncio.get_running_loop().create_task(self._post(URL(url, encoded=True), body))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _post(self, url: URL, body: bytes) -> None:
        async with self._session.post(url, data=body, headers=_CALLBACK) as response:
            await response.read()


@asynccontextmanager
async def bare() -> AsyncIterator[str]:
    jar, connector = aiohttp.DummyCookieJar(), aiohttp.TCPConnector(limit=32)
    async with aiohttp.ClientSession(cookie_jar=jar, connector=connector) as session:
        head_end = Sessions(session)

        async def handle(request: web.BaseRequest) -> web.Response:
            _, _, body = head_end.answer(await request.read()).partition(b"\r\n\r\n")
            return web.Response(body=body, headers={"Content-Type": "text/xml; charset=utf-8"})

        runner = web.ServerRunner(web.Server(handle, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        await runner.cleanup()


_SIDES: Final = {"simulator": simulator, "aiohttp": bare}


async def serve(name: str) -> None:
    async with _SIDES[name]() as url:
        print(json.dumps({"url": url}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def _run(name: str) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(name))
    else:
        uvloop.run(serve(name))


if __name__ == "__main__":
    _run(sys.argv[1])
