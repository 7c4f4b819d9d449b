"""Head ends at their worst: raw sockets on the loopback that count what reaches them."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One whole request as it arrived. Header names are lower case."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int
    peer_certificate: bool = False


@dataclass(slots=True)
class Peer:
    """One connection, as its script sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """RST instead of FIN."""
        self.writer.transport.abort()


Script = Callable[[Peer, Seen], Awaitable[None]]


@dataclass(slots=True)
class Server:
    """Runs `script` for each request; a connection goes on until either side closes it.

    `greet` runs for each connection before anything is read.
    """

    script: Script
    tls: ssl.SSLContext | None = None
    greet: Callable[[Peer], Awaitable[None]] | None = None
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    bytes_seen: int = 0
    port: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> "Server":
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", self.port, ssl=self.tls
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        peer = Peer(reader, writer, self.connections)
        try:
            if self.greet is not None:
                await self.greet(peer)
            while not writer.is_closing():
                seen = await self._request(peer)
                self.seen.append(seen)
                self.arrived.set()
                await self.script(peer, seen)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    async def _request(self, peer: Peer) -> Seen:
        head = await peer.reader.readuntil(b"\r\n\r\n")
        line, *rows = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (row.partition(":") for row in rows)
        }
        body = await peer.reader.readexactly(int(headers.get("content-length", "0")))
        self.bytes_seen += len(head) + len(body)
        session = peer.writer.get_extra_info("ssl_object")
        return Seen(
            line=line,
            headers=headers,
            body=body,
            connection=peer.number,
            peer_certificate=session is not None and bool(session.getpeercert()),
        )


def http(status: int, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """A reply as bytes; `length` lies about the body's."""
    rows = [
        f"HTTP/1.1 {status} Whatever",
        "Content-Type: text/xml; charset=utf-8",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
    ]
    return "\r\n".join(rows).encode() + b"\r\n\r\n" + body


def replying(data: bytes) -> Script:
    """Always the same bytes; the connection stays open."""

    async def script(peer: Peer, seen: Seen) -> None:
        await peer.send(data)

    return script


def in_turn(*replies: bytes) -> Script:
    """One reply after the other, over all connections."""
    left = list(replies)

    async def script(peer: Peer, seen: Seen) -> None:
        await peer.send(left.pop(0))

    return script
