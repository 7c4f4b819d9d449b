"""Posts to listeners, over connections of aiohttp's client that stay open for the next one.

There is no session around them: cookies, redirects, proxies and tracing have no place here, and
most of what a session takes goes into them.
"""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from adapter.simulator.access import basic
from adapter.simulator.settings import SimulatorConfig
from adapter.simulator.tls import callback_context

_LOOK_S: Final = 2.0
"""What has rested so long is closed, and that is looked at as often: none rests for twice that. It
is shorter than any listener's patience, so that no callback meets a connection that is being
closed."""


class Unposted(Exception):
    """There was no answer. Its text says why, with the kind of the error."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Who listens. `tls` is for https."""

    host: str
    port: int
    tls: bool


class CallbackClient:
    """Connections by the place they lead to; of those that rest the last one is used first."""

    def __init__(self, config: SimulatorConfig) -> None:
        access = config.access
        self._timeout_s = config.limits.callback_timeout_s or None
        self._authorization = (
            basic(access.callback_user, access.callback_password) if access.callback_user else ""
        )
        self._context: ssl.SSLContext = callback_context(config.tls)
        self._resting: dict[_Place, list[tuple[float, ResponseHandler]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Those that rest; no post may be under way."""
        self._close_resting(until=inf)
        if self._timer is not None:
            self._timer.cancel()

    async def post(self, address: str, action: str, body: bytes) -> int:
        """The status of the answer. Raises Unposted."""
        try:
            place, head = _request_head(address, action, self._authorization)
            async with asyncio.timeout(self._timeout_s):
                connection = self._take(place)
                if connection is None:
                    connection = await self._connect(place)
                try:
                    status = await _exchange(connection, head % len(body) + body)
                except BaseException:
                    connection.abort()
                    raise
            self._rest(place, connection)
            return status
        except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as error:
            raise Unposted(f"{type(error).__name__}: {error}") from error

    def _take(self, place: _Place) -> ResponseHandler | None:
        resting = self._resting.get(place)
        while resting:
            _, connection = resting.pop()
            if connection.is_connected() and not connection.should_close:
                return connection
            connection.close()
        return None

    async def _connect(self, place: _Place) -> ResponseHandler:
        loop = asyncio.get_running_loop()
        secured = self._context if place.tls else None
        _, connection = await loop.create_connection(
            lambda: ResponseHandler(loop), place.host, place.port, ssl=secured
        )
        return connection

    def _rest(self, place: _Place, connection: ResponseHandler) -> None:
        transport = connection.transport
        if connection.should_close or transport is None or transport.get_write_buffer_size():
            connection.close()
            return
        loop = asyncio.get_running_loop()
        self._resting.setdefault(place, []).append((loop.time(), connection))
        if self._timer is None:
            self._timer = loop.call_later(_LOOK_S, self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._close_resting(until=loop.time() - _LOOK_S)
        self._timer = loop.call_later(_LOOK_S, self._look) if self._resting else None

    def _close_resting(self, until: float) -> None:
        """Those that rest since then or longer."""
        for place, resting in tuple(self._resting.items()):
            for since, connection in resting:
                if since <= until:
                    connection.close()
            left = [each for each in resting if each[0] > until]
            if left:
                self._resting[place] = left
            else:
                del self._resting[place]


async def _exchange(connection: ResponseHandler, request: bytes) -> int:
    """Send it whole, and read the answer to its end. What ends early has a status all the same."""
    connection.set_response_params(read_until_eof=True, auto_decompress=False)
    if connection.transport is None:
        raise ConnectionResetError("the connection was closed")
    connection.transport.write(request)
    message, payload = await connection.read()
    while 100 <= message.code < 200 and message.code != 101:
        message, payload = await connection.read()
    if payload.is_eof():
        payload.read_nowait()
    else:
        with suppress(aiohttp.ClientPayloadError):
            await payload.read()
    return message.code


@lru_cache(maxsize=4096)
def _request_head(address: str, action: str, authorization: str) -> tuple[_Place, bytes]:
    """Where a request goes, and its head with a place for the length. Raises ValueError."""
    url = URL(address)
    if url.host is None or url.port is None:
        raise ValueError(f"{address!r} names no host")
    if url.user is not None:
        authorization = basic(url.user, url.password or "")
    lines = [
        f"POST {url.raw_path_qs} HTTP/1.1",
        f"Host: {url.host_port_subcomponent}",
        "Content-Type: text/xml; charset=utf-8",
        f'SOAPAction: "{action}"',
        *([f"Authorization: {authorization}"] if authorization else []),
    ]
    head = "\r\n".join(lines).replace("%", "%%")
    return _Place(url.raw_host or "", url.port, url.scheme == "https"), (
        f"{head}\r\nContent-Length: %d\r\n\r\n".encode()
    )
