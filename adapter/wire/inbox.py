"""Stored inbound bytes as values: how an engine reads its inbox."""

from datetime import UTC, tzinfo

from adapter.commands.calls import RequestStatus
from adapter.wire.codec import Codec
from adapter.wire.notifications import status_changed


class InboxReader:
    """`zone` is the head end's, for times that say none. Raises WireError."""

    def __init__(self, codec: Codec, zone: tzinfo = UTC) -> None:
        self._codec = codec
        self._zone = zone

    def status(self, raw: bytes, *, checked: bool = False) -> RequestStatus:
        return status_changed(self._codec, raw, zone=self._zone, checked=checked)
