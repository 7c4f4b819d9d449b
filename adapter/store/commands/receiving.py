"""What comes in is stored before it is answered; what was rejected is counted and bounded."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from adapter.engine.commands.ports import Received, Rejection, refusal_of
from adapter.model.ids import InboxId
from adapter.store.commands import queries
from adapter.store.commands.writing import note_all
from adapter.store.rows import micros
from adapter.store.threads import Transaction

ROW_BYTES: Final = 1024
"""What a row costs beside its bytes."""


def receive(tx: Transaction, batch: Sequence[Received], now: datetime) -> list[InboxId]:
    ids: list[InboxId] = []
    for item in batch:
        known = _counted(tx, item)
        if known is not None:
            ids.append(known)
            continue
        inbox = tx.connection.execute(
            queries.INSERT_INBOX,
            (
                item.operation,
                micros(item.at),
                item.state,
                item.communication,
                item.remote,
                item.reason,
                item.spool.digest if item.spool else hashlib.sha256(item.raw).digest(),
            ),
        ).get
        if item.spool is not None:
            values = (inbox, item.spool.file, item.spool.size)
            tx.connection.execute(queries.INSERT_SPOOLED, values)
        tx.connection.execute(queries.INSERT_RAW, (inbox, item.raw))
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
    values = (inbox, rejection.stranger, item.remote, rejection.cause, cost, micros(item.at))
    tx.connection.execute(queries.INSERT_REJECTED, values)
