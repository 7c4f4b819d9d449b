"""What the files of a store are made of: bytes and rows of each kind of data, and how new they are.

Every page of both files is read once, on a snapshot: it is for the command line, not for a gateway.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

import apsw

from adapter.engine.upkeep.retention import Kept
from adapter.errors import NotFound, StoreFailed
from adapter.model.ids import id_number, id_of_number
from adapter.store.migrate import SCHEMA_MEASURED, check_version
from adapter.store.readings.file import MARK, path_beside
from adapter.store.rows import micros
from adapter.store.upkeep.backup import reader_beside


class _By(StrEnum):
    """What says how old a row is."""

    TIME = "time"
    ID = "id"
    LOAD = "load"


@dataclass(frozen=True, slots=True)
class DataKind:
    """Tables that grow together: the age of all their rows is taken to be spread as that of the
    first table's, by `column`. `kept`: the class of retention that they are of; None: for ever."""

    name: str
    tables: str
    column: str
    by: _By
    kept: Kept | None = None


# fmt: off
KINDS: Final = (
    DataKind("commands", "command asked target communication communication_endpoints completion "
             "outcome measurement bulk bulk_row", "id", _By.ID),
    DataKind("orders", "service_order order_child order_request order_pass order_reply "
             "field_message field_report", "id", _By.ID),
    DataKind("audit", "audit", "at", _By.TIME),
    DataKind("messages", "message", "at", _By.TIME, Kept.MESSAGES),
    DataKind("inbox", "inbox inbox_raw inbox_spool rejected", "at", _By.TIME, Kept.INBOX),
    DataKind("publications", "publication delivery", "at", _By.TIME, Kept.PUBLICATIONS),
    DataKind("arrivals", "arrived_event", "load", _By.LOAD, Kept.ARRIVALS),
    DataKind("events", "device_event device_spell", "taken", _By.TIME, Kept.EVENTS),
    DataKind("errors", "intake_error", "load", _By.LOAD, Kept.ERRORS),
    DataKind("payloads", "payload load block_seen", "at", _By.TIME),
    DataKind("measurements", "measured channel conversion", "load", _By.LOAD),
)
# fmt: on
OTHER: Final = "other"
"""Master data and state, which do not grow by themselves."""

_FIRST: Final = MappingProxyType({"measured": "measurements."})
_BYTES: Final = """
SELECT coalesce(s.tbl_name, d.name), d.pgsize FROM dbstat('{file}') AS d
LEFT JOIN {file}.sqlite_schema AS s ON s.name = d.name WHERE d.aggregate = TRUE"""
_LOAD_SINCE: Final = """
SELECT coalesce(min(id), (SELECT coalesce(max(id), 0) + 1 FROM load)) FROM load
WHERE started >= ?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSize:
    """One kind of data. `rows` are those of its first table; `newer` counts those of them that are
    not older than each of the moments that were asked for."""

    name: str
    kept: Kept | None
    bytes: int
    rows: int
    newer: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSizes:
    """`unused_bytes` are pages of the files that are written again before the files grow;
    `began_at` is the time of the first entry of the audit."""

    kinds: Sequence[DataSize]
    unused_bytes: int
    began_at: datetime | None


def sizes_of(store: Path, moments: Sequence[datetime]) -> StoreSizes:
    """Raises NotFound without a store, StoreFailed where it cannot be read, or is of a newer
    program."""
    for path in (store, path_beside(store)):
        if not path.is_file():
            raise NotFound(f"there is no store at {path}")
    try:
        with closing(reader_beside(store)) as connection:
            check_version(connection)
            with closing(reader_beside(path_beside(store))) as measured:
                check_version(measured, SCHEMA_MEASURED, MARK)
            connection.execute("ATTACH ? AS measurements", (str(path_beside(store)),))
            connection.execute("BEGIN")
            return _sizes(connection, moments)
    except apsw.Error as error:
        raise StoreFailed(f"{store.name}: {type(error).__name__}: {error}") from error


def _sizes(connection: apsw.Connection, moments: Sequence[datetime]) -> StoreSizes:
    by_table: Counter[str] = Counter()
    for file in ("main", "measurements"):
        for table, size in connection.execute(_BYTES.format(file=file)):
            by_table[table] += size
    kinds = [_size(connection, kind, by_table, moments) for kind in KINDS]
    rest = sum(by_table.values()) - sum(each.bytes for each in kinds)
    other = DataSize(name=OTHER, kept=None, bytes=rest, rows=0, newer=[0 for _ in moments])
    began = connection.execute("SELECT min(at) FROM audit").get
    return StoreSizes(
        kinds=[*kinds, other],
        unused_bytes=sum(_unused(connection)),
        began_at=None if began is None else datetime.fromtimestamp(began / 1e6, moments[0].tzinfo),
    )


def _unused(connection: apsw.Connection) -> Iterator[int]:
    for file in ("main", "measurements"):
        pages = connection.execute(f"PRAGMA {file}.freelist_count").get
        yield pages * connection.execute(f"PRAGMA {file}.page_size").get


def _size(
    connection: apsw.Connection,
    kind: DataKind,
    by_table: Mapping[str, int],
    moments: Sequence[datetime],
) -> DataSize:
    tables = kind.tables.split()
    table = f"{_FIRST.get(tables[0], '')}{tables[0]}"
    newer = f"SELECT count(*) FROM {table} WHERE {kind.column} >= ?"
    return DataSize(
        name=kind.name,
        kept=kind.kept,
        bytes=sum(by_table.get(each, 0) for each in tables),
        rows=connection.execute(f"SELECT count(*) FROM {table}").get,
        newer=[
            connection.execute(newer, (_least(connection, kind.by, moment),)).get
            for moment in moments
        ],
    )


def _least(connection: apsw.Connection, by: _By, moment: datetime) -> int | str:
    """The least value of the column of a row that is not older."""
    match by:
        case _By.TIME:
            return micros(moment)
        case _By.ID:
            return id_of_number(id_number(int(moment.timestamp() * 1000), 0))
        case _By.LOAD:
            found: int = connection.execute(_LOAD_SINCE, (micros(moment),)).get
            return found
