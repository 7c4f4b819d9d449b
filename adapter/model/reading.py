"""InitialMeasurement: what a read command or a payload hands to the measurement system."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from adapter.model.device import ComponentKind
from adapter.model.ids import DeviceId, EventId
from adapter.model.measurement import REGULAR


class InitialValue(Struct, frozen=True, kw_only=True, gc=False):
    """`at` is the reading's time, or the END of the interval, in UTC.

    `value` is the head end's number; None where it is no measurement. `condition` is the code of
    the value that was taken in (six digits, higher is better); None where a version before this one
    made the measurement.
    """

    at: datetime
    value: Decimal | None
    statuses: tuple[str, ...] = ()
    condition: int | None = None


class InitialMeasurement(Struct, frozen=True, kw_only=True, gc=False):
    """Initial measurement data (IMD) of one component: one value (scalar) or many (interval).

    `id` is fixed by device, component, kind and period, so that making it again changes nothing.
    `start` and `end` bound the period: from the start of the first interval to the end of the last;
    of a scalar both are the reading's time. `quantity` is the head end's word, `seconds` the
    interval length (0 for scalar).
    """

    id: str
    device: DeviceId
    component: str
    kind: ComponentKind
    quantity: str
    start: datetime
    end: datetime
    seconds: int
    values: tuple[InitialValue, ...]
    cause: EventId


def not_regular(measurements: Iterable[InitialMeasurement]) -> str:
    """How many of the values are below the condition of an ordinary good reading, and which
    conditions they have; empty where none is."""
    values = [value for each in measurements for value in each.values]
    low = Counter(
        value.condition
        for value in values
        if value.condition is not None and value.condition < REGULAR
    )
    if not low:
        return ""
    told = ", ".join(f"{condition} ({count})" for condition, count in sorted(low.items()))
    return f"{low.total()} of {len(values)} values not regular: condition {told}"
