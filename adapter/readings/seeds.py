"""The common shape of what arrives: one register value, or one load profile channel of one device.

Nothing is looked up yet: texts are the head end's own. A seed holds all that is needed to make
measurements of it later, without the head end and without the payload it came in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from adapter.commands.calls import ReadingKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """`at` is the register's Timestamp, or TimeDataEnd: the END of the last interval (inferred).

    texts      the values, oldest first (inferred); a register has one. "" is an interval of which
               nothing is told: it keeps its place
    statuses   the head end's words, by the index of the value they belong to; normal has none
    minutes    interval length, 0 for registers (unit inferred)
    pulse      PulseMultiplier, which counts only where `scaled` is false (inferred); "" is none
    block      number of the block this came in, of `blocks`; base 0 or 1 is not known; 0 of 0: none
    position   byte offset of the dat:ReadData in the payload as UTF-8, -1 where not known
    """

    identifier: str
    serial: str = ""
    device_class: str = ""
    kind: ReadingKind
    quantity: str
    source: str = ""
    at: str
    minutes: int = 0
    pulse: str = "1"
    scaled: bool = True
    texts: tuple[str, ...]
    statuses: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    block: int = 0
    blocks: int = 0
    position: int = -1


Row: TypeAlias = tuple[int, str | None, str | None, int, str]
"""(at, value, head_end_value, condition, statuses): microseconds since 1970 (UTC); the value in the
unit of the measurement; the value in the head end's own unit; six digits; words with commas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """A seed after both stages: what becomes rows once its device is known.

    `conversion` says in words what was done to the texts. `start` and `end` bound the values, in
    microseconds since 1970. `at` is the text of the end, as it came.

    later      microseconds to the other time that `end` may be: the clock was set back, and `at`
               comes twice; 0 where it is one time
    doubtful   nothing here tells which of the two it is; rows are those of the first
    """

    identifier: str
    serial: str
    kind: ReadingKind
    quantity: str
    source: str
    seconds: int
    unit: str
    tou: str
    sqi: str
    conversion: str
    rows: list[Row]
    start: int
    end: int
    at: str = ""
    device_class: str = ""
    later: int = 0
    doubtful: bool = False
    part: int = 0
    position: int = -1


class Unmapped(StrEnum):
    """Why a seed gave no measurement; it is kept as an error record under this word."""

    QUANTITY = "unknown_quantity"
    DEVICE = "unknown_device"
    NUMBER = "not_a_number"
    TIME = "not_a_time"
    LENGTH = "bad_interval_length"
    PULSE = "bad_pulse_multiplier"
    PART = "bad_part"
    EVENT = "unknown_event"
    DOUBTFUL = "doubtful_time"
    DISAGREES = "component_disagrees"
    """The values are kept, under a condition that is not regular."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedSeed:
    """A seed that could not be normalised. `detail` names the value that is in the way."""

    why: Unmapped
    detail: str
    seed: Seed


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSeed:
    """One evt:MeterEvent, or one MeterException (`exception`), as it arrived.

    `received` is the head end's own ReceivedWhen, "" where there is none; `number` is the ID;
    `arguments` are (name, text) in the order of the message. `conversion` says what the intake
    made of the time, "" where the message told it with its offset.
    """

    identifier: str
    serial: str = ""
    device_class: str = ""
    exception: bool = False
    at: str
    received: str = ""
    category: str = ""
    log_type: str = ""
    name: str
    number: int | None = None
    source: str = ""
    sequence: int | None = None
    arguments: tuple[tuple[str, str], ...] = ()
    position: int = -1
    conversion: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtedEvent:
    """An event whose time is not believed. `detail` says why, and what became of it."""

    part: int
    detail: str
    seed: EventSeed


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one dat:ReadData (or MeterException) held. `index` counts from 0. `unreported` is the
    log's UnreportedEventCount: events that the meter had and the log does not tell (inferred from
    the name). `bad` are pieces of it that are nil or cannot be read; the others are taken."""

    index: int
    position: int
    identifier: str
    seeds: tuple[Seed, ...] = ()
    events: tuple[EventSeed, ...] = ()
    unreported: int = 0
    bad: tuple["BadPart", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BadPart:
    """A part that cannot be understood, or a piece of one, which the reason names. `xml` is the
    whole part, cut where it is very long; of several pieces of a part the first has it.
    `identifier` and the `serial` number are "" where they are not known."""

    index: int
    position: int
    reason: str
    xml: bytes
    identifier: str = ""
    serial: str = ""
