"""What each misbehaviour of a head end is judged to be, and how many requests it got to see."""

import asyncio
import gzip
import socket
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest

from adapter.commands.calls import Answer, Call, HeadEndOutcome, RemoteResult, TokenGiven
from adapter.commands.flows import Operation
from adapter.errors import FaultClass, HeadEndError, NotSent, OutcomeUnknown, Refused
from adapter.headend.client import Encoded, HeadEndClient
from adapter.headend.settings import HeadEndSettings, Timeouts
from adapter.model.values import replace
from tests.headend.bad_head_ends import Peer, Script, Seen, Server, http, in_turn, replying
from tests.headend.calls_and_replies import (
    DISCONNECT,
    NIL,
    OTHER,
    PING,
    RESULT,
    TOKEN,
    envelope,
    fault,
    ping_reply,
    result_reply,
    settings,
    the_wire,
    token_reply,
)
from tests.support import run

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
GOOD = http(200, token_reply())


async def calling(url: str, call: Call = DISCONNECT, /, **changes: object) -> Answer:
    async with HeadEndClient(settings(url, **changes), the_wire()) as client:
        return await client.call(call)


async def failing(
    server: Server, kind: type[HeadEndError], call: Call = DISCONNECT, /, **changes: object
) -> HeadEndError:
    """Call once, expect exactly `kind`."""
    with pytest.raises(HeadEndError) as caught:
        await calling(server.url, call, **changes)
    assert type(caught.value) is kind or (kind is NotSent and isinstance(caught.value, NotSent)), (
        caught.value
    )
    return caught.value


def judged(script: Script, kind: type[HeadEndError], requests: int = 1, **changes: object) -> str:
    """The error's text, after `script` made a disconnect end as `kind` and saw `requests`."""

    async def scene() -> str:
        async with Server(script) as server:
            error = await failing(server, kind, **changes)
            assert len(server.seen) == requests
            return str(error)

    return run(scene())


async def test_the_answer_to_a_disconnect_is_its_token() -> None:
    async with Server(replying(GOOD)) as server:
        assert await calling(server.url) == TokenGiven(token=TOKEN)
        seen = server.seen[0]
        assert seen.line == "POST /ami/2008/10/control HTTP/1.1"
        assert seen.headers["soapaction"] == (
            '"http://www.itron.com/ami/2008/10/control/ControlService/DisconnectMeter"'
        )
        assert seen.headers["content-type"] == "text/xml; charset=utf-8"
        assert "transfer-encoding" not in seen.headers
        assert b"2.16.840.1.114416.15.243.700001" in seen.body
        assert len(server.seen) == 1


@pytest.mark.parametrize("status", [200, 400, 500, 503])
async def test_a_named_fault_refuses_whatever_the_status(status: int) -> None:
    async with Server(replying(http(status, fault("MeterNotFoundFault")))) as server:
        error = await failing(server, Refused)
        assert isinstance(error, Refused)
        assert error.fault.name == "MeterNotFoundFault"
        assert error.fault.klass is FaultClass.PERMANENT
        assert len(server.seen) == 1


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_a_fault_without_a_named_detail_proves_nothing(status: int) -> None:
    judged(replying(http(status, fault(""))), OutcomeUnknown)
    judged(replying(http(status, fault("InternalServiceFault"))), OutcomeUnknown)


def test_the_generic_operation_fault_does_not_prove_that_a_switch_stayed() -> None:
    reply = http(500, fault("OperationFault"))
    judged(replying(reply), OutcomeUnknown)
    judged(replying(reply), Refused, generic_faults=frozenset())
    judged_ping(reply, Refused)


def judged_ping(reply: bytes, kind: type[HeadEndError]) -> None:
    async def scene() -> None:
        async with Server(replying(reply)) as server:
            await failing(server, kind, PING)

    run(scene())


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 415])
@pytest.mark.parametrize("body", [b"", b"<html><body>no</body></html>"])
@pytest.mark.parametrize(
    ("call", "wanted"), [(PING, {}), (DISCONNECT, {"believe_bare_4xx": True})], ids=["ping", "cut"]
)
async def test_a_4xx_of_the_head_end_is_a_refusal_without_a_name(
    status: int, body: bytes, call: Call, wanted: dict[str, bool]
) -> None:
    async with Server(replying(http(status, body))) as server:
        error = await failing(server, Refused, call, **wanted)
        assert isinstance(error, Refused)
        assert error.fault.name == ""
        assert error.fault.klass is FaultClass.PERMANENT
        assert error.fault.message == f"HTTP {status}"
        assert len(server.seen) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 415, 429])
@pytest.mark.parametrize("body", [b"", HTML, token_reply()], ids=["empty", "page", "token"])
def test_a_4xx_without_a_fault_may_be_a_proxys_and_proves_nothing_of_a_switch(
    status: int, body: bytes
) -> None:
    text = judged(replying(http(status, body)), OutcomeUnknown)
    assert f"HTTP {status} without a fault" in text


async def test_429_is_a_refusal_that_asks_to_come_back() -> None:
    async with Server(replying(http(429))) as server:
        error = await failing(server, Refused, PING)
        assert isinstance(error, Refused)
        assert error.fault.klass is FaultClass.RETRY


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(http(200), id="200 empty"),
        pytest.param(http(200, b"  \n"), id="200 blank"),
        pytest.param(http(202), id="202 empty"),
        pytest.param(http(202, token_reply()), id="202 with a good body"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", id="204"),
        pytest.param(http(206, token_reply()), id="206"),
        pytest.param(http(500, token_reply()), id="500 with a good body"),
        pytest.param(http(503), id="503 empty"),
        pytest.param(http(502, HTML), id="502 HTML"),
        pytest.param(http(200, HTML), id="200 HTML"),
        pytest.param(http(407), id="407, a proxy"),
        pytest.param(http(408), id="408, perhaps a proxy"),
        pytest.param(http(200, ping_reply()), id="another operation's answer"),
        pytest.param(http(200, token_reply(token=NIL)), id="nil GUID"),
        pytest.param(http(200, token_reply(token="")), id="empty token"),
        pytest.param(http(200, token_reply(token="12345")), id="not a GUID"),
        pytest.param(
            http(200, token_reply().replace(b"</a:Id>", f"</a:Id><a:Id>{OTHER}</a:Id>".encode())),
            id="two tokens",
        ),
        pytest.param(http(200, envelope("")), id="empty SOAP body"),
        pytest.param(http(200, token_reply() + token_reply()), id="two envelopes"),
        pytest.param(http(200, token_reply()[:-20]), id="cut XML"),
        pytest.param(
            http(
                200,
                b'<!DOCTYPE a [<!ENTITY t "0d5a7c9c-93c4-4a52-8f30-7a2b1f1b9e02">]>'
                + token_reply(token="&t;"),
            ),
            id="entity",
        ),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", id="not HTTP"),
        pytest.param(
            b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", id="101"
        ),
        pytest.param(http(200, token_reply(), "Content-Encoding: br"), id="unasked encoding"),
        pytest.param(http(200, token_reply(), "Content-Encoding: gzip"), id="not gzip at all"),
        pytest.param(
            http(200, gzip.compress(token_reply())[:-9], "Content-Encoding: gzip"), id="cut gzip"
        ),
        pytest.param(
            http(200, gzip.compress(gzip.compress(token_reply())), "Content-Encoding: gzip, gzip"),
            id="gzip in gzip",
        ),
    ],
)
def test_a_reply_that_is_not_the_answer_leaves_the_outcome_unknown(reply: bytes) -> None:
    text = judged(replying(reply), OutcomeUnknown)
    assert TOKEN not in text
    assert OTHER not in text
    assert "<" not in text
    assert "Gateway" not in text
    assert len(text) < 200


async def test_a_gzipped_answer_is_read() -> None:
    reply = http(200, gzip.compress(token_reply()), "Content-Encoding: gzip")
    async with Server(replying(reply)) as server:
        assert await calling(server.url) == TokenGiven(token=TOKEN)


async def test_a_result_under_another_token_is_not_believed() -> None:
    replies = in_turn(http(200, result_reply()), http(200, result_reply(OTHER)))
    async with Server(replies) as server:
        answer = await calling(server.url, RESULT)
        assert isinstance(answer, HeadEndOutcome)
        assert answer.result is RemoteResult.SUCCESS
        await failing(server, OutcomeUnknown, RESULT)


async def close_at_once(peer: Peer) -> None:
    peer.writer.close()


async def reset_at_once(peer: Peer) -> None:
    peer.reset()


async def never(peer: Peer, seen: Seen) -> None:
    await asyncio.Event().wait()


async def closing(peer: Peer, seen: Seen) -> None:
    peer.writer.close()


async def resetting(peer: Peer, seen: Seen) -> None:
    peer.reset()


async def half_a_reply(peer: Peer, seen: Seen) -> None:
    await peer.send(GOOD[: len(GOOD) - 30])
    peer.writer.close()


async def half_a_chunked_reply(peer: Peer, seen: Seen) -> None:
    await peer.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n"
        + token_reply()[:16]
        + b"\r\n"
    )
    peer.writer.close()


async def half_a_head(peer: Peer, seen: Seen) -> None:
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-")
    peer.writer.close()


async def half_and_reset(peer: Peer, seen: Seen) -> None:
    await peer.send(GOOD[: len(GOOD) - 30])
    peer.reset()


@pytest.mark.parametrize(
    "script",
    [closing, resetting, half_a_reply, half_a_chunked_reply, half_a_head, half_and_reset],
)
def test_a_connection_lost_after_the_request_left_is_unknown_and_not_repeated(
    script: Script,
) -> None:
    judged(script, OutcomeUnknown, connect_attempts=3)


@pytest.mark.parametrize("greet", [close_at_once, reset_at_once])
async def test_a_connection_accepted_and_dropped_is_never_repeated_once_bytes_may_have_left(
    greet: Callable[[Peer], Awaitable[None]],
) -> None:
    async with Server(replying(GOOD), greet=greet) as server:
        with pytest.raises((NotSent, OutcomeUnknown)) as caught:
            await calling(server.url, connect_attempts=3)
        if type(caught.value) is OutcomeUnknown:
            assert server.connections == 1
        assert server.seen == []


QUICK = Timeouts(admission_s=0.2, pool_s=0.2, connect_s=0.2, reply_s=0.1, total_s=2.0)


def test_a_head_end_that_never_answers_is_unknown_after_the_reply_time_out() -> None:
    text = judged(never, OutcomeUnknown, timeouts=QUICK)
    assert text == "sent; before a reply: nothing came within the time-out"


def test_a_reply_in_slow_drops_ends_at_the_deadline() -> None:
    async def dripping(peer: Peer, seen: Seen) -> None:
        await peer.send(http(200, length=100_000))
        while True:
            await peer.send(b"<")
            await asyncio.sleep(0.02)

    text = judged(
        dripping, OutcomeUnknown, timeouts=Timeouts(reply_s=5.0, total_s=0.4, connect_s=0.3)
    )
    assert text == "sent; in the reply (HTTP 200): the deadline passed"


def test_a_reply_that_stops_in_the_middle_is_unknown_after_the_reply_time_out() -> None:
    async def stopping(peer: Peer, seen: Seen) -> None:
        await peer.send(http(200, token_reply()[:50], length=1000))
        await asyncio.Event().wait()

    text = judged(stopping, OutcomeUnknown, timeouts=QUICK)
    assert text == "sent; in the reply (HTTP 200): nothing came within the time-out"


class LongRequests:
    """A codec whose requests are longer than all socket buffers between us and the head end."""

    def encode(self, call: Call, *, header: bytes) -> Encoded:
        short = the_wire().encode(call, header=header)
        return replace(short, body=short.body + b" " * (24 * 1024 * 1024))

    def read(self, operation: Operation, data: bytes) -> Answer:
        return the_wire().read(operation, data)


async def test_a_head_end_that_stops_reading_a_long_request_is_unknown_at_the_deadline() -> None:
    async def deaf(peer: Peer) -> None:
        await asyncio.Event().wait()

    async with Server(never, greet=deaf) as server:
        patience = Timeouts(reply_s=0.2, total_s=1.0)
        site = settings(server.url, timeouts=patience)
        async with HeadEndClient(site, LongRequests()) as client:
            with pytest.raises(OutcomeUnknown, match="deadline"):
                await client.call(DISCONNECT)
        assert server.connections == 1


async def test_connection_refused_is_not_sent() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(NotSent, match="ConnectionRefusedError"):
            await calling(f"http://127.0.0.1:{port}")


async def test_a_name_that_does_not_resolve_is_not_sent() -> None:
    with pytest.raises(NotSent, match="does not resolve"):
        await calling("http://head-end.invalid")


async def test_a_connect_that_is_never_accepted_is_not_sent() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        crowd = [socket.socket() for _ in range(4)]
        try:
            for each in crowd:
                each.setblocking(False)
                each.connect_ex(address)
            with pytest.raises(NotSent, match="within the time-out"):
                await calling(f"http://127.0.0.1:{address[1]}", timeouts=QUICK)
        finally:
            for each in crowd:
                each.close()


async def test_a_refused_connection_is_tried_again_and_then_the_request_goes_once() -> None:
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    calls = asyncio.ensure_future(
        calling(f"http://127.0.0.1:{port}", connect_attempts=40, connect_retry_wait_s=0.05)
    )
    await asyncio.sleep(0)
    async with Server(replying(GOOD), port=port) as server:
        assert await calls == TokenGiven(token=TOKEN)
        assert len(server.seen) == 1


def test_a_length_of_a_gigabyte_is_refused_before_it_is_read() -> None:
    async def endless(peer: Peer, seen: Seen) -> None:
        await peer.send(http(200, length=2**30))
        await asyncio.Event().wait()

    text = judged(endless, OutcomeUnknown)
    assert text.endswith("longer than 16777216 bytes")


def test_a_reply_without_a_length_is_cut_at_the_cap() -> None:
    sent = 0

    async def flooding(peer: Peer, seen: Seen) -> None:
        nonlocal sent
        await peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            await peer.send(b"<" * 65536)
            sent += 65536

    judged(flooding, OutcomeUnknown, max_reply_bytes=1_000_000)
    assert sent < 20_000_000


def test_a_gzip_bomb_is_cut_while_it_unfolds() -> None:
    bomb = gzip.compress(b"<" * (64 * 1024 * 1024))
    assert len(bomb) < 100_000
    reply = http(200, bomb, "Content-Encoding: gzip")
    the_wire()
    tracemalloc.start()
    try:
        text = judged(replying(reply), OutcomeUnknown, max_reply_bytes=1_000_000)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert text.endswith("longer than 1000000 bytes")
    assert most < 8_000_000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with Server(replying(GOOD)) as stranger:
        away = replying(http(status, token_reply(), f"Location: {stranger.url}/elsewhere"))
        async with Server(away) as server:
            error = await failing(server, OutcomeUnknown)
            assert len(server.seen) == 1
            assert stranger.connections == 0
            assert stranger.url not in str(error)


def test_a_redirect_with_a_named_fault_is_still_no_refusal() -> None:
    judged(replying(http(302, fault("MeterNotFoundFault"))), OutcomeUnknown)


async def test_a_comment_inside_a_token_does_not_cut_it() -> None:
    commented = token_reply(token=f"{TOKEN[:10]}<!-- x -->{TOKEN[10:]}")
    async with Server(replying(http(200, commented))) as server:
        assert await calling(server.url) == TokenGiven(token=TOKEN)


async def test_the_text_of_a_fault_is_bounded_and_on_one_line() -> None:
    long = http(500, fault("MeterNotFoundFault", "No.\n\x85" + "long " * 5000))
    async with Server(replying(long)) as server:
        error = await failing(server, Refused)
        assert len(str(error)) < 400
        assert str(error).isprintable()


async def test_cancelling_a_call_passes_through_and_sends_nothing_more() -> None:
    async with Server(never) as server:
        task = asyncio.ensure_future(calling(server.url))
        await server.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(server.seen) == 1


async def test_settings_name_the_address_and_a_service_may_have_its_own() -> None:
    async with Server(replying(GOOD)) as main, Server(replying(http(200, ping_reply()))) as own:
        where = {"DiagnosticService": f"{own.url}/itron/diagnostic.svc"}
        site = settings(main.url + "/itron/", service_urls=where)
        async with HeadEndClient(site, the_wire()) as client:
            await client.call(DISCONNECT)
            await client.call(PING)
        assert main.seen[0].line == "POST /itron/ami/2008/10/control HTTP/1.1"
        assert own.seen[0].line == "POST /itron/diagnostic.svc HTTP/1.1"


async def test_a_client_that_is_not_open_sends_nothing() -> None:
    client = HeadEndClient(HeadEndSettings(base_url="http://127.0.0.1:1"), the_wire())
    with pytest.raises(NotSent):
        await client.call(DISCONNECT)
