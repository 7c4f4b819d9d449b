"""What comes in is stored before it is answered; what was rejected is counted and bounded."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from adapter.engine.commands.ports import (
    ROW_BYTES,
    AuditNote,
    Received,
    Rejection,
    refusal_of,
)
from adapter.model.ids import InboxId
from adapter.store.commands import queries
from adapter.store.commands.inbox import put_received
from adapter.store.commands.writing import note_all
from adapter.store.connection import SqlConnection
from adapter.store.rows import micros
from adapter.store.transaction import Transaction

_AT_ONCE: Final = 256
"""Rows removed in one transaction: callbacks wait behind it."""

# What was rejected and nobody took all the same; a body that was read again is kept for that.
_REMOVABLE: Final = """
FROM rejected JOIN inbox ON inbox.id = rejected.id
WHERE state IN ('quarantined', 'discarded')
    AND NOT EXISTS (SELECT 1 FROM payload WHERE payload.inbox = rejected.id AND raw_kept = 1)"""
_COST: Final = f"SELECT coalesce(sum(rejected.bytes), 0) {_REMOVABLE}"
_OLDEST: Final = f"""
SELECT rejected.id, rejected.bytes {_REMOVABLE} ORDER BY known, rejected.id LIMIT ?"""


def receive(tx: Transaction, batch: Sequence[Received], now: datetime) -> list[InboxId]:
    ids: list[InboxId] = []
    for item in batch:
        known = _counted(tx, item)
        if known is not None:
            ids.append(known)
            continue
        inbox = put_received(tx, item, item.state, item.reason)
        if item.rejection is not None:
            _reject(tx, inbox, item, item.rejection)
        refused = refusal_of(InboxId(inbox), item)
        if refused is not None:
            note_all(tx, (refused,), now)
        ids.append(inbox)
    return ids


def _counted(tx: Transaction, item: Received) -> InboxId | None:
    """The row that counts one more, where there is one."""
    if item.rejection is None or not item.rejection.counted:
        return None
    names = {"at": micros(item.at), "remote": item.remote, "cause": item.rejection.cause}
    found = tx.connection.execute(queries.COUNT_REJECTED, names).get
    return None if found is None else InboxId(found)


def _reject(tx: Transaction, inbox: InboxId, item: Received, rejection: Rejection) -> None:
    cost = len(item.raw) + ROW_BYTES
    values = (inbox, not rejection.stranger, item.remote, rejection.cause, cost, micros(item.at))
    tx.connection.execute(queries.INSERT_REJECTED, values)


def rejected_bytes(connection: SqlConnection) -> int:
    """What all rejected messages cost that are not taken."""
    return int(connection.execute(_COST).get)


def remove_rejected(tx: Transaction, excess: int, now: datetime) -> int:
    """Remove the oldest rejected messages until `excess` bytes are gone, those of strangers first,
    some at a time. How many bytes; 0: none is left."""
    removed: list[int] = []
    freed = 0
    for inbox, cost in tx.connection.execute(_OLDEST, (_AT_ONCE,)):
        removed.append(inbox)
        freed += cost
        if freed >= excess:
            break
    if not removed:
        return 0
    remove(tx, removed, freed, now)
    return freed


def remove(tx: Transaction, removed: Sequence[int], freed: int, now: datetime) -> None:
    """Remove these rows of the inbox, of `freed` bytes, for room."""
    for table in ("inbox_raw", "rejected", "inbox"):
        tx.connection.executemany(f"DELETE FROM {table} WHERE id = ?", [(i,) for i in removed])
    detail = {"rows": len(removed), "first": min(removed), "last": max(removed), "bytes": freed}
    reason = "quarantine is full"
    note = AuditNote(
        actor="gateway", action="Removed", subject="inbox", detail={**detail, "reason": reason}
    )
    note_all(tx, (note,), now)
