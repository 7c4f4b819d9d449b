"""Device events as a site writes them: TOML whose rows go before the known ones.

[[event]]                        # name and standard are needed
name = "Cover Removed"           # the head end's; blanks and case do not count
number = 4711
standard = "tamper"              # ours
category = "Tamper"              # empty: the head end's own
severity = "critical"            # info, warning, critical
pair = "cover"                   # what it begins or ends; `power` makes outages
role = "first"                   # or "last"
[[storm]]                        # the first that covers an event counts; given: the usual is off
category = "PowerOutageOrRestoration"
standard = ""
publications = 100               # at most so many are told
window_s = 300.0                 # in so many seconds; the rest is summed up
"""

from dataclasses import fields
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from adapter.errors import SettingsError
from adapter.events.types import EventTables, EventType, PairRole, StormRule, event_tables
from adapter.model.whole_numbers import XS_INTEGERS
from adapter.settings.text_files import read_toml

T = TypeVar("T")
_MOST_TOLD: Final = 1_000_000_000
_KEYS: Final = frozenset({"event", "storm"})


def load_event_tables(path: Path | None) -> EventTables:
    """None: the known rows alone. Raises SettingsError naming what is unknown or bad."""
    if path is None:
        return event_tables()
    try:
        document = read_toml(path)
    except SettingsError as error:
        raise SettingsError(f"intake.events: {error}") from error
    return read_event_tables(document)


def read_event_tables(document: dict[str, object]) -> EventTables:
    """Raises SettingsError naming what is unknown or bad."""
    if unknown := set(document) - _KEYS:
        raise SettingsError(f"intake.events: {min(unknown)} is unknown")
    types = _rows(document, "event", EventType)
    for number, row in enumerate(types, 1):
        if not row.name or not row.standard:
            raise SettingsError(f"intake.events: event {number} needs a name and a standard")
        if row.number is not None and not XS_INTEGERS["int"].holds(row.number):
            span = XS_INTEGERS["int"]
            raise SettingsError(f"intake.events: event {number}: number must be {span}")
        if bool(row.pair) != (row.role is not PairRole.NONE):
            raise SettingsError(f"intake.events: event {number}: pair and role go together")
    storms = _rows(document, "storm", StormRule)
    for number, rule in enumerate(storms, 1):
        if not 0 <= rule.publications <= _MOST_TOLD or not 0 < rule.window_s <= 86_400:
            raise SettingsError(
                f"intake.events: storm {number}: publications 0 to {_MOST_TOLD}, "
                "window_s up to a day"
            )
    return event_tables(types, storms if "storm" in document else None)


def _rows(document: dict[str, object], name: str, kind: type[T]) -> tuple[T, ...]:
    rows = document.get(name, [])
    if not isinstance(rows, list):
        raise SettingsError(f"intake.events: {name} is a list, as in [[{name}]]")
    return tuple(_row(row, name, number, kind) for number, row in enumerate(rows, 1))


def _row(row: object, name: str, number: int, kind: type[T]) -> T:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if isinstance(row, dict) and (unknown := row.keys() - known):
        raise SettingsError(f"intake.events: {name} {number}: {min(unknown)} is unknown")
    try:
        return msgspec.convert(row, kind)
    except msgspec.ValidationError as error:
        raise SettingsError(f"intake.events: {name} {number}: {error}") from None
