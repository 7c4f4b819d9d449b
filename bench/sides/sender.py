"""Sends status messages over so many connections at once, in a process of its own.

python -m bench.sides.sender    answers {"url": URL, "count": n, "connections": n}

With {"genuine": true} each goes to an address of its own under that URL, as a gateway with the
bench's key makes them; with {"to": [[address, token], ...]} one goes to each of these; without, all
go to the URL itself. With {"rate": n} so many leave in a second, else each when the last of its
connection is answered.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from adapter.engine.commands.identity import CallbackIdentity
from adapter.model.ids import CommunicationId
from adapter.server import event_loop
from adapter.wire.codec import packaged_codec
from bench.sides.gateway import KEY
from bench.sides.head_end import HttpMessages, status_body

_TOKEN: Final = "5b0c7e0e-6d0f-4a55-9a6e-2f6f4a1f0c11"
_OPERATION: Final = "RequestStatusChangedService.StatusChanged"
_ACTION: Final = "http://www.itron.com/ami/2008/10/common/RequestStatusChangedService/StatusChanged"


class Sending(HttpMessages):
    """One connection: the next message when the last is answered."""

    def __init__(self, requests: "Requests") -> None:
        super().__init__()
        self._requests = requests
        self._sent_at = 0.0
        self.ended = asyncio.get_running_loop().create_future()

    def begin(self) -> None:
        if not self._requests.left:
            self.ended.set_result(None)
            return
        message, wait_s = self._requests.left.pop(), self._requests.wait_s()
        if wait_s > 0:
            asyncio.get_running_loop().call_later(wait_s, self._send, message)
        else:
            self._send(message)

    def _send(self, message: bytes) -> None:
        self._sent_at = time.perf_counter()
        self.send(message)

    def message(self, head: bytes, body: bytes) -> None:
        if b" 200 " not in head[:16]:
            raise SystemExit(f"StatusChanged: {head[:80]!r} {body[:300]!r}")
        self._requests.latencies.append(time.perf_counter() - self._sent_at)
        self.begin()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(ConnectionError("the listener ended a connection"))


class Requests:
    def __init__(self) -> None:
        self.left: list[bytes] = []
        self.latencies: list[float] = []
        self._numbers = 0
        self._next_at = self._each_s = 0.0
        self._body = packaged_codec().encode_request(_OPERATION, status_body(_TOKEN, "Executing"))

    def unknown(self, url: str, count: int, *, genuine: bool) -> Iterator[tuple[str, str]]:
        """No two alike: every message has a token that nobody has seen."""
        identity = CallbackIdentity(url, (KEY,))
        for _ in range(count):
            self._numbers += 1
            number = self._numbers
            own = identity.address(CommunicationId(f"bench-{number}")) if genuine else url
            yield own, str(UUID(int=number))

    def make(self, to: Iterable[tuple[str, str]]) -> None:
        self.latencies = []
        for address, token in to:
            place = urlsplit(address)
            body = self._body.replace(_TOKEN.encode(), token.encode())
            head = (
                f"POST {place.path or '/'} HTTP/1.1\r\nHost: {place.netloc}\r\n"
                f'SOAPAction: "{_ACTION}"\r\n'
                f"Content-Type: text/xml; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            self.left.append(head.encode() + body)

    def start(self, rate: float) -> None:
        self._next_at, self._each_s = time.perf_counter(), 1 / rate if rate else 0.0

    def wait_s(self) -> float:
        """Until the next one may leave; one that is late moves none of the others."""
        wait_s = self._next_at - time.perf_counter()
        self._next_at += self._each_s
        return wait_s


async def run(
    requests: Requests,
    *,
    url: str,
    count: int,
    connections: int,
    genuine: bool = False,
    to: Sequence[tuple[str, str]] = (),
    rate: float = 0.0,
) -> dict[str, Any]:
    requests.make(to or requests.unknown(url, count, genuine=genuine))
    place, loop = urlsplit(url), asyncio.get_running_loop()
    assert place.hostname is not None
    assert place.port is not None
    address = (place.hostname, place.port)
    opened = [
        await loop.create_connection(lambda: Sending(requests), *address)
        for _ in range(connections)
    ]
    started = time.perf_counter()
    requests.start(rate)
    for _, sending in opened:
        sending.begin()
    await asyncio.gather(*(sending.ended for _, sending in opened))
    seconds = time.perf_counter() - started
    for transport, _ in opened:
        transport.close()
    return {"seconds": seconds, "latencies": requests.latencies}


async def serve() -> None:
    requests = Requests()
    print(json.dumps({}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await run(requests, **json.loads(line))), flush=True)


if __name__ == "__main__":
    event_loop.run(serve())
