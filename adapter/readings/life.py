"""When a meter can have said something: times outside that are marked, and nothing is told by them.

A clock that was reset says 1970, one that runs wild the next decade. Margins are ours.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from adapter.model.values import replace
from adapter.readings.conditions import CLOCK
from adapter.readings.seeds import Normal, Row

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_NO_METER_BEFORE: Final = (datetime(2000, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_BEFORE_INSTALLATION: Final = timedelta(days=5 * 366) // _MICROSECOND
"""It may have stood elsewhere, and what is known of that may be less than it has in its memory."""
_AFTER_RECEIPT: Final = timedelta(days=1) // _MICROSECOND
_CLOCKS_DIFFER: Final = timedelta(minutes=5) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class Life:
    """Microseconds since 1970 (UTC) between which a time is believed."""

    first: int
    last: int

    @property
    def received(self) -> int:
        """When what tells the times arrived here."""
        return self.last - _AFTER_RECEIPT

    def doubt(self, at: int) -> str:
        """What is wrong with a time, in words; "" for one that is believed."""
        if at < self.first:
            return "is long before the meter's life"
        return "is after its receipt" if at > self.last else ""


def in_which_pass(first: int, second: int, *, told: int | None, life: Life) -> tuple[int, bool]:
    """When an event was whose time comes twice, and whether that is known.

    What was received before the second time is of the first. `told` is when the head end received
    it, None where it does not say: an event received within the hour after the second time is of
    the second (inferred: they are told at once).
    """
    received = min(life.received, life.received if told is None else told)
    if received < second - _CLOCKS_DIFFER:
        return first, True
    if told is not None and told <= second + (second - first):
        return second, True
    return first, False


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
