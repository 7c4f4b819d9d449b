"""What a gateway measures of itself, in the text form of Prometheus, by the table of metrics.

Parts count in plain whole numbers; it is gathered when somebody asks for it. What the store has to
be asked for is left out while it does not answer.
"""

import asyncio
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from typing import Final

from prometheus_client import PROCESS_COLLECTOR, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from adapter import __version__
from adapter.engine.commands.ports import Clock, Ledger
from adapter.engine.commands.switch_safety import LimitState, SwitchCounts
from adapter.engine.feed.deliveries import ReceiverLoop
from adapter.engine.gateway import Gateway
from adapter.engine.readings.intake import PayloadIntake
from adapter.engine.upkeep.durations import BOUNDS_S, Measure, Spread
from adapter.engine.upkeep.todo import TodoEntry
from adapter.errors import StoreFailed
from adapter.headend.limits import Limits
from adapter.server.scrape import PREFIX, Scrape
from adapter.service.metric_table import METRICS, MOST_COUNTED, MetricRow, MetricType
from adapter.store.commands.commands import SqlStore
from adapter.store.upkeep.gauges import SqliteGauges, StoreGauges
from adapter.web.api.rest import Rest
from adapter.web.listener.listener import Listener

Labels = tuple[str, ...]
Found = Mapping[Labels, float]
"""Values by the words of their labels; of a metric without labels, by ()."""

_DURATIONS: Final = {
    Measure.CALL: "call_seconds",
    Measure.SUBMIT_TO_SENT: "submit_to_sent_seconds",
    Measure.TOKEN_TO_RESULT: "token_to_result_seconds",
    Measure.ARRIVAL_TO_SEEN: "arrival_to_seen_seconds",
    Measure.REQUEST: "rest_request_seconds",
}
_VALUES: Final = ("new", "revised", "repeated", "filtered", "rejected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the store said. `newest` is the number of the newest event; of each receiver, since when
    the oldest is there that it has not taken."""

    ledger: Ledger
    gauges: StoreGauges
    todo: Sequence[TodoEntry]
    dark_meters: int
    newest: int
    oldest: Mapping[str, datetime]
    switches: SwitchCounts
    limits: Sequence[LimitState]


@dataclass(slots=True, kw_only=True)
class Metrics:
    gateway: Gateway
    store: SqlStore
    limits: Limits
    intake: PayloadIntake
    listener: Listener
    rest: Rest
    clock: Clock
    _gauges: SqliteGauges = field(init=False)

    def __post_init__(self) -> None:
        self._gauges = SqliteGauges(self.store.database)

    async def text(self) -> bytes:
        found = await self._look(None)
        durations: dict[str, dict[str, Spread]] = {name: {} for name in _DURATIONS.values()}
        for (measure, name), spread in self.gateway.upkeep.durations.totals().items():
            durations[_DURATIONS[measure]][name] = spread
        families = [
            _histogram(name, row, durations[name])
            if name in durations
            else _family(name, row, found[name])
            for name, row in METRICS.items()
            if name in durations or name in found
        ]
        return generate_latest(_Families([*families, *PROCESS_COLLECTOR.collect()]))

    async def scrape(self, todo: Sequence[TodoEntry] | None = None) -> Scrape:
        return self._scraped(await self._look(todo))

    def in_memory(self) -> Scrape:
        return self._scraped(self._own())

    def _scraped(self, found: Mapping[str, Found]) -> Scrape:
        values: dict[str, list[tuple[Mapping[str, str], float]]] = {
            name: [
                (dict(zip(METRICS[name].labels, words, strict=True)), value)
                for words, value in _with_noughts(METRICS[name], each).items()
            ]
            for name, each in found.items()
        }
        process = Scrape.of_families(PROCESS_COLLECTOR.collect(), 0.0)
        return Scrape(self.clock.now().timestamp(), {**process.samples, **values})

    async def _look(self, todo: Sequence[TodoEntry] | None) -> dict[str, Found]:
        found = self._own()
        try:
            found |= self._of_store(await self._ask(todo))
        except StoreFailed:
            found["store_up"] = _one(False)
        return found

    async def _ask(self, todo: Sequence[TodoEntry] | None) -> Asked:
        gateway = self.gateway
        oldest = {each.name: await each.oldest() for each in gateway.feed.deliveries.all()}
        ledger, gauges, dark_meters, bounds, switches, limits = await asyncio.gather(
            gateway.upkeep.ledger(),
            self._gauges.look(most=MOST_COUNTED),
            gateway.events.count_without_supply(),
            gateway.feed.bounds(),
            gateway.upkeep.switch_safety.store.counts(),
            gateway.upkeep.switch_safety.limit_states(),
        )
        return Asked(
            ledger=ledger,
            gauges=gauges,
            todo=await gateway.upkeep.todo.list() if todo is None else todo,
            dark_meters=dark_meters,
            newest=bounds.newest,
            oldest={name: at for name, at in oldest.items() if at is not None},
            switches=switches,
            limits=limits,
        )

    # ------------------------------------------------------------ in memory

    def _own(self) -> dict[str, Found]:
        gateway, upkeep, state = self.gateway, self.gateway.upkeep, self.limits.state()
        counts = self.intake.counts
        return {
            "call_failures_total": _pairs(upkeep.durations.call_failures),
            "head_end_lost": _one(state.lost),
            "head_end_slow": _one(state.slow),
            "breaker_open": _one(state.breaker_open),
            "limits_in_flight": _one(state.in_flight),
            "limits_waiting": _one(state.waiting),
            "limits_concurrency": _one(state.concurrency),
            "limits_paused_seconds": _one(state.paused_for_s),
            "command_ends_total": _pairs(gateway.commands.ended),
            "payloads_total": _each(self.intake.payloads),
            "values_total": _each({name: getattr(counts, name) for name in _VALUES}),
            "device_events_total": _each(gateway.events.counts_taken),
            "listener_counts_total": _each(self.listener.counts),
            "listener_connections": _one(self.listener.open_connections),
            **self._deliveries(),
            "signals_total": _each({s.value: n for s, n in upkeep.signals.counts.items()}),
            "switch_holds": _each({hold.reason.value: 1 for hold in upkeep.holds.all()}),
            "clock_off_seconds": _one(upkeep.clock_watch.off_by_s()),
            "rest_requests_total": _pairs(self.rest.answered),
            "rest_counts_total": _each(self.rest.counts),
            "rest_connections": _one(self.rest.open_connections),
            "build": {(__version__,): 1},
            "loop_lag_seconds": _one(upkeep.loop_lag.last_s),
            "loop_lag_longest_seconds": _one(upkeep.loop_lag.longest()),
        }

    def _deliveries(self) -> dict[str, Found]:
        receivers = self._receivers
        return {
            "deliveries_total": {
                (each.name, result): each.counts[result]
                for each in receivers
                for result in ("taken", "failed", "given_up")
            },
            "deliveries_waiting": {(each.name,): each.waiting for each in receivers},
            "receiver_stopped": {(each.name,): bool(each.state.stopped) for each in receivers},
        }

    @property
    def _receivers(self) -> Sequence[ReceiverLoop]:
        return self.gateway.feed.deliveries.all()

    # ------------------------------------------------------------ of the store

    def _of_store(self, asked: Asked) -> dict[str, Found]:
        ledger, gauges, now = asked.ledger, asked.gauges, self.clock.now()
        receivers = self._receivers
        kinds: dict[str, datetime] = {}
        states: dict[str, datetime] = {}
        for (state, kind), at in gauges.oldest_commands.items():
            states[state] = min(at, states.get(state, at))
            kinds[kind] = min(at, kinds.get(kind, at))
        waiting: dict[str, list[TodoEntry]] = {}
        for entry in asked.todo:
            waiting.setdefault(entry.first.subject.value, []).append(entry)
        return {
            "store_up": _one(True),
            **_limits(asked.limits),
            "switch_orders_open": _each(
                {
                    name: getattr(asked.switches, name)
                    for name in ("queued", "not_due", "sent", "in_doubt")
                }
            ),
            "commands": _each(ledger.commands_by_state),
            "commands_accepted_total": _one(ledger.accepted),
            "oldest_open_command_seconds": _ages(states, now),
            "oldest_open_kind_seconds": _ages(kinds, now),
            "communications": _each(ledger.communications_by_state),
            "completion_events": {
                tuple(key.split(":")): n for key, n in ledger.completion_events.items()
            },
            "orders": _each(gauges.orders),
            "oldest_open_order_seconds": _ages(gauges.oldest_orders, now),
            "inbox_messages": _each(ledger.inbox_by_state),
            "intake_lag_seconds": _ages(gauges.oldest_messages, now),
            "meters_without_supply": _one(asked.dark_meters),
            "publications_total": _one(asked.newest),
            "deliveries_dead": {(r.name,): gauges.dead.get(r.name, 0) for r in receivers},
            "deliveries_behind": {(r.name,): asked.newest - r.state.seq for r in receivers},
            "deliveries_oldest_seconds": dict.fromkeys(((r.name,) for r in receivers), 0.0)
            | _ages(asked.oldest, now),
            "todo_entries": _each({s: len(e) for s, e in waiting.items()}),
            "todo_waiting": _each({s: sum(len(x.todos) for x in e) for s, e in waiting.items()}),
            "todo_oldest_seconds": _ages(
                {s: min(x.first.since for x in e) for s, e in waiting.items()}, now
            ),
            "todo_dark": _one(len({point for each in asked.todo for point in each.dark})),
            "commits_total": _one(self.store.database.commits),
            "store_bytes": _each(gauges.file_bytes),
            "disk_free_bytes": _one(shutil.disk_usage(gauges.folder).free),
        }


def _limits(states: Sequence[LimitState]) -> dict[str, Found]:
    waiting: dict[Labels, float] = {}
    used: dict[Labels, float] = {}
    overrides: set[str] = set()
    for each in states:
        total = 0 if each.waiting is None else each.waiting.waiting
        waiting[each.limit,] = waiting.get((each.limit,), 0.0) + total
        spans = (
            ("hour", each.used_this_hour, each.per_hour),
            ("day", each.used_today, each.per_day),
        )
        for span, count, most in spans:
            if most is not None:
                share = count / most if most else 1.0
                used[each.limit, span] = max(used.get((each.limit, span), 0.0), share)
        if each.override is not None:
            overrides.add(each.override.id)
    return {
        "limit_waiting": waiting,
        "limit_used_ratio": used,
        "limit_overrides": _one(len(overrides)),
    }


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _family(name: str, row: MetricRow, found: Found) -> Metric:
    kind = GaugeMetricFamily if row.type is MetricType.GAUGE else CounterMetricFamily
    made = kind(f"{PREFIX}{name}", row.text, labels=row.labels)
    for words, value in _with_noughts(row, found).items():
        made.add_metric(words, value)
    return made


def _with_noughts(row: MetricRow, found: Found) -> Found:
    always = dict.fromkeys(product(*row.words), 0.0) if row.words or not row.labels else {}
    return {**always, **found}


def _histogram(name: str, row: MetricRow, spreads: Mapping[str, Spread]) -> Metric:
    made = HistogramMetricFamily(f"{PREFIX}{name}", row.text, labels=row.labels)
    for word, spread in spreads.items():
        reached, buckets = 0, []
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), spread.classes, strict=True):
            reached += count
            buckets.append((bound, reached))
        made.add_metric([word], buckets, spread.total_s)
    return made


def _one(value: float) -> Found:
    return {(): value}


def _each(values: Mapping[str, float]) -> Found:
    return {(word,): value for word, value in values.items()}


def _pairs(values: Mapping[tuple[str, str], float]) -> Found:
    return {(*words,): value for words, value in values.items()}


def _ages(since: Mapping[str, datetime], now: datetime) -> dict[Labels, float]:
    return {(name,): max((now - at).total_seconds(), 0.0) for name, at in since.items()}
