"""The way of a request to a service: past what an application does for its routes.

An application is there for all else, administration and contract, and knows the services as well:
what is unusual about a request to them (a query, an Expect) it deals with.

On a connection that has brought nothing else, a usual request is not even parsed: what comes in one
piece is answered as it comes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Container
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from adapter.simulator.heads import RequestHead, request_head

IDLE_S: Final = 30.0
"""How long a connection of a caller may rest."""

AtOnce = Callable[[RequestHead, bytes], bytes | None]
"""All bytes of the answer; None for a request that is to be handled, of which nothing is done."""
Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Services:
    """Takes the place of the factory and the handler of an application's server."""

    def __init__(
        self, application: web.Server, paths: Container[str], handle: Handle, *, body_bytes: int
    ) -> None:
        self._application = application
        self._paths = paths
        self._handle = handle
        self._body_bytes = body_bytes
        self._loop = asyncio.get_running_loop()

    def request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        service = (
            message.method == "POST"
            and message.path in self._paths
            and "Expect" not in message.headers
        )
        if not service:
            return self._application.request_factory(message, payload, protocol, writer, task)
        return web.BaseRequest(
            message,
            payload,
            protocol,
            writer,
            task,
            self._loop,
            client_max_size=self._body_bytes,
        )

    def answer(self, request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        if isinstance(request, web.Request):
            return self._application.request_handler(request)
        return self._handle(request)


class ServiceServer(web.Server):
    """Of the services and the application behind them."""

    def __init__(self, services: Services, at_once: AtOnce) -> None:
        super().__init__(
            services.answer,
            request_factory=services.request,
            handler_cancellation=False,  # a caller that goes away does not undo its request
        )
        self._at_once = at_once

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, self._at_once)


class _Connection(web.RequestHandler):
    """The first request that is not answered at once, and all after it, go the way of aiohttp."""

    __slots__ = ("_at_once", "_heard_at", "_idle", "_usual")

    def __init__(self, server: web.Server, at_once: AtOnce) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=IDLE_S,
            access_log=None,  # type: ignore[arg-type]  # None is how it is switched off
        )
        self._at_once = at_once
        self._usual = True
        self._heard_at = loop.time()
        self._idle = loop.call_later(IDLE_S, self._look)

    def data_received(self, data: bytes) -> None:
        if self._usual:
            if (answer := self._answer(data)) is not None:
                self._heard_at = self._loop.time()
                if self.transport is not None:
                    self.transport.write(answer)
                return
            self._usual = False
            self._idle.cancel()
        super().data_received(data)

    def _answer(self, data: bytes) -> bytes | None:
        head, end, body = data.partition(b"\r\n\r\n")
        told = request_head(head) if end else None
        return None if told is None or told.length != len(body) else self._at_once(told, body)

    def _look(self) -> None:
        """Close it if it has rested for too long."""
        due = self._heard_at + IDLE_S
        if due <= self._loop.time():
            self.force_close()
        else:
            self._idle = self._loop.call_at(due, self._look)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._idle.cancel()
        super().connection_lost(exc)
