"""How many disconnects may leave, how many calls may be made: caps and quotas by the hour and day.

A limit counts what leaves, for each member of what it is counted by (a feeder, a requester) by
itself. Hours and days are those of the site's zone: the day on which clocks change has 23 or 25
hours, and each of them is one. `spread_to` divides what was asked for at once over a time.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from itertools import count
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from adapter.commands.activity import Command
from adapter.commands.flows import (
    CLOSING_KINDS,
    FLOWS,
    OPENING_KINDS,
    WINDOW_OPERATIONS,
    CommandKind,
    Operation,
)
from adapter.errors import SettingsError
from adapter.model.bounds import CountOrZero, PositiveSeconds, check_bounds
from adapter.model.device import DeviceView
from adapter.model.ids import CommandId, CommunicationId
from adapter.model.names import name_problem

ALL: Final = "all"
"""The member of a limit that counts everything together."""
NOWHERE: Final = ""
"""The member of whatever has no feeder, group or type that it could be counted by."""

_LONGEST_WAIT: Final = timedelta(days=31)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_HALF_HOUR: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Debit:
    """Takes one from a budget: at most `limit` in any `window_s` seconds."""

    bucket: str
    limit: int
    window_s: float


class CountedBy(StrEnum):
    """What of a meter a cap is counted by. A feeder is whatever of these the site has for it."""

    ALL = "all"
    GROUP = "group"
    CONFIGURATION_GROUP = "configuration_group"
    SP_TYPE = "sp_type"
    MEASUREMENT_CYCLE = "measurement_cycle"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchCap:
    """So many connects or disconnects may leave in an hour, and in a day."""

    name: Annotated[str, "what it is called: in the audit, in overrides, where people look"]
    kinds: Annotated[frozenset[CommandKind], "what it counts"] = OPENING_KINDS
    by: Annotated[CountedBy, "counted for each of these by itself"] = CountedBy.ALL
    prefix: Annotated[str, "of groups only those that begin so, as FEEDER-; empty: all"] = ""
    per_hour: Annotated[CountOrZero | None, "in an hour of the clock; empty: no limit"] = None
    per_day: Annotated[CountOrZero | None, "in a day of the site; empty: no limit"] = None

    def __post_init__(self) -> None:
        _check(self.name, self.per_hour, self.per_day)
        check_bounds(self)
        if strange := self.kinds - OPENING_KINDS - CLOSING_KINDS:
            raise SettingsError(f"kinds: {min(strange)} moves no switch")
        if self.prefix and self.by is not CountedBy.GROUP:
            raise SettingsError("prefix: is for by = group")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallQuota:
    """So many requests to the head end may be made in a day."""

    name: Annotated[str, "what it is called: in the audit, in overrides, where people look"]
    operations: Annotated[
        frozenset[Operation],
        "requests that it counts; empty: all but connects, which it then does not hold",
    ] = frozenset()
    requester: Annotated[str, "only what this one asks for; empty: what anybody does"] = ""
    each: Annotated[bool, "counted for each requester by itself"] = False
    per_day: Annotated[CountOrZero, "in a day of the site"]

    def __post_init__(self) -> None:
        _check(self.name, None, self.per_day)
        check_bounds(self)
        if strange := self.operations - REQUESTS:
            raise SettingsError(f"operations: {min(strange)} only follows up what was sent")


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchSpread:
    """What is asked for at once leaves over a time, each at a moment of its own."""

    kinds: Annotated[frozenset[CommandKind], "what is spread"] = OPENING_KINDS
    orders: Annotated[
        tuple[str, ...], "only what service orders of these kinds ask for; empty: whoever does"
    ] = ()
    over_s: Annotated[PositiveSeconds, "so long does it take until all may have left"]

    def __post_init__(self) -> None:
        check_bounds(self)
        if strange := self.kinds - OPENING_KINDS - CLOSING_KINDS:
            raise SettingsError(f"kinds: {min(strange)} moves no switch")


REQUESTS: Final = WINDOW_OPERATIONS | {flow.request.operation for flow in FLOWS.values()}
"""Operations that begin something; the others ask what became of it."""


_CONNECTS: Final = frozenset(FLOWS[kind].request.operation for kind in CLOSING_KINDS)


def _check(name: str, per_hour: int | None, per_day: int | None) -> None:
    """Raises SettingsError."""
    if problem := name_problem(name):
        raise SettingsError(f"name: {problem}")
    if per_hour is None and per_day is None:
        raise SettingsError("per_day: per_hour or per_day is needed")


# ---------------------------------------------------------------- hours and days


def hour_of(at: datetime, zone: str) -> datetime:
    """When the hour of the clock began that `at` is in. UTC, as all that is given back."""
    local = at.astimezone(ZoneInfo(zone))
    return local.replace(minute=0, second=0, microsecond=0).astimezone(UTC)


def next_hour(at: datetime, zone: str) -> datetime:
    """When the next one begins."""
    begun = hour_of(at, zone)
    steps = (begun + n * _HALF_HOUR for n in count(1))  # clocks are set by a half of one, too
    return next(begins for step in steps if (begins := hour_of(step, zone)) > begun)


def day_of(at: datetime, zone: str, *, later: int = 0) -> datetime:
    """When the site's day began that `at` is in; or the one so many days later."""
    site = ZoneInfo(zone)
    day = at.astimezone(site).date() + timedelta(days=later)
    return datetime.combine(day, time(), tzinfo=site).astimezone(UTC)


# ---------------------------------------------------------------- what a request uses


class Use(Struct, frozen=True, kw_only=True, gc=False):
    """One use of a limit, at a time. `zone` is that of its hours and days."""

    limit: str
    member: str
    at: datetime
    zone: str
    per_hour: int | None = None
    per_day: int | None = None

    @property
    def hour(self) -> datetime:
        return hour_of(self.at, self.zone)

    @property
    def day(self) -> datetime:
        return day_of(self.at, self.zone)

    def turn(self, ahead: int, *, of_day: bool) -> datetime:
        """When it may leave at the earliest, with so many `ahead` of it, where the hour, or the
        day, has no room. What really leaves is judged then."""
        if of_day:
            days = ahead // max(self.per_day or 1, 1)
            return day_of(self.at, self.zone, later=1 + min(days, _LONGEST_WAIT.days))
        hours = ahead // max(self.per_hour or 1, 1)
        return next_hour(self.at, self.zone) + min(hours * _HOUR, _LONGEST_WAIT)


class Uses(Struct, frozen=True, kw_only=True, gc=False):
    """All that the request of a communication uses: all of it is counted, or none."""

    command: CommandId
    communication: CommunicationId
    of: tuple[Use, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageLimits:
    """The caps and quotas of a site."""

    caps: tuple[SwitchCap, ...] = ()
    quotas: tuple[CallQuota, ...] = ()
    zone: str = "UTC"

    @property
    def any(self) -> bool:
        return bool(self.caps or self.quotas)

    @property
    def names(self) -> tuple[str, ...]:
        return (*(each.name for each in self.caps), *(each.name for each in self.quotas))

    def about(self, kind: CommandKind, operation: Operation, *, switches: bool) -> bool:
        """Whether any limit may count such a request."""
        caps = switches and any(kind in cap.kinds for cap in self.caps)
        return caps or any(_counts(quota, operation) for quota in self.quotas)

    def by_meter(self, kind: CommandKind) -> bool:
        """Whether it takes the meter to know what to count by."""
        return any(kind in cap.kinds and cap.by is not CountedBy.ALL for cap in self.caps)

    def uses(
        self,
        kind: CommandKind,
        operation: Operation,
        *,
        requester: str,
        switches: bool,
        view: DeviceView | None,
        at: datetime,
    ) -> tuple[Use, ...]:
        """What one request uses; `switches`: it is the connect or disconnect itself."""
        caps = [cap for cap in self.caps if switches and kind in cap.kinds]
        of_caps = (
            Use(
                limit=cap.name,
                member=member,
                at=at,
                zone=self.zone,
                per_hour=cap.per_hour,
                per_day=cap.per_day,
            )
            for cap in caps
            for member in members_of(cap, view)
        )
        of_quotas = (
            Use(
                limit=quota.name,
                member=requester if quota.each else ALL,
                at=at,
                zone=self.zone,
                per_day=quota.per_day,
            )
            for quota in self.quotas
            if _counts(quota, operation) and quota.requester in ("", requester)
        )
        return (*of_caps, *of_quotas)

    def unused(self, uses: Uses, *, refused: bool) -> Uses:
        """What is given back of a request that did not leave, or that the head end refused: that
        moved no switch, but it was a call."""
        names = {cap.name for cap in self.caps}
        back = tuple(use for use in uses.of if not refused or use.limit in names)
        return Uses(command=uses.command, communication=uses.communication, of=back)


def _counts(quota: CallQuota, operation: Operation) -> bool:
    if not quota.operations:
        return operation not in _CONNECTS
    return operation in quota.operations


def members_of(cap: SwitchCap, view: DeviceView | None) -> Sequence[str]:
    """What a meter is counted under; of several groups under each."""
    device = None if view is None else view.device
    point = None if view is None else view.service_point
    match cap.by:
        case CountedBy.ALL:
            return (ALL,)
        case CountedBy.GROUP:
            groups = () if device is None else device.groups
            return sorted(each for each in groups if each.startswith(cap.prefix)) or (NOWHERE,)
        case CountedBy.CONFIGURATION_GROUP:
            return (NOWHERE if device is None else device.configuration_group,)
        case CountedBy.SP_TYPE:
            return (NOWHERE if point is None else point.sp_type,)
        case CountedBy.MEASUREMENT_CYCLE:
            return (NOWHERE if point is None else point.measurement_cycle,)


def used_up_at(
    used: int, used_last_hour: int, limit: int | None, *, now: datetime, end: datetime
) -> datetime | None:
    """When a limit is used up at the rate of the last hour; None where it is not before its `end`.
    `now` where it is used up already."""
    if limit is None:
        return None
    if used >= limit:
        return now
    if used_last_hour <= 0:
        return None
    at = now + (limit - used) * _HOUR / used_last_hour
    return at if at < end else None


# ---------------------------------------------------------------- spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """When something may be: between two local times, or always, on these weekdays."""

    window: tuple[time, time] | None = None
    weekdays: frozenset[int] = frozenset(range(7))
    zone: str = "UTC"

    def open_from(self, start: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The spans that are open, of the month after `start`."""
        site = ZoneInfo(self.zone)
        first = start.astimezone(site).date() - _DAY
        for number in range(_LONGEST_WAIT.days + 2):
            day = first + number * _DAY
            if day.weekday() not in self.weekdays:
                continue
            opens, closes = self.window or (time(), time())
            last = day if opens < closes else day + _DAY
            begin = datetime.combine(day, opens, tzinfo=site).astimezone(UTC)
            end = datetime.combine(last, closes, tzinfo=site).astimezone(UTC)
            if end > start:
                yield max(begin, start), end

    def after(self, open_for: timedelta, start: datetime) -> datetime | None:
        """When they have been open for so long since `start`; None: not within a month."""
        for begin, end in self.open_from(start):
            if open_for < end - begin:
                return begin + open_for
            open_for -= end - begin
        return None

    def between(self, start: datetime, end: datetime) -> timedelta:
        """How long they are open."""
        total = timedelta()
        for begin, until in self.open_from(start):
            if begin >= end:
                break
            total += min(until, end) - begin
        return total


def spread_of(
    spreads: Iterable[SwitchSpread], kind: CommandKind, order_kind: str
) -> SwitchSpread | None:
    """How such a command is spread: the first that is about it; None: none is."""
    return next(
        (
            each
            for each in spreads
            if kind in each.kinds and (not each.orders or order_kind in each.orders)
        ),
        None,
    )


def spread_to(
    place: float, over_s: float, hours: Hours, *, start: datetime, expires: datetime | None
) -> datetime:
    """When it may leave, `place` from 0 to below 1 being where in that time. Time in which none may
    leave does not count, and it is before the expiry wherever there is time before that."""
    if expires is not None:
        over_s = min(over_s, max((expires - start).total_seconds(), 0.0))
    found = hours.after(timedelta(seconds=over_s * place), start)
    return start if found is None or (expires is not None and found >= expires) else found


def spread_again(command: Command, hours: Hours, *, now: datetime) -> datetime | None:
    """When one may leave that was spread over a time, where something else has held it up since:
    as far from now as it was from its begin, and before its expiry. None: it was not spread, or is
    not held up."""
    activity, asked = command.activity, command.request.effective_at
    start, was = max(asked or activity.created_at, activity.created_at), activity.effective_at
    if was > now or was <= start:
        return None
    found = hours.after(hours.between(start, was), now)
    return None if found is None or found >= activity.expires_at else found


_PLACE_BITS: Final = 32


def place_of(number: int, seed: str) -> float:
    """Where among all of one list the n-th is, from 0 to below 1, with `number` from 0.

    The time is halved again and again: of each two that follow each other one is in each half, of
    each four one in each quarter, and so on, which is where being decided by lot for each two, four
    and so on. So of any n that follow each other at most n / 2**k + 2 are in one of 2**k parts, and
    a pattern of the list, every second one of the same feeder say, is no pattern of the places.
    (Owen's scrambling of the van der Corput sequence.)
    """
    place = 0
    for level in range(_PLACE_BITS):
        rest = number >> (level + 1)
        lot = hashlib.blake2b(f"{seed} {level} {rest} {place}".encode(), digest_size=1).digest()[0]
        place = 2 * place + (((number >> level) & 1) ^ (lot & 1))
    return place / (1 << _PLACE_BITS)
