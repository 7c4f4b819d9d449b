"""What was measured: figures with a value for each round, tables of details, curves for a picture.

A ratio is made within each round, and the median of the rounds is what is told: noise that comes
and goes moves both sides of a ratio, or is out-voted.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

WIDTH: Final = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """`count` things in `seconds`, `cpu_s` of CPU; `latencies` of single ones, where taken."""

    count: int
    seconds: float
    cpu_s: float
    latencies: Sequence[float] = ()

    @property
    def per_second(self) -> float:
        return self.count / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Of one."""
        return self.cpu_s / self.count * 1000

    def latency_ms(self, share: float) -> float:
        """NaN where there are too few to tell."""
        if len(self.latencies) < 2:
            return float("nan")
        cuts = statistics.quantiles(self.latencies, n=1000, method="inclusive")
        return cuts[round(share * 1000) - 1] * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of the table of goals. `each` has a value for every round; `goal` is none where the
    figure is only watched. Smaller is better, unless `more` is."""

    what: str
    unit: str
    each: list[float]
    goal: float | None = None
    more: bool = False

    @property
    def value(self) -> float:
        return statistics.median(self.each)

    @property
    def reached(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value >= self.goal if self.more else self.value <= self.goal

    @property
    def cells(self) -> tuple[str, ...]:
        told = {None: "", True: "yes", False: "no"}[self.reached]
        goal = "" if self.goal is None else f"{'≥' if self.more else '≤'} {shown(self.goal)}"
        spread = "" if len(self.each) < 2 else f"{shown(min(self.each))} to {shown(max(self.each))}"
        return (self.what, shown(self.value), spread, self.unit, goal, told)


FIGURE_COLUMNS: Final = ("what", "median", "rounds", "unit", "goal", "reached")


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """A table of what lies behind the figures, as text."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Points of one line of the picture: `picture` names the panel, `x` and `y` its axes."""

    picture: str
    name: str
    x: str
    y: str
    points: list[tuple[float, float]]


@dataclass(slots=True, kw_only=True)
class Part:
    """All of one part of the bench. `notes` say what was left out, and why."""

    title: str
    figures: list[Figure] = field(default_factory=list)
    details: list[Details] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """For JSON; `part_of` reads it."""
        return asdict(self)


def part_of(plain: Mapping[str, Any]) -> Part:
    return Part(
        title=plain["title"],
        figures=[Figure(**each) for each in plain["figures"]],
        details=[
            Details(
                title=each["title"],
                columns=tuple(each["columns"]),
                rows=[tuple(row) for row in each["rows"]],
            )
            for each in plain["details"]
        ],
        curves=[
            Curve(**{**each, "points": [(x, y) for x, y in each["points"]]})
            for each in plain["curves"]
        ],
        notes=list(plain["notes"]),
    )


def shown(value: float) -> str:
    """Three digits that mean something."""
    if value != value:
        return "not told"
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def comparison(title: str, sides: Mapping[str, Sequence[Ran]]) -> Details:
    """What each side took, as medians over its rounds; the first one is 1 in the ratios."""
    first = next(iter(sides.values()))
    rows = []
    for name, rans in sides.items():
        cells = (
            _median(ran.count for ran in rans),
            _median(ran.cpu_ms for ran in rans),
            _median(ran.per_second for ran in rans),
            _median(ran.latency_ms(0.50) for ran in rans),
            _median(ran.latency_ms(0.99) for ran in rans),
            statistics.median(ratios(rans, first, lambda ran: ran.cpu_ms)),
        )
        rows.append((name, *(shown(cell) if cell == cell else "" for cell in cells)))
    columns = ("what", "count", "CPU ms each", "a second", "p50 ms", "p99 ms", "CPU, first = 1")
    return Details(title=title, columns=columns, rows=rows)


def _median(values: Any) -> float:
    return float(statistics.median(list(values)))


def ratios(ours: Sequence[Ran], theirs: Sequence[Ran], of: Any) -> list[float]:
    """Of each round."""
    return [of(one) / of(other) for one, other in zip(ours, theirs, strict=True)]


def show(part: Part) -> None:
    """On the terminal."""
    console = Console(width=WIDTH, highlight=False)
    for details in part.details:
        _print(console, details.title, details.columns, details.rows)
    if part.figures:
        _print(console, part.title, FIGURE_COLUMNS, [each.cells for each in part.figures])
    for note in part.notes:
        console.print(f"NOTE: {note}\n", markup=False)


def _print(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    console.print(table)
