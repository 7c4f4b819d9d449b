"""A line between client and API that breaks when a test says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class BreakingLine:
    """Passes bytes on. `swallow` so many answers are lost: what was asked has been done."""

    def __init__(self, to: str) -> None:
        parts = urlsplit(to)
        self._to = parts.hostname or "", parts.port or 0
        self.swallow = 0
        self.requests = 0
        self._open: set[asyncio.StreamWriter] = set()
        self.url = ""

    def cut(self) -> None:
        """All connections, now."""
        for each in self._open:
            each.transport.abort()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, on = await asyncio.open_connection(*self._to)
        mine = {writer, on}
        self._open |= mine
        answers = asyncio.create_task(self._answers(back, writer))
        with suppress(ConnectionError):
            while piece := await reader.read(65_536):
                self.requests += piece.count(b" HTTP/1.1\r\n")
                on.write(piece)
        answers.cancel()
        with suppress(asyncio.CancelledError, ConnectionError):
            await answers
        self._open -= mine
        for each in mine:
            each.transport.abort()

    async def _answers(self, back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await back.read(65_536):
            if self.swallow:
                self.swallow -= 1
                break
            writer.write(piece)
        writer.transport.abort()


@asynccontextmanager
async def a_breaking_line(to: str) -> AsyncIterator[BreakingLine]:
    line = BreakingLine(to)
    server = await asyncio.start_server(line.connected, "127.0.0.1", 0)
    line.url = "http://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
    try:
        yield line
    finally:
        server.close()
        line.cut()
        await server.wait_closed()
