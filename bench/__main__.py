"""The bench: what the gateway takes, beside others that do the same, as ratios.

python -m bench                     all parts, written to bench/RESULTS.md, .json and .svg
python -m bench commands codec      some parts, printed only; `--write` puts them into the results
python -m bench waiting --million   a million open commands in place of 100,000
python -m bench --profile storm     a profile, in five rounds
python -m bench --scale 0.1 --rounds 1   a quick look whether it works, printed only
"""

import argparse
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bench import (
    callbacks,
    codec,
    commands,
    events,
    intake,
    orders,
    postgresql,
    profiles,
    recording,
    simulator,
    waiting,
    where,
)
from bench.files import write
from bench.machine import machine
from bench.report import Part, show
from bench.rounds import Options

PARTS: Final[Mapping[str, Callable[[Options], Part]]] = {
    "commands": commands.measure,
    "where": where.measure,
    "waiting": waiting.measure,
    "recording": recording.measure,
    "callbacks": callbacks.measure,
    "codec": codec.measure,
    "simulator": simulator.measure,
    "intake": intake.measure,
    "orders": orders.measure,
    "events": events.measure,
    "postgresql": postgresql.measure,
    "profiles": profiles.measure,
}
_MILLION: Final = 1_000_000


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    usual = Options()
    reader = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    reader.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; none: all of them")
    reader.add_argument("--rounds", type=int, default=usual.rounds, help="of each comparison")
    reader.add_argument("--scale", type=float, default=usual.scale, help="of what a round does")
    reader.add_argument(
        "--open", type=int, default=usual.open, help="commands that wait, in the part `waiting`"
    )
    reader.add_argument("--million", action="store_true", help=f"as --open {_MILLION}")
    reader.add_argument(
        "--profile", action="append", default=[], choices=profiles.NAMES, help="only such ones"
    )
    reader.add_argument(
        "--write", action="store_true", help="results also of some parts, or of a quick look"
    )
    asked = reader.parse_args(given)
    if unknown := [name for name in asked.part if name not in PARTS]:
        reader.error(f"{unknown[0]!r} is none of {', '.join(PARTS)}")
    for name, least in (("rounds", 1), ("open", 1)):
        if getattr(asked, name) < least:
            reader.error(f"--{name}: at least {least}")
    if not asked.scale > 0:
        reader.error("--scale: more than 0")
    return asked


def whole(asked: argparse.Namespace) -> bool:
    """Whether all of it was asked for: a quick look does not take the place of results."""
    usual = Options()
    some = asked.part or asked.profile
    return not some and asked.rounds >= usual.rounds and asked.scale >= usual.scale


def busy(load: float) -> list[str]:
    """What is to be said of a machine on which others worked, too."""
    if load <= len(os.sched_getaffinity(0)):
        return []
    return [f"THE MACHINE WAS BUSY, load {load:.0f}: look at ratios of CPU and at counts alone."]


def main() -> None:
    asked = arguments()
    logging.getLogger().addHandler(logging.NullHandler())  # what is printed are results
    names = asked.part or (["profiles"] if asked.profile else list(PARTS))
    options = Options(
        rounds=asked.rounds,
        scale=asked.scale,
        open=_MILLION if asked.million else asked.open,
        profiles=tuple(asked.profile),
    )
    measured: dict[str, Part] = {}
    around: dict[str, dict[str, str]] = {}
    for name in names:
        around[name] = machine()
        load, began = os.getloadavg()[0], time.perf_counter()
        measured[name] = PARTS[name](options)
        measured[name].notes += busy(load)
        around[name]["run"] = (
            f"{options.rounds} rounds, scale {options.scale:g}, {time.perf_counter() - began:.0f} s"
        )
        show(measured[name])
        if asked.write or whole(asked):
            # After every part: what was measured is kept, whatever comes later.
            write({name: measured[name]}, around)


if __name__ == "__main__":
    main()
