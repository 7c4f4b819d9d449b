"""Restores at random: whatever is put back, when and where, no meter is switched twice (I20)."""

import random
from collections import Counter
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from adapter.commands.flows import Operation
from adapter.engine.upkeep.witness import WitnessPolicy
from adapter.model.ids import EndpointId
from adapter.simulator.server import Simulator
from tests.clock.lives import MINUTE, NOON, Life, a_head_end, life
from tests.durability.restores import STORE, WAYS, copied, put_back

SECOND: Final = timedelta(seconds=1)
METERS: Final = 8


@dataclass
class Tried:
    """What one way of restoring did."""

    restores: int = 0
    held: int = 0
    switched_twice: int = 0


@dataclass
class Report:
    ways: dict[str, Tried] = field(default_factory=lambda: {way: Tried() for way in WAYS})

    def __str__(self) -> str:
        rows = [f"{'restores':60} tried  held  switched twice"]
        rows += [
            f"{way:60} {each.restores:5} {each.held:5} {each.switched_twice:15}"
            for way, each in self.ways.items()
        ]
        return "\n".join(rows)


async def one(
    folder: Path, head_end: Simulator, way: str, rng: random.Random, *, witness: bool = True
) -> tuple[bool, int]:
    """Whether the restored store was held, and how many meters were switched more than once."""
    store, copy = folder / "store", folder / "copy"
    store.mkdir(parents=True)
    before = Counter(dict(sent(head_end)))
    wanted = rng.sample(range(METERS), k=rng.randint(1, METERS))
    moment = rng.randrange(len(wanted))
    async with a_life(store, head_end, NOON, witness=witness) as first:
        for number, meter in enumerate(wanted):
            await first.submit(meter)
            if number == moment:  # some have left by now, some are queued
                copied(store, copy, *STORE, "gateway.witness")
            if rng.random() < 0.5:
                await first.work()
        await first.work()
    place = put_back(way, copy, store)
    later = NOON + rng.randint(1, 60) * SECOND
    async with a_life(place, head_end, later, witness=witness) as restored:
        held = bool(restored.held)
        await restored.later(MINUTE)
        await restored.later(10 * MINUTE)
    switched = Counter(dict(sent(head_end)))
    switched.subtract(before)
    return held, sum(count > 1 for count in switched.values())


def sent(head_end: Simulator) -> list[tuple[str, int]]:
    plan = head_end.config.population
    numbers = range(plan.first_number, plan.first_number + METERS)
    endpoints = [EndpointId(f"{plan.esn_prefix}{number}") for number in numbers]
    count = head_end.journal.count
    return [(each, count(Operation.DISCONNECT_METER, each)) for each in endpoints]


def a_life(
    folder: Path, head_end: Simulator, shows: datetime, *, witness: bool
) -> AbstractAsyncContextManager[Life]:
    policy = WitnessPolicy(path=folder / "gateway.witness") if witness else None
    return life(folder, head_end, shows, witness=policy)


@pytest.mark.seconds(900)
@pytest.mark.parametrize(
    "rounds", [2, pytest.param(50, marks=pytest.mark.soak)], ids=["short", "long"]
)
async def test_no_restore_switches_a_meter_twice(
    tmp_path: Path, rounds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    report, rng = Report(), random.Random(20)
    for number in range(rounds):
        for place, way in enumerate(WAYS):
            async with a_head_end() as head_end:
                held, twice = await one(tmp_path / f"{number}-{place}", head_end, way, rng)
            tried = report.ways[way]
            tried.restores += 1
            tried.held += held
            tried.switched_twice += twice
    with capsys.disabled():
        print(f"\n{report}")  # noqa: T201
    assert not any(each.switched_twice for each in report.ways.values()), str(report)
    assert all(each.restores == rounds for each in report.ways.values())


async def test_without_a_witness_the_same_restores_do_switch_meters_twice(tmp_path: Path) -> None:
    """So that what is found above can be found."""
    rng, twice = random.Random(20), 0
    for place, way in enumerate(WAYS):
        async with a_head_end() as head_end:
            held, found = await one(tmp_path / f"{place}", head_end, way, rng, witness=False)
        assert not held
        twice += found
    assert twice > 0
