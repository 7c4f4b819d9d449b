"""A response that is always the same, made once for all the requests that it answers."""

import time
from collections.abc import Mapping
from email.utils import formatdate

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from adapter.server.connections import is_leaving


class ReadyResponse(web.StreamResponse):
    """A 200 whose bytes are made before, but for the Date, which is made once a second.

    It has no state of its own: one of them answers many requests at once, where `fits` says so.
    """

    def __init__(self, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(headers=headers)
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        start = f"HTTP/1.1 200 OK\r\n{''.join(lines)}Content-Length: {len(body)}\r\nDate: "
        self._start_bytes, self._end_bytes = start.encode(), b"\r\n\r\n" + body
        self._second, self._whole = -1, b""

    @staticmethod
    def fits(request: web.BaseRequest) -> bool:
        """Whether the caller speaks HTTP/1.1 and its connection stays open."""
        stays = request.version == HttpVersion11 and request.keep_alive
        return stays and not is_leaving(request)

    @property
    def keep_alive(self) -> bool:
        return True

    def whole(self) -> bytes:
        """All that is written."""
        if (second := int(time.time())) != self._second:
            date = formatdate(second, usegmt=True).encode()
            self._second, self._whole = second, self._start_bytes + date + self._end_bytes
        return self._whole

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Write all of it. Raises ConnectionResetError."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        transport.write(self.whole())
        await request.writer.drain()
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """There is no more."""
