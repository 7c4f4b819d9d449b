"""Webhooks both ways: messages are posted, reports are taken on an address of their own."""

import logging
from collections import Counter
from collections.abc import Sequence

import aiohttp
from aiohttp import web

from adapter.engine.commands.ports import Clock
from adapter.engine.orders.field_work import FieldInbox, FieldMessage, FieldWorkRefused
from adapter.errors import GatewayError
from adapter.fieldwork.messages import BadReport, message_json, read_report
from adapter.fieldwork.posting import JSON, NotTaken, PostRefused, SignedPost, webhook_id
from adapter.fieldwork.settings import WebhookSettings
from adapter.orders.lookups import BASE, OrderLookups
from adapter.server.bodies import continue_later, read_body, unclear_head
from adapter.server.connections import Door, bind, with_routes
from adapter.server.rate_limit import LimitedLog
from adapter.server.settings import ConnectionLimits
from adapter.web.api.problems import ProblemRaised, of_error, response_of
from adapter.webhooks.signing import NotSigned, keys_of, signed, verify

log = logging.getLogger(__name__)
limited_log = LimitedLog(log)


class WebhookFieldWork:
    """Posts messages, each with its fixed id, and serves the address for reports."""

    def __init__(
        self, settings: WebhookSettings, clock: Clock, *, lookups: OrderLookups = BASE
    ) -> None:
        self._post = SignedPost(settings, clock)
        self._receiver = ReportReceiver(settings, clock, lookups=lookups)
        self._stopped = False

    def use(self, settings: WebhookSettings) -> None:
        """Sign with these keys, and believe them, from now on. Raises SettingsError for keys that
        are none."""
        self._receiver.use(settings)
        self._post.use(settings.keys)

    @property
    def report_url(self) -> str:
        """Where reports are taken, once started."""
        return self._receiver.url

    async def start(self, inbox: FieldInbox) -> None:
        self._stopped = False
        await self._receiver.start(inbox)

    async def stop(self) -> None:
        self._stopped = True
        await self._receiver.stop()
        await self._post.close()

    async def send(self, message: FieldMessage) -> None:
        """2xx is taken. Raises FieldWorkRefused for a lasting 4xx, NotTaken for everything else."""
        if self._stopped:
            raise NotTaken("the gateway is stopping")
        try:
            await self._post.post(message.id, message_json(message))
        except PostRefused as error:
            raise FieldWorkRefused(f"the message {error}") from error


class ReportReceiver:
    """Serves one address: a signed report is handed to the inbox before it is answered."""

    def __init__(
        self, settings: WebhookSettings, clock: Clock, *, lookups: OrderLookups = BASE
    ) -> None:
        self._settings = settings
        self._lookups = lookups
        self._clock = clock
        self.use(settings)
        self._inbox: FieldInbox | None = None
        self._door: Door | None = None
        self.counts: Counter[str] = Counter()
        self.url = ""

    def use(self, settings: WebhookSettings) -> None:
        """Believe these keys from now on. Raises SettingsError for keys that are none."""
        self._keys = keys_of(settings.report_keys or settings.keys)

    async def start(self, inbox: FieldInbox) -> None:
        """Raises SettingsError, or OSError where the port cannot be had."""
        self._inbox = inbox
        app = web.Application()
        app.router.add_post(self._settings.path, self._take, expect_handler=continue_later)
        limits, settings = ConnectionLimits(connections=128, per_address=64), self._settings
        door = Door(with_routes(app, limits), limits, None, self.counts)
        listening = bind(settings.host, settings.port, section="field_work.webhook")
        address = await door.open(listening)
        self._door, self.url = door, address + self._settings.path

    async def stop(self) -> None:
        if self._door is not None:
            await self._door.close()
            self._door = None

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.counts["requests"] += 1
        try:
            receipt = await self._receive(request)
        except ProblemRaised as problem:
            raised = problem
        except NotSigned as error:
            limited_log.warning("field_report_not_signed", reason=str(error))
            raised = ProblemRaised(401, error.code, "the signature is missing, wrong or too old")
        except BadReport as error:
            raised = ProblemRaised(422, error.code, str(error))
        except GatewayError as error:
            raised = of_error(error)
        except Exception:
            log.exception("field_report_failed")
            raised = ProblemRaised(500, "internal_error", "the report could not be processed")
        else:
            return web.json_response({"receipt": receipt})
        self.counts[f"http_{raised.problem.status}"] += 1
        return response_of(raised)

    async def _receive(self, request: web.Request) -> str:
        settings = self._settings
        unclear = unclear_head(request)
        if unclear is not None:
            raise ProblemRaised(unclear.status, f"http_{unclear.status}", unclear.text)
        body = await read_body(request, limit=settings.report_bytes, deadline_s=settings.deadline_s)
        if body.status:
            raise ProblemRaised(body.status, f"http_{body.status}", body.text)
        now = self._clock.now()
        verify(request.headers, body.raw, self._keys, now=now, tolerance_s=settings.tolerance_s)
        report = read_report(body.raw, self._lookups)
        assert self._inbox is not None
        return (await self._inbox.receive(report)).value


async def post_report(
    session: aiohttp.ClientSession,
    url: str,
    body: bytes,
    *,
    id_: str,
    keys: Sequence[bytes],
    clock: Clock,
) -> int:
    """What a field work system does with a report; for crews on the other side. The status."""
    headers = {"Content-Type": JSON, **signed(webhook_id(id_), body, keys, now=clock.now())}
    async with session.post(url, data=body, headers=headers) as response:
        await response.read()
        return response.status
