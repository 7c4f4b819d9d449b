"""A crew in another place, that outlives the gateway: messages and reports go as webhooks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from adapter.engine.clock import SystemClock
from adapter.engine.orders.field_work import FieldReport, Receipt
from adapter.engine.upkeep.set_aside import SetAside
from adapter.errors import Conflict, NotFound
from adapter.fieldwork.crew import Crew
from adapter.fieldwork.messages import read_message, report_json
from adapter.fieldwork.webhook import post_report
from adapter.model.secret import Secret
from adapter.server.connections import bind, url_of
from adapter.webhooks.signing import key_of, verify

KEY = Secret("whsec_" + "T1VS" * 8)


@dataclass
class CrewBehindWebhooks:
    """A field work system in another place: takes posts, and posts the crew's reports."""

    crew: Crew
    report_url: str = ""
    statuses: list[int] = field(default_factory=list)
    fails: int = 0
    set_aside: SetAside = field(default_factory=SetAside)
    _session: aiohttp.ClientSession | None = None

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        now = SystemClock().now()
        verify(request.headers, body, (key_of(KEY),), now=now, tolerance_s=60)
        if self.fails:
            self.fails -= 1
            return web.Response(status=503)
        await self.crew.send(read_message(body))
        return web.Response(status=202)

    async def receive(self, given: FieldReport) -> Receipt:
        """The crew's inbox: posted until it is answered."""
        assert self._session is not None
        status = await post_report(
            self._session,
            self.report_url,
            report_json(given),
            id_=given.id,
            keys=(key_of(KEY),),
            clock=SystemClock(),
        )
        self.statuses.append(status)
        if status == 404:
            raise NotFound(given.id)
        if status == 409:
            raise Conflict(given.id)
        if status != 200:
            raise ConnectionError(str(status))
        return Receipt.APPLIED


@asynccontextmanager
async def crew_elsewhere(there: CrewBehindWebhooks) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/visits", there.take)
    runner = web.AppRunner(app)
    await runner.setup()
    listening = bind("127.0.0.1", 0)
    await web.SockSite(runner, listening).start()
    async with aiohttp.ClientSession() as there._session:
        await there.crew.start(there)
        try:
            yield url_of(listening, tls=False) + "/visits"
        finally:
            await there.crew.stop()
            await runner.cleanup()
