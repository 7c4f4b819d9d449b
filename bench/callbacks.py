"""Status messages with a durable answer, beside listeners that keep nothing.

The sender is a process of its own, with 32 connections that each wait for their answer. The
messages are well-formed, come to genuine addresses and belong to nothing that the gateway knows:
each is judged, stored, answered, and later parked.
"""

import importlib.util
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from bench.commands import gateway, head_end
from bench.processes import Side, side
from bench.report import Figure, Part, Ran, comparison, ratios
from bench.rounds import Options, interleaved

_CONNECTIONS: Final = 32
_COUNT: Final = 3_000
_OURS = "gateway: judged, durable, answered"
_AFTER = "  the same, until it has parked them"
_FIXED = "aiohttp, a fixed answer"
_ZEEP = "aiohttp and zeep, nothing stored"
_SPYNE = "aiohttp and spyne, nothing stored"


def measure(options: Options) -> Part:
    part = Part(title="A status message, 32 connections")
    count = options.some(_COUNT, least=200)
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        sender = stack.enter_context(side("bench.sides.sender"))
        asked = stack.enter_context(head_end())
        ours = stack.enter_context(gateway(asked, Path(temporary) / "store"))
        after: list[Ran] = []
        sides: dict[str, Callable[[], Ran]] = {
            _OURS: partial(_send, sender, ours, count, genuine=True, after=after)
        }
        others = {_FIXED: "fixed", _ZEEP: "zeep"}
        if (reason := no_spyne()) is None:
            others[_SPYNE] = "spyne"
        else:
            part.notes.append(reason)
        for name, listener in others.items():
            process = stack.enter_context(side("bench.sides.listeners", listener))
            sides[name] = partial(_send, sender, process, count)
        ran = interleaved(sides, options.rounds)
    rows = {_OURS: ran[_OURS], _AFTER: after[1:], **{name: ran[name] for name in others}}
    part.details.append(comparison(part.title, rows))
    _figures(rows, part)
    return part


def no_spyne() -> str | None:
    """Why spyne cannot be compared with; none where it can."""
    if importlib.util.find_spec("spyne") is None:
        return (
            "no spyne here: `pip install -c constraints.txt -e '.[bench]'` brings it, on Python "
            "3.11 alone; this run has no row for it."
        )
    try:
        importlib.import_module("spyne.server")
    except ImportError as error:
        return f"spyne does not import on this Python ({error}); this run has no row for it."
    return None


def _send(
    sender: Side,
    listener: Side,
    count: int,
    *,
    genuine: bool = False,
    after: list[Ran] | None = None,
) -> Ran:
    url, cpu = listener.ready["url"], listener.cpu_s
    answer = sender.ask(url=url, count=count, connections=_CONNECTIONS, genuine=genuine)
    ran = Ran(
        count=count,
        seconds=answer["seconds"],
        cpu_s=listener.cpu_s - cpu,
        latencies=answer["latencies"],
    )
    if after is not None:
        listener.rest()
        after.append(Ran(count=count, seconds=ran.seconds, cpu_s=listener.cpu_s - cpu))
    return ran


def _figures(rows: dict[str, list[Ran]], part: Part) -> None:
    cpu, rate = (lambda one: one.cpu_ms), (lambda one: one.per_second)
    late = partial(Ran.latency_ms, share=0.99)
    ours = rows[_OURS]
    part.figures += [
        Figure(
            what="CPU of a durable callback / of aiohttp with a fixed answer",
            unit="ratio",
            each=ratios(ours, rows[_FIXED], cpu),
            goal=2.0,
        ),
        Figure(
            what="the same, until it is judged and parked",
            unit="ratio",
            each=ratios(rows[_AFTER], rows[_FIXED], cpu),
        ),
        Figure(
            what="durable callbacks a second / aiohttp and zeep, which store nothing",
            unit="ratio",
            each=ratios(ours, rows[_ZEEP], rate),
            more=True,
        ),
        Figure(what="durable callbacks a second", unit="/s", each=[one.per_second for one in ours]),
        Figure(
            what="p99 of a durable callback / of aiohttp with a fixed answer",
            unit="ratio",
            each=ratios(ours, rows[_FIXED], late),
            goal=3.0,
        ),
        Figure(what="p99 of a durable callback", unit="ms", each=[late(one) for one in ours]),
    ]
    if _SPYNE in rows:
        part.figures.append(
            Figure(
                what="durable callbacks a second / aiohttp and spyne, which store nothing",
                unit="ratio",
                each=ratios(ours, rows[_SPYNE], rate),
                more=True,
            )
        )
