"""Why switch orders are held and what was seen of the time, in the gateway's SQLite file."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from adapter.commands.activity import State
from adapter.commands.flows import EFFECT_OF
from adapter.engine.commands.ports import AuditNote, Publication
from adapter.engine.commands.switch_holds import Hold, HoldReason
from adapter.store.commands import writing
from adapter.store.connection import SqlConnection
from adapter.store.database import Database
from adapter.store.rows import encode, micros, moment
from adapter.store.transaction import Transaction

_decode: Final = msgspec.json.Decoder(Hold).decode

_ALL: Final = "SELECT body FROM switch_hold ORDER BY reason"
PUT: Final = """
INSERT INTO switch_hold (reason, body) VALUES (?, ?)
ON CONFLICT (reason) DO UPDATE SET body = excluded.body"""
DROP: Final = "DELETE FROM switch_hold WHERE reason = ?"
_SEEN: Final = "SELECT at FROM clock_seen"
_NEWEST: Final = "SELECT at FROM audit ORDER BY seq DESC LIMIT 1"
_PUT_SEEN: Final = """
INSERT INTO clock_seen (one, at) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET at = excluded.at"""
_NEWEST_ENTRY: Final = "SELECT coalesce(max(seq), 0) FROM audit"
_STATES: Final = ", ".join(f"'{each.value}'" for each in State if not each.rests)
_KINDS: Final = ", ".join(f"'{each.value}'" for each in EFFECT_OF)
_OPEN_SWITCH: Final = f"""
SELECT EXISTS (SELECT 1 FROM command WHERE state IN ({_STATES}) AND kind IN ({_KINDS}))"""
_OPEN_ORDER: Final = "SELECT EXISTS (SELECT 1 FROM service_order WHERE open = 1)"
_LAST_DATED: Final = "SELECT max(seq) FROM audit WHERE seq > ? AND at BETWEEN ? AND ?"


class SqliteHolds:
    """The HoldStore port beside the commands, in the same file."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def holds(self) -> Sequence[Hold]:
        def work(db: SqlConnection) -> list[Hold]:
            return [_decode(_bytes(body)) for (body,) in db.execute(_ALL)]

        return await self._store.read(work)

    async def put_hold(
        self, hold: Hold, *, audit: Sequence[AuditNote], publications: Sequence[Publication]
    ) -> None:
        at = self._store.now()

        def work(tx: Transaction) -> None:
            tx.connection.execute(PUT, (hold.reason.value, encode(hold)))
            writing.publish(tx, publications, at)
            writing.note_all(tx, audit, at)

        await self._store.write(work)

    async def drop_hold(
        self,
        reason: HoldReason,
        *,
        audit: Sequence[AuditNote],
        publications: Sequence[Publication],
        seen: datetime | None,
    ) -> None:
        at = self._store.now()

        def work(tx: Transaction) -> None:
            tx.connection.execute(DROP, (reason.value,))
            if seen is not None:
                tx.connection.execute(_PUT_SEEN, (micros(seen),))
            writing.publish(tx, publications, at)
            writing.note_all(tx, audit, at)

        await self._store.write(work)

    async def clock_seen(self) -> datetime | None:
        def work(db: SqlConnection) -> int | None:
            found: int | None = db.execute(_SEEN).get
            newest: int | None = db.execute(_NEWEST).get
            return newest if found is None else found

        at = await self._store.read(work)
        return None if at is None else moment(at)

    async def put_clock_seen(self, at: datetime) -> None:
        def work(tx: Transaction) -> None:
            tx.connection.execute(_PUT_SEEN, (micros(at),))

        await self._store.write(work)

    async def newest(self) -> int:
        def work(db: SqlConnection) -> int:
            found: int = db.execute(_NEWEST_ENTRY).get
            return found

        return await self._store.read(work)

    async def switches_open(self) -> bool:
        def work(db: SqlConnection) -> bool:
            return any(db.execute(query).get for query in (_OPEN_SWITCH, _OPEN_ORDER))

        return await self._store.query(work)

    async def last_dated(self, after: int, *, since: datetime, until: datetime) -> int | None:
        def work(db: SqlConnection) -> int | None:
            found: int | None = db.execute(_LAST_DATED, (after, micros(since), micros(until))).get
            return found

        return await self._store.read(work)


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value
