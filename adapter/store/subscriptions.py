"""What is known of subscriptions and of silence, in the gateway's SQLite file."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

import msgspec

from adapter.engine.commands.ports import AuditNote, Publication
from adapter.engine.subscriptions.subscriptions import Silence, SubscriptionState
from adapter.store.commands import writing
from adapter.store.database import Database
from adapter.store.rows import encode, micros, moment
from adapter.store.transaction import Transaction
from adapter.subscriptions.reconcile import SubscriptionKind

_STREAM: Final = "arrivals"
_SILENCE: Final = "silence"
_CURSOR: Final = "arrivals"
_HOUR: Final = 3_600_000_000
_MOST: Final = 50_000
_decode: Final = msgspec.json.Decoder(SubscriptionState).decode
_decode_silence: Final = msgspec.json.Decoder(Silence).decode

_GET: Final = "SELECT body FROM subscription_state WHERE name = ?"
_PUT: Final = """
INSERT INTO subscription_state (name, body) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET body = excluded.body"""
_ARRIVED: Final = f"""
SELECT max(id), at / {_HOUR}, sum(data), max(CASE data WHEN 1 THEN at END) FROM (
    SELECT id, at, CASE WHEN operation IN (
        'DataSubscriberService.DataArrived', 'EventSubscriberService.EventsArrived',
        'ExceptionSubscriberService.ExceptionsArrived') AND state <> 'quarantined'
        THEN 1 ELSE 0 END AS data
    FROM inbox WHERE id > ? ORDER BY id LIMIT ?)
GROUP BY at / {_HOUR}"""
_COUNT: Final = """
INSERT INTO arrival_hour (stream, hour, arrivals, last) VALUES (?, ?, ?, ?)
ON CONFLICT (stream, hour) DO UPDATE SET
    arrivals = arrival_hour.arrivals + excluded.arrivals,
    last = max(arrival_hour.last, excluded.last)"""
_HOURS: Final = "SELECT last FROM arrival_hour WHERE stream = ? AND hour >= ? ORDER BY hour"


class SqliteSubscriptions:
    """The SubscriptionStore port beside the commands, in the same file."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self.set_aside = store.set_aside

    async def subscription_states(self) -> Mapping[SubscriptionKind, SubscriptionState]:
        found = {}
        for kind in SubscriptionKind:
            with suppress(msgspec.DecodeError, UnicodeDecodeError):  # the check will tell
                state = await self.subscription_state(kind)
                if state is not None:
                    found[kind] = state
        return found

    async def subscription_state(self, kind: SubscriptionKind) -> SubscriptionState | None:
        body = await self._body(kind.value)
        return None if body is None else _decode(body)

    async def put_subscription(
        self,
        state: SubscriptionState,
        *,
        audit: Sequence[AuditNote] = (),
        publications: Sequence[Publication] = (),
    ) -> None:
        at = self._store.now()

        def work(tx: Transaction) -> None:
            tx.connection.execute(_PUT, (state.kind.value, encode(state)))
            writing.publish(tx, publications, at)
            writing.note_all(tx, audit, at)

        await self._store.write(work)

    async def count_arrivals(self) -> None:
        body = await self._body(_CURSOR)
        after = 0 if body is None else int(body)
        values = (after, _MOST)
        if not await self._store.read(lambda db: db.execute(_ARRIVED, values).fetchall()):
            return

        def work(tx: Transaction) -> None:
            newest = after
            for number, hour, arrivals, last in tx.connection.execute(_ARRIVED, values).fetchall():
                assert isinstance(number, int)
                newest = max(newest, number)
                if arrivals:
                    tx.connection.execute(_COUNT, (_STREAM, hour, arrivals, last))
            tx.connection.execute(_PUT, (_CURSOR, str(newest).encode()))

        await self._store.write(work)

    async def arrivals(self, since: datetime) -> Sequence[datetime]:
        values = (_STREAM, micros(since) // _HOUR)
        rows = await self._store.query(lambda db: db.execute(_HOURS, values).fetchall())
        return [moment(int(str(last))) for (last,) in rows]

    async def silence(self) -> Silence:
        body = await self._body(_SILENCE)
        return Silence() if body is None else _decode_silence(body)

    async def put_silence(
        self, silence: Silence, *, publications: Sequence[Publication] = ()
    ) -> None:
        at = self._store.now()

        def work(tx: Transaction) -> None:
            tx.connection.execute(_PUT, (_SILENCE, encode(silence)))
            writing.publish(tx, publications, at)

        await self._store.write(work)

    async def _body(self, name: str) -> bytes | None:
        body: bytes | None = await self._store.read(lambda db: db.execute(_GET, (name,)).get)
        return body
