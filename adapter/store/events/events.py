"""Device events in the gateway's SQLite file: the EventStore port on the store's own threads."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from adapter.commands.effects import Severity
from adapter.engine.commands.ports import AuditNote, Publication
from adapter.engine.events.ports import (
    EventError,
    EventFilter,
    Outage,
    StoredEvent,
    Taken,
)
from adapter.engine.upkeep.set_aside import RowKind
from adapter.events.pairing import DeviceEvent, UnknownEvent
from adapter.events.types import POWER, EventTables
from adapter.model.ids import EndpointId, EventId
from adapter.readings.seeds import EventSeed
from adapter.store.commands import writing
from adapter.store.connection import SqlConnection
from adapter.store.database import Database
from adapter.store.events import queries as sql
from adapter.store.events.ingest import EventIngest
from adapter.store.rows import micros, micros_or_none, moment
from adapter.store.transaction import Transaction
from adapter.store.upkeep.failed_rows import note_unreadable, readable
from adapter.store.upkeep.unreadable import made_of

_HIGHEST: Final = 2**63 - 1
_decode_event: Final = msgspec.json.Decoder(DeviceEvent).decode
_decode_seed: Final = msgspec.json.Decoder(EventSeed).decode
_decode_counts: Final = msgspec.json.Decoder(dict[str, int]).decode


class SqliteEvents:
    """The EventStore port beside the commands, in the same file."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self.set_aside = store.set_aside

    async def event_cursor(self) -> tuple[int, int]:
        return await self._store.read(_cursor)

    async def take_events(
        self,
        events: Sequence[DeviceEvent | UnknownEvent],
        tables: EventTables,
        *,
        now: datetime,
        cursor: tuple[int, int] | None,
        arrivals: Sequence[int] = (),
        resolved: Sequence[int] = (),
        by: str = "",
    ) -> Taken:
        def work(tx: Transaction) -> Taken:
            if cursor is not None and cursor <= _cursor(tx.connection):
                return Taken()
            taken = EventIngest(tx, tables, now).take(events, arrivals=arrivals, resolved=resolved)
            if cursor is not None:
                tx.connection.execute(sql.MOVE_CURSOR, cursor)
            if resolved:
                detail = {"errors": len(resolved), "events": taken.new}
                looked = AuditNote(actor=by, action="Reprocessed", subject="events", detail=detail)
                writing.note_all(tx, [looked], now)
            return taken

        return await self._store.write(work)

    async def sum_up(self, *, now: datetime) -> int:
        at = micros(now)
        names = {"now": at}
        ended = await self._store.read(lambda db: db.execute(sql.ENDED_WINDOW, names).get)
        if ended is None:
            return 0
        told, bad = await self._store.write(lambda tx: _sum_up(tx, now))
        await note_unreadable(self._store, RowKind.STORM, bad)
        return told

    async def events(self, wanted: EventFilter) -> Sequence[StoredEvent]:
        values = {
            "before": wanted.before or _HIGHEST,
            "device": wanted.device,
            "endpoint": wanted.endpoint,
            "name": wanted.name,
            "category": wanted.category,
            "since": micros_or_none(wanted.since),
            "limit": wanted.limit,
        }

        def work(db: SqlConnection) -> list[StoredEvent]:
            return [
                StoredEvent(
                    id=number,
                    device=device,
                    published=bool(published),
                    other_sequence=other,
                    event=_decode_event(body),
                )
                for number, device, published, other, body in db.execute(sql.EVENTS, values)
            ]

        return await self._store.query(work)

    async def outages(
        self,
        *,
        ongoing: bool = True,
        since: datetime | None = None,
        after: tuple[datetime, EndpointId] | None = None,
        limit: int = 500,
    ) -> Sequence[Outage]:
        started, endpoint = (micros(after[0]), after[1]) if after else (-_HIGHEST, "")
        values = {"pair": POWER, "started": started, "endpoint": endpoint, "limit": limit}
        if not ongoing:
            values = {"pair": POWER, "since": micros(since) if since else 0, "limit": limit}

        def work(db: SqlConnection) -> list[Outage]:
            return [
                Outage(
                    endpoint=EndpointId(esn),
                    device=device,
                    started_at=moment(begun),
                    ended_at=None if ended is None else moment(ended),
                )
                for esn, device, begun, ended in db.execute(
                    sql.ONGOING if ongoing else sql.OVER, values
                )
            ]

        return await self._store.query(work)

    async def count_without_supply(self) -> int:
        return await self._store.query(lambda db: int(db.execute(sql.COUNT_ONGOING, (POWER,)).get))

    async def event_errors(
        self, *, state: str = "open", after: int = 0, limit: int = 500
    ) -> Sequence[EventError]:
        names = {"state": state, "after": after, "limit": limit, "now": micros(self._store.now())}

        def fetch(db: SqlConnection) -> list[tuple[object, tuple[Any, ...]]]:
            return [(row[0], row) for row in db.execute(sql.ERRORS, names)]

        return await readable(self._store, RowKind.EVENT_ERROR, fetch, _event_error)

    async def event_counts(self) -> Mapping[str, int]:
        return await self._store.query(lambda db: dict(db.execute(sql.COUNTS)))


def _cursor(db: SqlConnection) -> tuple[int, int]:
    load, arrived = db.execute(sql.CURSOR).get
    return load, arrived


def _event_error(row: tuple[Any, ...]) -> EventError:
    number, found, esn, at, body = row
    seed = _decode_seed(body)
    unknown = UnknownEvent(endpoint=EndpointId(esn), at=moment(at), seed=seed)
    return EventError(id=number, state=found, unknown=unknown)


def _sum_up(tx: Transaction, now: datetime) -> tuple[int, list[tuple[object, Exception]]]:
    """(how many were told, windows that cannot be read, with the errors)."""
    db = tx.connection
    rows = [
        (f"{row[0]}/{row[1]}", row) for row in db.execute(sql.ENDED_WINDOW, {"now": micros(now)})
    ]
    made, bad = made_of(rows, _summary)
    for (bucket, started), summary in made:
        if summary is None:
            db.execute(sql.DROP_WINDOW, (bucket, started))
            continue
        db.execute(sql.SUMMED_UP, (bucket, started))
        writing.publish(tx, [summary], now)
    return sum(summary is not None for _, summary in made), bad


def _summary(row: tuple[Any, ...]) -> tuple[tuple[str, int], Publication | None]:
    """The key of a window, and what is told of it; None where all was published."""
    bucket, started, ends, published, in_summary, counts = row
    if not in_summary:
        return (bucket, started), None
    begun = moment(started)
    summary = Publication(
        id=EventId(f"device-event-storm:{bucket}:{begun.isoformat()}"),
        type="openway.device.event_storm",
        subject=bucket,
        severity=Severity.WARNING,
        data={
            "from": begun,
            "to": moment(ends),
            "published": published,
            "in_summary": in_summary,
            "by_name": _decode_counts(counts),
        },
    )
    return (bucket, started), summary
