"""A service point tells whether supply gets through, since when and by what made it so."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from adapter.commands.activity import CommandRequest, Outcome
from adapter.commands.flows import CommandKind
from adapter.engine.commands.ports import Import
from adapter.engine.registry.ports import PointFilter
from adapter.errors import NotFound
from adapter.model.device import DisconnectLocation, InstallStatus, ServicePoint
from adapter.model.ids import ServicePointId
from adapter.model.supply import PointView, SwitchedBy
from adapter.model.values import replace
from adapter.orders.order import OrderKind
from adapter.web.api.registry import ServicePointOut
from tests.engine.orders.site_with_orders import INSTALLED_AT, Place, Rig, rig

S = InstallStatus
BARE: Mapping[str, object] = {
    "kind": "none",
    "status": None,
    "connected": False,
    "location": DisconnectLocation.SOURCE,
}


async def at(made: Rig, place: Place) -> PointView:
    return await made.made.app.gateway.registry.service_point(place.point)


async def run(made: Rig, kind: OrderKind, place: Place) -> tuple[str, ...]:
    """The order to its end; the ids of its children."""
    shown = await made.ended((await made.submit(kind, place)).id)
    assert shown.order.final, shown.order.problem
    return tuple(child.command or child.fact.id for child in shown.children)


async def test_a_device_that_was_loaded_stands_as_the_import_says(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=1))
        found = await at(made, place)
        assert (found.supply.on, found.supply.by) == (True, SwitchedBy.IMPORT)
        assert (found.supply.since, found.supply.cause) == (INSTALLED_AT, "")


async def test_a_cut_by_command_names_the_command(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=1))
        (command,) = await run(made, OrderKind.CUT, place)
        found = await at(made, place)
        assert not found.supply.on
        assert (found.supply.by, found.supply.cause) == (SwitchedBy.COMMAND, command)
        done = await made.made.app.gateway.commands.get(command)  # type: ignore[arg-type]
        assert found.supply.since is not None
        assert done.activity.created_at <= found.supply.since
        assert found.source.on


async def test_a_cut_by_a_crew_names_the_visit(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=1, kind="manual", status=S.MANUAL_ON))
        (visit,) = await run(made, OrderKind.CUT, place)
        found = await at(made, place)
        assert (found.supply.on, found.supply.by) == (False, SwitchedBy.CREW)
        assert found.supply.cause == visit


async def test_a_bare_point_has_no_supply_until_a_crew_connects_it_and_a_command_turns_it_on(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=3, **BARE))  # type: ignore[arg-type]
        before = await at(made, place)
        assert (before.supply.on, before.supply.by, before.current) == (
            False, SwitchedBy.IMPORT, None,
        )  # fmt: skip
        visit, *_, connect, _read = await run(made, OrderKind.ENABLE, place)
        found = await at(made, place)
        assert (found.source.on, found.source.by, found.source.cause) == (
            True, SwitchedBy.CREW, visit,
        )  # fmt: skip
        assert (found.supply.on, found.supply.by) == (True, SwitchedBy.COMMAND)
        assert found.supply.cause == connect
        told = await made.made.app.gateway.registry.changes_at(place.point)
        assert [each.note.detail["installed"] for each in told] == [place.new_device]


async def test_an_exchange_leaves_both_devices_to_be_seen(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=1))
        await run(made, OrderKind.EXCHANGE, place)
        found = await at(made, place)
        assert [device.id for device, _ in found.installs] == [place.new_device, place.device]
        assert found.installs[1][1].removed_at is not None


async def test_a_source_status_that_an_import_corrects_says_since_when(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=1))
        point = (await at(made, place)).service_point
        cut = Import(service_points=(replace(point, connected=False),))
        registry = made.made.app.gateway.registry
        await registry.import_devices(cut, by="ann", override="the pole fell")
        found = await at(made, place)
        assert (found.supply.on, found.supply.by) == (False, SwitchedBy.IMPORT)
        assert found.supply.since is not None
        assert found.supply.cause.startswith("import:ann:")
        (told,) = await registry.changes_at(place.point)
        assert told.note.detail["reason"] == "the pole fell"


async def test_an_armed_switch_is_said_to_be_armed(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=1, status=S.DISCONN_COMM))
        commands = made.made.app.gateway.commands
        asked = CommandRequest(
            kind=CommandKind.REMOTE_CONNECT,
            devices=(place.device,),
            user_intervention_required=True,
        )
        armed = await commands.submit(asked, actor="test")
        done = await commands.wait(armed.id, timeout_s=20)
        assert done.activity.outcome is Outcome.SUCCEEDED
        told = ServicePointOut.of(await at(made, place))
        assert (told.armed, told.install_status, told.supply.cause) == (True, "Conn-Comm", armed.id)


async def test_a_list_is_filtered_and_its_pages_follow_each_other(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        registry = made.made.app.gateway.registry
        for number in (1, 2):
            await made.put(Place(number=number))
        await made.put(Place(number=3, **BARE))  # type: ignore[arg-type]
        more = [ServicePoint(id=ServicePointId(f"SP-{n}"), sp_type="LAMP") for n in (4, 5)]
        await registry.import_devices(Import(service_points=tuple(more)))

        async def listed(**wanted: object) -> list[str]:
            found = await registry.service_points(PointFilter(**wanted))  # type: ignore[arg-type]
            return [each.service_point.id for each in found.rows]

        assert await listed() == ["SP-1", "SP-2", "SP-3", "SP-4", "SP-5"]
        assert await listed(supplied=True) == ["SP-1", "SP-2"]
        assert await listed(connected=False) == ["SP-3"]
        assert await listed(bare=True, connected=True) == ["SP-4", "SP-5"]
        assert await listed(sp_type="LAMP", supplied=True) == []
        first = await registry.service_points(PointFilter(limit=2))
        assert first.next == "SP-2"
        rest = await registry.service_points(PointFilter(limit=9, after=first.next))
        assert [each.service_point.id for each in rest.rows] == ["SP-3", "SP-4", "SP-5"]
        assert rest.next is None
        with pytest.raises(NotFound, match="no service point SP-9"):
            await registry.service_point(ServicePointId("SP-9"))
