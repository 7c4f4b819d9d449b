"""The SOAP messages of each communication, kept for people; callback secrets are masked.

What the gateway asked and was answered is kept here, without the secrets. The callbacks are in the
inbox as they came: their secrets are masked when people look at them.
"""

import logging
import re
from contextlib import suppress
from datetime import datetime
from typing import Final

from adapter.engine.commands.identity import STATUS_PATH
from adapter.engine.commands.ports import Clock, LoggedCall, Store
from adapter.errors import StoreFailed
from adapter.model.ids import CommunicationId

log = logging.getLogger(__name__)

_STATUS_PATH: Final = STATUS_PATH.encode() + b"/"
_SECRET: Final = re.compile(rb"(" + _STATUS_PATH + rb"[^/<\s]+/)[0-9a-f]+")
_MAX_BODY: Final = 64 * 1024


def masked(body: bytes) -> bytes:
    """As much of a message as people are shown, without the secret of a callback address."""
    body = body[:_MAX_BODY]
    if _STATUS_PATH not in body:
        return body
    parts = _SECRET.split(body)
    parts[1::2] = [before + b"***" for before in parts[1::2]]
    return b"".join(parts)


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
    """Hands the messages to the store, which writes them along with what follows. At the log's
    debug level each is a line there as well.

    What is lost with a crash is only this picture: nothing is decided from it.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def add(
        self,
        communication: CommunicationId,
        operation: str,
        request: bytes,
        status: int,
        reply: bytes,
        *,
        sent_at: datetime | None = None,
        replied_at: datetime | None = None,
    ) -> None:
        """One call: what was asked, and what came back with which HTTP status; each when it was."""
        request, reply = masked(request), masked(reply)
        if log.isEnabledFor(logging.DEBUG):
            _tell(communication, operation, request, outbound=True)
            _tell(communication, operation, reply, status=status)
        call = LoggedCall(
            communication=communication,
            sent_at=sent_at or self._clock.now(),
            replied_at=replied_at or self._clock.now(),
            operation=operation,
            request=request,
            status=status,
            reply=reply,
        )
        with suppress(StoreFailed):  # told to whoever saves what came of the call
            self._store.log_call(call)

    def callback(self, communication: CommunicationId, operation: str, raw: bytes) -> None:
        """What the head end told about a communication on its own: the inbox keeps it."""
        if log.isEnabledFor(logging.DEBUG):
            _tell(communication, operation, masked(raw))
