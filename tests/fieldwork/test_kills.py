"""SIGKILL while visits are booked, made and reported over webhooks: as if nothing had happened."""

import asyncio
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapter.engine.clock import SystemClock
from adapter.engine.commands.ports import Import
from adapter.engine.orders.ports import OrderFilter
from adapter.fieldwork.crew import Crew
from adapter.fieldwork.settings import CrewSettings
from adapter.fieldwork.simulated_site import SimulatedStreet
from adapter.model.device import (
    ComponentKind,
    Device,
    DisconnectLocation,
    InstallEvent,
    InstallStatus,
    MeasuringComponent,
    ServicePoint,
)
from adapter.model.ids import DeviceId, OrderId, ServicePointId
from adapter.orders.order import OrderKind
from adapter.store.commands.commands import SqliteStore
from adapter.store.orders.orders import SqliteOrders
from tests.durability.gateway_process import TOKEN, Rig, free_port, rig, until
from tests.fieldwork.crew_behind_webhooks import KEY, CrewBehindWebhooks, crew_elsewhere

ORDERS = 12
KILLS = 6
KINDS = (OrderKind.ENABLE, OrderKind.EXCHANGE, OrderKind.DISABLE)
TIMES = CrewSettings(book_s=0.1, lead_s=0.1, travel_s=0.1, work_s=0.3, jitter=1.0)
SINCE = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Place:
    """A service point, what is asked there, the manual meter in place or planned, and a new one."""

    number: int

    @property
    def kind(self) -> OrderKind:
        return KINDS[self.number % len(KINDS)]

    @property
    def point(self) -> ServicePoint:
        bare = self.kind is OrderKind.ENABLE
        return ServicePoint(
            id=ServicePointId(f"SP-{self.number}"),
            connected=not bare,
            disconnect_location=DisconnectLocation.SOURCE if bare else DisconnectLocation.DEVICE,
        )

    @property
    def meter(self) -> Device:
        return a_meter(f"D-{self.number}")

    @property
    def new(self) -> Device:
        return a_meter(f"N-{self.number}")

    @property
    def installed(self) -> InstallEvent:
        planned = self.kind is OrderKind.ENABLE
        return InstallEvent(
            device=self.meter.id,
            service_point=self.point.id,
            installed_at=SINCE,
            status=InstallStatus.PENDING if planned else InstallStatus.MANUAL_ON,
        )


def a_meter(name: str) -> Device:
    register = MeasuringComponent(id=f"{name}-R", kind=ComponentKind.SCALAR, quantity="Wh d")
    return Device(id=DeviceId(name), components=(register,))


PLACES = [Place(number) for number in range(ORDERS)]
METERS = {each.id: each for place in PLACES for each in (place.meter, place.new)}


async def load(made: Rig) -> None:
    store = SqliteStore(made.store_path, now=SystemClock().now)
    await store.open()
    await store.import_(
        Import(
            devices=tuple(place.meter for place in PLACES),
            service_points=tuple(place.point for place in PLACES),
            installs=tuple(place.installed for place in PLACES),
        )
    )
    await store.close()


class Requester:
    """Asks for every order until it is taken, and looks until every order has ended."""

    def __init__(self, made: Rig, session: aiohttp.ClientSession) -> None:
        self._made = made
        self._session = session

    async def ask(self) -> None:
        for place in PLACES:
            await until(lambda place=place: self._taken(place), within_s=60, why="it is taken")

    async def _taken(self, place: Place) -> bool:
        wish = {"newDevice": place.new.id} if place.kind is OrderKind.EXCHANGE else {}
        body = {
            "kind": place.kind.value,
            "service_point": place.point.id,
            "reference": f"r-{place.number}",
            "fields": wish,
        }
        answer = await self._call("POST", "/orders", body)
        return answer is not None

    async def ended(self) -> bool:
        answer = await self._call("GET", f"/orders?limit={10 * ORDERS}", None)
        items = [] if answer is None else answer["items"]
        return len(items) == ORDERS and all(item["final"] for item in items)

    async def _call(self, method: str, path: str, body: object) -> dict[str, Any] | None:
        try:
            async with self._session.request(method, self._made.api + path, json=body) as answer:
                found: dict[str, Any] = await answer.json()
                return found if answer.status < 300 else None
        except (aiohttp.ClientError, TimeoutError):
            return None


async def killed(made: Rig, kills: int) -> None:
    rng = random.Random(5)
    for _ in range(kills):
        life = await made.start()
        await asyncio.wait({life.ended}, timeout=rng.uniform(0.1, 0.7))
        await made.nursery.kill(life)


async def world(made: Rig) -> dict[int, object]:
    """How every order and its service point ended, without what differs by time."""
    store = SqliteStore(made.store_path, now=SystemClock().now)
    await store.open()
    orders = SqliteOrders(store.database)
    try:
        listed = (await orders.list(OrderFilter(limit=10 * ORDERS))).rows
        cases = await orders.load([order.id for order in listed])
        found: dict[int, object] = {}
        for case in cases.values():
            number = int(case.order.external_reference.removeprefix("r-"))
            place = await orders.world(PLACES[number].point.id, OrderId(""))
            assert place.service_point is not None
            found[number] = (
                case.order.state,
                [(child.fact.spec.task, child.fact.state) for child in case.children],
                [child.field.messages for child in case.children if child.field is not None],
                place.service_point.connected,
                place.device and place.device.id,
                place.installed and (place.installed.status, len(place.installed.history)),
                [device.id for device, _ in place.removed],
                [reply.kind for reply in await orders.replies(case.order.id)],
                case.order.fields.get("readValue"),
            )
        assert await store.verify_audit() > ORDERS
        return dict(sorted(found.items()))
    finally:
        await store.close()


async def one_run(folder: Path, kills: int) -> dict[int, object]:
    await asyncio.to_thread(folder.mkdir)
    await asyncio.to_thread((folder / "webhook-keys").write_text, KEY.reveal())
    street = SimulatedStreet(METERS.get)
    there = CrewBehindWebhooks(Crew(TIMES, SystemClock(), street=street))
    reports = free_port()
    there.report_url = f"http://127.0.0.1:{reports}/field-work/reports"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with crew_elsewhere(there) as url, aiohttp.ClientSession(headers=headers) as session:
        extra = (
            f'[field_work]\nkind = "webhook"\n[field_work.webhook]\nurl = "{url}"\n'
            f'keys_file = "webhook-keys"\nport = {reports}\n'
        )
        async with rig(folder, meters=1, extra=extra) as made:
            await load(made)
            requester = Requester(made, session)
            asking = asyncio.get_running_loop().create_task(requester.ask())
            await killed(made, kills)
            last = await made.start()
            await asking
            await until(requester.ended, within_s=60, why="every order is final")
            assert await made.nursery.stop(last) == 0
            assert made.nursery.kills == kills
            return await world(made)


@pytest.mark.seconds(170)
async def test_killed_again_and_again_every_visit_is_made_once_and_every_world_is_the_same(
    tmp_path: Path,
) -> None:
    peaceful = await one_run(tmp_path / "peace", 0)
    assert await one_run(tmp_path / "kills", KILLS) == peaceful
    assert len(peaceful) == ORDERS
