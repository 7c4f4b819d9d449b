"""The SOAP messages of each communication, kept for people; callback secrets are masked.

What the gateway asked and was answered is kept here, without the secrets. The callbacks are in the
inbox as they came: their secrets are masked when people look at them.
"""

import asyncio
import logging
import re
from datetime import datetime
from typing import Final

from adapter.engine.commands.identity import STATUS_PATH
from adapter.engine.commands.ports import Clock, Logged, Store
from adapter.errors import StoreFailed
from adapter.model.ids import CommunicationId

log = logging.getLogger(__name__)

_STATUS_PATH: Final = STATUS_PATH.encode() + b"/"
_SECRET: Final = re.compile(rb"(" + _STATUS_PATH + rb"[^/<\s]+/)[0-9a-f]+")
_MAX_BODY: Final = 64 * 1024
_MAX_WAITING: Final = 5_000


def masked(body: bytes) -> bytes:
    """As much of a message as people are shown, without the secret of a callback address."""
    body = body[:_MAX_BODY]
    return _SECRET.sub(rb"\1***", body) if _STATUS_PATH in body else body


def _tell(
    communication: CommunicationId,
    operation: str,
    body: bytes,
    *,
    outbound: bool = False,
    status: int = 0,
) -> None:
    words = {"communication": communication, "operation": operation, "outbound": outbound}
    text = body.decode(errors="replace")
    log.debug("message", extra={**words, "status": status, "body": text})


class MessageLog:
    """Gathers messages and writes them in batches. Under pressure the newest are dropped, counted.
    At the log's debug level each is a line there as well.

    What is lost with a crash is only this picture: nothing is decided from it.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: list[Logged] = []
        self._writing = asyncio.Lock()
        self.dropped = 0

    def add(
        self,
        communication: CommunicationId,
        operation: str,
        request: bytes,
        status: int,
        reply: bytes,
    ) -> None:
        """One call: what was asked, and what came back with which HTTP status."""
        now = self._clock.now()
        self._put(communication, now, operation, request, outbound=True)
        self._put(communication, now, operation, reply, status=status)

    def callback(self, communication: CommunicationId, operation: str, raw: bytes) -> None:
        """What the head end told about a communication on its own: the inbox keeps it."""
        if log.isEnabledFor(logging.DEBUG):
            _tell(communication, operation, masked(raw))

    def _put(
        self,
        communication: CommunicationId,
        at: datetime,
        operation: str,
        body: bytes,
        *,
        outbound: bool = False,
        status: int = 0,
    ) -> None:
        body = masked(body)
        if log.isEnabledFor(logging.DEBUG):
            _tell(communication, operation, body, outbound=outbound, status=status)
        if len(self._waiting) >= _MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append(
            Logged(
                communication=communication,
                at=at,
                outbound=outbound,
                operation=operation,
                status=status,
                body=body,
            )
        )

    async def once(self) -> int:
        """Write what was gathered. After it all that was added before can be read."""
        async with self._writing:
            batch, self._waiting = self._waiting, []
            if batch:
                await self._write(batch)
            return len(batch)

    async def _write(self, batch: list[Logged]) -> None:
        """One that cannot be written is dropped, as under pressure, and the others are written."""
        try:
            await self._store.log_messages(batch)
        except StoreFailed:
            raise
        except Exception as error:
            if len(batch) == 1:
                self.dropped += 1
                words = {"communication": batch[0].communication, "error": repr(error)}
                log.warning("message_not_logged", extra=words)
                return
            for each in batch:
                await self._write([each])
