"""What waits for people, read from the rows of all subjects; and who is at it."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from adapter.commands.activity import TO_DO, Command
from adapter.engine.commands.ports import AuditNote
from adapter.engine.upkeep import todo_kinds
from adapter.engine.upkeep.set_aside import RowKind
from adapter.engine.upkeep.todo import Claim, Todo
from adapter.store.commands import reading, writing
from adapter.store.connection import SqlConnection
from adapter.store.database import Database
from adapter.store.orders.todo import todo as of_orders
from adapter.store.readings.queries import VISIBLE
from adapter.store.registry.service_points import without_supply
from adapter.store.rows import micros, moment
from adapter.store.transaction import Transaction
from adapter.store.upkeep.unreadable import made_of

log = logging.getLogger(__name__)

WAITING_COMMANDS: Final = """
SELECT id FROM command WHERE state = :state AND state <> 'completed' ORDER BY id LIMIT :limit"""
SET_ASIDE: Final = """
SELECT id, kind, row, error, detail, first FROM failed_row WHERE state = 'set_aside'
ORDER BY due, id LIMIT :limit"""
QUARANTINED: Final = """
SELECT inbox.id, operation, reason, coalesce(cause, ''), at FROM inbox
LEFT JOIN rejected ON rejected.id = inbox.id
WHERE state = 'quarantined' AND state <> 'applied' ORDER BY inbox.id LIMIT :limit"""
ERROR_RECORDS: Final = f"""
SELECT id, endpoint, reason, detail, (SELECT started FROM load AS made WHERE made.id = load)
FROM intake_error WHERE state = 'open' AND {VISIBLE} ORDER BY id LIMIT :limit"""
UNKNOWN_EVENTS: Final = """
SELECT id, endpoint, name, at FROM event_error WHERE state = 'open' ORDER BY id LIMIT :limit"""

_CLAIMS: Final = "SELECT entry, by, at FROM todo_claim"
_CLAIM: Final = """
INSERT INTO todo_claim (entry, by, at) VALUES (?, ?, ?)
ON CONFLICT (entry) DO UPDATE SET by = excluded.by, at = excluded.at"""
_UNCLAIM: Final = "DELETE FROM todo_claim WHERE entry = ?"


class SqliteTodos:
    """The TodoStore port beside the commands, in the same file."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def waiting(self, *, limit: int) -> Sequence[Todo]:
        def look(db: SqlConnection) -> list[Todo]:
            found = _commands(db, limit) + of_orders(db, limit)
            for query, make in _ROWS:
                rows = db.execute(query, {"limit": limit})
                found += readable([("", row) for row in rows], make)
            return found

        return await self._store.query(look)

    async def claims(self) -> Mapping[str, Claim]:
        rows = await self._store.read(lambda db: db.execute(_CLAIMS).fetchall())
        return {str(entry): Claim(by=str(by), at=moment(int(str(at)))) for entry, by, at in rows}

    async def put_claim(self, entry: str, claim: Claim | None, note: AuditNote) -> None:
        at = self._store.now()

        def work(tx: Transaction) -> None:
            if claim is None:
                tx.connection.execute(_UNCLAIM, (entry,))
            else:
                tx.connection.execute(_CLAIM, (entry, claim.by, micros(claim.at)))
            writing.note_all(tx, [note], at)

        await self._store.write(work)


def readable(
    rows: Iterable[tuple[object, tuple[Any, ...]]], make: Callable[[tuple[Any, ...]], Todo]
) -> list[Todo]:
    """What cannot be read of it is set aside some day, and is on the list then."""
    made, bad = made_of(rows, make)
    if bad:
        log.warning("todo_not_read", extra={"rows": len(bad), "error": repr(bad[0][1])})
    return made


def _commands(db: SqlConnection, limit: int) -> list[Todo]:
    found: list[Todo] = []
    for state in sorted(TO_DO):
        ids = [id_ for (id_,) in db.execute(WAITING_COMMANDS, {"state": state, "limit": limit})]
        listed = reading.listed(db, ids).rows
        found += [todo_kinds.of_command(each, dark=_dark(db, each)) for each in listed]
    return found


def _dark(db: SqlConnection, command: Command) -> bool:
    point = command.activity.service_point
    return point is not None and without_supply(db, point)


def _set_aside(row: tuple[Any, ...]) -> Todo:
    number, kind, key, error, detail, first = row
    return todo_kinds.of_failed_row(number, RowKind(kind), key, error, detail, moment(first))


def _message(row: tuple[Any, ...]) -> Todo:
    number, operation, reason, cause, at = row
    return todo_kinds.of_message(number, operation, reason, cause, moment(at))


def _error_record(row: tuple[Any, ...]) -> Todo:
    number, endpoint, reason, detail, started = row
    return todo_kinds.of_error_record(number, endpoint, reason, detail, moment(started))


def _unknown_event(row: tuple[Any, ...]) -> Todo:
    number, endpoint, name, at = row
    return todo_kinds.of_unknown_event(number, endpoint, name, moment(at))


_ROWS: Final = (
    (SET_ASIDE, _set_aside),
    (QUARANTINED, _message),
    (ERROR_RECORDS, _error_record),
    (UNKNOWN_EVENTS, _unknown_event),
)
