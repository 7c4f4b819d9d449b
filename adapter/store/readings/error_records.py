"""Payloads and error records as people deal with them: the DeskBooks port in the SQLite file."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from adapter.commands.completion import same_quantity
from adapter.engine.commands.ports import AuditNote, Change, Disposition, InboxState
from adapter.engine.readings.ports import Payload, PayloadId, PayloadState, TablesInForce
from adapter.errors import Conflict, NotFound
from adapter.model.ids import InboxId
from adapter.readings.lookups import IdType
from adapter.readings.seeds import Normal, Unmapped
from adapter.store.commands import writing
from adapter.store.connection import SqlConnection
from adapter.store.database import Database
from adapter.store.readings import queries
from adapter.store.readings.payload_rows import payload_of
from adapter.store.readings.staging import NoDevice, find_device
from adapter.store.transaction import Transaction

_STATE: Final = "SELECT state FROM intake_error WHERE id = ?"
_DISCARD: Final = "UPDATE intake_error SET state = 'discarded' WHERE id = ?"
_CLOSE_PARTS: Final = """
UPDATE intake_error SET state = 'corrected' WHERE payload = ? AND reason = ? AND state = 'open'"""
_CLOSE: Final = "UPDATE intake_error SET state = 'corrected' WHERE id = ? AND state = 'open'"
_CLOSE_REFUSED: Final = """
UPDATE payload SET reason = ?1
WHERE id = ?2 AND state = ?3 AND reason NOT LIKE '%; corrected by payload %'"""


class SqliteErrorRecords:
    def __init__(self, store: Database) -> None:
        self._store = store

    async def payload(self, payload: PayloadId) -> Payload | None:
        return await self._store.query(lambda db: _payload(db, payload))

    async def payload_of(self, inbox: InboxId) -> Payload | None:
        def work(db: SqlConnection) -> Payload | None:
            number = db.execute(queries.PAYLOAD_OF_INBOX, (inbox,)).get
            return None if number is None else _payload(db, number)

        return await self._store.query(work)

    async def raw(self, inbox: InboxId) -> bytes:
        def work(db: SqlConnection) -> bytes:
            found: bytes | None = db.execute(queries.RAW, (inbox,)).get
            return found or b""

        return await self._store.query(work)

    async def discard_error(self, error: int, *, by: str, reason: str, now: datetime) -> None:
        note = AuditNote(
            actor=by,
            action="ErrorDiscarded",
            subject=f"intake-error:{error}",
            detail={"reason": reason},
        )

        def work(tx: Transaction) -> None:
            state = tx.connection.execute(_STATE, (error,)).get
            if state is None:
                raise NotFound(f"no error record {error}")
            if state != "open":
                raise Conflict(f"error record {error} is {state}, not open")
            tx.connection.execute(_DISCARD, (error,))
            writing.note_all(tx, [note], now)

        await self._store.write(work)

    async def corrected(
        self, payload: PayloadId, *, corrected_by: bytes, now: datetime
    ) -> int | None:
        return await self._store.write(lambda tx: _corrected(tx, payload, corrected_by, now))

    async def replaced(
        self,
        payload: PayloadId,
        errors: Mapping[int, Normal],
        *,
        ids: Sequence[IdType],
        corrected_by: bytes,
        now: datetime,
    ) -> int:
        def look(db: SqlConnection) -> tuple[Payload | None, list[int]]:
            right = _of_file(db, corrected_by)
            if right is None:
                return None, []
            return right, [
                error for error, wanted in errors.items() if _gave(db, right, wanted, tuple(ids))
            ]

        right, found = await self._store.query(look)
        if right is None or not found:
            return 0
        note = _note(payload, {"by": right.id, "records": found})

        def work(tx: Transaction) -> None:
            tx.connection.executemany(_CLOSE, [(error,) for error in found])
            writing.note_all(tx, [note], now)

        await self._store.write(work)
        return len(found)

    async def note_tables(self, tables: TablesInForce, *, by: str) -> None:
        detail = {
            "quantities": tables.quantities,
            "conditions": tables.conditions,
            "events": tables.events,
            "storm_rules": tables.storm_rules,
        }
        note = AuditNote(actor=by, action="TablesReloaded", subject="tables", detail=detail)
        await self._store.write(lambda tx: writing.note_all(tx, [note], tables.since))


def _payload(db: SqlConnection, number: int) -> Payload | None:
    row = db.execute(queries.PAYLOAD, (number,)).fetchone()
    return None if row is None else payload_of(row)


def _corrected(
    tx: Transaction, payload: PayloadId, corrected_by: bytes, now: datetime
) -> int | None:
    db = tx.connection
    wrong = _payload(db, payload)
    if wrong is None:
        raise NotFound(f"no payload {payload}")
    right = _of_file(db, corrected_by)
    if right is None or right.id == payload or right.counts.get("bad_parts"):
        return None
    db.execute(_CLOSE_PARTS, (payload, Unmapped.PART))
    closed = db.changes()
    reason = f"{wrong.reason}; corrected by payload {right.id}"
    db.execute(_CLOSE_REFUSED, (reason, payload, PayloadState.QUARANTINED))
    refused = db.changes()
    moved: tuple[Disposition, ...] = ()
    if refused and wrong.inbox is not None and _is_quarantined(db, wrong.inbox):
        moved = (Disposition(inbox=wrong.inbox, state=InboxState.DISCARDED, reason=reason),)
    if not closed and not refused:
        return 0
    note = _note(payload, {"by": right.id, "bad_parts": closed, "message": wrong.inbox})
    writing.save(tx, [Change(inbox=moved, audit=(note,))], now)
    return closed + refused


def _note(payload: PayloadId, detail: Mapping[str, object]) -> AuditNote:
    return AuditNote(
        actor="gateway", action="Corrected", subject=f"payload:{payload}", detail=detail
    )


def _of_file(db: SqlConnection, digest: bytes) -> Payload | None:
    """What came of a file, once it is loaded."""
    row = db.execute(queries.PAYLOAD_OF_FILE, (digest,)).fetchone()
    found = None if row is None else _payload(db, row[0])
    return found if found is not None and found.state is PayloadState.LOADED else None


def _gave(db: SqlConnection, right: Payload, wanted: Normal, ids: tuple[IdType, ...]) -> bool:
    """Whether `right` has a value for each of the times."""
    device = find_device(db, wanted.identifier, wanted.serial, ids)
    if isinstance(device, NoDevice):
        return False
    span = {
        "device": device.id,
        "kind": wanted.kind.value,
        "quantity": same_quantity(wanted.quantity),
        "source": wanted.source,
        "seconds": wanted.seconds,
        "start": wanted.start,
        "end": wanted.end,
        "payload": right.id,
        "repeated": right.counts.get("repeated", 0) > 0,
    }
    given = {at for (at,) in db.execute(queries.GIVEN, span)}
    return all(row[0] in given for row in wanted.rows)


def _is_quarantined(db: SqlConnection, inbox: InboxId) -> bool:
    state = db.execute("SELECT state FROM inbox WHERE id = ?", (inbox,)).get
    return bool(state == InboxState.QUARANTINED)
