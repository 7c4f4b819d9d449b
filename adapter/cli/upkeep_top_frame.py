"""One frame of `openway top`: lines of text from what two scrapes say, as many as fit."""

import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from adapter.cli.client import Client, fields, items
from adapter.client.errors import ApiProblem
from adapter.commands.activity import State
from adapter.server.scrape import Scrape

_SUCCESS: Final = ("succeeded", "succeeded_inferred", "already_satisfied")
_FINAL: Final = tuple(each.value for each in State if each.final)
_FIXED_LINES: Final = 15
"""Lines of a frame that are not one of several operations or kinds."""
_WIDE: Final = 100
_SPAN_S: Final = 60.0
"""Rates are of so long, where there are scrapes of it; at first of all since the start."""
_YESTERDAY_EVERY_S: Final = 300.0
_SERVICE: Final = re.compile(r"^\w+Service\.")

Line: TypeAlias = tuple[str, str]
"""A line, and its style."""
_BLANK: Final[Line] = ("", "")


@dataclass(frozen=True, slots=True)
class Frame:
    """`now` and what was `before` it; `ready` is the body of /readyz, `yesterday` the mean of the
    calls of each operation at this time yesterday, in seconds."""

    now: Scrape
    before: Scrape
    ready: Mapping[str, object]
    yesterday: Mapping[str, float]
    url: str

    def lines(self, width: int, height: int) -> list[Line]:
        """No more than `height`, none wider than `width`."""
        free = max(height - _FIXED_LINES, 2)
        operations = self._operations()[: (free + 1) // 2]
        kinds = self._kinds()[: free - len(operations)]
        made = [
            *self._title(),
            _BLANK,
            _heading("head end", "calls/s mean p95 yesterday failed/s", width),
            *(_row(name, cells, width) for name, cells in operations),
            (self._limits(), ""),
            _BLANK,
            _heading("commands", "ended succeeded oldest", width),
            *(_row(name, cells, width) for name, cells in kinds),
            *((line, "") for line in self._rest()),
        ]
        return [(_cut(text, width), style) for text, style in made[:height]]

    # ------------------------------------------------------------ how it stands

    def _title(self) -> list[Line]:
        at = datetime.fromtimestamp(self.now.at_s, UTC)
        version = next(iter(self.now.by("build", "version")), "")
        status = str(self.ready.get("status", ""))
        why = "; ".join(_reasons(self.ready))
        style = {"ready": "bold green", "degraded": "bold yellow"}.get(status, "bold red")
        return [
            (f"openway {version}  {self.url}  {at:%Y-%m-%d %H:%M:%S}Z", "bold"),
            (f"{status.upper()}{f': {why}' if why else ''}", style),
        ]

    def _operations(self) -> list[tuple[str, tuple[str, ...]]]:
        """Those that were called, the most often called first."""
        name, now, before = "call_seconds", self.now, self.before
        count, was = (each.by(f"{name}_count", "operation") for each in (now, before))
        took, took_before = (each.by(f"{name}_sum", "operation") for each in (now, before))
        failed = self._rates("call_failures_total", "operation")
        found: list[tuple[str, tuple[str, ...]]] = []
        for each in sorted(count, key=lambda each: (was.get(each, 0) - count[each], each)):
            called = count[each] - was.get(each, 0)
            mean = (took[each] - took_before.get(each, 0)) / called if called else None
            cells = (
                _rate(called / self._span_s),
                _time(mean),
                _time(self._quantile(0.95, each) if called else None),
                _time(self.yesterday.get(each)),
                _rate(failed.get(each, 0.0)),
            )
            found.append((_SERVICE.sub("", each), cells))
        return found

    def _quantile(self, part: float, operation: str) -> float | None:
        """The end of the class that so many of the calls did not pass."""
        now, before = (
            each.by("call_seconds_bucket", "le", operation=operation)
            for each in (self.now, self.before)
        )
        reached = sorted((float(le), n - before.get(le, 0)) for le, n in now.items())
        wanted = part * reached[-1][1]
        return next((le for le, n in reached if n >= wanted), None)

    def _limits(self) -> str:
        now = self.now
        flags = [
            word
            for word, name in (
                ("LOST", "head_end_lost"),
                ("SLOW", "head_end_slow"),
                ("BREAKER OPEN", "breaker_open"),
            )
            if now.sum(name)
        ]
        paused = now.sum("limits_paused_seconds")
        flags += [f"paused for {_time(paused)}"] if paused else []
        under_way, allowed = now.sum("limits_in_flight"), now.sum("limits_concurrency")
        waiting = now.sum("limits_waiting")
        told = ", ".join(flags) or "answers"
        return f"  {told}; {under_way:g} of {allowed:g} calls under way, {waiting:g} wait"

    def _kinds(self) -> list[tuple[str, tuple[str, ...]]]:
        """Those that ended since the process began or are open, the most first."""
        ended = self.now.by("command_ends_total", "kind")
        good: dict[str, float] = {}
        for outcome in _SUCCESS:
            for kind, n in self.now.by("command_ends_total", "kind", outcome=outcome).items():
                good[kind] = good.get(kind, 0) + n
        oldest = self.now.by("oldest_open_kind_seconds", "kind")
        kinds = [each for each in ended if ended[each] or oldest.get(each)]
        return [
            (
                each,
                (
                    f"{ended[each]:g}",
                    f"{good[each] / ended[each]:.0%}" if ended[each] else "",
                    _time(oldest.get(each) or None),
                ),
            )
            for each in sorted(kinds, key=lambda each: (-ended[each], each))
        ]

    def _rest(self) -> Iterable[str]:
        now = self.now
        states = {k: n for k, n in now.by("commands", "state").items() if k not in _FINAL}
        yield f"queue   {_counts(states)}"
        yield f"orders  {_counts(now.by('orders', 'state'))}"
        yield f"in      {self._messages()}"
        yield f"out     {self._deliveries()}"
        waiting = now.by("todo_waiting", "subject")
        dark = now.sum("todo_dark")
        yield f"to do   {sum(now.by('todo_entries', 'subject').values()):g}: {_counts(waiting)}" + (
            f"; {dark:g} without supply" if dark else ""
        )
        yield f"oldest  {self._oldest()}"
        yield (
            f"store   {_rate(self._rate('commits_total'))} commits/s, "
            f"{_bytes(now.sum('store_bytes'))}, {_bytes(now.sum('disk_free_bytes'))} free"
            if now.sum("store_up")
            else "store   DOES NOT ANSWER"
        )
        yield (
            f"process {self._rate('process_cpu_seconds_total'):.0%} CPU, "
            f"{_bytes(now.sum('process_resident_memory_bytes'))}, "
            f"event loop {_time(now.sum('loop_lag_longest_seconds'))} late at the most"
        )

    def _messages(self) -> str:
        rates = self._rates("arrival_to_seen_seconds_count", "operation")
        callbacks = sum(n for name, n in rates.items() if name.endswith("StatusChanged"))
        data = sum(n for name, n in rates.items() if not name.endswith("StatusChanged"))
        values = sum(self._rates("values_total", "result").values())
        events = sum(self._rates("device_events_total", "result").values())
        dark = self.now.sum("meters_without_supply")
        return (
            f"{_rate(callbacks)} callbacks/s, {_rate(data)} payloads/s, {_rate(values)} values/s, "
            f"{_rate(events)} events/s; {dark:g} dark"
        )

    def _deliveries(self) -> str:
        taken = sum(self._rates("deliveries_total", "receiver", result="taken").values())
        oldest = self.now.by("deliveries_oldest_seconds", "receiver")
        behind = self.now.by("deliveries_behind", "receiver")
        dead = self.now.by("deliveries_dead", "receiver")
        late = [
            f"{each} {behind[each]:g} behind, {_time(oldest[each])}"
            + (f", {dead[each]:g} dead" if dead.get(each) else "")
            for each in sorted(oldest, key=lambda each: -oldest[each])
            if oldest[each] or dead.get(each)
        ]
        return f"{_rate(taken)} events/s delivered" + "".join(f"; {each}" for each in late)

    def _oldest(self) -> str:
        ages = {
            "command": self.now.by("oldest_open_command_seconds", "state"),
            "order": self.now.by("oldest_open_order_seconds", "state"),
            "message": self.now.by("intake_lag_seconds", "step"),
            "to do": self.now.by("todo_oldest_seconds", "subject"),
        }
        found: list[str] = []
        for what, by in ages.items():
            word = max(by, key=lambda each: by[each], default=None)
            if word is not None and by[word]:
                found.append(f"{what} {_time(by[word])} ({word})")
        return ", ".join(found) or "nothing waits"

    # ------------------------------------------------------------ rates

    @property
    def _span_s(self) -> float:
        return max(self.now.at_s - self.before.at_s, 0.001)

    def _rate(self, name: str) -> float:
        return max(self.now.sum(name) - self.before.sum(name), 0.0) / self._span_s

    def _rates(self, name: str, label: str, **labels: str) -> dict[str, float]:
        before = self.before.by(name, label, **labels)
        return {
            word: max(value - before.get(word, 0), 0.0) / self._span_s
            for word, value in self.now.by(name, label, **labels).items()
        }


class Scrapes:
    """What was scraped in the last minute, and what it is compared with."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._scrapes: deque[Scrape] = deque()
        self._yesterday: Mapping[str, float] = {}
        self._asked_s = float("-inf")

    def frame(self) -> Frame:
        """Raises Unreachable, ApiProblem."""
        _, ready = self._client.beside_the_api("/readyz")
        status, text = self._client.beside_the_api("/metrics")
        if status != 200:
            problem = fields(json.loads(text))
            raise ApiProblem(status, str(problem.get("code")), str(problem.get("detail")))
        now = Scrape.of(text, time.time())
        while self._scrapes and now.at_s - self._scrapes[0].at_s > _SPAN_S:
            self._scrapes.popleft()
        before = self._scrapes[0] if self._scrapes else now.nothing_yet()
        if self._scrapes and before.began_s != now.began_s:  # another process answers
            self._scrapes.clear()
            before = now.nothing_yet()
        self._scrapes.append(now)
        if now.at_s - self._asked_s > _YESTERDAY_EVERY_S:
            self._asked_s, self._yesterday = now.at_s, self._mean_yesterday()
        return Frame(now, before, fields(json.loads(ready)), self._yesterday, self._client.url)

    def _mean_yesterday(self) -> Mapping[str, float]:
        """Of the calls of each operation, around this time yesterday."""
        at = datetime.now(UTC) - timedelta(days=1)
        asked = {"measure": "call", "from": at - timedelta(hours=1), "to": at + timedelta(hours=1)}
        try:
            rows = items(self._client.get("/durations", asked))
        except ApiProblem:  # a key for metrics alone
            return {}
        took: dict[str, tuple[float, float]] = {}
        for row in rows:
            count, mean = float(str(row["count"])), float(str(row["mean_s"]))
            known = took.get(str(row["name"]), (0.0, 0.0))
            took[str(row["name"])] = (known[0] + count, known[1] + count * mean)
        return {name: total / count for name, (count, total) in took.items() if count}


def _reasons(ready: Mapping[str, object]) -> Iterable[str]:
    held, warnings = ready.get("held"), ready.get("warnings")
    for each in held if isinstance(held, list) else ():
        yield str(each.get("text", "")) if isinstance(each, dict) else str(each)
    for each in warnings if isinstance(warnings, list) else ():
        yield str(each)


def _heading(first: str, names: str, width: int) -> Line:
    text, _ = _row(first, names.split(), width, indent="")
    return text, "bold"


def _row(first: str, cells: Sequence[str], width: int, indent: str = "  ") -> Line:
    """The first cell takes what the others leave; these are aligned to the right."""
    each = 12 if width >= _WIDE else 10
    left = min(width - each * len(cells), 50)
    name = _cut(f"{indent}{first}", left)
    return f"{name:<{left}}" + "".join(f"{cell:>{each}}" for cell in cells), ""


def _counts(counts: Mapping[str, float]) -> str:
    named = [f"{n:g} {word}" for word, n in counts.items() if n]
    return ", ".join(named) or "nothing"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _rate(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 0.05 else "0"


_UNITS: Final[Sequence[tuple[float, Callable[[float], str]]]] = (
    (1.0, lambda s: f"{s * 1000:.0f} ms"),
    (120.0, lambda s: f"{s:.1f} s"),
    (7_200.0, lambda s: f"{s / 60:.0f} min"),
    (172_800.0, lambda s: f"{s / 3600:.0f} h"),
    (float("inf"), lambda s: f"{s / 86_400:.0f} d"),
)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return next(text(seconds) for below, text in _UNITS if seconds < below or below == float("inf"))


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
