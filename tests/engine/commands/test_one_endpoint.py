"""One endpoint is one meter, whatever device names it (I7): REST asks, the simulator judges."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapter.commands.activity import CommandRequest, ReadPeriod, State
from adapter.commands.calls import SwitchState
from adapter.commands.flows import CommandKind, Operation
from adapter.demo.demo import DemoSite
from adapter.engine.commands.ports import Import, Saved
from adapter.errors import InvalidRequest
from adapter.model.device import InstallStatus
from adapter.model.ids import DeviceId, EndpointId, ServicePointId
from adapter.model.values import replace
from adapter.registry.files import as_json_values
from adapter.server.settings import ApiKey, RestSettings, Role
from adapter.web.api.rest import Rest
from tests.engine.commands.quick_site import finish, world

CUT = CommandKind.REMOTE_DISCONNECT
TOKEN = "t" * 40


@dataclass(frozen=True)
class Api:
    made: DemoSite
    http: aiohttp.ClientSession
    url: str

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        async with self.http.post(
            f"{self.url}/api/v1{path}",
            data=json.dumps(body, default=str),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        ) as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def api(folder: Path) -> AsyncIterator[Api]:
    async with world(folder) as made, aiohttp.ClientSession() as http:
        key = ApiKey.of("all", TOKEN, Role.READ, Role.OPERATE, Role.SWITCH, Role.ADMIN)
        rest = Rest(made.app.gateway, RestSettings(keys=(key,), port=0))
        async with rest:
            yield Api(made, http, rest.url)


async def the_row(made: DemoSite, number: int, **changes: Any) -> Import:
    """The meter's own row under another device, at a service point of its own."""
    view = await made.app.gateway.registry.device(made.device(number))
    assert view.installed is not None
    device = replace(view.device, id=DeviceId("TYPO-1"), **changes)
    assert view.service_point is not None
    point = replace(view.service_point, id=ServicePointId("SP-OTHER"), life_support=False)
    installed = replace(
        view.installed, device=device.id, service_point=point.id, version=0, history=()
    )
    return Import(devices=(device,), service_points=(point,), installs=(installed,))


async def on_life_support(made: DemoSite, number: int) -> None:
    view = await made.app.gateway.registry.device(made.device(number))
    assert view.service_point is not None
    point = replace(view.service_point, life_support=True)
    await made.app.gateway.registry.import_devices(Import(service_points=(point,)))


async def planted(made: DemoSite, what: Import) -> None:
    """As a store of an older program may have it: two devices with one endpoint."""
    store = made.app.core.store
    for _ in range(100):
        if await store.import_(what, seen=await store.known(what)) is Saved.SAVED:
            return
    pytest.fail("the registry kept moving")


def switch(made: DemoSite, number: int) -> SwitchState:
    meter = made.simulator.world.population.find(made.endpoint(number))
    assert meter is not None
    return meter.switch


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def period() -> ReadPeriod:
    return ReadPeriod(start=soon(-3600), end=soon(0))


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as-it-is": lambda esn: esn,
    "blanks": lambda esn: f"{esn[:9]} {esn[9:]}",
    "leading-zeros": lambda esn: esn.replace(".7", ".007"),
    "separators": lambda esn: esn[:-3] + "-" + esn[-3:],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_typing_error_in_a_file_cuts_nobody_on_life_support(
    spelling: str, tmp_path: Path
) -> None:
    async with api(tmp_path) as rest:
        made = rest.made
        await on_life_support(made, 2)
        body = {"kind": "remote_disconnect", "devices": [made.device(2)]}
        status, told = await rest.post("/commands", {**body, "idempotency_key": "a"})
        assert told["state"] == "validation_error"
        endpoint = EndpointId(SPELLINGS[spelling](made.endpoint(2)))
        typo = await the_row(made, 2, endpoint=endpoint)
        status, told = await rest.post("/devices", as_json_values(typo))
        assert status == 422
        assert told["field"] == "devices[1] endpoint"
        assert f"belongs to {made.device(2)}, which is not removed" in told["detail"]
        body = {"kind": "remote_disconnect", "devices": ["TYPO-1"], "idempotency_key": "b"}
        status, told = await rest.post("/commands", body)
        assert (status, told["code"]) == (422, "unknown_device")
        assert made.simulator.journal.count(Operation.DISCONNECT_METER) == 0
        assert switch(made, 2) is SwitchState.CONNECTED


@pytest.mark.parametrize("sick", [True, False], ids=["life-support", "nobody-protected"])
async def test_a_store_that_has_two_devices_with_one_endpoint_sends_neither_a_switch_order(
    sick: bool, tmp_path: Path
) -> None:
    async with api(tmp_path) as rest:
        made = rest.made
        if sick:
            await on_life_support(made, 3)
        await planted(made, await the_row(made, 3))
        ends = []
        for number, device in enumerate(("TYPO-1", made.device(3))):
            body = {"kind": "remote_disconnect", "devices": [device]}
            _, told = await rest.post("/commands", {**body, "idempotency_key": f"k{number}"})
            ends.append(told["state"])
        assert ends == ["validation_error"] * 2
        assert made.simulator.journal.count(Operation.DISCONNECT_METER) == 0
        # mended: the row says when TYPO-1 was removed
        right = await made.app.gateway.registry.device(DeviceId("TYPO-1"))
        assert right.installed is not None
        gone = replace(
            await the_row(made, 3),
            installs=(replace(right.installed, removed_at=right.installed.installed_at),),
        )
        status, told = await rest.post("/devices", as_json_values(gone))
        assert (status, told["left_alone"]) == (200, [])
        body = {"kind": "remote_disconnect", "devices": [made.device(3)]}
        _, told = await rest.post("/commands", {**body, "idempotency_key": "c"})
        assert (told["state"] == "validation_error") is sick


async def test_two_devices_of_one_endpoint_never_have_two_switch_orders_in_flight(
    tmp_path: Path,
) -> None:
    """The second device comes while the first one's order waits: at most one leaves."""
    async with api(tmp_path) as rest:
        made = rest.made
        gateway = made.app.gateway
        first = await gateway.commands.submit(CommandRequest(kind=CUT, devices=(made.device(4),)))
        await planted(made, await the_row(made, 4))
        asked = CommandRequest(kind=CUT, devices=(DeviceId("TYPO-1"),), ignore_install_state=True)
        second = await gateway.commands.submit(asked)
        ended = await gateway.commands.wait(first.id, timeout_s=20)
        assert ended.activity.state.final
        assert (await gateway.commands.get(second.id)).activity.state is State.VALIDATION_ERROR
        assert made.simulator.journal.count(Operation.DISCONNECT_METER) <= 1


async def test_an_order_does_not_go_to_an_endpoint_that_was_corrected_meanwhile(
    tmp_path: Path,
) -> None:
    async with api(tmp_path) as rest:
        made = rest.made
        gateway = made.app.gateway
        later = CommandRequest(kind=CUT, devices=(made.device(5),), effective_at=soon(0.8))
        waiting = await gateway.commands.submit(later)
        view = await gateway.registry.device(made.device(5))
        other = replace(view.device, endpoint=EndpointId("2.16.840.1.114416.15.243.9"))
        await gateway.registry.import_devices(Import(devices=(other,)), override="typed wrong")
        done = await gateway.commands.wait(waiting.id, timeout_s=20)
        assert done.activity.state is State.CANCELED
        assert made.simulator.journal.count(Operation.DISCONNECT_METER) == 0


async def test_a_correct_communication_passes_the_endpoint_on(tmp_path: Path) -> None:
    """The old device is removed in the same file, the new one has its endpoint."""
    async with api(tmp_path) as rest:
        made = rest.made
        old = await made.app.gateway.registry.device(made.device(6))
        assert old.installed is not None
        assert old.service_point is not None
        removed_at = soon(-60)
        new = replace(old.device, id=DeviceId("NEW-1"))
        what = Import(
            devices=(old.device, new),
            service_points=(old.service_point,),
            installs=(
                replace(old.installed, removed_at=removed_at),
                replace(old.installed, device=new.id, installed_at=removed_at, version=0),
            ),
        )
        status, told = await rest.post("/devices", as_json_values(what))
        assert (status, told["left_alone"]) == (200, [])
        cut = CommandRequest(kind=CUT, devices=(new.id,))
        assert (await finish(made, cut)).activity.state is State.COMPLETED
        gone = CommandRequest(kind=CommandKind.DEVICE_DECOMMISSIONING, devices=(made.device(6),))
        refused = await made.app.gateway.commands.submit(gone)
        assert "is also that of NEW-1" in str(refused.activity.violations)
        status, told = await rest.post(
            "/devices", as_json_values(replace(what, devices=(old.device,), installs=()))
        )
        assert status == 200


async def test_endpoints_that_change_places_do_so_in_one_import(tmp_path: Path) -> None:
    async with api(tmp_path) as rest:
        made = rest.made
        one, two = [
            (await made.app.gateway.registry.device(made.device(number))).device
            for number in (7, 8)
        ]
        alone = Import(devices=(replace(one, endpoint=two.endpoint),))
        status, _ = await rest.post("/devices", as_json_values(alone))
        assert status == 422
        swapped = Import(
            devices=(
                replace(one, endpoint=two.endpoint),
                replace(two, endpoint=one.endpoint),
            )
        )
        status, told = await rest.post("/devices", as_json_values(swapped))
        assert (status, [each["field"] for each in told["left_alone"]]) == (200, ["endpoint"] * 2)
        registry = made.app.gateway.registry
        assert [(await registry.device(each.id)).device for each in (one, two)] == [one, two]
        report = await registry.import_devices(swapped, override="the two were mixed up")
        assert [each.field for each in report.overridden] == ["endpoint"] * 2
        assert (await registry.device(one.id)).device.endpoint == two.endpoint


async def test_a_load_never_leads_the_order_for_one_customer_to_the_meter_of_another(
    tmp_path: Path,
) -> None:
    """A typing error frees an endpoint in one load, and the next load gives it away."""
    async with api(tmp_path) as rest:
        made = rest.made
        await on_life_support(made, 2)
        one, two = [
            (await made.app.gateway.registry.device(made.device(number))).device
            for number in (2, 3)
        ]
        typo = replace(one, endpoint=EndpointId(f"{one.endpoint}9"))
        status, told = await rest.post("/devices", as_json_values(Import(devices=(typo,))))
        assert (status, [each["field"] for each in told["left_alone"]]) == (200, ["endpoint"])
        taken = Import(devices=(replace(two, endpoint=one.endpoint),))
        status, told = await rest.post("/devices", as_json_values(taken))
        assert status == 422, told
        both = Import(devices=(typo, replace(two, endpoint=one.endpoint)))
        status, told = await rest.post("/devices", as_json_values(both))
        assert status == 200, told
        new = replace(two, id=DeviceId("NEW-2"), endpoint=one.endpoint)
        status, told = await rest.post("/devices", as_json_values(Import(devices=(typo, new))))
        assert status == 422, told
        await finish(made, CommandRequest(kind=CUT, devices=(two.id,)))
        meter = made.simulator.world.population.find(made.endpoint(2))
        assert meter is not None
        assert made.simulator.journal.count(Operation.DISCONNECT_METER, made.endpoint(2)) == 0


async def test_two_imports_at_once_do_not_both_get_an_endpoint(tmp_path: Path) -> None:
    async with api(tmp_path) as rest:
        bodies = [{"devices": [{"id": f"N{number}", "endpoint": "2.16.1"}]} for number in range(6)]
        answers = await asyncio.gather(*(rest.post("/devices", body) for body in bodies))
        assert sorted(status for status, _ in answers) == [200] + [422] * 5


async def test_one_request_names_an_endpoint_once(tmp_path: Path) -> None:
    async with api(tmp_path) as rest:
        made = rest.made
        await planted(made, await the_row(made, 9, groups=frozenset({"G"})))
        view = await made.app.gateway.registry.device(made.device(9))
        both = CommandRequest(
            kind=CommandKind.ON_DEMAND_READ_SCALAR,
            devices=(made.device(9), DeviceId("TYPO-1")),
            period=period(),
        )
        with pytest.raises(InvalidRequest, match="name one endpoint"):
            await made.app.gateway.commands.submit(both)
        assert view.installed is not None
        assert view.installed.status is InstallStatus.CONN_COMM


async def test_a_store_with_two_devices_of_one_endpoint_says_so_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with api(tmp_path) as rest:
        made = rest.made
        await planted(made, await the_row(made, 3))
        await made.app.gateway.start(background=False)
        shared = made.app.gateway.registry.shared_endpoints
        assert [[each.device.id for each in views] for views in shared.values()] == [
            [made.device(3), "TYPO-1"]
        ]
        async with rest.http.get(f"{rest.url}/readyz") as answer:
            told = await answer.json()
        assert told["status"] == "ready"
        assert "endpoints named by more than one device" in told["warnings"][0]
    assert "endpoints_shared" in caplog.text
