"""What has left for the head end and may still be called back: cancel, payment, an opposite order.

The simulated head end holds each race open until the test goes on: a request that never finishes, a
CancelRequest that is answered by a fault, a callback that is not sent.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapter.commands import steps
from adapter.commands.activity import Command, State
from adapter.commands.calls import RemoteState, SwitchState
from adapter.commands.flows import Operation
from adapter.engine.orders.ports import OrderShown
from adapter.model.device import InstallStatus
from adapter.model.ids import OrderId
from adapter.orders.algorithms.canspact_updspac import Action
from adapter.orders.field_activity_events import MessageKind
from adapter.orders.maintenance import MaintenanceState
from adapter.orders.order import ChildState, OrderKind, OrderState
from adapter.simulator.faults import Effect
from tests.engine.commands.quick_site import WAIT_S, script, sends
from tests.engine.orders.site_with_orders import (
    PATIENT,
    UNASKED,
    UNTOLD,
    Place,
    Rig,
    rig,
    state_is,
    titles,
)
from tests.engine.orders.test_payments import watched

K, S, M = OrderKind, InstallStatus, MaintenanceState
DONE, DISCARDED = OrderState.COMPLETED, OrderState.DISCARDED
HELD = script(Effect.NEVER_FINISH, "DisconnectMeter")
"""The disconnect stays at the head end, and no meter acts, until it is cancelled."""


async def a_cut(made: Rig, kind: OrderKind = K.CUT) -> OrderId:
    """One whose disconnect is with the head end."""
    place = await made.put(Place(number=0))
    order = await made.submit(kind, place)
    await made.until(order.id, lambda s: sends(made.made, Operation.DISCONNECT_METER, 0) == 1)
    return order.id


async def command_of(made: Rig, order: OrderId) -> Command:
    command = (await made.orders.show(order)).children[0].command
    assert command is not None
    return await made.made.app.gateway.commands.get(command)


async def until_command(made: Rig, order: OrderId, reached: Callable[[Command], bool]) -> Command:
    deadline = asyncio.get_running_loop().time() + WAIT_S
    while not reached(command := await command_of(made, order)):
        assert asyncio.get_running_loop().time() < deadline, command.activity
        await made._moved()
    return command


def cancels(made: Rig) -> int:
    return sends(made.made, Operation.CANCEL_REQUEST, 0)


async def is_on(made: Rig) -> None:
    """The first meter was never switched, and the registry says so."""
    assert made.switch(0) is SwitchState.CONNECTED
    assert await made.status(Place(number=0).device) is S.CONN_COMM
    assert sends(made.made, Operation.RECONNECT_METER, 0) == 0


async def test_a_command_at_the_head_end_is_called_back_and_the_meter_stays_on(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, HELD, policy=PATIENT) as made:
        order = await a_cut(made)
        asked = await made.orders.cancel(order, by="cis", reason="paid")
        assert (asked.state, asked.action) == (M.WAITING, Action.CALL_BACK)
        assert asked.outcome == "the head end is asked to cancel; how the command ends decides"
        ended = await made.until(order, state_is(DISCARDED))
        assert [child.fact.state for child in ended.children] == [ChildState.CANCELED]
        (told,) = ended.requests
        assert told.state is M.COMPLETED
        assert told.outcome == f"the activity is canceled: canceled by order:{order}"
        assert (await made.replied(order, "cancellation")).count("cancellation") == 1
        assert cancels(made) == 1
        await is_on(made)


async def test_a_second_cancel_meanwhile_gets_the_first_ones_answer_and_nothing_is_asked_twice(
    tmp_path: Path,
) -> None:
    refused = script(Effect.INTERNAL_FAULT, "CancelRequest", id="held")
    async with rig(tmp_path, HELD, refused, policy=PATIENT) as made:
        order = await a_cut(made)
        first = await made.orders.cancel(order, by="cis", reason="paid")
        again = await made.orders.cancel(order, by="ann")
        other = await made.orders.cancel(order, by="cis", reference="c-2")
        assert again == first
        assert (other.state, other.action) == (M.WAITING, Action.ASKED)
        command = await command_of(made, order)
        assert command.activity.state is State.CANCELLING
        made.made.simulator.world.scripts.remove("held")
        ended = await made.until(order, state_is(DISCARDED))
        assert [each.state for each in ended.requests] == [M.COMPLETED, M.COMPLETED]
        await is_on(made)


async def test_whether_a_cancel_without_a_reply_was_taken_is_told_by_the_status(
    tmp_path: Path,
) -> None:
    lost = script(Effect.LOSE_REPLY, "CancelRequest", nth=1)
    async with rig(tmp_path, HELD, lost, UNTOLD, policy=PATIENT) as made:
        order = await a_cut(made)
        await made.orders.cancel(order, by="cis", reason="paid")
        ended = await made.until(order, state_is(DISCARDED))
        assert ended.requests[0].state is M.COMPLETED
        assert cancels(made) in (1, 2), "the status may be asked before the cancel has its effect"
        await is_on(made)


@pytest.mark.parametrize("kind", [K.CUT, K.BACK_TO_BACK])
async def test_a_meter_that_acted_all_the_same_counts_and_the_cancel_is_too_late(
    kind: OrderKind, tmp_path: Path
) -> None:
    async with rig(tmp_path, UNTOLD, policy=UNASKED) as made:
        order = await a_cut(made, kind)
        await made.switched_off(0)
        asked = await made.orders.cancel(order, by="cis", reason="paid")
        assert (asked.state, asked.action) == (M.WAITING, Action.CALL_BACK)
        ended = await made.until(order, lambda s: s.order.final)
        (told,) = ended.requests
        assert told.state is M.REJECTED
        assert told.outcome.startswith("too late: the activity is completed.")
        assert ended.children[0].fact.completed
        assert cancels(made) == 1
        await _ended_as_it_was(made, ended)


async def _ended_as_it_was(made: Rig, ended: OrderShown) -> None:
    (told,) = ended.requests
    status = await made.status(Place(number=0).device)
    if ended.order.kind is K.CUT:
        assert "order a reconnection" in told.outcome
        assert (ended.order.state, status) == (DONE, S.DISCONN_COMM)
        assert ended.replies[-1].details.get("accepted") == "false"
        assert {r.details.get("advice") for r in ended.replies} >= {
            "supply is off: order a reconnection"
        }
    else:
        assert "Supply is restored" in told.outcome
        assert titles(ended) == "RemoteDisconnect > RemoteConnect"
        assert (ended.order.state, status) == (DISCARDED, S.CONN_COMM)
        assert made.switch(0) is SwitchState.CONNECTED


UNKNOWN = (
    script(Effect.LOSE_REPLY, "DisconnectMeter"),
    script(Effect.DROP_CALLBACK, "DisconnectMeter", id="silent"),
)


def is_unclear(command: Command) -> bool:
    return steps.unclear(command) is not None


async def test_a_command_of_which_nobody_knows_is_called_back_as_soon_as_it_is_proven_taken(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, HELD, *UNKNOWN, policy=PATIENT) as made:
        order = await a_cut(made)
        await until_command(made, order, is_unclear)
        asked = await made.orders.cancel(order, by="cis", reason="paid")
        assert (asked.state, asked.action) == (M.WAITING, Action.AWAIT_OUTCOME)
        assert "is not known" in asked.outcome
        again = await made.orders.cancel(order, by="ann")
        assert again == asked
        command = await command_of(made, order)
        assert command.activity.canceled_by is None
        assert cancels(made) == 0
        say_after_all(made, "DisconnectMeter", RemoteState.EXECUTING)
        ended = await made.until(order, state_is(DISCARDED))
        assert ended.requests[0].state is M.COMPLETED
        assert cancels(made) == 1
        await is_on(made)


def say_after_all(made: Rig, operation: str, state: RemoteState) -> None:
    """The callback of the operation's one request that was not sent comes after all."""
    world, now = made.made.simulator.world, datetime.now(UTC)
    world.scripts.remove("silent")
    world.scripts.remove("unseen")
    (job,) = (each for each in world.jobs.values() if each.operation.endswith(operation))
    job.said.clear()
    told = world.worker.say(job, state, now)
    world.schedule.put(now, lambda at: told)
    made.made.simulator.wake()


async def test_a_command_of_which_nobody_knows_and_that_was_done_is_never_called_back(
    tmp_path: Path,
) -> None:
    unseen = script(Effect.DROP_CALLBACK, "ReadDisconnectStateByMeters", id="unseen")
    soon = {**UNASKED, "settle_s": 0.0}
    async with rig(tmp_path, *UNKNOWN, unseen, policy=soon) as made:
        order = await a_cut(made)
        await until_command(made, order, looked_at)
        await made.switched_off(0)
        asked = await made.orders.cancel(order, by="cis", reason="paid")
        assert (asked.state, asked.action) == (M.WAITING, Action.AWAIT_OUTCOME)
        say_after_all(made, "ReadDisconnectStateByMeters", RemoteState.COMPLETED)
        ended = await made.until(order, state_is(DONE))
        (told,) = ended.requests
        assert told.state is M.REJECTED
        assert "order a reconnection" in told.outcome
        assert cancels(made) == 0
        assert await made.status(Place(number=0).device) is S.DISCONN_COMM


def looked_at(command: Command) -> bool:
    """Unclear, and the head end has the look at the switch."""
    looks = steps.open_looks(command)
    return is_unclear(command) and bool(looks) and looks[0].token is not None


async def test_a_cancel_that_dies_when_it_is_on_disk_is_carried_on(tmp_path: Path) -> None:
    async with rig(tmp_path, HELD, policy=PATIENT) as made:
        order = await a_cut(made)
        own = asyncio.current_task()

        def arrive(point: str) -> None:
            if point == "order.after_save" and asyncio.current_task() is own:
                raise RuntimeError("died here")

        with watched(arrive), pytest.raises(RuntimeError):
            await made.orders.cancel(order, by="cis", reason="paid", reference="c-1")
        assert (await made.orders.get(order)).stop == "paid"
        made.orders.poke()
        await made.until(order, state_is(DISCARDED))
        known = await made.orders.cancel(order, by="cis", reference="c-1")
        assert known.state is M.COMPLETED
        await is_on(made)


async def test_a_payment_calls_the_disconnect_back_and_nothing_is_left_to_reconnect(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, HELD, policy=PATIENT) as made:
        order = await a_cut(made)
        paid = await made.orders.payment(Place(number=0).point, by="billing", reference="p-1")
        assert paid.reconnection is not None
        ended = await made.until(order, state_is(DISCARDED))
        assert [child.fact.state for child in ended.children] == [ChildState.CANCELED]
        restored = await made.until(paid.reconnection.id, state_is(DONE))
        assert titles(restored) == ""
        await is_on(made)


async def test_a_reconnection_calls_the_disconnect_of_a_cut_back_and_waits_for_it(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, HELD, policy=PATIENT) as made:
        order = await a_cut(made)
        reconnect = await made.submit(K.RECONNECT, Place(number=0))
        ended = await made.until(order, state_is(DISCARDED))
        assert ended.order.stop == f"superseded by order {reconnect.id}"
        assert titles(await made.until(reconnect.id, state_is(DONE))) == ""
        await is_on(made)


async def test_what_restores_supply_is_not_called_back_and_the_order_stops_after_it(
    tmp_path: Path,
) -> None:
    held = script(Effect.DROP_CALLBACK, "ReconnectMeter", state=RemoteState.COMPLETED)
    async with rig(tmp_path, held, policy=PATIENT) as made:
        place = await made.put(Place(number=0))
        order = await made.submit(K.BACK_TO_BACK, place)
        await made.until(order.id, lambda s: sends(made.made, Operation.RECONNECT_METER, 0) == 1)
        asked = await made.orders.cancel(order.id, by="cis", reason="moved")
        assert (asked.state, asked.action) == (M.COMPLETED, Action.RESTORE_FIRST)
        await made.until(order.id, state_is(DISCARDED))
        assert cancels(made) == 0
        assert made.switch(0) is SwitchState.CONNECTED


async def test_a_visit_is_cancelled_once_however_many_ask_for_it(tmp_path: Path) -> None:
    manual: dict[str, Any] = {"kind": "manual", "spare": "manual", "status": S.MANUAL_ON}
    async with rig(tmp_path) as made:
        made.crew.idle = lambda message: True
        place = await made.put(Place(number=0, **manual))
        order = await made.submit(K.CUT, place)
        await made.until(
            order.id, lambda s: bool(s.children) and s.children[0].fact.state == "sent"
        )
        first = await made.orders.cancel(order.id, by="cis")
        assert await made.orders.cancel(order.id, by="ann") == first
        other = await made.orders.cancel(order.id, by="cis", reference="c-2")
        assert (other.state, other.action) == (M.WAITING, Action.ASKED)
        await made.orders.payment(place.point, by="billing")
        await made.submit(K.RECONNECT, place, reference="anew")
        await made.until(order.id, lambda s: len(made.crew.heard) == 2)
        await made.orders.drain()
        kinds = [message.kind for message in made.crew.heard]
        assert kinds == [MessageKind.DISPATCH, MessageKind.CANCEL]
