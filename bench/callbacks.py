"""Status messages with a durable answer, beside listeners that keep nothing; orders beside a flood.

The sender is a process of its own, with 32 connections that each wait for their answer. A message
is of a command that waits for it: judged, stored with its effect, answered. Or it is well-formed
and belongs to nothing that the gateway knows: judged, stored, answered, and later parked. At an
address that the gateway has signed that is dearest: it is an alarm.
"""

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from adapter.engine.commands.identity import STATUS_PATH
from bench.commands import KIND, gateway, head_end
from bench.processes import Side, side
from bench.report import Figure, Part, Ran, comparison, ratios
from bench.rounds import Options, interleaved, turn
from bench.sides.head_end import DELAYS_S

_CONNECTIONS: Final = 32
_COUNT: Final = 3_000
_OURS = "gateway: of an open command, durable with its effect"
_UNKNOWN = "gateway: of nobody, at a signed address, durable"
_AFTER = "  the same, until it has parked them"
_FIXED = "aiohttp, a fixed answer"
_ZEEP = "aiohttp and zeep, nothing stored"
_SPYNE = "aiohttp and spyne, nothing stored"


def measure(options: Options) -> Part:
    part = Part(title="A status message, 32 connections")
    count = options.some(_COUNT, least=200)
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        sender = stack.enter_context(side("bench.sides.sender"))
        asked = stack.enter_context(head_end(*DELAYS_S))
        ours = stack.enter_context(gateway(asked, Path(temporary) / "store"))
        after: list[Ran] = []
        sides: dict[str, Callable[[], Ran]] = {
            _OURS: partial(_send_to_open, sender, ours, count),
            _UNKNOWN: partial(_send, sender, ours, count, after=after, genuine=True),
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
        rows = {name: ran[name] for name in (_OURS, _UNKNOWN)} | {_AFTER: after[1:]}
        rows |= {name: ran[name] for name in others}
        part.details.append(comparison(part.title, rows))
        _figures(rows, part)
        _orders_beside(sender, asked, Path(temporary) / "beside", options, part)
    return part


def no_spyne() -> str | None:
    """Why spyne cannot be compared with; none where it can."""
    if importlib.util.find_spec("spyne") is None:
        return (
            "no spyne here: `pip install -c constraints.txt -e '.[bench]'` brings it, on Python "
            "3.11 alone; this run has no row for it."
        )
    # In a process of its own: it leaves importers behind that Python warns of from then on.
    tried = [sys.executable, "-c", "import spyne.server"]
    if (done := subprocess.run(tried, capture_output=True, text=True)).returncode:
        error = done.stderr.strip().rpartition("\n")[2]
        return f"spyne does not import on this Python ({error}); this run has no row for it."
    return None


def _send_to_open(sender: Side, ours: Side, count: int) -> Ran:
    return _send(sender, ours, count, to=ours.ask(do="await", count=count)["to"])


def _send(
    sender: Side, listener: Side, count: int, *, after: list[Ran] | None = None, **more: Any
) -> Ran:
    url, cpu = listener.ready["url"], listener.cpu_s
    answer = sender.ask(url=url, count=count, connections=_CONNECTIONS, **more)
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
    unknown = rows[_UNKNOWN]
    part.figures += [
        Figure(
            what="CPU of one of nobody at a signed address / of aiohttp with a fixed answer",
            unit="ratio",
            each=ratios(unknown, rows[_FIXED], cpu),
        ),
        Figure(
            what="the same, until it is judged and parked",
            unit="ratio",
            each=ratios(rows[_AFTER], rows[_FIXED], cpu),
        ),
        Figure(what="p99 of such a callback", unit="ms", each=[late(one) for one in unknown]),
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


# ---------------------------------------------------------------- orders beside a flood

_FLOOD: Final = 1_000.0
"""A second."""

_ORDERS: Final = 25.0
"""A second."""

_SECONDS: Final = 4.0
_CALM = "calm"
_BESIDE: Final = {
    "beside 1,000 a second with unknown tokens": {"genuine": False},
    "beside 1,000 a second of nobody at signed addresses": {"genuine": True},
}


def _orders_beside(sender: Side, asked: Side, folder: Path, options: Options, part: Part) -> None:
    """Commands at a steady pace, submit to final state; the head end takes 50 ms of it."""
    with gateway(asked, folder) as ours:
        orders = partial(_orders, ours, options.some(int(_ORDERS * _SECONDS), least=10))
        sides: dict[str, Callable[[], Ran]] = {_CALM: orders}
        for name, kind in _BESIDE.items():
            sides[name] = partial(_beside, sender, ours, orders, **kind)
        ran = interleaved(sides, options.rounds)
    title = f"Submit to final state, {_ORDERS:.0f} commands a second"
    part.details.append(comparison(title, ran))
    for name in _BESIDE:
        for share in (0.50, 0.99):
            part.figures.append(
                Figure(
                    what=f"p{share * 100:.0f} of a command, {name} / calm",
                    unit="ratio",
                    each=ratios(ran[name], ran[_CALM], partial(Ran.latency_ms, share=share)),
                    goal=2.0,
                )
            )


def _orders(ours: Side, count: int) -> Ran:
    return turn(ours, count, do="run", work=[{"kind": KIND, "count": count, "rate": _ORDERS}])()


def _beside(sender: Side, ours: Side, orders: partial[Ran], *, genuine: bool) -> Ran:
    count = int((orders.args[1] / _ORDERS + 1.0) * _FLOOD)
    sender.begin(
        url=_bare(ours, genuine=genuine),
        count=count,
        connections=_CONNECTIONS,
        rate=_FLOOD,
        genuine=genuine,
    )
    ran = orders()
    sender.answer()
    ours.rest()
    return ran


def _bare(ours: Side, *, genuine: bool) -> str:
    """Signed addresses are made under the listener's URL; the bare one is there for all."""
    url = str(ours.ready["url"])
    return url if genuine else url + STATUS_PATH
