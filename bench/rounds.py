"""Rounds in which everything that is compared has its turn, so that noise meets all alike."""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.processes import Side
from bench.report import Ran


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`scale` multiplies how much is done in a round; `open` is the most commands that wait."""

    rounds: int = 5
    scale: float = 1.0
    open: int = 100_000
    profiles: tuple[str, ...] = ()

    def some(self, count: int, least: int = 1) -> int:
        return max(least, round(count * self.scale))


def interleaved(sides: Mapping[str, Callable[[], Ran]], rounds: int) -> dict[str, list[Ran]]:
    """Every side once in each round; the first one of a round is another each time. One turn of
    each goes before and is not counted: connections open, caches fill."""
    names = list(sides)
    for name in names:
        sides[name]()
    ran: dict[str, list[Ran]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            ran[name].append(sides[name]())
    return ran


def turn(side: Side, number: int, /, **asked: Any) -> Callable[[], Ran]:
    """A turn of so many, by a process that answers with `seconds`, `cpu_s` and `latencies`."""

    def run() -> Ran:
        answer = side.ask(**asked)
        check(answer)
        return Ran(
            count=number,
            seconds=answer["seconds"],
            cpu_s=answer["cpu_s"],
            latencies=answer["latencies"][0],
        )

    return run


def check(answer: Mapping[str, Any]) -> None:
    """Raises SystemExit where a command did not come to its good end: it would count as fast."""
    for states in answer.get("states", ()):
        if set(states) != {"completed succeeded"}:
            raise SystemExit(f"not all commands succeeded: {states}")


def repeated(work: Callable[[], object], seconds: float = 0.2) -> Callable[[], Ran]:
    """A turn of something that this process does itself, again and again for about so long."""

    def run() -> Ran:
        gc.collect()
        count, cpu, started = 0, time.process_time(), time.perf_counter()
        while (passed := time.perf_counter() - started) < seconds or not count:
            work()
            count += 1
        return Ran(count=count, seconds=passed, cpu_s=time.process_time() - cpu)

    return run
