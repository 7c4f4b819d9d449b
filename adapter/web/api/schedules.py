"""Routes of scheduled reads and their windows."""

from datetime import datetime, time, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from adapter.commands.activity import Outcome, State
from adapter.commands.flows import CommandKind
from adapter.commands.timing import given_in_utc, in_utc
from adapter.engine.schedules.ports import ReadResult, WindowReport
from adapter.schedules.recurrence import Grid, Recurrence, Window
from adapter.schedules.schedule import (
    MOST_REQUESTS,
    ReadPlan,
    ReadSchedule,
    ScheduleId,
    ScheduleState,
)
from adapter.web.api.call import (
    PREFIX,
    ApiContext,
    ApiRequest,
    ApiResponse,
    Id,
    Moment,
    Text,
    answer_from,
    cursor_of,
    limit_of,
    member,
    row_of,
    whole_of,
)
from adapter.web.api.commands import EndpointCounts

Seconds = Annotated[int, Meta(ge=0, le=86_400)]


# ---------------------------------------------------------------- what is taken


class OnceIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """One read of [start, end)."""

    start: Moment
    end: Moment


class RecurrenceIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Windows of `length_s`, which divides 24 hours, from `first` on each day, local to
    `time_zone`. A window is asked for `buffer_s` before it ends. With `catch_up` a late request
    covers everything since the last. `count` requests at most; no window from `end` on."""

    first: time
    length_s: Seconds
    time_zone: Id = "UTC"
    buffer_s: Seconds = 0
    catch_up: bool = True
    count: Annotated[int, Meta(ge=1, le=MOST_REQUESTS)] | None = None
    end: Moment | None = None

    def recurrence(self) -> Recurrence:
        grid = Grid(first=self.first, length=timedelta(seconds=self.length_s), zone=self.time_zone)
        return Recurrence(
            grid=grid,
            buffer=timedelta(seconds=self.buffer_s),
            catch_up=self.catch_up,
            count=self.count,
            end=given_in_utc("end", self.end),
        )


class ScheduleIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Either `recurrence`, from `starts` on, or `once`, sent at `starts`; `starts` null is now."""

    kind: CommandKind
    group: Id
    name: Text = ""
    starts: Moment | None = None
    recurrence: RecurrenceIn | None = None
    once: OnceIn | None = None
    events: bool = False

    def plan(self, *, now: datetime) -> ReadPlan:
        once, recurrence = self.once, self.recurrence
        return ReadPlan(
            name=self.name,
            group=self.group,
            kind=self.kind,
            starts=given_in_utc("starts", self.starts) or now,
            recurrence=None if recurrence is None else recurrence.recurrence(),
            once=None
            if once is None
            else Window(in_utc("once", once.start), in_utc("once", once.end)),
            events=self.events,
        )


# ---------------------------------------------------------------- what is given


class WindowOut(Struct, kw_only=True):
    start: datetime
    end: datetime

    @classmethod
    def of(cls, window: Window) -> "WindowOut":
        return cls(start=window.start, end=window.end)


class RecurrenceOut(Struct, kw_only=True):
    first: time
    length_s: int
    time_zone: str
    buffer_s: int
    catch_up: bool
    count: int | None
    end: datetime | None

    @classmethod
    def of(cls, recurrence: Recurrence) -> "RecurrenceOut":
        return cls(
            first=recurrence.grid.first,
            length_s=round(recurrence.grid.length.total_seconds()),
            time_zone=recurrence.grid.zone,
            buffer_s=round(recurrence.buffer.total_seconds()),
            catch_up=recurrence.catch_up,
            count=recurrence.count,
            end=recurrence.end,
        )


class ScheduleOut(Struct, kw_only=True):
    """`read_until` is the end of what was asked for; `due_at` when the next request leaves."""

    id: str
    state: ScheduleState
    name: str
    group: str
    kind: CommandKind
    starts: datetime
    recurrence: RecurrenceOut | None
    once: WindowOut | None
    events: bool
    issued: int
    read_until: datetime
    due_at: datetime | None
    problem: str
    created_at: datetime
    created_by: str

    @classmethod
    def of(cls, schedule: ReadSchedule) -> "ScheduleOut":
        plan = schedule.plan
        return cls(
            id=schedule.id,
            state=schedule.state,
            name=plan.name,
            group=plan.group,
            kind=plan.kind,
            starts=plan.starts,
            recurrence=None if plan.recurrence is None else RecurrenceOut.of(plan.recurrence),
            once=None if plan.once is None else WindowOut.of(plan.once),
            events=plan.events,
            issued=schedule.issued,
            read_until=schedule.next_start,
            due_at=schedule.wake,
            problem=schedule.problem,
            created_at=schedule.created_at,
            created_by=schedule.created_by,
        )


class SchedulePage(Struct, kw_only=True):
    items: list[ScheduleOut]
    next: str | None


class DeviceReadOut(Struct, kw_only=True):
    device: str
    endpoint: str
    result: ReadResult
    reason: str
    incomplete: str


class WindowReportOut(Struct, kw_only=True):
    """What became of one window. `expected` were in the group then; of `missing` ones the head end
    told nothing; `waiting` is what is not known yet; `incomplete` are those that were read, but not
    with all their blocks (null in a list of windows). `missed` lies unread before it: `skipped`
    windows, because catch-up is off or bounded. `devices` is a page of them; `next` is the cursor
    of the one after it."""

    number: int
    window: WindowOut
    missed: WindowOut | None
    skipped: int
    requested_at: datetime
    command: str
    state: State
    outcome: Outcome | None
    expected: int
    counts: EndpointCounts
    waiting: int
    incomplete: int | None
    devices: list[DeviceReadOut]
    next: str | None

    @classmethod
    def of(cls, report: WindowReport) -> "WindowReportOut":
        window = report.window
        return cls(
            number=window.number,
            window=WindowOut.of(window.covers),
            missed=None if window.missed is None else WindowOut.of(window.missed),
            skipped=window.skipped,
            requested_at=window.at,
            command=window.command,
            state=report.state,
            outcome=report.outcome,
            expected=window.expected,
            counts=answer_from(EndpointCounts, report.tally),
            waiting=report.waiting,
            incomplete=report.incomplete,
            devices=[answer_from(DeviceReadOut, item) for item in report.devices],
            next=report.next,
        )


class WindowPage(Struct, kw_only=True):
    """Newest first, without their devices."""

    items: list[WindowReportOut]
    next: str | None


# ---------------------------------------------------------------- the routes


async def add_schedule(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    plan = asked.read(ScheduleIn).plan(now=asked.now)
    made = await api.gateway.schedules.add(plan, by=asked.actor)
    return ApiResponse(
        status=202,
        body=ScheduleOut.of(made),
        headers={"Location": f"{PREFIX}/schedules/{made.id}"},
    )


async def list_schedules(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    cursor = cursor_of(asked)
    found = await api.gateway.schedules.list(
        state=member(asked, "state", ScheduleState),
        after=None if cursor is None else ScheduleId(cursor),
        limit=limit,
    )
    return ApiResponse(
        body=SchedulePage(
            items=[ScheduleOut.of(item) for item in found],
            next=found[-1].id if len(found) == limit else None,
        )
    )


async def get_schedule(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return _shown(await api.gateway.schedules.get(_schedule(asked)))


async def pause_schedule(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return _shown(await api.gateway.schedules.pause(_schedule(asked), by=asked.actor))


async def resume_schedule(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return _shown(await api.gateway.schedules.resume(_schedule(asked), by=asked.actor))


async def remove_schedule(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return _shown(await api.gateway.schedules.remove(_schedule(asked), by=asked.actor))


async def list_windows(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    before = whole_of(asked, "cursor") if "cursor" in asked.query else None
    found = await api.gateway.schedules.windows(_schedule(asked), before=before, limit=limit)
    return ApiResponse(
        body=WindowPage(
            items=[WindowReportOut.of(item) for item in found],
            next=str(found[-1].window.number) if len(found) == limit else None,
        )
    )


async def get_window(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    report = await api.gateway.schedules.report(
        _schedule(asked),
        row_of(asked, "window", "window"),
        results=_results(asked),
        cursor=asked.query.get("cursor"),
        limit=limit_of(asked),
    )
    return ApiResponse(body=WindowReportOut.of(report))


def _results(asked: ApiRequest) -> frozenset[ReadResult]:
    wanted = member(asked, "result", ReadResult)
    return frozenset(ReadResult if wanted is None else {wanted})


def _schedule(asked: ApiRequest) -> ScheduleId:
    return ScheduleId(asked.path["schedule"])


def _shown(schedule: ReadSchedule) -> ApiResponse:
    return ApiResponse(body=ScheduleOut.of(schedule))
