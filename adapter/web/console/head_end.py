"""The head end: how fast it answers by operation and hour, what it refuses, what it calls back."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from adapter.commands.flows import Operation
from adapter.engine.upkeep.durations import DurationFilter, Measure, Spread
from adapter.errors import NotSent, OutcomeUnknown, Refused
from adapter.model.values import replace
from adapter.server.scrape import Scrape
from adapter.web.api import subscriptions
from adapter.web.api.head_end import CertificateEnd
from adapter.web.console.view import PageView

QUERY: Final = ("operation",)
_HOURS: Final = 24
_WEEK: Final = timedelta(days=7)
_STATUS: Final = "RequestStatusChangedService.StatusChanged"
_POLL: Final = "GetRequestStatus"
_SOON: Final = timedelta(days=30)


@dataclass(slots=True, kw_only=True)
class HeadEndPace:
    """Of one operation: the last hours, and the same hours a week ago."""

    name: str
    now: Spread = field(default_factory=Spread)
    week_ago: Spread = field(default_factory=Spread)
    refused: float = 0
    unclear: float = 0
    not_sent: float = 0

    @property
    def p50_s(self) -> float | None:
        return self.now.quantile(0.5)

    @property
    def p95_s(self) -> float | None:
        return self.now.quantile(0.95)

    @property
    def week_p95_s(self) -> float | None:
        return self.week_ago.quantile(0.95)

    @property
    def slower(self) -> bool:
        """By a whole class of durations at least."""
        now, before = self.p95_s, self.week_p95_s
        return now is not None and before is not None and now > 1.5 * before


@dataclass(frozen=True, slots=True, kw_only=True)
class HourPoint:
    """An hour of the picture; in milliseconds."""

    hour: datetime
    count: int
    p50_ms: float | None
    p95_ms: float | None
    week_p95_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledBack:
    """In the last hours: results that were fetched, callbacks that came, status polls of ours."""

    results: int
    callbacks: int
    polls: int

    @property
    def healed(self) -> int:
        """At least so many results came without a callback, by polling: each other one has one or
        more."""
        return max(self.results - self.callbacks, 0)


async def load(view: PageView) -> Mapping[str, object]:
    newest = view.now.replace(minute=0, second=0, microsecond=0)
    first = newest - timedelta(hours=_HOURS - 1)
    durations = view.api.gateway.upkeep.durations
    await durations.write()  # what is asked for at once below does not wait for it
    measured = None if view.metrics is None else view.metrics.in_memory()
    calls, results, arrivals, subscribed = await asyncio.gather(
        _sums(view, Measure.CALL, first),
        _sums(view, Measure.TOKEN_TO_RESULT, first),
        durations.sums(DurationFilter(start=first, measure=Measure.ARRIVAL_TO_SEEN, name=_STATUS)),
        view.read(subscriptions.SubscriptionsOut, subscriptions.list_subscriptions),
    )
    paces = _with_failures(_paces(*calls), measured)
    chosen = view.query.get("operation", "")
    if chosen not in {each.name for each in paces}:
        chosen = paces[0].name if paces else ""
    points = await _points(view, chosen, first)
    facts = view.api.head_end
    ends = [] if facts is None else await asyncio.to_thread(facts.certificates)
    return {
        "hours": _HOURS,
        "paces": paces,
        "operation": chosen,
        "points": points,
        "x": [each.hour.timestamp() for each in points],
        "results": _paces(*results),
        "called_back": _called_back(calls[0], results[0], arrivals),
        "measured": measured,
        "signals": {} if measured is None else measured.by("signals_total", "signal"),
        "subscribed": subscribed,
        "facts": facts,
        "certificates": [(each, _tone(each, view.now)) for each in ends],
    }


_Sums = Mapping[str, Spread]


async def _sums(view: PageView, measure: Measure, first: datetime) -> tuple[_Sums, _Sums]:
    """Of the last hours, and of the same a week ago."""
    durations = view.api.gateway.upkeep.durations
    start = first - _WEEK
    end = start + timedelta(hours=_HOURS)
    return await asyncio.gather(
        durations.sums(DurationFilter(start=first, measure=measure)),
        durations.sums(DurationFilter(start=start, end=end, measure=measure)),
    )


def _paces(lately: _Sums, before: _Sums) -> list[HeadEndPace]:
    """The most often called first."""
    made = [
        HeadEndPace(name=name, now=lately.get(name, Spread()), week_ago=before.get(name, Spread()))
        for name in {**lately, **before}
    ]
    return sorted(made, key=lambda each: (-each.now.count, each.name))


def _with_failures(paces: list[HeadEndPace], measured: Scrape | None) -> list[HeadEndPace]:
    """Since the start of the gateway; also of operations of which no call was answered lately."""
    if measured is None:
        return paces
    known = {each.name: each for each in paces}
    failed = [
        measured.by("call_failures_total", "operation", error=error)
        for error in (Refused.code, OutcomeUnknown.code, NotSent.code)
    ]
    for operation in Operation:
        counts = [each.get(operation.value, 0.0) for each in failed]
        if any(counts):
            pace = known.setdefault(operation.value, HeadEndPace(name=operation.value))
            pace.refused, pace.unclear, pace.not_sent = counts
    return list(known.values())


async def _points(view: PageView, operation: str, first: datetime) -> list[HourPoint]:
    wanted = DurationFilter(start=first, measure=Measure.CALL, name=operation)
    durations, start = view.api.gateway.upkeep.durations, first - _WEEK
    both = await asyncio.gather(
        durations.hours(wanted),
        durations.hours(replace(wanted, start=start, end=start + timedelta(hours=_HOURS))),
    )
    now, week_ago = ({each.hour: each.spread for each in hours} for hours in both)
    return [
        HourPoint(
            hour=hour,
            count=now[hour].count if hour in now else 0,
            p50_ms=_ms(now.get(hour), 0.5),
            p95_ms=_ms(now.get(hour), 0.95),
            week_p95_ms=_ms(week_ago.get(hour - _WEEK), 0.95),
        )
        for hour in (first + timedelta(hours=n) for n in range(_HOURS))
    ]


def _ms(spread: Spread | None, part: float) -> float | None:
    seconds = None if spread is None else spread.quantile(part)
    return None if seconds is None else round(seconds * 1000, 1)


def _called_back(calls: _Sums, results: _Sums, arrivals: _Sums) -> CalledBack:
    return CalledBack(
        results=sum(each.count for each in results.values()),
        callbacks=sum(each.count for each in arrivals.values()),
        polls=sum(each.count for name, each in calls.items() if name.endswith(_POLL)),
    )


def _tone(certificate: CertificateEnd, now: datetime) -> str:
    if certificate.ends is None or certificate.ends <= now + _SOON:
        return "urgent"
    return "good"
