"""Readings: what payloads brought and people entered, and what was not understood."""

from dataclasses import dataclass

from adapter.engine.readings.completeness import Completeness
from adapter.engine.readings.entered import EnteredReadings
from adapter.engine.readings.error_records import ErrorRecords
from adapter.engine.readings.reports import Reports


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Four parts. `reports` reads values, events and payloads in pages; `entered` takes readings
    that people enter by hand; `error_records` has what was not understood of payloads, and reads
    the tables again; `completeness` tells which meters have reported, and reads the others again.

    They raise InvalidRequest, which names reading and rule, or a cursor that no page gave; NotFound
    and Conflict for error records; SettingsError for tables that are wrong; StoreFailed.
    """

    reports: Reports
    entered: EnteredReadings
    error_records: ErrorRecords
    completeness: Completeness
