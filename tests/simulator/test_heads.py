"""What is read of HTTP without a parser is what the parser reads; all else is left to it."""

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpRequestParser
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.simulator.heads import answer_head, request_head
from tests.simulator.running_simulator import ONE, PING, Rig, codec, request, running
from tests.support import for_every

NAMES = ["Host", "Content-Type", "content-length", "Content-Length", "SOAPAction", "Expect",
         "Connection", "Transfer-Encoding", "Keep-Alive", "X-One", "", "Bad Name", "é"]  # fmt: skip
VALUES = ["", "5", "05", "+5", "5 ", "\t5", "5,5", "chunked", "close", "keep-alive", "a b", "é",
          "\x00", "a\r\n b", '"x"', "100-continue"]  # fmt: skip
STARTS = ["POST /a/b HTTP/1.1", "POST /a/b HTTP/1.0", "GET /a/b HTTP/1.1", "POST /a?b HTTP/1.1",
          "POST  /a/b HTTP/1.1", "POST http://h/a HTTP/1.1", "POST a HTTP/1.1"]  # fmt: skip
LINES = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=5)


@settings(max_examples=500)
@given(st.sampled_from(STARTS), LINES, st.sampled_from([": ", ":", " :", ""]))
def test_a_head_that_is_told_is_told_as_the_parser_tells_it(
    start: str, lines: list[tuple[str, str]], colon: str
) -> None:
    head = "\r\n".join([start, *(f"{name}{colon}{value}" for name, value in lines)]).encode()
    told = request_head(head)
    if told is None:
        return
    loop = asyncio.new_event_loop()
    try:
        parser = HttpRequestParser(BaseProtocol(loop), loop, 2**16)
        messages, upgraded, tail = parser.feed_data(head + b"\r\n\r\n" + b"x" * told.length)
    except HttpProcessingError as error:
        pytest.fail(f"{head!r} is refused: {error}")
    finally:
        loop.close()
    ((message, payload),) = messages
    assert (message.method, message.path, message.version) == ("POST", told.path, (1, 1))
    assert list(message.headers.items()) == list(told.headers.items())
    assert not any((message.should_close, message.upgrade, message.chunked, upgraded))
    assert not tail
    assert payload.is_eof()


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nDate: now"


def test_an_answer_is_told_by_its_head() -> None:
    told = answer_head(WHOLE)
    assert told is not None
    assert (told.status, told.length) == (200, 3)


@for_every(
    "head",
    [
        WHOLE.replace(b"200", b"100"),
        WHOLE.replace(b"200", b"204"),
        WHOLE.replace(b"1.1", b"1.0"),
        WHOLE.replace(b": 3", b": 3\r\nContent-Length: 3"),
        WHOLE.replace(b": 3", b": +3"),
        WHOLE + b"\r\nConnection: close",
        WHOLE + b"\r\nTransfer-Encoding: chunked",
        WHOLE + b"\r\n folded",
        b"HTTP/1.1 200 OK",
    ],
)
def test_any_other_answer_is_left_to_the_parser(head: bytes) -> None:
    assert answer_head(head) is None


# ---------------------------------------------------------------- on a connection


def a_request(rig: Rig, *fields: str, chunked: bool = False) -> bytes:
    body = codec().encode_request(PING, request(PING, ONE, address=rig.address))
    spec = codec().catalog.spec(PING)
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    lines = [
        f"POST {spec.path} HTTP/1.1",
        "Host: simulator",
        "Content-Type: text/xml; charset=utf-8",
        f'SOAPAction: "{spec.soap_action}"',
        length,
        *fields,
    ]
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + sent


async def answered(reader: asyncio.StreamReader) -> int:
    """Reads one answer; gives its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    told = answer_head(head.removesuffix(b"\r\n\r\n"))
    assert told is not None
    body = await reader.readexactly(told.length)
    assert b"PingByEndpointsResponse" in body
    return told.status


async def test_a_connection_may_bring_requests_of_any_form_in_turns() -> None:
    async with running() as rig:
        host, port = rig.simulator.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        usual, other = a_request(rig), a_request(rig, chunked=True)
        for sent in (usual, usual, other, usual, usual + usual):
            writer.write(sent)
            assert await answered(reader) == 200
        assert await answered(reader) == 200
        assert rig.simulator.journal.requests[PING] == 6
        writer.close()


async def test_a_request_in_pieces_is_taken_once_it_is_whole() -> None:
    async with running() as rig:
        host, port = rig.simulator.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(a_request(rig))
        assert await answered(reader) == 200
        sent = a_request(rig)
        writer.write(sent[:40])
        assert await rig.call(PING, request(PING, ONE, address=rig.address))
        writer.write(sent[40:])
        assert await answered(reader) == 200
        assert rig.simulator.journal.requests[PING] == 3
        writer.close()


async def test_the_last_request_of_a_connection_is_answered_and_the_connection_closed() -> None:
    async with running() as rig:
        host, port = rig.simulator.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(a_request(rig, "Connection: close"))
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
