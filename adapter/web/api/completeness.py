"""Routes of completeness: which meters have reported and which have not, and reading them again."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from adapter.commands.flows import CommandKind
from adapter.engine.readings.completeness import (
    GroupDay,
    MeterGap,
    MeterQuery,
    Overview,
    ReadAgain,
    Reread,
    WindowBehind,
)
from adapter.model.ids import DeviceId
from adapter.readings.gaps import Gap
from adapter.web.api.call import (
    ApiContext,
    ApiRequest,
    ApiResponse,
    Id,
    Moment,
    NeededText,
    answer_from,
    bad_query,
    id_of,
    limit_of,
    member,
    moment_of,
)
from adapter.web.api.schedules import WindowReportOut

_DAYS_SHOWN: Final = 31


# ---------------------------------------------------------------- what is taken


class ReadAgainIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Read the meters of a list again, by one command."""

    gap: Gap
    reason: NeededText
    group: Id | None = None
    since: Moment | None = None
    day: date | None = None
    kind: CommandKind = CommandKind.ON_DEMAND_READ_INTERVAL
    start: Moment | None = None
    end: Moment | None = None
    at_most: Annotated[int, Meta(ge=1)] | None = None
    idempotency_key: Id | None = None
    dry_run: bool = False


# ---------------------------------------------------------------- what is given


class GroupDayOut(Struct, kw_only=True):
    """Meters of a group on a day."""

    group: str
    day: date
    meters: int
    reported: int
    whole: int
    doubtful: int
    late: int

    @classmethod
    def of(cls, found: GroupDay) -> "GroupDayOut":
        return answer_from(cls, found)


class CompletenessOut(Struct, kw_only=True):
    """How complete data are now: of the running day, and lists of the day before it."""

    at: datetime
    time_zone: str
    today: GroupDayOut
    no_value_for_a_day: int
    no_value_for_a_week: int
    never_reported: int
    failed: int
    late: int
    incomplete: int
    blocks: int
    windows_behind: int
    uncounted: int

    @classmethod
    def of(cls, found: Overview) -> "CompletenessOut":
        return answer_from(
            cls,
            found,
            at=found.now,
            time_zone=found.zone,
            today=GroupDayOut.of(found.today),
            no_value_for_a_day=found.silent.a_day,
            no_value_for_a_week=found.silent.a_week,
            never_reported=found.silent.never,
        )


class GroupDayList(Struct, kw_only=True):
    """By group and day. An empty group: meters that are in none."""

    items: list[GroupDayOut]


class MeterGapOut(Struct, kw_only=True):
    """A meter on a list, and why it is."""

    device: str
    endpoint: str
    reason: str
    last_at: datetime | None
    last_arrival: datetime | None
    intervals: int | None
    expected: int | None

    @classmethod
    def of(cls, found: MeterGap) -> "MeterGapOut":
        return answer_from(cls, found)


class MeterGapPage(Struct, kw_only=True):
    """By device. `next` is the cursor of the page after this one."""

    items: list[MeterGapOut]
    total: int
    next: str | None


class WindowBehindOut(Struct, kw_only=True):
    """A schedule that is behind: windows that are due were not asked for, or meters of one are
    failed, missing or waiting after its end."""

    schedule: str
    name: str
    group: str
    kind: CommandKind
    not_asked: int
    problem: str
    report: WindowReportOut | None

    @classmethod
    def of(cls, found: WindowBehind) -> "WindowBehindOut":
        plan = found.schedule.plan
        return cls(
            schedule=found.schedule.id,
            name=plan.name,
            group=plan.group,
            kind=plan.kind,
            not_asked=found.not_asked,
            problem=found.problem,
            report=None if found.report is None else WindowReportOut.of(found.report),
        )


class WindowBehindList(Struct, kw_only=True):
    items: list[WindowBehindOut]


class RereadOut(Struct, kw_only=True):
    """What is read again, or in a dry run would be."""

    meters: int
    asked: int
    by_reason: Mapping[str, int]
    incapable: int
    command: str | None

    @classmethod
    def of(cls, found: Reread) -> "RereadOut":
        return answer_from(cls, found)


# ---------------------------------------------------------------- the routes


async def get_completeness(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    found = await api.gateway.readings.completeness.overview(id_of(asked, "group"))
    return ApiResponse(body=CompletenessOut.of(found))


async def list_completeness_days(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    completeness = api.gateway.readings.completeness
    last = _day(asked, "last") or completeness.today()
    first = _day(asked, "first") or date.fromordinal(max(last.toordinal() - _DAYS_SHOWN + 1, 1))
    found = await completeness.days(first, last, group=id_of(asked, "group"))
    return ApiResponse(body=GroupDayList(items=[GroupDayOut.of(each) for each in found]))


async def list_meter_gaps(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    completeness = api.gateway.readings.completeness
    wanted = wanted_of(api, asked)
    found = await completeness.meters(wanted)
    return ApiResponse(
        body=MeterGapPage(
            items=[MeterGapOut.of(each) for each in found],
            total=await completeness.count(wanted),
            next=found[-1].device if len(found) == wanted.limit else None,
        )
    )


async def list_windows_behind(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    found = await api.gateway.readings.completeness.windows_behind(id_of(asked, "group"))
    return ApiResponse(body=WindowBehindList(items=[WindowBehindOut.of(each) for each in found]))


async def read_meters_again(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    given, completeness = asked.read(ReadAgainIn), api.gateway.readings.completeness
    wanted = completeness.query(given.gap, since=given.since, day=given.day, group=given.group)
    start, end = completeness.period_of(wanted)
    read = ReadAgain(
        wanted=wanted,
        kind=given.kind,
        start=given.start or start,
        end=given.end or end,
        reason=given.reason,
        at_most=given.at_most,
        idempotency_key=given.idempotency_key,
    )
    if given.dry_run:
        return ApiResponse(body=RereadOut.of(await completeness.reread(read)))
    made = await completeness.read_again(read, by=asked.actor)
    return ApiResponse(body=RereadOut.of(made))


def wanted_of(api: ApiContext, asked: ApiRequest) -> MeterQuery:
    """Which list a query means. Raises ProblemRaised 422."""
    after = id_of(asked, "cursor")
    return api.gateway.readings.completeness.query(
        member(asked, "gap", Gap) or Gap.NOT_SINCE,
        since=moment_of(asked, "since"),
        day=_day(asked, "day"),
        group=id_of(asked, "group"),
        after=None if after is None else DeviceId(after),
        limit=limit_of(asked),
    )


def _day(asked: ApiRequest, name: str) -> date | None:
    given = asked.query.get(name)
    try:
        return None if given is None else date.fromisoformat(given)
    except ValueError:
        raise bad_query(name, "a day as 2026-03-01") from None
