"""What many open commands do to a new one, to a start after `kill -9`, and to the books.

Every open command waits for a head end that has taken it and does not call back.
"""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final

from bench.commands import KIND, gateway, head_end, work
from bench.processes import Side
from bench.report import Curve, Details, Figure, Part, Ran, comparison, ratios, shown
from bench.rounds import Options, interleaved
from bench.sides.head_end import DELAYS_S

_FEWER: Final = (0, 1_000, 10_000)
_AT_ONCE: Final = 64
_COUNT: Final = 192
_UNDER_WAY: Final = 2 * _AT_ONCE
"""Commands when the process is killed, for meters of their own: half of them have not left yet."""


def measure(options: Options) -> Part:
    part = Part(title=f"A command while {options.open:,} others are open")
    numbers = [*(number for number in _FEWER if number < options.open), options.open]
    with tempfile.TemporaryDirectory() as temporary, head_end(*DELAYS_S) as asked:
        with ExitStack() as stack:
            started, sides = {}, {}
            for number in numbers:
                began = time.perf_counter()
                folder = Path(temporary) / str(number)
                started[number] = stack.enter_context(gateway(asked, folder, waiting=number))
                part.notes.append(f"{number:,} open: there in {time.perf_counter() - began:.0f} s.")
                sides[f"{number:,} open"] = _turn(started[number], options)
            ran = interleaved(sides, options.rounds)
            _figures(numbers, ran, part)
            _books(started[options.open], options, part)
            _kill(started[options.open], asked)
        _after_kill(asked, Path(temporary) / str(options.open), options, part)
    return part


def _turn(side: Side, options: Options) -> Callable[[], Ran]:
    return work(side, options.some(_COUNT, least=_AT_ONCE), _AT_ONCE)


def _figures(numbers: list[int], ran: dict[str, list[Ran]], part: Part) -> None:
    part.details.append(comparison("Submit to final state, 64 at once", ran))
    none, most = ran[f"{numbers[0]:,} open"], ran[f"{numbers[-1]:,} open"]
    part.figures.append(
        Figure(
            what=f"CPU of a command, {numbers[-1]:,} open / none",
            unit="ratio",
            each=ratios(most, none, lambda one: one.cpu_ms),
            goal=1.15,
        )
    )
    points = [
        (float(number), median(one.cpu_ms for one in ran[f"{number:,} open"])) for number in numbers
    ]
    part.curves.append(
        Curve(
            picture="CPU over open commands",
            name="gateway, 64 at once",
            x="open commands",
            y="ms of CPU a command",
            points=points,
        )
    )


def _books(side: Side, options: Options, part: Part) -> None:
    ledger = [side.ask(do="ledger")["seconds"] * 1000 for _ in range(options.rounds)]
    part.figures.append(
        Figure(what=f"`ledger`, {options.open:,} open", unit="ms", each=ledger, goal=50.0)
    )


def _kill(side: Side, asked: Side) -> None:
    """As `kill -9` does, while all places at the head end are taken and more commands wait."""
    asked.ask()
    job = {"kind": KIND, "count": _UNDER_WAY, "at_once": _UNDER_WAY, "first": _COUNT}
    side.begin(do="run", work=[job])
    sent = 0
    while sent < _AT_ONCE:
        sent += asked.ask()["count"]
    side.kill()
    asked.rest()


def _after_kill(asked: Side, folder: Path, options: Options, part: Part) -> None:
    """Another process opens the store of the one that was killed."""
    log = sum(path.stat().st_size for path in folder.glob("*.db-wal")) / 1e6
    asked.ask()
    with gateway(asked, folder) as again:
        ready = again.ready
        again.rest()
        first = asked.ask()["first"]
        memory = again.memory / 1e6
        job = {"kind": KIND, "count": 1, "at_once": 1, "first": _COUNT + _UNDER_WAY}
        command = again.ask(do="run", work=[job])["latencies"][0][0] * 1000
        ledger = again.ask(do="ledger")["seconds"] * 1000

    def until(moment: float, since: float) -> float:
        return (moment - since) * 1000

    steps = {
        "MB of log to read": log,
        "ms to import": until(ready["began"], again.began),
        "contract": until(ready["opening"], ready["began"]),
        "store open": until(ready["opened"], ready["opening"]),
        "first work leaves": until(first, ready["opening"]),
        "all is started": until(ready["started"], ready["opening"]),
        "a new command": command,
    }
    part.details.append(
        Details(
            title=f"After kill -9, {options.open:,} open: since the process began, then since the "
            "store's opening",
            columns=tuple(steps),
            rows=[tuple(map(shown, steps.values()))],
        )
    )
    several = f"{options.open:,} open"
    part.figures += [
        Figure(
            what=f"first work leaves after kill -9, from the store's opening, {several}",
            unit="ms",
            each=[steps["first work leaves"]],
            goal=50.0,
        ),
        Figure(
            what=f"all is started, from there, {several}", unit="ms", each=[steps["all is started"]]
        ),
        Figure(what=f"memory of the process then, {several}", unit="MB", each=[memory], goal=150.0),
        Figure(what=f"first `ledger` then, {several}", unit="ms", each=[ledger], goal=50.0),
    ]
