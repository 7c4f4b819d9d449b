"""The lookups of a head end as a site writes them: TOML whose rows go before the shipped ones.

[quantities."Wh d"]              # unit is needed; multiplier as text, so that it is exact
unit = "kWh"
sqi = "delivered"
tou = ""
multiplier = "0.001"
[conditions]                     # status -> six digits
PartialInterval = 401000
[time]
zone = "America/Chicago"         # of times without an offset
shift = "adjusted"               # or "standard": no daylight saving time the whole year
[time.classes]                   # by DeviceClass, before `shift`
ITR1 = "standard"
[devices]
ids = ["esn", "serial"]          # which fields name the device, in the order tried
keep_all = false                 # also keep what a device has no measuring component for
[intervals]
without_value = ["SkippedInterval"]
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapter.errors import SettingsError
from adapter.model.decimals import read_decimal
from adapter.readings.lookups import IdType, Lookups, Quantity, Shift, with_quantities
from adapter.settings.text_files import read_toml

Document: TypeAlias = Mapping[str, object]
_MOST_PLACES: Final = 20

_SECTIONS: Final = frozenset({"quantities", "conditions", "time", "devices", "intervals"})


def load_tables(path: Path | None, *, zone: str = "UTC") -> Document:
    """The document of a file; `zone` is where the file names none. Raises SettingsError."""
    document: dict[str, object] = {}
    if path is not None:
        try:
            document = read_toml(path)
        except SettingsError as error:
            raise SettingsError(f"intake.tables: {error}") from error
    time = dict(_section(document, "time"))
    time.setdefault("zone", zone)
    document["time"] = time
    read_tables(document)
    return document


def names_zone(path: Path | None) -> bool:
    """Whether a file says the zone of times without an offset. Raises SettingsError."""
    return path is not None and "zone" in _section(read_toml(path), "time")


def text_of(document: Document) -> str:
    """The document as the worker process is told it."""
    return json.dumps(document, sort_keys=True)


def read_tables(document: Document) -> Lookups:
    """Raises SettingsError naming what is unknown or bad."""
    unknown = set(document) - _SECTIONS
    if unknown:
        raise SettingsError(f"intake.tables: {min(unknown)} is unknown")
    time, devices = _section(document, "time"), _section(document, "devices")
    _only(time, "time", {"zone", "shift", "classes"})
    _only(devices, "devices", {"ids", "keep_all"})
    usual = Lookups()
    conditions = {
        name: _condition(name, code) for name, code in _section(document, "conditions").items()
    }
    lookups = Lookups(
        conditions=MappingProxyType({**usual.conditions, **conditions}),
        without_value=_words(_section(document, "intervals"), usual.without_value),
        zone=_zone(time.get("zone", "UTC")),
        shift=_shift("shift", time.get("shift", usual.shift)),
        class_shifts=MappingProxyType(
            {name: _shift(name, shift) for name, shift in _section(time, "classes").items()}
        ),
        ids=_ids(devices.get("ids", list(usual.ids))),
        keep_all=devices.get("keep_all", False) is True,
    )
    rows = [_quantity(name, row) for name, row in _section(document, "quantities").items()]
    return with_quantities(lookups, rows)


def _section(document: Document, name: str) -> Document:
    value = document.get(name, {})
    if not isinstance(value, Mapping):
        raise SettingsError(f"intake.tables: {name} is a section")
    return value


def _only(section: Document, name: str, known: set[str]) -> None:
    unknown = set(section) - known
    if unknown:
        raise SettingsError(f"intake.tables: {name}.{min(unknown)} is unknown")


def _quantity(name: str, row: object) -> Quantity:
    place = f"intake.tables: quantities.{name!r}"
    if not isinstance(row, Mapping) or not isinstance(row.get("unit"), str):
        raise SettingsError(f"{place} needs a unit")
    unknown = set(row) - {"unit", "tou", "sqi", "multiplier"}
    if unknown:
        raise SettingsError(f"{place}: {min(unknown)} is unknown")
    try:
        multiplier = read_decimal(str(row.get("multiplier", "1")))
    except ValueError:
        raise SettingsError(f"{place}: multiplier is no number") from None
    if isinstance(row.get("multiplier"), float):
        raise SettingsError(f"{place}: multiplier must be a text like '0.001'")
    if multiplier <= 0:
        raise SettingsError(f"{place}: multiplier must be above zero")
    if (
        abs(multiplier.adjusted()) > _MOST_PLACES
        or len(multiplier.as_tuple().digits) > _MOST_PLACES
    ):
        raise SettingsError(f"{place}: multiplier has more than {_MOST_PLACES} digits")
    return Quantity(
        name=name,
        unit=row["unit"],
        tou=str(row.get("tou", "")),
        sqi=str(row.get("sqi", "")),
        multiplier=multiplier,
    )


def _condition(name: str, code: object) -> int:
    if not isinstance(code, int) or isinstance(code, bool) or not 100_000 <= code <= 999_999:
        raise SettingsError(f"intake.tables: conditions.{name} needs six digits")
    return code


def _words(section: Document, usual: frozenset[str]) -> frozenset[str]:
    _only(section, "intervals", {"without_value"})
    words = section.get("without_value")
    if words is None:
        return usual
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise SettingsError("intake.tables: intervals.without_value is a list of statuses")
    return frozenset(words)


def _zone(name: object) -> ZoneInfo:
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(f"intake.tables: {name!r} is no time zone") from None


def _shift(name: str, value: object) -> Shift:
    try:
        return Shift(str(value))
    except ValueError:
        raise SettingsError(f"intake.tables: {name} is adjusted or standard") from None


def _ids(value: object) -> tuple[IdType, ...]:
    try:
        found = tuple(IdType(str(item)) for item in value) if isinstance(value, list) else ()
    except ValueError:
        found = ()
    if not found:
        raise SettingsError("intake.tables: devices.ids is a list of esn, serial")
    return found
