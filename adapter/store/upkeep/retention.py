"""Rows that nobody needs any more: found on the thread of questions, removed by their keys."""

import json
from collections.abc import Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final, TypeAlias

from adapter.commands.activity import FINAL
from adapter.engine.commands.ports import AuditNote, Change, Disposition, InboxState
from adapter.engine.upkeep.retention import Kept, Pruned
from adapter.engine.upkeep.set_aside import RowKind
from adapter.errors import StoreFailed
from adapter.model.ids import InboxId
from adapter.store.commands import writing
from adapter.store.commands.queries import number_of
from adapter.store.connection import SqlConnection
from adapter.store.database import Database
from adapter.store.rows import micros
from adapter.store.transaction import Transaction

_Names: TypeAlias = dict[str, int | str]

_ENDED: Final = json.dumps(sorted(FINAL))
"""Commands about which nobody is asked any more."""

# Each gives (key, time, whether nobody needs it), from the oldest on.
_LOOK: Final = MappingProxyType(
    {
        Kept.MESSAGES: f"""
SELECT m.id, m.at, NOT EXISTS (
    SELECT 1 FROM communication e JOIN command c ON c.id = e.command
    WHERE e.number = {number_of("m.communication")}
        AND c.state NOT IN (SELECT value FROM json_each(:ended)))
FROM message m WHERE m.id > :after ORDER BY m.id LIMIT :limit""",
        Kept.INBOX: f"""
SELECT i.id, i.at, i.state IN ('applied', 'ignored', 'stored', 'discarded')
    AND NOT EXISTS (SELECT 1 FROM inbox_spool s WHERE s.id = i.id)
    AND NOT EXISTS (SELECT 1 FROM payload p WHERE p.inbox = i.id AND p.raw_kept = 1)
    AND NOT EXISTS (
        SELECT 1 FROM command c
        WHERE c.id = coalesce(i.command, (
                SELECT e.command FROM communication e
                WHERE e.number = {number_of("i.communication")}))
            AND c.state NOT IN (SELECT value FROM json_each(:ended)))
FROM inbox i WHERE i.id > :after ORDER BY i.id LIMIT :limit""",
        Kept.QUARANTINE: """
SELECT id, at, 1 FROM inbox WHERE state = 'quarantined' AND id > :after ORDER BY id LIMIT :limit""",
        Kept.ARRIVALS: """
SELECT a.id, load.started, a.result IN ('new', 'repeated', 'matched') OR (
    a.result = '' AND (a.load, a.id) <= (SELECT load, arrived FROM event_cursor)
    AND NOT EXISTS (SELECT 1 FROM failed_row f WHERE f.kind = 'event'
        AND f.row = CAST(a.id AS TEXT) AND f.state <> 'discarded'))
FROM arrived_event a CROSS JOIN load ON load.id = a.load
WHERE a.id > :after ORDER BY a.id LIMIT :limit""",
        Kept.EVENTS: """
SELECT d.id, d.taken, d.pair = '' OR d.last = 1 OR NOT EXISTS (
    SELECT 1 FROM device_spell s
    WHERE s.endpoint = d.endpoint AND s.pair = d.pair AND s.started = d.at AND s.ended IS NULL)
FROM device_event d WHERE d.id > :after ORDER BY d.id LIMIT :limit""",
        Kept.ERRORS: """
SELECT e.id, load.started, e.state <> 'open'
FROM intake_error e CROSS JOIN load ON load.id = e.load
WHERE e.id > :after ORDER BY e.id LIMIT :limit""",
        Kept.EVENT_ERRORS: """
SELECT id, at, 1 FROM event_error
WHERE state = 'resolved' AND at < :before AND id > :after ORDER BY id LIMIT :limit""",
        Kept.STORMS: """
SELECT 0, ends, 1 FROM event_window WHERE summed_up = 1 AND ends < :before LIMIT 1""",
        Kept.PUBLICATIONS: """
SELECT seq, at, seq <= coalesce((SELECT min(seq) FROM sink_cursor), seq)
    AND seq <= coalesce((SELECT min(seq) FROM receiver WHERE active = 1 AND stopped = ''), seq)
    AND NOT EXISTS (SELECT 1 FROM delivery d JOIN receiver r ON r.name = d.receiver
        WHERE d.seq = publication.seq AND d.dead = 0 AND r.active = 1)
    AND seq NOT IN (SELECT CAST(row AS INTEGER) FROM failed_row
        WHERE kind = 'publication' AND state <> 'discarded')
FROM publication WHERE seq > :after ORDER BY seq LIMIT :limit""",
    }
)
_KEYS: Final = "(SELECT value FROM json_each(:keys))"
_REMOVE: Final = MappingProxyType(
    {
        Kept.MESSAGES: (f"DELETE FROM message WHERE id IN {_KEYS}",),
        Kept.INBOX: (
            f"DELETE FROM inbox_raw WHERE id IN {_KEYS}",
            f"DELETE FROM rejected WHERE id IN {_KEYS}",
            f"DELETE FROM inbox WHERE id IN {_KEYS}",
        ),
        Kept.ARRIVALS: (f"DELETE FROM arrived_event WHERE id IN {_KEYS}",),
        Kept.EVENTS: (
            f"""
DELETE FROM device_spell WHERE (endpoint, pair, started) IN (
    SELECT s.endpoint, s.pair, s.started FROM device_event d JOIN device_spell s
        ON s.endpoint = d.endpoint AND s.pair = d.pair AND s.ended = d.at
    WHERE d.id IN {_KEYS} AND d.last = 1)""",
            f"DELETE FROM device_event WHERE id IN {_KEYS}",
        ),
        Kept.ERRORS: (f"DELETE FROM intake_error WHERE id IN {_KEYS}",),
        Kept.EVENT_ERRORS: (f"DELETE FROM event_error WHERE id IN {_KEYS}",),
        Kept.STORMS: (
            """
DELETE FROM event_window WHERE (bucket, started) IN (
    SELECT bucket, started FROM event_window
    WHERE summed_up = 1 AND ends < :before LIMIT :limit)""",
        ),
        Kept.PUBLICATIONS: (f"DELETE FROM publication WHERE seq IN {_KEYS}",),
    }
)


class SqlitePruning:
    """The RetentionStore port, on the threads of a Database."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self.set_aside = store.set_aside

    async def prune(
        self, what: Kept, *, before: datetime, after: int, limit: int, now: datetime
    ) -> Pruned:
        until = micros(before)
        names: _Names = {"after": after, "limit": limit, "before": until, "ended": _ENDED}
        rows = await self._store.query(lambda db: _rows(db, _LOOK[what], names))
        due = [row for row in rows if row[1] < until]
        keys = [key for key, _, free in due if free]
        # The rows stand in the order of their arrival: behind the first that is too young are more.
        # What a wrong clock has dated later than now tells nothing of those behind it.
        ahead = micros(now)
        more = len(rows) == limit and all(row[1] < until or row[1] > ahead for row in rows)
        removed = await self._removed(what, keys, names, now) if keys else 0
        if what is Kept.STORMS:
            return Pruned(removed=removed, next=1 if removed == limit else None)
        return Pruned(removed=removed, next=rows[-1][0] if more else None)

    async def _removed(self, what: Kept, keys: Sequence[int], names: _Names, now: datetime) -> int:
        """In one transaction; where one of them cannot be removed, each in its own."""
        rows = {key: f"{what}/{key}" for key in keys}
        keys = [k for k in keys if not self.set_aside.held(RowKind.RETENTION, rows[k])]
        if not keys:
            return 0
        try:
            removed = await self._store.write(
                lambda tx: (
                    self._discard(tx, keys, now)
                    if what is Kept.QUARANTINE
                    else _remove(tx, what, keys, names)
                )
            )
        except StoreFailed:
            raise
        except Exception as error:
            if len(keys) == 1:
                await self.set_aside.fail(RowKind.RETENTION, rows[keys[0]], error)
                return 0
            return sum([await self._removed(what, [key], names, now) for key in keys])
        for key in keys:
            await self.set_aside.went_through(RowKind.RETENTION, rows[key])
        return removed

    def _discard(self, tx: Transaction, keys: Sequence[int], now: datetime) -> int:
        """Nobody will decide about them any more."""
        reasons = dict(
            tx.connection.execute(
                f"SELECT id, reason FROM inbox WHERE state = 'quarantined' AND id IN {_KEYS}",
                {"keys": json.dumps(keys)},
            )
        )
        why = "nobody decided about it in time"
        change = Change(
            inbox=tuple(
                Disposition(
                    inbox=InboxId(key), state=InboxState.DISCARDED, reason=f"{reason}; {why}"
                )
                for key, reason in reasons.items()
            ),
            audit=tuple(
                AuditNote(
                    actor="gateway",
                    action="Discarded",
                    subject=f"inbox:{key}",
                    detail={"reason": why},
                )
                for key in reasons
            ),
        )
        writing.save(tx, [change], now)
        return len(reasons)


def _rows(db: SqlConnection, query: str, names: _Names) -> list[tuple[int, int, int]]:
    return list(db.execute(query, {name: names[name] for name in names if f":{name}" in query}))


def _remove(tx: Transaction, what: Kept, keys: Sequence[int], names: _Names) -> int:
    """What hangs on the rows first, the rows last. How many rows."""
    db = tx.connection
    given = {**names, "keys": json.dumps(keys)}
    for query in _REMOVE[what]:
        db.execute(query, {name: given[name] for name in given if f":{name}" in query})
    return db.changes()
