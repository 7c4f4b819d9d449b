"""What the intake of data, whoever asks for measurements, and people who see to payloads that were
not understood need from the store and from each other."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType, Protocol

from adapter.commands.calls import Reading, ReadingKind
from adapter.engine.upkeep.set_aside import SetAside
from adapter.model.ids import DeviceId, EndpointId, InboxId
from adapter.model.measurement import Measurement
from adapter.readings.lookups import IdType, Lookups
from adapter.readings.seeds import BadPart, DoubtedEvent, EventSeed, Normal, RejectedSeed

PayloadId = NewType("PayloadId", int)
LoadId = NewType("LoadId", int)


class PayloadState(StrEnum):
    LOADING = "loading"
    LOADED = "loaded"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingPayload:
    """A body that is to be taken in: of the inbox, or a file that was given (`inbox` is None)."""

    inbox: InboxId | None
    source: str
    operation: str
    at: datetime
    file: str
    size: int
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A load that was begun. `raw` is the body where no file holds it."""

    payload: PayloadId
    load: LoadId
    raw: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some of a load's parts, after normalisation. Indices and positions are the parts'."""

    parts: int = 0
    normals: tuple[Normal, ...] = ()
    rejected: tuple[tuple[int, RejectedSeed], ...] = ()
    bad: tuple[BadPart, ...] = ()
    events: tuple[tuple[int, EventSeed], ...] = ()
    """With the time of each, in microseconds."""
    event_parts: tuple[int, ...] = ()
    """Of each event its part; () where that is not known."""
    doubted: tuple[DoubtedEvent, ...] = ()
    blocks: tuple[tuple[str, int, int, int, int], ...] = ()
    """(endpoint, total, block, start, end); times in microseconds."""
    unreported: int = 0


@dataclass(slots=True, kw_only=True)
class Counts:
    """What became of the content of a payload when it was loaded. values = new + revised +
    repeated + filtered; `rejected` values are in error records, of which there are `errors`. How
    many a bad part held is not known. `unreported` events were told of only as a number."""

    parts: int = 0
    values: int = 0
    new: int = 0
    revised: int = 0
    repeated: int = 0
    filtered: int = 0
    rejected: int = 0
    errors: int = 0
    bad_parts: int = 0
    events: int = 0
    unreported: int = 0

    def add(self, other: "Counts") -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class StagingTarget:
    """Where another process may put the values of one load.

    `module` is Python's name of a module whose `open_place(place, lookups)` gives a StagingWriter.
    """

    module: str
    store: str
    payload: PayloadId
    load: LoadId


@dataclass(slots=True, kw_only=True)
class Staged:
    """What became of some batches whose values were put. `rest` is what else they hold, with the
    values of devices that are not known; `endpoints` and `serials` are those that it names."""

    counts: Counts = field(default_factory=Counts)
    rest: list[Batch] = field(default_factory=list)
    endpoints: list[EndpointId] = field(default_factory=list)
    serials: list[str] = field(default_factory=list)


class StagingWriter(Protocol):
    """Takes the values of one load in a process of its own. All raise StoreFailed."""

    def put(self, batches: Sequence[Batch]) -> Staged: ...

    def seal(self) -> None:
        """What was put outlives a loss of power when this returns."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """One body that was taken in, or is being. `position` is the byte where it was refused."""

    id: PayloadId
    inbox: InboxId | None
    source: str
    operation: str
    state: PayloadState
    reason: str
    position: int | None
    at: datetime
    finished: datetime | None
    size: int
    file: str
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRecord:
    """What gave no measurement, and why. `body` is a seed in JSON, of a value or of an event whose
    time is not believed, or the XML of a bad part; of several pieces of a part the first has it."""

    id: int
    payload: PayloadId
    load: LoadId
    part: int
    position: int
    endpoint: str
    reason: str
    detail: str
    body: bytes
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredValue:
    """One revision of one value of one channel, with where it came from.

    `value` is in `unit`; `head_end_value` is in the head end's own unit; `conversion` says what is
    between them. `at` is the register's time, or the END of the interval. `revision` is (load,
    number in the load): of one channel and time the highest counts.
    """

    device: DeviceId
    endpoint: EndpointId
    component: str
    kind: ReadingKind
    quantity: str
    source: str
    seconds: int
    unit: str
    tou: str
    sqi: str
    at: datetime
    value: Decimal | None
    head_end_value: Decimal | None
    condition: int
    statuses: tuple[str, ...]
    conversion: str
    revision: tuple[int, int]
    payload: PayloadId


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivedEvent:
    """One event or exception as it arrived. (`load`, `id`) rises in the order of loading."""

    id: int
    load: LoadId
    endpoint: EndpointId
    at: datetime
    seed: EventSeed


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """So many different blocks came of the number that each of them told (TotalBlocks)."""

    came: int
    told: int

    def __str__(self) -> str:
        return f"{self.came} of {self.told} blocks"


class MeasurementStore(Protocol):
    """Measurements of payloads that were taken in whole."""

    async def measurements_between(
        self,
        start: datetime,
        end: datetime,
        *,
        device: DeviceId | None = None,
        component: str | None = None,
        limit: int = 10_000,
    ) -> Sequence[Measurement]:
        """The latest revisions that have a value, `start <= at <= end`, oldest first."""

    async def nearest(
        self, device: DeviceId, start: datetime, end: datetime, *, near: datetime
    ) -> Sequence[Measurement]:
        """Of the latest revisions that have a value and `start <= at < end`: of each channel and
        condition code the one nearest to `near` up to it, and the nearest after it."""

    async def readings_of(
        self, endpoints: Sequence[EndpointId], kind: ReadingKind, start: datetime, end: datetime
    ) -> Sequence[Reading]:
        """The latest revisions with `start <= at <= end` as readings, in the head end's own units,
        ordered by time."""

    async def with_readings(
        self, endpoints: Sequence[EndpointId], kind: ReadingKind, start: datetime, end: datetime
    ) -> frozenset[EndpointId]:
        """Those of `endpoints` that have any such reading."""

    async def missing_blocks(
        self,
        endpoints: Collection[EndpointId],
        start: datetime,
        end: datetime,
        *,
        came: tuple[datetime, datetime],
    ) -> Mapping[EndpointId, Blocks]:
        """Those of `endpoints` of whose blocks, which begin at `start <= time < end`, some were
        taken in from the one to the other time of `came`, and not all until now.

        Nothing on the wire tells which blocks belong together: those of one meter and period that
        tell the same total are taken for one set (inferred). Of several sets the largest counts.
        """


class DataStore(MeasurementStore, Protocol):
    """Where the intake puts what it read. One load is open at a time."""

    set_aside: SetAside

    async def waiting(self, *, limit: int) -> Sequence[WaitingPayload]:
        """Messages of the inbox that are to be taken in, oldest first."""

    async def start(self, what: WaitingPayload, *, now: datetime) -> Started | None:
        """Begin a load; what an earlier one left is hidden for ever. None: this very file has
        been loaded already."""

    async def stage(self, started: Started, batch: Batch, lookups: Lookups) -> Counts:
        """Put rows, hidden until the load ends."""

    def place(self, started: Started) -> StagingTarget:
        """Where a process of its own puts the values of this load, while nobody calls `stage`."""

    async def stage_rest(self, started: Started, batches: Sequence[Batch]) -> None:
        """Put what is in the batches besides values, hidden until the load ends."""

    async def loaded(
        self, started: Started, counts: Counts, *, inbox: InboxId | None, now: datetime
    ) -> None:
        """Show all rows of the load, in one commit."""

    async def refused(
        self,
        started: Started,
        reason: str,
        position: int | None,
        *,
        inbox: InboxId | None,
        now: datetime,
    ) -> None:
        """Quarantine the payload; nothing of the load is ever seen."""

    async def give_up(self, started: Started) -> None:
        """End a load whose rows are never to be seen; its payload stays as it was."""

    async def sweep(self, *, limit: int) -> bool:
        """Remove some rows of loads that were given up. False when there are none."""

    async def errors(
        self,
        *,
        state: str = "open",
        payload: PayloadId | None = None,
        after: int = 0,
        limit: int = 500,
    ) -> Sequence[ErrorRecord]:
        """Oldest first; of all payloads where none is given."""

    async def resolved(
        self, started: Started, errors: Sequence[int], counts: Counts, *, now: datetime
    ) -> None:
        """End a load that processed error records again, and close those that gave rows."""

    async def restart(self, payload: PayloadId, *, now: datetime) -> Started:
        """Begin a load for error records of a payload that is loaded."""

    async def expired(self, *, before: datetime, limit: int) -> Sequence[Payload]:
        """Loaded payloads whose raw body is due to be removed."""

    async def forget_raw(self, payload: Payload) -> None: ...

    async def spool_files(self) -> frozenset[str]:
        """Names in the spool folder that something refers to."""

    async def payloads(
        self, *, before: PayloadId | None = None, limit: int = 50
    ) -> Sequence[Payload]: ...

    async def arrived_events(
        self, *, after: tuple[int, int] = (0, 0), limit: int = 500
    ) -> Sequence[ArrivedEvent]:
        """Events of loaded payloads after (load, id)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """`worked`: there may be more. `endpoints` and `serials` are whom a payload that is seen since
    now brings data of, as it names them."""

    worked: bool = False
    endpoints: tuple[EndpointId, ...] = ()
    serials: tuple[str, ...] = ()


class Intake(Protocol):
    """Takes in what waits in the inbox. The engine calls it in a loop of its own."""

    async def once(self) -> "Loaded":
        """Take in one payload, if one waits."""

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """`head` is how the body begins. Where `position` is known, `excerpt` is what stands about it,
    from the byte `excerpt_from` on. `size` is that of the whole body, None where it is not known;
    `removed`: the body itself is no longer kept. Positions count the body in UTF-8.
    """

    head: bytes
    size: int | None = None
    complete: bool = True
    position: int | None = None
    excerpt: bytes = b""
    excerpt_from: int = 0
    removed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TablesInForce:
    """How many rows each table has, and since when they are in force."""

    quantities: int
    conditions: int
    events: int
    storm_rules: int
    since: datetime


class ErrorRecordStore(Protocol):
    """What error records need from the store beside `DataStore`."""

    async def payload(self, payload: PayloadId) -> Payload | None: ...

    async def payload_of(self, inbox: InboxId) -> Payload | None: ...

    async def raw(self, inbox: InboxId) -> bytes:
        """The body in the inbox, b"" where there is none."""

    async def discard_error(self, error: int, *, by: str, reason: str, now: datetime) -> None:
        """Raises NotFound, Conflict for one that is not open."""

    async def corrected(
        self, payload: PayloadId, *, corrected_by: bytes, now: datetime
    ) -> int | None:
        """A file (by its digest) was handed in for what is wrong with `payload`. Once that file is
        loaded without a bad part, close the payload's bad parts, and the payload itself where it
        was refused as a whole. How many were closed; None: the file is not loaded that well, or
        is the payload itself.

        Raises NotFound.
        """

    async def replaced(
        self,
        payload: PayloadId,
        errors: Mapping[int, Normal],
        *,
        ids: Sequence[IdType],
        corrected_by: bytes,
        now: datetime,
    ) -> int:
        """Close those of the payload's error records, by number, each of whose values the file
        has: of the same device, kind, quantity, source and interval length, for the same time.
        Where the file repeated values that were there before it, those count as its own. How many
        were closed."""

    async def note_tables(self, tables: TablesInForce, *, by: str) -> None:
        """Into the audit."""
