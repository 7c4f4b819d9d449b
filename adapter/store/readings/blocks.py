"""Blocks of which some have not come, found without an index of their own: by when they arrived.

The key of block_seen begins with the load, so that one pass over the loads of the time in which a
read ran finds whose blocks are not whole. Only of those what came before or later is looked up,
through their values, which are found by meter and time.
"""

import json
from collections.abc import Collection
from datetime import datetime
from typing import Final

import apsw

from adapter.commands.calls import ReadingKind
from adapter.engine.readings.ports import Blocks
from adapter.model.ids import EndpointId
from adapter.store.rows import encode, micros

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


def missing_blocks(
    db: apsw.Connection,
    endpoints: Collection[EndpointId],
    start: datetime,
    end: datetime,
    came: tuple[datetime, datetime],
) -> dict[EndpointId, Blocks]:
    """See Measurements."""
    span = {"start": micros(start), "end": micros(end)}
    arrived = {"since": micros(came[0]), "until": micros(came[1])}
    short = {
        (EndpointId(endpoint), total): set(json.loads(blocks))
        for endpoint, total, blocks in db.execute(SHORT, {**span, **arrived})
        if endpoint in endpoints
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
