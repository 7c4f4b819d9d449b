"""Commands at a head end, with nothing around them: called, called back, asked for the result.

python -m bench.sides.head_end_client    answers {"url": URL, "count": n, "at_once": n}

One is a Remote Disconnect: request with a callback address, three callbacks, result. Nothing of it
is read but the token and whether it succeeded; connections are as the bench's head end has them.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from adapter.commands.calls import Call
from adapter.commands.flows import Operation
from adapter.model.ids import EndpointId
from adapter.wire.codec import packaged_codec
from adapter.wire.operations import request_body
from bench.payloads import ESN
from bench.sides.head_end import HttpMessages

_FIRST: Final = 700_001
_METERS: Final = 100_000
_TOKEN: Final = "5b0c7e0e-6d0f-4a55-9a6e-2f6f4a1f0c11"
_ADDRESS: Final = "http://gateway.example:8101/status"
_ID: Final = re.compile(rb"Id>([^<]+)<")
_PLACE: Final = re.compile(rb"POST /(\d+) ")
_CALLBACKS: Final = 3
_SUCCESS: Final = b"Result>Success<"


class Messages:
    """The bytes of both requests, and of the answer to a callback."""

    def __init__(self, url: str, address: str) -> None:
        codec = packaged_codec()
        call = Call(
            operation=Operation.DISCONNECT_METER,
            endpoints=(EndpointId(f"{ESN}{_FIRST}"),),
            callback=_ADDRESS,
        )
        asked: dict[Operation, Mapping[str, object]] = {
            Operation.DISCONNECT_METER: request_body(call),
            Operation.DISCONNECT_RESULT: {"input": {"Id": _TOKEN}},
        }
        self._bodies = {key: codec.encode_request(key, body) for key, body in asked.items()}
        self._heads = {key: _head(url, key) for key in asked}
        taken = codec.encode_response("RequestStatusChangedService.StatusChanged", {})
        self.taken = (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(taken), taken)
        )
        self._address = address

    def disconnect(self, number: int) -> bytes:
        body = self._bodies[Operation.DISCONNECT_METER]
        meter = f"{_FIRST + number % _METERS}".encode()
        body = body.replace(str(_FIRST).encode(), meter)
        body = body.replace(_ADDRESS.encode(), f"{self._address}/{number}".encode())
        return self._whole(Operation.DISCONNECT_METER, body)

    def result(self, token: bytes) -> bytes:
        body = self._bodies[Operation.DISCONNECT_RESULT].replace(_TOKEN.encode(), token)
        return self._whole(Operation.DISCONNECT_RESULT, body)

    def _whole(self, operation: Operation, body: bytes) -> bytes:
        return self._heads[operation] % len(body) + body


def _head(url: str, operation: Operation) -> bytes:
    spec = packaged_codec().catalog.spec(operation)
    return (
        f"POST {spec.path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n"
        f'SOAPAction: "{spec.soap_action}"\r\nContent-Type: text/xml; charset=utf-8\r\n'
        "Content-Length: %d\r\n\r\n"
    ).encode()


class Calling(HttpMessages):
    """A connection to the head end with one request at a time."""

    def __init__(self, rested: "Callable[[Calling], None]") -> None:
        super().__init__()
        self._rested = rested
        self.answered: Callable[[bytes], None] = lambda body: None

    def message(self, head: bytes, body: bytes) -> None:
        if b" 200 " not in head[:16]:
            raise SystemExit(f"head end: {head[:80]!r} {body[:300]!r}")
        answered = self.answered
        self._rested(self)
        answered(body)


class Listening(HttpMessages):
    """From the head end: callbacks, each answered at once."""

    def __init__(self, commands: "Commands") -> None:
        super().__init__()
        self._commands = commands

    def message(self, head: bytes, body: bytes) -> None:
        self.send(self._commands.messages.taken)
        place = _PLACE.match(head)
        assert place is not None
        self._commands.called_back(int(place[1]))


class Commands:
    """A run of so many; `ended` is set when all are over."""

    def __init__(self, messages: Messages, resting: list[Calling], count: int) -> None:
        self.messages = messages
        self.resting = resting
        self.ended = asyncio.Event()
        self.latencies: list[float] = []
        self._numbers = iter(range(count))
        self._count = count
        self._began: dict[int, float] = {}
        self._tokens: dict[int, bytes] = {}
        self._came: dict[int, int] = {}

    def begin(self) -> None:
        number = next(self._numbers, None)
        if number is None:
            return
        self._began[number] = time.perf_counter()

        def token(body: bytes) -> None:
            found = _ID.search(body)
            assert found is not None
            self._tokens[number] = found[1]
            self._ask(number)

        self._post(self.messages.disconnect(number), token)

    def called_back(self, number: int) -> None:
        self._came[number] = self._came.get(number, 0) + 1
        self._ask(number)

    def _ask(self, number: int) -> None:
        """For the result, once its token and all its callbacks are there."""
        if number not in self._tokens or self._came.get(number) != _CALLBACKS:
            return

        def result(body: bytes) -> None:
            if _SUCCESS not in body:
                raise SystemExit(f"result: {body[:500]!r}")
            self.latencies.append(time.perf_counter() - self._began[number])
            if len(self.latencies) == self._count:
                self.ended.set()
            self.begin()

        self._post(self.messages.result(self._tokens.pop(number)), result)

    def _post(self, request: bytes, answered: Callable[[bytes], None]) -> None:
        connection = self.resting.pop()
        connection.answered = answered
        connection.send(request)


async def run(*, url: str, count: int, at_once: int) -> dict[str, Any]:
    place, loop = urlsplit(url), asyncio.get_running_loop()
    assert place.hostname is not None
    assert place.port is not None
    head_end = (place.hostname, place.port)
    resting: list[Calling] = []
    here: list[Commands] = []
    heard: list[Listening] = []

    def listening() -> Listening:
        heard.append(Listening(here[0]))
        return heard[-1]

    server = await loop.create_server(listening, "127.0.0.1", 0, backlog=2048)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    opened = []
    for _ in range(at_once):
        transport, calling = await loop.create_connection(
            lambda: Calling(resting.append), *head_end
        )
        opened.append(transport)
        resting.append(calling)
    commands = Commands(Messages(url, address), resting, count)
    here.append(commands)
    started = time.perf_counter()
    for _ in range(at_once):
        commands.begin()
    await commands.ended.wait()
    seconds = time.perf_counter() - started
    for transport in opened:
        transport.close()
    for connection in heard:
        connection.close()
    server.close()
    return {"seconds": seconds, "latencies": commands.latencies}


async def serve() -> None:
    print(json.dumps({}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await run(**json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(serve())
