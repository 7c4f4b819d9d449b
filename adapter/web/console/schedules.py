"""Scheduled reads, and what came of their windows."""

from collections.abc import Mapping

from adapter.schedules.schedule import ScheduleState
from adapter.web.api import schedules
from adapter.web.console.view import PageView


async def load_list(view: PageView) -> Mapping[str, object]:
    page = await view.read(
        schedules.SchedulePage, schedules.list_schedules, {"limit": "50", **view.query}
    )
    return {"list": page, "states": tuple(ScheduleState)}


async def load(view: PageView) -> Mapping[str, object]:
    shown = await view.read(schedules.ScheduleOut, schedules.get_schedule)
    windows = await view.read(
        schedules.WindowPage, schedules.list_windows, {"limit": "50", **view.query}
    )
    return {"schedule": shown, "list": windows}
