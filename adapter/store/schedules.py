"""Scheduled reads in the gateway's SQLite file: the ScheduleStore port on the store's threads."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from adapter.engine.commands.ports import AuditNote
from adapter.engine.schedules.ports import IssuedWindow
from adapter.engine.upkeep.set_aside import RowKind
from adapter.model.values import replace
from adapter.schedules.schedule import ReadSchedule, ScheduleId, ScheduleState
from adapter.store.commands import writing
from adapter.store.connection import Rows, SqlConnection
from adapter.store.database import Database
from adapter.store.rows import encode, micros, micros_or_none
from adapter.store.transaction import Transaction
from adapter.store.upkeep.failed_rows import readable
from adapter.store.upkeep.free_rows import free

_HIGHEST: Final = 2**63 - 1
_decode: Final = msgspec.json.Decoder(ReadSchedule).decode
_decode_window: Final = msgspec.json.Decoder(IssuedWindow).decode

_INSERT: Final = """
INSERT INTO read_schedule (id, state, wake, version, body) VALUES (:id, :state, :wake, 1, :body)
ON CONFLICT (id) DO NOTHING"""
_UPDATE: Final = """
UPDATE read_schedule SET state = :state, wake = :wake, version = version + 1, body = :body
WHERE id = :id AND version = :version"""
_ONE: Final = "SELECT body, version FROM read_schedule WHERE id = ?"
_MANY: Final = """
SELECT body, version FROM read_schedule
WHERE id > :after AND (:state IS NULL OR state = :state) ORDER BY id LIMIT :limit"""
_DUE: Final = f"""
SELECT id, body, version FROM read_schedule WHERE wake IS NOT NULL AND wake <= :now
    AND {free(RowKind.SCHEDULE, "read_schedule.id")} ORDER BY wake, id LIMIT :limit"""
_INSERT_WINDOW: Final = """
INSERT INTO schedule_window (schedule, number, command, body) VALUES (?, ?, ?, ?)
ON CONFLICT (schedule, number) DO NOTHING"""
_WINDOWS: Final = """
SELECT body FROM schedule_window WHERE schedule = ? AND number < ? ORDER BY number DESC LIMIT ?"""


class SqliteSchedules:
    """The ScheduleStore port beside the commands, in the same file."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self.set_aside = store.set_aside

    async def put_schedule(
        self,
        schedule: ReadSchedule,
        *,
        audit: Sequence[AuditNote] = (),
        window: IssuedWindow | None = None,
    ) -> bool:
        at = self._store.now()
        values = {
            "id": schedule.id,
            "state": schedule.state.value,
            "wake": micros_or_none(schedule.wake),
            "version": schedule.version,
            "body": encode(schedule),
        }

        def work(tx: Transaction) -> bool:
            db = tx.connection
            db.execute(_UPDATE if schedule.version else _INSERT, values)
            if not db.changes():
                return False
            if window is not None:
                row = (schedule.id, window.number, window.command, encode(window))
                db.execute(_INSERT_WINDOW, row)
            writing.note_all(tx, audit, at)
            return True

        return await self._store.write(work)

    async def schedules(
        self,
        *,
        state: ScheduleState | None = None,
        after: ScheduleId | None = None,
        limit: int = 50,
    ) -> Sequence[ReadSchedule]:
        values = {"after": after or "", "state": state and state.value, "limit": limit}
        return await self._store.query(lambda db: _read(db.execute(_MANY, values)))

    async def schedule(self, schedule: ScheduleId) -> ReadSchedule | None:
        found = await self._store.read(lambda db: _read(db.execute(_ONE, (schedule,))))
        return found[0] if found else None

    async def due_schedules(self, *, now: datetime, limit: int) -> Sequence[ReadSchedule]:
        names = {"now": micros(now), "limit": limit}

        def fetch(db: SqlConnection) -> list[tuple[object, tuple[object, object]]]:
            return [(id_, (body, version)) for id_, body, version in db.execute(_DUE, names)]

        return await readable(self._store, RowKind.SCHEDULE, fetch, _one)

    async def windows(
        self, schedule: ScheduleId, *, before: int | None = None, limit: int = 50
    ) -> Sequence[IssuedWindow]:
        values = (schedule, before or _HIGHEST, limit)

        def work(db: SqlConnection) -> list[IssuedWindow]:
            return [_decode_window(_bytes(body)) for (body,) in db.execute(_WINDOWS, values)]

        return await self._store.query(work)


def _read(rows: Rows) -> list[ReadSchedule]:
    return [_one((body, version)) for body, version in rows]


def _one(row: tuple[object, object]) -> ReadSchedule:
    body, version = row
    return replace(_decode(_bytes(body)), version=_int(version))


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value
