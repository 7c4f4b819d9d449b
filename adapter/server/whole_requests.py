"""Requests that come whole, with a head that is known: answered where they are read.

What the requests of one caller differ in is their target, their length and their body. All else of
a head was read by the web server's parser once, and judged; the same bytes need no second look. Any
other request, and whatever becomes of a connection after it, is the web server's: it is handed over
with all that came and was not answered.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Generic, Protocol, TypeVar, cast

from aiohttp import HttpVersion11, web
from aiohttp.http import HttpRequestParser, StreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from msgspec import Struct

from adapter.server.connections import READ_BYTES, Connection, ConnectionSlot, Places

T = TypeVar("T")

_MOST_HEADS: Final = 16
_MOST_LENGTHS: Final = 256
_LONGEST_PART: Final = 8 * 1024
_REST_S: Final = 0.05
"""So long the body is waited for of a head that came alone, as many clients send them."""

_REQUEST: Final = re.compile(
    rb"POST (/[\w.~/-]{1,1000}) HTTP/1\.1\r\n"
    rb"((?:[^\r\n]++\r\n)*?)[Cc]ontent-[Ll]ength: ([1-9][0-9]{0,5})\r\n((?:[^\r\n]++\r\n)*+)\r\n",
    re.ASCII,
)

_FIRST_LINE: Final = re.compile(rb"POST (/[\w.~/-]{1,1000}) HTTP/1\.1\r\n", re.ASCII)
_END: Final = b"\r\n\r\n"

_OTHERWISE: Final = ("Transfer-Encoding", "Expect")
"""Headers with which a body comes otherwise than at once, and so long as Content-Length says."""

Head = tuple[bytes, bytes]
"""The lines before and after Content-Length, but for the first."""


class WholeRequest(Struct, frozen=True, gc=False):
    """A POST that came in one piece, with nothing behind it. `fresh`: its head was taken apart."""

    path: str
    head: Head
    body: bytes
    fresh: bool = True


def whole_request(data: bytes) -> WholeRequest | None:
    """None where it is another, or not whole. Nothing but its lengths is judged by that."""
    found = _REQUEST.match(data)
    if found is None:
        return None
    body = data[found.end() :]
    if len(body) != int(found[3]):
        return None
    return WholeRequest(found[1].decode(), (found[2], found[4]), body)


def lacks_body(data: bytes) -> str | None:
    """The path of a POST that is there but for some of its body, which is short and comes unasked;
    None where it is anything else."""
    found = _REQUEST.match(data)
    if found is None or b"expect" in data[: found.end()].lower():
        return None
    lacks = len(data) - found.end() < int(found[3]) <= _LONGEST_PART
    return found[1].decode() if lacks else None


class KnownHeads(Generic[T]):
    """What `judge` made of the heads of requests; None: requests with that head are not answered
    here. Few are known: who may have one kept has shown that he is a rightful caller."""

    def __init__(self, judge: Callable[[web.BaseRequest], T | None]) -> None:
        self._judge = judge
        self._known: dict[Head, T | None] = {}
        self._lines: dict[bytes, tuple[Head, int]] = {}
        """By all lines but the first: a known head, and the length that they tell."""

    def request(self, data: bytes) -> WholeRequest | None:
        """As `whole_request`; a head that was found before is not taken apart again."""
        first = _FIRST_LINE.match(data)
        if first is None:
            return None
        start = first.end()
        end = data.find(_END, start) + len(_END)
        known = self._lines.get(data[start:end])
        if known is None:
            return whole_request(data)
        head, length = known
        if len(data) - end != length:
            return None
        return WholeRequest(first[1].decode(), head, data[end:], fresh=False)

    def find(self, request: WholeRequest, data: bytes, caller: "WholeConnection") -> T | None:
        """`request` is what `data` was read as."""
        if request.head in self._known:
            if request.fresh and len(self._lines) < _MOST_LENGTHS:
                start, end = data.index(b"\n") + 1, len(data) - len(request.body)
                self._lines[data[start:end]] = (request.head, len(request.body))
            return self._known[request.head]
        if len(self._known) >= _MOST_HEADS:
            return None
        read = caller.read_by_parser(data)
        same = read is not None and read.content_length == len(request.body)
        made = self._judge(read) if read is not None and same else None
        self._known[request.head] = made
        return made


class Answering(Protocol):
    """What answers whole requests."""

    def begin(self, data: bytes, caller: "WholeConnection") -> bool:
        """Take a request: `caller.answered` is called once, later. False: it is not for here."""

    def awaits(self, data: bytes) -> bool:
        """Whether the rest of its body is waited for a moment: only a rightful caller's is, for
        others have to give way."""


class WholeConnection(asyncio.Protocol):
    """A connection as long as all that comes on it are whole requests that are answered here."""

    def __init__(
        self, answering: Answering, server: web.Server, place: ConnectionSlot, places: Places
    ) -> None:
        self._answering = answering
        self._server = server
        self._place = place
        self._places = places
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._under_way = b""
        """The request that is being answered, or waits for the rest of its body."""
        self._rest: asyncio.TimerHandle | None = None
        self._behind = b""
        """What has come behind it."""
        self._full = False
        self._left: asyncio.Future[None] | None = None
        self._idle: asyncio.TimerHandle | None = None
        place.protocol = self

    @property
    def remote(self) -> str:
        return self._place.address

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # what uvloop gives is none by name
        self._idle = self._loop.call_later(self._places.limits.idle_s, self._look)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._places.leave(self._place)
        self._gone()

    def force_close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._gone()

    async def leave(self, longest_s: float) -> None:
        """Take nothing more; let the request that is under way end."""
        self._left = self._loop.create_future()
        if self._under_way:
            with suppress(TimeoutError):
                async with asyncio.timeout(longest_s):
                    await self._left
        self.force_close()

    def data_received(self, data: bytes) -> None:
        if self._left is not None or self._transport is None:
            return
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
            self._take(self._under_way + data, again=True)
        elif self._under_way or self._full:
            self._behind += data
            self._transport.pause_reading()
        else:
            self._take(data)

    def _take(self, data: bytes, *, again: bool = False) -> None:
        """`again`: some of it was taken before."""
        self._under_way = data
        if not self._places.leaving and self._answering.begin(data, self):
            self._place.work(True, self._loop.time())
        elif not again and self._answering.awaits(data):
            self._place.work(True, self._loop.time())
            self._rest = self._loop.call_later(_REST_S, self._hand_over)
        else:
            self._hand_over()

    def answered(self, answer: bytes | None) -> None:
        """Answer the request that is under way. None: the web server is to begin anew with it."""
        if self._transport is None:
            return
        if answer is None:
            self._hand_over()
            return
        self._under_way = b""
        self._place.work(False, self._loop.time())
        self._transport.write(answer)
        if self._left is not None:
            if not self._left.done():
                self._left.set_result(None)
        elif self._behind and not self._full:
            self._go_on()

    def pause_writing(self) -> None:
        """The caller does not take its answers: nothing more of it is read till it does."""
        self._full = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._full = False
        if not self._under_way:
            self._go_on()

    def _go_on(self) -> None:
        data, self._behind = self._behind, b""
        if self._transport is not None:
            self._transport.resume_reading()
            if data:
                self._take(data)

    def _hand_over(self) -> None:
        transport = self._transport
        if transport is None or self._left is not None:
            self.force_close()
            return
        data = self._under_way + self._behind
        self._gone()
        self._place.work(False, self._loop.time(), answered=False)
        connection = Connection(self._server, self._place, self._places)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if self._full:
            connection.pause_writing()
        transport.resume_reading()
        connection.data_received(data)

    def read_by_parser(self, data: bytes) -> web.BaseRequest | None:
        """What the web server would read; None where that is not one request of HTTP/1.1 after
        which its connection stays."""
        place = ConnectionSlot(address=self._place.address, since=self._place.since)
        connection = Connection(self._server, place, self._places)
        parser = HttpRequestParser(connection, self._loop, READ_BYTES, auto_decompress=False)
        try:
            messages, upgraded, _ = parser.feed_data(data)
        except HttpProcessingError:
            return None
        if len(messages) != 1 or upgraded:
            return None
        ((message, content),) = messages
        if message.version != HttpVersion11 or message.should_close or not content.is_eof():
            return None
        if any(name in message.headers for name in _OTHERWISE):
            return None
        return web.BaseRequest(
            message,
            content,
            connection,
            StreamWriter(connection, self._loop),
            None,  # type: ignore[arg-type]  # it is only looked at: no task answers it
            self._loop,
        )

    def _look(self) -> None:
        """Close it where nothing has come for too long."""
        limit_s = self._places.limits.idle_s
        left_s = self._place.since + limit_s - self._loop.time()
        if not self._under_way and left_s <= 0:
            self.force_close()
        else:
            again_s = left_s if left_s > 0 else limit_s
            self._idle = self._loop.call_later(again_s, self._look)

    def _gone(self) -> None:
        self._transport = None
        self._under_way = self._behind = b""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        if self._idle is not None:
            self._idle.cancel()
        if self._left is not None and not self._left.done():
            self._left.set_result(None)
