"""An order at a device of another head end takes the field way."""

from pathlib import Path

import pytest

from adapter.engine.commands.ports import Import
from adapter.engine.orders.requests import OrderRequest
from adapter.model.device import InstallStatus
from adapter.model.values import replace
from adapter.orders.order import OrderKind, OrderState
from tests.engine.orders.site_with_orders import Place, Rig, rig, titles

S = InstallStatus


async def put_elsewhere(made: Rig, place: Place) -> None:
    await made.put(place)
    registry = made.made.app.gateway.registry
    known = (await registry.device(place.device)).device
    await registry.import_devices(Import(devices=(replace(known, head_end="Elsewhere"),)))


@pytest.mark.parametrize(
    ("kind", "status", "wanted"),
    [
        (OrderKind.ENABLE, S.DISCONN_COMM, "TurnOnMeter > ReadMeter"),
        (OrderKind.DISABLE, S.CONN_COMM, "TurnOffMeter > ReadMeter"),
        (OrderKind.CUT, S.CONN_COMM, "CutForNonPayment"),
        (OrderKind.RECONNECT, S.DISCONN_COMM, "ReconnectForPayment"),
    ],
)
async def test_a_crew_does_what_no_command_may_and_the_plan_says_so(
    kind: OrderKind, status: InstallStatus, wanted: str, tmp_path: Path
) -> None:
    async with rig(tmp_path) as made:
        place = Place(number=1, status=status)
        await put_elsewhere(made, place)
        asked = OrderRequest(
            kind=kind, service_point=place.point, requester="cis", external_reference="(plan)"
        )
        planned = await made.orders.plan(asked)
        assert " > ".join(planned.titles) == wanted
        shown = await made.ended((await made.submit(kind, place)).id)
        assert titles(shown) == wanted, shown.order.problem
        assert shown.order.state is OrderState.COMPLETED
        assert not [child for child in shown.children if child.command is not None]


async def test_an_exchange_takes_it_out_and_commands_the_meter_that_comes_to_this_head_end(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        place = Place(number=1)
        await put_elsewhere(made, place)
        shown = await made.ended((await made.submit(OrderKind.EXCHANGE, place)).id)
        assert shown.order.state is OrderState.COMPLETED, shown.order.problem
        commanded = [child for child in shown.children if child.command is not None]
        assert commanded
        assert {child.fact.spec.device for child in commanded} == {place.new_device}
