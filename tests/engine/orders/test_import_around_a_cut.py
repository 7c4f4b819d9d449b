"""Master data loaded again around a cut: the record follows the switch, not the file (I19)."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from adapter.commands.activity import CommandRequest, Outcome, State
from adapter.commands.calls import SwitchState
from adapter.commands.flows import CommandKind, Operation
from adapter.engine.commands.ports import Import, Saved, Store
from adapter.engine.gateway import Gateway
from adapter.engine.orders.ports import OrderShown
from adapter.engine.registry.imports import ImportRefused
from adapter.engine.registry.ports import ImportReport, Known
from adapter.errors import NotFound
from adapter.model.device import Device, InstallStatus
from adapter.model.ids import DeviceId, ServicePointId
from adapter.model.values import replace
from adapter.orders.activities import ChildKind
from adapter.orders.order import OrderKind, OrderState
from adapter.simulator.faults import Effect
from adapter.simulator.registry import registry_of
from tests.engine.commands.quick_site import script, sends, world
from tests.engine.orders.site_with_orders import PATIENT, Place, Rig, rig, state_is

S = InstallStatus


async def test_reconnect_for_payment_closes_the_switch_after_a_nightly_load(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0))
        gateway = made.made.app.gateway
        before = await gateway.registry.device(place.device)
        assert before.service_point is not None
        assert before.installed is not None
        nightly = Import(
            devices=(before.device,),
            service_points=(before.service_point,),
            installs=(replace(before.installed, version=0),),
        )
        cut = await made.submit(OrderKind.CUT, place)
        assert (await made.ended(cut.id)).order.state is OrderState.COMPLETED
        dark = (await gateway.registry.device(place.device)).installed
        assert dark is not None
        assert (dark.status, [each.on for each in dark.history]) == (S.DISCONN_COMM, [False])
        report = await gateway.registry.import_devices(nightly, by="nightly")
        assert [each.field for each in report.left_alone] == ["status"]
        assert (await gateway.registry.device(place.device)).installed == dark
        paid = await made.submit(OrderKind.RECONNECT, place)
        done = await made.ended(paid.id)
        assert done.order.state is OrderState.COMPLETED
        (child,) = done.children
        assert child.fact.spec.kind is ChildKind.COMMAND
        assert made.switch(0) is SwitchState.CONNECTED
        lit = (await gateway.registry.device(place.device)).installed
        assert lit is not None
        assert (lit.status, [each.on for each in lit.history]) == (S.CONN_COMM, [False, True])


async def test_an_import_that_looked_before_a_completion_event_does_not_undo_it(
    tmp_path: Path,
) -> None:
    """Read before, completion between, written after: whatever the moment, the cut stays."""
    async with world(tmp_path) as made:
        gateway = made.app.gateway
        store = made.app.core.store
        nightly = registry_of(made.simulator.world.population)
        loads = asyncio.create_task(_load_for_ever(gateway, nightly))
        for number in range(8):
            seen = await store.known(nightly)
            cut = CommandRequest(kind=CommandKind.REMOTE_DISCONNECT, devices=(made.device(number),))
            asked = await gateway.commands.submit(cut)
            done = await gateway.commands.wait(asked.id, timeout_s=20)
            assert done.activity.outcome is Outcome.SUCCEEDED
            await _written_late(store, nightly, seen)
            now = (await gateway.registry.device(made.device(number))).installed
            assert now is not None
            assert (now.status, [e.on for e in now.history]) == (S.DISCONN_COMM, [False])
            assert sends(made, Operation.DISCONNECT_METER, number) == 1
        loads.cancel()
        await asyncio.gather(loads, return_exceptions=True)
        assert await gateway.upkeep.verify_audit() > 0


async def _load_for_ever(gateway: Gateway, what: Import) -> None:
    while True:
        await gateway.registry.import_devices(what, by="nightly")


async def _written_late(store: Store, nightly: Import, seen: Known) -> None:
    """The write of an import that looked before the cut."""
    assert await store.import_(nightly, seen=seen) is Saved.MOVED


async def test_a_crew_does_not_bring_a_meter_with_the_endpoint_of_another(tmp_path: Path) -> None:
    """The report is refused, naming whose endpoint it is, and changes nothing."""
    async with rig(tmp_path) as made:
        other, place = await made.put(Place(number=0)), await made.put(Place(number=1))
        wrong = Device(id=DeviceId("WRONG-1"), endpoint=made.made.endpoint(other.number))
        made.crew.spares[place.point] = wrong
        order = await made.submit(OrderKind.EXCHANGE, place)
        shown = await made.until(
            order.id, lambda found: any("WRONG-1" in each for each in problems(found))
        )
        assert f"is that of {other.device}" in " ".join(problems(shown))
        with pytest.raises(NotFound):
            await made.made.app.gateway.registry.device(wrong.id)
        assert (
            await made.made.app.gateway.registry.device(other.device)
        ).device.endpoint is not None


def _has_problem(rule: str, shown: OrderShown) -> bool:
    return any(rule in each for each in problems(shown))


async def test_a_disconnect_that_waits_does_not_follow_its_meter_to_another_home(
    tmp_path: Path,
) -> None:
    """The head end is busy, and the meter is moved meanwhile: its new home keeps its supply."""
    busy = script(Effect.FAULT, "DisconnectMeter", fault="TooManyConcurrentRequestsFault")
    async with rig(tmp_path, busy) as made:
        place = await made.put(Place(number=0))
        cut = await made.submit(OrderKind.CUT, place)
        await made.until(cut.id, lambda found: sends(made.made, Operation.DISCONNECT_METER, 0) > 0)
        await moved(made, place, ServicePointId("SP-NEXT-DOOR"))
        shown = await made.until(cut.id, state_is(OrderState.ACTIVITY_ERROR))
        assert shown.order.problem is not None
        assert f"stands at SP-NEXT-DOOR by now, and this command is for {place.point}" in (
            shown.order.problem.text
        )
        assert made.switch(0) is SwitchState.CONNECTED
        await made.operator.retry(cut.id, by="anna")
        done = await made.ended(cut.id)
        assert done.order.state is OrderState.COMPLETED, "no meter is left there to switch off"
        assert made.switch(0) is SwitchState.CONNECTED


async def test_a_meter_that_is_being_switched_off_is_not_moved_before_that_is_over(
    tmp_path: Path,
) -> None:
    """Else its next home would be dark, and nobody told."""
    held = script(Effect.NEVER_FINISH, "DisconnectMeter")
    async with rig(tmp_path, held, policy=PATIENT) as made:
        place = await made.put(Place(number=0))
        cut = await made.submit(OrderKind.CUT, place)
        await made.until(cut.id, lambda found: sends(made.made, Operation.DISCONNECT_METER, 0) > 0)
        report = await move(made, place, ServicePointId("SP-NEXT-DOOR"))
        left = {each.field: each.reason for each in report.left_alone}
        assert set(left) == {"removed_at", "installed"}
        assert all("under way at its meter: load it again" in why for why in left.values())
        registry = made.made.app.gateway.registry
        point = (await registry.device(place.device)).service_point
        assert point is not None
        assert point.id == place.point
        await made.orders.cancel(cut.id, by="ann")
        await made.until(cut.id, state_is(OrderState.DISCARDED))
        assert (await move(made, place, ServicePointId("SP-NEXT-DOOR"))).left_alone == ()


async def test_a_load_that_moves_nothing_is_written_while_meters_are_switched(
    tmp_path: Path,
) -> None:
    """A load of a city would never end while the city is being switched."""
    held = script(Effect.NEVER_FINISH, "DisconnectMeter")
    async with rig(tmp_path, held, policy=PATIENT) as made:
        place = await made.put(Place(number=0))
        view = await made.made.app.gateway.registry.device(place.device)
        assert view.service_point is not None
        store = made.made.app.core.store
        nightly = Import(devices=(view.device,), service_points=(view.service_point,))
        seen = await store.known(nightly)
        cut = await made.submit(OrderKind.CUT, place)
        await made.until(cut.id, lambda found: sends(made.made, Operation.DISCONNECT_METER, 0) > 0)
        assert (await store.known(nightly)).switching != seen.switching
        assert await store.import_(nightly, seen=seen) is Saved.SAVED


async def test_a_disconnect_by_itself_does_not_follow_its_meter_either(tmp_path: Path) -> None:
    busy = script(Effect.FAULT, "DisconnectMeter", fault="TooManyConcurrentRequestsFault")
    async with rig(tmp_path, busy) as made:
        place = await made.put(Place(number=0))
        commands = made.made.app.gateway.commands
        asked = await commands.submit(
            CommandRequest(kind=CommandKind.REMOTE_DISCONNECT, devices=(place.device,))
        )
        await moved(made, place, ServicePointId("SP-NEXT-DOOR"))
        done = await commands.wait(asked.id, timeout_s=20)
        assert (done.activity.state, done.activity.outcome) == (State.CANCELED, Outcome.CANCELED)
        assert "SP-NEXT-DOOR" in done.activity.reason


@pytest.mark.parametrize("field", ["installed_at", "removed_at"])
async def test_a_move_that_is_only_planned_is_not_loaded_as_if_it_had_happened(
    tmp_path: Path, field: str
) -> None:
    """A disconnect for the meter's next home would be one of the home where it still stands."""
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0))
        registry = made.made.app.gateway.registry
        view = await registry.device(place.device)
        assert view.service_point is not None
        assert view.installed is not None
        next_week = datetime.now(UTC) + timedelta(days=7)
        status = S.REMOVED if field == "removed_at" else S.CONN_COMM
        here = replace(view.installed, version=0, status=status)
        planned = (
            replace(here, removed_at=next_week)
            if field == "removed_at"
            else replace(here, installed_at=next_week)
        )
        what = Import(
            devices=(view.device,), service_points=(view.service_point,), installs=(planned,)
        )
        with pytest.raises(ImportRefused, match=f"{field}.*is in the future"):
            await registry.import_devices(what, by="nightly")
        assert await registry.device(place.device) == view


async def move(made: Rig, place: Place, to: ServicePointId) -> ImportReport:
    """Master data say that the meter was taken out and stands elsewhere."""
    registry = made.made.app.gateway.registry
    view = await registry.device(place.device)
    point, installed = view.service_point, view.installed
    assert point is not None
    assert installed is not None
    now = datetime.now(UTC)
    gone = replace(installed, status=S.REMOVED, removed_at=now)
    there = replace(
        installed, version=0, service_point=to, installed_at=now, removed_at=None, history=()
    )
    new = replace(point, id=to)
    loaded = Import(devices=(view.device,), service_points=(point, new), installs=(gone, there))
    return await registry.import_devices(loaded, by="nightly")


async def moved(made: Rig, place: Place, to: ServicePointId) -> None:
    """The same, loaded again where a request is at the head end just then, until it is taken."""
    for _ in range(50):
        if not (await move(made, place, to)).left_alone:
            return
    pytest.fail(f"{place.device} was never moved to {to}")


def problems(shown: OrderShown) -> list[str]:
    found = [each.field.problem for each in shown.children if each.field is not None]
    return [each.text for each in found if each is not None]


async def test_a_crew_does_not_bring_a_meter_that_people_take_for_another(tmp_path: Path) -> None:
    """By the rule of imports: the report is refused, naming which one, and changes nothing."""
    async with rig(tmp_path) as made:
        registry = made.made.app.gateway.registry
        await registry.import_devices(Import(devices=(Device(id=DeviceId("BETA-1")),)))
        for number, new in enumerate(("beta-1", "\u0412\u0415\u0422\u0410-1")):
            place = await made.put(Place(number=number))
            made.crew.spares[place.point] = Device(id=DeviceId(new), capabilities=frozenset())
            order = await made.submit(OrderKind.EXCHANGE, place)
            rule = f"device {new} looks like BETA-1, which the registry has"
            shown = await made.until(order.id, partial(_has_problem, rule))
            assert not shown.order.final
            with pytest.raises(NotFound):
                await registry.device(DeviceId(new))
