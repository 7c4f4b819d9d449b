"""Posts to listeners, over connections of aiohttp's client that stay open for the next one.

There is no session around them: cookies, redirects, proxies and tracing have no place here, and
most of what a session takes goes into them. Nor does a task wait for an answer: whoever posts is
told of it.
"""

import asyncio
import re
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Final, TypeAlias

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import StreamReader
from yarl import URL

from adapter.simulator.access import basic
from adapter.simulator.heads import answer_head
from adapter.simulator.settings import SimulatorConfig
from adapter.simulator.tls import callback_context

_LOOK_S: Final = 2.0
"""What has rested so long is closed, and that is looked at as often: none rests for twice that. It
is shorter than any listener's patience, so that no callback meets a connection that is being
closed."""

Answered: TypeAlias = Callable[[int | None, str], None]
"""Called once, with the status of the answer; without one the text says why, with the kind of the
error. It is never called by `post` itself."""


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
        self._loop = asyncio.get_running_loop()
        self._timeout_s = config.limits.callback_timeout_s or inf
        self._authorization = (
            basic(access.callback_user, access.callback_password) if access.callback_user else ""
        )
        self._context: ssl.SSLContext = callback_context(config.tls)
        self._resting: dict[_Place, list[tuple[float, _Connection]]] = {}
        self._busy: set[_Connection] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def close(self) -> None:
        """Nobody is told of a post that is under way."""
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for connection in self._busy:
            connection.abort()
        await asyncio.sleep(0)  # those that have ended already are told now, and not after a start
        self._close_resting(until=inf)
        if self._timer is not None:
            self._timer.cancel()

    def post(self, address: str, action: str, body: bytes, answered: Answered) -> None:
        try:
            place, request = _request(address, action, self._authorization, body)
        except ValueError as error:
            self._loop.call_soon(answered, None, _why(error))
            return
        due = self._loop.time() + self._timeout_s
        connection = self._take(place)
        if connection is not None:
            self._busy.add(connection)
            connection.ask(request, due, answered)
            return
        task = self._loop.create_task(self._connect(place, request, due, answered))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, place: _Place, request: bytes, due: float, answered: Answered) -> None:
        secured = self._context if place.tls else None
        try:
            async with asyncio.timeout_at(None if due == inf else due):
                _, connection = await self._loop.create_connection(
                    lambda: _Connection(self._loop, place, self._rest),
                    place.host,
                    place.port,
                    ssl=secured,
                )
        except (OSError, ValueError) as error:
            answered(None, _why(error))
            return
        self._busy.add(connection)
        connection.ask(request, due, answered)

    def _take(self, place: _Place) -> "_Connection | None":
        resting = self._resting.get(place)
        while resting:
            _, connection = resting.pop()
            if connection.is_connected() and not connection.should_close:
                return connection
            connection.close()
        return None

    def _rest(self, connection: "_Connection") -> None:
        self._busy.discard(connection)
        transport = connection.transport
        if connection.should_close or transport is None or transport.get_write_buffer_size():
            connection.close()
            return
        self._resting.setdefault(connection.place, []).append((self._loop.time(), connection))
        if self._timer is None:
            self._timer = self._loop.call_later(_LOOK_S, self._look)

    def _look(self) -> None:
        self._close_resting(until=self._loop.time() - _LOOK_S)
        self._timer = self._loop.call_later(_LOOK_S, self._look) if self._resting else None

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


class _Connection(ResponseHandler):
    """To one place, with one request at a time. `rested` is called when it has had its answer, and
    before that is told."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        place: _Place,
        rested: "Callable[[_Connection], None]",
    ) -> None:
        super().__init__(loop)
        self.place = place
        self._rested = rested
        self._answered: Answered | None = None
        self._status: int | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._reading: asyncio.Task[None] | None = None
        self._parsing = False

    def ask(self, request: bytes, due: float, answered: Answered) -> None:
        """Send it whole. What ends early has a status all the same, once that has come."""
        self._answered, self._status, self._parsing = answered, None, False
        if self.transport is None:
            self._end("ConnectionResetError: the connection was closed")
            return
        if due < inf:
            self._deadline = self._loop.call_at(due, self._expire)
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """An answer that came whole is told by its head; the parser reads all others."""
        if not self._parsing:
            if self._answered is None or self._status is not None:
                self.force_close()  # an answer to nothing
                return
            head, end, body = data.partition(b"\r\n\r\n")
            told = answer_head(head) if end else None
            if told is not None and told.length == len(body):
                self._status = told.status
                self._end("")
                return
            self._parsing = True
            self.set_response_params(read_until_eof=True, auto_decompress=False)
        super().data_received(data)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        message, payload = data
        if 100 <= message.code < 200 and message.code != 101:
            return
        if self._answered is None or self._status is not None:
            self.force_close()  # an answer to nothing
            return
        self._status = message.code
        if payload.is_eof():
            payload.read_nowait()
            self._end("")
        else:
            self._reading = self._loop.create_task(self._read_on(payload))

    async def _read_on(self, payload: StreamReader) -> None:
        with suppress(aiohttp.ClientPayloadError):
            await payload.read()
        self._end("")

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._end(_why(self.exception() or ConnectionResetError("the connection was closed")))

    def abort(self) -> None:
        """Close it at once; nobody is told any more."""
        self._answered = None
        self._stop_clock()
        super().abort()

    def _expire(self) -> None:
        self._status = None
        self._end("TimeoutError: ")
        self.abort()

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self, why: str) -> None:
        answered, self._answered = self._answered, None
        if answered is None:
            return
        self._stop_clock()
        # Not from here: the rest of what came is not looked at yet.
        self._loop.call_soon(self._told, answered, self._status, why)

    def _told(self, answered: Answered, status: int | None, why: str) -> None:
        self._rested(self)
        answered(status, "" if status is not None else why)


def _why(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


_PLAIN: Final = re.compile(r"(https?://[a-z0-9.\-:]+)(/[\w/\-]*)", re.ASCII)
"""An address of which nothing has to be quoted, left out or made lower case."""


def _request(address: str, action: str, authorization: str, body: bytes) -> tuple[_Place, bytes]:
    """Where a request goes, and all of it. Raises ValueError."""
    if (plain := _PLAIN.fullmatch(address)) is not None:
        start, path = plain.groups()
        place, _, fields = _target(start, action, authorization)
    else:
        place, path, fields = _target(address, action, authorization)
    head = f"POST {path} HTTP/1.1\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
    return place, head.encode() + body


@lru_cache(maxsize=4096)
def _target(address: str, action: str, authorization: str) -> tuple[_Place, str, str]:
    """Who listens, the path, and the header fields but for the length. Raises ValueError."""
    url = URL(address)
    if url.host is None or url.port is None:
        raise ValueError(f"{address!r} names no host")
    if url.user is not None:
        authorization = basic(url.user, url.password or "")
    fields = [
        f"Host: {url.host_port_subcomponent}",
        "Content-Type: text/xml; charset=utf-8",
        f'SOAPAction: "{action}"',
        *([f"Authorization: {authorization}"] if authorization else []),
    ]
    place = _Place(url.raw_host or "", url.port, url.scheme == "https")
    return place, url.raw_path_qs, "".join(f"{field}\r\n" for field in fields)
