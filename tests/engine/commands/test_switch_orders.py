"""Connect and disconnect against a head end that misbehaves: never doubled, never forgotten."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from adapter.commands.activity import Command, CommandRequest, CommunicationState, Outcome, State
from adapter.commands.calls import FailureReason, SwitchState
from adapter.commands.flows import CommandKind, Operation
from adapter.commands.timing import RetryPolicy
from adapter.model.values import replace
from adapter.simulator.faults import Effect
from tests.builders import NOON
from tests.engine.commands.quick_site import fast, finish, script, sends, world
from tests.engine.commands.site_by_hand import WAIT_S, ByHand, by_hand

E, S, V = Effect, State, Outcome
METER = 23


@dataclass(frozen=True)
class Row:
    """What goes wrong with one DisconnectMeter, how the command ends, how often it was sent."""

    effect: Effect
    state: State
    outcome: Outcome
    sent: int = 1
    rest: dict[str, object] = field(default_factory=dict)
    operation: str = "DisconnectMeter"

    def __str__(self) -> str:
        return f"{self.operation}-{self.effect}"


OPEN = FailureReason.COMMUNICATION_ERROR
ROWS = [
    # before acting: what is proven unsent or refused may go again, all else is unclear
    Row(E.CLOSE_BEFORE, S.NEEDS_PERSON, V.UNKNOWN),
    Row(E.INTERNAL_FAULT, S.NEEDS_PERSON, V.UNKNOWN),
    Row(E.HTML_PAGE, S.NEEDS_PERSON, V.UNKNOWN),
    Row(E.HTTP_STATUS, S.NEEDS_PERSON, V.UNKNOWN, rest={"status": 502}),
    Row(E.HTTP_STATUS, S.NEEDS_PERSON, V.UNKNOWN, rest={"status": 307, "text": "/elsewhere"}),
    Row(E.HTTP_STATUS, S.NEEDS_PERSON, V.UNKNOWN, rest={"status": 403}),  # perhaps a proxy's
    Row(E.FAULT, S.DISCARDED, V.FAILED, rest={"fault": "MeterNotFoundFault"}),
    Row(
        E.FAULT,
        S.COMPLETED,
        V.SUCCEEDED,
        sent=2,
        rest={"fault": "TooManyConcurrentRequestsFault", "first": 1},
    ),
    # after acting: the callback on the attempt's own address tells, and the order is not sent again
    Row(E.LOSE_REPLY, S.COMPLETED, V.SUCCEEDED),
    Row(E.TRUNCATE_REPLY, S.COMPLETED, V.SUCCEEDED),
    Row(E.ERROR_AFTER, S.COMPLETED, V.SUCCEEDED),
    Row(E.EMPTY_REPLY, S.COMPLETED, V.SUCCEEDED),
    Row(E.NO_TOKEN, S.COMPLETED, V.SUCCEEDED),
    Row(E.HTTP_STATUS_AFTER, S.COMPLETED, V.SUCCEEDED, rest={"status": 500}),
    Row(E.CALLBACK_FIRST, S.COMPLETED, V.SUCCEEDED),
    # callbacks
    Row(E.REORDER_CALLBACKS, S.COMPLETED, V.SUCCEEDED),
    Row(E.DUPLICATE_CALLBACK, S.COMPLETED, V.SUCCEEDED, rest={"count": 3}),
    Row(E.DROP_CALLBACK, S.COMPLETED, V.SUCCEEDED),
    Row(E.DELAY_CALLBACK, S.COMPLETED, V.SUCCEEDED, rest={"seconds": 0.6}),
    Row(E.PENDING_RESULT, S.COMPLETED, V.SUCCEEDED),
    # the meter itself
    Row(E.ENDPOINT_FAILURE, S.DISCARDED, V.FAILED, rest={"reason": OPEN}),
    # the head end forgets, or never comes to an end: only the switch can tell
    Row(E.FORGET_TOKEN, S.COMPLETED, V.SUCCEEDED_INFERRED),
    Row(E.NEVER_FINISH, S.NEEDS_PERSON, V.UNKNOWN),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_a_disconnect_ends_once_and_is_never_sent_again_on_a_guess(
    row: Row, tmp_path: Path
) -> None:
    wrong = script(row.effect, row.operation, **row.rest)
    async with world(tmp_path, wrong) as made:
        request = CommandRequest(kind=CommandKind.REMOTE_DISCONNECT, devices=(made.device(METER),))
        done = await finish(made, request)
        activity = done.activity
        assert (activity.state, activity.outcome) == (row.state, row.outcome), activity
        assert sends(made, Operation.DISCONNECT_METER, METER) == row.sent
        view = await made.app.gateway.registry.device(made.device(METER))
        assert view.installed is not None
        off = [entry for entry in view.installed.history if not entry.on]
        assert len(off) == (1 if activity.state is S.COMPLETED else 0)


async def test_a_lost_reply_without_any_callback_is_settled_by_reading_the_switch(
    tmp_path: Path,
) -> None:
    lost = script(E.LOSE_REPLY, "DisconnectMeter")
    silent = script(E.DROP_CALLBACK, "DisconnectMeter")
    async with world(tmp_path, lost, silent) as made:
        request = CommandRequest(kind=CommandKind.REMOTE_DISCONNECT, devices=(made.device(METER),))
        done = await finish(made, request)
        assert done.activity.outcome is V.SUCCEEDED_INFERRED
        assert done.activity.switch_state is SwitchState.DISCONNECTED
        assert sends(made, Operation.DISCONNECT_METER, METER) == 1


async def test_a_reconnect_is_fenced_while_a_disconnect_is_unknown_and_two_people_may_pass(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, script(E.CLOSE_BEFORE, "DisconnectMeter")) as made:
        gateway = made.app.gateway
        device = made.device(METER)
        cut = CommandRequest(kind=CommandKind.REMOTE_DISCONNECT, devices=(device,))
        unknown = await finish(made, cut)
        assert unknown.activity.state is S.NEEDS_PERSON

        connect = CommandRequest(
            kind=CommandKind.REMOTE_CONNECT, devices=(device,), ignore_install_state=True
        )
        fenced = await gateway.commands.submit(connect)
        assert fenced.activity.state is S.VALIDATION_ERROR
        assert unknown.id in fenced.activity.reason

        passing = CommandRequest(
            kind=CommandKind.REMOTE_CONNECT,
            devices=(device,),
            ignore_install_state=True,
            past_unclear_order=("anna", "berta"),
        )
        done = await finish(made, passing)
        assert done.activity.outcome is V.SUCCEEDED
        assert sends(made, Operation.RECONNECT_METER, METER) == 1


LATER_S = 60.0
"""When a disconnect that waits would be sent, by a clock that the test turns."""


async def _cut_that_waits(made: ByHand, how: str) -> Command:
    """A disconnect of which nothing is under way at the head end, and which is not over."""
    later = NOON + timedelta(seconds=LATER_S) if how == "not yet due" else None
    found = await made.submit(CommandKind.REMOTE_DISCONNECT, METER, effective_at=later)
    if how == "busy":
        await made.sent(found, Operation.DISCONNECT_METER)
        found = await made.gateway.commands.get(found.id)
        while (
            found.communications[0].state is not CommunicationState.QUEUED
        ):  # until the refusal is stored
            found = await made.gateway.commands.wait(found.id, timeout_s=0.01)
    while how == "failed" and found.activity.state is not S.COMMUNICATION_ERROR:
        await made.turn(0.1)
        found = await made.gateway.commands.wait(found.id, timeout_s=0.02)
    return found


@pytest.mark.parametrize("how", ["not yet due", "busy", "failed"])
async def test_a_disconnect_that_has_not_left_does_not_undo_a_reconnect_through_the_fence(
    how: str, tmp_path: Path
) -> None:
    scripts = {
        "busy": [script(E.FAULT, "DisconnectMeter", fault="TooManyConcurrentRequestsFault")],
        "failed": [script(E.ENDPOINT_FAILURE, "DisconnectMeter", reason=OPEN, first=1)],
    }
    waits = fast(
        send_s=10 * LATER_S,
        hold_s=10 * LATER_S,
        retry=RetryPolicy(first_wait_s=LATER_S, longest_wait_s=LATER_S),
    )
    async with by_hand(tmp_path, *scripts.get(how, []), policies=waits) as made:
        cut = await _cut_that_waits(made, how)
        connect = await made.submit(
            CommandKind.REMOTE_CONNECT,
            METER,
            ignore_install_state=True,
            past_unclear_order=("anna", "berta"),
        )
        connect = await made.finish(connect, within_s=LATER_S / 2)
        assert connect.activity.outcome is V.SUCCEEDED
        sent = made.sends(Operation.DISCONNECT_METER)
        if how == "failed":
            await made.gateway.commands.retry(cut.id, by="carla")
        await made.turn(LATER_S)
        over = await made.gateway.commands.wait(cut.id, timeout_s=WAIT_S)
        assert over.activity.state is S.CANCELED, over.activity
        assert made.sends(Operation.DISCONNECT_METER) == sent


async def test_two_people_close_an_unknown_outcome_and_only_then_the_registry_changes(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, script(E.CLOSE_BEFORE, "DisconnectMeter")) as made:
        gateway = made.app.gateway
        device = made.device(METER)
        cut = CommandRequest(kind=CommandKind.REMOTE_DISCONNECT, devices=(device,))
        unknown = await finish(made, cut)
        before = await gateway.registry.device(device)
        assert before.installed is not None
        assert before.installed.connected
        await gateway.commands.resolve(unknown.id, done=True, operator="anna", approver="berta")
        while (await gateway.registry.device(device)).installed == before.installed:
            await gateway.commands.wait(unknown.id, timeout_s=0.05)
        after = await gateway.registry.device(device)
        assert after.installed is not None
        assert not after.installed.connected
        assert (await gateway.commands.wait(unknown.id, timeout_s=20)).activity.state is S.RESOLVED


@pytest.mark.parametrize("backfeed", [False, True], ids=["safe", "customer generation"])
async def test_a_load_check_decides_whether_the_connect_is_sent(
    backfeed: bool, tmp_path: Path
) -> None:
    async with world(tmp_path) as made:
        population = made.simulator.world.population
        meter = population.find(made.endpoint(22))
        assert meter is not None
        population.put(replace(meter, backfeed=backfeed))
        request = CommandRequest(
            kind=CommandKind.REMOTE_CONNECT, devices=(made.device(22),), check_load=True
        )
        done = await finish(made, request)
        assert done.activity.state is (S.DISCARDED if backfeed else S.COMPLETED)
        assert done.activity.voltage_present is backfeed
        assert sends(made, Operation.RECONNECT_METER, 22) == (0 if backfeed else 1)


async def test_a_token_of_another_request_is_not_adopted(tmp_path: Path) -> None:
    repeated = script(E.REPEAT_TOKEN, "DisconnectMeter", nth=2)
    async with world(tmp_path, repeated) as made:
        first, second = (
            CommandRequest(kind=CommandKind.REMOTE_DISCONNECT, devices=(made.device(number),))
            for number in (3, 4)
        )
        one = await finish(made, first)
        assert one.activity.outcome is V.SUCCEEDED
        other = await finish(made, second)
        assert other.activity.outcome in (V.SUCCEEDED, V.SUCCEEDED_INFERRED)
        assert sends(made, Operation.DISCONNECT_METER, 4) == 1
        tokens = [item.token for done in (one, other) for item in done.communications if item.token]
        assert len(set(tokens)) == len(tokens)


async def test_nobody_passes_the_fence_while_a_disconnect_is_under_way(tmp_path: Path) -> None:
    async with by_hand(tmp_path) as made:
        cut = await made.submit(CommandKind.REMOTE_DISCONNECT, METER)
        await made.sent(cut, Operation.DISCONNECT_METER)
        refused = await made.submit(
            CommandKind.REMOTE_CONNECT,
            METER,
            ignore_install_state=True,
            past_unclear_order=("anna", "berta"),
        )
        assert refused.activity.state is S.VALIDATION_ERROR
        assert cut.id in refused.activity.reason
        assert (await made.finish(cut)).activity.outcome is V.SUCCEEDED
        assert made.sends(Operation.RECONNECT_METER) == 0
