"""What bars a disconnect from leaving: approval, budget, window, protection, expiry (I8)."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from adapter.commands.activity import CommandRequest, State, Verdict
from adapter.commands.flows import CommandKind, Operation
from adapter.commands.rules import SwitchPolicy
from adapter.engine.commands.ports import Import
from adapter.errors import Forbidden
from tests.flows.world import finish, sends, world
from tests.support import run

CUT = CommandKind.REMOTE_DISCONNECT


def test_a_disconnect_waits_for_a_second_person(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, switch=SwitchPolicy(needs_approval=True)) as made:
            gateway = made.app.gateway
            asked = CommandRequest(kind=CUT, devices=(made.device(3),), requester="anna")
            waiting = await gateway.submit(asked)
            assert waiting.activity.state is State.AWAITING_APPROVAL
            with pytest.raises(Forbidden, match="requester"):
                await gateway.approve(waiting.id, by="anna")
            assert sends(made, Operation.DISCONNECT_METER, 3) == 0
            await gateway.approve(waiting.id, by="berta")
            done = await gateway.wait(waiting.id, timeout_s=10)
            assert done.activity.verdict is Verdict.SUCCEEDED
            assert "berta" in str([entry.note for entry in await gateway.history(done.id)])

    run(scenario())


def test_the_budget_lets_no_more_disconnects_leave_in_an_hour(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, switch=SwitchPolicy(per_hour=2)) as made:
            gateway = made.app.gateway
            cuts = [
                await gateway.submit(CommandRequest(kind=CUT, devices=(made.device(number),)))
                for number in range(5)
            ]
            waited = await asyncio.gather(
                *(gateway.wait(command.id, timeout_s=1.5) for command in cuts)
            )
            ended = [command for command in waited if command.activity.state is State.COMPLETED]
            assert len(ended) == 2
            assert made.simulator.journal.count(Operation.DISCONNECT_METER) == 2
            held = [command for command in waited if not command.activity.state.final]
            assert {command.exchanges[0].state for command in held} == {"queued"}

    run(scenario())


def test_no_disconnect_leaves_outside_its_window_and_a_connect_does(tmp_path: Path) -> None:
    async def scenario() -> None:
        now = datetime.now(UTC)
        opens = (now + timedelta(hours=2)).time()
        closes = (now + timedelta(hours=3)).time()
        shut = SwitchPolicy(window=(opens, closes))
        async with world(tmp_path, switch=shut) as made:
            gateway = made.app.gateway
            cut = await gateway.submit(CommandRequest(kind=CUT, devices=(made.device(3),)))
            connect = CommandRequest(kind=CommandKind.REMOTE_CONNECT, devices=(made.device(22),))
            done = await finish(made, connect)
            assert done.activity.verdict is Verdict.SUCCEEDED
            held = await gateway.wait(cut.id, timeout_s=0.8)
            assert not held.activity.state.final
            assert sends(made, Operation.DISCONNECT_METER, 3) == 0

    run(scenario())


@pytest.mark.parametrize("flag", ["protected", "life_support"])
def test_a_protected_service_point_is_never_disconnected(flag: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, switch=SwitchPolicy(needs_approval=True)) as made:
            gateway = made.app.gateway
            view = await gateway.device(made.device(3))
            assert view.service_point is not None
            queued = await gateway.submit(CommandRequest(kind=CUT, devices=(made.device(3),)))
            point = replace(
                view.service_point,
                protected=flag == "protected",
                life_support=flag == "life_support",
            )
            await gateway.import_devices(Import(service_points=(point,)))
            refused = await gateway.submit(CommandRequest(kind=CUT, devices=(made.device(3),)))
            assert refused.activity.state is State.VALIDATION_ERROR
            # accepted before, protected since: the last look before sending stops it
            await gateway.approve(queued.id, by="berta")
            done = await gateway.wait(queued.id, timeout_s=10)
            assert done.activity.state is State.CANCELED
            assert sends(made, Operation.DISCONNECT_METER, 3) == 0

    run(scenario())


def test_an_expired_disconnect_never_leaves(tmp_path: Path) -> None:
    async def scenario() -> None:
        midnight = time(0)
        async with world(tmp_path, switch=SwitchPolicy(window=(midnight, midnight))) as made:
            soon = datetime.now(UTC) + timedelta(seconds=0.5)
            cut = CommandRequest(kind=CUT, devices=(made.device(3),), expires_at=soon)
            done = await finish(made, cut)
            assert (done.activity.state, done.activity.verdict) == (
                State.DISCARDED,
                Verdict.EXPIRED,
            )
            assert sends(made, Operation.DISCONNECT_METER, 3) == 0

    run(scenario())
