"""How a measurement is printed: figures, and the ratio to its baseline of the same run."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`count` things in `seconds`; `latencies` of single ones in seconds, where they were taken."""

    name: str
    count: int
    seconds: float
    latencies: Sequence[float] = ()

    @property
    def per_second(self) -> float:
        return self.count / self.seconds

    def quantile(self, share: float) -> str:
        if len(self.latencies) < 2:
            return ""
        cut = statistics.quantiles(self.latencies, n=100)[round(share * 100) - 1]
        return f"{cut * 1000:.1f} ms"

    @property
    def longest(self) -> str:
        return f"{max(self.latencies) * 1000:.1f} ms" if self.latencies else ""


def show(title: str, rows: Sequence[Rate], *, baseline: Rate) -> None:
    """One table; the baseline is its first row and 1.00 by definition."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("what", "count", "a second", "p50", "p99", "max", "ratio to baseline"):
        table.add_column(column)
    for row in (baseline, *rows):
        table.add_row(
            row.name,
            str(row.count),
            f"{row.per_second:,.0f}",
            row.quantile(0.50),
            row.quantile(0.99),
            row.longest,
            f"{row.per_second / baseline.per_second:.2f}",
        )
    Console(width=120, highlight=False).print(table)
