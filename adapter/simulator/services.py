"""The way of a request to a service: past what an application does for its routes.

An application is there for all else, administration and contract, and knows the services as well:
what is unusual about a request to them (a query, an Expect) it deals with.
"""

import asyncio
from collections.abc import Awaitable, Callable, Container

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

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
