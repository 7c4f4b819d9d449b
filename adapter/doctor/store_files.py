"""Looks at the files of the store, also beside a gateway that runs: reads them, writes nothing."""

import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import apsw

from adapter.doctor.findings import DoctorFinding
from adapter.errors import StoreFailed
from adapter.service.settings import Settings
from adapter.store.migrate import APPLICATION_ID, SCHEMA, SCHEMA_MEASURED, check_version
from adapter.store.readings.file import MARK, path_beside

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_STEPS: Final = 100_000
"""Of SQLite's machine, between two looks at the time."""
_MIB: Final = 2**20


def look_at_store(settings: Settings, *, now: datetime, within_s: float) -> Iterator[DoctorFinding]:
    if settings.store.url:
        return  # the server's own tools look after it
    store = settings.store.path
    if not store.exists():
        yield DoctorFinding.of("store_absent", file=store)
        yield from _writable(store.absolute().parent)
        return
    yield from _writable(store.absolute().parent)
    yield from _disk(settings)
    end = time.monotonic() + within_s
    for file, newest in ((store, True), (path_beside(store), False)):
        if file.exists():
            yield from _writable(file)
            yield from _closed(file)
            yield from _inside(file, newest, now, end, within_s)


def _writable(place: Path) -> Iterator[DoctorFinding]:
    found = place.stat()
    mounted_so = os.statvfs(place).f_flag & os.ST_RDONLY
    if mounted_so or not found.st_mode & stat.S_IWUSR or not os.access(place, os.W_OK):
        yield DoctorFinding.of("store_read_only", file=place)


def _closed(file: Path) -> Iterator[DoctorFinding]:
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & _OTHERS:
        yield DoctorFinding.of("store_open", file=file, mode=f"{mode:o}")


def _disk(settings: Settings) -> Iterator[DoctorFinding]:
    store = settings.store.path
    free, needed = shutil.disk_usage(store.parent).free, settings.listener.quarantine.reserve_bytes
    if free < needed:
        words = {"free": free // _MIB, "needed": needed // _MIB}
        yield DoctorFinding.of("disk_low", file=store, **words)


def _inside(
    file: Path, gateways: bool, now: datetime, end: float, within_s: float
) -> Iterator[DoctorFinding]:
    """`gateways`: the gateway's own file, not that of the measurements."""
    folder, mark = (SCHEMA, APPLICATION_ID) if gateways else (SCHEMA_MEASURED, MARK)
    try:
        with closing(_reader(file)) as connection:
            version = check_version(connection, folder, mark)
            connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
            problem = connection.execute("PRAGMA quick_check(1)").get
            connection.set_progress_handler(None)
            if problem != "ok":
                yield DoctorFinding.of("store_damaged", file=file, problem=problem)
            elif gateways and version:
                yield from _last_entry(connection, now)
    except StoreFailed as error:
        code = "store_newer" if "newer program" in str(error) else "store_unreadable"
        yield DoctorFinding.of(code, file=file, problem=error)
    except apsw.InterruptError:
        yield DoctorFinding.of("store_not_whole", file=file, seconds=within_s)
    except apsw.CorruptError as error:
        yield DoctorFinding.of("store_damaged", file=file, problem=error)
    except apsw.Error as error:
        yield DoctorFinding.of("store_unreadable", file=file, problem=error)


def _reader(file: Path) -> apsw.Connection:
    """Of a store that nobody has open nothing is locked, and nothing is made beside it."""
    if file.with_name(file.name + "-wal").exists():
        flags = apsw.SQLITE_OPEN_READONLY
        connection = apsw.Connection(str(file), flags=flags)
        connection.set_busy_timeout(1_000)
        return connection
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(file.absolute().as_uri() + "?immutable=1", flags=flags)


def _last_entry(connection: apsw.Connection, now: datetime) -> Iterator[DoctorFinding]:
    newest = connection.execute("SELECT at FROM audit ORDER BY seq DESC LIMIT 1").get
    if newest is None:
        return
    last = datetime.fromtimestamp(newest / 1_000_000, UTC)
    if now < last:
        shown = {"now": f"{now:%F %T}Z", "last": f"{last:%F %T}Z"}
        yield DoctorFinding.of("clock_behind_store", **shown)
