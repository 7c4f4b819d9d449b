"""SIGKILL while thirty orders are under way: the same children and the same worlds as without.

The gateway is a process of its own; field work goes through files, so that the field work system
survives it. Orders become due one after the other, so that every life has work.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapter.commands.calls import SwitchState
from adapter.commands.flows import Operation
from adapter.engine.clock import SystemClock
from adapter.engine.commands.ports import Import
from adapter.engine.orders.field_work import FieldReport
from adapter.engine.orders.ports import OrderFilter
from adapter.fieldwork.messages import read_message, report_json
from adapter.model.device import Device, InstallEvent, InstallStatus, ServicePoint
from adapter.model.ids import DeviceId, EndpointId, ServicePointId
from adapter.model.values import replace
from adapter.orders.field_activity_events import WorkReported
from adapter.orders.order import ChildState, OrderKind, OrderState
from adapter.orders.plan import SMART_COMMANDS
from adapter.orders.replies import ReplyState
from adapter.store.commands.commands import SqliteStore
from adapter.store.orders.orders import SqliteOrders
from tests.durability.gateway_process import TOKEN, Life, Rig, rig, until
from tests.engine.orders.crew import REGISTER, Crew, a_manual_meter
from tests.engine.orders.payloads_in_store import read_now, take_in
from tests.engine.orders.site_with_orders import INSTALLED_AT

K, S = OrderKind, InstallStatus
SPREAD_S = 0.1
SECOND = "approver-" + "0" * 32
FIELD_WORK = (
    '[field_work]\nkind = "file"\n[field_work.file]\npoll_s = 0.05\nfolder = "field-work"\n'
)


@dataclass(frozen=True)
class Row:
    """A kind of order in a world, the children it needs, and how the device is left."""

    kind: OrderKind
    device: str
    status: InstallStatus
    children: str
    after: InstallStatus


ROWS = [
    Row(K.CUT, "smart", S.CONN_COMM, "RemoteDisconnect", S.DISCONN_COMM),
    Row(K.RECONNECT, "smart", S.DISCONN_COMM, "RemoteConnect", S.CONN_COMM),
    Row(K.BACK_TO_BACK, "smart", S.CONN_COMM, "RemoteDisconnect > RemoteConnect", S.CONN_COMM),
    Row(K.ENABLE, "smart", S.DISCONN_COMM, "RemoteConnect", S.CONN_COMM),
    Row(K.DISABLE, "manual", S.MANUAL_ON, "TurnOffMeter", S.MANUAL_OFF),
    Row(K.CUT, "manual", S.MANUAL_ON, "CutForNonPayment", S.MANUAL_OFF),
]
ORDERS = 30


@dataclass(frozen=True)
class Case:
    number: int
    row: Row

    @property
    def point(self) -> ServicePointId:
        return ServicePointId(f"SP-{self.number}")

    @property
    def device(self) -> DeviceId:
        return DeviceId(f"D-{self.number}")


CASES = [Case(number, ROWS[number % len(ROWS)]) for number in range(ORDERS)]


def endpoint(made: Rig, number: int) -> EndpointId:
    return list(made.simulator.world.population)[number]


async def load(made: Rig) -> None:
    """The registry and the meters, before the first life."""
    store = SqliteStore(made.store_path, now=SystemClock().now)
    await store.open()
    devices: list[Device] = []
    for case in CASES:
        smart = case.row.device == "smart"
        device = a_manual_meter(case.device)
        if smart:
            device = Device(
                id=case.device,
                endpoint=endpoint(made, case.number),
                components=(REGISTER,),
                capabilities=SMART_COMMANDS,
            )
        installed = InstallEvent(
            device=device.id,
            service_point=case.point,
            installed_at=INSTALLED_AT,
            status=case.row.status,
        )
        await store.import_(
            Import(
                devices=(device,),
                service_points=(ServicePoint(id=case.point),),
                installs=(installed,),
            )
        )
        devices.append(device)
        meter = made.simulator.world.population.find(endpoint(made, case.number))
        assert meter is not None
        closed = case.row.status is S.CONN_COMM
        switch = SwitchState.CONNECTED if closed else SwitchState.DISCONNECTED
        made.simulator.world.population.put(replace(meter, switch=switch))
    await take_in(store, read_now(devices))
    await store.close()


async def submit(made: Rig) -> None:
    """Every order, however often the gateway dies before it answers."""
    start = datetime.now(UTC)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        for case in CASES:
            due = start + timedelta(seconds=SPREAD_S * case.number)
            body = {
                "kind": case.row.kind.value,
                "service_point": case.point,
                "reference": f"r-{case.number}",
                "effective_at": due.isoformat(),
                "service_at": start.isoformat(),
            }
            await until(
                lambda body=body: accepted(session, f"{made.api}/orders", body),
                within_s=60,
                why="it is accepted",
            )


async def accepted(session: aiohttp.ClientSession, url: str, body: dict[str, str]) -> bool:
    try:
        async with session.post(url, json=body) as answer:
            assert answer.status in (202, 503), await answer.text()
            return answer.status == 202
    except (aiohttp.ClientError, TimeoutError):
        return False


async def field_work(folder: Path) -> None:
    """A field work system that takes away messages and hands in reports, as files."""
    crew = Crew(present={case.point: a_manual_meter(case.device) for case in CASES})
    inside, outside = folder / "in", folder / "out"
    seen: set[str] = set()
    while True:
        for path in sorted(outside.glob("*.json")) if outside.exists() else []:
            if path.name in seen:
                continue
            seen.add(path.name)
            message = read_message(path.read_bytes())
            news = WorkReported(report=crew.done(message))
            report = FieldReport(id=f"{message.id}/report", activity=message.activity, news=news)
            inside.mkdir(parents=True, exist_ok=True)
            (inside / f".{path.name}").write_bytes(report_json(report))
            (inside / f".{path.name}").rename(inside / path.name)
        await asyncio.sleep(0.02)


@dataclass(frozen=True)
class Ended:
    """What the ledgers say in the end."""

    states: Counter[OrderState]
    children: dict[int, str]
    devices: dict[int, InstallStatus | None]
    switches: dict[int, int]
    others: set[ChildState]
    undelivered: int
    audit: int


async def read(made: Rig) -> Ended:
    store = SqliteStore(made.store_path, now=SystemClock().now)
    await store.open()
    orders = SqliteOrders(store.database)
    try:
        listed = (await orders.list(OrderFilter(limit=500))).rows
        cases = await orders.load([order.id for order in listed])
        views = await store.views([case.device for case in CASES])
        by_number = {
            int(case.order.external_reference.removeprefix("r-")): case for case in cases.values()
        }
        replies = [reply for order in listed for reply in await orders.replies(order.id)]
        return Ended(
            states=Counter(order.state for order in listed),
            children={
                number: " > ".join(
                    (c.fact.spec.task or c.fact.spec.business_object).partition("-")[2]
                    for c in case.children
                    if c.fact.completed
                )
                for number, case in by_number.items()
            },
            devices={
                case.number: installed.status
                for case in CASES
                if (installed := views[case.device].installed) is not None
            },
            switches={
                case.number: sum(
                    made.simulator.journal.count(operation, endpoint(made, case.number))
                    for operation in (Operation.DISCONNECT_METER, Operation.RECONNECT_METER)
                )
                for case in CASES
            },
            others={
                c.fact.state
                for case in cases.values()
                for c in case.children
                if not c.fact.completed
            },
            undelivered=sum(reply.state is not ReplyState.NO_RECEIVER for reply in replies),
            audit=await store.verify_audit(),
        )
    finally:
        await store.close()


@dataclass
class People:
    """Two of them: where a death left a switch order unclear, they look at the meter and decide.

    A switch order that may have left is never sent again by the program (I3).
    """

    made: Rig
    session: aiohttp.ClientSession

    async def see_to_it(self) -> bool:
        """Whether every order is final; those in error are seen to on the way."""
        items = (await self._get("/orders?limit=500"))["items"]
        for item in items:
            if item["state"] == "activity_error":
                await self._decide(item["id"], int(item["reference"].removeprefix("r-")))
        return len(items) == ORDERS and all(item["final"] for item in items)

    async def heard_of_all(self) -> bool:
        """Whether no reply is still on its way."""
        orders = (await self._get("/orders?limit=500"))["items"]
        shown = [await self._get(f"/orders/{order['id']}") for order in orders]
        return not any(reply["due_at"] for each in shown for reply in each["replies"])

    async def _decide(self, order: str, number: int) -> None:
        child = (await self._get(f"/orders/{order}"))["children"][-1]
        if child["state"] == "failed":
            await self._post(f"/orders/{order}/retry", {})
        command = await self._get(f"/commands/{child['command']}")
        if command["state"] == "needs_person":
            meter = self.made.simulator.world.population.find(endpoint(self.made, number))
            assert meter is not None
            wanted = command["kind"] == "remote_connect"
            done = (meter.switch is SwitchState.CONNECTED) == wanted
            await self._post(f"/commands/{command['id']}/resolve", {"done": done})

    async def _get(self, path: str) -> Any:
        async with self.session.get(self.made.api + path) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def _post(self, path: str, body: dict[str, object]) -> None:
        headers = {"X-Second-Key": SECOND}
        async with self.session.post(self.made.api + path, json=body, headers=headers) as answer:
            assert answer.status in (200, 409), await answer.text()


async def all_final(made: Rig) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        people = People(made, session)
        await until(people.see_to_it, within_s=100, why="every order is final")
        await until(people.heard_of_all, within_s=30, why="every reply is delivered")


Deaths = Callable[[Rig], Awaitable[None]]


async def at_random(made: Rig) -> None:
    rng = random.Random(11)
    for _ in range(6):
        life = await made.start()
        await asyncio.wait({life.ended}, timeout=rng.uniform(0.1, 0.6))
        await made.nursery.kill(life)


POINTS = [
    "order.before_save:4",
    "order.after_save:6",
    "order.before_submit:2",
    "order.after_submit:1",
    "field.before_send:1",
    "field.after_send:1",
    "reply.before_delivery:3",
    "reply.after_delivery:2",
    "order.before_save:20",
    "order.after_submit:2",
]


async def at_every_point(made: Rig) -> None:
    for point in POINTS:
        life: Life = await made.start(crash_at=point, ready=False)
        await asyncio.wait({life.ended}, timeout=8)
        await made.nursery.kill(life)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("deaths", [at_random, at_every_point], ids=["random", "points"])
@pytest.mark.seconds(160)
async def test_killed_orders_end_with_the_same_children_and_the_same_worlds(
    deaths: Deaths, tmp_path: Path
) -> None:
    async def scenario() -> Ended:
        async with rig(tmp_path, meters=ORDERS, extra=FIELD_WORK, devices=False) as made:
            keys = tmp_path / "keys"
            keys.write_text(f"{keys.read_text()}approver approve {SECOND}\n")
            await load(made)
            crew = asyncio.get_running_loop().create_task(field_work(tmp_path / "field-work"))
            asking = asyncio.get_running_loop().create_task(submit(made))
            await deaths(made)
            life = await made.start()
            await asking
            await all_final(made)
            await made.nursery.stop(life)
            crew.cancel()
            return await read(made)

    ended = await scenario()
    assert ended.states == {OrderState.COMPLETED: ORDERS}
    assert ended.children == {case.number: case.row.children for case in CASES}
    assert ended.others <= {ChildState.FAILED}, "only what people have seen was not done"
    assert ended.devices == {case.number: case.row.after for case in CASES}
    assert ended.switches == {case.number: case.row.children.count("Remote") for case in CASES}, (
        "every switch order left once"
    )
    assert not ended.undelivered
    assert ended.audit
