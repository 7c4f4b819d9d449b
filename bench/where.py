"""Where the CPU of a command goes in the gateway's process, many at once: by thread and by area."""

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.commands import KIND, gateway, head_end
from bench.report import Details, Figure, Part, shown
from bench.rounds import Options, check
from bench.sampling import MAIN, OTHERS, THREADS, Sampled
from bench.sides.head_end import DELAYS_S

_COUNT: Final = 1_000
_AT_ONCE: Final = 64
_LEAST_SHARE: Final = 0.01
"""Of the main thread: areas that take less are one row. Too few samples tell of each."""


def measure(options: Options) -> Part:
    count = options.some(_COUNT, least=_AT_ONCE)
    several: list[Sampled] = []
    with (
        tempfile.TemporaryDirectory() as temporary,
        head_end(*DELAYS_S) as asked,
        gateway(asked, Path(temporary) / "where", sampling=True) as ours,
    ):
        for _ in range(2 * options.rounds + 1):
            ran = ours.ask(do="run", work=[{"kind": KIND, "count": count, "at_once": _AT_ONCE}])
            check(ran)
            several.append(Sampled(**ran["sampled"]))
    del several[0]  # connections opened, caches filled
    threads = [_ms(each.threads, count) for each in several]
    areas = [_ms(each.areas, count) for each in several]
    part = Part(title=f"Where a command's CPU goes, {_AT_ONCE} at once")
    part.figures += [
        Figure(what=f"CPU of a command, {name}", unit="ms", each=[each[name] for each in threads])
        for name in THREADS
    ]
    part.details += [
        _shares("Threads of the gateway", medians(threads)),
        _shares(f"Areas of the {MAIN}, by samples", gathered(medians(areas))),
    ]
    samples = sum(each.samples for each in several)
    part.notes.append(f"The areas are told by {samples:,} samples in {len(several)} turns.")
    return part


def _ms(seconds: Mapping[str, float], count: int) -> dict[str, float]:
    return {name: each / count * 1000 for name, each in seconds.items()}


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each name; a round in which it was not seen counts as none of it."""
    names = dict.fromkeys(name for each in rounds for name in each)
    return {name: statistics.median(each.get(name, 0.0) for each in rounds) for name in names}


def gathered(areas: Mapping[str, float]) -> dict[str, float]:
    """The largest first; what is small is put to the others, which are last."""
    least = _LEAST_SHARE * sum(areas.values())
    large = {name: ms for name, ms in areas.items() if ms >= least and name != OTHERS}
    rest = sum(areas.values()) - sum(large.values())
    return {**dict(sorted(large.items(), key=lambda each: -each[1])), OTHERS: rest}


def _shares(title: str, ms: Mapping[str, float]) -> Details:
    whole = sum(ms.values())
    rows = [(name, shown(each), f"{each / whole:.1%}") for name, each in ms.items()]
    return Details(title=title, columns=("what", "ms a command", "share"), rows=rows)
