"""The file of measurements beside the gateway's: opening it, and writing it from another process.

Loads are in the gateway's file, their rows are here. The rows of a load are on disk before the
gateway's commit shows them, so that a kill between the two leaves rows that nobody sees. One load
is written at a time: by a thread of the gateway or, for large bodies, by the worker process.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

from adapter.engine.readings.ports import Batch, Staged, StagingTarget
from adapter.errors import StoreFailed
from adapter.model.ids import EndpointId
from adapter.readings.lookups import Lookups
from adapter.store.connection import SqlConnection
from adapter.store.files import begin_writing, connect_reader, connect_writer, keep_private
from adapter.store.migrate import SCHEMA_MEASURED, migrate
from adapter.store.readings.staging import Staging

MARK: Final = 0x4F574D31
"""Marks the file as the measurements of this program's store."""

_LOADS: Final = "SELECT count(*) FROM main.sqlite_schema WHERE name = 'load'"
_NEWEST: Final = "SELECT load FROM newest"
_SEAL: Final = "UPDATE newest SET load = max(load, ?)"
"""Written even where it says nothing new: the commit is what waits for the disk."""

_LOADED: Final = "SELECT id FROM load WHERE state = 'loaded' ORDER BY id DESC LIMIT 1"
_CACHE_KIB: Final = 8_192
_CHECKPOINT_PAGES: Final = 256
"""So much the disk is given at once: the gateway's commits wait behind it."""


def path_beside(store: Path) -> Path:
    """Where the measurements of a store are."""
    return store.with_name(f"{store.stem}.measurements.db")


def prepare(store: Path, gateway: apsw.Connection, vfs: str | None) -> None:
    """Make the file where there is none. Raises StoreFailed where measurements were loaded."""
    path = path_beside(store)
    if not path.exists():
        if gateway.execute(_LOADS).get and gateway.execute(_LOADED).get is not None:
            raise StoreFailed(f"{path.name} is missing: it has the measurements of {store.name}")
        _create(path, vfs)
    keep_private(path)


def check(measured: apsw.Connection, store: Path) -> None:
    """Raises StoreFailed where rows are missing that the gateway's file calls loaded."""
    if (measured.execute(_LOADED).get or 0) > measured.execute(_NEWEST).get:
        name = path_beside(store).name
        raise StoreFailed(f"{name} is older than {store.name}: restore both from one backup")


def _create(path: Path, vfs: str | None) -> None:
    """All of an empty file with one wait for the disk."""
    partial = path.with_name(path.name + ".part")
    partial.unlink(missing_ok=True)
    keep_private(partial)
    connection = connect_writer(partial, vfs)
    try:
        connection.pragma("synchronous", "off")
        migrate(connection, SCHEMA_MEASURED, MARK)
    finally:
        connection.close()
    for target, rename in ((partial, True), (path.parent, False)):
        opened = os.open(target, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
        if rename:
            partial.rename(path)


def connect_measured(store: Path, vfs: str | None = None) -> apsw.Connection:
    """A connection that writes measurements, and reads loads and devices of the gateway's file."""
    connection = _connect(store, vfs)
    try:
        connection.execute("ATTACH ? AS gateway", (store.absolute().as_uri() + "?mode=ro",))
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(store: Path, vfs: str | None) -> apsw.Connection:
    connection = connect_writer(path_beside(store), vfs)
    try:
        migrate(connection, SCHEMA_MEASURED, MARK)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader_of_both(store: Path, vfs: str | None = None) -> apsw.Connection:
    """A connection that only reads: the gateway's file, with the measurements attached."""
    connection = connect_reader(store, vfs)
    try:
        connection.execute("ATTACH ? AS measurements", (str(path_beside(store)),))
    except BaseException:
        connection.close()
        raise
    return connection


def seal(connection: SqlConnection, load: int) -> None:
    """The rows of `load` are all here: what the gateway's file may call loaded."""
    connection.execute(_SEAL, (load,))


class StagingFile:
    """One load's rows, put by another process than the gateway's. Raises StoreFailed only.

    What `put` writes outlives this process, but not a loss of power; it does so after `seal`.
    """

    def __init__(self, place: StagingTarget, lookups: Lookups) -> None:
        with _storage():
            store = Path(place.store)
            # Not attached: a transaction here must not keep the gateway's log from being copied.
            self._gateway = connect_reader(store, None)
            connection = _connect(store, None)
            connection.pragma("synchronous", "normal")
            connection.pragma("cache_size", -_CACHE_KIB)
            connection.wal_autocheckpoint(_CHECKPOINT_PAGES)
        self._connection = connection
        self._load = place.load
        self._staging = Staging(place.payload, place.load, lookups)

    def put(self, batches: Sequence[Batch]) -> Staged:
        """Put the values of some batches; what else is in them is for the gateway."""
        staged = Staged()
        endpoints: dict[EndpointId, None] = {}
        serials: dict[str, None] = {}
        with _storage():
            begin_writing(self._connection, "store-measured")
            for batch in batches:
                endpoints.update((EndpointId(item.identifier), None) for item in batch.normals)
                serials.update((item.serial, None) for item in batch.normals if item.serial)
                counts, rest = self._staging.put(self._connection, self._gateway, batch)
                staged.counts.add(counts)
                staged.rest.append(rest)
            self._connection.execute("COMMIT")
        staged.endpoints, staged.serials = list(endpoints), list(serials)
        return staged

    def seal(self) -> None:
        """Everything that was put is on disk when this returns."""
        with _storage():
            self._connection.pragma("synchronous", "full")
            begin_writing(self._connection, "store-measured")
            seal(self._connection, self._load)
            self._connection.execute("COMMIT")

    def close(self) -> None:
        with _storage():
            self._connection.close()
            self._gateway.close()


open_place = StagingFile


@contextmanager
def _storage() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise StoreFailed(f"measurements: {type(error).__name__}: {error}") from error
