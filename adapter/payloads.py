"""Connects what takes in payloads: spool folder, measurements in the store, worker process."""

from dataclasses import dataclass
from pathlib import Path

from adapter.engine.device_events import DeviceEvents
from adapter.engine.ports import Clock, Store
from adapter.engine.spool import Spool
from adapter.intake.desk import IntakeDesk
from adapter.intake.event_tables import load_event_tables
from adapter.intake.tables import Document, load_tables
from adapter.intake.taking import PayloadIntake
from adapter.readings.event_types import EventTables
from adapter.settings import IntakeSettings
from adapter.store.device_events import SqliteEvents
from adapter.store.intake_books import SqliteIntakeBooks
from adapter.store.measurements import SqliteMeasurements
from adapter.store.sqlite import SqliteStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """What takes in payloads of any size; only a store on SQLite has it."""

    spool: Spool
    data: SqliteMeasurements
    intake: PayloadIntake
    events: DeviceEvents
    desk: IntakeDesk


def taking(
    store: Store, clock: Clock, settings: IntakeSettings, *, zone: str = "UTC"
) -> Taking | None:
    """Raises SettingsError for bad tables. Nothing is started before the first payload."""
    if not isinstance(store, SqliteStore):
        return None
    spool = spool_of(settings, store.path)
    data = SqliteMeasurements(store)

    def tables() -> Document:
        return load_tables(settings.tables, zone=zone)

    def both() -> tuple[Document, EventTables]:
        return tables(), load_event_tables(settings.events)

    books = SqliteIntakeBooks(store)
    intake = PayloadIntake(
        data, books, spool, clock, tables, retention_days=settings.retention_days
    )
    events = DeviceEvents(data, SqliteEvents(store), clock, load_event_tables(settings.events))
    desk = IntakeDesk(data, books, spool, intake, events, clock, both)
    return Taking(spool=spool, data=data, intake=intake, events=events, desk=desk)


def spool_of(settings: IntakeSettings, store: Path) -> Spool:
    """The folder of large bodies that belongs to a store."""
    return Spool(settings.spool or store.with_suffix(".spool"))
