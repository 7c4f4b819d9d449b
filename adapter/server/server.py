"""What both servers are besides their routes: opened on one socket, counted, closed in order."""

import logging
import socket
import ssl
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import ClassVar, Self

from aiohttp import web

from adapter.server import event_loop
from adapter.server.connections import Door, MakeProtocol, bind
from adapter.server.settings import ListenerSettings, RestSettings

log = logging.getLogger(__name__)


class Server(ABC):
    """`counts` only ever grow. With `listening` (see `connections.bind`) the address can be known
    before the rest is there."""

    section: ClassVar[str]
    """Where the settings have its address."""
    started: ClassVar[str]
    """What the log says when it listens."""

    def __init__(
        self, settings: ListenerSettings | RestSettings, listening: socket.socket | None
    ) -> None:
        self._serving = settings
        self._listening = listening
        self.counts: Counter[str] = Counter()
        self.url = ""
        self._door: Door | None = None

    @abstractmethod
    async def _runner(self) -> web.BaseRunner:
        """What answers, for one start."""

    def _protocol(self) -> MakeProtocol | None:
        """What hears a connection first; None: the web server."""
        return None

    async def start(self) -> str:
        """Listen. Gives the bound address without a path.

        Raises SettingsError, or OSError where the port cannot be had.
        """
        settings = self._serving
        runner = await self._runner()
        door = Door(runner, settings.connections, settings.tls, self.counts, self._protocol())
        self.url = await door.open(
            self._listening or bind(settings.host, settings.port, section=self.section)
        )
        self._door = door
        log.info(
            self.started,
            extra={"url": self.url, **self.addresses, "event_loop": event_loop.name()},
        )
        return self.url

    @property
    def addresses(self) -> Mapping[str, str]:
        """What is at the address, by its name; for whoever starts it."""
        return {}

    def use(self, context: ssl.SSLContext) -> None:
        """Show new connections another certificate."""
        if self._door is not None:
            self._door.use(context)

    def leave(self) -> None:
        """The process is about to stop: answer as before, end each connection with its answer."""
        if self._door is not None:
            self._door.leave()

    async def stop(self) -> None:
        """Take nothing more, answer what is under way, close."""
        if self._door is not None:
            await self._door.close()
            self._door = None

    @property
    def open_connections(self) -> int:
        return self._door.open_connections if self._door is not None else 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
