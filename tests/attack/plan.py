"""The whole attack, at length or short."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.attack import deaths
from tests.attack.beside import Latencies, latencies
from tests.attack.forged import client_that_asks_first, forged_callbacks
from tests.attack.hostile import hostile_input
from tests.attack.report import Kind, table
from tests.attack.target import a_target
from tests.durability.restores import WAYS

PARTS: Final = ("hostile", "forged", "wcf", "kills", "restores", "clocks", "beside")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`every`: of hostile and forged messages each n-th is sent. `rounds` of honest callbacks
    beside each who is in their way, of `seconds`; none: they are not measured."""

    every: int
    size_mib: int
    kills: int
    ways: Sequence[str]
    clocks: int
    rounds: int = 0
    seconds: float = 5.0
    seed: int = 1


LONG: Final = Plan(every=1, size_mib=40, kills=40, ways=WAYS * 2, clocks=4, rounds=8)
SHORT: Final = Plan(every=4, size_mib=9, kills=1, ways=WAYS[2:3], clocks=1)


@dataclass(slots=True, kw_only=True)
class Attack:
    kinds: list[Kind] = field(default_factory=list)
    latencies: Latencies | None = None

    @property
    def wrong(self) -> list[str]:
        return [text for kind in self.kinds for text in kind.wrong]

    def __str__(self) -> str:
        more = "" if self.latencies is None else f"\n\n{self.latencies}"
        return f"{table(self.kinds)}{more}"


async def attack(folder: Path, plan: Plan, *, parts: Sequence[str] = PARTS) -> Attack:
    """Those parts of it that are named."""
    made = Attack()
    if {"hostile", "forged", "wcf", "beside"} & set(parts):
        (folder / "doors").mkdir()
        await _at_the_doors(folder / "doors", plan, parts, made)
    if "kills" in parts:
        made.kinds.append(await deaths.kills(folder / "kills", count=plan.kills, seed=plan.seed))
    if "restores" in parts:
        made.kinds.append(
            await deaths.restores(folder / "restores", ways=plan.ways, seed=plan.seed)
        )
    if "clocks" in parts:
        made.kinds.append(await deaths.clocks(folder / "clocks", count=plan.clocks))
    return made


async def _at_the_doors(folder: Path, plan: Plan, parts: Sequence[str], made: Attack) -> None:
    async with a_target(folder) as target:
        if "beside" in parts and plan.rounds:
            made.latencies = await latencies(target, rounds=plan.rounds, seconds=plan.seconds)
        if "hostile" in parts:
            made.kinds += await hostile_input(target, size_mib=plan.size_mib, every=plan.every)
        if "forged" in parts:
            made.kinds += await forged_callbacks(target, every=plan.every)
        if "wcf" in parts:
            made.kinds.append(await client_that_asks_first(target))
        crashed = [line for line in _lines(target.machine.log) if "Traceback" in line]
        if crashed and made.kinds:
            made.kinds[-1].wrong.append(f"{len(crashed)} tracebacks in the gateway's log")


def _lines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()
