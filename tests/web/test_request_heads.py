"""Heads that two readers could read in two ways are refused."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from adapter.engine.commands.ports import InboxState
from adapter.engine.readings.spool import Spool
from adapter.server.settings import BodyLimits, ListenerSettings
from tests.web.both_servers import HASTY, TOKENS, a_rig, data_arrived
from tests.web.hostile_requests import BODY, CHUNKED, UNCLEAR
from tests.web.raw_connection import connected, head


@pytest.mark.parametrize("name", UNCLEAR)
async def test_a_head_that_could_be_read_in_two_ways_is_refused_by_the_listener(name: str) -> None:
    headers, body, status = UNCLEAR[name]
    async with a_rig() as rig, connected(rig.url) as raw:
        await raw.send(head(urlsplit(rig.signed()).path, *headers) + body)
        assert await raw.status() in (status if isinstance(status, tuple) else (status,))
        assert await raw.closed()
        rows = await rig.rows()
        assert all(row.state is InboxState.QUARANTINED for row in rows)
        assert rig.listener.counts["received"] == 0


async def test_chunks_are_none_of_http_1_0() -> None:
    async with a_rig() as rig, connected(rig.url) as raw:
        asked = head(urlsplit(rig.signed()).path, "Transfer-Encoding: chunked")
        await raw.send(asked.replace(b"HTTP/1.1", b"HTTP/1.0") + CHUNKED)
        assert await raw.status() == 400
        assert "HTTP/1.0" in (await rig.only_row()).reason


@pytest.mark.parametrize("name", ["gzip, chunked", "two encodings", "two expectations"])
async def test_it_is_refused_by_the_json_interface_too(name: str) -> None:
    headers, body, status = UNCLEAR[name]
    async with a_rig() as rig, connected(rig.rest.url) as raw:
        token = f"Authorization: Bearer {TOKENS['switcher']}"
        asked = head("/api/v1/commands", token, *headers).replace(b"text/xml", b"application/json")
        await raw.send(asked + body)
        assert await raw.status() == status
        assert not (await rig.gateway.commands.list()).rows


@pytest.mark.parametrize("length", [1, 20_000])
async def test_extensions_of_chunks_change_nothing(length: int) -> None:
    async with a_rig() as rig, connected(rig.url) as raw:
        await raw.send(head(urlsplit(rig.signed()).path, "Transfer-Encoding: chunked"))
        extension = b"a=" + b"b" * length
        await raw.send(b"%x;%s\r\n%s\r\n0\r\n\r\n" % (len(BODY), extension, BODY))
        assert await raw.status() == 200
        assert (await rig.only_row()).raw == BODY


async def test_an_extension_that_never_ends_is_no_body_and_is_given_up_in_time() -> None:
    settings = ListenerSettings(bodies=BodyLimits(deadline_s=0.3), connections=HASTY)
    async with a_rig(settings) as rig, connected(rig.url) as raw, asyncio.timeout(30):
        await raw.send(head(urlsplit(rig.signed()).path, "Transfer-Encoding: chunked") + b"5;a=")
        answered = asyncio.create_task(raw.status())
        while not answered.done():
            await raw.send(b"b" * 1_000)
            await asyncio.wait([answered], timeout=0.02)
        assert answered.result() == 408
        assert (await rig.only_row()).raw == b""


async def test_a_connection_that_goes_in_the_middle_of_a_body_is_no_failure_of_ours(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    body = data_arrived(values=8_000)
    limits = BodyLimits(large_at_once=1)
    settings = ListenerSettings(bodies=limits, connections=HASTY)
    async with a_rig(settings, spool=Spool(tmp_path)) as rig:
        for end in (1, 5_000, 262_145, 300_000, 1_000_000, len(body) - 1):
            async with connected(rig.url) as raw:
                await raw.send(head("/openway/data", f"Content-Length: {len(body)}") + body[:end])
        await rig.listener.stop()
        rows = await rig.rows()
        assert rows
        assert all("ended early" in row.reason for row in rows), [row.reason for row in rows]
    assert not [record for record in caplog.records if record.exc_info]
    assert "listener_failed" not in caplog.text
