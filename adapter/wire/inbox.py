"""Stored inbound bytes as values: how an engine reads its inbox."""

from datetime import UTC, tzinfo

from adapter.commands.calls import Reading, RequestStatus
from adapter.wire.codec import Codec
from adapter.wire.notifications import data_arrived, status_changed


class InboxReader:
    """`zone` is the head end's, for times that say none. Both raise WireError."""

    def __init__(self, codec: Codec, zone: tzinfo = UTC) -> None:
        self._codec = codec
        self._zone = zone

    def status(self, raw: bytes) -> RequestStatus:
        return status_changed(self._codec, raw, zone=self._zone)

    def readings(self, raw: bytes) -> tuple[Reading, ...]:
        return data_arrived(self._codec, raw, zone=self._zone)
