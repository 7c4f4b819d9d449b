"""A callback that is faster than the reply with its token is kept until the token is known (I11).

Head end, listener, store and loops are the real ones. The clock stands unless the test turns it:
nothing but the token can bring the callback back.
"""

from pathlib import Path

from adapter.commands.activity import Outcome, State
from adapter.commands.flows import CommandKind, Operation
from adapter.engine.commands.ports import InboxRow, InboxState
from adapter.model.device import InstallStatus
from adapter.simulator.faults import Effect
from tests.engine.commands.quick_site import script
from tests.engine.commands.site_by_hand import WAIT_S, ByHand, by_hand
from tests.web.both_servers import status_changed

METER = 3
WORKED_S = 0.5
"""When the head end has done what it was asked to do."""
REPLY_S = 1.0
"""When its reply leaves: before a parked callback would be looked at again by itself."""


async def told_completed(made: ByHand, token: str) -> InboxRow:
    """Completed, told at the address that names no request: what is made of it at first."""
    assert await made.tell(status_changed(token)) == 200
    newest, *_ = await made.gateway.inbox.list()
    return await made.gateway.inbox.judged(newest.id, timeout_s=WAIT_S)


async def test_an_early_callback_is_parked_until_its_token_is_known_and_then_applied_once(
    tmp_path: Path,
) -> None:
    late = script(Effect.DELAY_REPLY, "DisconnectMeter", seconds=REPLY_S)
    silent = script(Effect.DROP_CALLBACK)
    async with by_hand(tmp_path, late, silent) as made:
        gateway, meter = made.gateway, made.device(METER)
        command = await made.submit(CommandKind.REMOTE_DISCONNECT, METER)
        await made.sent(command, Operation.DISCONNECT_METER)
        (token,) = made.simulator.world.jobs  # nobody else knows it yet
        await made.turn(WORKED_S)
        early = await told_completed(made, token)
        assert (early.state, early.communication, early.command) == (
            InboxState.PARKED,
            None,
            None,
        )
        (communication,) = (await gateway.commands.get(command.id)).communications
        assert (communication.token, communication.status) == (None, None)

        await made.turn(REPLY_S - WORKED_S)
        done = await gateway.commands.wait(command.id, timeout_s=WAIT_S)

        assert (done.activity.state, done.activity.outcome) == (
            State.COMPLETED,
            Outcome.SUCCEEDED,
        )
        row = await gateway.inbox.get(early.id)
        assert (row.state, row.command) == (InboxState.APPLIED, command.id)
        assert (await told_completed(made, token)).state is InboxState.IGNORED
        actions = [entry.note.action for entry in await gateway.commands.history(command.id)]
        assert [actions.count(each) for each in ("Dispatched", "StatusNotified")] == [1, 1]
        assert actions.index("TokenReceived") < actions.index("StatusNotified")
        installed = (await gateway.registry.device(meter)).installed
        assert installed is not None
        assert installed.status is InstallStatus.DISCONN_COMM
