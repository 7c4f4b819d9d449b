"""Answers whose head and body leave in one piece, at a fraction of what `web.Response` takes."""

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

XML: Final = "text/xml"


def response(request: web.BaseRequest, body: bytes, *, status: int = 200) -> web.StreamResponse:
    """An answer in XML."""
    if request.version == HttpVersion11 and request.keep_alive:
        return _Whole(body, status)
    return web.Response(status=status, body=body, content_type=XML, charset="utf-8")


def whole(body: bytes, *, status: int) -> bytes:
    """All bytes of an answer in XML, after which the connection stays open."""
    return _head(status, int(time())) % len(body) + body


class _Whole(web.StreamResponse):
    """For a connection of HTTP/1.1 that stays open."""

    def __init__(self, body: bytes, status: int) -> None:
        super().__init__(status=status)
        self._whole = whole(body, status=status)

    @property
    def keep_alive(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        if request.transport is None:
            raise ConnectionResetError("the caller is gone")
        request.transport.write(self._whole)
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """All was written."""


@lru_cache(maxsize=64)
def _head(status: int, second: int) -> bytes:
    return (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Content-Type: {XML}; charset=utf-8\r\nDate: {formatdate(second, usegmt=True)}\r\n"
        "Content-Length: %d\r\n\r\n"
    ).encode()
