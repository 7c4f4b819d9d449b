"""What the interface says of measurements, arrived events and payloads."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct

from adapter.engine.readings.ports import Payload, PayloadState
from adapter.engine.readings.reports import (
    EventRow,
    Origin,
    PayloadGroup,
    PayloadStatistics,
    ValueRow,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


class ValueOut(Struct, kw_only=True):
    """One value of one channel. `at` is the END of the interval, or the register's time; numbers
    are exact texts; of one channel and time the highest load and number counts. What people read is
    of no payload (0): `told_by` is who entered it, at `entered_at`, or the report of the crew."""

    device: str
    endpoint: str
    component: str
    kind: str
    quantity: str
    source: str
    seconds: int
    unit: str
    tou: str
    sqi: str
    start: datetime | None
    at: datetime
    value: Decimal | None
    external: Decimal | None
    condition: int
    statuses: list[str]
    conversion: str
    load: int
    number: int
    payload: int
    origin: Origin
    told_by: str
    entered_at: datetime | None

    @classmethod
    def of(cls, row: ValueRow) -> "ValueOut":
        words = row._asdict()
        words["start"] = None if row.start is None else _moment(row.start)
        words["at"] = _moment(row.at)
        words["origin"] = Origin(row.origin)
        words["entered_at"] = None if row.entered_at is None else _moment(row.entered_at)
        words["value"] = None if row.value is None else Decimal(row.value)
        words["external"] = None if row.external is None else Decimal(row.external)
        words["statuses"] = row.statuses.split(",") if row.statuses else []
        return cls(**words)


class ValuePageOut(Struct, kw_only=True):
    """What people entered and crews read by device and time; then what payloads brought, ordered by
    device, component, channel, time. A page may be short and still have a next."""

    items: list[ValueOut]
    next: str | None


class ArrivedEventOut(Struct, kw_only=True):
    """One event or exception as it arrived, with the head end's own words, and what became of it:
    new, repeated, same (told before by the other callback, inferred), unknown, or nothing yet.
    `became_event` is its device event; began, ended and lasted_s are those of its spell."""

    id: int
    device: str
    endpoint: str
    at: datetime
    exception: bool
    name: str
    category: str
    log_type: str
    event: int | None
    source: str
    sequence: int | None
    arguments: msgspec.Raw
    received: str
    load: int
    payload: int
    became: str
    became_event: int | None
    standard: str
    standard_category: str
    severity: str
    pair: str
    role: str
    began: datetime | None
    ended: datetime | None
    lasted_s: Decimal | None
    told: bool
    withheld: bool

    @classmethod
    def of(cls, row: EventRow) -> "ArrivedEventOut":
        words = row._asdict()
        words["at"] = _moment(row.at)
        words["began"] = None if row.began is None else _moment(row.began)
        words["ended"] = None if row.ended is None else _moment(row.ended)
        words["lasted_s"] = None if row.lasted_s is None else Decimal(row.lasted_s)
        words["arguments"] = msgspec.Raw(row.arguments.encode())
        return cls(**words)


class ArrivedEventPageOut(Struct, kw_only=True):
    """In the order of arrival. A page may be short and still have a next."""

    items: list[ArrivedEventOut]
    next: str | None


class LinesEnd(Struct, kw_only=True):
    """The last line. The first is `{"columns": [...]}`, those between are arrays, one a row; times
    are whole microseconds since 1970 (UTC), numbers exact texts."""

    rows: int


class PayloadOut(Struct, kw_only=True):
    """A message or file that was taken in. `position` is the byte where it was refused; `counts`
    say what became of its content; `lag_s` is from its arrival until its rows were to be seen."""

    id: int
    inbox: int | None
    source: str
    operation: str
    state: PayloadState
    reason: str
    position: int | None
    at: datetime
    finished: datetime | None
    lag_s: float | None
    bytes: int
    counts: Mapping[str, int]

    @classmethod
    def of(cls, payload: Payload) -> "PayloadOut":
        finished = payload.finished
        return cls(
            id=payload.id,
            inbox=payload.inbox,
            source=payload.source,
            operation=payload.operation,
            state=payload.state,
            reason=payload.reason,
            position=payload.position,
            at=payload.at,
            finished=finished,
            lag_s=None if finished is None else (finished - payload.at).total_seconds(),
            bytes=payload.size,
            counts=payload.counts,
        )


class PayloadPage(Struct, kw_only=True):
    """Newest first. `next` is the cursor of the page after this one."""

    items: list[PayloadOut]
    next: str | None


class PayloadStatisticsOut(Struct, kw_only=True):
    """`open_errors`: error records that nobody has resolved, by why."""

    groups: list[PayloadGroup]
    open_errors: Mapping[str, int]

    @classmethod
    def of(cls, found: PayloadStatistics) -> "PayloadStatisticsOut":
        return cls(groups=list(found.groups), open_errors=found.open_errors)
