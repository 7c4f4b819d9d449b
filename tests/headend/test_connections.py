"""Pooled connections, and what must never ride on them."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler

from adapter.commands.calls import TokenGiven
from adapter.errors import NotSent, OutcomeUnknown
from adapter.headend.client import HeadEndClient
from adapter.headend.security import request_headers
from adapter.headend.settings import Timeouts
from adapter.headend.transport import HttpReply, NotConnected, RequestTarget, Transport, ready
from tests.headend.bad_head_ends import Peer, Seen, Server, http, replying
from tests.headend.calls_and_replies import (
    DISCONNECT,
    OTHER,
    PING,
    TOKEN,
    ping_reply,
    settings,
    the_wire,
    token_reply,
)

PONG = http(200, ping_reply())


async def test_reads_share_a_connection() -> None:
    async with Server(replying(PONG)) as server:
        async with HeadEndClient(settings(server.url), the_wire()) as client:
            for _ in range(3):
                await client.call(PING)
        assert [seen.connection for seen in server.seen] == [1, 1, 1]


async def test_an_order_that_moves_a_switch_has_a_connection_of_its_own() -> None:
    async with Server(replying(http(200, token_reply()))) as server:
        async with HeadEndClient(settings(server.url), the_wire()) as client:
            await client.call(DISCONNECT)
            await client.call(DISCONNECT)
        assert [seen.connection for seen in server.seen] == [1, 2]
        assert server.seen[0].headers["connection"] == "close"


async def test_a_connection_closed_while_idle_is_replaced() -> None:
    closed = asyncio.Event()

    async def once(peer: Peer, seen: Seen) -> None:
        await peer.send(PONG)
        peer.writer.close()
        await peer.writer.wait_closed()
        closed.set()

    async with Server(once) as server:
        async with HeadEndClient(settings(server.url, connect_attempts=2), the_wire()) as client:
            for _ in range(5):
                closed.clear()
                assert await client.call(PING) == TokenGiven(token=TOKEN)
                await closed.wait()
        assert len(server.seen) == 5


async def test_a_post_on_a_reused_connection_that_dies_is_unknown_and_goes_out_once() -> None:
    async def first_only(peer: Peer, seen: Seen) -> None:
        if len(server_seen) == 1:
            await peer.send(PONG)
        else:
            peer.writer.close()

    server_seen: list[Seen] = []
    async with Server(first_only, seen=server_seen) as server:
        site = settings(server.url, connect_attempts=5)
        async with HeadEndClient(site, the_wire()) as client:
            await client.call(PING)
            with pytest.raises(OutcomeUnknown):
                await client.call(PING)
        assert len(server.seen) == 2
        assert server.connections == 1


async def test_a_stray_reply_on_an_idle_connection_answers_nothing() -> None:
    idle, sent = asyncio.Event(), asyncio.Event()

    async def chatty(peer: Peer, seen: Seen) -> None:
        await peer.send(PONG)
        if seen.connection == 1:
            await idle.wait()
            await peer.send(http(200, ping_reply(OTHER)))
            sent.set()

    async with Server(chatty) as server:
        site = settings(server.url, connect_attempts=2)
        async with HeadEndClient(site, the_wire()) as client:
            assert await client.call(PING) == TokenGiven(token=TOKEN)
            idle.set()
            await sent.wait()
            assert await client.call(PING) == TokenGiven(token=TOKEN)
        assert [seen.connection for seen in server.seen] == [1, 2]


class ThreadedServer:
    """Acts while the client's event loop stands still, so that its acts wait in the socket.

    After its first reply on the first connection it does `act`; all later connections behave.
    """

    def __init__(self, act: Callable[[socket.socket], None]) -> None:
        self._act = act
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.requests = 0
        self.go, self.done = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "ThreadedServer":
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.go.set()
        self.thread.join(timeout=5)
        self._listening.close()

    def _serve(self) -> None:
        for number in range(2):
            connection, _ = self._listening.accept()
            with connection:
                connection.settimeout(5)
                self._answer(connection)
                if number == 0:
                    self.go.wait(5)
                    self._act(connection)
                    self.done.set()
                    # Until the client gives this connection up, which it may do by a reset.
                    with contextlib.suppress(OSError):
                        self.requests += bool(connection.recv(65536))

    def _answer(self, connection: socket.socket) -> None:
        data = b""
        while not data.endswith(b"</s:Envelope>"):
            data += connection.recv(65536)
        self.requests += 1
        connection.sendall(PONG)


def hang_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def send_stray(connection: socket.socket) -> None:
    connection.sendall(http(200, ping_reply(OTHER)))


@pytest.mark.parametrize("act", [hang_up, reset, send_stray])
async def test_what_waits_in_the_socket_is_seen_before_the_request_leaves(
    act: Callable[[socket.socket], None],
) -> None:
    with ThreadedServer(act) as server:
        site = settings(server.url, connect_attempts=2)
        async with HeadEndClient(site, the_wire()) as client:
            await client.call(PING)
            server.go.set()
            server.done.wait(5)
            assert await client.call(PING) == TokenGiven(token=TOKEN)
    assert server.requests == 2


async def test_two_replies_to_one_request_spoil_the_connection() -> None:
    async def double(peer: Peer, seen: Seen) -> None:
        await peer.send(PONG + http(200, ping_reply(OTHER)))

    async with Server(double) as server:
        async with HeadEndClient(settings(server.url), the_wire()) as client:
            for _ in range(3):
                assert await client.call(PING) == TokenGiven(token=TOKEN)
        assert [seen.connection for seen in server.seen] == [1, 2, 3]


async def test_a_request_whose_deadline_has_passed_does_not_leave_over_an_idle_connection() -> None:
    async with Server(replying(PONG)) as server:
        site = settings(server.url)
        headers = request_headers(site, "urn:ping")
        target = RequestTarget.of(server.url, headers, site, site.timeouts, fresh=False)
        transport, now = Transport(site), asyncio.get_running_loop().time()
        await transport.post(target, b"<order/>", deadline=now + 10.0, reply=HttpReply())
        late = HttpReply()
        with pytest.raises(NotConnected, match="deadline"):
            await transport.post(target, b"<order/>", deadline=now, reply=late)
        await transport.close()
        assert not late.sent
        assert [seen.body for seen in server.seen] == [b"<order/>"]


@pytest.mark.parametrize("name", ["SOAPAction", "X\r\nOther"])
async def test_a_header_that_would_make_other_lines_is_not_sent(name: str) -> None:
    site = settings("http://127.0.0.1:1")
    headers = {name: "urn:ping\r\nContent-Length: 0"}
    with pytest.raises(NotSent, match="could not be sent"):
        RequestTarget.of(site.base_url, headers, site, site.timeouts, fresh=False)


async def test_no_request_leaves_over_a_connection_on_which_an_answer_waits() -> None:
    async def hasty(peer: Peer) -> None:
        await peer.send(PONG)

    loop = asyncio.get_running_loop()
    async with Server(replying(PONG), greet=hasty) as server:
        _, protocol = await loop.create_connection(
            lambda: ResponseHandler(loop), "127.0.0.1", server.port
        )
        while not protocol.should_close:  # noqa: ASYNC110 - aiohttp has no event for it
            await asyncio.sleep(0)
        with pytest.raises(aiohttp.ClientConnectionError):
            await ready(protocol, loop.time() + 10.0)
        protocol.close()


ENDS = (OutcomeUnknown, TimeoutError, NotSent)
"""How an impatient call ends: on a busy machine some run out of time before they are sent."""


@pytest.mark.parametrize("total_s", [0.3, 0.35])
async def test_two_time_outs_in_one_instant_never_make_a_sent_request_unsent(
    total_s: float,
) -> None:
    both = Timeouts(admission_s=1.0, pool_s=1.0, connect_s=1.0, reply_s=0.3, total_s=total_s)

    async def never(peer: Peer, seen: Seen) -> None:
        await asyncio.Event().wait()

    async with Server(never) as server:
        site = settings(server.url, timeouts=both, connect_attempts=3)
        async with HeadEndClient(site, the_wire()) as client:
            outcomes = await asyncio.gather(
                *(client.call(PING) for _ in range(5)),
                *(_impatient(client, total_s) for _ in range(5)),
                return_exceptions=True,
            )
        unsent = sum(isinstance(each, NotSent) for each in outcomes)
        assert all(isinstance(each, ENDS) for each in outcomes), outcomes
        assert 0 < len(server.seen) <= len(outcomes) - unsent


async def _impatient(client: HeadEndClient, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        await client.call(PING)


async def test_the_environment_sends_nothing_through_a_proxy_and_gives_no_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with Server(replying(PONG)) as proxy, Server(replying(PONG)) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        async with HeadEndClient(settings(server.url), the_wire()) as client:
            await client.call(PING)
        assert proxy.connections == 0
        assert "authorization" not in server.seen[0].headers


async def test_a_session_cookie_goes_back_unchanged_to_the_host_that_set_it_and_nowhere_else() -> (
    None
):
    cookie = "affinity=a{b}c=="
    setting = http(200, ping_reply(), f"Set-Cookie: {cookie}; path=/; HttpOnly")
    control = replying(http(200, token_reply()))
    async with Server(replying(setting)) as server, Server(control) as other:
        elsewhere = {"ControlService": f"http://localhost:{other.port}/control"}
        site = settings(server.url, service_urls=elsewhere)
        async with HeadEndClient(site, the_wire()) as client:
            await client.call(PING)
            await client.call(PING)
            await client.call(DISCONNECT)
        async with HeadEndClient(site, the_wire()) as stranger:
            await stranger.call(PING)
        cookies = [seen.headers.get("cookie") for seen in server.seen]
        assert cookies == [None, cookie, None]
        assert "cookie" not in other.seen[0].headers


async def test_no_more_calls_run_at_once_than_the_limit() -> None:
    running = most = 0

    async def counting(peer: Peer, seen: Seen) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1
        await peer.send(PONG)

    async with Server(counting) as server:
        site = settings(server.url)
        patient = Timeouts(admission_s=10.0)
        async with HeadEndClient(settings(server.url, timeouts=patient), the_wire()) as client:
            await asyncio.gather(*(client.call(PING, priority="urgent") for _ in range(100)))
        assert most <= site.limits.concurrency
        assert most > 1
        assert len(server.seen) == 100
        assert server.connections <= site.limits.concurrency


async def test_a_place_that_does_not_come_free_in_time_is_not_sent() -> None:
    async def never(peer: Peer, seen: Seen) -> None:
        await asyncio.Event().wait()

    async with Server(never) as server:
        site = settings(server.url, timeouts=Timeouts(admission_s=0.05, reply_s=0.5))
        async with HeadEndClient(site, the_wire()) as client:
            held = [client.limits.try_admit(PING.operation, "urgent") for _ in range(16)]
            with pytest.raises(NotSent, match="over our own limit: concurrency"):
                await client.call(PING)
            assert len(held) == 16
        assert server.connections == 0
