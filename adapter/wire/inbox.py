"""Inbound messages as values: how an engine reads what it stored, or was just given."""

from datetime import UTC, tzinfo

from adapter.commands.calls import RequestStatus
from adapter.wire.codec import Codec, DecodedMessage
from adapter.wire.notifications import status_changed, status_told


class InboxReader:
    """`zone` is the head end's, for times that say none. Raises WireError."""

    def __init__(self, codec: Codec, zone: tzinfo = UTC) -> None:
        self._codec = codec
        self._zone = zone

    def status(self, raw: bytes) -> RequestStatus:
        return status_changed(self._codec, raw, zone=self._zone)

    def status_told(self, message: DecodedMessage) -> RequestStatus:
        return status_told(message, zone=self._zone)
