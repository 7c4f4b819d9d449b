"""When a meter can have said something: times outside that are marked, and nothing is told by them.

A clock that was reset says 1970, one that runs wild the next decade. Margins are ours.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from adapter.readings.conditions import CLOCK
from adapter.readings.seeds import Normal, Row

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_NO_METER_BEFORE: Final = (datetime(2000, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_BEFORE_INSTALLATION: Final = timedelta(days=5 * 366) // _MICROSECOND
"""It may have stood elsewhere, and what is known of that may be less than it has in its memory."""
_AFTER_RECEIPT: Final = timedelta(days=1) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class Life:
    """Microseconds since 1970 (UTC) between which a time is believed."""

    first: int
    last: int

    def doubt(self, at: int) -> str:
        """What is wrong with a time, in words; "" for one that is believed."""
        if at < self.first:
            return "is long before the meter's life"
        return "is after its receipt" if at > self.last else ""


def life_of(*, installed: int | None, received: int) -> Life:
    """Of a meter that was first installed then, as far as is known, by what arrived then."""
    first = _NO_METER_BEFORE if installed is None else installed - _BEFORE_INSTALLATION
    return Life(max(first, _NO_METER_BEFORE), received + _AFTER_RECEIPT)


def within_life(normal: Normal, life: Life) -> Normal:
    """The same values; those of a time that is not believed under a clock's condition."""
    if not normal.rows or (life.first <= normal.rows[0][0] and normal.rows[-1][0] <= life.last):
        return normal
    return replace(normal, rows=[_marked(row, life) for row in normal.rows])


def _marked(row: Row, life: Life) -> Row:
    at, value, external, condition, statuses = row
    return at, value, external, min(condition, CLOCK) if life.doubt(at) else condition, statuses
