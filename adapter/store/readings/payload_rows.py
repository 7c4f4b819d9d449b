"""Rows of payloads and of what they brought, as the values that they are."""

from typing import Any, Final

import msgspec

from adapter.engine.readings.ports import (
    ArrivedEvent,
    LoadId,
    Payload,
    PayloadId,
    PayloadState,
    WaitingPayload,
)
from adapter.model.ids import EndpointId, InboxId
from adapter.readings.seeds import EventSeed
from adapter.store.readings.values import whole
from adapter.store.rows import moment

_decode_counts: Final = msgspec.json.Decoder(dict[str, int]).decode
_decode_event: Final = msgspec.json.Decoder(EventSeed).decode


def waiting_of(row: tuple[Any, ...]) -> WaitingPayload:
    number, operation, at, file, size, digest = row
    return WaitingPayload(
        inbox=InboxId(number),
        source=f"inbox:{number}",
        operation=operation,
        at=moment(at),
        file=file,
        size=size,
        digest=digest,
    )


def arrived_of(row: tuple[Any, ...]) -> ArrivedEvent:
    return ArrivedEvent(
        id=row[0],
        load=LoadId(row[1]),
        endpoint=EndpointId(row[2]),
        at=moment(row[3]),
        seed=_decode_event(row[5]),
    )


def payload_of(row: tuple[object, ...]) -> Payload:
    number, inbox, source, operation, state, reason, position, at, finished, size, file, counts = (
        row
    )
    text = counts if isinstance(counts, bytes | str) else b"{}"
    return Payload(
        id=PayloadId(whole(number)),
        inbox=None if inbox is None else InboxId(whole(inbox)),
        source=str(source),
        operation=str(operation),
        state=PayloadState(str(state)),
        reason=str(reason),
        position=None if position is None else whole(position),
        at=moment(whole(at)),
        finished=None if finished is None else moment(whole(finished)),
        size=whole(size),
        file=str(file),
        counts=_decode_counts(text),
    )
