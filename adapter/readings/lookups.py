"""What the configuration says about a head end's words: quantities, statuses, times, filtering.

Defaults are shipped; a site's file replaces or adds rows. `Wh d` (also written `Whd`), `Wh r` and
`Wh net` are known to occur, in watt-hours; the other quantities are inferred from that pattern,
and anything else is an error record until somebody adds its row.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from adapter.commands.completion import same_quantity
from adapter.model.values import replace
from adapter.readings.conditions import CONDITIONS, WITHOUT_VALUE


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """One row: the head end's word, and what it means. value x `multiplier` is in `unit`."""

    name: str
    unit: str
    tou: str = ""
    sqi: str = ""
    multiplier: Decimal = Decimal(1)

    @property
    def one_way(self) -> bool:
        """Whether it only counts what is delivered, and is never below zero (inferred). What is
        received may be told as such, and what is net goes either way."""
        return self.sqi in ("delivered", "peak")


class Shift(StrEnum):
    """How a device writes times that carry no offset."""

    ADJUSTED = "adjusted"
    """The clock on the wall, with daylight saving time."""
    STANDARD = "standard"
    """Standard time the whole year."""


class IdType(StrEnum):
    """Which field of a dat:ReadData names the device."""

    ESN = "esn"
    SERIAL = "serial"


_KILO: Final = Decimal("0.001")

# fmt: off
_DEFAULTS: Final = (
    #         quantity   unit     tou   sqi          multiplier
    Quantity(name="Wh d",    unit="kWh",   sqi="delivered", multiplier=_KILO),
    Quantity(name="Wh r",    unit="kWh",   sqi="received",  multiplier=_KILO),
    Quantity(name="Wh net",  unit="kWh",   sqi="net",       multiplier=_KILO),
    Quantity(name="VAh d",   unit="kVAh",  sqi="delivered", multiplier=_KILO),
    Quantity(name="VAh r",   unit="kVAh",  sqi="received",  multiplier=_KILO),
    Quantity(name="varh d",  unit="kvarh", sqi="delivered", multiplier=_KILO),
    Quantity(name="varh r",  unit="kvarh", sqi="received",  multiplier=_KILO),
    Quantity(name="W d",     unit="kW",    sqi="delivered", multiplier=_KILO),
    Quantity(name="W r",     unit="kW",    sqi="received",  multiplier=_KILO),
    Quantity(name="max W d", unit="kW",    sqi="peak",      multiplier=_KILO),
    Quantity(name="Vh",      unit="Vh"),
    Quantity(name="V",       unit="V"),
    Quantity(name="A",       unit="A"),
)
# fmt: on


QUANTITIES: Final[Mapping[str, Quantity]] = MappingProxyType(
    {same_quantity(row.name): row for row in _DEFAULTS}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookups:
    """All tables of one head end.

    zone            of times that carry no offset
    shift           how those are written; `class_shifts` by DeviceClass goes before it
    ids             which fields name the device, in the order tried
    keep_all        also keep what a device has no measuring component for
    without_value   statuses whose number is no measurement
    """

    quantities: Mapping[str, Quantity] = field(default_factory=lambda: QUANTITIES)
    conditions: Mapping[str, int] = field(default_factory=lambda: CONDITIONS)
    without_value: frozenset[str] = WITHOUT_VALUE
    zone: tzinfo = UTC
    shift: Shift = Shift.ADJUSTED
    class_shifts: Mapping[str, Shift] = field(default_factory=lambda: MappingProxyType({}))
    ids: tuple[IdType, ...] = (IdType.ESN, IdType.SERIAL)
    keep_all: bool = False

    def quantity(self, name: str) -> Quantity | None:
        return self.quantities.get(same_quantity(name))

    def zone_of(self, device_class: str) -> tzinfo:
        """The zone in which a device of this class writes times without an offset."""
        return self.zone if self.is_adjusted(device_class) else standard(self.zone)

    def is_adjusted(self, device_class: str) -> bool:
        """Whether a device of this class writes them with daylight saving time."""
        return self.class_shifts.get(device_class, self.shift) is Shift.ADJUSTED


def standard(zone: tzinfo) -> tzinfo:
    """`zone` without daylight saving time: its offset of today's rules in winter."""
    if not isinstance(zone, ZoneInfo):
        return zone
    offsets = []
    for month in (1, 7):
        at = datetime(2024, month, 1, tzinfo=zone)
        offset, saving = at.utcoffset() or timedelta(), at.dst() or timedelta()
        offsets.append(offset - saving)
    return timezone(min(offsets))


def with_quantities(lookups: Lookups, rows: Iterable[Quantity]) -> Lookups:
    """`lookups` with rows replaced or added."""
    added = {same_quantity(row.name): row for row in rows}
    return replace(lookups, quantities=MappingProxyType({**lookups.quantities, **added}))
