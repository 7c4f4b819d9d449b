"""The load check of an order's connect, at the simulator: silent, live, without an answer."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapter.commands.calls import FailureReason, SwitchState
from adapter.commands.flows import CommandKind, Operation
from adapter.engine.orders.ports import OrderRules
from adapter.errors import Forbidden
from adapter.model.device import InstallStatus
from adapter.model.values import replace
from adapter.orders.algorithms.canspact_updspac import Action
from adapter.orders.field_activity_events import WorkReported
from adapter.orders.order import ChildState, OrderKind, OrderState
from adapter.orders.plan import SMART_COMMANDS
from adapter.simulator.faults import Effect, Script
from tests.engine.commands.quick_site import script, sends
from tests.engine.orders.site_with_orders import Place, Rig, gave_up, rig, state_is, titles

K, S = OrderKind, InstallStatus
DETECTS = SMART_COMMANDS | {CommandKind.LOAD_CHECK}
OFF = Place(number=0, status=S.DISCONN_COMM, read=True, commands=DETECTS)
ERROR, DONE = OrderState.ACTIVITY_ERROR, OrderState.COMPLETED
NO_ANSWER = script(
    Effect.ENDPOINT_FAILURE,
    "DetectLoadSideVoltageByMeter",
    reason=FailureReason.ERROR_RESPONSE,
)


def detecting(rules: OrderRules) -> OrderRules:
    return replace(rules, head_end_commands=DETECTS)


@asynccontextmanager
async def site(folder: Path, *scripts: Script, **activity_type: object) -> AsyncIterator[Rig]:
    rules: Mapping[str, object] = {
        "orders": {
            "activity_type": dict.fromkeys(("enable", "reconnect", "back_to_back"), activity_type)
        }
    }
    async with rig(folder, *scripts, rules=rules, customs=detecting) as made:
        yield made


def feed_in(made: Rig, number: int, *, on: bool) -> None:
    """Somebody feeds in behind the meter, or no longer."""
    population = made.made.simulator.world.population
    meter = population.find(made.made.endpoint(number))
    assert meter is not None
    population.put(replace(meter, backfeed=on))


def asked(made: Rig) -> tuple[int, int]:
    """How often the load side was looked at, and a connect was sent."""
    return (
        sends(made.made, Operation.LOAD_SIDE_VOLTAGE, 0),
        sends(made.made, Operation.RECONNECT_METER, 0),
    )


async def test_a_silent_load_side_is_connected(tmp_path: Path) -> None:
    async with site(tmp_path) as made:
        place = await made.put(OFF)
        order = await made.submit(K.ENABLE, place)
        shown = await made.until(order.id, state_is(DONE))
        assert titles(shown) == "RemoteConnect"
        assert asked(made) == (1, 1)
        assert made.switch(0) is SwitchState.CONNECTED


async def test_a_live_load_side_is_not_connected_and_a_retry_looks_again(tmp_path: Path) -> None:
    async with site(tmp_path) as made:
        place = await made.put(OFF)
        feed_in(made, 0, on=True)
        order = await made.submit(K.RECONNECT, place)
        shown = await made.until(order.id, state_is(ERROR))
        assert shown.order.problem is not None
        assert shown.order.problem.code == "load_side_voltage"
        assert "retry" in shown.order.problem.action
        assert asked(made) == (1, 0)
        (todo,) = await made.orders.todo()
        assert todo.code == "load_side_voltage"
        await made.operator.retry(order.id, by="anna")
        await made.until(order.id, lambda x: len(x.children) == 2 and gave_up(x))
        assert asked(made) == (2, 0), "still live: looked at again, and not connected"
        feed_in(made, 0, on=False)
        await made.operator.retry(order.id, by="anna")
        shown = await made.until(order.id, state_is(DONE))
        assert asked(made) == (3, 1)
        assert await made.status(place.device) is S.CONN_COMM


async def test_who_gives_up_a_paid_reconnection_is_told_who_stays_dark(tmp_path: Path) -> None:
    async with site(tmp_path) as made:
        place = await made.put(OFF)
        feed_in(made, 0, on=True)
        paid = await made.orders.payment(place.point, by="billing", reference="p-1")
        assert paid.reconnection is not None
        order = paid.reconnection.id
        await made.until(order, state_is(ERROR))
        dark = "the customer, who has paid, stays without supply"
        (todo,) = await made.orders.todo()
        assert (todo.code, todo.order) == ("load_side_voltage", order)
        assert todo.text.endswith(f"; {dark}")
        decided = await made.operator.discard(order, by="anna", reason="nobody there")
        assert decided.order.state is OrderState.DISCARDED
        assert decided.advice == f"{dark}: see to it, or order a reconnection"
        await made.replied(order, "failure")
        assert made.answers.deliveries[-1].details["advice"] == decided.advice


async def test_a_cancelled_reconnection_is_answered_that_supply_stays_off(tmp_path: Path) -> None:
    async with site(tmp_path) as made:
        place = await made.put(OFF)
        feed_in(made, 0, on=True)
        order = await made.submit(K.RECONNECT, place)
        await made.until(order.id, state_is(ERROR))
        wish = await made.orders.cancel(order.id, by="cis", reason="moved out")
        assert wish.outcome.endswith(
            "; the customer stays without supply: see to it, or order a reconnection"
        )


async def test_a_cancel_of_a_change_over_that_left_somebody_dark_promises_to_restore_and_does(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as made:
        place = await made.put(Place(number=0, commands=DETECTS))
        feed_in(made, 0, on=True)
        order = await made.submit(K.BACK_TO_BACK, place)
        await made.until(order.id, state_is(ERROR))
        wish = await made.orders.cancel(order.id, by="cis", reason="moved")
        assert wish.action is Action.RESTORE_FIRST, "it is not discarded: supply is off"
        await made.until(order.id, lambda x: len(x.children) == 3 and gave_up(x))
        feed_in(made, 0, on=False)
        await made.operator.retry(order.id, by="anna")
        await made.until(order.id, state_is(OrderState.DISCARDED))
        assert made.switch(0) is SwitchState.CONNECTED


async def test_people_may_have_it_connected_without_a_check(tmp_path: Path) -> None:
    async with site(tmp_path, NO_ANSWER) as made:
        place = await made.put(OFF)
        order = await made.submit(K.ENABLE, place)
        shown = await made.until(order.id, state_is(ERROR))
        assert shown.order.problem is not None
        assert shown.order.problem.code == "load_check_unsure"
        looked, connected = asked(made)
        assert connected == 0
        await made.operator.correct(order.id, by="anna", fields={"loadCheck": "no"})
        await made.operator.retry(order.id, by="anna")
        await made.until(order.id, state_is(DONE))
        assert asked(made) == (looked, 1)


@pytest.mark.parametrize(
    ("settings", "children", "state"),
    [
        ({}, "RemoteConnect", ERROR),
        ({"on_unsure_load_check": "connect"}, "RemoteConnect", DONE),
        (
            {"on_unsure_load_check": "visit", "load_check_field_task": "D1-TurnOnMeter"},
            "RemoteConnect > TurnOnMeter",
            DONE,
        ),
    ],
    ids=["people", "connect", "visit"],
)
async def test_a_check_without_an_answer_goes_the_way_that_the_site_says(
    settings: dict[str, Any], children: str, state: OrderState, tmp_path: Path
) -> None:
    async with site(tmp_path, NO_ANSWER, **settings) as made:
        place = await made.put(OFF)
        order = await made.submit(K.ENABLE, place)
        shown = await made.until(order.id, state_is(state))
        assert titles(shown) == children
        connects = settings.get("on_unsure_load_check") == "connect"
        assert asked(made)[1] == (1 if connects else 0)


async def test_a_crew_sees_to_a_live_load_side_and_the_check_is_made_again(tmp_path: Path) -> None:
    async with site(tmp_path, on_load_side_voltage="visit") as made:
        place = await made.put(OFF)
        feed_in(made, 0, on=True)
        made.crew.idle = lambda message: True
        order = await made.submit(K.ENABLE, place)
        await made.until(order.id, lambda x: bool(made.crew.heard))
        (message,) = made.crew.heard
        assert "voltage on the load side" in message.details["instructions"]
        feed_in(made, 0, on=False)
        await made.crew.report(message, WorkReported(report=made.crew.done(message)))
        shown = await made.until(order.id, state_is(DONE))
        assert titles(shown) == "RemoteConnect > ServiceInvestigation > RemoteConnect"
        assert asked(made) == (2, 1)


async def test_a_change_over_whose_second_half_meets_voltage_is_the_most_urgent(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as made:
        place = await made.put(replace(OFF, status=S.CONN_COMM))
        feed_in(made, 0, on=True)
        order = await made.submit(K.BACK_TO_BACK, place)
        shown = await made.until(order.id, state_is(ERROR))
        assert shown.order.problem is not None
        assert shown.order.problem.code == "load_side_voltage"
        assert shown.order.problem.without_supply
        with pytest.raises(Forbidden):
            await made.operator.complete_by_hand(order.id, by="anna", reason="enough")
        feed_in(made, 0, on=False)
        await made.operator.retry(order.id, by="anna")
        shown = await made.until(order.id, state_is(DONE))
        assert titles(shown) == "RemoteDisconnect > RemoteConnect > RemoteConnect"
        assert shown.children[1].fact.state is ChildState.FAILED
        assert made.switch(0) is SwitchState.CONNECTED
