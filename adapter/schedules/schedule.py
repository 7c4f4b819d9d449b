"""A scheduled read as a whole: what it asks of which group, how far it is, what comes next.

A schedule makes requests until its recurrence is over or people remove it; people pause and resume
it. It may never ask for the same window twice, and once it has ended it asks for nothing more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NewType, TypeAlias
from zoneinfo import ZoneInfo

from adapter.commands.activity import CommandRequest, ReadPeriod
from adapter.commands.flows import SCHEDULED_KINDS, CommandKind
from adapter.commands.timing import given_in_utc, in_utc
from adapter.errors import Conflict, InvalidRequest
from adapter.model.state_machine import StateMachine
from adapter.model.values import replace
from adapter.schedules.recurrence import (
    Issue,
    Recurrence,
    Window,
    count_windows,
    due_at,
    ended,
    first_window,
    issue,
    window_at,
)

ScheduleId = NewType("ScheduleId", str)

_DAY: Final = timedelta(days=1)
MOST_REQUESTS: Final = 1_000_000
_SHORTEST: Final = timedelta(minutes=5)


class ScheduleState(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


class WindowAsked:
    """The pending request has become a command."""


class SchedulePaused:
    """People hold it."""


class ScheduleResumed:
    """People let it go on."""


class ScheduleRemoved:
    """People end it."""


ScheduleEvent: TypeAlias = WindowAsked | SchedulePaused | ScheduleResumed | ScheduleRemoved
S = ScheduleState
SCHEDULE_MACHINE: Final[StateMachine[ScheduleState, ScheduleEvent]] = StateMachine(
    name="read schedule",
    states=ScheduleState,
    start=S.ACTIVE,
    final=frozenset({S.ENDED}),
    arrows={
        (S.ACTIVE, WindowAsked): {S.ACTIVE, S.ENDED},
        (S.ACTIVE, SchedulePaused): {S.PAUSED},
        (S.ACTIVE, ScheduleResumed): {S.ACTIVE},
        (S.ACTIVE, ScheduleRemoved): {S.ENDED},
        (S.PAUSED, WindowAsked): {S.PAUSED, S.ENDED},
        (S.PAUSED, SchedulePaused): {S.PAUSED},
        (S.PAUSED, ScheduleResumed): {S.ACTIVE},
        (S.PAUSED, ScheduleRemoved): {S.ENDED},
        (S.ENDED, WindowAsked): {S.ENDED},
        (S.ENDED, ScheduleRemoved): {S.ENDED},
    },
)
"""A request that was pending when people paused or removed the schedule is made all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPlan:
    """What a schedule asks for. Either `recurrence`, from `starts` on, or `once`: one request with
    a start and an end of its own, sent at `starts`. `events` also brings the meters' event logs."""

    name: str
    group: str
    kind: CommandKind
    starts: datetime
    recurrence: Recurrence | None = None
    once: Window | None = None
    events: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSchedule:
    """A plan and how far it is.

    next_start  the end of what was asked for last: the next request begins to read there
    issued      requests made; `pending` is the one that is being made: it is stored before it is
                submitted, so that after a crash the very same one is submitted again
    corrections how often it was set back after a clock that was ahead: what is asked for then is
                another request, though it may begin where one of the wrong clock did
    problem     why the last request could not be made; it is tried again at `retry_at`
    """

    id: ScheduleId
    plan: ReadPlan
    next_start: datetime
    state: ScheduleState = ScheduleState.ACTIVE
    issued: int = 0
    pending: Issue | None = None
    problem: str = ""
    retry_at: datetime | None = None
    created_at: datetime
    created_by: str = ""
    corrections: int = 0
    version: int = 0

    @property
    def wake(self) -> datetime | None:
        """When there is something to do; None: never."""
        if self.pending is not None:
            return self.retry_at or self.created_at
        if self.state is not ScheduleState.ACTIVE:
            return None
        recurrence = self.plan.recurrence
        due = self.plan.starts if recurrence is None else due_at(recurrence, self.next_start)
        return due if self.retry_at is None else max(due, self.retry_at)


def begin(schedule: ScheduleId, plan: ReadPlan, *, now: datetime, by: str) -> ReadSchedule:
    """A new schedule. Raises InvalidRequest naming the field that is wrong."""
    check(plan)
    if plan.recurrence is None:
        assert plan.once is not None
        start = plan.once.start
    else:
        start = first_window(plan.recurrence, plan.starts).start
    made = ReadSchedule(id=schedule, plan=plan, next_start=start, created_at=now, created_by=by)
    if _over(made):
        raise InvalidRequest("recurrence", "ends before its first window")
    return made


def check(plan: ReadPlan) -> None:
    """Raises InvalidRequest."""
    if plan.kind not in SCHEDULED_KINDS:
        raise InvalidRequest("kind", f"{plan.kind} is no scheduled read")
    if not plan.group:
        raise InvalidRequest("group", "is needed")
    in_utc("starts", plan.starts)
    if (plan.recurrence is None) == (plan.once is None):
        raise InvalidRequest("once", "either a recurrence or one read, not both")
    if plan.once is not None:
        in_utc("once", plan.once.start)
        in_utc("once", plan.once.end)
        if plan.once.end <= plan.once.start:
            raise InvalidRequest("once", "end must be after start")
    if plan.recurrence is not None:
        _check_recurrence(plan.recurrence)


def _check_recurrence(recurrence: Recurrence) -> None:
    grid = recurrence.grid
    if not _SHORTEST <= grid.length <= _DAY or _DAY % grid.length:
        raise InvalidRequest("length", "must divide 24 hours, from 5 minutes on")
    try:
        ZoneInfo(grid.zone)
    except (KeyError, OSError, ValueError):
        raise InvalidRequest("time_zone", f"no time zone {grid.zone[:60]!r}") from None
    if grid.first.tzinfo is not None:
        raise InvalidRequest("first", "is local to the time zone and has none itself")
    if not timedelta() <= recurrence.buffer <= grid.length:
        raise InvalidRequest("buffer", "from 0 to the length of a window")
    if recurrence.count is not None and not 1 <= recurrence.count <= MOST_REQUESTS:
        raise InvalidRequest("count", f"1 to {MOST_REQUESTS}")
    given_in_utc("end", recurrence.end)


def next_issue(
    schedule: ReadSchedule, *, now: datetime, longest: timedelta | None = None
) -> Issue | None:
    """What is to be asked for now; the pending request first. `longest` as in `issue`."""
    if schedule.pending is not None:
        return schedule.pending
    if schedule.state is not ScheduleState.ACTIVE:
        return None
    plan = schedule.plan
    if plan.recurrence is not None:
        return issue(plan.recurrence, schedule.next_start, now=now, longest=longest)
    assert plan.once is not None
    if now < plan.starts:
        return None
    return Issue(covers=plan.once, grid=plan.once, missed=None, work_start=now, work_end=now)


def requested(schedule: ReadSchedule, made: Issue) -> CommandRequest:
    """The command of one window. Its key is the schedule's and the window's: it exists once.

    Where no buffer is left the head end is given no window of its own: it may begin at once and
    take its time.
    """
    buffered = made.work_end > made.work_start
    plan = schedule.plan
    again = f":{schedule.corrections}" if schedule.corrections else ""
    return CommandRequest(
        kind=plan.kind,
        group=plan.group,
        idempotency_key=f"schedule:{schedule.id}:{made.covers.start.isoformat()}{again}",
        requester=f"schedule:{schedule.id}",
        reference=plan.name,
        period=ReadPeriod(
            start=made.covers.start,
            end=made.covers.end,
            window_start=made.work_start if buffered else None,
            window_end=made.work_end if buffered else None,
            events=plan.events,
        ),
    )


def with_pending(schedule: ReadSchedule, made: Issue) -> ReadSchedule:
    return replace(schedule, pending=made, retry_at=None)


def is_stale(made: Issue, *, now: datetime) -> bool:
    """Whether the head end's time for it is over: asked for now it would be another request."""
    return made.work_start < made.work_end <= now


def without_pending(schedule: ReadSchedule) -> ReadSchedule:
    """The pending request never became a command and is not wanted any more as it is."""
    return replace(schedule, pending=None, retry_at=None)


def skipped(schedule: ReadSchedule, missed: Window | None) -> int:
    """Windows that lie unread in what was missed."""
    recurrence = schedule.plan.recurrence
    return 0 if missed is None or recurrence is None else count_windows(recurrence.grid, missed)


def submitted(schedule: ReadSchedule) -> ReadSchedule:
    """The pending request has become a command."""
    assert schedule.pending is not None
    after = replace(
        schedule,
        pending=None,
        problem="",
        retry_at=None,
        issued=schedule.issued + 1,
        next_start=schedule.pending.covers.end,
    )
    return _moved(after, WindowAsked, S.ENDED if _over(after) else after.state)


def troubled(schedule: ReadSchedule, why: str, *, retry_at: datetime) -> ReadSchedule:
    """The request was refused and nothing was stored: a later one covers its window too."""
    return replace(schedule, pending=None, problem=why[:500], retry_at=retry_at)


def corrected(
    schedule: ReadSchedule,
    issued: Sequence[Window],
    *,
    now: datetime,
    longest_retry: timedelta,
) -> ReadSchedule:
    """After a clock that was ahead. `issued` is what was asked for already, the newest first.

    What it asked for ahead of time is left to its commands, for then there were no data yet. The
    next request begins where the last one of the right clock ended.
    """
    retry = schedule.retry_at
    if retry is not None:
        schedule = replace(schedule, retry_at=min(retry, now + longest_retry))
    if schedule.created_at > now:
        dated = abs(schedule.plan.starts - schedule.created_at) > _AT_ONCE
        plan = schedule.plan if dated else replace(schedule.plan, starts=now)
        schedule = replace(schedule, created_at=now, plan=plan)
    recurrence = schedule.plan.recurrence
    if recurrence is None or schedule.state is ScheduleState.ENDED:
        return schedule
    if schedule.pending is not None and schedule.pending.covers.end > _latest(recurrence, now):
        schedule = without_pending(schedule)
    first = first_window(recurrence, schedule.plan.starts).start
    latest = max(first, _latest(recurrence, now))
    if schedule.next_start <= latest:
        return schedule
    good = [each.end for each in issued if each.end <= latest]
    return replace(
        schedule, next_start=max([first, *good[:1]]), corrections=schedule.corrections + 1
    )


_AT_ONCE: Final = timedelta(minutes=1)
"""A schedule that was made to start so near to its making gave no date of its own."""


def _latest(recurrence: Recurrence, now: datetime) -> datetime:
    """No right clock has asked for anything past this."""
    return window_at(recurrence.grid, now).end


def paused(schedule: ReadSchedule) -> ReadSchedule:
    """Raises Conflict for a schedule that has ended."""
    return _moved(schedule, SchedulePaused, S.PAUSED)


def resumed(schedule: ReadSchedule) -> ReadSchedule:
    """What was missed meanwhile is caught up, unless the plan forbids it. Raises Conflict."""
    return _moved(schedule, ScheduleResumed, S.ACTIVE)


def removed(schedule: ReadSchedule) -> ReadSchedule:
    return replace(_moved(schedule, ScheduleRemoved, S.ENDED), retry_at=None)


def _moved(schedule: ReadSchedule, event: type[ScheduleEvent], to: ScheduleState) -> ReadSchedule:
    if not SCHEDULE_MACHINE.targets(schedule.state, event):
        raise Conflict(f"schedule {schedule.id} has ended")
    SCHEDULE_MACHINE.check(schedule.state, event, to, of=f"schedule {schedule.id}")
    return replace(schedule, state=to)


def _over(schedule: ReadSchedule) -> bool:
    recurrence = schedule.plan.recurrence
    if recurrence is None:
        return schedule.issued > 0
    return ended(recurrence, issued=schedule.issued, next_start=schedule.next_start)
