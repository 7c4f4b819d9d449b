"""Connects what takes in payloads: spool folder, measurements in the store, worker process."""

from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path

from adapter.engine.commands.ports import Clock
from adapter.engine.events.events import DeviceEvents
from adapter.engine.events.tables import load_event_tables
from adapter.engine.readings.error_records import ErrorRecords
from adapter.engine.readings.intake import PayloadIntake
from adapter.engine.readings.spool import Spool
from adapter.engine.readings.tables import Document, load_tables
from adapter.events.types import EventTables
from adapter.service.settings import IntakeSettings
from adapter.store.commands.commands import SqlStore
from adapter.store.events.events import SqliteEvents
from adapter.store.readings.error_records import SqliteErrorRecords
from adapter.store.readings.measurements import SqliteMeasurements


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadServices:
    """What takes in payloads of any size."""

    spool: Spool
    data: SqliteMeasurements
    intake: PayloadIntake
    events: DeviceEvents
    desk: ErrorRecords
    zone: tzinfo = UTC
    """Of the days that are counted."""


def taking(
    store: SqlStore, clock: Clock, settings: IntakeSettings, *, zone: tzinfo = UTC
) -> PayloadServices:
    """Raises SettingsError for bad tables. Nothing is started before the first payload."""
    spool = spool_of(settings, store.database.path)
    data = SqliteMeasurements(store.database)

    def tables() -> Document:
        return load_tables(settings.tables, zone=str(zone))

    def both() -> tuple[Document, EventTables]:
        return tables(), load_event_tables(settings.events)

    books = SqliteErrorRecords(store.database)
    intake = PayloadIntake(
        data,
        books,
        spool,
        clock,
        tables,
        retention_days=settings.retention_days,
        workers=settings.workers,
    )
    events = DeviceEvents(
        data, SqliteEvents(store.database), clock, load_event_tables(settings.events)
    )
    desk = ErrorRecords(data, books, spool, intake, events, clock, both)
    return PayloadServices(
        spool=spool, data=data, intake=intake, events=events, desk=desk, zone=zone
    )


def spool_of(settings: IntakeSettings, store: Path) -> Spool:
    """The folder of large bodies that belongs to a store."""
    return Spool(settings.spool or store.with_suffix(".spool"))
