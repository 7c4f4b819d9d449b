"""Bodies that are too large, too slow, cut short, or large and right: memory stays flat (I13)."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from adapter.engine.commands.ports import InboxState
from adapter.engine.readings.spool import Spool
from adapter.server.settings import BodyLimits, ConnectionLimits, ListenerSettings, Pace
from tests.web.both_servers import HASTY, XML, Rig, a_rig, data_arrived, fault_of, status_changed
from tests.web.hostile_requests import LARGE_AND_WRONG, large
from tests.web.raw_connection import connected, head

MIB = 1024 * 1024
CHUNK = b" " * (256 * 1024)
WHOLE = 400 * len(CHUNK) + len(data_arrived().partition(b"<sub:ReadDataCollection>")[0])
BEGUN = data_arrived().partition(b"<sub:ReadDataCollection>")[0]


async def hundred_megabytes(sent: list[int]) -> AsyncIterator[bytes]:
    """Well-formed as far as it goes."""
    yield BEGUN
    for _ in range(400):
        sent.append(len(CHUNK))
        yield CHUNK


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("path", ["/openway/status", "/openway/data"])
async def test_a_body_of_100_megabytes_is_refused_in_flat_memory(path: str, declared: bool) -> None:
    settings = ListenerSettings(
        bodies=BodyLimits(data_bytes=2 * MIB), connections=ConnectionLimits(linger_s=0.5)
    )
    async with a_rig(settings) as rig:
        sent: list[int] = []
        headers = {**XML, **({"Content-Length": str(WHOLE)} if declared else {})}
        tracemalloc.start()
        try:
            async with rig.http.post(
                rig.url + path, data=hundred_megabytes(sent), headers=headers
            ) as response:
                assert response.status == 413
                fault_of(await response.read())
        except aiohttp.ClientError:
            assert sent  # cut off while still sending: the answer was lost on the way
        finally:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert peak < 24 * MIB
        row = await rig.only_row()
        assert row.state is InboxState.QUARANTINED
        assert len(row.raw) == 64 * 1024
        assert "truncated" in row.reason
        assert rig.listener.counts["http_413"] == 1
        assert (await rig.post(rig.signed(), status_changed()))[0] == 200


async def test_a_caller_that_asks_first_is_told_so_before_it_sends() -> None:
    async with a_rig() as rig, connected(rig.url) as raw:
        path = "/openway/status"
        await raw.send(head(path, "Content-Length: 104857600", "Expect: 100-continue"))
        assert await raw.status() == 413
    async with a_rig() as rig, connected(rig.url) as raw:
        body = status_changed()
        await raw.send(head(path, f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert await raw.status() == 100
        await raw.send(body)
        assert await raw.status() == 200


@pytest.mark.parametrize("announced", ["Content-Length: 5000", "Transfer-Encoding: chunked"])
async def test_a_body_that_does_not_come_in_time_is_given_up_and_kept(announced: str) -> None:
    limits = BodyLimits(deadline_s=0.2)
    async with (
        a_rig(ListenerSettings(bodies=limits, connections=HASTY)) as rig,
        connected(rig.url) as raw,
    ):
        path = urlsplit(rig.signed()).path
        await raw.send(head(path, announced) + b"5\r\n<s:En\r\n")
        assert await raw.status() == 408
        assert await raw.closed()
        row = await rig.only_row()
        assert row.state is InboxState.QUARANTINED
        assert "did not come in time" in row.reason
        assert b"<s:En" in row.raw


SLOW = Pace(least_rate=1_000, over_s=0.5)


def paced(pace: Pace = SLOW, *, per_address: int = 256, large_at_once: int = 4) -> ListenerSettings:
    return ListenerSettings(
        bodies=BodyLimits(pace=pace, large_at_once=large_at_once),
        connections=ConnectionLimits(linger_s=0.05, per_address=per_address),
    )


@pytest.mark.parametrize("path", ["/openway/status", "/openway/data"])
@pytest.mark.parametrize("announced", ["Content-Length: 50000", "Transfer-Encoding: chunked"])
async def test_a_body_that_comes_too_slowly_is_given_up_and_kept(path: str, announced: str) -> None:
    async with a_rig(paced()) as rig, connected(rig.url) as raw:
        await raw.send(head(path, announced) + b"5\r\n<s:En\r\n")
        assert await raw.status() == 408
        assert await raw.closed()
        row = await rig.only_row()
        assert "came too slowly" in row.reason
        assert b"<s:En" in row.raw


async def test_a_byte_now_and_then_is_too_slow_as_well() -> None:
    async with a_rig(paced()) as rig, connected(rig.url) as raw, asyncio.timeout(30):
        await raw.send(head("/openway/data", "Content-Length: 500000"))
        answered = asyncio.create_task(raw.status())
        while not answered.done():
            await raw.send(b" ")
            await asyncio.wait([answered], timeout=0.02)
        assert answered.result() == 408
        assert "came too slowly" in (await rig.only_row()).reason


async def test_a_body_at_the_least_rate_is_taken_however_long_it_takes() -> None:
    body = data_arrived(values=40)
    async with a_rig(paced(Pace(least_rate=100, over_s=0.2))) as rig, connected(rig.url) as raw:
        await raw.send(head("/openway/data", f"Content-Length: {len(body)}"))
        answered = asyncio.create_task(raw.status())
        for start in range(0, len(body), 300):
            await raw.send(body[start : start + 300])
            await asyncio.wait([answered], timeout=0.03)
        assert await answered == 200


async def test_time_in_which_nothing_of_a_body_is_waited_for_does_not_count() -> None:
    limits = paced(Pace(least_rate=10**9, over_s=0.2), large_at_once=1)
    async with a_rig(limits) as rig:
        answers = await asyncio.gather(*(rig.post("/openway/data", large()) for _ in range(4)))
        assert [status for status, _ in answers] == [200] * 4


async def test_callers_that_bring_a_byte_a_second_keep_no_honest_one_out() -> None:
    pace = Pace(least_rate=1_000, over_s=2.0)
    async with a_rig(paced(pace, per_address=20)) as rig, AsyncExitStack() as stack:
        for _ in range(20):
            raw = await stack.enter_async_context(connected(rig.url))
            await raw.send(head("/openway/status", "Content-Length: 5000") + b"<s:En")
        async with asyncio.timeout(30):
            for _ in range(5):
                while await status_of(rig, rig.signed(), status_changed()) != 200:
                    pass  # refused: a caller tries again
        assert rig.listener.counts["connections_evicted"] >= 1
        assert rig.listener.counts["http_408"] == 0


async def status_of(rig: Rig, path: str, body: bytes) -> int | None:
    try:
        return (await rig.post(path, body))[0]
    except aiohttp.ClientError:
        return None


async def test_large_bodies_that_stand_still_give_their_places_to_others(tmp_path: Path) -> None:
    """Of a gateway that spools bodies, as every one that is started does."""
    pace = Pace(least_rate=1_000, over_s=50.0)
    async with a_rig(paced(pace), spool=Spool(tmp_path)) as rig, AsyncExitStack() as stack:
        begun = large()[:400_000]
        for _ in range(12):
            raw = await stack.enter_async_context(connected(rig.url))
            await raw.send(head("/openway/data", f"Content-Length: {len(large())}") + begun)
        async with asyncio.timeout(20):
            assert (await rig.post("/openway/data", large()))[0] == 200
        await raw.send(large()[400_000:])
        assert await raw.status() == 200
        assert rig.listener.counts["received"] == 2
        assert len([*tmp_path.glob("*.gz")]) == 2 + 11


async def test_a_connection_lost_in_the_middle_leaves_what_came() -> None:
    async with a_rig() as rig:
        body = status_changed()
        async with connected(rig.url) as raw:
            path = urlsplit(rig.signed()).path
            await raw.send(head(path, f"Content-Length: {len(body)}", "Expect: 100-continue"))
            assert await raw.status() == 100
            raw.writer.write(body[:100])
            raw.writer.close()
            await raw.writer.wait_closed()
        await rig.listener.stop()
        row = await rig.only_row()
        assert (row.state, row.raw) == (InboxState.QUARANTINED, body[:100])
        assert "ended early" in row.reason


async def test_a_bad_chunk_is_no_traceback() -> None:
    async with a_rig() as rig, connected(rig.url) as raw:
        path = urlsplit(rig.signed()).path
        await raw.send(head(path, "Transfer-Encoding: chunked") + b"zz\r\nhello\r\n")
        assert await raw.status() == 400
        assert await raw.closed()


async def test_a_body_without_a_length_is_refused() -> None:
    async with a_rig() as rig, connected(rig.url) as raw:
        await raw.send(head("/openway/status"))
        assert await raw.status() == 411


async def test_chunks_of_one_byte_make_a_whole_message() -> None:
    async with a_rig() as rig, connected(rig.url) as raw:
        path = urlsplit(rig.signed()).path
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in status_changed())
        await raw.send(head(path, "Transfer-Encoding: chunked") + chunks + b"0\r\n\r\n")
        assert await raw.status() == 200
        assert (await rig.only_row()).raw == status_changed()


async def test_large_data_is_taken_whole() -> None:
    assert len(large()) > 4 * MIB
    async with a_rig() as rig:
        status, _ = await rig.post("/openway/data", large())
        assert status == 200
        assert (await rig.only_row()).raw == large()


async def test_several_large_messages_share_the_places_that_there_are() -> None:
    limits = BodyLimits(large_at_once=1)
    async with a_rig(ListenerSettings(bodies=limits, connections=HASTY)) as rig:
        answers = await asyncio.gather(*(rig.post("/openway/data", large()) for _ in range(4)))
        assert [status for status, _ in answers] == [200] * 4


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize(
    "text",
    [b'<![CDATA[<?xml version="1.0"?>]]>', b"<![CDATA[<!DOCTYPE html>]]>", b"<!-- <?x?> -->"],
)
async def test_declarations_that_are_only_text_are_taken(text: bytes, size: str) -> None:
    whole = large()
    start, end = whole.index(b"<s:Body>"), whole.index(b"</s:Envelope>")
    note = b'<s:Header><n xmlns="urn:x">' + text + b"</n></s:Header>"
    small = (
        b"<s:Body><DataArrived xmlns='http://www.itron.com/ami/2009/08/subscriptions'/></s:Body>"
    )
    content = whole[start:end] if size == "large" else small
    body = whole[:start] + note + content + whole[end:]
    async with a_rig() as rig:
        assert (await rig.post("/openway/data", body))[0] == 200
        assert (await rig.only_row()).raw == body


@pytest.mark.parametrize("name", LARGE_AND_WRONG)
async def test_large_and_wrong_is_refused_like_small_and_wrong(name: str) -> None:
    async with a_rig() as rig:
        status, answer = await rig.post("/openway/data", LARGE_AND_WRONG[name](large()))
        assert status == 500
        expected = "MustUnderstand" if name == "must be understood" else "Client"
        assert fault_of(answer) == expected
        row = await rig.only_row()
        assert row.state is InboxState.QUARANTINED
        assert len(row.raw) == 64 * 1024
