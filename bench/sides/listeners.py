"""What a listener for status messages is compared with; none of them keeps anything.

python -m bench.sides.listeners fixed|zeep|spyne    prints {"url": ...}; ends with its input

`fixed` is aiohttp with the same answer to everything; `zeep` has zeep's own types read the message
first; `spyne` serves the operation with spyne, its validation by lxml, over the same aiohttp.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from aiohttp import web
from lxml import etree

from adapter.wire.codec import packaged_codec

_KEY: Final = "RequestStatusChangedService.StatusChanged"
_COMMON: Final = "http://www.itron.com/ami/2008/10/common"
_XML: Final = {"Content-Type": "text/xml; charset=utf-8"}

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.Response]]


def fixed() -> Handler:
    answer = packaged_codec().encode_response(_KEY, {})

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=answer, headers=_XML)

    return handle


def with_zeep() -> Handler:
    codec = packaged_codec()
    answer = codec.encode_response(_KEY, {})
    types: Any = codec.catalog.document(_KEY).types
    element = types.get_element(f"{{{_COMMON}}}StatusChanged")

    async def handle(request: web.Request) -> web.Response:
        body = etree.fromstring(await request.read())[0][0]
        element.parse(body, types)
        return web.Response(body=answer, headers=_XML)

    return handle


def with_spyne() -> Handler:
    server = _spyne_server()
    from spyne import MethodContext

    async def handle(request: web.Request) -> web.Response:
        first = MethodContext(server, MethodContext.SERVER)
        first.in_string = [await request.read()]
        (context,) = server.generate_contexts(first, "utf-8")
        if context.in_error is None:
            server.get_in_object(context)
        if context.in_error is not None:
            raise SystemExit(f"spyne: {context.in_error}")
        server.get_out_object(context)
        server.get_out_string(context)
        return web.Response(body=b"".join(context.out_string), headers=_XML)

    return handle


def _spyne_server() -> Any:
    """The operation in spyne's words, with the types that the contract gives its fields."""
    from spyne import (
        Application,
        ComplexModel,
        DateTime,
        Integer,
        ServiceBase,
        Unicode,
        rpc,
    )
    from spyne.protocol.soap import Soap11
    from spyne.server import ServerBase

    class Token(ComplexModel):  # type: ignore[misc]
        __namespace__ = _COMMON
        Id = Unicode(type_name="guid")

    class Status(ComplexModel):  # type: ignore[misc]
        __namespace__ = _COMMON
        _type_info = [  # noqa: RUF012
            ("RequestToken", Token),
            ("State", Unicode),
            ("EndpointsScheduled", Integer),
            ("Result", Unicode),
            ("SuccessfulEndpoints", Integer),
            ("FailedEndpoints", Integer),
            ("CreatedWhen", DateTime),
            ("FinishedWhen", DateTime),
        ]

    class Input(ComplexModel):  # type: ignore[misc]
        __namespace__ = _COMMON
        RequestStatus = Status

    class Service(ServiceBase):  # type: ignore[misc]
        @rpc(Input, _in_arg_names={"given": "input"}, _returns=None)  # type: ignore[untyped-decorator]
        def StatusChanged(context: Any, given: Any) -> None:
            assert given.RequestStatus.RequestToken.Id

    application = Application(
        [Service], _COMMON, in_protocol=Soap11(validator="lxml"), out_protocol=Soap11()
    )
    server = ServerBase(application)
    server.transport = "http"
    return server


_LISTENERS: Final = {"fixed": fixed, "zeep": with_zeep, "spyne": with_spyne}


async def serve(name: str) -> None:
    app = web.Application()
    app.router.add_post("/status", _LISTENERS[name]())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"url": f"http://127.0.0.1:{runner.addresses[0][1]}/status"}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
