"""Payloads and error records as people deal with them: the DeskBooks port in the SQLite file."""

from datetime import datetime
from typing import Final

import apsw
import msgspec

from adapter.engine.data_ports import Payload, PayloadId, PayloadState
from adapter.engine.intake_desk import TablesInForce
from adapter.engine.ports import AuditNote, Change, Disposition, InboxState
from adapter.errors import Conflict, NotFound
from adapter.model.ids import InboxId
from adapter.readings.seeds import Unmapped
from adapter.store import measured, writing
from adapter.store.measurements import payload_of
from adapter.store.sqlite import SqliteStore
from adapter.store.threads import Transaction

_STATE: Final = "SELECT state FROM intake_error WHERE id = ?"
_DISCARD: Final = "UPDATE intake_error SET state = 'discarded' WHERE id = ?"
_CLOSE_PARTS: Final = """
UPDATE intake_error SET state = 'corrected' WHERE payload = ? AND why = ? AND state = 'open'"""
_decode_counts: Final = msgspec.json.Decoder(dict[str, int]).decode


class SqliteIntakeBooks:
    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    async def payload(self, payload: PayloadId) -> Payload | None:
        return await self._store.query(lambda db: _payload(db, payload))

    async def payload_of(self, inbox: InboxId) -> Payload | None:
        def work(db: apsw.Connection) -> Payload | None:
            number = db.execute(measured.PAYLOAD_OF_INBOX, (inbox,)).get
            return None if number is None else _payload(db, number)

        return await self._store.query(work)

    async def raw(self, inbox: InboxId) -> bytes:
        def work(db: apsw.Connection) -> bytes:
            found: bytes | None = db.execute(measured.RAW, (inbox,)).get
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

    async def note_tables(self, tables: TablesInForce, *, by: str) -> None:
        detail = {
            "quantities": tables.quantities,
            "conditions": tables.conditions,
            "events": tables.events,
            "storm_rules": tables.storm_rules,
        }
        note = AuditNote(actor=by, action="TablesReloaded", subject="tables", detail=detail)
        await self._store.write(lambda tx: writing.note_all(tx, [note], tables.since))


def _payload(db: apsw.Connection, number: int) -> Payload | None:
    row = db.execute(measured.PAYLOAD, (number,)).fetchone()
    return None if row is None else payload_of(row)


def _corrected(
    tx: Transaction, payload: PayloadId, corrected_by: bytes, now: datetime
) -> int | None:
    db = tx.connection
    wrong = _payload(db, payload)
    if wrong is None:
        raise NotFound(f"no payload {payload}")
    row = db.execute(measured.PAYLOAD_OF_FILE, (corrected_by,)).fetchone()
    right = None if row is None else _payload(db, row[0])
    if right is None or right.state is not PayloadState.LOADED or right.counts.get("bad_parts"):
        return None
    db.execute(_CLOSE_PARTS, (payload, Unmapped.PART))
    closed = db.changes()
    refused = wrong.state is PayloadState.QUARANTINED
    moved: tuple[Disposition, ...] = ()
    if refused and wrong.inbox is not None and _is_quarantined(db, wrong.inbox):
        reason = f"{wrong.reason}; corrected by payload {right.id}"
        moved = (Disposition(inbox=wrong.inbox, state=InboxState.DISCARDED, reason=reason),)
    if not closed and not moved:
        return 0
    note = AuditNote(
        actor="gateway",
        action="Corrected",
        subject=f"payload:{payload}",
        detail={"by": right.id, "bad_parts": closed, "message": wrong.inbox},
    )
    writing.save(tx, [Change(inbox=moved, audit=(note,))], now)
    return closed + len(moved)


def _is_quarantined(db: apsw.Connection, inbox: InboxId) -> bool:
    state = db.execute("SELECT state FROM inbox WHERE id = ?", (inbox,)).get
    return bool(state == InboxState.QUARANTINED)
