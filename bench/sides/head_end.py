"""A head end that costs next to nothing: ready bytes, and callbacks after a script of delays.

python -m bench.sides.head_end [DELAY_S ...]    prints {"url": ...}, and answers each line of its
                                                input with what it was asked since the last

It is no HTTP server to learn from: it knows the requests that the bench sends (one Content-Length,
connections that stay) and takes everything it is sent for right. Without delays it never calls
back, so that what was asked of it waits.
"""

import asyncio
import gc
import itertools
import json
import re
import secrets
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, cast

from adapter.commands.flows import RESULT_OF, Operation
from adapter.server import event_loop
from adapter.wire.codec import Codec, packaged_codec

DELAYS_S: Final = (0.010, 0.020, 0.050)
"""From the reply with the token to each callback: initializing, executing, completed."""

_TOKEN: Final = "5b0c7e0e-6d0f-4a55-9a6e-2f6f4a1f0c11"
_METER: Final = "2.16.840.1.114416.15.243.123456789"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_NAME: Final = re.compile(rb"Body[^>]*>\s*<(?:\w+:)?(\w+)")
_ADDRESS: Final = re.compile(rb"StatusChangedService>([^<]+)<")
_ESN: Final = re.compile(rb"(?:string|ElectronicSerialNumber)>([^<]+)<")
_ID: Final = re.compile(rb"Id>([^<]+)<")
_CONNECTIONS: Final = 128
_WHEN: Final = "2026-11-21T10:00:00Z"
_ACTION: Final = (
    '"http://www.itron.com/ami/2008/10/common/RequestStatusChangedService/StatusChanged"'
)

_RESULTS: Final = {
    Operation.PING: {"RequestToken": {"Id": _TOKEN}, "Result": "Success"},
    Operation.DISCONNECT_METER: {
        "RequestToken": {"Id": _TOKEN},
        "ElectronicSerialNumber": _METER,
        "Result": "Success",
    },
    Operation.RECONNECT_METER: {
        "RequestToken": {"Id": _TOKEN},
        "ElectronicSerialNumber": _METER,
        "Result": "Success",
    },
    Operation.LOAD_SIDE_VOLTAGE: {
        "ElectronicSerialNumber": _METER,
        "RequestToken": {"Id": _TOKEN},
        "Result": "Success",
        "IsVoltagePresent": True,
    },
}
"""What each request comes to; those that are not here the bench does not send."""


def status_body(token: str, state: str) -> dict[str, object]:
    """What a StatusChanged for one endpoint says."""
    ended = state == "Completed"
    status = {
        "RequestToken": {"Id": token},
        "State": state,
        "EndpointsScheduled": 1,
        "Result": "Success" if ended else "Pending",
        "SuccessfulEndpoints": int(ended),
        "FailedEndpoints": 0,
        "CreatedWhen": _WHEN,
    }
    return {"input": {"RequestStatus": {**status, "FinishedWhen": _WHEN} if ended else status}}


class ReadyBytes:
    """Every message that this head end sends, once, with a marker for token and meter."""

    def __init__(self, codec: Codec) -> None:
        self.tokens: dict[bytes, bytes] = {}
        self.results: dict[bytes, bytes] = {}
        for operation, body in _RESULTS.items():
            name, result = _name(operation), _name(RESULT_OF[operation])
            reply = codec.encode_response(operation, {f"{name}Result": {"Id": _TOKEN}})
            self.tokens[name.encode()] = _response(reply)
            answer = codec.encode_response(RESULT_OF[operation], {f"{result}Result": body})
            self.results[result.encode()] = answer
        key, name = Operation.REQUEST_STATUS, _name(Operation.REQUEST_STATUS)
        self.status = {
            state: _response(codec.encode_response(key, {f"{name}Result": _polled(state)}))
            for state in ("Executing", "Completed")
        }
        self.callbacks = [
            codec.encode_request(
                "RequestStatusChangedService.StatusChanged", status_body(_TOKEN, state)
            )
            for state in ("Initializing", "Executing", "Completed")
        ]


def _polled(state: str) -> object:
    body = status_body(_TOKEN, state)["input"]
    assert isinstance(body, dict)
    return body["RequestStatus"]


def _name(operation: Operation) -> str:
    return operation.value.partition(".")[2]


def _response(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


class CheapHeadEnd:
    """What was asked, by token, and the callbacks that are still to be sent."""

    def __init__(self, ready: ReadyBytes, delays_s: Sequence[float]) -> None:
        self._ready = ready
        self._delays_s = delays_s
        # A store may meet several of these, and a token twice would be a contradiction.
        self._own = secrets.token_hex(4).encode()
        self._numbers = itertools.count(1)
        self._asked: dict[bytes, tuple[bytes, float]] = {}
        self._callers: dict[str, Caller] = {}
        self._count = 0
        self._first: float | None = None

    def asked(self) -> dict[str, float | None]:
        """How many requests came since the last look, and when the first of them did."""
        told = {"count": self._count, "first": self._first}
        self._count, self._first = 0, None
        return told

    def answer(self, body: bytes) -> bytes:
        if not self._count:
            self._first = time.monotonic()
        self._count += 1
        named = _NAME.search(body)
        name = named[1] if named is not None else b""
        if name in self._ready.tokens:
            return self._ready.tokens[name].replace(_TOKEN.encode(), self._take(body))
        token = _found(_ID, body)
        meter, ready_at = self._asked.get(token, (b"", 0.0))
        if name in self._ready.results:
            self._asked.pop(token, None)
            answer = self._ready.results[name].replace(_TOKEN.encode(), token)
            return _response(answer.replace(_METER.encode(), meter))
        state = "Completed" if time.monotonic() >= ready_at else "Executing"
        return self._ready.status[state].replace(_TOKEN.encode(), token)

    def _take(self, body: bytes) -> bytes:
        token = self._own + b"-0000-4000-8000-%012d" % next(self._numbers)
        address = _ADDRESS.search(body)
        last_s = self._delays_s[-1] if self._delays_s else 0.0
        self._asked[token] = (_found(_ESN, body), time.monotonic() + last_s)
        if address is not None:
            loop, url = asyncio.get_running_loop(), address[1].decode()
            for delay_s, callback in zip(self._delays_s, self._ready.callbacks, strict=False):
                told = callback.replace(_TOKEN.encode(), token)
                loop.call_later(delay_s, self._call_back, url, told)
        return token

    def _call_back(self, url: str, body: bytes) -> None:
        place, path = url.removeprefix("http://").split("/", 1)
        caller = self._callers.get(place)
        if caller is None:
            caller = self._callers[place] = Caller(place)
        caller.post(path, body)


def _found(pattern: re.Pattern[bytes], body: bytes) -> bytes:
    found = pattern.search(body)
    return found[1] if found is not None else b""


class Caller:
    """Connections to one listener, each with one request at a time; at most so many, as a listener
    has a bound of them for one address."""

    def __init__(self, place: str) -> None:
        host, _, port = place.partition(":")
        self._address = (host, int(port))
        self._head = (
            f" HTTP/1.1\r\nHost: {place}\r\nContent-Type: text/xml; charset=utf-8\r\n"
            f"SOAPAction: {_ACTION}\r\nContent-Length: "
        )
        self._resting: list[Connection] = []
        self._waiting: deque[bytes] = deque()
        self._open = 0
        self._opening: set[asyncio.Task[None]] = set()

    def post(self, path: str, body: bytes) -> None:
        self._waiting.append(f"POST /{path}{self._head}{len(body)}\r\n\r\n".encode() + body)
        if self._resting:
            self._next(self._resting.pop())
        elif self._open < _CONNECTIONS:
            self._open += 1
            self._connect()

    def _connect(self) -> None:
        task = asyncio.get_running_loop().create_task(self._connected())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connected(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(self._next), *self._address
            )
        except OSError:  # it was killed, and what it is to be told is lost
            self._open -= 1
        else:
            self._next(connection)

    def _next(self, connection: "Connection") -> None:
        if not self._waiting:
            self._resting.append(connection)
        elif connection.open:
            connection.send(self._waiting.popleft())
        else:
            self._connect()


class HttpMessages(asyncio.Protocol):
    """Cuts what comes into messages of one Content-Length each."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._came = b""

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # what uvloop gives is none by name

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._came += data
        while (end := self._came.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._came, 0, end + 2)
            whole = end + 4 + (int(length[1]) if length is not None else 0)
            if len(self._came) < whole:
                return
            head, body = self._came[:end], self._came[end + 4 : whole]
            self._came = self._came[whole:]
            self.message(head, body)

    def message(self, head: bytes, body: bytes) -> None:
        raise NotImplementedError


class Connection(HttpMessages):
    """To a listener: `rested` is called when it has answered."""

    def __init__(self, rested: "Callable[[Connection], None]") -> None:
        super().__init__()
        self._rested = rested

    def message(self, head: bytes, body: bytes) -> None:
        if b" 200 " not in head[:16]:
            print(f"callback: {head[:80]!r} {body[:300]!r}", file=sys.stderr, flush=True)
        self._rested(self)


class Answering(HttpMessages):
    """From a client of the head end."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._answer = answer

    def message(self, head: bytes, body: bytes) -> None:
        self.send(self._answer(body))


async def serve(delays_s: Sequence[float]) -> None:
    head_end = CheapHeadEnd(ReadyBytes(packaged_codec()), delays_s)
    gc.disable()  # nothing here lies in circles
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Answering(head_end.answer), "127.0.0.1", 0, backlog=2048
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        print(json.dumps({"url": f"http://127.0.0.1:{port}"}), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(head_end.asked()), flush=True)


if __name__ == "__main__":
    event_loop.run(serve([float(each) for each in sys.argv[1:]]))
