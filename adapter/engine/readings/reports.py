"""What analysts ask of measurements, events and payloads: pages of rows in an order that stays.

A period is `start < at <= end`: a day has the intervals that end in it or with it, and a reading
taken at midnight closes the day before. Periods side by side share nothing and leave nothing out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from adapter.engine.readings.ports import Payload, PayloadId


class ValueQuery(NamedTuple):
    """Which rows; what is None is not asked about. `revisions`: also those that were replaced."""

    start: datetime
    end: datetime
    device: str | None = None
    component: str | None = None
    revisions: bool = False


class Origin(StrEnum):
    """Where a value comes from: a payload of the head end, or people."""

    PAYLOAD = "payload"
    ENTERED = "entered"
    CREW = "crew"


class ValueRow(NamedTuple):
    """One value of one channel. Times are whole microseconds since 1970 (UTC), numbers their exact
    text; `start` is None for registers, whose `at` is the time of the reading.

    `value` is in `unit`, `head_end_value` in the head end's own unit of `quantity`; `statuses` are
    its words with commas. Of one channel and time the highest (`load_run`, `number`) counts.

    What people read is of no payload: `load_run`, `number` and `payload` are 0. `entered_by` is who
    entered it, at `entered_at`, or the report of the crew (see Origin).
    """

    device: str
    endpoint: str
    component: str
    kind: str
    quantity: str
    source: str
    seconds: int
    unit: str
    tou: str
    sqi: str
    start: int | None
    at: int
    value: str | None
    head_end_value: str | None
    condition: int
    statuses: str
    conversion: str
    load_run: int
    number: int
    payload: int
    origin: str
    entered_by: str
    entered_at: int | None


class EventRow(NamedTuple):
    """One event or exception as it arrived, and what became of it. Times are microseconds since
    1970 (UTC); `arguments` is a JSON object, `device` empty where the registry knows none with this
    endpoint. `conversion` says in which zone a time without offset was read, or that it is the time
    of the receipt; empty where the message told it with its offset.

    `result` is new, repeated, matched (known from the other callback, inferred), unknown, or empty
    while nobody has looked; `device_event` is the device event, whose standard name, category,
    severity, pair and role follow. `started_at`, `ended_at`, `duration_s` are those of what it
    begins or ends, as an outage; `published`: this arrival was published by itself; `in_summary`:
    a storm's summary counts it instead.
    """

    id: int
    device: str
    endpoint: str
    at: int
    exception: bool
    name: str
    category: str
    log_type: str
    number: int | None
    source: str
    sequence: int | None
    arguments: str
    received: str
    conversion: str
    load_run: int
    payload: int
    result: str
    device_event: int | None
    standard_name: str
    standard_category: str
    severity: str
    pair: str
    role: str
    started_at: int | None
    ended_at: int | None
    duration_s: str | None
    published: bool
    in_summary: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuePage:
    """`next` leads to the rows after these; None: there are none. A page may be short, or empty,
    and still have one after it."""

    rows: Sequence[ValueRow]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivedEventPage:
    rows: Sequence[EventRow]
    next: str | None


class Grouping(StrEnum):
    """What payload statistics are counted by."""

    OPERATION = "operation"
    TOKEN = "token"
    DAY = "day"
    PAYLOAD = "payload"


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadGroup:
    """Payloads counted together. `states` and `counts` are sums by name; lags are seconds from the
    arrival of the last byte until the rows were to be seen, of payloads that are loaded."""

    group: str
    payloads: int
    bytes: int
    states: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    first_arrival: datetime
    last_arrival: datetime
    lag_median_s: float | None = None
    lag_95_s: float | None = None
    lag_longest_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadStatistics:
    """`open_errors` are the error records that nobody has resolved yet, by reason."""

    groups: Sequence[PayloadGroup]
    open_errors: Mapping[str, int]


class Reports(Protocol):
    """Reads what payloads brought, and people; changes nothing."""

    async def values(self, wanted: ValueQuery, *, cursor: str | None, limit: int) -> ValuePage:
        """Ordered by device, component, channel, time and revision; before all of them what
        people entered and crews read, by device and time.

        What is loaded after the first page stays out of the later ones. Raises InvalidRequest for
        a cursor that no page gave.
        """

    async def events(
        self, wanted: ValueQuery, *, cursor: str | None, limit: int
    ) -> ArrivedEventPage:
        """In the order of arrival; `component` is not asked about. Raises InvalidRequest."""

    async def payloads(
        self, *, before: PayloadId | None = None, limit: int = 50
    ) -> Sequence[Payload]:
        """Newest first."""

    async def statistics(
        self, start: datetime, end: datetime, *, by: Grouping
    ) -> PayloadStatistics:
        """Of payloads that arrived in start <= at < end."""
