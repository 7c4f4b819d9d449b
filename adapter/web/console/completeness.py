"""Which meters have reported, day by day and group by group, and reading the others again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from adapter.commands.flows import CommandKind
from adapter.engine.readings.completeness import MeterQuery, ReadAgain, Reread
from adapter.errors import InvalidRequest
from adapter.readings.gaps import Gap
from adapter.web.api import completeness
from adapter.web.api.call import ApiRequest
from adapter.web.api.completeness import GroupDayOut, MeterGapPage
from adapter.web.console.view import PageView

QUERY: Final = ("group", "gap", "since", "day", "cursor")
MOST_GROUPS: Final = 60
"""Rows of the map."""

_SHARES: Final = ((0.995, "q5"), (0.98, "q4"), (0.95, "q3"), (0.80, "q2"), (0.0, "q1"))
"""From which share of meters on that sent all intervals a day has which colour."""

_FEW: Final = {"limit": "15"}

LEGEND: Final = (
    ("q5", "99.5 % and more"),
    ("q4", "98 %"),
    ("q3", "95 %"),
    ("q2", "80 %"),
    ("q1", "less"),
    ("q0", "no meters then"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatCell:
    """A group on a day: `text` is the share in per cent, `told` all of it."""

    day: date
    shade: str
    text: str
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatRow:
    group: str
    cells: Sequence[HeatCell]


async def load(view: PageView) -> Mapping[str, object]:
    counts = view.api.gateway.readings.completeness
    group = {name: view.query[name] for name in ("group",) if name in view.query}
    asked = {name: value for name, value in view.query.items() if value}
    overview = await view.read(completeness.CompletenessOut, completeness.get_completeness, group)
    days = await view.read(completeness.GroupDayList, completeness.list_completeness_days, group)
    listed = await view.read(MeterGapPage, completeness.list_meter_gaps, {**_FEW, **asked})
    behind = await view.read(completeness.WindowBehindList, completeness.list_windows_behind, group)
    today = counts.today()
    rows = rows_of(days.items, today)
    wanted = completeness.wanted_of(view.api, _request(view, asked))
    return {
        "chosen": {name: asked.get(name, "") for name in QUERY},
        "overview": overview,
        "days": [each.day for each in rows[0].cells] if rows else [],
        "rows": rows[:MOST_GROUPS],
        "left_off": max(len(rows) - MOST_GROUPS, 0),
        "legend": LEGEND,
        "listed": listed,
        "behind": behind,
        "gap": wanted.gap,
        "gaps": tuple(Gap),
        "wanted": wanted,
        "of_day": wanted.gap not in (Gap.NOT_SINCE, Gap.FAILED),
        "yesterday": today - timedelta(days=1),
        "a_week_ago": (view.now - timedelta(days=7)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **(await _dry_run(view, wanted) if listed.total else {"dry": None, "dry_refused": ""}),
    }


def _request(view: PageView, query: Mapping[str, str]) -> ApiRequest:
    return ApiRequest(key=None, headers={}, path={}, query=query, body=None, now=view.now)


async def _dry_run(view: PageView, wanted: MeterQuery) -> Mapping[str, Reread | str | None]:
    counts = view.api.gateway.readings.completeness
    start, end = counts.period_of(wanted)
    read = ReadAgain(
        wanted=wanted,
        kind=CommandKind.ON_DEMAND_READ_INTERVAL,
        start=start,
        end=end,
        reason="",
    )
    try:
        return {"dry": await counts.reread(read), "dry_refused": ""}
    except InvalidRequest as error:
        return {"dry": None, "dry_refused": str(error)}


def rows_of(found: Sequence[GroupDayOut], today: date) -> list[HeatRow]:
    """By group, the newest day first; those without a meter on any of the days are left off."""
    groups: dict[str, list[GroupDayOut]] = {}
    for each in found:
        groups.setdefault(each.group, []).append(each)
    return [
        HeatRow(group=group, cells=[_cell(each, today) for each in reversed(days)])
        for group, days in groups.items()
        if any(each.meters for each in days)
    ]


def _cell(found: GroupDayOut, today: date) -> HeatCell:
    """Of the running day those count that have reported at all."""
    running = found.day == today
    good = found.reported if running else found.whole
    told = (
        f"{found.group or 'in no group'}, {found.day}: {found.reported} of {found.meters} "
        f"reported, {found.whole} whole, {found.doubtful} with values in doubt, {found.late} late"
    )
    if not found.meters:
        return HeatCell(day=found.day, shade="q0", text="", told=told)
    share = good / found.meters
    shade = next(shade for least, shade in _SHARES if share >= least)
    return HeatCell(
        day=found.day,
        shade="running" if running else shade,
        text=str(int(100 * share)),
        told=told,
    )
