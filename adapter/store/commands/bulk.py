"""Bulk requests in SQLite: the header, and the commands of its rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from adapter.commands.activity import State
from adapter.engine.commands.bulk import BulkHeader, BulkId
from adapter.engine.commands.ports import Accepted, AuditNote, Submission, Submitted
from adapter.model.ids import CommandId
from adapter.store.commands.writing import note_all, submit
from adapter.store.connection import SqlConnection
from adapter.store.transaction import Many, Transaction

_INSERT: Final = """
INSERT INTO bulk (id, key, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING id"""
_INSERT_ROW: Final = Many("INSERT INTO bulk_row (bulk, line, command)", 3)
_BY_ID: Final = "SELECT body FROM bulk WHERE id = ?"
_BY_KEY: Final = "SELECT body FROM bulk WHERE key = ?"
_STATES: Final = """
SELECT state, count(*) FROM bulk_row JOIN command ON command.id = bulk_row.command
WHERE bulk = ? GROUP BY state"""
_ROWS: Final = """
SELECT line, command FROM bulk_row WHERE bulk = ? AND line > ? ORDER BY line LIMIT ?"""
_header_of: Final = msgspec.json.Decoder(BulkHeader).decode


class NotWhole(Exception):
    """Some of the rows cannot be stored: what was is undone."""

    def __init__(self, results: Sequence[Submitted]) -> None:
        super().__init__()
        self.results = results


def put(
    tx: Transaction,
    header: BulkHeader,
    known: Mapping[int, CommandId],
    rows: Mapping[int, Submission],
    audit: AuditNote,
    at: datetime,
) -> BulkHeader:
    """The header that has the key now. Raises NotWhole."""
    body = msgspec.json.encode(header)
    if tx.connection.execute(_INSERT, (header.id, header.key, body)).get is None:
        return _header_of(tx.connection.execute(_BY_KEY, (header.key,)).get)
    results = submit(tx, list(rows.values()), at)
    if not all(isinstance(each, Accepted) for each in results):
        raise NotWhole(results)
    commands = {**known, **{line: each.command.id for line, each in rows.items()}}
    tx.append(_INSERT_ROW, *((header.id, *row) for row in sorted(commands.items())))
    note_all(tx, [audit], at)
    return header


def by_id(db: SqlConnection, id_: BulkId) -> BulkHeader | None:
    body = db.execute(_BY_ID, (id_,)).get
    return None if body is None else _header_of(body)


def by_key(db: SqlConnection, key: str) -> BulkHeader | None:
    body = db.execute(_BY_KEY, (key,)).get
    return None if body is None else _header_of(body)


def states(db: SqlConnection, id_: BulkId) -> Mapping[State, int]:
    return {State(state): count for state, count in db.execute(_STATES, (id_,))}


def rows_of(
    db: SqlConnection, id_: BulkId, after: int, limit: int
) -> Sequence[tuple[int, CommandId]]:
    return [(line, CommandId(each)) for line, each in db.execute(_ROWS, (id_, after, limit))]
