"""One command, submit to final state: beside aiohttp and plain zeep at the same head end.

All are processes of their own. The head end costs little and calls back after 10, 20 and 50 ms.
"""

import json
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from bench.counts import NAMES, Counts
from bench.processes import Side, side
from bench.report import Curve, Figure, Part, Ran, comparison, ratios
from bench.rounds import Options, check, interleaved, turn
from bench.sides.head_end import DELAYS_S

KIND: Final = "device_status_check"
_METERS: Final = 1_100
_AT_ONCE: Final = {1: 30, 4: 60, 16: 128, 64: 384, 256: 512, 1_000: 1_000}
"""How many commands are in a turn, by how many are under way at a time."""

_OWN_MS: Final = DELAYS_S[-1] * 1000
_GATEWAY, _AIOHTTP, _ZEEP = "gateway", "aiohttp, same bytes", "plain zeep"


@contextmanager
def gateway(head_end: Side, folder: Path, **more: Any) -> Iterator[Side]:
    """A gateway over a store in the folder, which is made."""
    folder.mkdir(exist_ok=True)
    asked = {"head_end": head_end.ready["url"], "folder": str(folder), "meters": _METERS, **more}
    with side("bench.sides.gateway", json.dumps(asked)) as started:
        yield started


def head_end(*delays_s: float) -> AbstractContextManager[Side]:
    """One that calls back after so long; one that never does without delays."""
    return side("bench.sides.head_end", *map(str, delays_s))


def work(side: Side, count: int, at_once: int) -> Callable[[], Ran]:
    return turn(side, count, do="run", work=[{"kind": KIND, "count": count, "at_once": at_once}])


def measure(options: Options) -> Part:
    part = Part(title="One command")
    with tempfile.TemporaryDirectory() as temporary, head_end(*DELAYS_S) as asked:
        _beside(options, asked, Path(temporary) / "beside", part)
        _counts(options, asked, Path(temporary) / "counts", part)
        _disk(options, asked, Path(temporary), part)
    return part


def _beside(options: Options, asked: Side, folder: Path, part: Part) -> None:
    with ExitStack() as stack:
        ours = stack.enter_context(gateway(asked, folder))
        bare = stack.enter_context(side("bench.sides.bare_aiohttp", asked.ready["url"]))
        zeep = stack.enter_context(side("bench.sides.plain_zeep", asked.ready["url"]))
        sides: dict[str, Callable[[], Ran]] = {}
        for at_once, usual in _AT_ONCE.items():
            count = options.some(usual, least=max(at_once, 2))  # a median takes two
            sides[f"{_GATEWAY}, {at_once} at once"] = work(ours, count, at_once)
            if at_once in (1, 64):
                for name, other in ((_AIOHTTP, bare), (_ZEEP, zeep)):
                    sides[f"{name}, {at_once} at once"] = turn(
                        other, count, count=count, at_once=at_once
                    )
        busy, begun = asked.cpu_s, ours.cpu_s
        ran = interleaved(sides, options.rounds)
        part.details.append(comparison("Submit to final state", ran))
        _figures(ran, part)
        share = (asked.cpu_s - busy) / (ours.cpu_s - begun)
        part.notes.append(f"The head end took {share:.2f} of the CPU that the gateway took.")


def _figures(ran: dict[str, list[Ran]], part: Part) -> None:
    def of(name: str, at_once: int) -> list[Ran]:
        return ran[f"{name}, {at_once} at once"]

    cpu, rate = (lambda one: one.cpu_ms), (lambda one: one.per_second)
    at_64, alone = of(_GATEWAY, 64), of(_GATEWAY, 1)
    part.figures += [
        Figure(
            what="CPU of a command / of aiohttp with the same bytes, 64 at once",
            unit="ratio",
            each=ratios(at_64, of(_AIOHTTP, 64), cpu),
            goal=2.0,
        ),
        Figure(
            what="commands a second / plain zeep's (16 threads), 64 at once",
            unit="ratio",
            each=ratios(at_64, of(_ZEEP, 64), rate),
            goal=4.5,
            more=True,
        ),
        Figure(
            what="latency (median) / plain zeep's, one at a time",
            unit="ratio",
            each=ratios(alone, of(_ZEEP, 1), lambda one: one.latency_ms(0.5)),
            goal=1.0,
        ),
        Figure(
            what="the same beyond the 50 ms that the head end takes",
            unit="ratio",
            each=ratios(alone, of(_ZEEP, 1), lambda one: one.latency_ms(0.5) - _OWN_MS),
        ),
        Figure(
            what="CPU of a command / plain zeep's, one at a time",
            unit="ratio",
            each=ratios(alone, of(_ZEEP, 1), cpu),
        ),
        Figure(
            what="CPU of a command, 1,000 at once / 64 at once",
            unit="ratio",
            each=ratios(of(_GATEWAY, 1_000), at_64, cpu),
            goal=1.1,
        ),
        Figure(what="CPU of a command, 64 at once", unit="ms", each=[one.cpu_ms for one in at_64]),
        Figure(
            what="commands a second, 64 at once", unit="/s", each=[one.per_second for one in at_64]
        ),
    ]
    several = {at_once: of(_GATEWAY, at_once) for at_once in _AT_ONCE}
    part.curves += [
        _curve("rate", _GATEWAY, "commands a second", several, rate),
        _curve("latency", "p50", "ms", several, lambda one: one.latency_ms(0.50)),
        _curve("latency", "p99", "ms", several, lambda one: one.latency_ms(0.99)),
        _curve("CPU over load", _GATEWAY, "ms of CPU a command", several, cpu),
    ]


def _curve(
    picture: str, name: str, y: str, several: dict[int, list[Ran]], of: Callable[[Ran], float]
) -> Curve:
    points = [(float(x), statistics.median(map(of, rans))) for x, rans in several.items()]
    return Curve(picture=picture, name=name, x="commands at once", y=y, points=points)


# ---------------------------------------------------------------- counts

_GOALS: Final = {
    1: {"commits": 7.0},
    64: {
        "commits": 0.3,
        "statements": 25.0,
        "loads": 0.0,
        "trees": 0.0,
        "judged": 0.0,
        "forms": 5.0,
        "written": 40.0,
    },
}
_WORDS: Final = {
    "commits": "commits",
    "statements": "SQL statements",
    "loads": "loads",
    "trees": "trees that lxml built",
    "judged": "bodies that expat judged",
    "forms": "messages read without a parser",
    "written": "kB written",
}


def _counts(options: Options, asked: Side, folder: Path, part: Part) -> None:
    """In a process of its own: what counts takes time."""
    with gateway(asked, folder, counting=True) as ours:
        for at_once, count, rounds in ((1, 1, 2 * options.rounds), (64, 256, options.rounds)):
            several = []
            for _ in range(rounds + 1):
                job = {"kind": KIND, "count": count, "at_once": at_once}
                ran = ours.ask(do="run", work=[job])
                check(ran)
                several.append(Counts(**ran["counts"]).each(count))
            for name in NAMES:
                each = [getattr(one, name) for one in several[1:]]
                kilo = name == "written"
                part.figures.append(
                    Figure(
                        what=f"{_WORDS[name]} a command, {_how_many(at_once)}",
                        unit="kB" if kilo else "count",
                        each=[value / 1000 for value in each] if kilo else each,
                        goal=_GOALS[at_once].get(name),
                    )
                )


def _how_many(at_once: int) -> str:
    return "alone" if at_once == 1 else f"{at_once} at once"


# ---------------------------------------------------------------- disk


def _disk(options: Options, asked: Side, temporary: Path, part: Part) -> None:
    """What a store grows by for each, closed before and after."""
    count = options.some(500, least=200)
    with gateway(asked, temporary / "completed"):
        pass
    before = _size(temporary / "completed")
    with gateway(asked, temporary / "completed") as ours:
        ours.ask(do="run", work=[{"kind": KIND, "count": count, "at_once": 64}])
    completed = (_size(temporary / "completed") - before) / count
    with head_end() as silent:
        with gateway(silent, temporary / "waiting"):
            pass
        before = _size(temporary / "waiting")
        with gateway(silent, temporary / "waiting") as ours:
            told = ours.ask(do="submit", count=count)["states"]
        waiting = (_size(temporary / "waiting") - before) / count
    if told != {"awaiting": count}:
        raise SystemExit(f"not all {count} commands wait: {told}")
    for what, value, goal in (("completed", completed, 7.0), ("waiting", waiting, 1.0)):
        part.figures.append(
            Figure(what=f"disk of a {what} command", unit="kB", each=[value / 1000], goal=goal)
        )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.db*"))
