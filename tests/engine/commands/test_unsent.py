"""A command of which nothing has left for the head end: it is said why, wherever it is shown."""

from pathlib import Path

from adapter.commands.activity import CommunicationState, Failure, State
from adapter.commands.rules import SwitchPolicy
from adapter.commands.usage_limits import SwitchCap
from adapter.engine.commands.unsent import Unsent, UnsentReason, held_up, unsent_of
from adapter.model.values import replace
from tests.clock.lives import HOUR, NOON, PING, Life, a_head_end, life
from tests.support import every_case


async def why(now: Life, *meters: int) -> list[Unsent | None]:
    commands = [await now.command(await now.ask(meter)) for meter in meters]
    found = await unsent_of(commands, now.gateway.upkeep.switch_safety)
    return [found.get(each.id) for each in commands]


async def test_what_holds_it_up_is_told(tmp_path: Path) -> None:
    with every_case() as case:
        for name, policy, wanted in (
            ("cap", SwitchPolicy(cap=(SwitchCap(name="cuts", per_day=1),)), UnsentReason.LIMITED),
            ("hours", SwitchPolicy(weekdays=frozenset({5, 6})), UnsentReason.HOURS),
        ):
            with case(name):
                (tmp_path / name).mkdir()
                async with (
                    a_head_end() as head_end,
                    life(tmp_path / name, head_end, NOON, switch=policy) as now,
                ):
                    first, second = await why(now, 0, 1)
                    assert second is not None
                    assert second.why is wanted
                    assert (first is None) is (wanted is UnsentReason.LIMITED), "it has left"
                    if wanted is UnsentReason.LIMITED:
                        assert second.until is not None
                        assert "the limit cuts" in second.text


async def test_a_stop_goes_before_all_else_and_holds_no_read(tmp_path: Path) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        safety = now.gateway.upkeep.switch_safety
        await safety.stop(by="ann", why="the list is wrong")
        cut, ping = await now.ask(0), await now.ask(1, PING)
        commands = [await now.command(each) for each in (cut, ping)]
        found = await unsent_of(commands, safety)
        assert list(found) == [cut]
        assert found[cut].why is UnsentReason.HELD
        assert "the list is wrong" in found[cut].text


async def test_what_is_not_due_or_has_left_is_not_among_them(tmp_path: Path) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        await now.submit(0)
        later = await now.submit(1, effective_at=NOON + HOUR)
        commands = list((await now.gateway.commands.list()).rows)
        found = await unsent_of(commands, now.gateway.upkeep.switch_safety)
        assert later not in found
        await now.work()
        commands = list((await now.gateway.commands.list()).rows)
        assert not await unsent_of(commands, now.gateway.upkeep.switch_safety)
        states = {each.activity.state for each in commands}
        assert State.WAITING_FOR_EFFECTIVE_DATE in states


async def test_a_disconnect_behind_its_read_is_held_up_too(tmp_path: Path) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        safety = now.gateway.upkeep.switch_safety
        await safety.stop(by="ann", why="the list is wrong")
        cut = await now.command(await now.ask(0))
        read = replace(cut.communications[0], state=CommunicationState.COMPLETED)
        behind = replace(cut, communications=(read, *cut.communications))
        assert not await unsent_of([behind], safety), "its read has left"
        found = await held_up(behind, safety)
        assert found is not None
        assert found.why is UnsentReason.HELD
        assert await held_up(replace(cut, communications=(read,)), safety) is None


async def test_what_was_sent_once_and_is_queued_again_is_not_among_them(tmp_path: Path) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        safety = now.gateway.upkeep.switch_safety
        await safety.stop(by="ann", why="the list is wrong")
        held = await now.command(await now.ask(0))
        assert list(await unsent_of([held], safety)) == [held.id]
        (waits,) = held.communications
        for cause, left in (("busy", True), ("not_sent", False)):
            tried = replace(waits, sent_at=NOON, tries=1, failure=Failure(cause=cause))
            again = replace(held, communications=(tried,))
            assert bool(await unsent_of([again], safety)) is not left, cause
