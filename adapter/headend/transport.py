"""HTTP to the head end: one request out at most once, one bounded reply in.

What decides between NotSent and OutcomeUnknown is not the exception but the request's own body: it
knows whether it was ever handed to the socket, it leaves at most once, and once it is sealed it
leaves no more. So the verdict "not sent" cannot be overtaken by a write that comes later, and no
layer below can repeat the request.
"""

import asyncio
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp import hdrs
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from aiohttp.payload import Payload
from multidict import CIMultiDict
from yarl import URL

from adapter.errors import NotSent, OutcomeUnknown
from adapter.headend.settings import HeadEndSettings, Timeouts

_CHUNK_BYTES: Final = 256 * 1024
_READ_BYTES: Final = 64 * 1024
_GZIP: Final = frozenset({"gzip", "x-gzip"})


class NotConnected(NotSent):
    """No connection came about, or the pooled one was dead. `again`: trying once more may help."""

    def __init__(self, message: str, *, again: bool = True) -> None:
        super().__init__(message)
        self.again = again


class _Stale(aiohttp.ClientConnectionError):
    """The pooled connection is closed, or holds bytes that answer nothing we asked."""


class _Unreadable(Exception):
    """The reply is too large or not in an encoding that we read. The text is safe to show."""


class SingleUseBody(Payload):
    """Bytes that leave at most once.

    `left` turns true immediately before the first byte is handed to the transport. aiohttp holds
    the request's head back until then and writes it together with the first piece.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data, content_type="text/xml; charset=utf-8")
        self._data = data
        self._size = len(data)
        self._sealed = False
        self.left = False

    def seal(self) -> bool:
        """Let nothing leave from now on; true when nothing has left so far."""
        self._sealed = True
        return not self.left

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._data.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        # Two turns of the loop: what waits in the socket, a close or stray bytes, is seen in the
        # one that begins with the next look at the sockets.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if self._sealed or self.left:
            raise _Stale("this request has had its one chance to leave")
        if not isinstance(writer, StreamWriter) or _unfit(writer):
            raise _Stale("the connection is closed or holds a stray reply")
        self.left = True
        for start in range(0, len(self._data), _CHUNK_BYTES):
            await writer.write(self._data[start : start + _CHUNK_BYTES])


def _unfit(writer: StreamWriter) -> bool:
    transport = writer.transport
    if transport is None or transport.is_closing():
        return True
    # aiohttp would take bytes that came before the request for the answer to it.
    return bool(getattr(writer.protocol, "should_close", True))


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTarget:
    """Where requests of one kind go, and how: made once, and used for each of them.

    `fresh`: never on an idle connection.
    """

    url: URL
    headers: CIMultiDict[str]
    timeout: aiohttp.ClientTimeout
    fresh: bool

    @classmethod
    def of(
        cls, url: str, headers: Mapping[str, str], timeouts: Timeouts, *, fresh: bool
    ) -> "RequestTarget":
        timeout = aiohttp.ClientTimeout(
            total=None,
            connect=timeouts.pool_s,
            sock_connect=timeouts.connect_s,
            sock_read=timeouts.reply_s,
        )
        return cls(url=URL(url), headers=CIMultiDict(headers), timeout=timeout, fresh=fresh)


@dataclass(slots=True)
class HttpReply:
    """What came back so far, also of a broken reply."""

    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Transport:
    """The connections to one head end: a keep-alive pool, and one that never reuses anything.

    Made inside a running event loop. Cookies live as long as this object and go back only to the
    host that set them; nothing comes from the environment (proxies, netrc).
    """

    def __init__(self, settings: HeadEndSettings, *, context: ssl.SSLContext | None) -> None:
        self._settings = settings
        self._server_name = settings.tls.server_name if settings.tls is not None else None
        # Head ends are often addressed by number: `unsafe` lets such hosts have cookies at all.
        cookies = aiohttp.CookieJar(unsafe=True, quote_cookie=False)
        self._pooled = self._session(context, cookies, reuse=True)
        self._single = self._session(context, cookies, reuse=False)

    def _session(
        self, context: ssl.SSLContext | None, cookies: aiohttp.CookieJar, *, reuse: bool
    ) -> aiohttp.ClientSession:
        limit = self._settings.limits.concurrency
        trust = context if context is not None else True
        if reuse:
            connector = aiohttp.TCPConnector(
                ssl=trust, limit=limit, keepalive_timeout=self._settings.keep_alive_s
            )
        else:
            connector = aiohttp.TCPConnector(ssl=trust, limit=limit, force_close=True)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=cookies,
            trust_env=False,
            auto_decompress=False,
            raise_for_status=False,
            read_bufsize=_READ_BYTES,
            # Every time-out is the target's; without this there would be 300 s in all.
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def close(self) -> None:
        await self._pooled.close()
        await self._single.close()

    async def post(
        self, target: RequestTarget, data: bytes, *, deadline: float, reply: HttpReply
    ) -> None:
        """Send `data` and fill `reply`; `deadline` is in the event loop's time.

        Raises NotConnected or NotSent when no byte has left, OutcomeUnknown for everything after.
        """
        body = SingleUseBody(data)
        whole = asyncio.timeout_at(deadline)
        try:
            async with whole:
                await self._exchange(target, body, reply)
        except Exception as raised:
            # Told apart from the time-outs of single phases.
            late = isinstance(raised, TimeoutError) and whole.expired()
            error = _DeadlinePassed() if late else raised
            # Whatever it was, also what nobody foresaw, the body knows whether it may have acted.
            raise _verdict(error, body, reply) from (error if not body.left else None)
        finally:
            body.seal()

    async def _exchange(self, target: RequestTarget, body: SingleUseBody, reply: HttpReply) -> None:
        session = self._single if target.fresh else self._pooled
        async with session.post(
            target.url,
            data=body,
            headers=target.headers,
            allow_redirects=False,
            server_hostname=self._server_name,
            timeout=target.timeout,
        ) as response:
            if not body.left:
                response.close()
                raise _Stale("an answer came before the request had left")
            reply.status = response.status
            reply.headers = tuple(response.headers.items())
            try:
                await _read(response, reply, self._settings.max_reply_bytes)
            except BaseException:
                # Never back into the pool with the rest of a reply still to come.
                response.close()
                raise


class _DeadlinePassed(Exception):
    pass


async def _read(response: aiohttp.ClientResponse, reply: HttpReply, max_bytes: int) -> None:
    """The body, decoded, never more than `max_bytes` on the wire or decoded."""
    encodings = [
        each.strip().lower() for each in response.headers.getall(hdrs.CONTENT_ENCODING, [])
    ]
    if encodings not in ([], ["identity"]) and (len(encodings) > 1 or encodings[0] not in _GZIP):
        raise _Unreadable("a content encoding that was not asked for")
    if (response.content_length or 0) > max_bytes:
        raise _Unreadable(f"longer than {max_bytes} bytes")
    unzip = zlib.decompressobj(16 + zlib.MAX_WBITS) if encodings and encodings[0] in _GZIP else None
    received = size = 0
    pieces: list[bytes] = []
    try:
        while piece := await response.content.readany():
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


def _verdict(
    error: Exception, body: SingleUseBody, reply: HttpReply
) -> NotConnected | NotSent | OutcomeUnknown:
    """What the failure means out there. No text of the library or of the reply is passed on."""
    if body.seal():
        return _not_sent(error)
    return OutcomeUnknown(_after_sending(error, reply))


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
        case aiohttp.ClientResponseError():
            what = "what came is not HTTP"
        case aiohttp.ClientConnectionError() | OSError():
            what = "the connection was lost"
        case _:
            what = type(error).__name__
    return f"sent; {where}: {what}"
