"""Connects what takes in payloads: spool folder, measurements in the store, worker process."""

from dataclasses import dataclass
from pathlib import Path

from adapter.engine.device_events import DeviceEvents
from adapter.engine.ports import Clock, Store
from adapter.engine.spool import Spool
from adapter.intake.event_tables import load_event_tables
from adapter.intake.tables import Document, load_tables
from adapter.intake.taking import PayloadIntake
from adapter.settings import IntakeSettings
from adapter.store.device_events import SqliteEvents
from adapter.store.measurements import SqliteMeasurements
from adapter.store.sqlite import SqliteStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """What takes in payloads of any size; only a store on SQLite has it."""

    spool: Spool
    data: SqliteMeasurements
    intake: PayloadIntake
    events: DeviceEvents


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

    intake = PayloadIntake(data, spool, clock, tables, retention_days=settings.retention_days)
    events = DeviceEvents(data, SqliteEvents(store), clock, load_event_tables(settings.events))
    return Taking(spool=spool, data=data, intake=intake, events=events)


def spool_of(settings: IntakeSettings, store: Path) -> Spool:
    """The folder of large bodies that belongs to a store."""
    return Spool(settings.spool or store.with_suffix(".spool"))
