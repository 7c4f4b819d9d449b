"""The routes of scheduled reads, each a few lines over `Schedules`."""

from adapter.engine.schedules.ports import ReadResult
from adapter.schedules.schedule import ReadSchedule, ScheduleId, ScheduleState
from adapter.web.api import schedules as schema
from adapter.web.api.call import (
    PREFIX,
    ApiContext,
    ApiRequest,
    ApiResponse,
    bad_query,
    cursor_of,
    limit_of,
    member,
    row_of,
    whole_of,
)


async def add_schedule(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    plan = asked.read(schema.ScheduleIn).plan(now=asked.now)
    made = await api.gateway.schedules.add(plan, by=asked.actor)
    return ApiResponse(
        status=202,
        body=schema.ScheduleOut.of(made),
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
        body=schema.SchedulePage(
            items=[schema.ScheduleOut.of(item) for item in found],
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
        body=schema.WindowPage(
            items=[schema.WindowReportOut.of(item) for item in found],
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
    return ApiResponse(body=schema.WindowReportOut.of(report))


def _results(asked: ApiRequest) -> frozenset[ReadResult]:
    given = asked.query.get("result")
    if given is None:
        return frozenset(ReadResult)
    if given not in tuple(ReadResult):
        raise bad_query("result", f"one of {', '.join(ReadResult)}")
    return frozenset({ReadResult(given)})


def _schedule(asked: ApiRequest) -> ScheduleId:
    return ScheduleId(asked.path["schedule"])


def _shown(schedule: ReadSchedule) -> ApiResponse:
    return ApiResponse(body=schema.ScheduleOut.of(schedule))
