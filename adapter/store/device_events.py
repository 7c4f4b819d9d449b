"""Device events in the gateway's SQLite file: the EventStore port on the store's own threads."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import apsw
import msgspec

from adapter.commands.effects import Severity
from adapter.engine.event_ports import (
    EventError,
    EventFilter,
    Outage,
    StoredEvent,
    Taken,
)
from adapter.engine.ports import AuditNote, Publication
from adapter.model.ids import DeviceId, EndpointId, EventId
from adapter.readings.device_events import DeviceEvent, Mark, UnknownEvent, spells
from adapter.readings.event_types import POWER, EventTables, Role
from adapter.readings.seeds import EventSeed
from adapter.store import event_queries as sql
from adapter.store import writing
from adapter.store.rows import encode, micros, micros_or_none, moment
from adapter.store.sqlite import SqliteStore
from adapter.store.threads import Transaction

_HIGHEST: Final = 2**63 - 1
_decode_event: Final = msgspec.json.Decoder(DeviceEvent).decode
_decode_seed: Final = msgspec.json.Decoder(EventSeed).decode
_decode_counts: Final = msgspec.json.Decoder(dict[str, int]).decode


class SqliteEvents:
    """The EventStore port beside the commands, in the same file."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    async def event_cursor(self) -> tuple[int, int]:
        return await self._store.read(_cursor)

    async def take_events(
        self,
        events: Sequence[DeviceEvent | UnknownEvent],
        tables: EventTables,
        *,
        now: datetime,
        cursor: tuple[int, int] | None,
        resolved: Sequence[int] = (),
        by: str = "",
    ) -> Taken:
        def work(tx: Transaction) -> Taken:
            if cursor is not None and cursor <= _cursor(tx.connection):
                return Taken()
            taken = _Taking(tx, tables, now).take(events)
            if cursor is not None:
                tx.connection.execute(sql.MOVE_CURSOR, cursor)
            if resolved:
                tx.connection.executemany(sql.RESOLVE_ERROR, [(item,) for item in resolved])
                detail = {"errors": len(resolved), "events": taken.new}
                looked = AuditNote(actor=by, action="Reprocessed", subject="events", detail=detail)
                writing.note_all(tx, [looked], now)
            return taken

        return await self._store.write(work)

    async def sum_up(self, *, now: datetime) -> int:
        at = micros(now)
        ended = await self._store.read(lambda db: db.execute(sql.ENDED_WINDOW, (at,)).get)
        if ended is None:
            return 0
        return await self._store.write(lambda tx: _sum_up(tx, now))

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

        def work(db: apsw.Connection) -> list[StoredEvent]:
            return [
                StoredEvent(id=number, device=device, told=bool(told), event=_decode_event(body))
                for number, device, told, body in db.execute(sql.EVENTS, values)
            ]

        return await self._store.query(work)

    async def outages(
        self,
        *,
        dark: bool = True,
        since: datetime | None = None,
        after: tuple[datetime, EndpointId] | None = None,
        limit: int = 500,
    ) -> Sequence[Outage]:
        started, endpoint = (micros(after[0]), after[1]) if after else (-_HIGHEST, "")
        values = {"pair": POWER, "started": started, "endpoint": endpoint, "limit": limit}
        if not dark:
            values = {"pair": POWER, "since": micros(since) if since else 0, "limit": limit}

        def work(db: apsw.Connection) -> list[Outage]:
            return [
                Outage(
                    endpoint=EndpointId(esn),
                    device=device,
                    since=moment(begun),
                    until=None if ended is None else moment(ended),
                )
                for esn, device, begun, ended in db.execute(sql.DARK if dark else sql.OVER, values)
            ]

        return await self._store.query(work)

    async def count_dark(self) -> int:
        return await self._store.query(lambda db: int(db.execute(sql.COUNT_DARK, (POWER,)).get))

    async def event_errors(
        self, *, state: str = "open", after: int = 0, limit: int = 500
    ) -> Sequence[EventError]:
        def work(db: apsw.Connection) -> list[EventError]:
            return [
                EventError(
                    id=number,
                    state=found,
                    unknown=UnknownEvent(
                        endpoint=EndpointId(esn), at=moment(at), seed=_decode_seed(body)
                    ),
                )
                for number, found, esn, at, body in db.execute(sql.ERRORS, (state, after, limit))
            ]

        return await self._store.query(work)

    async def event_counts(self) -> Mapping[str, int]:
        return await self._store.query(lambda db: dict(db.execute(sql.COUNTS)))


def _cursor(db: apsw.Connection) -> tuple[int, int]:
    load, arrived = db.execute(sql.CURSOR).get
    return load, arrived


class _Window:
    """What was told of one bucket since `started`; kept in memory while a batch is taken."""

    __slots__ = ("counts", "ends", "started", "told", "withheld")

    def __init__(
        self, started: int, ends: int, told: int, withheld: int, counts: dict[str, int]
    ) -> None:
        self.started = started
        self.ends = ends
        self.told = told
        self.withheld = withheld
        self.counts = counts


class _Taking:
    """One batch in one transaction."""

    def __init__(self, tx: Transaction, tables: EventTables, now: datetime) -> None:
        self._db = tx.connection
        self._tables = tables
        self._now = now
        self._windows: dict[str, _Window] = {}
        self._devices: dict[EndpointId, DeviceId | None] = {}

    def take(self, events: Iterable[DeviceEvent | UnknownEvent]) -> Taken:
        new: list[tuple[int, DeviceEvent]] = []
        repeated = unknown = unknown_repeated = 0
        for item in events:
            if isinstance(item, UnknownEvent):
                kept = self._keep_unknown(item)
                unknown, unknown_repeated = unknown + kept, unknown_repeated + (not kept)
            elif (number := self._insert(item)) is None:
                repeated += 1
            else:
                new.append((number, item))
        self._make_spells([event for _, event in new if event.pair])
        withheld = sum(not self._tell(number, event) for number, event in new)
        for bucket, window in self._windows.items():
            values = (window.started, window.ends, window.told, window.withheld)
            self._db.execute(sql.PUT_WINDOW, (bucket, *values, encode(window.counts)))
        return Taken(
            new=len(new),
            repeated=repeated,
            unknown=unknown,
            unknown_repeated=unknown_repeated,
            withheld=withheld,
        )

    def _insert(self, event: DeviceEvent) -> int | None:
        values = (
            event.endpoint,
            event.name,
            micros(event.at),
            -1 if event.sequence is None else event.sequence,
            self._device(event.endpoint),
            event.category,
            event.pair,
            event.role is Role.LAST,
            encode(event),
        )
        number: int | None = self._db.execute(sql.INSERT_EVENT, values).get
        return number

    def _keep_unknown(self, item: UnknownEvent) -> bool:
        sequence = -1 if item.seed.sequence is None else item.seed.sequence
        values = (item.endpoint, item.seed.name, micros(item.at), sequence, encode(item.seed))
        self._db.execute(sql.INSERT_ERROR, values)
        return bool(self._db.changes())

    def _device(self, endpoint: EndpointId) -> DeviceId | None:
        if endpoint not in self._devices:
            self._devices[endpoint] = self._db.execute(sql.DEVICE_OF, (endpoint,)).get
        return self._devices[endpoint]

    def _make_spells(self, events: Iterable[DeviceEvent]) -> None:
        """Each pair of each device again, from the last moment that the new events leave alone."""
        earliest: dict[tuple[EndpointId, str], int] = {}
        for event in events:
            key = (event.endpoint, event.pair)
            earliest[key] = min(micros(event.at), earliest.get(key, _HIGHEST))
        for (endpoint, pair), at in earliest.items():
            names = {"endpoint": endpoint, "pair": pair}
            before = self._db.execute(sql.BOUNDARY, {**names, "at": at}).get
            span = {**names, "after": -_HIGHEST if before is None else before}
            marks = [
                Mark(moment(when), sequence, bool(last))
                for when, sequence, last in self._db.execute(sql.MARKS, span)
            ]
            self._db.execute(sql.DROP_SPELLS, span)
            device = self._device(endpoint)
            self._db.executemany(
                sql.INSERT_SPELL,
                [
                    (endpoint, pair, micros(item.start), micros_or_none(item.end), device)
                    for item in spells(marks)
                ],
            )

    # ------------------------------------------------------------ telling

    def _tell(self, number: int, event: DeviceEvent) -> bool:
        """Publish it, or count it where its storm rule is used up."""
        rule = self._tables.storm_rule(event.name, event.category)
        if rule is not None:
            window = self._window(rule.bucket(event.name), rule.window_s)
            if window.told >= rule.publications:
                window.withheld += 1
                window.counts[event.name] = window.counts.get(event.name, 0) + 1
                return False
            window.told += 1
        self._db.execute(sql.TOLD, (number,))
        writing.publish(self._db, [self._publication(event)], self._now)
        return True

    def _window(self, bucket: str, length_s: float) -> _Window:
        found = self._windows.get(bucket)
        if found is None:
            at = micros(self._now)
            row = self._db.execute(sql.OPEN_WINDOW, (bucket, at)).get
            if row is None:
                found = _Window(at, at + round(length_s * 1_000_000), 0, 0, {})
            else:
                started, ends, told, withheld, counts = row
                found = _Window(started, ends, told, withheld, _decode_counts(counts))
            self._windows[bucket] = found
        return found

    def _publication(self, event: DeviceEvent) -> Publication:
        started: int | None = None
        if event.role is Role.LAST:
            key = (event.endpoint, event.pair, micros(event.at))
            started = self._db.execute(sql.SPELL_ENDED_AT, key).get
        since = None if started is None else moment(started)
        device = self._device(event.endpoint)
        return Publication(
            id=event.id,
            type="openway.device.event",
            subject=device or event.endpoint,
            severity=event.severity,
            data={
                "endpoint": event.endpoint,
                "device": device,
                "name": event.name,
                "external": event.external,
                "number": event.number,
                "category": event.category,
                "at": event.at.isoformat(),
                "sequence": event.sequence,
                "exception": event.exception,
                "arguments": [list(item) for item in event.arguments],
                "began_at": None if since is None else since.isoformat(),
                "lasted_s": None if since is None else (event.at - since).total_seconds(),
            },
        )


def _sum_up(tx: Transaction, now: datetime) -> int:
    db = tx.connection
    told = 0
    while (row := db.execute(sql.ENDED_WINDOW, (micros(now),)).get) is not None:
        bucket, started, ends, published, withheld, counts = row
        if not withheld:
            db.execute(sql.DROP_WINDOW, (bucket, started))
            continue
        told += 1
        db.execute(sql.SUMMED_UP, (bucket, started))
        begun = moment(started)
        summary = Publication(
            id=EventId(f"device-events-withheld:{bucket}:{begun.isoformat()}"),
            type="openway.device.events_withheld",
            subject=bucket,
            severity=Severity.WARNING,
            data={
                "from": begun.isoformat(),
                "to": moment(ends).isoformat(),
                "told": published,
                "withheld": withheld,
                "by_name": _decode_counts(counts),
            },
        )
        writing.publish(db, [summary], now)
    return told
