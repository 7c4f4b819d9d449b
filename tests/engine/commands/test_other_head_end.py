"""A device of another head end is not commanded at this one, whoever asks and whenever it moved."""

from pathlib import Path

import pytest

from adapter.commands.activity import CommandRequest, Outcome, State
from adapter.commands.calls import SwitchState
from adapter.commands.flows import CommandKind, Operation
from adapter.demo.demo import DemoSite
from adapter.engine.commands.ports import Import
from adapter.model.ids import DeviceId
from adapter.model.values import replace
from tests.engine.commands.quick_site import finish, sends, world
from tests.engine.commands.site_by_hand import by_hand
from tests.engine.commands.test_business_objects import PERIOD

K = CommandKind


async def at_head_end(made: DemoSite, device: DeviceId, name: str) -> None:
    registry = made.app.gateway.registry
    known = (await registry.device(device)).device
    await registry.import_devices(Import(devices=(replace(known, head_end=name),)))


@pytest.mark.parametrize("kind", [K.REMOTE_DISCONNECT, K.DEVICE_STATUS_CHECK])
async def test_a_command_to_it_breaks_a_rule_and_goes_on_once_it_is_here(
    kind: CommandKind, tmp_path: Path
) -> None:
    async with world(tmp_path) as made:
        await at_head_end(made, made.device(2), "Elsewhere")
        commands = made.app.gateway.commands
        command = await commands.submit(
            CommandRequest(kind=kind, devices=(made.device(2),)), actor="test"
        )
        assert command.activity.state is State.VALIDATION_ERROR
        (text,) = command.activity.violations
        assert text == f"{made.device(2)} is at the head end Elsewhere, and this one is openway"
        assert command.communications == ()
        await at_head_end(made, made.device(2), "")
        await commands.retry(command.id, by="test")
        done = await commands.wait(command.id, timeout_s=20)
        assert done.activity.outcome is Outcome.SUCCEEDED


async def test_a_group_read_leaves_it_out_and_says_how_many(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        request = CommandRequest(
            kind=K.SCHEDULED_READ_SCALAR, group="Substation 1", devices=(), period=PERIOD
        )
        every = await finish(made, request)
        away = every.targets[0].device
        await at_head_end(made, away, "Elsewhere")
        done = await finish(made, replace(request, reference="again"))
        assert [each.device for each in done.targets] == [
            each.device for each in every.targets if each.device != away
        ]
        assert done.activity.outcome is Outcome.SUCCEEDED
        submitted = (await made.app.gateway.commands.history(done.id))[0]
        assert submitted.note.detail["at_another_head_end"] == 1


async def test_what_moves_to_another_head_end_before_its_order_leaves_is_not_switched(
    tmp_path: Path,
) -> None:
    async with by_hand(tmp_path) as made:
        registry, device = made.gateway.registry, made.device(2)
        later = made.clock.now().replace(hour=23)
        command = await made.submit(K.REMOTE_DISCONNECT, 2, effective_at=later)
        assert command.activity.state is State.WAITING_FOR_EFFECTIVE_DATE
        known = (await registry.device(device)).device
        await registry.import_devices(Import(devices=(replace(known, head_end="Elsewhere"),)))
        await made.clock.turn(later)
        done = await made.gateway.commands.wait(command.id, timeout_s=20)
        assert made.sends(Operation.DISCONNECT_METER) == 0
        assert done.activity.state is State.VALIDATION_ERROR


async def test_the_name_of_this_head_end_is_a_setting(tmp_path: Path) -> None:
    async with world(tmp_path, head_end="AMI-North") as made:
        await at_head_end(made, made.device(2), "ami-north")
        done = await finish(made, CommandRequest(kind=K.LOAD_CHECK, devices=(made.device(2),)))
        assert done.activity.outcome is Outcome.SUCCEEDED
        await at_head_end(made, made.device(3), "openway")
        refused = CommandRequest(kind=K.REMOTE_DISCONNECT, devices=(made.device(3),))
        command = await made.app.gateway.commands.submit(refused, actor="test")
        assert command.activity.state is State.VALIDATION_ERROR
        assert sends(made, Operation.DISCONNECT_METER, 3) == 0
        meter = made.simulator.world.population.find(made.endpoint(3))
        assert meter is not None
        assert meter.switch is SwitchState.CONNECTED
