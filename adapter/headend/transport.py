"""HTTP to the head end: one request out at most once, one bounded reply in.

aiohttp's connector opens and keeps the connections, its protocol reads what comes on them. The
request is written here, in one step that nothing interrupts: what decides between NotSent and
OutcomeUnknown is not the exception but whether that step was come to. So no layer below can repeat
the request, and none can write it once the verdict is given.
"""

import asyncio
import math
import re
import select
import ssl
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final

import aiohttp
from aiohttp import StreamReader, hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from msgspec import Struct
from multidict import CIMultiDictProxy
from yarl import URL

from adapter.errors import NotSent, OutcomeUnknown
from adapter.headend.security import without_secrets
from adapter.headend.settings import HeadEndSettings, Timeouts
from adapter.headend.whole_replies import Expected, KnownReplies, WholeReply

_GZIP: Final = frozenset({"gzip", "x-gzip"})
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class NotConnected(NotSent):
    """No connection came about, or the pooled one was dead. `again`: trying once more may help."""

    def __init__(self, message: str, *, again: bool = True) -> None:
        super().__init__(message)
        self.again = again


class _Stale(aiohttp.ClientConnectionError):
    """The pooled connection is closed, or holds bytes that answer nothing we asked."""


class _Unreadable(Exception):
    """The reply is too large or not in an encoding that we read. The text is safe to show."""


class _DeadlinePassed(Exception):
    pass


class _Barred(Exception):
    """There is a connection, and nothing may leave on it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTarget:
    """Where requests of one kind go, and how: made once, and used for each of them.

    `head` is what each begins with, up to the value of Content-Length. `fresh`: never on an idle
    connection. `url` and `shown_headers` are for recordings, without secrets.
    """

    url: str
    shown_headers: tuple[tuple[str, str], ...]
    request: aiohttp.ClientRequest
    head: bytes
    timeouts: Timeouts
    phases: aiohttp.ClientTimeout
    fresh: bool

    @classmethod
    def of(
        cls,
        url: str,
        headers: Mapping[str, str],
        settings: HeadEndSettings,
        timeouts: Timeouts,
        *,
        fresh: bool,
        context: ssl.SSLContext | None = None,
    ) -> "RequestTarget":
        """Within a running event loop. Only connections that were opened with this `context` are
        used. Raises NotSent for what cannot be sent."""
        tls = settings.tls
        try:
            request = aiohttp.ClientRequest(
                "POST",
                URL(url),
                headers=headers,
                server_hostname=None if tls is None else tls.server_name,
                ssl=True if context is None else context,
            )
            head = _head(request, fresh=fresh)
        except ValueError as error:
            raise NotSent(f"the request could not be sent: {type(error).__name__}") from error
        phases = aiohttp.ClientTimeout(
            total=None, connect=timeouts.pool_s, sock_connect=timeouts.connect_s
        )
        return cls(
            url=str(request.url),
            shown_headers=without_secrets(headers.items()),
            request=request,
            head=head,
            timeouts=timeouts,
            phases=phases,
            fresh=fresh,
        )


def _head(request: aiohttp.ClientRequest, *, fresh: bool) -> bytes:
    """Raises ValueError where a control character would make other lines of it."""
    headers = request.headers.copy()
    headers.popall(hdrs.CONTENT_LENGTH, None)
    if fresh:
        headers[hdrs.CONNECTION] = "close"
    lines = [f"POST {request.url.raw_path_qs} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if any(_CONTROL.search(line) for line in lines):
        raise ValueError("a control character")
    return "\r\n".join([*lines, f"{hdrs.CONTENT_LENGTH}: "]).encode()


class HttpReply(Struct):
    """What came back so far, also of a broken reply. `sent`: the request may have left."""

    sent: bool = False
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Transport:
    """The connections to one head end: a keep-alive pool, and one that never reuses anything.

    Made inside a running event loop. Cookies live as long as this object and go back only to the
    host that set them; nothing comes from the environment (proxies, netrc). Redirects are replies
    like any other.
    """

    def __init__(self, settings: HeadEndSettings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        # Head ends are often addressed by number: `unsafe` lets such hosts have cookies at all.
        self._cookies = aiohttp.CookieJar(unsafe=True, quote_cookie=False)
        limit = settings.limits.concurrency
        self._pooled = aiohttp.TCPConnector(limit=limit, keepalive_timeout=settings.keep_alive_s)
        self._single = aiohttp.TCPConnector(limit=limit, force_close=True)
        self._known = KnownReplies()
        self._patience = _Patience(self._loop)

    async def close(self) -> None:
        self._patience.close()
        await self._pooled.close()
        await self._single.close()

    async def post(
        self,
        target: RequestTarget,
        data: bytes,
        *,
        deadline: float,
        reply: HttpReply,
        trace: str = "",
        barred: Callable[[], bool] | None = None,
    ) -> None:
        """Send `data` and fill `reply`; `deadline` is in the event loop's time, `trace` is told as
        the traceparent. `barred` is asked once there is a connection: then nothing leaves.

        Raises NotConnected or NotSent when no byte has left, OutcomeUnknown for everything after.
        """
        try:
            await self._exchange(target, data, deadline, reply, trace, barred)
        except Exception as error:
            # Whatever it was, also what nobody foresaw: it is known whether it may have acted.
            if reply.sent:
                raise OutcomeUnknown(_after_sending(error, reply)) from None
            raise _not_sent(error) from error

    async def _exchange(
        self,
        target: RequestTarget,
        data: bytes,
        deadline: float,
        reply: HttpReply,
        trace: str,
        barred: Callable[[], bool] | None,
    ) -> None:
        connector = self._single if target.fresh else self._pooled
        connection = await _connected(connector, target, self._loop.time(), deadline)
        try:
            protocol = connection.protocol
            assert protocol is not None
            await ready(protocol, deadline)
            if barred is not None and barred():
                raise _Barred
            expected = Expected(protocol, self._known, self._loop)
            self._send(protocol, target, data, reply, trace)
            with self._patience.wait_for(expected, target.timeouts.reply_s, deadline) as waiting:
                await self._receive(expected, target, waiting, reply)
            again = expected.end()
        except BaseException:
            # Never back into the pool with the rest of a reply still to come.
            connection.close()
            raise
        connection.release() if again else connection.close()

    def _send(
        self,
        protocol: ResponseHandler,
        target: RequestTarget,
        data: bytes,
        reply: HttpReply,
        trace: str,
    ) -> None:
        cookies = self._cookies.filter_cookies(target.request.url)
        cookie = b""
        if cookies:
            with_them = aiohttp.ClientRequest("POST", target.request.url, cookies=cookies)
            cookie = f"\r\n{hdrs.COOKIE}: {with_them.headers[hdrs.COOKIE]}".encode()
        told = f"\r\ntraceparent: {trace}".encode() if trace else b""
        length = b"%d" % len(data)
        assert protocol.transport is not None
        reply.sent = True
        protocol.transport.write(b"".join((target.head, length, cookie, told, b"\r\n\r\n", data)))

    async def _receive(
        self,
        expected: Expected,
        target: RequestTarget,
        waiting: "_Waiting",
        reply: HttpReply,
    ) -> None:
        came = await expected.came
        if isinstance(came, WholeReply):
            reply.status, reply.headers = came.status, came.headers
            if len(came.body) > self._settings.max_reply_bytes:
                raise _Unreadable(f"longer than {self._settings.max_reply_bytes} bytes")
            reply.body = came.body
            return
        assert expected.reader is not None
        message, content = await _final(expected.reader)
        waiting.content = content
        reply.status = message.code
        reply.headers = tuple(message.headers.items())
        if hdrs.SET_COOKIE in message.headers:
            told = message.headers.getall(hdrs.SET_COOKIE)
            self._cookies.update_cookies_from_headers(told, target.request.url)
        await _read(message.headers, content, waiting, reply, self._settings.max_reply_bytes)
        self._known.learn(came, message, reply.body)


async def _connected(
    connector: aiohttp.TCPConnector, target: RequestTarget, now: float, deadline: float
) -> Connection:
    whole: asyncio.Timeout | None = None
    connecting = connector.connect(target.request, traces=[], timeout=target.phases)
    try:
        if now + target.timeouts.pool_s < deadline:  # a time-out of its own ends it before
            return await connecting
        async with asyncio.timeout_at(deadline) as whole:
            return await connecting
    except TimeoutError as error:
        # Told apart from the time-outs of single phases.
        passed = whole is not None and whole.expired()
        raise (_DeadlinePassed if passed else aiohttp.ConnectionTimeoutError)() from error


async def ready(protocol: ResponseHandler, deadline: float) -> None:
    """Make a connection ready for one request and its reply. Raises ClientConnectionError where it
    is closed, or where something came on it that no request has asked for."""
    if protocol.transport is not None and _something_waits(protocol.transport):
        # Two turns of the loop: it is seen in the one that begins with the next look at the
        # sockets.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    transport = protocol.transport
    # aiohttp would take bytes that came before the request for the answer to it.
    if transport is None or transport.is_closing() or protocol.should_close:
        raise _Stale("the connection is closed or holds a stray reply")
    if asyncio.get_running_loop().time() >= deadline:
        raise _DeadlinePassed


def _something_waits(transport: asyncio.Transport) -> bool:
    """Whether the socket holds bytes, an end or an error that the event loop has not seen; True
    where that cannot be told."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(transport.get_extra_info("socket"), select.POLLIN)
    return bool(poll.poll(0))


class _Waiting:
    """For one reply: until the deadline, and while something has come within `reply_s` seconds:
    since the request has left, or since the last piece."""

    def __init__(
        self, patience: "_Patience", expected: Expected, reply_s: float, deadline: float
    ) -> None:
        self._patience = patience
        self._expected = expected
        self._reply_s = reply_s
        self._deadline = deadline
        self._since = patience.now()
        self.content: StreamReader | None = None
        """Of the reply, once it has begun."""

    def __enter__(self) -> "_Waiting":
        self._patience.begin(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._patience.end(self)

    def came(self) -> None:
        self._since = self._patience.now()

    @property
    def due(self) -> float:
        return min(self._deadline, self._since + self._reply_s)

    def look(self, now: float) -> None:
        """End it where it is due."""
        if self._expected.writing_paused:
            self.came()  # the request has not left yet
        if now < self.due:
            return
        error = _DeadlinePassed() if now >= self._deadline else aiohttp.SocketTimeoutError()
        self._expected.fail(error)
        if self.content is not None:
            self.content.set_exception(error)


class _Patience:
    """Ends what waits for a reply too long. One timer for all of them, due with the first: hardly
    any comes to it, and a timer for each would cost more than to send the request."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: set[_Waiting] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf
        self.now = loop.time

    def wait_for(self, expected: Expected, reply_s: float, deadline: float) -> _Waiting:
        return _Waiting(self, expected, reply_s, deadline)

    def begin(self, waiting: _Waiting) -> None:
        self._waiting.add(waiting)
        if waiting.due < self._due:
            self._look_at(waiting.due)

    def end(self, waiting: _Waiting) -> None:
        """The timer stays: most often another is waited for by then."""
        self._waiting.discard(waiting)

    def close(self) -> None:
        self._look_at(math.inf)

    def _look_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = None if due == math.inf else self._loop.call_at(due, self._look)

    def _look(self) -> None:
        now = self.now()
        late = [each for each in self._waiting if each.due <= now]
        for each in late:
            each.look(now)
        left = (each.due for each in self._waiting if each.due > now)
        self._look_at(min(left, default=math.inf))


async def _final(protocol: ResponseHandler) -> tuple[RawResponseMessage, StreamReader]:
    """The reply's head, past those that only say that there will be one."""
    while True:
        message, content = await protocol.read()
        if not 100 <= message.code < 200 or message.code == 101:
            return message, content


async def _read(
    headers: CIMultiDictProxy[str],
    content: StreamReader,
    waiting: _Waiting,
    reply: HttpReply,
    max_bytes: int,
) -> None:
    """The body, decoded, never more than `max_bytes` on the wire or decoded."""
    encodings = [each.strip().lower() for each in headers.getall(hdrs.CONTENT_ENCODING, [])]
    if encodings not in ([], ["identity"]) and (len(encodings) > 1 or encodings[0] not in _GZIP):
        raise _Unreadable("a content encoding that was not asked for")
    if int(headers.get(hdrs.CONTENT_LENGTH, 0)) > max_bytes:
        raise _Unreadable(f"longer than {max_bytes} bytes")
    unzip = zlib.decompressobj(16 + zlib.MAX_WBITS) if encodings and encodings[0] in _GZIP else None
    received = size = 0
    pieces: list[bytes] = []
    try:
        while piece := await content.readany():
            waiting.came()
            received += len(piece)
            if unzip is not None:
                piece = unzip.decompress(piece, max_bytes + 1 - size)
            size += len(piece)
            pieces.append(piece)
            if received > max_bytes or size > max_bytes:
                raise _Unreadable(f"longer than {max_bytes} bytes")
    finally:
        reply.body = b"".join(pieces)  # of one piece this is no copy
    if unzip is not None and (not unzip.eof or unzip.unused_data or unzip.unconsumed_tail):
        raise _Unreadable("not one whole gzip member")


def _not_sent(error: Exception) -> NotSent:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return NotConnected("TLS: the head end's certificate is not accepted", again=False)
        case aiohttp.ClientConnectorSSLError():
            return NotConnected("TLS: the handshake failed", again=False)
        case aiohttp.ClientConnectorDNSError():
            return NotConnected("the head end's name does not resolve")
        case aiohttp.ConnectionTimeoutError():
            return NotConnected("no connection within the time-out")
        case _Barred():
            return NotSent("switch orders are held")
        case _DeadlinePassed():
            return NotConnected("the deadline passed before a connection stood", again=False)
        case aiohttp.ClientConnectorError():
            return NotConnected(f"no connection: {type(error.os_error).__name__}")
        case aiohttp.ClientConnectionError() | OSError():
            return NotConnected("the connection broke before the request left")
        case _:
            return NotSent(f"the request could not be sent: {type(error).__name__}")


def _after_sending(error: Exception, reply: HttpReply) -> str:
    where = "before a reply" if reply.status is None else f"in the reply (HTTP {reply.status})"
    match error:
        case aiohttp.SocketTimeoutError():
            what = "nothing came within the time-out"
        case _DeadlinePassed():
            what = "the deadline passed"
        case _Unreadable():
            what = f"the body is unreadable: {error}"
        case zlib.error():
            what = "the body is unreadable: broken gzip"
        case aiohttp.ClientPayloadError():
            what = "the body was cut off"
        case HttpProcessingError():
            what = "what came is not HTTP"
        case aiohttp.ClientConnectionError() | OSError():
            what = "the connection was lost"
        case _:
            what = type(error).__name__
    return f"sent; {where}: {what}"
