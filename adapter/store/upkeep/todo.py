"""What waits for people, read from the rows of all subjects; and who is at it."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapter.commands.activity import TO_DO, Command
from adapter.engine.commands.ports import AuditNote
from adapter.engine.upkeep import todo_kinds
from adapter.engine.upkeep.set_aside import RowKind
from adapter.engine.upkeep.todo import Claim, Todo
from adapter.model.ids import CommandId, ServicePointId
from adapter.store.commands import reading, writing
from adapter.store.connection import SqlConnection
from adapter.store.database import Database
from adapter.store.orders.todo import todo as of_orders
from adapter.store.readings.queries import VISIBLE
from adapter.store.registry.service_points import dark_points
from adapter.store.rows import micros, moment
from adapter.store.transaction import Transaction
from adapter.store.upkeep.unreadable import made_of

log = logging.getLogger(__name__)

WAITING_COMMANDS: Final = """
SELECT id, version FROM command
WHERE state = :state AND state <> 'completed' ORDER BY id LIMIT :limit"""
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


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a command of this version is on the list: where its customer is dark, and where not."""

    version: int
    point: ServicePointId | None
    dark: Todo
    light: Todo

    @classmethod
    def of(cls, command: Command, version: int) -> "_Seen":
        dark, light = (todo_kinds.of_command(command, dark=each) for each in (True, False))
        return cls(version, command.activity.service_point, dark, light)


class SqliteTodos:
    """The TodoStore port beside the commands, in the same file."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self._seen: dict[str, _Seen] = {}
        self._opening = 0

    async def waiting(self, *, limit: int) -> Sequence[Todo]:
        def look(db: SqlConnection) -> list[Todo]:
            found = self._commands(db, limit) + of_orders(db, limit)
            for query, make in _ROWS:
                rows = db.execute(query, {"limit": limit})
                found += readable([("", row) for row in rows], make)
            return found

        return await self._store.query(look)

    def _commands(self, db: SqlConnection, limit: int) -> list[Todo]:
        """Those that changed since the last look are read; of all it is looked at who is dark."""
        if self._opening != self._store.openings:
            self._opening, self._seen = self._store.openings, {}
        versions: dict[str, int] = {
            id_: version
            for state in sorted(TO_DO)
            for id_, version in db.execute(WAITING_COMMANDS, {"state": state, "limit": limit})
        }
        seen = {
            id_: known
            for id_, version in versions.items()
            if (known := self._seen.get(id_)) is not None and known.version == version
        }
        new = [CommandId(id_) for id_ in versions if id_ not in seen]
        for each in reading.listed(db, new).rows if new else ():
            seen[each.id] = _Seen.of(each, versions[each.id])
        self._seen = seen
        dark = dark_points(db, {each.point for each in seen.values() if each.point is not None})
        return [
            seen[id_].dark if seen[id_].point in dark else seen[id_].light
            for id_ in versions
            if id_ in seen
        ]

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
