"""Subscriptions kept up: checked at the start and then again and again; a silence is told."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from adapter.commands.effects import Severity
from adapter.engine.commands.ports import AuditNote, Clock, Publication
from adapter.engine.upkeep.set_aside import RowKind, SetAside
from adapter.engine.upkeep.signals import Signal, Signals
from adapter.errors import HeadEndError, Refused
from adapter.model.ids import EventId
from adapter.subscriptions.reconcile import (
    NOT_THERE,
    THERE_ALREADY,
    Generation,
    Held,
    SubscriptionCall,
    SubscriptionKind,
    SubscriptionOperation,
    WantedSubscription,
    to_do,
)
from adapter.subscriptions.silence import SilencePolicy, allowed

log = logging.getLogger(__name__)

_HISTORY: Final = timedelta(days=29)
_SILENCE: Final = "silence"
_LOOK_S: Final = 60.0
"""How often the arrivals are counted and the silence is judged."""


class SubscriptionHeadEnd(Protocol):
    async def ask(self, call: SubscriptionCall) -> tuple[Held, ...]:
        """Raises NotSent, Refused or OutcomeUnknown; nothing else. Harmless to repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionState:
    """What was found at the last check. `detail` says what is wrong, or what was done."""

    kind: SubscriptionKind
    address: str
    healthy: bool
    detail: str
    checked_at: datetime
    since: datetime
    """Since when it is healthy, or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """`last` is the last arrival, `watched` when the looking began; `allowed_s` None: too little is
    known to judge. `alarm` is when the silence was found to be longer than that."""

    last: datetime | None = None
    watched: datetime | None = None
    allowed_s: float | None = None
    alarm: datetime | None = None


class SubscriptionStore(Protocol):
    set_aside: SetAside

    async def subscription_states(self) -> Mapping[SubscriptionKind, SubscriptionState]:
        """Those that can be read."""

    async def subscription_state(self, kind: SubscriptionKind) -> SubscriptionState | None: ...

    async def put_subscription(
        self,
        state: SubscriptionState,
        *,
        audit: Sequence[AuditNote] = (),
        publications: Sequence[Publication] = (),
    ) -> None: ...

    async def count_arrivals(self) -> None:
        """Take what came into the inbox since the last time into the hours."""

    async def arrivals(self, since: datetime) -> Sequence[datetime]:
        """The last arrival of each hour that has one, oldest first."""

    async def silence(self) -> Silence: ...

    async def put_silence(
        self, silence: Silence, *, publications: Sequence[Publication] = ()
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepSettings:
    wanted: tuple[WantedSubscription, ...] = ()
    check_every_s: float = 3600.0
    retry_s: float = 60.0
    silence: SilencePolicy | None = field(default_factory=SilencePolicy)
    """None: silence is not looked at."""


class Subscriptions:
    """What the head end was asked to send, and whether it has fallen silent. `once` keeps it up;
    `check` asks the head end now. Silence is not judged while `paused`: how long it has lasted is
    not known while the clock is in doubt.

    Raises StoreFailed. What the head end refuses or leaves open is in the state of the
    subscription, and is no error.
    """

    def __init__(
        self,
        store: SubscriptionStore,
        head_end: SubscriptionHeadEnd,
        clock: Clock,
        settings: UpkeepSettings,
        *,
        paused: Callable[[], bool] = lambda: False,
        signals: Signals | None = None,
    ) -> None:
        self._signals = signals or Signals(clock)
        self._store = store
        self._head_end = head_end
        self._clock = clock
        self._settings = settings
        self._set_aside = store.set_aside
        self._paused = paused
        self._next_check_s = clock.elapsed_s()
        self._next_look_s = clock.elapsed_s()

    async def once(self) -> int:
        """What is due: the check against the head end, the look at the silence."""
        now = self._clock.elapsed_s()
        worked = 0
        again = await self._set_aside.again(RowKind.SUBSCRIPTION)
        if self._settings.wanted and now >= self._next_check_s:
            good = await self.check()
            wait_s = self._settings.check_every_s if good else self._settings.retry_s
            self._next_check_s = now + wait_s
            worked += 1
        else:
            for wanted in self._settings.wanted:
                if wanted.kind in again:
                    await self._attend(wanted)
        policy = self._settings.silence
        due = now >= self._next_look_s or _SILENCE in again
        if policy is not None and due and not self._paused():
            if not self._set_aside.held(RowKind.SUBSCRIPTION, _SILENCE):
                look = self._look(policy)
                await self._set_aside.attend(RowKind.SUBSCRIPTION, _SILENCE, look)
            self._next_look_s = now + _LOOK_S
            worked += 1
        return worked

    async def states(self) -> Sequence[SubscriptionState]:
        found = await self._store.subscription_states()
        return [found[kind] for kind in SubscriptionKind if kind in found]

    async def silence(self) -> Silence:
        return await self._store.silence()

    # ------------------------------------------------------------ upkeep

    async def check(self) -> bool:
        """Compare with the head end, bring about what is missing. Whether all is good now."""
        good = True
        for wanted in self._settings.wanted:
            if self._set_aside.held(RowKind.SUBSCRIPTION, wanted.kind):
                good = False
            else:
                state = await self._attend(wanted)
                good &= state is not None and state.healthy
        return good

    async def _attend(self, wanted: WantedSubscription) -> SubscriptionState | None:
        check = self._check_one(wanted)
        return await self._set_aside.attend(RowKind.SUBSCRIPTION, wanted.kind, check)

    async def _check_one(self, wanted: WantedSubscription) -> SubscriptionState:
        now = self._clock.now()
        before = await self._store.subscription_state(wanted.kind)
        try:
            calls = to_do(wanted, await self._held(wanted))
            for call in calls:
                await self._make(call)
            good, detail = True, ", ".join(call.operation.partition(".")[2] for call in calls)
        except HeadEndError as error:
            good, detail = False, f"{error.code}: {error}"[:500]
        changed = before is None or before.healthy is not good or before.address != wanted.address
        state = SubscriptionState(
            kind=wanted.kind,
            address=wanted.address,
            healthy=good,
            detail=detail,
            checked_at=now,
            since=now if changed or before is None else before.since,
        )
        told = [_told(state)] if changed and (before is not None or not good) else []
        notes = [_note(state)] if changed or (good and detail and before is None) else []
        await self._store.put_subscription(state, audit=notes, publications=told)
        if not good:
            log.warning("subscription_failed", extra={"kind": wanted.kind, "error": detail})
        return state

    async def _held(self, wanted: WantedSubscription) -> Sequence[Held] | None:
        if wanted.generation is Generation.DATA_SERVICE:
            return None
        ask = SubscriptionCall(operation=SubscriptionOperation.LIST, system=wanted.system)
        try:
            return await self._head_end.ask(ask)
        except Refused as refused:
            if refused.fault.name in NOT_THERE:
                return ()
            raise

    async def _make(self, call: SubscriptionCall) -> None:
        """Say what is wanted; that it is so already, or was never there to cancel, is as good."""
        try:
            await self._head_end.ask(call)
        except Refused as refused:
            if refused.fault.name not in (THERE_ALREADY | NOT_THERE):
                raise

    # ------------------------------------------------------------ silence

    async def _look(self, policy: SilencePolicy) -> None:
        now = self._clock.now()
        await self._store.count_arrivals()
        arrivals = await self._store.arrivals(now - _HISTORY)
        before = await self._store.silence()
        span = allowed(policy, arrivals, now)
        last = arrivals[-1] if arrivals else None
        watched = min(before.watched or now, now)
        silent = span is not None and now - (last or watched) > span
        after = Silence(
            last=last,
            watched=watched,
            allowed_s=None if span is None else span.total_seconds(),
            alarm=(before.alarm or now) if silent else None,
        )
        if after == before:
            return
        told: list[Publication] = []
        if (after.alarm is None) is not (before.alarm is None):
            told.append(_silence_told(before if after.alarm is None else after, after))
        await self._store.put_silence(after, publications=told)
        if told:
            signal = Signal.SILENCE_OVER if after.alarm is None else Signal.HEAD_END_SILENT
            self._signals.tell(signal, last_arrival=after.last, allowed_s=after.allowed_s)


def _silence_told(alarm: Silence, after: Silence) -> Publication:
    """One for the alarm, one for its end; both keyed by when the alarm was raised."""
    silent = after.alarm is not None
    began = alarm.alarm.isoformat() if alarm.alarm is not None else ""
    return Publication(
        id=EventId(f"silence:{began}:{'raised' if silent else 'over'}"),
        type=f"openway.head_end.{'silent' if silent else 'silence_over'}",
        subject="head_end",
        severity=Severity.CRITICAL if silent else Severity.INFO,
        data={
            "last_arrival": after.last,
            "allowed_s": alarm.allowed_s,
            "raised_at": alarm.alarm,
        },
    )


def _told(state: SubscriptionState) -> Publication:
    word = "restored" if state.healthy else "failed"
    return Publication(
        id=EventId(f"subscription:{state.kind}:{word}:{state.since.isoformat()}"),
        type=f"openway.subscription.{word}",
        subject=f"subscription:{state.kind}",
        severity=Severity.INFO if state.healthy else Severity.CRITICAL,
        data={"address": state.address, "detail": state.detail},
    )


def _note(state: SubscriptionState) -> AuditNote:
    return AuditNote(
        actor="gateway",
        action="SubscriptionHealthy" if state.healthy else "SubscriptionFailed",
        subject=f"subscription:{state.kind}",
        detail={"address": state.address, "detail": state.detail},
    )
