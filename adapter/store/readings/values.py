"""Measurements read from the database."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import apsw

from adapter.commands.calls import Reading, ReadingKind
from adapter.engine.readings.ports import PayloadId, StoredValue
from adapter.model.ids import DeviceId, EndpointId
from adapter.store.readings import queries
from adapter.store.rows import encode, micros, moment


def readings_of(
    db: apsw.Connection,
    endpoints: Sequence[EndpointId],
    kind: ReadingKind,
    start: datetime,
    end: datetime,
) -> list[Reading]:
    """The latest visible revisions as readings, ordered by time."""
    values = {
        "key": encode(endpoints).decode(),
        "kind": kind,
        "start": micros(start),
        "end": micros(end),
        "limit": -1,
    }
    query = queries.select(queries.WHERE["endpoints"], revisions=False)
    return [_reading(stored(row)) for row in db.execute(query, values)]


def with_readings(
    db: apsw.Connection,
    endpoints: Sequence[EndpointId],
    kind: ReadingKind,
    start: datetime,
    end: datetime,
) -> frozenset[EndpointId]:
    """Those that have a reading that is seen."""
    values = {
        "key": encode(endpoints).decode(),
        "kind": kind,
        "start": micros(start),
        "end": micros(end),
    }
    return frozenset(row[0] for row in db.execute(queries.WITH_READINGS, values))


def stored(row: tuple[object, ...]) -> StoredValue:
    value, external, words = row[11], row[12], str(row[14])
    return StoredValue(
        device=DeviceId(str(row[0])),
        endpoint=EndpointId(str(row[1])),
        component=str(row[2]),
        kind=ReadingKind(str(row[3])),
        quantity=str(row[4]),
        source=str(row[5]),
        seconds=whole(row[6]),
        unit=str(row[7]),
        tou=str(row[8]),
        sqi=str(row[9]),
        at=moment(whole(row[10])),
        value=None if value is None else Decimal(str(value)),
        external=None if external is None else Decimal(str(external)),
        condition=whole(row[13]),
        statuses=tuple(words.split(",")) if words else (),
        conversion=str(row[15]),
        revision=(whole(row[16]), whole(row[17])),
        payload=PayloadId(whole(row[18])),
    )


def _reading(item: StoredValue) -> Reading:
    return Reading(
        endpoint=item.endpoint,
        kind=item.kind,
        quantity=item.quantity,
        source=item.source,
        at=item.at,
        value=item.external,
        seconds=item.seconds,
        statuses=item.statuses,
    )


def whole(value: object) -> int:
    assert isinstance(value, int)
    return value
