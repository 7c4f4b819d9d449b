"""Replies that are read without a parser, and those that are aiohttp's."""

import asyncio
from collections.abc import Sequence

import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage

from adapter.errors import HeadEndError
from adapter.headend.security import request_headers
from adapter.headend.settings import Timeouts
from adapter.headend.transport import HttpReply, RequestTarget, Transport
from adapter.headend.whole_replies import KnownReplies
from tests.headend.bad_head_ends import Peer, Seen, Server
from tests.headend.calls_and_replies import settings
from tests.support import every_case

HASTY = Timeouts(admission_s=1.0, pool_s=5.0, connect_s=5.0, reply_s=1.0, total_s=10.0)
USUAL = ("Content-Type: text/xml", "Date: Mon, 30 Nov 2026 10:00:00 GMT")


def reply(body: bytes, *lines: str, first: str = "HTTP/1.1 200 OK", length: int = -1) -> bytes:
    said = f"Content-Length: {len(body) if length < 0 else length}"
    return "\r\n".join([first, *(lines or USUAL), said, "", ""]).encode() + body


GOOD = reply(b"<good/>")
OTHER_DATE = reply(b"<better/>", USUAL[0], USUAL[1].replace("10:00:00", "10:00:01"))
ODD = {
    "another length": (reply(b"<longer-than-that/>"),),
    "another date": (OTHER_DATE,),
    "an error": (reply(b"<no/>", first="HTTP/1.1 500 Internal Server Error"),),
    "in two": (GOOD[:-3], GOOD[-3:]),
    "cut in the head": (GOOD[:20], GOOD[20:]),
    "in many": tuple(GOOD[at : at + 9] for at in range(0, len(GOOD), 9)),
    "after a 100": (b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD,),
    "after a 103, apart": (b"HTTP/1.1 103 Early Hints\r\n\r\n", GOOD),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n<good/>\r\n0\r\n\r\n",),
    "no body": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",),
    "until the end": (b"HTTP/1.0 200 OK\r\n\r\n<good/>", b""),
    "ends early": (reply(b"<good/>", length=9), b""),
    "ends in the head": (GOOD[:20], b""),
    "ends at once": (b"",),
    "longer than may be": (reply(b"x" * 3_000),),
    "two lengths": (reply(b"<good/>", "Content-Length: 7"),),
    "other lengths": (reply(b"<good/>", "content-length: 8"),),
    "gzip that is none": (reply(b"<good/>", "Content-Encoding: gzip"),),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n",),
    "nothing more": (GOOD[:-1],),
}
"""Pieces of replies; an empty one is the end of the connection."""


async def told_of(odd: Sequence[bytes], before: int) -> tuple[object, ...]:
    """What an odd reply comes to, after so many good ones."""
    sent = [*([(GOOD,)] * before), odd]

    async def script(peer: Peer, seen: Seen) -> None:
        for piece in sent.pop(0):
            if piece:
                await peer.send(piece)
                await asyncio.sleep(0.001)  # so that they are two
            else:
                peer.writer.close()

    async with Server(script) as server:
        site = settings(server.url, timeouts=HASTY, max_reply_bytes=2_000)
        transport = Transport(site)
        target = RequestTarget.of(
            server.url, request_headers(site, "urn:ping"), site, HASTY, fresh=False
        )
        loop = asyncio.get_running_loop()
        made, error = HttpReply(), None
        for _ in range(before + 1):
            made = HttpReply()
            try:
                await transport.post(target, b"<ask/>", deadline=loop.time() + 10, reply=made)
            except HeadEndError as raised:
                error = raised
        await transport.close()
        return type(error), str(error or ""), made.sent, made.status, made.body


async def test_an_odd_reply_comes_to_the_same_after_good_ones() -> None:
    with every_case() as case:
        for name, odd in ODD.items():
            with case(name):
                assert await told_of(odd, 0) == await told_of(odd, 2)


async def test_a_known_reply_is_read_without_its_parser_and_keeps_its_connection() -> None:
    bodies = [b"<a/>", b"<bb/>", b"<ccc/>"]

    async def script(peer: Peer, seen: Seen) -> None:
        await peer.send(reply(bodies[len(server.seen) - 1]))

    async with Server(script) as server:
        site = settings(server.url)
        transport = Transport(site)
        target = RequestTarget.of(
            server.url, request_headers(site, "urn:ping"), site, site.timeouts, fresh=False
        )
        replies = [HttpReply() for _ in bodies]
        for each in replies:
            deadline = asyncio.get_running_loop().time() + 10
            await transport.post(target, b"<ask/>", deadline=deadline, reply=each)
        await transport.close()
        assert [each.body for each in replies] == bodies
        assert [len(each.headers) for each in replies] == [3, 1, 1]
        assert [seen.connection for seen in server.seen] == [1, 1, 1]


@pytest.mark.parametrize("stray", [GOOD, GOOD[:25]])
async def test_what_comes_behind_a_known_reply_is_no_answer_to_the_next_request(
    stray: bytes,
) -> None:
    sent = [(GOOD,), (GOOD, stray), (reply(b"<last/>"),)]
    done = asyncio.Event()

    async def script(peer: Peer, seen: Seen) -> None:
        try:
            for piece in sent[len(server.seen) - 1]:
                await peer.send(piece)
        finally:
            done.set()

    async with Server(script) as server:
        site = settings(server.url)
        transport = Transport(site)
        target = RequestTarget.of(
            server.url, request_headers(site, "urn:ping"), site, site.timeouts, fresh=False
        )
        for _ in sent:
            made = HttpReply()
            deadline = asyncio.get_running_loop().time() + 10
            await transport.post(target, b"<ask/>", deadline=deadline, reply=made)
            await done.wait()
            done.clear()
        await transport.close()
        assert made.body == b"<last/>"
        assert server.seen[-1].connection == 2


def read(data: bytes) -> RawResponseMessage:
    handler = ResponseHandler(asyncio.get_running_loop())
    handler.set_response_params(read_until_eof=True, auto_decompress=False)
    handler.data_received(data)
    ((message, _), _) = handler._buffer.popleft()
    return message


async def test_few_heads_are_known_and_none_that_says_more_than_a_length() -> None:
    kept = (
        reply(b"<a/>", "Set-Cookie: a=b"),
        reply(b"<a/>", "Content-Encoding: identity"),
        reply(b"<a/>", "Connection: close"),
        reply(b"<a/>", first="HTTP/1.0 200 OK"),
        reply(b"<a/>", f"X: {'x' * 5_000}"),
    )
    with every_case() as case:
        for data in kept:
            with case(data[:60]):
                known = KnownReplies()
                known.learn(data, read(data), b"<a/>")
                assert known.find(data) is None
    known = KnownReplies()
    for number in range(40):
        data = reply(b"<a/>", f"X: {number}")
        known.learn(data, read(data), b"<a/>")
    found = [known.find(reply(b"<b/>", f"X: {number}")) for number in range(40)]
    assert [each is not None for each in found] == [True] * 32 + [False] * 8
