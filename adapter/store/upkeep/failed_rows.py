"""Rows that failed unexpectedly, in the gateway's SQLite file: the FailedRowStore port."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

from adapter.engine.commands.ports import AuditNote, Change, Disposition, InboxState
from adapter.engine.upkeep.set_aside import (
    FailedRow,
    FailedState,
    RowFailure,
    RowKind,
)
from adapter.model.ids import InboxId
from adapter.store.commands import writing
from adapter.store.connection import SqlConnection
from adapter.store.rows import micros, moment
from adapter.store.transaction import Transaction
from adapter.store.upkeep.free_rows import NEVER
from adapter.store.upkeep.unreadable import made_of

if TYPE_CHECKING:
    from adapter.store.database import Database

T = TypeVar("T")
R = TypeVar("R")

_COLUMNS: Final = (
    "SELECT id, kind, row, state, error, detail, tries, first, last, due FROM failed_row "
)
ONE: Final = _COLUMNS + "WHERE id = ?"
OF_KEY: Final = _COLUMNS + "WHERE kind = ? AND row = ?"
LISTED: Final = (
    _COLUMNS
    + """WHERE id > :after AND (:state IS NULL OR state = :state)
    AND (:kind IS NULL OR kind = :kind) ORDER BY id LIMIT :limit"""
)
HELD: Final = _COLUMNS + "ORDER BY id"
AGAIN: Final = """
SELECT row FROM failed_row WHERE kind = ? AND due <= ? ORDER BY due, id LIMIT ?"""
INSERT: Final = """
INSERT INTO failed_row (kind, row, state, error, detail, tries, first, last, due)
VALUES (:kind, :row, :state, :error, :detail, :tries, :at, :at, :due)"""
UPDATE: Final = """
UPDATE failed_row SET state = :state, error = :error, detail = :detail, tries = :tries,
    last = :at, due = :due
WHERE kind = :kind AND row = :row"""
FORGET: Final = "DELETE FROM failed_row WHERE kind = ? AND row = ?"
PUT_BACK: Final = "UPDATE failed_row SET state = 'waiting', tries = 0, due = ? WHERE id = ?"
DISCARD: Final = "UPDATE failed_row SET state = 'discarded', due = ? WHERE id = ?"
_END_PAYLOAD: Final = """
UPDATE payload SET state = 'quarantined', reason = ?, finished = ? WHERE inbox = ?
    AND state = 'loading'"""
_END_LOADS: Final = """
UPDATE load SET state = 'abandoned' WHERE state = 'loading'
    AND payload IN (SELECT id FROM payload WHERE inbox = ?)"""


class SqliteFailedRows:
    def __init__(self, store: "Database") -> None:
        self._store = store

    async def record(self, failure: RowFailure) -> FailedRow:
        return await self._store.write(lambda tx: _record(tx, failure))

    async def forget(self, kind: RowKind, row: str) -> None:
        await self._store.write(lambda tx: tx.connection.execute(FORGET, (kind, row)))

    async def failed_rows(
        self,
        *,
        state: FailedState | None = None,
        kind: RowKind | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> Sequence[FailedRow]:
        names = {"state": state, "kind": kind, "after": after, "limit": limit}
        return await self._store.query(lambda db: list(map(_row, db.execute(LISTED, names))))

    async def failed_row(self, number: int) -> FailedRow | None:
        found = await self._store.read(lambda db: list(map(_row, db.execute(ONE, (number,)))))
        return found[0] if found else None

    async def again(self, kind: RowKind, *, now: datetime, limit: int) -> Sequence[str]:
        values = (kind, micros(now), limit)
        return await self._store.read(lambda db: [row for (row,) in db.execute(AGAIN, values)])

    async def put_back(self, row: FailedRow, *, by: str, reason: str, now: datetime) -> None:
        def work(tx: Transaction) -> None:
            tx.connection.execute(PUT_BACK, (micros(now), row.id))
            writing.note_all(tx, [_decision(row, "PutBack", by, reason)], now)

        await self._store.write(work)

    async def discard(self, row: FailedRow, *, by: str, reason: str, now: datetime) -> None:
        def work(tx: Transaction) -> None:
            tx.connection.execute(DISCARD, (NEVER, row.id))
            writing.note_all(tx, [_decision(row, "SetAsideDiscarded", by, reason)], now)
            if row.kind in (RowKind.MESSAGE, RowKind.PAYLOAD):
                _end_message(tx, int(row.row), f"set aside, then discarded: {reason}", now)

        await self._store.write(work)


def held(db: SqlConnection) -> list[FailedRow]:
    """All of them, for when the store is opened."""
    return list(map(_row, db.execute(HELD)))


async def readable(
    store: "Database",
    kind: RowKind,
    fetch: Callable[[SqlConnection], Iterable[tuple[object, R]]],
    make: Callable[[R], T],
) -> list[T]:
    """What `make` makes of the rows that `fetch` gives, each with its key. Those that it cannot
    read are noted as failed, and left out."""
    made, bad = await store.read(lambda db: made_of(fetch(db), make))
    await note_unreadable(store, kind, bad)
    return made


async def note_unreadable(
    store: "Database", kind: RowKind, bad: Iterable[tuple[object, Exception]]
) -> None:
    for key, error in bad:
        await store.set_aside.fail(kind, key, error)


def _record(tx: Transaction, failure: RowFailure) -> FailedRow:
    db, key = tx.connection, (failure.kind, failure.row)
    before = next(iter(map(_row, db.execute(OF_KEY, key))), None)
    tries = 1 if before is None else before.tries + 1
    due = failure.dues[tries - 1] if tries <= len(failure.dues) else None
    state = FailedState.SET_ASIDE if due is None else FailedState.WAITING
    if before is not None and before.state is FailedState.DISCARDED:
        state, due = FailedState.DISCARDED, None
    values = {
        "kind": failure.kind,
        "row": failure.row,
        "state": state,
        "error": failure.error,
        "detail": failure.detail,
        "tries": tries,
        "at": micros(failure.at),
        "due": NEVER if due is None else micros(due),
    }
    db.execute(INSERT if before is None else UPDATE, values)
    after = _row(next(iter(db.execute(OF_KEY, key))))
    if state is FailedState.SET_ASIDE and (before is None or before.state is not state):
        detail = {"error": failure.error, "detail": failure.detail, "tries": tries}
        note = AuditNote(actor="gateway", action="SetAside", subject=_subject(after), detail=detail)
        writing.note_all(tx, [note], failure.at)
    return after


def _end_message(tx: Transaction, inbox: int, reason: str, now: datetime) -> None:
    tx.connection.execute(_END_LOADS, (inbox,))
    tx.connection.execute(_END_PAYLOAD, (reason, micros(now), inbox))
    ended = Disposition(inbox=InboxId(inbox), state=InboxState.DISCARDED, reason=reason)
    writing.save(tx, [Change(inbox=(ended,))], now)


def _decision(row: FailedRow, action: str, by: str, reason: str) -> AuditNote:
    detail = {"number": row.id, "tries": row.tries, "reason": reason}
    return AuditNote(actor=by, action=action, subject=_subject(row), detail=detail)


def _subject(row: FailedRow) -> str:
    """The audit's own word: commands, communications and orders are subjects by their ids."""
    if row.kind in (RowKind.MESSAGE, RowKind.PAYLOAD):
        return f"inbox:{row.row}"
    bare = row.kind in (RowKind.COMMAND, RowKind.COMMUNICATION, RowKind.ORDER)
    return row.row if bare else f"{row.kind}:{row.row}"


def _row(row: tuple[object, ...]) -> FailedRow:
    number, kind, key, state, error, detail, tries, first, last, due = row
    assert isinstance(number, int)
    assert isinstance(tries, int)
    assert isinstance(first, int)
    assert isinstance(last, int)
    assert isinstance(due, int)
    return FailedRow(
        id=number,
        kind=RowKind(str(kind)),
        row=str(key),
        state=FailedState(str(state)),
        error=str(error),
        detail=str(detail),
        tries=tries,
        first=moment(first),
        last=moment(last),
        due=None if due == NEVER else moment(due),
    )
