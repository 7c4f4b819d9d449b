"""Work that a process had claimed when it ended: free again, for nobody else can have it."""

from datetime import datetime
from typing import Final

import apsw
import msgspec

from adapter.commands.activity import Command, Work
from adapter.commands.lifecycle import wake_of
from adapter.model.ids import CommandId
from adapter.orders.replies import RequesterReply
from adapter.store.commands import reading
from adapter.store.commands.claiming import claim_groups
from adapter.store.connection import SqlConnection, StatementFailed
from adapter.store.rows import micros
from adapter.store.transaction import Transaction

_AT_ONCE: Final = 200
_decode_reply: Final = msgspec.json.Decoder(RequesterReply).decode

# Where a lease was taken, `due` is later than what the communication itself says.
_COMMUNICATIONS: Final = """
UPDATE communication SET due = wake WHERE work = :work AND priority = :priority
    AND operation = :operation AND due IS NOT NULL AND due > :now AND due <= :until
    AND wake IS NOT NULL AND wake < due"""
_COMMANDS: Final = """
SELECT id FROM command WHERE wake IS NOT NULL AND wake > :now AND wake <= :until AND id > :after
ORDER BY id LIMIT :limit"""
_WAKE_COMMAND: Final = "UPDATE command SET wake = ? WHERE id = ?"
# To look at an order early changes nothing: it goes back to sleep as it was.
_ORDERS: Final = "UPDATE service_order SET wake = :now WHERE wake > :now AND wake <= :until"
_MESSAGES: Final = """
UPDATE field_message SET due = :now WHERE state = 'leaving' AND due > :now AND due <= :until"""
_REPLIES: Final = """
SELECT id, body, due FROM order_reply WHERE due IS NOT NULL AND due > :now AND due <= :until"""
_WAKE_REPLY: Final = "UPDATE order_reply SET due = ? WHERE id = ?"


def free_claimed(tx: Transaction, now: datetime, until: datetime) -> int:
    """Leases that end after `now` and by `until` are over. How many; a command, an order or a reply
    whose own time comes in between stays as it is, or is looked at once more."""
    db, names = tx.connection, {"now": micros(now), "until": micros(until)}
    freed = 0
    for work in Work:
        for priority, operation, _ in list(claim_groups(db, work)):
            group = {"work": work, "priority": priority, "operation": operation}
            db.execute(_COMMUNICATIONS, {**names, **group})
            freed += db.changes()
    freed += _commands(db, names, now)
    tx.saved.clear()
    for query in (_ORDERS, _MESSAGES):
        db.execute(query, names)
        freed += db.changes()
    return freed + _replies(db, names)


def _commands(db: SqlConnection, names: dict[str, int], now: datetime) -> int:
    """Those whose own time has passed; the others are waiting for it."""
    freed, after = 0, ""
    while True:
        page = {**names, "after": after, "limit": _AT_ONCE}
        ids = [CommandId(str(number)) for (number,) in db.execute(_COMMANDS, page)]
        if not ids:
            return freed
        for command in _readable(db, ids):
            due = wake_of(command)
            if due is not None and due <= now:
                db.execute(_WAKE_COMMAND, (micros(due), command.id))
                freed += 1
        after = ids[-1]


def _readable(db: SqlConnection, ids: list[CommandId]) -> list[Command]:
    """Without those that cannot be read: whoever works on them finds out."""
    try:
        return list(reading.load(db, ids).values())
    except (apsw.Error, StatementFailed):
        raise
    except Exception:
        return [] if len(ids) == 1 else [x for each in ids for x in _readable(db, [each])]


def _replies(db: SqlConnection, names: dict[str, int]) -> int:
    freed = 0
    for number, body, leased in list(db.execute(_REPLIES, names)):
        try:
            due = micros(_decode_reply(body).due_at)
        except (msgspec.MsgspecError, TypeError):
            continue  # whoever works on it finds out
        if due < leased:
            db.execute(_WAKE_REPLY, (due, number))
            freed += 1
    return freed
