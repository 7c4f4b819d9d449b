"""How long an honest callback takes, calm and beside those who are in its way."""

import asyncio
import json
import signal
import statistics
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from tests.attack.target import WAIT_S, Target

CALM: Final = "calm"
IN_THE_WAY: Final = {
    "beside one attribute of 40 MB": "attribute",
    "beside 256 bodies of a byte a second": "slow",
    "beside a flood of unknown tokens": "flood",
}
BOUND: Final = 2.0
"""So many times its calm p99 may it be."""

_A_SECOND: Final = 40.0


@dataclass(slots=True)
class Latencies:
    """Seconds that each callback took, in rounds, by what was in the way. The p99 is that of all
    rounds together: of one round it would be its fourth longest, which is chance."""

    rounds: dict[str, list[Sequence[float]]] = field(
        default_factory=lambda: {name: [] for name in (CALM, *IN_THE_WAY)}
    )

    def ratio(self, name: str) -> float:
        return self.p99(name) / self.p99(CALM)

    def p99(self, name: str) -> float:
        return _p99(list(chain.from_iterable(self.rounds[name])))

    def __str__(self) -> str:
        lines = [f"{'honest callbacks, in ms':38}  count    p50     p99  to calm  rounds' p99"]
        for name, each in self.rounds.items():
            every = list(chain.from_iterable(each))
            told = " ".join(f"{1000 * _p99(one):.1f}" for one in each)
            lines.append(
                f"{name:38}  {len(every):5}  {1000 * statistics.median(every):5.1f}  "
                f"{1000 * self.p99(name):6.1f}  {self.ratio(name):7.2f}  {told}"
            )
        return "\n".join(lines)


async def latencies(target: Target, *, rounds: int, seconds: float) -> Latencies:
    made = Latencies()
    for _ in range(rounds):
        made.rounds[CALM].append(await _honest(target, seconds))
        for name, caller in IN_THE_WAY.items():
            async with _in_the_way(target, caller):
                made.rounds[name].append(await _honest(target, seconds))
            await target.standing()  # until what it left behind is judged
    return made


def _p99(took: Sequence[float]) -> float:
    return sorted(took)[int(0.99 * len(took))]


async def _honest(target: Target, seconds: float) -> Sequence[float]:
    given = {
        "url": target.machine.listener,
        "seconds": seconds,
        "a_second": _A_SECOND,
        "orders": [(order.url, order.token) for order in target.orders],
    }
    process = await _caller("honest", given)
    assert process.stdout is not None
    async with asyncio.timeout(seconds + 2 * WAIT_S):
        told: Sequence[float] = json.loads(await process.stdout.read())
        assert await process.wait() == 0
    assert len(told) == int(seconds * _A_SECOND), "all were answered"
    return told


@asynccontextmanager
async def _in_the_way(target: Target, caller: str) -> AsyncIterator[None]:
    process = await _caller(caller, {"url": target.machine.listener})
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WAIT_S):
            assert json.loads(await process.stdout.readline()) == "ready"
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def _caller(name: str, given: object) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.attack.callers", name, json.dumps(given),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
