"""What a gateway measures of itself, in the text form of Prometheus.

Parts count in plain whole numbers; it is gathered when somebody asks for it. What the store has to
be asked for is left out while it does not answer.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from adapter import __version__
from adapter.engine.commands.ports import Clock, Ledger
from adapter.engine.gateway import Gateway
from adapter.engine.upkeep.durations import BOUNDS_S, Measure, Spread
from adapter.engine.upkeep.todo import TodoEntry
from adapter.errors import StoreFailed
from adapter.headend.limits import Limits
from adapter.server.server import Server
from adapter.store.commands.commands import SqliteStore
from adapter.store.upkeep.gauges import SqliteGauges, StoreGauges

_DURATIONS: Final = {
    Measure.CALL: ("call", "operation", "from a request to the head end to its reply"),
    Measure.SUBMIT_TO_SENT: ("submit_to_sent", "kind", "from submission to the first request"),
    Measure.TOKEN_TO_RESULT: ("token_to_result", "operation", "from the token to the result"),
    Measure.ARRIVAL_TO_SEEN: ("arrival_to_seen", "operation", "from arrival to effect"),
    Measure.REQUEST: ("rest_request", "route", "a request of the REST API"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the store said."""

    ledger: Ledger
    gauges: StoreGauges
    todo: Sequence[TodoEntry]


@dataclass(slots=True)
class Metrics:
    """`servers` by what they are called."""

    gateway: Gateway
    store: SqliteStore
    limits: Limits
    servers: Mapping[str, Server]
    clock: Clock
    _gauges: SqliteGauges = field(init=False)

    def __post_init__(self) -> None:
        self._gauges = SqliteGauges(self.store.database)

    async def text(self) -> bytes:
        try:
            asked = Asked(
                ledger=await self.gateway.upkeep.ledger(),
                gauges=await self._gauges.look(),
                todo=await self.gateway.upkeep.todo.list(),
            )
        except StoreFailed:
            asked = None
        return generate_latest(_Families([*self._own(), *self._of_store(asked)]))

    # ------------------------------------------------------------ in memory

    def _own(self) -> Iterator[Metric]:
        upkeep = self.gateway.upkeep
        yield _gauges("build", "the program", "version", {__version__: 1})
        totals = upkeep.durations.totals()
        for measure, (name, label, text) in _DURATIONS.items():
            yield _histogram(
                name, text, label, {n: s for (m, n), s in totals.items() if m is measure}
            )
        yield _counters(
            "call_failures",
            "calls without an answer",
            ("operation", "error"),
            {(where, error): n for (where, error), n in upkeep.durations.call_failures.items()},
        )
        yield _counters(
            "signals",
            "what was told, see the table of signals",
            ("signal",),
            {(s.value,): n for s, n in upkeep.signals.counts.items()},
        )
        for name, server in self.servers.items():
            yield _counters(
                f"{name}_counts",
                f"what the {name} counts",
                ("what",),
                {(w,): n for w, n in server.counts.items()},
            )
            yield _gauge(f"{name}_connections", "open connections", server.open_connections)
        yield _gauge("loop_lag_seconds", "how late the event loop was last", upkeep.loop_lag.last_s)
        yield _gauge(
            "loop_lag_longest_seconds",
            "how late it was at the most since it was asked",
            upkeep.loop_lag.longest(),
        )
        yield _gauges(
            "switch_holds",
            "why no switch order leaves",
            "reason",
            {h.reason.value: 1 for h in upkeep.holds.all()},
        )
        state = self.limits.state()
        yield _gauge("limits_in_flight", "calls under way", state.in_flight)
        yield _gauge("limits_waiting", "calls that wait for a place", state.waiting)
        yield _gauge("limits_concurrency", "calls that may be under way", state.concurrency)
        yield _gauge(
            "limits_paused_seconds",
            "so long no call leaves, as the head end asked",
            state.paused_for_s,
        )
        yield _gauge("breaker_open", "no call leaves but a probe", state.breaker_open)
        yield _gauge("head_end_lost", "the last calls had no answer", state.lost)

    # ------------------------------------------------------------ of the store

    def _of_store(self, asked: Asked | None) -> Iterator[Metric]:
        yield _gauge("store_up", "the store answers", asked is not None)
        if asked is None:
            return
        ledger, gauges, now = asked.ledger, asked.gauges, self.clock.now()
        yield _gauges("commands", "commands by state", "state", ledger.commands_by_state)
        yield _gauges(
            "communications",
            "those that were sent, by state",
            "state",
            ledger.communications_by_state,
        )
        yield _gauges("inbox_messages", "messages by state", "state", ledger.inbox_by_state)
        yield _gauges("completion_events", "by state", "state", ledger.completion_events)
        yield _counters("publications", "events made", (), {(): ledger.publications})
        yield _gauges(
            "oldest_open_command_seconds",
            "age of the oldest, by state",
            "state",
            _ages(gauges.oldest_commands, now),
        )
        yield _gauges(
            "intake_lag_seconds",
            "age of the oldest message not yet judged, or taken in",
            "step",
            _ages(gauges.oldest_messages, now),
        )
        waiting: dict[str, list[TodoEntry]] = {}
        for entry in asked.todo:
            waiting.setdefault(entry.first.subject.value, []).append(entry)
        yield _gauges(
            "todo_entries",
            "what waits for people",
            "subject",
            {s: len(e) for s, e in waiting.items()},
        )
        yield _gauges(
            "todo_waiting",
            "how many wait in these entries",
            "subject",
            {s: sum(len(x.todos) for x in e) for s, e in waiting.items()},
        )
        yield _gauges(
            "todo_oldest_seconds",
            "age of the oldest",
            "subject",
            _ages({s: min(x.first.since for x in e) for s, e in waiting.items()}, now),
        )
        yield _gauge(
            "todo_dark",
            "service points without supply among them",
            len({p for e in asked.todo for p in e.dark}),
        )
        yield _counters("commits", "transactions on disk", (), {(): self.store.database.commits})
        yield _gauges("store_bytes", "size of the files", "file", gauges.file_bytes)
        yield _gauge(
            "disk_free_bytes", "free where the store is", shutil.disk_usage(gauges.folder).free
        )


class _Families(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        return self._families


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"openway_{name}", text, value=value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    made = GaugeMetricFamily(f"openway_{name}", text, labels=[label])
    for word, value in values.items():
        made.add_metric([word], value)
    return made


def _counters(
    name: str, text: str, labels: Sequence[str], values: Mapping[tuple[str, ...], float]
) -> Metric:
    made = CounterMetricFamily(f"openway_{name}", text, labels=labels)
    for words, value in values.items():
        made.add_metric(words, value)
    return made


def _histogram(name: str, text: str, label: str, spreads: Mapping[str, Spread]) -> Metric:
    made = HistogramMetricFamily(f"openway_{name}_seconds", text, labels=[label])
    for word, spread in spreads.items():
        reached, buckets = 0, []
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), spread.classes, strict=True):
            reached += count
            buckets.append((bound, reached))
        made.add_metric([word], buckets, spread.total_s)
    return made


def _ages(since: Mapping[str, datetime], now: datetime) -> dict[str, float]:
    return {name: max((now - at).total_seconds(), 0.0) for name, at in since.items()}
