"""The plan of a meter exchange goes by the device that the order names: what the registry has."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from adapter.engine.commands.ports import Import
from adapter.engine.orders.requests import OrderRequest
from adapter.model.device import Device, InstallStatus
from adapter.model.ids import DeviceId
from adapter.model.values import replace
from adapter.orders.order import OrderKind, OrderState
from adapter.orders.plan import OrderPlan
from tests.engine.orders.crew import REGISTER, a_manual_meter
from tests.engine.orders.site_with_orders import Place, Rig, rig, titles

COME = "ExchangeMeter > DeviceCommission > RemoteConnect"


async def planned(
    made: Rig, place: Place, new: str, kind: OrderKind = OrderKind.EXCHANGE
) -> OrderPlan:
    fields: Mapping[str, str] = {"newDevice": new}
    asked = OrderRequest(
        kind=kind, service_point=place.point, external_reference="(plan)", fields=fields
    )
    return await made.orders.plan(asked)


def steps(plan: OrderPlan) -> str:
    return " > ".join(plan.titles)


async def add(made: Rig, device: Device) -> str:
    await made.made.app.gateway.registry.import_devices(Import(devices=(device,)))
    return device.id


def a_meter(made: Rig, **changes: object) -> Device:
    """A smart meter in the store room."""
    known = Device(
        id=DeviceId("N-1"), endpoint=made.made.endpoint(made.spare_from + 5), components=(REGISTER,)
    )
    return replace(known, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("manual", "smart", f"{COME} > OnDemandReadScalar"),
        ("smart", "manual", "ExchangeMeter > DeviceDecommission"),
        (
            "smart",
            "deaf",
            "ExchangeMeter > DeviceCommission > DeviceDecommission > OnDemandReadScalar",
        ),
        ("smart", "elsewhere", "ExchangeMeter > DeviceDecommission > ReadMeter"),
    ],
)
async def test_the_steps_are_those_that_the_named_device_takes_and_the_order_takes_them(
    old: str, new: str, wanted: str, tmp_path: Path
) -> None:
    async with rig(tmp_path) as made:
        status = InstallStatus.CONN_COMM if old == "smart" else InstallStatus.MANUAL_ON
        place = await made.put(Place(number=1, kind=old, status=status))
        every = place.commands
        device = {
            "smart": a_meter(made, capabilities=every),
            "manual": a_manual_meter(DeviceId("N-1")),
            "deaf": a_meter(
                made, capabilities=frozenset({"device_commissioning", "on_demand_read_scalar"})
            ),
            "elsewhere": a_meter(made, capabilities=every, head_end="Elsewhere"),
        }[new]
        plan = await planned(made, place, await add(made, device))
        made.crew.spares[place.point] = device
        shown = await made.ended((await made.submit(OrderKind.EXCHANGE, place)).id)
        assert (steps(plan), plan.outcome) == (titles(shown), shown.order.state)
        assert steps(plan) == wanted
        assert plan.view.device is not None
        assert plan.view.device.id == "N-1"


async def test_a_device_that_the_registry_does_not_know_is_said_to_be_assumed(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=1))
        plan = await planned(made, place, "N-404")
        assert steps(plan) == f"{COME} > DeviceDecommission > OnDemandReadScalar"
        assert plan.steps[1].child.device == "N-404"
        assert plan.notes == ("the registry has no device N-404: taken for one of the usual kind",)
        cut = await planned(made, place, "N-404", OrderKind.CUT)
        assert cut.notes == ()


async def test_a_device_that_the_records_would_not_take_ends_the_plan_in_trouble_and_says_why(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        place, other = await made.put(Place(number=1)), await made.put(Place(number=2))
        plan = await planned(made, place, other.device)
        assert plan.outcome is OrderState.ACTIVITY_ERROR
        assert plan.problem is not None
        why = f"device {other.device} is installed at {other.point} by the records"
        assert why in plan.problem.text


async def test_a_device_that_looks_like_a_known_one_ends_the_plan_in_trouble(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        place, other = await made.put(Place(number=1)), await made.put(Place(number=2))
        plan = await planned(made, place, other.device.lower())
        assert plan.outcome is OrderState.ACTIVITY_ERROR
        assert plan.problem is not None
        assert f"{other.device.lower()} looks like {other.device}" in plan.problem.text
        assert plan.notes == ()
