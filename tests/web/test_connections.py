"""Connections: idle ones go, caps hold, what is no HTTP is counted, TLS asks who is there."""

import asyncio
import json
import logging
import os
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from adapter.errors import SettingsError
from adapter.model.values import replace
from adapter.server.credentials import basic_header_of
from adapter.server.settings import (
    BasicUser,
    BodyLimits,
    ConnectionLimits,
    ListenerSettings,
    Pace,
    RestSettings,
    ServerTls,
)
from tests.headend.authority import Authority
from tests.web.both_servers import a_rig, status_changed
from tests.web.raw_connection import Raw, connected, head


@asynccontextmanager
async def many(url: str, count: int) -> AsyncIterator[list[Raw]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connected(url)) for _ in range(count)]


def limited(**limits: float) -> ListenerSettings:
    return ListenerSettings(connections=ConnectionLimits(**limits))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "said", [b"", b"POST /openway/status HT", b"POST /openway/status HTTP/1.1\r\nHost: x\r\n"]
)
async def test_a_connection_without_a_whole_request_head_is_closed(said: bytes) -> None:
    async with a_rig(limited(idle_s=0.2)) as rig, connected(rig.url) as raw:
        if said:
            await raw.send(said)
        assert await raw.closed()


async def test_it_is_closed_even_where_the_loop_was_held_up_since_it_was_accepted() -> None:
    for turns in range(5):
        async with a_rig(limited(idle_s=0.05)) as rig, connected(rig.url) as raw:
            for _ in range(turns):
                await asyncio.sleep(0)
            time.sleep(0.1)  # noqa: ASYNC251  # holding it up is the matter
            assert await raw.closed()
            assert rig.listener.open_connections == 0


async def test_a_connection_is_closed_when_it_is_idle_after_its_answer() -> None:
    async with a_rig(limited(idle_s=0.2)) as rig, connected(rig.url) as raw:
        path = urlsplit(rig.signed()).path
        body = status_changed()
        for _ in range(2):
            await raw.send(head(path, f"Content-Length: {len(body)}") + body)
            assert await raw.status() == 200
        assert await raw.closed()


async def test_hundreds_of_silent_sockets_do_not_keep_an_honest_caller_out() -> None:
    limits = limited(connections=50, per_address=40)
    async with a_rig(limits) as rig, many(rig.url, 300) as silent:
        for _ in range(3):
            assert (await rig.post(rig.signed(), status_changed()))[0] == 200
        assert rig.listener.open_connections <= 40
        assert rig.listener.counts["connections_evicted"] >= 260
        assert all(await asyncio.gather(*(raw.closed() for raw in silent[:250])))


async def test_silent_sockets_take_no_place_from_a_connection_that_has_spoken() -> None:
    async with a_rig(limited(connections=5, idle_s=120.0)) as rig, connected(rig.url) as honest:
        body = status_changed()
        whole = head(urlsplit(rig.signed()).path, f"Content-Length: {len(body)}") + body
        await honest.send(whole)
        assert await honest.status() == 200
        async with many(rig.url, 50) as silent:
            assert await silent[0].closed()
            assert await silent[40].closed()
            await honest.send(whole)
            assert await honest.status() == 200


async def test_slow_bodies_take_no_place_from_a_connection_that_was_served() -> None:
    body = status_changed()
    async with a_rig(limited(per_address=10)) as rig, connected(rig.url) as honest:
        whole = head(urlsplit(rig.signed()).path, f"Content-Length: {len(body)}") + body
        await honest.send(whole)
        assert await honest.status() == 200
        async with many(rig.url, 30) as slow:
            for raw in slow:
                with suppress(OSError):
                    await raw.send(head("/openway/status", "Content-Length: 5000") + b"<s:En")
            await honest.send(whole)
            assert await honest.status() == 200
            assert rig.listener.open_connections <= 10


async def test_strangers_who_send_slowly_give_way() -> None:
    users = (BasicUser(user="head-end", password="right"),)
    settings = replace(limited(connections=3, per_address=3), users=users)
    known = {"Authorization": basic_header_of("head-end", "right")}
    async with a_rig(settings) as rig, many(rig.url, 3) as strangers:
        for raw in strangers:
            await raw.send(head("/openway/data", "Content-Length: 1000") + b"<")
        status, _ = await rig.post(rig.signed(), status_changed(), known)
        assert status == 200
        assert rig.listener.counts["connections_evicted"] >= 1


@pytest.mark.parametrize("begun", [b"<", b""])
async def test_strangers_that_wait_for_their_refusal_go_before_a_new_connection(
    begun: bytes,
) -> None:
    """What they send, or do not, is not answered yet: they have been served nothing."""
    users = (BasicUser(user="head-end", password="right"),)
    settings = replace(limited(per_address=3), users=users)
    known = f"Authorization: {basic_header_of('head-end', 'right')}"
    wrong = f"Authorization: {basic_header_of('head-end', 'wrong')}"
    body = status_changed()
    async with a_rig(settings) as rig, many(rig.url, 3) as strangers:
        for raw in strangers:
            await raw.send(head("/openway/data", "Content-Length: 60000", wrong) + begun)
        async with connected(rig.url) as honest, many(rig.url, 2) as more:
            for raw in more:
                await raw.send(head("/openway/data", "Content-Length: 60000", wrong) + begun)
            path = urlsplit(rig.signed()).path
            await honest.send(head(path, f"Content-Length: {len(body)}", known) + body)
            assert await honest.status() == 200


async def test_all_silent_sockets_are_gone_after_the_idle_time() -> None:
    async with a_rig(limited(idle_s=0.3)) as rig, many(rig.url, 200) as silent:
        assert all(await asyncio.gather(*(raw.closed() for raw in silent)))
        assert rig.listener.open_connections == 0


async def test_connections_at_work_are_never_thrown_out_for_new_ones() -> None:
    patient = BodyLimits(pace=Pace(over_s=3_000.0))
    settings = replace(limited(connections=3, per_address=3), bodies=patient)
    async with a_rig(settings) as rig:
        body = status_changed()
        path = urlsplit(rig.signed()).path
        begun = head(path, f"Content-Length: {len(body)}", "Expect: 100-continue")
        async with many(rig.url, 3) as working:
            for raw in working:
                await raw.send(begun)
                assert await raw.status() == 100
            async with connected(rig.url) as late:
                assert await late.closed()
            for raw in working:
                await raw.send(body)
                assert await raw.status() == 200
        assert rig.listener.counts["connections_refused_address"] == 1


async def test_what_is_no_http_is_answered_shortly_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with a_rig() as rig:
            for _ in range(30):
                async with connected(rig.url) as raw:
                    await raw.send(b"\x16\x03\x01 hello\r\n\r\n")
                    assert await raw.status() == 400
                    assert await raw.closed()
            smuggled = head("/openway/status", "Content-Length: 5", "Transfer-Encoding: chunked")
            async with connected(rig.url) as raw:
                await raw.send(smuggled + b"0\r\n\r\n")
                assert await raw.status() == 400
            assert rig.listener.counts["http_parse"] == 31
            assert await rig.rows() == []
    lines = [record for record in caplog.records if record.name.startswith(("adapter.", "aiohttp"))]
    assert len([record for record in lines if record.msg == "http_not_understood"]) <= 10
    assert not any(record.exc_info for record in lines)


def test_the_server_does_not_start_without_the_c_parser() -> None:
    code = (
        "from adapter.server.connections import require_c_parser\n"
        "from adapter.errors import SettingsError\n"
        "try:\n    require_c_parser()\n"
        "except SettingsError as error:\n    print(error)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "C parser" in told.stdout


@pytest.mark.seconds(30)
async def test_without_free_descriptors_an_honest_caller_is_still_served() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.web.few_descriptors", "40"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    async with many(url, 100), aiohttp.ClientSession() as http:
        headers = {"Content-Type": "text/xml"}
        async with http.post(url, data=status_changed(), headers=headers) as response:
            assert response.status == 200
    told, complaints = await process.communicate(b"")
    assert json.loads(told)["accept_failed"] > 0
    assert len(complaints.splitlines()) < 40


async def test_more_connections_than_the_system_allows_stop_the_start() -> None:
    async def scenario() -> None:
        async with a_rig(limited(connections=2**40)):
            pytest.fail("it started")

    with pytest.raises(SettingsError, match="open files"):
        await scenario()


async def test_stopping_lets_a_request_under_way_end() -> None:
    async with a_rig() as rig, connected(rig.url) as raw:
        body = status_changed()
        path = urlsplit(rig.signed()).path
        await raw.send(head(path, f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert await raw.status() == 100
        stopping = asyncio.create_task(rig.listener.stop())
        await raw.send(body)
        assert await raw.status() == 200
        await stopping
        assert await raw.closed()
        assert (await rig.only_row()).raw == body


async def test_tls_asks_for_a_certificate_of_the_right_issuer(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "Ours"), Authority(tmp_path, "Theirs")
    server = ours.issue("127.0.0.1")
    good, bad = ours.issue("head-end"), theirs.issue("stranger")
    tls = ServerTls(
        certificate_file=server.certificate, key_file=server.key, client_ca_file=ours.ca
    )
    async with a_rig(ListenerSettings(tls=tls)) as rig:
        assert rig.url.startswith("https://")
        for shown, let_in in ((good, True), (bad, False), (None, False)):
            context = ssl.create_default_context(cafile=str(ours.ca))
            if shown is not None:
                context.load_cert_chain(shown.certificate, shown.key)
            try:
                async with rig.http.post(
                    rig.signed(),
                    data=status_changed(),
                    headers={"Content-Type": "text/xml"},
                    ssl=context,
                ) as response:
                    assert (response.status == 200) is let_in
            except aiohttp.ClientError:
                assert not let_in
        async with connected(rig.url) as raw:
            await raw.send(b"POST / HTTP/1.1\r\n\r\n")
            await raw.closed()
        assert len(await rig.rows()) == 1


async def test_a_handshake_that_does_not_come_is_cut_off(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("127.0.0.1")
    tls = ServerTls(certificate_file=issued.certificate, key_file=issued.key)
    limits = ConnectionLimits(handshake_s=0.2)
    async with (
        a_rig(ListenerSettings(tls=tls, connections=limits)) as rig,
        many(rig.url, 20) as silent,
    ):
        assert all(await asyncio.gather(*(raw.closed() for raw in silent)))
        assert rig.listener.open_connections == 0
        assert rig.listener.counts["handshakes_failed"] == 20


def test_settings_that_open_the_doors_must_be_meant() -> None:
    with pytest.raises(SettingsError, match="allow_anonymous"):
        ListenerSettings(host="0.0.0.0")
    with pytest.raises(SettingsError, match="allow_cleartext"):
        RestSettings(host="0.0.0.0")
    assert ListenerSettings(host="0.0.0.0", allow_anonymous=True).host == "0.0.0.0"
    with pytest.raises(SettingsError, match="path_prefix"):
        ListenerSettings(path_prefix="itron/")


async def test_a_bad_certificate_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"

    async def scenario() -> None:
        tls = ServerTls(certificate_file=missing, key_file=missing)
        async with a_rig(ListenerSettings(tls=tls)):
            pytest.fail("it started")

    with pytest.raises(SettingsError, match=r"missing\.pem"):
        await scenario()


async def test_the_answer_is_the_same_whether_its_connection_stays_open_or_not() -> None:
    body = status_changed()
    heads: list[list[bytes]] = []
    contents: list[bytes] = []
    async with a_rig() as rig:
        for wish in ("keep-alive", "close"):
            whole = head(
                urlsplit(rig.signed()).path, f"Content-Length: {len(body)}", f"Connection: {wish}"
            )
            async with connected(rig.url) as raw:
                await raw.send(whole + body)
                rows = (await raw.reader.readuntil(b"\r\n\r\n")).splitlines()
                (length,) = [row for row in rows if row.startswith(b"Content-Length: ")]
                heads.append(sorted(row for row in rows if not row.startswith(b"Date: ")))
                contents.append(await raw.reader.readexactly(int(length.split()[1])))
                assert len([row for row in rows if row.startswith(b"Date: ")]) == 1
    assert heads[1] == sorted([*heads[0], b"Connection: close"])
    assert contents[0] == contents[1]
