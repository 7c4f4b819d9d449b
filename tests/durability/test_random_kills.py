"""SIGKILL at random moments under load: nothing lost, nothing doubled, by three ledgers."""

from pathlib import Path

import pytest

from tests.durability.runs import Plan, killed_at_random, run_plan


@pytest.mark.seconds(110)
async def test_killed_a_dozen_times_under_load_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    deaths = killed_at_random(12, seed=7)
    plan = Plan(title="12 random kills", deaths=deaths, seed=7, at_least=25, orders=True)
    report = await run_plan(tmp_path, plan)
    assert not report.findings
    assert report.acknowledged >= 25


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.seconds(800)
async def test_killed_fifty_times_and_more_under_load_nothing_is_lost_or_doubled(
    seed: int, tmp_path: Path
) -> None:
    deaths = killed_at_random(60, seed=seed, longest_s=1.4, most_requests=20)
    plan = Plan(
        title=f"60 random kills, seed {seed}",
        deaths=deaths,
        seed=seed,
        meters=60,
        workers=12,
        callback_attempts=seed,
        at_least=100,
        orders=True,
    )
    report = await run_plan(tmp_path, plan)
    assert not report.findings
    assert report.acknowledged >= 100
