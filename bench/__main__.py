"""Print all measurements; a second argument scales them (`python -m bench 0.2` is quick)."""

import sys

from bench import callbacks, codec, commands, orders
from bench.report import show


def main() -> None:
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    print("Machines are noisy: read the ratios, each to a baseline of this same run.\n")
    for endpoints in (1, 100, 1000):
        baseline, ours = codec.writing(endpoints)
        show(f"Writing PingByEndpoints, {endpoints} endpoints", [ours], baseline=baseline)
    for failures in (1, 100, 10_000):
        baseline, ours = codec.reading(failures)
        show(f"Reading its result, {failures} failures", [ours], baseline=baseline)
    baseline, ours = callbacks.measure(max(200, int(10_000 * scale)))
    show("StatusChanged, 32 connections", [ours], baseline=baseline)
    baseline, rates = commands.measure(max(100, int(2_000 * scale)))
    show("Device Status Check, submit to final state", rates, baseline=baseline)
    baseline, rates = orders.measure(max(50, int(300 * scale)))
    show("A service order looked at again when its child completes", rates, baseline=baseline)


if __name__ == "__main__":
    main()
