"""Attack the gateway, and print what came of it: `python -m tests.attack`, or a part of it.

    python -m tests.attack                      everything, at length (a quarter of an hour)
    python -m tests.attack short                each kind once, in some seconds
    python -m tests.attack hostile forged       parts: hostile, forged, wcf, kills, restores,
                                                clocks, beside

`openway serve` is a process of its own, the head end is the simulator, all of it on loopback. The
exit code is 1 where anything was accepted wrongly, or honest callbacks were held up too long.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from tests import compiled
from tests.attack.beside import BOUND, IN_THE_WAY
from tests.attack.plan import LONG, PARTS, SHORT, attack


def main() -> int:
    compiled.kept()
    words = sys.argv[1:]
    plan = SHORT if "short" in words else LONG
    parts = [word for word in words if word != "short"]
    if unknown := [part for part in parts if part not in PARTS]:
        raise SystemExit(f"{unknown[0]!r} is none of short, {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        found = asyncio.run(attack(Path(folder), plan, parts=parts or PARTS))
    print(found)  # noqa: T201
    late = found.latencies is not None and any(
        found.latencies.ratio(name) > BOUND for name in IN_THE_WAY
    )
    return int(bool(found.wrong) or late)


if __name__ == "__main__":
    sys.exit(main())
