"""The checks can fail: each planted fault must be found, by the rule that is there for it."""

from pathlib import Path

import pytest

from adapter.simulator.faults import Effect, Script
from tests.durability.checks import Report, Wrong, is_a_chain
from tests.durability.gateway_process import Life, Rig, until
from tests.durability.ledgers import read_audit, read_head_end
from tests.durability.planted_faults import held_back
from tests.durability.requesters import SWITCHING, Requesters
from tests.durability.runs import Plan, killed_at, run_plan

SILENT = Script(effect=Effect.DROP_CALLBACK)
"""No callback: one that comes before the second send would make it needless."""
HONEST = ("", "nothing at hand", "two replicas")
"""Stores without a plant."""


def assert_found(report: Report, planted: str, wrong: Wrong, rule: str) -> None:
    """The fault is found where it is planted; without it the same run finds nothing at all."""
    if planted not in HONEST:
        assert (wrong, rule) in {(finding.wrong, finding.rule) for finding in report.findings}
    else:
        assert not report.findings


def loses_one(made: Rig) -> bool:
    """Whether the head end has its 200 for a message that the plant holds back for ever."""
    held = held_back(made.store_path)
    if not held.exists():
        return False
    answered = read_head_end(made.journal, made.simulator).answered
    return not answered.keys().isdisjoint(held.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize(
    "planted", ["nothing at hand", "answer before commit", "", "answer before the effect"]
)
async def test_a_callback_that_is_answered_before_it_is_stored_is_found_to_be_lost(
    planted: str, tmp_path: Path
) -> None:
    async def deaths(made: Rig, asked: Requesters) -> Life:
        life = await made.start(planted=planted)
        answered = made.simulator.journal.deliveries
        if planted in HONEST:
            why = "three callbacks are answered"
            await until(lambda: answered.total() >= 3, within_s=30, why=why)
        else:
            why = "a message that is not stored is answered"
            await until(lambda: loses_one(made), within_s=60, why=why)
        await made.nursery.kill(life)
        return await made.start()

    plan = Plan(title=f"planted: {planted or 'nothing'}", deaths=deaths, meters=12, scripts=())
    assert_found(await run_plan(tmp_path, plan), planted, Wrong.LOST, "callbacks")


@pytest.mark.parametrize("planted", ["", "blind resend"])
async def test_a_switch_order_that_is_sent_again_after_a_crash_is_found_to_be_doubled(
    planted: str, tmp_path: Path
) -> None:
    deaths = killed_at("send.after:1", planted=planted)
    title = f"planted: {planted or 'nothing'}"
    plan = Plan(title=title, deaths=deaths, mix=SWITCHING, meters=12, scripts=(SILENT,))
    assert_found(await run_plan(tmp_path, plan), planted, Wrong.DOUBLED, "switch orders")


@pytest.mark.parametrize(
    "planted", ["two replicas", "two replicas, unguarded", "two replicas, believing"]
)
async def test_an_update_that_does_not_look_at_the_version_is_found_in_the_history(
    planted: str, tmp_path: Path
) -> None:
    honest = planted in HONEST

    async def deaths(made: Rig, asked: Requesters) -> Life:
        life = await made.start(planted=planted)
        if not honest:  # it may leave commands that never end: nothing else is waited for
            found = "an update is lost"
            await until(lambda: not is_a_chain(read_audit(made.store_path)), within_s=90, why=found)
        return life

    title = f"planted: {planted}"
    plan = Plan(title=title, deaths=deaths, meters=12, at_least=60, peace=honest)
    assert_found(await run_plan(tmp_path, plan), planted, Wrong.UNEXPECTED, "moves")
