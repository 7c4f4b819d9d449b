"""Print measurements: all, or those that are named; a number scales them.

python -m bench                 everything
python -m bench intake          one part: codec, callbacks, commands, orders, intake
python -m bench intake 0.1      the same, quick
"""

import sys
from collections.abc import Callable

from bench import callbacks, codec, commands, intake, orders
from bench.report import show


def _codec(scale: float) -> None:
    for endpoints in (1, 100, 1000):
        baseline, ours = codec.writing(endpoints)
        show(f"Writing PingByEndpoints, {endpoints} endpoints", [ours], baseline=baseline)
    for failures in (1, 100, 10_000):
        baseline, ours = codec.reading(failures)
        show(f"Reading its result, {failures} failures", [ours], baseline=baseline)


def _callbacks(scale: float) -> None:
    baseline, ours = callbacks.measure(max(200, int(10_000 * scale)))
    show("StatusChanged, 32 connections", [ours], baseline=baseline)


def _commands(scale: float) -> None:
    baseline, rates = commands.measure(max(100, int(2_000 * scale)))
    show("Device Status Check, submit to final state", rates, baseline=baseline)


def _orders(scale: float) -> None:
    baseline, rates = orders.measure(max(50, int(300 * scale)))
    show("A service order looked at again when its child completes", rates, baseline=baseline)


def _intake(scale: float) -> None:
    intake.show_all(scale, show)


_PARTS: dict[str, Callable[[float], None]] = {
    "codec": _codec,
    "callbacks": _callbacks,
    "commands": _commands,
    "orders": _orders,
    "intake": _intake,
}


def main() -> None:
    names, scale = sys.argv[1:], 1.0
    if names and names[-1] not in _PARTS:
        last = names.pop()
        try:
            scale = float(last)
        except ValueError:
            raise SystemExit(
                f"{last!r} is neither a number nor one of {', '.join(_PARTS)}"
            ) from None
    if unknown := [name for name in names if name not in _PARTS]:
        raise SystemExit(f"{unknown[0]!r} is none of {', '.join(_PARTS)}")
    print("Machines are noisy: read the ratios, each to a baseline of this same run.\n")
    for name in names or _PARTS:
        _PARTS[name](scale)


if __name__ == "__main__":
    main()
