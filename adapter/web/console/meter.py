"""A meter: on or off and by what, its month as a picture, what is missing, who has spoken to it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapter.commands.activity import Command
from adapter.commands.calls import ReadingKind
from adapter.commands.rules import lanes_of
from adapter.engine.commands.ports import Filter
from adapter.engine.commands.unclear import unclear_of
from adapter.engine.commands.unsent import unsent_of
from adapter.engine.events.ports import EventFilter, StoredEvent
from adapter.engine.readings.reports import ValueQuery, ValueRow
from adapter.errors import NotFound
from adapter.events.types import POWER, PairRole
from adapter.model.device import DeviceView
from adapter.model.ids import DeviceId
from adapter.model.supply import PointView, switched
from adapter.readings.days import bounds_of
from adapter.web.api import registry
from adapter.web.api.call import bad_query
from adapter.web.console.meter_month import (
    DrawnInterval,
    Happening,
    MonthPicture,
    days_of,
    month_of,
)
from adapter.web.console.view import PageView

QUERY: Final = ("month", "component")
_MOST_VALUES: Final = 40_000
"""A month of one channel a minute is more: the rest of it is shown as missing, and it is said."""
_PAGE: Final = 5_000
_MOST_EVENTS: Final = 500
_MOST_COMMANDS: Final = 200
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnChannel:
    """What of the meter's intervals may be drawn."""

    component: str
    quantity: str
    unit: str
    seconds: int


async def load_list(view: PageView) -> Mapping[str, object]:
    wanted = view.query.get("device", "").strip()
    if wanted:
        items = []
        with suppress(NotFound):
            items = [await view.api.gateway.registry.device(DeviceId(wanted))]
        return {"wanted": wanted, "found": items, "next": None}
    query = {"limit": "50"} | {name: view.query[name] for name in ("cursor",) if name in view.query}
    page = await view.read(registry.DevicePage, registry.list_devices, query)
    return {"wanted": "", "found": page.items, "next": page.next}


async def load(view: PageView) -> Mapping[str, object]:
    device = DeviceId(view.path["device"])
    found = await view.api.gateway.registry.device(device)
    counts = view.api.gateway.readings.completeness
    zone = _zone(found, counts.zone)
    days = days_of(_month(view, zone))
    start, end = bounds_of(days[0], zone)[0], bounds_of(days[-1], zone)[1]
    rows, cut_off = await _values(view, device, start, end)
    channels = _channels(rows)
    channel = _chosen(channels, view.query.get("component", ""))
    events = await view.api.gateway.events.events(
        EventFilter(device=device, since=start, limit=_MOST_EVENTS)
    )
    listing = await view.api.gateway.commands.list(Filter(device=device, limit=_MOST_COMMANDS))
    within = [each for each in listing.rows if start <= each.activity.created_at < end]
    month = _picture(view, rows, channel, days, zone, events, within)
    point = await _point(view, found)
    return {
        "found": found,
        "zone": str(zone),
        "chosen": {name: view.query.get(name, "") for name in QUERY},
        "month_first": days[0],
        "before": days[0] - timedelta(days=1),
        "after": days[-1] + timedelta(days=1),
        "month": month,
        "channel": channel,
        "channels": channels,
        "cut_off": cut_off,
        "registers": _registers(rows),
        "switching": None
        if found.installed is None
        else switched(found.installed, () if point is None else point.changes),
        "supply": None if point is None else point.supply,
        "last": await counts.last_contact(device),
        "last_event": max(events, key=lambda each: each.event.at, default=None),
        "last_command": next(iter(listing.rows), None),
        "events": sorted(
            (each for each in events if start <= each.event.at < end),
            key=lambda each: each.event.at,
            reverse=True,
        )[:50],
        "commands": within[:50],
        "lanes": _lanes(listing.rows),
        "unsent": await unsent_of(listing.rows, view.api.gateway.upkeep.switch_safety),
        "unclear": {each.id: unclear_of(each) for each in listing.rows},
    }


def _zone(found: DeviceView, otherwise: tzinfo) -> tzinfo:
    if found.service_point is None:
        return otherwise
    try:
        return ZoneInfo(found.service_point.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        return otherwise


def _month(view: PageView, zone: tzinfo) -> date:
    given = view.query.get("month", "")
    if not given:
        return view.now.astimezone(zone).date()
    try:
        found = date.fromisoformat(f"{given}-01")
    except ValueError:
        raise bad_query("month", "a month as 2026-03") from None
    if not 1970 <= found.year <= 2200:
        raise bad_query("month", "a month from 1970 to 2200")
    return found


async def _values(
    view: PageView, device: DeviceId, start: datetime, end: datetime
) -> tuple[list[ValueRow], bool]:
    """And whether there are more of them than are looked at."""
    wanted = ValueQuery(start, end, device)
    rows: list[ValueRow] = []
    cursor: str | None = None
    while len(rows) < _MOST_VALUES:
        page = await view.api.gateway.readings.reports.values(wanted, cursor=cursor, limit=_PAGE)
        rows += page.rows
        cursor = page.next
        if cursor is None:
            return rows, False
    return rows, True


async def _point(view: PageView, found: DeviceView) -> PointView | None:
    at = found.stands_at
    return None if at is None else await view.api.gateway.registry.service_point(at)


def _channels(rows: Sequence[ValueRow]) -> list[DrawnChannel]:
    made = {
        row.component: DrawnChannel(
            component=row.component, quantity=row.quantity, unit=row.unit, seconds=row.seconds
        )
        for row in rows
        if row.kind == ReadingKind.INTERVAL
    }
    return [made[name] for name in sorted(made)]


def _chosen(channels: Sequence[DrawnChannel], component: str) -> DrawnChannel | None:
    named = next((each for each in channels if each.component == component), None)
    return named or next(iter(channels), None)


def _registers(rows: Sequence[ValueRow]) -> list[tuple[ValueRow, datetime]]:
    """The newest of each component."""
    newest = {row.component: row for row in rows if row.kind == ReadingKind.REGISTER}
    return [(newest[name], _moment(newest[name].at)) for name in sorted(newest)]


def _moment(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


def _picture(
    view: PageView,
    rows: Sequence[ValueRow],
    channel: DrawnChannel | None,
    days: Sequence[date],
    zone: tzinfo,
    events: Sequence[StoredEvent],
    commands: Sequence[Command],
) -> MonthPicture:
    intervals = [
        DrawnInterval(
            at=_moment(row.at),
            value=None if row.value is None else Decimal(row.value),
            condition=row.condition,
        )
        for row in rows
        if channel is not None
        and row.component == channel.component
        and row.seconds == channel.seconds
    ]
    return month_of(
        days,
        intervals,
        seconds=0 if channel is None else channel.seconds,
        zone=zone,
        now=view.now,
        outages=_outages(events, view.now, bounds_of(days[0], zone)[0]),
        events=[
            Happening(at=each.event.at, what=f"{each.event.name} {each.event.at:%H:%M:%S} UTC")
            for each in events
            if each.event.pair != POWER
        ],
        commands=[
            Happening(
                at=each.activity.created_at,
                what=f"{each.request.flow.title}: {each.activity.outcome or each.activity.state}",
            )
            for each in commands
        ],
    )


def _outages(events: Sequence[StoredEvent], now: datetime, start: datetime) -> list[Happening]:
    """From the meter's own events; one whose begin was before the month lasts from its start."""
    made: list[Happening] = []
    begun: datetime | None = None
    first = True
    of_power = (each.event for each in events if each.event.pair == POWER)
    for event in sorted(of_power, key=lambda each: each.at):
        if event.role is PairRole.FIRST:
            begun = begun or event.at
        elif event.role is PairRole.LAST:
            if begun is not None or first:
                made.append(_outage(begun or start, event.at))
            begun = None
        first = False
    if begun is not None:
        made.append(_outage(begun, None))
    return made


def _outage(start: datetime, end: datetime | None) -> Happening:
    until = "now" if end is None else f"{end:%m-%d %H:%M}"
    return Happening(at=start, until=end, what=f"outage {start:%m-%d %H:%M} to {until} UTC")


def _lanes(commands: Sequence[Command]) -> list[tuple[str, Command]]:
    """What open commands hold of the meter alone, and which."""
    return [
        (lane, each)
        for each in commands
        if not each.activity.state.final
        for lane in lanes_of(each.request, each.targets)[:1]
    ]
