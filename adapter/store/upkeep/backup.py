"""Copies of the store's two files: of one moment, also beside a running gateway; and back again.

The measurements are looked at first: every load that has rows there is in the gateway's file, and
none that comes later has its number. A copy stands by itself, without a write-ahead log.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import apsw

from adapter.engine.commands.ports import AuditNote
from adapter.engine.commands.switch_holds import Hold
from adapter.engine.private_files import owner_only
from adapter.errors import StoreFailed
from adapter.store.chain import Head
from adapter.store.commands import reading, writing
from adapter.store.commands.holds import PUT
from adapter.store.files import connect_reader, connect_writer
from adapter.store.migrate import SCHEMA_MEASURED, check_version
from adapter.store.readings.file import MARK, check, path_beside
from adapter.store.rows import encode
from adapter.store.transaction import Transaction

_TRIES: Final = 20
_LOADED: Final = "SELECT coalesce(max(id), 0) FROM load WHERE state = 'loaded'"
_NEWEST: Final = "SELECT load FROM newest"
_SPOOLED: Final = """
SELECT file FROM inbox_spool UNION SELECT spool FROM payload WHERE spool <> '' ORDER BY 1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCopy:
    """What was found in two copies that belong together."""

    head: Head
    entries: int
    commands: int


def copy_store(
    store: Path, to: Path, *, spooled: Callable[[Sequence[str]], None] = lambda _: None
) -> None:
    """Copy both files of a store to `to` and beside it. `spooled` is called with the names of the
    bodies that the copy refers to, before anything can remove them.

    Raises StoreFailed: there is none, it cannot be read, or the copy cannot be written.
    """
    with _storage(), _snapshots(store) as (gateway, measured):
        spooled([str(name) for (name,) in gateway.execute(_SPOOLED)])
        for source, target in ((gateway, to), (measured, path_beside(to))):
            _copy(source, target)


@contextmanager
def _snapshots(store: Path) -> Iterator[tuple[apsw.Connection, apsw.Connection]]:
    """Both files as they were at one moment."""
    with closing(reader_beside(store)) as gateway:
        check_version(gateway)
        with closing(reader_beside(path_beside(store))) as measured:
            check_version(measured, SCHEMA_MEASURED, MARK)
            for _ in range(_TRIES):
                newest = _begin(measured, _NEWEST)
                if _begin(gateway, _LOADED) <= newest:
                    yield gateway, measured
                    return
                for each in (gateway, measured):
                    each.execute("ROLLBACK")
    raise StoreFailed(f"{path_beside(store).name} does not have what {store.name} calls loaded")


def reader_beside(path: Path) -> apsw.Connection:
    """Beside a store that is closed it leaves nothing behind: another user could not open that."""
    closed = not path.with_name(path.name + "-wal").exists()
    connection = connect_reader(path, None)
    if closed:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    return connection


def _begin(connection: apsw.Connection, query: str) -> int:
    connection.execute("BEGIN")
    found: int = connection.execute(query).get
    return found


def _copy(source: apsw.Connection, target: Path) -> None:
    with open(target, "xb", opener=owner_only):
        pass
    with closing(apsw.Connection(str(target))) as copy:
        with copy.backup("main", source, "main") as backup:
            while not backup.done:
                backup.step(-1)
        copy.pragma("journal_mode", "delete")


def check_copy(store: Path) -> StoreCopy:
    """Look through both copies: every page, the audit's chain, whether they belong together.

    Raises StoreFailed naming the file and what is wrong with it.
    """
    with _storage():
        with closing(_unchanged(store)) as gateway:
            check_version(gateway)
            _look_through(gateway, store.name)
            head = reading.audit_head(gateway)
            entries = reading.verify(gateway, [head])
            commands: int = gateway.execute("SELECT count(*) FROM command").get
        with closing(_unchanged(path_beside(store))) as measured:
            check_version(measured, SCHEMA_MEASURED, MARK)
            _look_through(measured, path_beside(store).name)
            measured.execute("ATTACH ? AS gateway", (_unchanging(store),))
            check(measured, store)
    return StoreCopy(head=head, entries=entries, commands=commands)


def _unchanged(path: Path) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(_unchanging(path), flags=flags)


def _unchanging(path: Path) -> str:
    """Nobody else has it: nothing is locked, and nothing made beside it."""
    return path.absolute().as_uri() + "?immutable=1"


def _look_through(connection: apsw.Connection, name: str) -> None:
    found = connection.execute("PRAGMA main.integrity_check(1)").get
    if found != "ok":
        raise StoreFailed(f"{name} is damaged: {found}")


def hold_copy(store: Path, hold: Hold, note: AuditNote, *, at: datetime) -> None:
    """Write into a copy that switch orders are held, and who says so. Raises StoreFailed."""
    with _storage(), closing(connect_writer(store, None)) as connection:
        with connection:
            connection.execute(PUT, (hold.reason.value, encode(hold)))
            tx = Transaction(connection, reading.audit_head(connection))
            writing.note_all(tx, [note], at)
            tx.flush()
        connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)


@contextmanager
def _storage() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise StoreFailed(f"SQLite: {type(error).__name__}: {error}") from error
