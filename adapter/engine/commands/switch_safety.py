"""Switching stopped by people and taken back by two; what caps and quotas have left, what waits for
room, and who lets more pass than they allow.

Nothing here decides whether a request may leave: that is judged in the transaction of the intent
to send (`store/commands/usage_limits.py`), and once more before the first byte.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from msgspec import Struct

from adapter.commands.activity import Command
from adapter.commands.effects import Severity
from adapter.commands.rules import SwitchPolicy
from adapter.commands.usage_limits import (
    UsageLimits,
    day_of,
    hour_of,
    next_hour,
    spread_again,
    used_up_at,
)
from adapter.engine.commands.ports import AuditNote, Clock, Publication
from adapter.engine.commands.switch_holds import MOST_REASON, Hold, HoldReason, SwitchHolds
from adapter.errors import Conflict, Forbidden, InvalidRequest, NotFound
from adapter.model.ids import CommandId, CommunicationId, EventId
from adapter.model.names import alike

_SUBJECT: Final = "switching"
_HOUR: Final = timedelta(hours=1)
_USES_KEPT: Final = timedelta(days=62)
_OVERRIDES_KEPT: Final = timedelta(days=400)
_TIDY_EVERY_S: Final = 60.0
_MOST_OVERRIDES: Final = 100
"""So many may be in force at once."""


class ResumeRequest(Struct, frozen=True, kw_only=True, gc=False):
    """Somebody asks that switching goes on. `why` is what he says; until `expires_at` another
    person may confirm it."""

    id: str
    by: str
    why: str
    at: datetime
    expires_at: datetime


class LimitOverride(Struct, frozen=True, kw_only=True, gc=False):
    """Somebody lets more pass than `limit` allows; empty: than any limit allows. It ends by itself
    at `ends_at`; `ended_at` is when it did, or was ended before that by `ended_by`."""

    id: str
    limit: str
    by: str
    why: str
    begins_at: datetime
    ends_at: datetime
    ended_at: datetime | None = None
    ended_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchCounts:
    """Connects and disconnects that are open. `queued` would leave now but for holds and limits;
    `not_due` wait for their date, a person or a step before; `sent` have left for the head end or
    were carried out, and cannot be called back; `in_doubt`: nobody knows whether the head end has
    them, or whether the switch has moved."""

    queued: int = 0
    not_due: int = 0
    sent: int = 0
    in_doubt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchingState:
    """How switching stands. `stop` is there while people have stopped it, `resume` while one of
    them has asked that it goes on; `holds` are all reasons why nothing leaves."""

    stop: Hold | None
    resume: ResumeRequest | None
    holds: Sequence[Hold]
    counts: SwitchCounts
    waiting: int = 0
    """Requests that wait for room in a cap or quota."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitTotal:
    """Those that wait for room in one limit: `first` is when the next may leave, `last` when the
    last of them may, as it looks now."""

    limit: str
    member: str
    waiting: int
    since: datetime
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    command: CommandId
    communication: CommunicationId
    limit: str
    member: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitState:
    """What one limit has counted of one member, in this hour and this day of the site. At the rate
    of the last hour the day's number is used up at `used_up_at`; null: not today."""

    limit: str
    member: str
    per_hour: int | None
    used_this_hour: int
    hour_ends_at: datetime
    per_day: int | None
    used_today: int
    day_ends_at: datetime
    used_up_at: datetime | None
    waiting: WaitTotal | None
    override: LimitOverride | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldReconnect:
    """A connect that would leave now; `dark`: its service point has no supply."""

    command: CommandId
    order: str
    device: str
    service_point: str
    dark: bool
    since: datetime


Told = Sequence[Publication]
Used = Mapping[tuple[str, str], Mapping[datetime, int]]
"""By limit and member, what was used in each hour."""


class SwitchSafetyStore(Protocol):
    async def counts(self) -> SwitchCounts: ...

    async def resume_request(self) -> ResumeRequest | None: ...

    async def put_resume_request(
        self, request: ResumeRequest | None, *, audit: AuditNote, told: Told
    ) -> None:
        """None: there is none any more."""

    async def resume(
        self,
        request: str,
        *,
        at: datetime,
        later: Mapping[CommunicationId, datetime],
        audit: AuditNote,
        told: Told,
    ) -> bool:
        """In one transaction: the stop is over, and those of `later` are due then. False, and
        nothing was done, where this request is not there any more."""

    async def queued(self) -> Sequence[tuple[CommunicationId, CommandId]]:
        """Connects and disconnects that would leave now."""

    async def used(self, since: datetime) -> Used: ...

    async def wait_totals(self) -> Sequence[WaitTotal]: ...

    async def waits_of(
        self, communications: Sequence[CommunicationId]
    ) -> Mapping[CommunicationId, Waiting]:
        """Those of them that wait for room."""

    async def waiting(
        self, *, limit_name: str | None, after: str, limit: int
    ) -> Sequence[Waiting]: ...

    async def overrides(self, *, open_only: bool, limit: int) -> Sequence[LimitOverride]:
        """The newest first."""

    async def put_override(
        self, override: LimitOverride, *, wake: bool, audit: AuditNote, told: Told
    ) -> bool:
        """With `wake` what waits is looked at again. False, and nothing was done, where it has
        ended already."""

    async def held_reconnects(self, limit: int) -> Sequence[HeldReconnect]:
        """The oldest first."""

    async def look_again(self, now: datetime) -> int:
        """What waits for room is due now. How many."""

    async def tidy(self, *, uses_before: datetime, overrides_before: datetime) -> None:
        """Remove what nobody asks for any more."""


class LoadCommands(Protocol):
    async def __call__(self, ids: Sequence[CommandId], /) -> Mapping[CommandId, Command]: ...


_TOGETHER: Final = 500
"""Commands that are looked at together."""


@dataclass(slots=True)
class SwitchSafety:
    """Stop switching, go on by two people; limits and their overrides.

    Raises InvalidRequest, NotFound, Conflict, Forbidden and StoreFailed.
    """

    store: SwitchSafetyStore
    holds: SwitchHolds
    clock: Clock
    policy: SwitchPolicy
    limits: UsageLimits
    next_id: Callable[[], str]
    load: LoadCommands
    poke: Callable[..., None] = lambda *loops: None
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)
    _tidied_s: float = float("-inf")
    _may_end: bool = True
    """Whether an override is in force, or a request to go on is there, as far as is known."""

    def __post_init__(self) -> None:
        self.holds.confirmers[HoldReason.STOPPED] = self._two_are_needed

    async def _two_are_needed(self, by: str, why: str) -> None:
        raise Forbidden("two people take this back: openway switching resume --reason TEXT")

    async def start(self) -> None:
        """Other limits may be set than before."""
        await self.store.look_again(self.clock.now())

    # ------------------------------------------------------------ stop, go on

    async def state(self) -> SwitchingState:
        return SwitchingState(
            stop=self.holds.of(HoldReason.STOPPED),
            resume=await self._pending(),
            holds=self.holds.all(),
            counts=await self.store.counts(),
            waiting=sum([each.waiting for each in await self.store.wait_totals()]),
        )

    async def stop(self, *, by: str, why: str) -> SwitchingState:
        """From now on no connect and no disconnect leaves, whoever asks for it. Durable when it
        returns. What is at the head end stays there: the counts say how many. Whoever stops again
        withdraws a request to go on."""
        _check(why)
        with self.holds.stopping():
            async with self._one:
                known = self.holds.of(HoldReason.STOPPED)
                if known is None or not self.holds.is_stored(HoldReason.STOPPED):
                    text = f"{by} has stopped switching: {why}"
                    at = self.clock.now()
                    stop = Hold(reason=HoldReason.STOPPED, since=at, text=text, by=by)
                    await self.holds.hold(stop, by=by)
                else:
                    audit = _note(by, "SwitchingStoppedAgain", {"reason": why})
                    await self.store.put_resume_request(None, audit=audit, told=())
        return await self.state()

    async def resume(self, *, by: str, why: str, request: str | None = None) -> SwitchingState:
        """The first asks that switching goes on, another person confirms it. `request` is the one
        that is confirmed; None: the one that is there."""
        _check(why)
        async with self._one:
            stop = self.holds.of(HoldReason.STOPPED)
            if stop is None:
                raise Conflict("switching is not stopped")
            pending = await self._pending()
            if request is not None and (pending is None or pending.id != request):
                raise Conflict("this request is over: ask anew")
            if pending is None:
                await self._ask(by, why)
            elif alike(by, pending.by):
                raise Forbidden(f"{pending.by} has asked: another person has to confirm")
            else:
                await self._go_on(pending, stop, by, why)
        return await self.state()

    async def _pending(self) -> ResumeRequest | None:
        found = await self.store.resume_request()
        return None if found is None or found.expires_at <= self.clock.now() else found

    async def _ask(self, by: str, why: str) -> None:
        at = self.clock.now()
        expires = at + timedelta(seconds=self.policy.resume_s)
        made = ResumeRequest(id=self.next_id(), by=by, why=why, at=at, expires_at=expires)
        detail = {"reason": why, "request": made.id, "expires_at": expires.isoformat()}
        self._may_end = True
        await self.store.put_resume_request(
            made,
            audit=_note(by, "ResumeAsked", detail),
            told=[_told_of_request(made)],
        )

    async def _go_on(self, pending: ResumeRequest, stop: Hold, by: str, why: str) -> None:
        detail = {"reason": why, "asked_by": pending.by, "asked_for": pending.why}
        detail |= {"held_for": stop.text, "held_since": stop.since.isoformat()}
        done = await self.store.resume(
            pending.id,
            at=self.clock.now(),
            later=await self._spread_again(),
            audit=_note(by, "SwitchingResumed", detail),
            told=[self.holds.told(stop, over=True)],
        )
        if not done:
            raise Conflict("this request is over: ask anew")
        self.holds.forget(HoldReason.STOPPED, by=by, why=why)

    async def _spread_again(self) -> Mapping[CommunicationId, datetime]:
        """What was spread over a time leaves over a time again, not all at once."""
        if not self.policy.spread:
            return {}
        queued, now, hours = await self.store.queued(), self.clock.now(), self.policy.hours
        found: dict[CommunicationId, datetime] = {}
        for at in range(0, len(queued), _TOGETHER):
            some = queued[at : at + _TOGETHER]
            commands = await self.load([command for _, command in some])
            for communication, id_ in some:
                command = commands.get(id_)
                later = None if command is None else spread_again(command, hours, now=now)
                if later is not None:
                    found[communication] = later
        return found

    # ------------------------------------------------------------ limits

    async def limit_states(self) -> Sequence[LimitState]:
        """Of each limit those members that have used some of it today, or wait for it."""
        now, zone = self.clock.now(), self.limits.zone
        hour, hour_ends = hour_of(now, zone), next_hour(now, zone)
        day, day_ends = day_of(now, zone), day_of(now, zone, later=1)
        used = await self.store.used(min(day, hour - _HOUR))
        waits = {(each.limit, each.member): each for each in await self.store.wait_totals()}
        overrides = [
            each
            for each in await self.store.overrides(open_only=True, limit=_MOST_OVERRIDES)
            if each.ends_at > now
        ]
        bounds = {each.name: (each.per_hour, each.per_day) for each in self.limits.caps}
        bounds |= {each.name: (None, each.per_day) for each in self.limits.quotas}
        keys = {key for key in (*used, *waits) if key[0] in bounds}
        keys |= {(name, "all") for name in bounds if not any(key[0] == name for key in keys)}
        return [
            _state_of(
                key,
                bounds[key[0]],
                used.get(key, {}),
                (hour, hour_ends, day, day_ends, now),
                waits.get(key),
                next((each for each in overrides if each.limit in ("", key[0])), None),
            )
            for key in sorted(keys)
        ]

    async def waiting(
        self, *, limit_name: str | None = None, after: str = "", limit: int = 50
    ) -> Sequence[Waiting]:
        """What waits for room, by communication, behind that of `after`."""
        return await self.store.waiting(limit_name=limit_name, after=after, limit=limit)

    async def overrides(self, *, limit: int = 50) -> Sequence[LimitOverride]:
        """Also those that are over; the newest first."""
        return await self.store.overrides(open_only=False, limit=limit)

    async def override(self, limit: str, *, by: str, why: str, ends_at: datetime) -> LimitOverride:
        """Let more pass than a limit allows, until `ends_at`; "" is every limit. It is counted all
        the same."""
        _check(why)
        now = self.clock.now()
        if limit and limit not in self.limits.names:
            known = ", ".join(self.limits.names)
            rule = (
                f"is not one of {known}, all" if known else "no limit is set, so none is overridden"
            )
            raise InvalidRequest("limit", f"{limit[:40]}: {rule}")
        if not now < ends_at <= now + timedelta(seconds=self.policy.longest_override_s):
            most = f"{self.policy.longest_override_s:g}"
            raise InvalidRequest("ends_at", f"within the next {most} s: switch.longest_override_s")
        async with self._one:
            in_force = await self.store.overrides(open_only=True, limit=_MOST_OVERRIDES)
            if len(in_force) >= _MOST_OVERRIDES:
                raise Conflict(f"{_MOST_OVERRIDES} overrides are in force: end some of them")
            made = LimitOverride(
                id=self.next_id(), limit=limit, by=by, why=why, begins_at=now, ends_at=ends_at
            )
            self._may_end = True
            detail = {"reason": why, "limit": limit or "every", "ends_at": ends_at.isoformat()}
            await self.store.put_override(
                made,
                wake=True,
                audit=_note(by, "OverrideBegan", detail, subject=f"override:{made.id}"),
                told=[_told_of_override(made)],
            )
        self.poke("claim")
        return made

    async def end_override(self, override: str, *, by: str, why: str) -> LimitOverride:
        """Before its time. Raises NotFound, Conflict."""
        _check(why)
        all_open = await self.store.overrides(open_only=True, limit=_MOST_OVERRIDES)
        found = next((each for each in all_open if each.id == override), None)
        if found is None:
            raise NotFound(f"no override {override[:60]} is in force")
        ended = await self._end(found, self.clock.now(), by, why)
        if ended is None:
            raise Conflict("it has ended already")
        return ended

    async def _end(
        self, found: LimitOverride, at: datetime, by: str, why: str
    ) -> LimitOverride | None:
        ended = LimitOverride(
            id=found.id,
            limit=found.limit,
            by=found.by,
            why=found.why,
            begins_at=found.begins_at,
            ends_at=found.ends_at,
            ended_at=at,
            ended_by=by,
        )
        detail = {"reason": why, "limit": found.limit or "every", "begun_by": found.by}
        done = await self.store.put_override(
            ended,
            wake=False,
            audit=_note(by, "OverrideEnded", detail, subject=f"override:{found.id}"),
            told=[_told_of_override(ended)],
        )
        return ended if done else None

    # ------------------------------------------------------------ by itself

    async def once(self) -> int:
        """End what has come to its end."""
        now = self.clock.now()
        if self._may_end and not self.holds.doubts_clock:
            async with self._one:
                overrides = await self.store.overrides(open_only=True, limit=_MOST_OVERRIDES)
                over = [each for each in overrides if each.ends_at <= now]
                for each in over:
                    await self._end(each, each.ends_at, "gateway", "its time is over")
                request = await self.store.resume_request()
                if request is not None and request.expires_at <= now:
                    detail = {"request": request.id, "asked_by": request.by}
                    audit = _note("gateway", "ResumeExpired", detail)
                    await self.store.put_resume_request(None, audit=audit, told=())
                self._may_end = request is not None or len(over) < len(overrides)
        if self.clock.elapsed_s() - self._tidied_s >= _TIDY_EVERY_S:
            self._tidied_s = self.clock.elapsed_s()
            await self.store.tidy(
                uses_before=now - _USES_KEPT, overrides_before=now - _OVERRIDES_KEPT
            )
        return 0


def _state_of(
    key: tuple[str, str],
    bounds: tuple[int | None, int | None],
    used: Mapping[datetime, int],
    times: tuple[datetime, datetime, datetime, datetime, datetime],
    waiting: WaitTotal | None,
    override: LimitOverride | None,
) -> LimitState:
    hour, hour_ends, day, day_ends, now = times
    today = sum(count for at, count in used.items() if day <= at < day_ends)
    this_hour = sum(count for at, count in used.items() if hour <= at < hour_ends)
    # Of the hour before, as much as is needed to make a whole one of this.
    part = max(0.0, 1.0 - (now - hour) / _HOUR)
    before = sum(count for at, count in used.items() if hour - _HOUR <= at < hour)
    rate = this_hour + round(before * part)
    return LimitState(
        limit=key[0],
        member=key[1],
        per_hour=bounds[0],
        used_this_hour=this_hour,
        hour_ends_at=hour_ends,
        per_day=bounds[1],
        used_today=today,
        day_ends_at=day_ends,
        used_up_at=used_up_at(today, rate, bounds[1], now=now, end=day_ends),
        waiting=waiting,
        override=override,
    )


def _check(why: str) -> None:
    if not why.strip() or len(why) > MOST_REASON:
        raise InvalidRequest("reason", f"1 to {MOST_REASON} characters that say why")


def _note(by: str, action: str, detail: Mapping[str, str], subject: str = _SUBJECT) -> AuditNote:
    return AuditNote(actor=by, action=action, subject=subject, detail=detail)


def _told_of_request(request: ResumeRequest) -> Publication:
    return Publication(
        id=EventId(f"resume_requested:{request.id}"),
        type="openway.gateway.resume_requested",
        subject="gateway",
        severity=Severity.WARNING,
        data={
            "request": request.id,
            "by": request.by,
            "reason": request.why,
            "expires_at": request.expires_at,
        },
    )


def _told_of_override(override: LimitOverride) -> Publication:
    over = override.ended_at is not None
    end = "ended" if over else "began"
    return Publication(
        id=EventId(f"override_{end}:{override.id}"),
        type=f"openway.gateway.override_{end}",
        subject="gateway",
        severity=Severity.INFO if over else Severity.WARNING,
        data={
            "override": override.id,
            "limit": override.limit,
            "by": override.by,
            "reason": override.why,
            "begins_at": override.begins_at,
            "ends_at": override.ends_at,
            "ended_by": override.ended_by,
        },
    )
