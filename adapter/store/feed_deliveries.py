"""How far each receiver of events is, and what it has not taken, in SQLite."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from adapter.engine.feed.ports import DeliveryChange, EventDelivery, ReceiverState
from adapter.store.commands import writing
from adapter.store.connection import SqlConnection
from adapter.store.feed import NEWEST, SqliteFeed, event_of
from adapter.store.rows import as_list, micros, micros_or_none, moment
from adapter.store.transaction import Transaction

_BEGIN: Final = f"""
INSERT INTO receiver (name, seq, active, stopped, alarm)
VALUES (?, coalesce(({NEWEST}), 0), 1, '', NULL)
ON CONFLICT (name) DO UPDATE SET active = 1"""
_LEAVE: Final = "UPDATE receiver SET active = 0 WHERE name NOT IN (SELECT value FROM json_each(?))"
_RECEIVERS: Final = "SELECT name, seq, stopped, alarm FROM receiver WHERE active = 1 ORDER BY name"
_PUT_RECEIVER: Final = "UPDATE receiver SET seq = ?, stopped = ?, alarm = ? WHERE name = ?"
_PUT: Final = """
INSERT INTO delivery (receiver, seq, dead, attempts, first, due, error)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (receiver, seq) DO UPDATE SET dead = excluded.dead, attempts = excluded.attempts,
    first = excluded.first, due = excluded.due, error = excluded.error"""
_OVER: Final = "DELETE FROM delivery WHERE receiver = ? AND seq = ?"
_DELIVERIES: Final = """
SELECT receiver, seq, dead, attempts, first, due, error FROM delivery
WHERE receiver = :receiver AND seq > :after AND (:dead IS NULL OR dead = :dead)
ORDER BY seq LIMIT :limit"""
_STORED: Final = """
SELECT seq, at, form, body FROM publication WHERE seq IN (SELECT value FROM json_each(?))
ORDER BY seq"""
_TIME: Final = "SELECT at FROM publication WHERE seq > ? ORDER BY seq LIMIT 1"
_BEFORE: Final = "SELECT seq FROM publication WHERE at < ? ORDER BY seq DESC LIMIT 1"
_FIRST: Final = "SELECT min(seq) - 1 FROM publication"


class SqliteDeliveries(SqliteFeed):
    """The DeliveryStore port over a Database."""

    async def receivers(self, names: Sequence[str]) -> Sequence[ReceiverState]:
        def work(tx: Transaction) -> list[ReceiverState]:
            db = tx.connection
            db.execute(_LEAVE, (as_list(names),))
            db.executemany(_BEGIN, [(name,) for name in names])
            return _receivers(db)

        known = await self._store.feed(_receivers)
        if {each.name for each in known} == set(names):
            return known
        return await self._store.write(work)

    async def deliveries(
        self, receiver: str, *, dead: bool | None = None, limit: int, after: int = 0
    ) -> Sequence[EventDelivery]:
        names = {"receiver": receiver, "after": after, "dead": dead, "limit": limit}
        return await self._store.feed(
            lambda db: [_delivery(row) for row in db.execute(_DELIVERIES, names)]
        )

    async def stored(self, numbers: Sequence[int]) -> Sequence[tuple[int, bytes]]:
        return await self._store.feed(partial(_stored, numbers=numbers))

    async def time_of(self, after: int) -> datetime | None:
        found = await self._store.feed(lambda db: db.execute(_TIME, (after,)).get)
        return None if found is None else moment(found)

    async def before(self, at: datetime) -> int:
        def work(db: SqlConnection) -> int:
            return int(db.execute(_BEFORE, (micros(at),)).get or db.execute(_FIRST).get or 0)

        return await self._store.query(work)

    async def change(self, change: DeliveryChange) -> None:
        at = self._store.now()

        def work(tx: Transaction) -> None:
            db, mine = tx.connection, change.receiver
            alarm = micros_or_none(mine.alarm)
            db.execute(_PUT_RECEIVER, (mine.seq, mine.stopped, alarm, mine.name))
            db.executemany(_PUT, [_row(each) for each in change.put])
            db.executemany(_OVER, [(mine.name, seq) for seq in change.over])
            writing.publish(tx, change.publications, at)
            writing.note_all(tx, change.audit, at)

        await self._store.write(work)


def _stored(db: SqlConnection, numbers: Sequence[int]) -> list[tuple[int, bytes]]:
    found = []
    for row in list(db.execute(_STORED, (as_list(numbers),))):
        try:
            found.append((int(row[0]), event_of(row)))
        except Exception:  # whatever stands in a row: the publisher notes what it cannot read
            continue
    return found


def _receivers(db: SqlConnection) -> list[ReceiverState]:
    return [_state(row) for row in db.execute(_RECEIVERS)]


def _state(row: tuple[Any, ...]) -> ReceiverState:
    name, seq, stopped, alarm = row
    return ReceiverState(
        name=name, seq=seq, stopped=stopped, alarm=None if alarm is None else moment(alarm)
    )


def _delivery(row: tuple[Any, ...]) -> EventDelivery:
    receiver, seq, dead, attempts, first, due, error = row
    return EventDelivery(
        receiver=receiver,
        seq=seq,
        dead=bool(dead),
        attempts=attempts,
        first=None if first is None else moment(first),
        due=moment(due),
        error=error,
    )


def _row(item: EventDelivery) -> tuple[str | int | None, ...]:
    return (
        item.receiver,
        item.seq,
        item.dead,
        item.attempts,
        micros_or_none(item.first),
        micros(item.due),
        item.error,
    )
