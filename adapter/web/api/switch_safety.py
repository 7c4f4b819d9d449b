"""Routes of switch safety: stop switching, go on by two people; caps, quotas, overrides."""

from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from adapter.commands.timing import in_utc
from adapter.engine.commands.switch_safety import (
    LimitOverride,
    LimitState,
    ResumeRequest,
    SwitchCounts,
    SwitchingState,
    Waiting,
)
from adapter.errors import InvalidRequest
from adapter.model.bounds import LONGEST_S
from adapter.model.ids import CommandId
from adapter.web.api.call import (
    ApiContext,
    ApiRequest,
    ApiResponse,
    Id,
    Moment,
    NeededText,
    Text,
    answer_from,
    id_of,
    limit_of,
    text_of,
)
from adapter.web.api.upkeep import HoldOut


class StopIn(Struct, kw_only=True, forbid_unknown_fields=True):
    reason: NeededText


class ResumeIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """`request`: confirm this one, and no other; without it the one that is there, or ask."""

    reason: NeededText
    request: Id | None = None


class ResumeRequestOut(Struct, kw_only=True):
    """Somebody asks that switching goes on; until `expires_at` another person may confirm it."""

    id: str
    by: str
    reason: str
    at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, request: ResumeRequest) -> "ResumeRequestOut":
        return answer_from(cls, request, reason=request.why)


class SwitchCountsOut(Struct, kw_only=True):
    """Connects and disconnects that are open. `queued` would leave now but for holds and limits;
    `not_due` wait for their date, a person or a step before. `sent` have left for the head end or
    were carried out, and cannot be called back. `in_doubt`: nobody knows whether the head end has
    them, or whether the switch has moved."""

    queued: int
    not_due: int
    sent: int
    in_doubt: int

    @classmethod
    def of(cls, counts: SwitchCounts) -> "SwitchCountsOut":
        return answer_from(cls, counts)


class SwitchingStateOut(Struct, kw_only=True):
    """`stopped`: people have stopped switching, and no connect and no disconnect leaves, as long as
    two have not taken it back. `stopped_by` is who has, at `stopped_at`. `resume` is a request that
    it goes on, for another person to confirm. `holds` are all reasons why none leaves. `counts` are
    connects and disconnects, by where they are. `text` says how it stands, and, where nothing
    leaves, what is kept here and what cannot be called back."""

    stopped: bool
    stopped_by: str | None
    stopped_at: datetime | None
    resume: ResumeRequestOut | None
    holds: list[HoldOut]
    counts: SwitchCountsOut
    text: str

    @classmethod
    def of(cls, found: SwitchingState) -> "SwitchingStateOut":
        stop, resume = found.stop, found.resume
        return cls(
            stopped=stop is not None,
            stopped_by=None if stop is None else stop.by,
            stopped_at=None if stop is None else stop.since,
            resume=None if resume is None else ResumeRequestOut.of(resume),
            holds=[HoldOut.of(hold) for hold in found.holds],
            counts=SwitchCountsOut.of(found.counts),
            text=_text(found),
        )


def _text(found: SwitchingState) -> str:
    counts = found.counts
    held = counts.queued + counts.not_due
    if not found.holds:
        if not found.waiting:
            return "switching goes on"
        wait = f"{found.waiting} {'waits' if found.waiting == 1 else 'wait'} for room"
        return f"switching goes on. {wait} in a cap or quota: openway switching waiting"
    who = "stopped" if found.stop is not None else "held"
    text = f"switching is {who}. {held} {_are(held)} kept here"
    if counts.sent:
        text += f". {counts.sent} {_have(counts.sent)} left and cannot be called back"
    if counts.in_doubt:
        text += f". Nobody knows whether {counts.in_doubt} more {_have(counts.in_doubt)} acted"
    return text


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


class OverrideIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """`limit`: a cap or quota by its name; empty: every one. It ends at `ends_at`, or `for_s`
    seconds from now: one of the two."""

    limit: Text
    reason: NeededText
    ends_at: Moment | None = None
    for_s: Annotated[float, Meta(gt=0, le=LONGEST_S)] | None = None


class OverrideOut(Struct, kw_only=True):
    """Somebody lets more pass than `limit` allows; empty: than any allows. It is in force from
    `begins_at`, and ends by itself at `ends_at`. `ended_at` null: it is in force; `ended_by` is who
    ended it: gateway, where its time was over."""

    id: str
    limit: str
    by: str
    reason: str
    begins_at: datetime
    ends_at: datetime
    ended_at: datetime | None
    ended_by: str

    @classmethod
    def of(cls, override: LimitOverride) -> "OverrideOut":
        return answer_from(cls, override, reason=override.why)


class OverrideList(Struct, kw_only=True):
    """The newest first, those that are over too."""

    items: list[OverrideOut]


class LimitOut(Struct, kw_only=True):
    """What a cap or quota has counted of one member in this hour and day of the site.

    `limit` is its name. `member` is what is counted by itself, a feeder, a requester, or all.

    `per_hour` and `per_day` are what may leave; null: no limit. `used_this_hour` and
    `used_today` have left, of the hour until `hour_ends_at` and of the day until `day_ends_at`.
    `waiting` requests wait for room: `next_at` is when the next of them may leave, `last_at` when
    the last may. At the rate of the last hour the number of the day is used up at `used_up_at`;
    null: not today. `override` lets more pass; null: none does."""

    limit: str
    member: str
    per_hour: int | None
    used_this_hour: int
    hour_ends_at: datetime
    per_day: int | None
    used_today: int
    day_ends_at: datetime
    used_up_at: datetime | None
    waiting: int
    next_at: datetime | None
    last_at: datetime | None
    override: OverrideOut | None

    @classmethod
    def of(cls, state: LimitState) -> "LimitOut":
        waiting, override = state.waiting, state.override
        return answer_from(
            cls,
            state,
            waiting=0 if waiting is None else waiting.waiting,
            next_at=None if waiting is None else waiting.first,
            last_at=None if waiting is None else waiting.last,
            override=None if override is None else OverrideOut.of(override),
        )


class LimitList(Struct, kw_only=True):
    items: list[LimitOut]


class WaitingRequestOut(Struct, kw_only=True):
    """A request that waits for room in a cap or quota, as it looks now until `until`. `limit` is
    its name; `member` is what is counted by itself, as in LimitOut."""

    command: CommandId
    communication: str
    limit: str
    member: str
    since: datetime
    until: datetime

    @classmethod
    def of(cls, waiting: Waiting) -> "WaitingRequestOut":
        return answer_from(cls, waiting)


class WaitingRequestPage(Struct, kw_only=True):
    items: list[WaitingRequestOut]
    next: str | None


async def get_switching(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return ApiResponse(body=SwitchingStateOut.of(await api.gateway.upkeep.switch_safety.state()))


async def stop_switching(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """Durable when it is answered."""
    body = asked.read(StopIn)
    found = await api.gateway.upkeep.switch_safety.stop(by=asked.actor, why=body.reason)
    return ApiResponse(body=SwitchingStateOut.of(found))


async def resume_switching(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """The first asks, another person confirms."""
    body = asked.read(ResumeIn)
    found = await api.gateway.upkeep.switch_safety.resume(
        by=asked.actor, why=body.reason, request=body.request
    )
    return ApiResponse(body=SwitchingStateOut.of(found))


async def list_limits(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    found = await api.gateway.upkeep.switch_safety.limit_states()
    return ApiResponse(body=LimitList(items=[LimitOut.of(each) for each in found]))


async def list_waiting(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    found = await api.gateway.upkeep.switch_safety.waiting(
        limit_name=text_of(asked, "name"), after=id_of(asked, "cursor") or "", limit=limit
    )
    page = WaitingRequestPage(
        items=[WaitingRequestOut.of(each) for each in found],
        next=found[-1].communication if len(found) == limit else None,
    )
    return ApiResponse(body=page)


async def list_overrides(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    found = await api.gateway.upkeep.switch_safety.overrides(limit=limit_of(asked))
    return ApiResponse(body=OverrideList(items=[OverrideOut.of(each) for each in found]))


async def begin_override(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    body = asked.read(OverrideIn)
    if (body.ends_at is None) == (body.for_s is None):
        raise InvalidRequest("ends_at", "give ends_at or for_s")
    given = None if body.ends_at is None else in_utc("ends_at", body.ends_at)
    ends = given or asked.now + timedelta(seconds=body.for_s or 0.0)
    made = await api.gateway.upkeep.switch_safety.override(
        body.limit,
        by=asked.actor,
        why=body.reason,
        ends_at=ends if body.ends_at is None else in_utc("ends_at", body.ends_at),
    )
    return ApiResponse(body=OverrideOut.of(made))


async def end_override(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    ended = await api.gateway.upkeep.switch_safety.end_override(
        asked.path["override"], by=asked.actor, why=asked.read(StopIn).reason
    )
    return ApiResponse(body=OverrideOut.of(ended))
