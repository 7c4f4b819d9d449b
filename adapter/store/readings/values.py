"""Measurements read from the database, and of which meters some blocks have not come.

Blocks are found without an index of their own, by when they arrived: the key of block_seen begins
with the load, so that one pass over the loads of the time in which a read ran finds whose blocks
are not whole. Only of those what came before or later is looked up, through their values, which are
found by meter and time.
"""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from adapter.commands.calls import Reading, ReadingKind
from adapter.engine.readings.ports import Blocks, PayloadId, StoredValue
from adapter.model.ids import DeviceId, EndpointId
from adapter.store.connection import SqlConnection
from adapter.store.readings import queries
from adapter.store.rows import encode, micros, moment

_ALL: Final = 2**62
_IN_TIME: Final = """starts >= :start AND starts < :end
  AND (SELECT state FROM load AS shown WHERE shown.id = load) = 'loaded'"""
# Loads are numbered in the order in which they begin: both ends are found from the newest back.
SHORT: Final = f"""
SELECT endpoint, total, json_group_array(DISTINCT block) FROM block_seen
WHERE load > coalesce((SELECT id FROM load WHERE started < :since ORDER BY id DESC LIMIT 1), 0)
  AND load <= (SELECT id FROM load WHERE started <= :until ORDER BY id DESC LIMIT 1)
  AND {_IN_TIME}
GROUP BY endpoint, total HAVING count(DISTINCT block) < total"""
AT_ANY_TIME: Final = f"""
SELECT DISTINCT asked.value, total, block
FROM json_each(:key) AS asked
    CROSS JOIN channel c ON c.endpoint = asked.value AND c.kind = :kind
    CROSS JOIN block_seen b ON b.endpoint = asked.value AND b.load IN (
        SELECT load FROM measured WHERE channel = c.id AND at > :start AND at <= :end)
WHERE {_IN_TIME}"""


def readings_of(
    db: SqlConnection,
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
        "limit": _ALL,
    }
    query = queries.select(queries.WHERE["endpoints"], revisions=False)
    return [_reading(stored(row)) for row in db.execute(query, values)]


def with_readings(
    db: SqlConnection,
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
    value, head_end_value, words = row[11], row[12], str(row[14])
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
        head_end_value=None if head_end_value is None else Decimal(str(head_end_value)),
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
        value=None if item.value is None else item.head_end_value,
        seconds=item.seconds,
        statuses=item.statuses,
        condition=item.condition,
    )


def whole(value: object) -> int:
    assert isinstance(value, int)
    return value


def missing_blocks(
    db: SqlConnection,
    endpoints: Collection[EndpointId] | None,
    start: datetime,
    end: datetime,
    came: tuple[datetime, datetime],
) -> dict[EndpointId, Blocks]:
    """See MeasurementStore; of all endpoints where none are named."""
    span = {"start": micros(start), "end": micros(end)}
    arrived = {"since": micros(came[0]), "until": micros(came[1])}
    short = {
        (EndpointId(endpoint), total): set(json.loads(blocks))
        for endpoint, total, blocks in db.execute(SHORT, {**span, **arrived})
        if endpoints is None or endpoint in endpoints
    }
    asked = list(dict.fromkeys(endpoint for endpoint, _ in short))
    values = {**span, "key": encode(asked).decode(), "kind": ReadingKind.INTERVAL.value}
    for endpoint, total, block in db.execute(AT_ANY_TIME, values) if asked else ():
        if (blocks := short.get((endpoint, total))) is not None:
            blocks.add(block)
    return {
        endpoint: Blocks(came=len(blocks), told=total)
        for (endpoint, total), blocks in sorted(short.items())
        if len(blocks) < total
    }
