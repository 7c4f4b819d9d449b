"""What the engine needs from outside: Store, HeadEnd, DeviceRegistry, Sink, Clock. Small Protocols.

The store works in batches and every call is idempotent: a batch may be run again as a whole after
a lost connection. A call that returns has its effect on disk; a call that raises StoreFailed has
an unknown effect, and nothing is acknowledged until recovery from disk (I12).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from adapter.commands.activity import Command, Communication, State, Work
from adapter.commands.calls import Answer, Call
from adapter.commands.effects import Severity
from adapter.commands.flows import CommandKind, Operation
from adapter.commands.outcomes import EndpointOutcome
from adapter.commands.usage_limits import Debit as Debit
from adapter.commands.usage_limits import Uses
from adapter.engine.listing import ANYBODYS, AskedFilter, Listing
from adapter.engine.registry.ports import Import as Import
from adapter.engine.registry.ports import Known
from adapter.engine.upkeep.set_aside import SetAside
from adapter.model.device import DeviceView, InstallEvent
from adapter.model.ids import (
    CommandId,
    CommunicationId,
    DeviceId,
    EndpointId,
    EventId,
    InboxId,
    RequestToken,
)
from adapter.model.reading import InitialMeasurement

if TYPE_CHECKING:  # not worth loading the contract for
    from adapter.wire.codec import ReadMessage


class Clock(Protocol):
    """Only the engine's edges read it. What people dated is judged by `now`; `elapsed_s` measures
    how long something has lasted within this process."""

    def now(self) -> datetime:
        """The machine's wall clock: aware, UTC. It may be set, forward and back."""

    def elapsed_s(self) -> float:
        """Seconds on a counter that is never set; suspended time counts where the machine can."""

    async def wait(self, until: datetime) -> None:
        """Return when `now()` has reached `until`."""


class Permit(Protocol):
    """Leave to make one call, within the limits of the head end."""

    async def call(self, call: Call) -> Answer:
        """Raises NotSent, Refused or OutcomeUnknown; nothing else."""

    def release(self) -> None:
        """Give the place back; without effect once it was used."""


class HeadEnd(Protocol):
    async def admit(self, operation: Operation, priority: str, *, wait_s: float) -> Permit:
        """A place within `wait_s` seconds, urgent ones first. Raises NotSent when none is free."""


class DeviceRegistry(Protocol):
    """Master data: devices, service points, install events. A site may bring its own."""

    async def views(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, DeviceView]:
        """The devices that exist, with where they stand now."""

    async def at_endpoints(
        self, endpoints: Sequence[EndpointId]
    ) -> Mapping[EndpointId, Sequence[DeviceView]]:
        """The devices that name each endpoint, in any spelling (`endpoint_key`), and are not
        removed: one, or nobody can tell whose it is."""

    async def members(self, group: str) -> Sequence[DeviceId]:
        """The devices that belong to a head end group, in a fixed order."""

    async def apply(self, installs: Sequence[InstallEvent], cause: EventId) -> None:
        """Take install events as they became. The same cause again changes nothing.

        The built-in registry does nothing here: its rows change in the transaction that marks the
        completion event executed (`Change.installs`).
        """


# ---------------------------------------------------------------- rows that go in


class AuditNote(Struct, frozen=True, kw_only=True, gc=False):
    """One audit entry: who did what to which subject, and why. Never a secret, never a name."""

    actor: str
    action: str
    subject: str
    detail: Mapping[str, object] = {}


class Publication(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One event for the outside. `id` is fixed: the receiver keys on it (I2). `traceparent` is the
    trace that it is told of, where there is one."""

    id: EventId
    type: str
    subject: str
    severity: Severity
    data: Mapping[str, object]
    traceparent: str = ""


class Spooled(Struct, frozen=True, kw_only=True, gc=False):
    """A body that is on disk apart from the store, compressed; its inbox row's `raw` is empty.

    `file` is its name in the spool folder, `size` its bytes, `digest` their SHA-256.
    """

    file: str
    size: int
    digest: bytes


class MessageDamaged(Exception):
    """The bytes of a stored message are not those that were received."""


ROW_BYTES: Final = 1024
"""What a row of the inbox costs beside its bytes."""


class InboxState(StrEnum):
    NEW = "new"
    PARKED = "parked"
    APPLIED = "applied"
    IGNORED = "ignored"
    STORED = "stored"
    """Data, events, exceptions: taken in where there is an intake, kept raw and listed."""
    LOADING = "loading"
    """Data, events, exceptions: waiting to be taken in, or being taken in."""
    QUARANTINED = "quarantined"
    DISCARDED = "discarded"


class Rejection(Struct, frozen=True, kw_only=True, gc=False):
    """Why a message was refused when it came; `stranger`: without the right credentials.

    Where `counted`, one that comes again from the same address for the same cause makes the row
    of the first count one more, as long as that is quarantined.
    """

    cause: str
    stranger: bool = False
    counted: bool = False


class Received(Struct, frozen=True, kw_only=True, gc=False):
    """One inbound message as it came. `operation` is "" when it could not be told.

    `communication` is set when the callback address named one and its signature was right.
    """

    operation: str
    raw: bytes
    at: datetime
    communication: CommunicationId | None = None
    remote: str = ""
    state: InboxState = InboxState.NEW
    reason: str = ""
    spool: Spooled | None = None
    rejection: Rejection | None = None
    message: "ReadMessage | None" = None
    """What the body says, where the door has read it already; it is not stored."""


def refusal_of(inbox: InboxId, received: Received) -> AuditNote | None:
    """What the audit says of a message that was refused at the door."""
    if received.state is not InboxState.QUARANTINED:
        return None
    return AuditNote(
        actor="listener",
        action="Refused",
        subject=f"inbox:{inbox}",
        detail={"reason": received.reason},
    )


class Disposition(Struct, frozen=True, kw_only=True, gc=False):
    """What became of an inbox row."""

    inbox: InboxId
    state: InboxState
    reason: str = ""
    command: CommandId | None = None
    token: RequestToken | None = None
    wake: datetime | None = None


class JudgedMessage(Struct, frozen=True, kw_only=True, gc=False):
    """A message that is stored with what became of it, in the transaction of its effect."""

    received: Received
    state: InboxState
    reason: str
    command: CommandId
    token: RequestToken


class Submission(Struct, frozen=True, kw_only=True, gc=False):
    """A new command, already stepped to its first resting state, with what goes with it.

    `key` is the requester's idempotency key and `content` a hash of what was asked; `lanes` are
    taken in the same transaction, or the command is not stored at all. `steal` takes the lanes
    from whoever holds them (a reconnect through the fence). `leased` as in `Change`.
    """

    command: Command
    key: str | None
    content: str
    wake: datetime | None
    leased: frozenset[CommunicationId] = frozenset()
    lease_until: datetime | None = None
    lanes: tuple[str, ...] = ()
    steal: bool = False
    audit: tuple[AuditNote, ...] = ()
    publications: tuple[Publication, ...] = ()
    outcomes: tuple[EndpointOutcome, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """`repeated`: the same submission was accepted before; to the caller it is the same answer."""

    id: CommandId
    repeated: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """The key is known with the same content: this is its command."""

    id: CommandId


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyConflict:
    """The key is known with other content."""

    id: CommandId


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneTaken:
    """Nothing was stored: these lanes are held by these commands."""

    holders: Mapping[str, CommandId]


Submitted = Accepted | Duplicate | KeyConflict | LaneTaken


class Change(Struct, frozen=True, kw_only=True, gc=False):
    """One transaction's worth: all of it happens, or none.

    command       the aggregate as it becomes; its `version` is the one that was loaded, and the
                  save is refused (MOVED) when the row has another by now
    acquire       lanes to take (LANE_TAKEN when somebody holds one); release: give all back
    installs      install events; the built-in registry guards each by `version`
    debit         OVER_BUDGET when the bucket is empty
    uses          OVER_LIMIT when a limit has no room: then only that the communication waits is
                  stored. given_back: what did not leave; switches: HELD when those are held
    leased        communications whose work somebody has, until `lease_until`, as if claimed
    """

    command: Command | None = None
    wake: datetime | None = None
    leased: frozenset[CommunicationId] = frozenset()
    lease_until: datetime | None = None
    acquire: tuple[str, ...] = ()
    release: bool = False
    audit: tuple[AuditNote, ...] = ()
    publications: tuple[Publication, ...] = ()
    outcomes: tuple[EndpointOutcome, ...] = ()
    inbox: tuple[Disposition, ...] = ()
    received: tuple[JudgedMessage, ...] = ()
    installs: tuple[InstallEvent, ...] = ()
    measurements: tuple[InitialMeasurement, ...] = ()
    debit: Debit | None = None
    uses: Uses | None = None
    given_back: Uses | None = None
    switches: bool = False


class Saved(StrEnum):
    SAVED = "saved"
    MOVED = "moved"
    LANE_TAKEN = "lane_taken"
    OVER_BUDGET = "over_budget"
    OVER_LIMIT = "over_limit"
    HELD = "held"
    TOKEN_TAKEN = "token_taken"
    """A token in it is another communication's: the head end gave a stranger's, or one twice."""


# ---------------------------------------------------------------- rows that come out


class Leased(Struct, frozen=True, kw_only=True, gc=False):
    """One communication that has something to be done; its `wake` was moved on by the lease."""

    command: CommandId
    communication: CommunicationId
    operation: Operation
    priority: int


class InboxRow(Struct, frozen=True, kw_only=True, gc=False):
    id: InboxId
    operation: str
    raw: bytes
    at: datetime
    communication: CommunicationId | None
    remote: str
    state: InboxState
    reason: str
    command: CommandId | None = None
    token: RequestToken | None = None
    spool: str = ""
    """The file in the spool folder that holds the body, where `raw` does not."""
    spool_bytes: int = 0
    damaged: bool = False
    """What is kept in `raw` is not what was received."""
    times: int = 1
    """How often it came; above 1 where the same was refused again, last at `last_at`."""
    last_at: datetime | None = None


class Found(Struct, frozen=True, kw_only=True, gc=False):
    """A communication and the command it belongs to, as of a version of that."""

    command: CommandId
    version: int
    communication: Communication


class AuditEntry(Struct, frozen=True, kw_only=True, gc=False):
    """`digest` covers the entry and the digest before it, so that edits and gaps show (I6)."""

    seq: int
    at: datetime
    note: AuditNote
    previous: str
    digest: str


class PublicationRow(Struct, frozen=True, kw_only=True, gc=False):
    seq: int
    at: datetime
    publication: Publication


class Logged(Struct, frozen=True, kw_only=True, gc=False):
    """One SOAP message of a communication, for people; callback secrets are masked."""

    communication: CommunicationId
    at: datetime
    outbound: bool
    operation: str
    status: int
    body: bytes


class LoggedCall(Struct, frozen=True, kw_only=True, gc=False):
    """One call: what was asked, and what came back with which HTTP status. Two messages."""

    communication: CommunicationId
    sent_at: datetime
    replied_at: datetime
    operation: str
    request: bytes
    status: int
    reply: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What to list; None is any. Newest first, `limit` at most, older than `before`."""

    kind: CommandKind | None = None
    state: State | None = None
    device: DeviceId | None = None
    open_only: bool = False
    asked: AskedFilter = ANYBODYS
    before: CommandId | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Counts that must agree with each other (I10). `callbacks` are the StatusChanged messages that
    were taken and judged, as far as they are kept: those that came at the address of an attempt
    (`addressed`), at the bare one and were matched by their token alone (`by_token`), or by nothing
    yet (`unmatched`)."""

    accepted: int
    commands_by_state: Mapping[str, int]
    received: int
    inbox_by_state: Mapping[str, int]
    callbacks: Mapping[str, int]
    communications_by_state: Mapping[str, int]
    completion_events: Mapping[str, int]
    publications: int


class Store(Protocol):
    """Batch in, batch out. One contract suite holds every implementation."""

    set_aside: SetAside
    """Rows that failed unexpectedly. What is set aside, or waits for its next try, is in no answer
    of `claim`, `due` and `unread`; nor is what cannot be read, which is noted instead."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    # commands
    async def submit(self, batch: Sequence[Submission]) -> Sequence[Submitted]: ...

    async def load(self, ids: Sequence[CommandId]) -> Mapping[CommandId, Command]: ...

    async def save(self, batch: Sequence[Change]) -> Sequence[Saved]: ...

    async def claim(
        self,
        work: Work,
        *,
        limit: int,
        now: datetime,
        lease_until: datetime,
        skip: frozenset[Operation] = frozenset(),
    ) -> Sequence[Leased]:
        """Those whose `work` is due, most urgent and oldest first; `wake` := `lease_until`."""

    async def due(self, *, limit: int, now: datetime, lease_until: datetime) -> Sequence[CommandId]:
        """Commands whose own `wake` has passed; it is moved to `lease_until`."""

    async def free_claimed(self, *, now: datetime, until: datetime) -> int:
        """What another life of this process had claimed, at most `until`, is due when it was. How
        many. Right only where nobody else can have claimed it."""

    async def sending(self) -> Sequence[Leased]:
        """Communications in SENDING: after a restart, sends whose outcome nobody noted.

        A store that several processes may open must leave out those of processes that still live.
        """

    async def next_wake(self, skip: frozenset[Operation] = frozenset()) -> datetime | None:
        """When `claim` (of sends not of `skip`), `due` or `unread` can return something first."""

    async def find(
        self, *, communications: Sequence[CommunicationId] = (), tokens: Sequence[RequestToken] = ()
    ) -> Sequence[Found]: ...

    def at_hand(self, communication: CommunicationId) -> Found | None:
        """As `find`, where that needs no question to the store; it may have moved meanwhile."""

    async def holders(self, lanes: Sequence[str]) -> Mapping[str, CommandId]: ...

    # inbound
    async def receive(self, batch: Sequence[Received]) -> Sequence[InboxId]:
        """Durable when it returns; only then may the head end be answered (I4). A quarantined one
        has its audit entry in the same transaction (I6). A rejected one that is only counted gives
        the number of the row that counts it."""

    async def park(
        self, received: Received, token: RequestToken, reason: str, wake: datetime
    ) -> bool:
        """Store a callback of the bare address as parked. False, and nothing was done: its token is
        known."""

    async def bound_quarantine(self, most_bytes: int) -> int:
        """Remove rejected messages until what may be removed costs no more than so much: those of
        strangers first, then those of callers, then callbacks at the bare address whose token
        nobody knows; of each the oldest. What came at an address of its own, else was answered 200,
        or was taken since, is not touched. How many bytes; the audit says which."""

    def free_bytes(self) -> int:
        """What is free on the disk that holds the store."""

    async def unread(self, *, limit: int, now: datetime) -> Sequence[InboxRow]:
        """NEW rows, and PARKED rows whose `wake` has passed.

        Those whose address names a communication come first, so that callbacks nobody knows hold
        up no order; a quarter is left to the others. Each oldest first.
        """

    async def untaken(self, until: datetime) -> bool:
        """Whether something that came by then is still to be looked at or taken in."""

    async def bound_parked(self, most: int) -> int:
        """Quarantine the oldest parked rows past so many, those that came at the bare address and
        those at an address of their own each by themselves. How many; the audit says which."""

    async def inbox(
        self, *, state: InboxState | None = None, limit: int = 50, before: InboxId | None = None
    ) -> Sequence[InboxRow]: ...

    async def inbox_row(self, inbox: InboxId) -> InboxRow | None: ...

    # measurements
    async def measurements(
        self, device: DeviceId, *, limit: int = 100
    ) -> Sequence[InitialMeasurement]: ...

    # queries
    async def list(self, wanted: Filter) -> Listing[Command, CommandId]:
        """A row that cannot be read keeps no other out."""

    async def by_key(self, key: str) -> CommandId | None: ...

    async def outcomes(self, command: CommandId) -> Sequence[EndpointOutcome]: ...

    async def audit(
        self, *, subject: str | None = None, after: int = 0, limit: int = 1000
    ) -> Sequence[AuditEntry]:
        """Entries of a subject (a command's include those of its communications), oldest first."""

    async def verify_audit(self, heads: Sequence[tuple[int, str]] = ()) -> int:
        """Walk the whole chain; the number of entries. Raises StoreFailed at the first break, where
        it does not pass through `heads`, which were noted elsewhere, and where the ledger's counts
        are not those of the rows."""

    async def audit_head(self) -> tuple[int, str]:
        """Number and digest of the last durable entry, to be noted outside the store."""

    async def ledger(self) -> Ledger: ...

    def log_call(self, call: LoggedCall) -> None:
        """Written with what is saved next, or soon after; a crash may lose it."""

    async def messages(self, command: CommandId) -> Sequence[Logged]:
        """Those of all calls that were logged before, and the callbacks."""

    # events out
    async def outbox(self, sink: str, *, limit: int) -> Sequence[PublicationRow]:
        """What `sink` has not confirmed yet, in order."""

    async def publications(self, sink: str, numbers: Sequence[int]) -> Sequence[PublicationRow]:
        """Those of the numbers that are there, whatever `sink` has confirmed."""

    async def delivered(self, sink: str, seq: int) -> None:
        """`sink` has everything up to and including `seq`. A crash soon after may forget it."""

    # registry
    async def known(self, what: Import) -> Known:
        """What the registry has that the import is about."""

    async def import_(
        self,
        what: Import,
        *,
        asked: Import | None = None,
        seen: Known | None = None,
        audit: Sequence[AuditNote] = (),
    ) -> Saved:
        """Write the members as they are, with their audit entries, in one transaction.

        MOVED, and nothing is written, where `known(asked)` is not `seen` any more. `asked` is
        `what` unless given; without `seen` nothing of it may be known yet.
        """

    async def views(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, DeviceView]: ...

    async def at_endpoints(
        self, endpoints: Sequence[EndpointId]
    ) -> Mapping[EndpointId, Sequence[DeviceView]]: ...

    async def members(self, group: str) -> Sequence[DeviceId]: ...

    async def shared_endpoints(self) -> Mapping[EndpointId, Sequence[DeviceView]]:
        """Endpoints of more than one device that is not removed; it looks through all."""

    async def devices(
        self, *, after: DeviceId | None = None, limit: int = 100
    ) -> Sequence[DeviceView]: ...


class Sink(Protocol):
    """Where publications go: at least once, in order, each with its fixed id."""

    name: str

    async def deliver(self, batch: Sequence[PublicationRow]) -> None:
        """Return when the receiver has them; raise to have them offered again."""
