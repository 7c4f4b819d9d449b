"""Off and on again within one day is netted where the site wants it; what has left is not."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from adapter.commands.calls import SwitchState
from adapter.commands.flows import Operation
from adapter.commands.rules import SwitchPolicy
from adapter.engine.orders.ports import OrderShown
from adapter.model.device import InstallStatus
from adapter.model.ids import OrderId
from adapter.model.values import replace
from adapter.orders.field_activity_events import MessageKind, WorkReported
from adapter.orders.order import ChildState, OrderKind, OrderState, ServiceOrder
from tests.engine.commands.quick_site import sends
from tests.engine.orders.site_with_orders import Place, Rig, rig, state_is, titles

K, S = OrderKind, InstallStatus
DONE, WAITING, DISCARDED = OrderState.COMPLETED, OrderState.WAITING, OrderState.DISCARDED
BLOCKED = OrderState.VALIDATION_ERROR
APPROVAL = SwitchPolicy(needs_approval=True)
ON = Place(number=0, read=True)
NETTING: dict[str, Any] = {"orders": {"activity_type": {"disable": {"netting": True}}}}


@asynccontextmanager
async def site(folder: Path, *, netting: bool = True, **more: Any) -> AsyncIterator[Rig]:
    async with rig(folder, rules=NETTING if netting else {}, **more) as made:
        yield made


def queued(shown: OrderShown) -> bool:
    """The disconnect is at the gateway, and nothing of it has left."""
    return bool(shown.children and shown.children[0].command)


async def a_pair(made: Rig, place: Place) -> tuple[ServiceOrder, ServiceOrder]:
    """A Disable whose command waits, and an Enable of the same day."""
    now = datetime.now(UTC)
    disable = await made.submit(K.DISABLE, place, effective_at=now)
    await made.until(disable.id, queued)
    return disable, await made.submit(K.ENABLE, place, effective_at=now)


def noon_at(now: datetime) -> str:
    """A zone in which the hour is the one after noon."""
    return f"Etc/GMT{now.hour - 12:+d}"


def told_of(made: Rig, order: OrderId, kind: str) -> Mapping[str, str]:
    """What the reply of that kind tells."""
    found = (x for x in made.answers.deliveries if x.order == order and x.kind.value == kind)
    return next(found).details


def switched(made: Rig) -> int:
    off = sends(made.made, Operation.DISCONNECT_METER, 0)
    return off + sends(made.made, Operation.RECONNECT_METER, 0)


async def test_a_disable_whose_command_waits_is_netted_with_the_enable_of_the_day(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, switch=APPROVAL) as made:
        place = await made.put(ON)
        disable, enable = await a_pair(made, place)
        off = await made.until(disable.id, state_is(DONE))
        on = await made.until(enable.id, state_is(DONE))
        assert off.children[0].fact.state is ChildState.CANCELED
        assert titles(on) == ""
        assert switched(made) == 0
        assert made.switch(0) is SwitchState.CONNECTED
        assert off.order.fields["nettedWith"] == enable.id
        assert on.order.fields["nettedWith"] == disable.id
        for order, other in ((disable, enable), (enable, disable)):
            await made.replied(order.id, "success")
            assert told_of(made, order.id, "success")["nettedWith"] == other.id
        notes = [x.note for each in off.passes for x in each.decisions]
        assert f"not switched off: netted with order {enable.id}" in notes


async def test_without_the_option_off_and_on_are_carried_out(tmp_path: Path) -> None:
    async with site(tmp_path, netting=False) as made:
        place = await made.put(ON)
        now = datetime.now(UTC)
        disable = await made.submit(K.DISABLE, place, effective_at=now)
        enable = await made.submit(K.ENABLE, place, effective_at=now)
        assert titles(await made.until(disable.id, state_is(DONE))) == "RemoteDisconnect"
        on = await made.until(enable.id, state_is(DONE))
        assert titles(on) == "RemoteConnect"
        assert "nettedWith" not in on.order.fields


async def test_what_has_left_is_not_netted_and_is_told_of_as_it_was(tmp_path: Path) -> None:
    async with site(tmp_path) as made:
        made.crew.idle = lambda message: message.kind is MessageKind.DISPATCH
        place = await made.put(
            Place(number=0, kind="manual", spare="manual", status=S.MANUAL_ON, read=False)
        )
        now = datetime.now(UTC)
        disable = await made.submit(K.DISABLE, place, effective_at=now)
        await made.until(disable.id, lambda x: bool(made.crew.heard))
        enable = await made.submit(K.ENABLE, place, effective_at=now)
        await made.until(enable.id, state_is(BLOCKED))
        assert not [x for x in made.crew.heard if x.kind is MessageKind.CANCEL]
        made.crew.idle = lambda message: False
        (message,) = made.crew.heard
        await made.crew.report(message, WorkReported(report=made.crew.done(message)))
        off = await made.until(disable.id, state_is(DONE))
        on = await made.until(enable.id, state_is(DONE))
        assert titles(off).startswith("TurnOffMeter")
        assert titles(on).startswith("TurnOnMeter")
        assert not off.order.fields.get("nettedWith")
        assert not on.order.fields.get("nettedWith")


async def test_an_enable_of_another_day_nets_nothing(tmp_path: Path) -> None:
    async with site(tmp_path, switch=APPROVAL) as made:
        place = await made.put(ON)
        now = datetime.now(UTC)
        disable = await made.submit(K.DISABLE, place, effective_at=now)
        await made.until(disable.id, queued)
        later = now + timedelta(days=2)
        enable = await made.submit(K.ENABLE, place, effective_at=later)
        await made.until(enable.id, state_is(BLOCKED))
        shown = await made.orders.show(disable.id)
        assert shown.order.state is OrderState.IN_PROGRESS
        assert "nettedWith" not in shown.order.fields


async def test_an_enable_that_is_withdrawn_nets_nothing_any_more(tmp_path: Path) -> None:
    async with site(tmp_path) as made:
        place = await made.put(ON)
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        disable = await made.submit(K.DISABLE, place, effective_at=tomorrow)
        await made.until(disable.id, state_is(WAITING))
        enable = await made.submit(K.ENABLE, place, effective_at=tomorrow)
        await made.until(enable.id, lambda x: x.order.fields.get("nettedWith") == disable.id)
        await made.until(disable.id, lambda x: x.order.fields.get("nettedWith") == enable.id)
        wish = await made.orders.cancel(enable.id, by="cis", reason="moved elsewhere")
        await made.until(enable.id, state_is(DISCARDED))
        await made.replied(enable.id, "failure")
        advice = told_of(made, enable.id, "failure")["advice"]
        assert advice.startswith(f"order {disable.id} is still open and goes on to switch off")
        assert wish.outcome.endswith(f"; {advice}")
        await made.operator.correct(disable.id, by="anna", effective_at=datetime.now(UTC))
        off = await made.until(disable.id, state_is(DONE))
        assert titles(off).startswith("RemoteDisconnect")
        assert not off.order.fields.get("nettedWith")
        assert made.switch(0) is SwitchState.DISCONNECTED


async def test_a_disconnect_that_waits_is_not_called_back_for_an_enable_that_is_gone(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, switch=APPROVAL) as made:
        place = await made.put(ON)
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        disable = await made.submit(K.DISABLE, place, effective_at=tomorrow)
        await made.until(disable.id, state_is(WAITING))
        enable = await made.submit(K.ENABLE, place, effective_at=tomorrow)
        await made.until(disable.id, lambda x: x.order.fields.get("nettedWith") == enable.id)
        await made.orders.cancel(enable.id, by="cis", reason="moved elsewhere")
        await made.until(enable.id, state_is(DISCARDED))
        await made.operator.correct(disable.id, by="anna", effective_at=datetime.now(UTC))
        off = await made.until(disable.id, queued)
        command = off.children[0].command
        assert command is not None
        await made.made.app.gateway.commands.approve(command, by="bob")
        assert titles(await made.until(disable.id, state_is(DONE))).startswith("RemoteDisconnect")


async def test_an_enable_that_moves_to_another_day_is_netted_no_more(tmp_path: Path) -> None:
    async with site(tmp_path) as made:
        place = await made.put(ON)
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        disable = await made.submit(K.DISABLE, place, effective_at=tomorrow)
        await made.until(disable.id, state_is(WAITING))
        enable = await made.submit(K.ENABLE, place, effective_at=tomorrow)
        await made.until(disable.id, lambda x: x.order.fields.get("nettedWith") == enable.id)
        moved = tomorrow + timedelta(days=3)
        await made.operator.correct(enable.id, by="anna", effective_at=moved)
        await made.until(disable.id, lambda x: not x.order.fields.get("nettedWith"))
        assert not (await made.orders.get(enable.id)).fields.get("nettedWith")


async def test_an_enable_that_moves_when_its_disable_is_over_is_answered_that_supply_is_on(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, switch=APPROVAL) as made:
        now = datetime.now(UTC)
        place = await made.put(replace(ON, zone=noon_at(now)))
        disable = await made.submit(K.DISABLE, place, effective_at=now)
        await made.until(disable.id, queued)
        day = now + timedelta(hours=6)
        enable = await made.submit(K.ENABLE, place, effective_at=day)
        await made.until(disable.id, state_is(DONE))
        await made.until(enable.id, state_is(WAITING))
        later = {"effectiveAt": (day - timedelta(hours=1)).isoformat()}
        same_day = await made.orders.update(enable.id, by="cis", changes=later)
        assert "left supply on" not in same_day.outcome
        moved = {"effectiveAt": (day + timedelta(days=2)).isoformat()}
        wish = await made.orders.update(enable.id, by="cis", changes=moved)
        assert f"order {disable.id} left supply on because of this one" in wish.outcome
        assert made.switch(0) is SwitchState.CONNECTED


async def test_people_who_move_or_give_up_an_enable_are_told_what_its_disable_left_on(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, switch=APPROVAL) as made:
        now = datetime.now(UTC)
        place = await made.put(replace(ON, zone=noon_at(now)))
        disable = await made.submit(K.DISABLE, place, effective_at=now)
        await made.until(disable.id, queued)
        day = now + timedelta(hours=6)
        enable = await made.submit(K.ENABLE, place, effective_at=day)
        await made.until(disable.id, state_is(DONE))
        await made.until(enable.id, state_is(WAITING))
        operator = made.operator
        sooner = await operator.correct(enable.id, by="anna", effective_at=day - timedelta(hours=1))
        assert sooner.advice == ""
        moved = await operator.correct(enable.id, by="anna", effective_at=day + timedelta(days=2))
        assert f"order {disable.id} left supply on because of this one" in moved.advice
        given_up = await operator.discard(enable.id, by="anna")
        assert f"order {disable.id} may have left supply on" in given_up.advice


async def test_a_pair_that_a_stop_interrupted_is_netted_after_the_start(tmp_path: Path) -> None:
    async with site(tmp_path, netting=False, switch=APPROVAL) as made:
        place = await made.put(ON)
        disable, enable = await a_pair(made, place)
        await made.until(enable.id, state_is(BLOCKED))
    async with site(tmp_path, switch=APPROVAL) as made:
        await made.operator.retry(enable.id, by="anna")
        off = await made.until(disable.id, state_is(DONE))
        await made.until(enable.id, state_is(DONE))
        assert off.order.fields["nettedWith"] == enable.id
        assert switched(made) == 0


async def test_a_change_over_at_a_meter_that_was_off_is_turned_on_once(tmp_path: Path) -> None:
    rules = {"orders": {"activity_type": {"back_to_back": {"netting": True}}}}
    async with rig(tmp_path, rules=rules) as made:
        place = await made.put(Place(number=0, read=True, status=S.DISCONN_COMM))
        order = await made.submit(K.BACK_TO_BACK, place)
        assert titles(await made.until(order.id, state_is(DONE))) == "RemoteConnect"
        assert sends(made.made, Operation.DISCONNECT_METER, 0) == 0
