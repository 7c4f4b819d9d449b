"""Payloads, loads and measurements in the gateway's SQLite files.

A payload's rows are staged in many short transactions and shown by one: values in the file of
measurements, which the worker process writes for a large body, the rest in the gateway's. What a
stop or a refusal leaves behind stays hidden and is swept away in pieces.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from adapter.commands.calls import Reading, ReadingKind
from adapter.commands.effects import Severity
from adapter.engine.commands.ports import (
    AuditNote,
    Change,
    Disposition,
    InboxState,
    Publication,
)
from adapter.engine.readings.ports import (
    ArrivedEvent,
    Batch,
    Blocks,
    Counts,
    ErrorRecord,
    LoadId,
    Payload,
    PayloadId,
    PayloadState,
    StagingTarget,
    Started,
    StoredValue,
    WaitingPayload,
)
from adapter.engine.upkeep.set_aside import RowKind
from adapter.errors import NotFound
from adapter.model.ids import DeviceId, EndpointId, EventId, InboxId
from adapter.model.measurement import Measurement
from adapter.readings.lookups import Lookups
from adapter.store.commands import writing
from adapter.store.connection import SqlConnection
from adapter.store.database import Database
from adapter.store.readings import file as measured_file
from adapter.store.readings import queries
from adapter.store.readings.payload_rows import arrived_of, payload_of, waiting_of
from adapter.store.readings.staging import Staging, put_rest
from adapter.store.readings.values import missing_blocks, readings_of, stored, with_readings
from adapter.store.rows import encode, micros
from adapter.store.transaction import Transaction
from adapter.store.upkeep.failed_rows import note_unreadable, readable
from adapter.store.upkeep.unreadable import Readable, made_of

_HIGHEST: Final = 2**63 - 1


class SqliteMeasurements:
    """The DataStore port, on the threads of a Database."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self.set_aside = store.set_aside
        self._staging: Staging | None = None

    # ------------------------------------------------------------ loading

    async def waiting(self, *, limit: int) -> Sequence[WaitingPayload]:
        names = {"limit": limit, "now": micros(self._store.now())}

        def fetch(db: SqlConnection) -> list[tuple[object, tuple[Any, ...]]]:
            return [(row[0], row) for row in db.execute(queries.WAITING, names)]

        return await readable(self._store, RowKind.PAYLOAD, fetch, waiting_of)

    async def start(self, what: WaitingPayload, *, now: datetime) -> Started | None:
        def work(tx: Transaction) -> Started | None:
            db = tx.connection
            payload = _known_payload(db, what)
            if payload is None:
                values = (
                    what.inbox,
                    what.source,
                    what.operation,
                    micros(what.at),
                    what.size,
                    what.digest,
                    what.file,
                )
                payload = db.execute(queries.INSERT_PAYLOAD, values).get
            elif payload < 0:
                return None
            else:
                db.execute(queries.RESTART_PAYLOAD, (payload,))
            db.execute(queries.ABANDON_LOADS, (payload,))
            load = db.execute(queries.INSERT_LOAD, (payload, micros(now))).get
            raw = b""
            if what.inbox is not None and not what.file:
                raw = db.execute(queries.RAW, (what.inbox,)).get
            return Started(payload=PayloadId(payload), load=LoadId(load), raw=raw)

        started = await self._store.write(work)
        self._staging = None
        return started

    async def restart(self, payload: PayloadId, *, now: datetime) -> Started:
        def work(tx: Transaction) -> Started:
            db = tx.connection
            if db.execute(queries.PAYLOAD, (payload,)).get is None:
                raise NotFound(f"no payload {payload}")
            db.execute(queries.ABANDON_LOADS, (payload,))
            load = db.execute(queries.INSERT_LOAD, (payload, micros(now))).get
            return Started(payload=payload, load=LoadId(load))

        self._staging = None
        return await self._store.write(work)

    async def stage(self, started: Started, batch: Batch, lookups: Lookups) -> Counts:
        staging = self._staging
        if staging is None or staging.load != started.load:
            staging = self._staging = Staging(started.payload, started.load, lookups)
        counts, rest = await self._store.measure(
            lambda tx: staging.put(tx.connection, tx.connection, batch)
        )
        await self.stage_rest(started, [rest])
        return counts

    def place(self, started: Started) -> StagingTarget:
        return StagingTarget(
            module=self._store.staging_module,
            store=self._store.staging_place(),
            payload=started.payload,
            load=started.load,
        )

    async def stage_rest(self, started: Started, batches: Sequence[Batch]) -> None:
        some = [
            item
            for item in batches
            if item.rejected or item.bad or item.events or item.doubted or item.blocks
        ]

        def work(tx: Transaction) -> None:
            for batch in some:
                put_rest(tx.connection, started.payload, started.load, batch)

        if some:
            await self._store.write(work)

    async def loaded(
        self, started: Started, counts: Counts, *, inbox: InboxId | None, now: datetime
    ) -> None:
        def work(tx: Transaction) -> None:
            db = tx.connection
            db.execute(queries.END_LOAD, ("loaded", started.load))
            values = (PayloadState.LOADED, "", None, micros(now), _encode_counts(counts))
            db.execute(queries.FINISH_PAYLOAD, (*values, started.payload))
            stored: tuple[Disposition, ...] = ()
            if inbox is not None:
                stored = (Disposition(inbox=inbox, state=InboxState.STORED),)
            payload = payload_of(next(db.execute(queries.PAYLOAD, (started.payload,))))
            writing.save(tx, [Change(inbox=stored, publications=(_loaded(payload),))], now)

        await self._seal(started)
        await self._store.write(work)

    async def _seal(self, started: Started) -> None:
        """The rows are on disk before the gateway's file calls their load loaded."""
        await self._store.measure(lambda tx: measured_file.seal(tx.connection, started.load))

    async def refused(
        self,
        started: Started,
        reason: str,
        position: int | None,
        *,
        inbox: InboxId | None,
        now: datetime,
    ) -> None:
        subject = f"payload:{started.payload}" if inbox is None else f"inbox:{inbox}"
        audit = AuditNote(
            actor="gateway",
            action="Quarantined",
            subject=subject,
            detail={"reason": reason, "position": position},
        )

        def work(tx: Transaction) -> None:
            db = tx.connection
            db.execute(queries.END_LOAD, ("abandoned", started.load))
            values = (PayloadState.QUARANTINED, reason, position, micros(now), b"{}")
            db.execute(queries.FINISH_PAYLOAD, (*values, started.payload))
            moved: tuple[Disposition, ...] = ()
            if inbox is not None:
                moved = (Disposition(inbox=inbox, state=InboxState.QUARANTINED, reason=reason),)
            writing.save(tx, [Change(inbox=moved, audit=(audit,))], now)

        await self._store.write(work)

    async def resolved(
        self, started: Started, errors: Sequence[int], counts: Counts, *, now: datetime
    ) -> None:
        audit = AuditNote(
            actor="gateway",
            action="Reprocessed",
            subject=f"payload:{started.payload}",
            detail={"errors": len(errors), "values": counts.new + counts.revised},
        )

        def work(tx: Transaction) -> None:
            db = tx.connection
            db.execute(queries.END_LOAD, ("loaded", started.load))
            db.executemany(queries.RESOLVE_ERROR, [(item,) for item in errors])
            writing.save(tx, [Change(audit=(audit,))], now)

        await self._seal(started)
        await self._store.write(work)

    async def give_up(self, started: Started) -> None:
        await self._store.write(
            lambda tx: tx.connection.execute(queries.END_LOAD, ("abandoned", started.load))
        )

    async def sweep(self, *, limit: int) -> bool:
        load = await self._store.read(lambda db: db.execute(queries.ABANDONED).get)
        if load is None:
            return False
        values = {"load": load, "limit": limit}

        def rows(tx: Transaction) -> int:
            tx.connection.execute(queries.SWEEP_MEASURED, values)
            return tx.connection.changes()

        def rest(tx: Transaction) -> None:
            for statement in queries.SWEEP:
                tx.connection.execute(statement, {"load": load})
            tx.connection.execute(queries.END_LOAD, ("swept", load))

        if await self._store.measure(rows) < limit:
            await self._store.write(rest)
        return True

    # ------------------------------------------------------------ bodies

    async def expired(self, *, before: datetime, limit: int) -> Sequence[Payload]:
        names = {"before": micros(before), "limit": limit, "now": micros(self._store.now())}

        def work(db: SqlConnection) -> Readable[Payload]:
            ids = [row[0] for row in db.execute(queries.EXPIRED, names)]
            return made_of(
                [(item, db.execute(queries.PAYLOAD, (item,)).get) for item in ids], payload_of
            )

        made, bad = await self._store.query(work)
        await note_unreadable(self._store, RowKind.BODY, bad)
        return made

    async def forget_raw(self, payload: Payload) -> None:
        def work(tx: Transaction) -> None:
            if payload.inbox is not None:
                tx.connection.execute(queries.FORGET_RAW, (payload.inbox,))
                tx.connection.execute(queries.FORGET_SPOOL, (payload.inbox,))
            tx.connection.execute(queries.FORGET_FILE, (payload.id,))

        await self._store.write(work)

    async def spool_files(self) -> frozenset[str]:
        return await self._store.query(
            lambda db: frozenset(file for (file,) in db.execute(queries.SPOOLED_FILES))
        )

    async def payloads(
        self, *, before: PayloadId | None = None, limit: int = 50
    ) -> Sequence[Payload]:
        values = (before or _HIGHEST, limit)
        return await self._store.query(
            lambda db: [payload_of(row) for row in db.execute(queries.PAYLOADS, values)]
        )

    # ------------------------------------------------------------ errors and events

    async def errors(
        self,
        *,
        state: str = "open",
        payload: PayloadId | None = None,
        after: int = 0,
        limit: int = 500,
    ) -> Sequence[ErrorRecord]:
        wanted = {"state": state, "payload": payload, "after": after, "limit": limit}

        def work(db: SqlConnection) -> list[ErrorRecord]:
            return [
                ErrorRecord(
                    id=row[0],
                    payload=PayloadId(row[1]),
                    load=LoadId(row[2]),
                    part=row[3],
                    position=row[4],
                    endpoint=row[5],
                    reason=row[6],
                    detail=row[7],
                    body=row[8],
                    state=row[9],
                )
                for row in db.execute(queries.ERRORS, wanted)
            ]

        return await self._store.query(work)

    async def count_errors(self) -> dict[str, int]:
        """Open error records by reason."""
        return await self._store.query(lambda db: dict(db.execute(queries.COUNT_ERRORS)))

    async def missing_blocks(
        self,
        endpoints: Collection[EndpointId],
        start: datetime,
        end: datetime,
        *,
        came: tuple[datetime, datetime],
    ) -> Mapping[EndpointId, Blocks]:
        return await self._store.query(lambda db: missing_blocks(db, endpoints, start, end, came))

    async def arrived_events(
        self, *, after: tuple[int, int] = (0, 0), limit: int = 500
    ) -> Sequence[ArrivedEvent]:
        load, number = after
        names = {"load": load, "id": number, "limit": limit, "now": micros(self._store.now())}

        def fetch(db: SqlConnection) -> list[tuple[object, tuple[Any, ...]]]:
            return [(row[0], row) for row in db.execute(queries.EVENTS_AFTER, names)]

        return await readable(self._store, RowKind.EVENT, fetch, arrived_of)

    async def arrived(self, numbers: Sequence[int]) -> Sequence[ArrivedEvent]:
        wanted = encode(list(numbers)).decode()

        def fetch(db: SqlConnection) -> list[tuple[object, tuple[Any, ...]]]:
            return [(row[0], row) for row in db.execute(queries.EVENTS_OF, (wanted,))]

        return await readable(self._store, RowKind.EVENT, fetch, arrived_of)

    # ------------------------------------------------------------ measurements

    async def values_between(
        self,
        start: datetime,
        end: datetime,
        *,
        device: DeviceId | None = None,
        component: str | None = None,
        endpoint: EndpointId | None = None,
        revisions: bool = False,
        limit: int = 10_000,
    ) -> Sequence[StoredValue]:
        """Everything known of the values; with `revisions` also those that were replaced."""
        chosen = {"component": component, "device": device, "endpoint": endpoint}
        name = next((name for name, key in chosen.items() if key is not None), None)
        if name is None:
            raise ValueError("a device, a component or an endpoint is needed")
        query = queries.select(queries.WHERE[name], revisions=revisions)
        values = {
            "key": chosen[name],
            "start": micros(start),
            "end": micros(end),
            "limit": limit,
        }
        return await self._store.query(
            lambda db: [stored(row) for row in db.execute(query, values)]
        )

    async def measurements_between(
        self,
        start: datetime,
        end: datetime,
        *,
        device: DeviceId | None = None,
        component: str | None = None,
        limit: int = 10_000,
    ) -> Sequence[Measurement]:
        found = await self.values_between(
            start, end, device=device, component=component, limit=limit
        )
        return [_measurement(item, item.value) for item in found if item.value is not None]

    async def nearest(
        self, device: DeviceId, start: datetime, end: datetime, *, near: datetime
    ) -> Sequence[Measurement]:
        span = {
            "device": device,
            "start": micros(start),
            "end": micros(end),
            "near": micros(near),
        }
        found = await self._store.query(
            lambda db: [stored(row) for row in db.execute(queries.NEAREST, span)]
        )
        return [_measurement(item, item.value) for item in found if item.value is not None]

    async def readings_of(
        self, endpoints: Sequence[EndpointId], kind: ReadingKind, start: datetime, end: datetime
    ) -> Sequence[Reading]:
        return await self._store.query(lambda db: readings_of(db, endpoints, kind, start, end))

    async def with_readings(
        self, endpoints: Sequence[EndpointId], kind: ReadingKind, start: datetime, end: datetime
    ) -> frozenset[EndpointId]:
        return await self._store.query(lambda db: with_readings(db, endpoints, kind, start, end))


def _known_payload(db: SqlConnection, what: WaitingPayload) -> int | None:
    """The number of a payload that came before; -1 where it is a file that is loaded."""
    if what.inbox is not None:
        found: int | None = db.execute(queries.PAYLOAD_OF_INBOX, (what.inbox,)).get
        return found
    row = db.execute(queries.PAYLOAD_OF_FILE, (what.digest,)).get
    if row is None:
        return None
    return -1 if row[1] == PayloadState.LOADED else int(row[0])


def _loaded(payload: Payload) -> Publication:
    return Publication(
        id=EventId(f"payload:{payload.id}:loaded"),
        type="openway.payload.loaded",
        subject=f"payload:{payload.id}",
        severity=Severity.INFO,
        data={
            "id": payload.id,
            "inbox": payload.inbox,
            "source": payload.source,
            "operation": payload.operation,
            "at": payload.at,
            "finished_at": payload.finished,
            "bytes": payload.size,
            "counts": payload.counts,
        },
    )


def _encode_counts(counts: Counts) -> bytes:
    return encode({name: getattr(counts, name) for name in Counts.__slots__})


def _measurement(item: StoredValue, value: Decimal) -> Measurement:
    load, number = item.revision
    when = item.at.isoformat()
    return Measurement(
        id=f"{item.component}:{item.kind}:{item.source}:{when}:{load}.{number}",
        component=item.component,
        at=item.at,
        value=value,
        condition=item.condition,
        device=item.device,
    )
