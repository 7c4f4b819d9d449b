"""How the gateway stands now: what waits, the head end, the queue, what comes in and goes out."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from adapter.commands.activity import TO_DO, State
from adapter.engine.upkeep.durations import DurationFilter, Measure, Spread
from adapter.engine.upkeep.todo import TodoEntry
from adapter.model.values import replace
from adapter.server.scrape import Scrape
from adapter.web.api import switch_safety, upkeep
from adapter.web.console.view import PageView

_GOOD: Final = ("succeeded", "succeeded_inferred", "already_satisfied")
_SPAN: Final = timedelta(hours=2)
"""This hour and the one before it; yesterday's are the same two."""
_SHOWN: Final = 4
_DAY: Final = timedelta(days=1)
_SLOWER: Final = 2.0
"""So many times as slow as yesterday is worth a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationPace:
    """Of one operation, in the hours that are compared. `failed` since the start."""

    name: str
    now: Spread
    yesterday: Spread
    failed: float = 0.0

    @property
    def slower(self) -> bool:
        return bool(
            self.now.count
            and self.yesterday.count
            and _mean(self.now) > _SLOWER * _mean(self.yesterday)
        )

    @property
    def mean_s(self) -> float | None:
        return _mean(self.now) if self.now.count else None

    @property
    def mean_yesterday_s(self) -> float | None:
        return _mean(self.yesterday) if self.yesterday.count else None

    @property
    def p95_s(self) -> float | None:
        return self.now.quantile(0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class KindEnds:
    """How the commands of a kind ended since the start."""

    kind: str
    ended: float
    good: float
    oldest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What stands in one state; `waits`: for people."""

    state: str
    count: float
    oldest_s: float
    waits: bool = False


async def load(view: PageView) -> Mapping[str, object]:
    await view.api.gateway.upkeep.durations.write()
    (waiting, measured), ready, switching, calls, arrivals = await asyncio.gather(
        _waiting(view),
        view.read(upkeep.ReadyOut, upkeep.get_readiness),
        view.read(switch_safety.SwitchingStateOut, switch_safety.get_switching),
        paces(view, Measure.CALL),
        paces(view, Measure.ARRIVAL_TO_SEEN),
    )
    return {
        "ready": ready,
        "switching": switching,
        "waiting": len(waiting),
        "first": waiting[:_SHOWN],
        "oldest": min((each.first.since for each in waiting), default=None),
        "dark": len({point for each in waiting for point in each.dark}),
        "measured": measured,
        "calls": _with_failures(calls, measured),
        "arrivals": arrivals,
        "kinds": [] if measured is None else list(_kinds(measured)),
        "commands": [] if measured is None else list(_commands(measured)),
        "orders": [] if measured is None else list(_orders(measured)),
        "receivers": []
        if measured is None
        else sorted(measured.by("deliveries_oldest_seconds", "receiver")),
        "since": None if measured is None else _started(measured, view.now),
    }


async def _waiting(view: PageView) -> tuple[Sequence[TodoEntry], Scrape | None]:
    """The list is among what is measured: it is read once."""
    waiting = await view.api.gateway.upkeep.todo.list()
    return waiting, None if view.metrics is None else await view.metrics.scrape(waiting)


async def paces(view: PageView, measure: Measure) -> Sequence[OperationPace]:
    """Of each operation, the most often called first."""
    hour = view.now.replace(minute=0, second=0, microsecond=0)
    start = hour - _SPAN + timedelta(hours=1)
    durations = view.api.gateway.upkeep.durations
    now, then = await asyncio.gather(
        durations.sums(DurationFilter(start=start, measure=measure)),
        durations.sums(
            DurationFilter(start=start - _DAY, end=start - _DAY + _SPAN, measure=measure)
        ),
    )
    made = [
        OperationPace(
            name=_short(name), now=now.get(name, Spread()), yesterday=then.get(name, Spread())
        )
        for name in {*now, *then}
    ]
    return sorted(made, key=lambda each: (-each.now.count, -each.yesterday.count, each.name))


def _with_failures(
    paces: Sequence[OperationPace], measured: Scrape | None
) -> Sequence[OperationPace]:
    if measured is None:
        return paces
    failed = {
        _short(name): count
        for name, count in measured.by("call_failures_total", "operation").items()
    }
    return [replace(each, failed=failed.get(each.name, 0.0)) for each in paces]


def _short(operation: str) -> str:
    service, _, name = operation.rpartition(".")
    return name if service.endswith("Service") else operation


def _mean(spread: Spread) -> float:
    return spread.total_s / max(spread.count, 1)


def _kinds(measured: Scrape) -> Iterable[KindEnds]:
    ended = measured.by("command_ends_total", "kind")
    oldest = measured.by("oldest_open_kind_seconds", "kind")
    good: dict[str, float] = {}
    for outcome in _GOOD:
        for kind, n in measured.by("command_ends_total", "kind", outcome=outcome).items():
            good[kind] = good.get(kind, 0) + n
    for kind in sorted(ended, key=lambda each: (-ended[each], each)):
        if ended[kind] or oldest.get(kind):
            yield KindEnds(
                kind=kind,
                ended=ended[kind],
                good=good.get(kind, 0),
                oldest_s=oldest.get(kind, 0),
            )


def _commands(measured: Scrape) -> Iterable[Stage]:
    oldest = measured.by("oldest_open_command_seconds", "state")
    for state, n in measured.by("commands", "state").items():
        if n and not State(state).final:
            yield Stage(
                state=state, count=n, oldest_s=oldest.get(state, 0), waits=State(state) in TO_DO
            )


def _orders(measured: Scrape) -> Iterable[Stage]:
    oldest = measured.by("oldest_open_order_seconds", "state")
    for state, n in measured.by("orders", "state").items():
        if n:
            yield Stage(state=state, count=n, oldest_s=oldest.get(state, 0))


def _started(measured: Scrape, now: datetime) -> timedelta | None:
    began = measured.began_s
    return timedelta(seconds=max(now.timestamp() - began, 0)) if began else None
