"""Which meters have reported, and which have not: today, of each day, since when; read them again.

Expected to report is a meter with an endpoint at this head end that is installed and not removed.
What it sent is counted by local day beside the loading, a while after a load is seen; measurements
are not looked through for an answer. Days of groups are told for their members of now.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Final, Protocol

from adapter.commands.activity import CommandRequest, ReadPeriod
from adapter.commands.flows import FLOWS, READ_KINDS, CommandKind, Scope
from adapter.engine.commands.commands import Commands
from adapter.engine.commands.ports import AuditNote, Change, Clock, Store
from adapter.engine.schedules.ports import WindowReport
from adapter.engine.schedules.schedules import Schedules
from adapter.errors import Conflict, InvalidRequest
from adapter.model.ids import CommandId, DeviceId, EndpointId
from adapter.model.values import replace
from adapter.readings.days import bounds_of, day_of
from adapter.readings.gaps import Gap
from adapter.schedules.recurrence import Window as ReadWindow
from adapter.schedules.recurrence import count_windows
from adapter.schedules.schedule import ReadSchedule, ScheduleState

DAY: Final = timedelta(days=1)
WEEK: Final = timedelta(days=7)
LATE_AFTER: Final = timedelta(hours=12)
"""Whose last value of a day came so long after its end, or later, was late."""

MOST_DAYS: Final = 400
MOST_READ_AGAIN: Final = 10_000
"""Meters that one request for a read names."""

_PIECE: Final = 200
"""Days of devices counted in one transaction: a load that is stored meanwhile waits for it."""
_MOST_SCHEDULES: Final = 500
_WINDOWS_LOOKED_AT: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterQuery:
    """`since` is asked for NOT_SINCE and FAILED, `day` for the others. `group` None: all meters."""

    gap: Gap
    since: datetime
    day: date
    group: str | None = None
    after: DeviceId | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterGap:
    """A meter on a list, and `reason` in words. `last_at` is the END of its newest value,
    `last_arrival` when something of it came last. Intervals are those of the day, where one was
    asked for, and of a whole day `expected`."""

    device: DeviceId
    endpoint: EndpointId
    reason: str
    last_at: datetime | None = None
    last_arrival: datetime | None = None
    intervals: int | None = None
    expected: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDay:
    """Meters of a group (empty: of none) on a day: expected to report, with any value, with all
    intervals, with values in doubt, late."""

    group: str
    day: date
    meters: int
    reported: int = 0
    whole: int = 0
    doubtful: int = 0
    late: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterDay:
    """A day of one meter."""

    day: date
    expected: int
    intervals: int
    registers: int
    doubtful: int
    arrived: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LastContact:
    """The END of the newest value of a meter, and when something of it came last."""

    last_at: datetime
    last_arrival: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    """Of the expected `meters` those without a value for a day, a week, ever: each counts all that
    are in the next one too."""

    meters: int
    a_day: int
    a_week: int
    never: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """As it stands. `today` is the running local day, the other lists are of the day before it;
    `failed` of the last day. `uncounted` loads are stored and not counted yet."""

    now: datetime
    zone: str
    today: GroupDay
    silent: Silent
    failed: int
    late: int
    incomplete: int
    blocks: int
    windows_behind: int
    uncounted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowBehind:
    """A schedule that is behind: windows that are due and `not_asked`, or one that was asked for
    and of which meters are `waiting`, failed or missing. `problem`: why it was not asked for."""

    schedule: ReadSchedule
    not_asked: int
    report: WindowReport | None

    @property
    def problem(self) -> str:
        return self.schedule.problem


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAgain:
    """A read of the meters of a list, or with a kind for groups of the whole group. Refused where
    there are more meters than `at_most`, as a dry run has told."""

    wanted: MeterQuery
    kind: CommandKind
    start: datetime
    end: datetime
    reason: str
    at_most: int | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reread:
    """So many `meters` are on the list and read again, by the reason in words for which they are on
    it; `incapable` ones of it do not support the kind, and are not. A read of a group asks `asked`
    meters, more than are on the list. `command` is None for a dry run, or nobody."""

    meters: int
    asked: int
    by_reason: Mapping[str, int]
    incapable: int
    command: CommandId | None = None
    devices: tuple[DeviceId, ...] = field(default=(), repr=False)


class CompletenessStore(Protocol):
    async def count_days(self, *, most: int) -> int:
        """Count a piece of what is loaded. How much; 0: all is counted."""

    async def uncounted(self) -> int:
        """Loads that are seen and not counted yet."""

    async def silent(self, group: str | None, *, now: datetime) -> Silent: ...

    async def group_days(
        self, first: date, last: date, *, group: str | None, late_after: timedelta
    ) -> Sequence[GroupDay]:
        """Of each group and day, ordered by both, also those of which nothing came."""

    async def all_meters(
        self, first: date, last: date, *, group: str | None, late_after: timedelta
    ) -> Sequence[GroupDay]:
        """The same of all meters together, or those of the group; their group is empty."""

    async def count(self, wanted: MeterQuery, *, late_after: timedelta) -> int:
        """How many are on the list."""

    async def meters(self, wanted: MeterQuery, *, late_after: timedelta) -> Sequence[MeterGap]:
        """By device, at most `limit`."""

    async def capable(self, devices: Sequence[DeviceId], kind: CommandKind) -> Sequence[DeviceId]:
        """Those of them that support the kind."""

    async def meter_days(self, device: DeviceId, first: date, last: date) -> Sequence[MeterDay]:
        """Those of which something came, oldest first."""

    async def last_contact(self, device: DeviceId) -> LastContact | None: ...


class Completeness:
    """What has come of the meters' data, and what has not. `zone` says what a day is.

    Raises InvalidRequest; Conflict where more meters would be read than was said; StoreFailed.
    """

    def __init__(
        self,
        store: CompletenessStore,
        audit: Store,
        commands: Commands,
        schedules: Schedules,
        clock: Clock,
        zone: tzinfo,
    ) -> None:
        self._store = store
        self._audit = audit
        self._commands = commands
        self._schedules = schedules
        self._clock = clock
        self.zone = zone
        self._due = True

    def loaded(self) -> None:
        """There may be something to count."""
        self._due = True

    async def once(self) -> int:
        """Count a piece of what was loaded. How much; 0: nothing is left."""
        if not self._due:
            return 0
        self._due = False
        counted = await self._store.count_days(most=_PIECE)
        self._due = self._due or counted > 0
        return counted

    def today(self) -> date:
        return day_of(self._clock.now(), self.zone)

    def query(
        self,
        gap: Gap,
        *,
        since: datetime | None = None,
        day: date | None = None,
        group: str | None = None,
        after: DeviceId | None = None,
        limit: int = 50,
    ) -> MeterQuery:
        """What is not said: since a day ago, of yesterday, of all meters."""
        return MeterQuery(
            gap=gap,
            since=since or self._clock.now() - DAY,
            day=day or self.today() - DAY,
            group=group,
            after=after,
            limit=limit,
        )

    async def overview(self, group: str | None = None) -> Overview:
        now, today = self._clock.now(), self.today()
        found = await self._store.all_meters(today, today, group=group, late_after=LATE_AFTER)
        of_today = found[0] if found else GroupDay(group=group or "", day=today, meters=0)
        counts = {gap: await self.count(self.query(gap, group=group)) for gap in _COUNTED}
        return Overview(
            now=now,
            zone=str(self.zone),
            today=of_today,
            silent=await self._store.silent(group, now=now),
            failed=counts[Gap.FAILED],
            late=counts[Gap.LATE],
            incomplete=counts[Gap.INCOMPLETE],
            blocks=counts[Gap.BLOCKS],
            windows_behind=len(await self.windows_behind(group)),
            uncounted=await self._store.uncounted(),
        )

    async def days(
        self, first: date, last: date, *, group: str | None = None
    ) -> Sequence[GroupDay]:
        """By group and day. Raises InvalidRequest for more days than MOST_DAYS."""
        self._check_days(first, last)
        return await self._store.group_days(first, last, group=group, late_after=LATE_AFTER)

    async def count(self, wanted: MeterQuery) -> int:
        return await self._store.count(wanted, late_after=LATE_AFTER)

    async def meters(self, wanted: MeterQuery) -> Sequence[MeterGap]:
        """A page of a list, by device."""
        return await self._store.meters(wanted, late_after=LATE_AFTER)

    async def meter_days(self, device: DeviceId, first: date, last: date) -> Sequence[MeterDay]:
        self._check_days(first, last)
        return await self._store.meter_days(device, first, last)

    async def last_contact(self, device: DeviceId) -> LastContact | None:
        return await self._store.last_contact(device)

    def _check_days(self, first: date, last: date) -> None:
        if last < first:
            raise InvalidRequest("to", "is before the first day")
        if (last - first).days >= MOST_DAYS:
            raise InvalidRequest("to", f"at most {MOST_DAYS} days at once")

    async def windows_behind(self, group: str | None = None) -> Sequence[WindowBehind]:
        """Of the schedules that are active, in the order of their ids."""
        found = await self._schedules.list(state=ScheduleState.ACTIVE, limit=_MOST_SCHEDULES)
        behind: list[WindowBehind] = []
        for schedule in found:
            if group not in (None, schedule.plan.group):
                continue
            behind += await self._behind(schedule)
        return behind

    async def _behind(self, schedule: ReadSchedule) -> Sequence[WindowBehind]:
        not_asked = self._not_asked(schedule)
        reports = await self._schedules.windows(schedule.id, limit=_WINDOWS_LOOKED_AT)
        short = [each for each in reports if _is_short(each, self._clock.now())]
        made = [
            WindowBehind(schedule=schedule, not_asked=0, report=each) for each in reversed(short)
        ]
        if not_asked:
            made.append(WindowBehind(schedule=schedule, not_asked=not_asked, report=None))
        return made

    def _not_asked(self, schedule: ReadSchedule) -> int:
        """Windows whose time to be asked for is over by more than a moment."""
        now, wake = self._clock.now(), schedule.wake
        if not schedule.problem and (wake is None or now - wake < timedelta(minutes=5)):
            return 0
        recurrence = schedule.plan.recurrence
        if recurrence is None or now <= schedule.next_start:
            return 1
        missed = count_windows(recurrence.grid, ReadWindow(schedule.next_start, now))
        return max(missed, 1)

    # ------------------------------------------------------------ read again

    async def reread(self, asked: ReadAgain) -> Reread:
        """What `read_again` would do: whom it reads, and why."""
        self._check(asked)
        found = await self._all(asked.wanted)
        if _is_for_group(asked.kind):
            of_group = await self._store.silent(asked.wanted.group, now=self._clock.now())
            return Reread(
                meters=len(found),
                asked=of_group.meters if found else 0,
                by_reason=Counter(each.reason for each in found),
                incapable=0,
            )
        able = frozenset(await self._store.capable([each.device for each in found], asked.kind))
        chosen = [each for each in found if each.device in able]
        return Reread(
            meters=len(chosen),
            asked=len(chosen),
            by_reason=Counter(each.reason for each in chosen),
            incapable=len(found) - len(chosen),
            devices=tuple(each.device for each in chosen),
        )

    async def read_again(self, asked: ReadAgain, *, by: str) -> Reread:
        """Submit one command that reads them; it is in the audit with the list and the reason.
        The same idempotency key gives the same command, whoever is on the list by then."""
        key = asked.idempotency_key
        if key is not None and (known := await self._commands.by_key(key)) is not None:
            command = await self._commands.get(known)
            meters = len(command.targets)
            return Reread(meters=meters, asked=meters, by_reason={}, incapable=0, command=known)
        plan = await self.reread(asked)
        if asked.at_most is not None and plan.asked > asked.at_most:
            raise Conflict(
                f"{plan.asked} meters are on the list by now, and not at most {asked.at_most}"
            )
        if not plan.meters:
            return plan
        whole_group = _is_for_group(asked.kind)
        request = CommandRequest(
            kind=asked.kind,
            devices=() if whole_group else plan.devices,
            group=asked.wanted.group if whole_group else None,
            period=ReadPeriod(start=asked.start, end=asked.end),
            requester=by,
            reference=asked.reason,
            idempotency_key=key,
        )
        command = await self._commands.submit(request, actor=by)
        note = AuditNote(
            actor=by,
            action="ReadAgain",
            subject=command.id,
            detail={
                "reason": asked.reason,
                "list": asked.wanted.gap.value,
                "group": asked.wanted.group or "",
                "meters": plan.meters,
                "by_reason": dict(plan.by_reason),
                "incapable": plan.incapable,
            },
        )
        await self._audit.save([Change(audit=(note,))])
        return replace(plan, command=command.id)

    async def _all(self, wanted: MeterQuery) -> Sequence[MeterGap]:
        """Raises InvalidRequest where the list is too long for one request."""
        found = await self.meters(replace(wanted, after=None, limit=MOST_READ_AGAIN + 1))
        if len(found) > MOST_READ_AGAIN:
            rule = f"has more than {MOST_READ_AGAIN} meters: take one group"
            raise InvalidRequest("gap", rule)
        return found

    def _check(self, asked: ReadAgain) -> None:
        if asked.kind not in READ_KINDS:
            raise InvalidRequest("kind", f"{asked.kind} is no read")
        if _is_for_group(asked.kind) and not asked.wanted.group:
            raise InvalidRequest("group", f"{asked.kind} reads a whole group: name it")
        if asked.end <= asked.start:
            raise InvalidRequest("to", "must be after the begin")

    def period_of(self, wanted: MeterQuery) -> tuple[datetime, datetime]:
        """What is read where nobody says it: the day, or from `since` until now."""
        if wanted.gap in (Gap.NOT_SINCE, Gap.FAILED):
            return wanted.since, self._clock.now()
        return bounds_of(wanted.day, self.zone)


_COUNTED: Final = (Gap.FAILED, Gap.LATE, Gap.INCOMPLETE, Gap.BLOCKS)


def _is_for_group(kind: CommandKind) -> bool:
    return FLOWS[kind].scope is Scope.GROUP


def _is_short(report: WindowReport, now: datetime) -> bool:
    """Whether meters are missing, failed or waited for after its end."""
    tally = report.tally
    lost = tally.failed + tally.missing + tally.unknown
    return report.window.covers.end <= now and bool(lost + report.waiting)
