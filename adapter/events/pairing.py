"""Events, exceptions and event logs become one shape; pairs of them become spells of time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from adapter.commands.effects import Severity
from adapter.events.types import EventTables, PairRole
from adapter.model.ids import EndpointId, EventId
from adapter.readings.seeds import EventSeed


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEvent:
    """One thing that happened at a device, however the head end told of it.

    `name` is the standard name, `head_end_name` the head end's own; `at` is when it happened by the
    device's clock, `conversion` what the intake made of that time where its offset was not told;
    `exception` says that it came in ExceptionsArrived. The same endpoint, name, time and sequence
    number are the same event (inferred: nothing is promised); so are an exception and an entry of
    an event log that agree in all but the number.
    """

    endpoint: EndpointId
    name: str
    at: datetime
    sequence: int | None
    category: str
    severity: Severity
    pair: str = ""
    role: PairRole = PairRole.NONE
    head_end_name: str
    number: int | None = None
    exception: bool = False
    received: str = ""
    conversion: str = ""
    log_type: str = ""
    source: str = ""
    arguments: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> EventId:
        """Fixed by what makes it the same event: receivers key on it."""
        number = "-" if self.sequence is None else self.sequence
        return EventId(f"device-event:{self.endpoint}:{self.name}:{self.at.isoformat()}:{number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent:
    """An event whose name is in no table; kept until the table knows it."""

    endpoint: EndpointId
    at: datetime
    seed: EventSeed


def unify(
    seed: EventSeed, endpoint: EndpointId, at: datetime, tables: EventTables
) -> DeviceEvent | UnknownEvent:
    """The one way from what arrived to a device event, for all three callbacks."""
    known = tables.type_of(seed.name, seed.number)
    if known is None:
        return UnknownEvent(endpoint=endpoint, at=at, seed=seed)
    return DeviceEvent(
        endpoint=endpoint,
        name=known.standard,
        at=at,
        sequence=seed.sequence,
        category=known.category or seed.category,
        severity=known.severity,
        pair=known.pair,
        role=known.role,
        head_end_name=seed.name,
        number=seed.number,
        exception=seed.exception,
        received=seed.received,
        conversion=seed.conversion,
        log_type=seed.log_type,
        source=seed.source,
        arguments=seed.arguments,
    )


@dataclass(frozen=True, slots=True, order=True)
class PairEnd:
    """One end of a pair in time. At one moment the sequence number orders, then first before
    last; without a number it stands before those that have one."""

    at: datetime
    sequence: int
    last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """From a first event to the last one that ends it; `end` None: it has not ended."""

    start: datetime
    end: datetime | None = None


def mark_of(at: datetime, sequence: int | None, role: PairRole) -> PairEnd:
    return PairEnd(at, -1 if sequence is None else sequence, role is PairRole.LAST)


def spells(marks: Iterable[PairEnd]) -> tuple[Spell, ...]:
    """What the marks of one device and pair say, in whatever order they came.

    A first inside an open spell says it again; a last with nothing open ends nothing.
    """
    found: list[Spell] = []
    start: datetime | None = None
    for mark in sorted(marks):
        if not mark.last:
            start = mark.at if start is None else start
        elif start is not None:
            found.append(Spell(start=start, end=mark.at))
            start = None
    if start is not None:
        found.append(Spell(start=start))
    return tuple(found)
