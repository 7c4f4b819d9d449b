"""The simulated head end's own CPU: one Remote Disconnect with its messages, many at once.

Request, three callbacks and result: two HTTP exchanges that it answers and three that it asks for.
Beside it are the same exchanges with ready bytes: by aiohttp at that end, and by the protocols of
the bench's own head end.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Final

from bench.commands import head_end
from bench.processes import Side, side
from bench.report import Figure, Part, Ran, comparison, ratios
from bench.rounds import Options, interleaved
from bench.sides.head_end import DELAYS_S

_COUNT: Final = 2_000
_AT_ONCE: Final = 64
_OURS, _AIOHTTP, _LEAST = "simulated head end", "aiohttp, ready bytes", "protocols, ready bytes"


def measure(options: Options) -> Part:
    part = Part(title="The simulated head end, 64 commands at once")
    count = options.some(_COUNT, least=_AT_ONCE)
    with ExitStack() as stack:
        client = stack.enter_context(side("bench.sides.head_end_client"))
        ends = {
            _OURS: stack.enter_context(side("bench.sides.simulated", "simulator")),
            _AIOHTTP: stack.enter_context(side("bench.sides.simulated", "aiohttp")),
            _LEAST: stack.enter_context(head_end(*DELAYS_S)),
        }
        sides: dict[str, Callable[[], Ran]] = {
            name: partial(_run, client, end, count) for name, end in ends.items()
        }
        ran = interleaved(sides, options.rounds)
    part.details.append(comparison(part.title, ran))
    cpu = lambda one: one.cpu_ms  # noqa: E731
    part.figures += [
        Figure(
            what="CPU of the simulated head end for a command",
            unit="ms",
            each=[one.cpu_ms for one in ran[_OURS]],
            goal=0.4,
        ),
        Figure(
            what="the same / of aiohttp with ready bytes",
            unit="ratio",
            each=ratios(ran[_OURS], ran[_AIOHTTP], cpu),
        ),
    ]
    return part


def _run(client: Side, end: Side, count: int) -> Ran:
    cpu = end.cpu_s
    answer = client.ask(url=end.ready["url"], count=count, at_once=_AT_ONCE)
    return Ran(
        count=count,
        seconds=answer["seconds"],
        cpu_s=end.cpu_s - cpu,
        latencies=answer["latencies"],
    )
