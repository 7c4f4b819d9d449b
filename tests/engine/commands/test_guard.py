"""What bars a disconnect from leaving: approval, budget, window, protection, expiry (I8)."""

from datetime import time, timedelta
from pathlib import Path

import pytest

from adapter.commands.activity import CommandRequest, Outcome, State
from adapter.commands.flows import CommandKind, Operation
from adapter.commands.rules import SwitchPolicy
from adapter.engine.commands.ports import Import
from adapter.errors import Forbidden
from adapter.model.values import replace
from tests.builders import NOON
from tests.clock import lives
from tests.clock.lives import InterruptedStore, a_head_end, life
from tests.engine.commands.quick_site import sends, world
from tests.engine.commands.site_by_hand import by_hand

CUT = CommandKind.REMOTE_DISCONNECT


async def test_a_disconnect_waits_for_a_second_person(tmp_path: Path) -> None:
    async with world(tmp_path, switch=SwitchPolicy(needs_approval=True)) as made:
        gateway = made.app.gateway
        asked = CommandRequest(kind=CUT, devices=(made.device(3),), requester="anna")
        waiting = await gateway.commands.submit(asked)
        assert waiting.activity.state is State.AWAITING_APPROVAL
        with pytest.raises(Forbidden, match="requester"):
            await gateway.commands.approve(waiting.id, by="anna")
        assert sends(made, Operation.DISCONNECT_METER, 3) == 0
        await gateway.commands.approve(waiting.id, by="berta")
        done = await gateway.commands.wait(waiting.id, timeout_s=10)
        assert done.activity.outcome is Outcome.SUCCEEDED
        assert "berta" in str([entry.note for entry in await gateway.commands.history(done.id)])


async def test_the_budget_lets_no_more_disconnects_leave_in_an_hour(tmp_path: Path) -> None:
    async with by_hand(tmp_path, switch=SwitchPolicy(per_hour=2)) as made:
        cuts = [await made.submit(CUT, number) for number in range(5)]
        found = cuts
        while sum(command.activity.state is State.COMPLETED for command in found) < 2:
            await made.turn(0.1)
            found = [await made.gateway.commands.wait(each.id, timeout_s=0.01) for each in cuts]
        for _ in range(50):
            await made.turn(1.0)
        found = [await made.gateway.commands.get(each.id) for each in cuts]
        held = [command for command in found if not command.activity.state.final]
        assert [len(command.communications) for command in held] == [1, 1, 1]
        assert {command.communications[0].state for command in held} == {"queued"}
        assert made.sends(Operation.DISCONNECT_METER) == 2


async def test_no_disconnect_leaves_outside_its_window_and_a_connect_does(tmp_path: Path) -> None:
    shut = SwitchPolicy(window=(time(14), time(15)))  # it is noon
    async with by_hand(tmp_path, switch=shut) as made:
        cut = await made.submit(CUT, 3)
        connect = await made.finish(await made.submit(CommandKind.REMOTE_CONNECT, 22))
        assert connect.activity.outcome is Outcome.SUCCEEDED
        held = await made.gateway.commands.get(cut.id)
        assert not held.activity.state.final
        assert made.sends(Operation.DISCONNECT_METER) == 0


@pytest.mark.parametrize("flag", ["protected", "life_support"])
async def test_a_protected_service_point_is_never_disconnected(flag: str, tmp_path: Path) -> None:
    async with world(tmp_path, switch=SwitchPolicy(needs_approval=True)) as made:
        gateway = made.app.gateway
        view = await gateway.registry.device(made.device(3))
        assert view.service_point is not None
        queued = await gateway.commands.submit(CommandRequest(kind=CUT, devices=(made.device(3),)))
        point = replace(
            view.service_point,
            protected=flag == "protected",
            life_support=flag == "life_support",
        )
        await gateway.registry.import_devices(Import(service_points=(point,)))
        refused = await gateway.commands.submit(CommandRequest(kind=CUT, devices=(made.device(3),)))
        assert refused.activity.state is State.VALIDATION_ERROR
        # accepted before, protected since: the last look before sending stops it
        await gateway.commands.approve(queued.id, by="berta")
        done = await gateway.commands.wait(queued.id, timeout_s=10)
        assert done.activity.state is State.CANCELED
        assert sends(made, Operation.DISCONNECT_METER, 3) == 0


@pytest.mark.parametrize("flag", ["protected", "life_support"])
async def test_nothing_leaves_for_a_customer_protected_between_the_intent_and_the_first_byte(
    flag: str, tmp_path: Path
) -> None:
    async with (
        a_head_end() as head_end,
        life(tmp_path, head_end, lives.NOON, store_type=InterruptedStore) as now,
    ):
        store, registry = now.core.store, now.gateway.registry
        assert isinstance(store, InterruptedStore)

        async def protect() -> None:
            (view,) = [v for v in await registry.devices() if v.device.endpoint == now.endpoint(0)]
            assert view.service_point is not None
            point = replace(
                view.service_point,
                protected=flag == "protected",
                life_support=flag == "life_support",
            )
            await registry.import_devices(Import(service_points=(point,)))

        store.on_intent = protect
        order = await now.ask(0)
        await now.later(timedelta(minutes=1))
        found = (await now.command(order)).activity
        assert (found.state, found.outcome) == (State.CANCELED, Outcome.CANCELED)
        assert now.sent(0) == 0


async def test_an_expired_disconnect_never_leaves(tmp_path: Path) -> None:
    shut = SwitchPolicy(window=(time(0), time(0)))
    async with by_hand(tmp_path, switch=shut) as made:
        cut = await made.submit(CUT, 3, expires_at=NOON + timedelta(seconds=1))
        assert not cut.activity.state.final
        done = await made.finish(cut)
        assert (done.activity.state, done.activity.outcome) == (
            State.DISCARDED,
            Outcome.EXPIRED,
        )
        assert made.sends(Operation.DISCONNECT_METER) == 0
