"""InitialMeasurement: what a read command or a payload hands to the measurement system."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from adapter.model.device import ComponentKind
from adapter.model.ids import DeviceId, EventId


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialValue:
    """`at` is the reading's time, or the END of the interval, in UTC."""

    at: datetime
    value: Decimal | None
    statuses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialMeasurement:
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
