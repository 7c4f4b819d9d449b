"""Webhooks both ways over the loopback."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from adapter.engine.clock import SystemClock
from adapter.engine.orders.field_work import FieldWorkRefused
from adapter.errors import SettingsError, StoreFailed
from adapter.fieldwork.messages import read_message, report_json
from adapter.fieldwork.posting import NotTaken
from adapter.fieldwork.settings import FieldWorkKind, FieldWorkSettings, WebhookSettings
from adapter.fieldwork.webhook import WebhookFieldWork, post_report
from adapter.model.secret import Secret
from adapter.server.connections import bind, url_of
from adapter.webhooks.signing import ID, NotSigned, key_of, verify
from tests.fieldwork.builders import KeptReports, a_message, a_work_report

OURS = Secret("whsec_" + "T1VS" * 8)
THEIRS = Secret("whsec_" + "VEhF" * 8)
CLOCK = SystemClock()


@dataclass
class FieldSystem:
    """The other side: answers with `statuses` one after the other, the last one for ever."""

    statuses: Sequence[int] = (204,)
    bodies: list[bytes] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            verify(request.headers, body, (key_of(OURS),), now=CLOCK.now(), tolerance_s=60)
        except NotSigned:
            return web.Response(status=401)
        self.bodies.append(body)
        self.ids.append(request.headers[ID])
        status = self.statuses[min(len(self.bodies), len(self.statuses)) - 1]
        headers = {"Location": "/elsewhere"} if status == 307 else None
        return web.Response(status=status, headers=headers)


@asynccontextmanager
async def serving(system: FieldSystem) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/visits", system.take)
    runner = web.AppRunner(app)
    await runner.setup()
    listening = bind("127.0.0.1", 0)
    await web.SockSite(runner, listening).start()
    try:
        yield url_of(listening, tls=False) + "/visits"
    finally:
        await runner.cleanup()


def settings(url: str, **changes: object) -> WebhookSettings:
    values = {"url": url, "keys": (OURS,), "report_keys": (THEIRS,), "port": 0, **changes}
    return WebhookSettings(**values)  # type: ignore[arg-type]


@asynccontextmanager
async def linked(
    system: FieldSystem, inbox: KeptReports, **changes: object
) -> AsyncIterator[WebhookFieldWork]:
    async with serving(system) as url:
        link = WebhookFieldWork(settings(url, **changes), CLOCK)
        await link.start(inbox)
        try:
            yield link
        finally:
            await link.stop()


async def test_a_message_is_posted_signed_with_an_id_that_stays() -> None:
    system = FieldSystem()
    async with linked(system, KeptReports()) as link:
        await link.send(a_message())
        await link.send(a_message())
    assert [read_message(body) for body in system.bodies] == [a_message(), a_message()]
    assert set(system.ids) == {"SO-1_1:message:1"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 422])
async def test_a_lasting_no_is_a_refusal(status: int) -> None:
    async with linked(FieldSystem((status,)), KeptReports()) as link:
        with pytest.raises(FieldWorkRefused, match=str(status)):
            await link.send(a_message())


@pytest.mark.parametrize("status", [307, 408, 425, 429, 500, 502, 503])
async def test_any_other_answer_is_tried_again(status: int) -> None:
    async with linked(FieldSystem((status, 202)), KeptReports()) as link:
        with pytest.raises(NotTaken, match=str(status)):
            await link.send(a_message())
        await link.send(a_message())


async def test_nobody_there_or_no_answer_is_tried_again() -> None:
    with bind("127.0.0.1", 0) as silent:  # takes connections and never answers
        link = WebhookFieldWork(settings(url_of(silent, tls=False), reply_s=0.05), CLOCK)
        with pytest.raises(NotTaken):
            await link.send(a_message())
        closed = url_of(silent, tls=False)
        await link.stop()
    link = WebhookFieldWork(settings(closed), CLOCK)
    with pytest.raises(NotTaken):
        await link.send(a_message())
    await link.stop()


async def test_a_signed_report_is_durable_before_it_is_answered_and_repeated_harmlessly() -> None:
    inbox = KeptReports()
    async with linked(FieldSystem(), inbox) as link, aiohttp.ClientSession() as session:
        assert await post(session, link) == 200
        assert await post(session, link) == 200
    assert inbox.reports == {"R-1": a_work_report()}
    assert inbox.repeated == 1


async def post(
    session: aiohttp.ClientSession,
    link: WebhookFieldWork,
    *,
    body: bytes | None = None,
    key: Secret = THEIRS,
) -> int:
    raw = report_json(a_work_report()) if body is None else body
    keys = (key_of(key),)
    return await post_report(session, link.report_url, raw, id_="R-1", keys=keys, clock=CLOCK)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"no json", 422),
        (report_json(a_work_report()).replace(b"SO-1.1", b"XX-1.1"), 404),
        (report_json(a_work_report()).replace(b"SO-1.1", b"SO-7.1"), 409),
        (b" " * 3000, 413),
    ],
)
async def test_a_report_that_nothing_can_be_done_with_is_refused(body: bytes, status: int) -> None:
    inbox = KeptReports(refuses=frozenset({"SO-7.1"}))
    system = FieldSystem()
    async with (
        linked(system, inbox, report_bytes=2000) as link,
        aiohttp.ClientSession() as session,
    ):
        assert await post(session, link, body=body) == status
    assert not inbox.reports


async def test_a_report_by_another_key_or_without_one_is_not_believed() -> None:
    inbox = KeptReports()
    async with linked(FieldSystem(), inbox) as link, aiohttp.ClientSession() as session:
        assert await post(session, link, key=OURS) == 401
        async with session.post(link.report_url, data=b"{}") as response:
            assert response.status == 401
            assert response.content_type == "application/problem+json"
    assert not inbox.reports


async def test_a_report_is_asked_for_again_while_storage_is_broken() -> None:
    inbox = KeptReports(broken=StoreFailed("disk full"))
    async with linked(FieldSystem(), inbox) as link, aiohttp.ClientSession() as session:
        assert await post(session, link) == 503


async def test_a_gateway_that_stops_sends_nothing_more() -> None:
    async with linked(FieldSystem(), KeptReports()) as link:
        await link.stop()
        with pytest.raises(NotTaken):
            await link.send(a_message())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"url": "ftp://x"}, "url"),
        ({"url": "http://crews.example"}, "allow_cleartext"),
        ({"path": "reports"}, "path"),
    ],
)
def test_settings_that_cannot_work_are_named(changes: dict[str, object], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        settings(**{"url": "http://127.0.0.1", **changes})  # type: ignore[arg-type]


def test_a_webhook_needs_url_and_keys() -> None:
    with pytest.raises(SettingsError, match=r"webhook\.url"):
        FieldWorkSettings(kind=FieldWorkKind.WEBHOOK)
    with pytest.raises(SettingsError, match=r"webhook\.keys"):
        FieldWorkSettings(
            kind=FieldWorkKind.WEBHOOK, webhook=WebhookSettings(url="https://crews.example")
        )
