"""Why no switch order may leave now. Several reasons may hold at once; each is in the store.

A held order is not lost and not failed: it stays where it is until the last reason has gone. A
reason goes by itself, where what it is about has been settled, or when a person says so.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from adapter.commands.effects import Severity
from adapter.engine.commands.ports import AuditNote, Clock, Publication
from adapter.engine.upkeep.signals import Signal, Signals
from adapter.errors import InvalidRequest, NotFound
from adapter.model.ids import EventId

MOST_REASON: Final = 500
"""Characters of why somebody holds, or lets go on."""


class HoldReason(StrEnum):
    CLOCK = "clock"
    """The wall clock does not show what it should."""
    OLDER_STORE = "older_store"
    """The store may be an older copy, which does not know what was sent since."""
    WITNESS = "witness"
    """The witness cannot be written: a copy of the store would not be known for one."""
    STOPPED = "stopped"
    """People have stopped switching; two of them take it back."""


ACTIONS: Final = {
    HoldReason.CLOCK: "set the machine's clock right; or, where it is right, confirm it: "
    "openway clock confirm --reason TEXT",
    HoldReason.OLDER_STORE: "find out what was sent since, cancel what must not leave again, then: "
    "openway holds confirm older_store --reason TEXT",
    HoldReason.WITNESS: "make the witness's file writable: it is tried again every few seconds",
    HoldReason.STOPPED: "find out why; then, by two people one after the other: "
    "openway switching resume --reason TEXT",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """`since` by the wall clock. Of the clock: `off_by_s`, and the last audit entry before that.
    `by` is who has stopped switching."""

    reason: HoldReason
    since: datetime
    text: str
    off_by_s: float = 0.0
    after: int | None = None
    by: str = ""

    @property
    def action(self) -> str:
        """What people can do about it."""
        return ACTIONS[self.reason]


class HoldStore(Protocol):
    async def holds(self) -> Sequence[Hold]: ...

    async def put_hold(
        self, hold: Hold, *, audit: Sequence[AuditNote], publications: Sequence[Publication]
    ) -> None: ...

    async def drop_hold(
        self,
        reason: HoldReason,
        *,
        audit: Sequence[AuditNote],
        publications: Sequence[Publication],
        seen: datetime | None,
    ) -> None:
        """In one transaction; with `seen` the time that the clock is known to be right at."""

    async def clock_seen(self) -> datetime | None:
        """What the wall clock should show at the least; of an older store its newest entry."""

    async def put_clock_seen(self, at: datetime) -> None: ...

    async def newest(self) -> int:
        """The number of the last audit entry."""

    async def switches_open(self) -> bool:
        """Whether a connect, a disconnect or a service order is open, which may ask for one."""

    async def last_dated(self, after: int, *, since: datetime, until: datetime) -> int | None:
        """The number of the last audit entry after this one with a date between the two."""


Confirm = Callable[[str, str], Awaitable[None]]
"""Called with who confirms and why; whoever holds knows how its reason is lifted."""


class SwitchHolds:
    """The reasons that hold now. Without a store they are forgotten with the process.

    `doubt` is asked before each send as well: whether there is a reason that nobody has noted yet.
    `witnessed` is called when the intent to send is stored, before it leaves: False where nothing
    outside the store knows of it, and nothing may leave.
    """

    def __init__(
        self, store: HoldStore | None, clock: Clock, signals: Signals | None = None
    ) -> None:
        self._store = store
        self._signals = signals or Signals(clock)
        self._clock = clock
        self._holds: dict[HoldReason, Hold] = {}
        self._unstored: set[HoldReason] = set()
        self.doubt: Callable[[], bool] = lambda: False
        self.witnessed: Callable[[], Awaitable[bool]] = _nobody_asks
        self.confirmers: dict[HoldReason, Confirm] = {}
        self._stopping = 0
        self.lifted: Callable[[], None] = lambda: None
        """Told when a reason has gone: a hint."""

    async def load(self) -> None:
        """Take over what an earlier process held for."""
        if self._store is not None:
            self._holds = {hold.reason: hold for hold in await self._store.holds()}

    def barred(self) -> bool:
        """Whether a switch order must not leave now."""
        return bool(self._holds or self._stopping) or self.doubt()

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """Nothing leaves meanwhile, however long the store takes to keep the reason."""
        self._stopping += 1
        try:
            yield
        finally:
            self._stopping -= 1

    def of(self, reason: HoldReason) -> Hold | None:
        return self._holds.get(reason)

    @property
    def doubts_clock(self) -> bool:
        """Whether nothing may be done now only because of its date."""
        return HoldReason.CLOCK in self._holds or self.doubt()

    def all(self) -> Sequence[Hold]:
        """The longest first."""
        return sorted(self._holds.values(), key=lambda hold: (hold.since, hold.reason))

    async def hold(self, hold: Hold, *, by: str = "gateway") -> None:
        """Hold for this reason; one that holds already is said anew. Durable when it returns: what
        the store could not keep holds in this process, and is written by the next call."""
        known = self._holds.get(hold.reason)
        stored = known is not None and self.is_stored(hold.reason)
        if known == hold and stored:
            return
        self._holds[hold.reason] = hold
        clock = hold.reason is HoldReason.CLOCK
        signal = Signal.CLOCK_DOUBTED if clock else Signal.SWITCH_ORDERS_HELD
        self._signals.tell(signal, hold=hold.reason, reason=hold.text)
        if self._store is None:
            return
        note = _note(by, "SwitchOrdersHeld", hold.reason, {"reason": hold.text})
        told = [] if stored else [self.told(hold, over=False)]
        self._unstored.add(hold.reason)
        await self._store.put_hold(hold, audit=[note], publications=told)
        self._unstored.discard(hold.reason)

    def is_stored(self, reason: HoldReason) -> bool:
        """Whether a restart would still hold for it."""
        return reason not in self._unstored

    async def lift(
        self, reason: HoldReason, *, by: str, why: str, seen: datetime | None = None
    ) -> None:
        """This reason is settled."""
        hold = self._holds.get(reason)
        if hold is None:
            return
        if self._store is not None:
            detail = {"reason": why, "held_for": hold.text, "held_since": hold.since.isoformat()}
            await self._store.drop_hold(
                reason,
                audit=[_note(by, "SwitchOrdersReleased", reason, detail)],
                publications=[self.told(hold, over=True)],
                seen=seen,
            )
        self.forget(reason, by=by, why=why)

    def forget(self, reason: HoldReason, *, by: str, why: str) -> None:
        """It has gone from the store."""
        self._holds.pop(reason, None)
        left = ", ".join(self._holds)
        self._signals.tell(
            Signal.SWITCH_ORDERS_RELEASED, hold=reason, by=by, reason=why, still_held_for=left
        )
        self.lifted()

    async def confirm(self, reason: str, *, by: str, why: str) -> None:
        """A person says that this reason is settled. Raises InvalidRequest, NotFound."""
        if not why.strip() or len(why) > MOST_REASON:
            raise InvalidRequest("reason", f"1 to {MOST_REASON} characters that say why")
        known = next((each for each in self._holds if each == reason), None)
        if known is None:
            raise NotFound(f"no switch orders are held for {reason[:60]!r}")
        confirmer = self.confirmers.get(known)
        if confirmer is not None:
            await confirmer(by, why)
        await self.lift(known, by=by, why=why)

    def told(self, hold: Hold, *, over: bool) -> Publication:
        """One for the beginning, one for the end; both keyed by when it began."""
        end = "released" if over else "held"
        return Publication(
            id=EventId(f"switch_hold:{hold.reason}:{hold.since.isoformat()}:{end}"),
            type=f"openway.gateway.switch_orders_{end}",
            subject="gateway",
            severity=Severity.INFO if over else Severity.CRITICAL,
            data={"reason": hold.reason.value, "since": hold.since, "text": hold.text},
        )


async def _nobody_asks() -> bool:
    return True


def _note(actor: str, action: str, reason: HoldReason, detail: Mapping[str, str]) -> AuditNote:
    return AuditNote(actor=actor, action=action, subject=f"switch_hold:{reason}", detail=detail)
