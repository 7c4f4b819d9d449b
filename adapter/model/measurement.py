"""Final measurements, their condition codes, and when the next one is due.

An initial measurement (what a read command brings) becomes a final one only after validation
outside this gateway; a service order waits for the final one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from adapter.model.ids import DeviceId
from adapter.model.whole_numbers import Span

REGULAR: Final = 501000
"""Condition of an ordinary good reading (seen in production databases)."""

NOT_FOUND: Final = 201000
"""Condition that one installation writes where no reading was found (seen)."""

CONDITION_LIMIT: Final = 999_999
CONDITIONS: Final = Span(0, CONDITION_LIMIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionRange:
    """An inclusive range of six-digit condition codes; higher means better (inferred)."""

    start: int
    end: int = CONDITION_LIMIT

    def __contains__(self, condition: int) -> bool:
        return self.start <= condition <= self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One final value of one measuring component, at `at` (UTC).

    `use` is the product's use flag: a measurement that was replaced is kept, and not used.
    """

    id: str
    component: str
    at: datetime
    value: Decimal
    condition: int = REGULAR
    device: DeviceId | None = None
    use: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered(Measurement):
    """As a reading that people have is kept: with who entered it, and when (UTC).

    None: nobody did, a crew took it.
    """

    by: str = ""
    entered_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleSchedule:
    """When the meters of a measurement cycle are read, in ascending order, UTC."""

    cycle: str
    reads: tuple[datetime, ...] = ()

    def within(self, start: datetime, end: datetime) -> datetime | None:
        """The first scheduled read in [start, end), or None."""
        return next((at for at in self.reads if start <= at < end), None)


NO_SCHEDULES: Final[Mapping[str, CycleSchedule]] = MappingProxyType({})
