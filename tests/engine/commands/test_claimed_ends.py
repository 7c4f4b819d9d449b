"""Ends that somebody invents for an order under way: the head end is asked, and its word counts.

Head end, listener, store and loops are the real ones; the clock stands unless the test turns it.
"""

from pathlib import Path

import pytest

from adapter.commands.activity import Command, Outcome, State
from adapter.commands.flows import CommandKind, Operation
from adapter.model.ids import RequestToken
from tests.engine.commands.site_by_hand import WAIT_S, ByHand, by_hand
from tests.web.both_servers import status_changed

METER = 3
K = CommandKind


async def claim(made: ByHand, token: str, result: str) -> None:
    """Tell an end at the address that names no request, and wait until it was judged."""
    assert await made.tell(status_changed(token, result=result)) == 200
    newest, *_ = await made.gateway.inbox.list()
    await made.gateway.inbox.judged(newest.id, timeout_s=WAIT_S)


async def under_way(made: ByHand, kind: CommandKind) -> tuple[Command, RequestToken]:
    """A command whose request the head end has taken, and the token of it."""
    command = await made.submit(kind, METER)
    while True:
        (communication,) = (await made.gateway.commands.get(command.id)).communications
        if communication.token is not None:
            return command, communication.token
        await made.gateway.commands.wait(command.id, timeout_s=0.01)


@pytest.mark.parametrize("kind", [K.REMOTE_DISCONNECT, K.DEVICE_STATUS_CHECK])
@pytest.mark.parametrize("result", ["Canceled", "Success", "Failure"])
async def test_an_invented_end_ends_no_command(
    tmp_path: Path, kind: CommandKind, result: str
) -> None:
    async with by_hand(tmp_path) as made:
        command, token = await under_way(made, kind)
        await claim(made, token, result)
        held = await made.gateway.commands.get(command.id)
        assert held.activity.state is State.COMMUNICATION_IN_PROGRESS
        done = await made.finish(command)
        assert (done.activity.state, done.activity.outcome) == (State.COMPLETED, Outcome.SUCCEEDED)


async def test_an_invented_cancellation_does_not_free_the_meter_for_a_second_order(
    tmp_path: Path,
) -> None:
    async with by_hand(tmp_path) as made:
        command, token = await under_way(made, K.REMOTE_DISCONNECT)
        await claim(made, token, "Canceled")
        second = await made.submit(K.REMOTE_DISCONNECT, METER)
        assert second.activity.state is State.VALIDATION_ERROR, second.activity
        await made.finish(command)
        assert made.sends(Operation.DISCONNECT_METER) == 1
        assert made.sends(Operation.REQUEST_STATUS) >= 1, "it was asked"


async def test_a_cancellation_by_others_at_the_head_end_ends_the_command_once_it_is_confirmed(
    tmp_path: Path,
) -> None:
    async with by_hand(tmp_path) as made:
        command, token = await under_way(made, K.REMOTE_DISCONNECT)
        job = made.simulator.world.jobs[token]
        made.simulator.world.worker.cancel(job, now=made.clock.now())
        done = await made.finish(command)
        assert (done.activity.state, done.activity.outcome) == (State.DISCARDED, Outcome.CANCELED)
        assert done.activity.reason == "canceled_there"
        assert made.sends(Operation.REQUEST_STATUS) >= 1, "it was asked"
