"""Replies that come whole, with a head that is known: read without a parser.

Replies of one head end differ in their length, their date and their body. All else of a head was
read by aiohttp's parser once; the same bytes need no second look. Any other reply, and whatever
else happens on the connection, is aiohttp's, from the first byte.
"""

import asyncio
import math
import re
from typing import Final, NamedTuple, TypeAlias

from aiohttp import ServerDisconnectedError, hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage

_READ_BYTES: Final = 64 * 1024
_MOST_HEADS: Final = 32
_LONGEST: Final = 64 * 1024
_LONGEST_HEAD: Final = 4 * 1024
_VARYING: Final = re.compile(
    rb"(?<=\r\n)(?:[Cc]ontent-[Ll]ength: ([1-9][0-9]{0,5})|Date: [^\r\n]*)(?=\r\n)"
)
_OTHERWISE: Final = (
    hdrs.TRANSFER_ENCODING, hdrs.CONTENT_ENCODING, hdrs.SET_COOKIE, hdrs.UPGRADE
)  # fmt: skip

Headers: TypeAlias = tuple[tuple[str, str], ...]


class WholeReply(NamedTuple):
    status: int
    headers: Headers
    """Without the length and the date."""
    body: bytes


class KnownReplies:
    """The heads of replies that were read before, few of them."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[int, Headers]] = {}

    def find(self, data: bytes) -> WholeReply | None:
        """The reply that `data` is, all of it; None where its head is not known."""
        found = _divided(data)
        known = None if found is None else self._known.get(found[0])
        return None if found is None or known is None else WholeReply(*known, found[1])

    def learn(self, data: bytes, message: RawResponseMessage, body: bytes) -> None:
        """What the first bytes of a reply were read as."""
        headers = message.headers
        if message.should_close or any(name in headers for name in _OTHERWISE):
            return
        found = _divided(data)
        if found is None or found[1] != body or len(self._known) >= _MOST_HEADS:
            return
        if not found[0].startswith(b"HTTP/1.1 %d " % message.code):
            return
        if headers.getall(hdrs.CONTENT_LENGTH, []) == [str(len(body))]:
            kept = (each for each in headers.items() if each[0].lower() not in _OF_ONE)
            self._known[found[0]] = message.code, tuple(kept)


_OF_ONE: Final = ("content-length", "date")


def _divided(data: bytes) -> tuple[bytes, bytes] | None:
    """What a head says beside length and date, and the body, where it is as long as said."""
    end = data.find(b"\r\n\r\n") + 2
    if not 2 <= end <= _LONGEST_HEAD or len(data) > _LONGEST:
        return None
    parts = _VARYING.split(data[:end])
    said = [each for each in parts[1::2] if each is not None]
    body = data[end + 2 :]
    if len(said) != 1 or int(said[0]) != len(body):
        return None
    return b"".join(parts[::2]), body


def _most_bytes(first: bytes) -> float:
    """So long a reply that begins so may be; without a length there is no bound."""
    end = first.find(b"\r\n\r\n") + 2
    said = [int(found[1]) for found in _VARYING.finditer(first[:end]) if found[1] is not None]
    return end + 2 + said[0] if said else math.inf


class Expected(asyncio.Protocol):
    """Hears a connection from a request to the end of its reply.

    `came` is the reply where it is whole and known. Else it is the first bytes, and `reader` reads
    on. The connection's own handler reads nothing: what it hears between two replies is stray.
    """

    def __init__(
        self, handler: ResponseHandler, known: KnownReplies, loop: asyncio.AbstractEventLoop
    ) -> None:
        assert handler.transport is not None
        self._loop = loop
        self._handler = handler
        self._known = known
        self._transport = handler.transport
        self._paused = False
        self._read = 0
        """So many bytes have come that its reader has read."""
        self.came: asyncio.Future[WholeReply | bytes] = self._loop.create_future()
        self.reader: ResponseHandler | None = None
        self._transport.set_protocol(self)

    @property
    def writing_paused(self) -> bool:
        """Whether the request has not left yet."""
        return self._paused

    def fail(self, error: BaseException) -> None:
        """No more is waited for."""
        if not self.came.done():
            self.came.set_exception(error)
        elif self.reader is not None:
            self.reader.set_exception(error)

    def end(self) -> bool:
        """Give the connection back. Whether another request may go over it."""
        self._transport.set_protocol(self._handler)
        if self.reader is None:
            return True
        came = self.came.result()
        stray = isinstance(came, WholeReply) or self._read > _most_bytes(came)
        return not (stray or self.reader.should_close)

    def data_received(self, data: bytes) -> None:
        if self.reader is not None:
            self._read += len(data)
            self.reader.data_received(data)
            return
        found = None if self.came.done() else self._known.find(data)
        if found is None:
            self._read = len(data)
            self.reader = ResponseHandler(self._loop)
            self.reader.transport = self._transport
            self.reader.set_response_params(
                read_until_eof=True, auto_decompress=False, read_bufsize=_READ_BYTES
            )
            self.reader.data_received(data)
        if not self.came.done():
            self.came.set_result(found or data)

    def eof_received(self) -> None:
        """The transport closes, as it does for aiohttp."""

    def connection_lost(self, exc: BaseException | None) -> None:
        self._handler.connection_lost(exc)
        if self.reader is not None:
            self.reader.connection_lost(exc)
        else:
            self.fail(self._handler.exception() or ServerDisconnectedError())

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
