"""Service orders as load, and a crew behind the file drop that works off what they ask of it."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import aiohttp

from adapter.engine.commands.ports import Import
from adapter.engine.orders.field_work import FieldMessage, FieldNews, FieldReport
from adapter.fieldwork.messages import read_message, report_json
from adapter.model.device import Category, Device, InstallEvent, InstallStatus, ServicePoint
from adapter.model.ids import DeviceId, EventId, ServicePointId
from adapter.model.measurement import Measurement
from adapter.orders.completion import CompletionReport
from adapter.orders.field_activity_events import AppointmentBooked, MessageKind, Slot, WorkReported
from adapter.orders.order import OrderKind
from adapter.orders.tasks import FIELD_TASKS, FieldEffect
from adapter.simulator.meters import EPOCH
from tests.durability.gateway_process import TOKEN

SMART: Final = 3
"""Service points with a smart meter: their orders become commands."""
ITEMS: Final = 2
"""Service points with an item: their orders become visits."""
DROP: Final = "field-work"
SETTINGS: Final = (
    f'[field_work]\nkind = "file"\n[field_work.file]\nfolder = "{DROP}"\npoll_s = 0.05'
)

ERRORS: Final = frozenset({"activity_error", "validation_error"})
_AGAIN_S: Final = 0.05
_LOOK_S: Final = 0.05


def items() -> Import:
    """Items that are on, each at a service point of its own."""
    names = [f"I{number}" for number in range(ITEMS)]
    return Import(
        devices=tuple(Device(id=DeviceId(name), category=Category.ITEM) for name in names),
        service_points=tuple(
            ServicePoint(id=ServicePointId(f"SP-{name}"), category=Category.ITEM) for name in names
        ),
        installs=tuple(
            InstallEvent(
                device=DeviceId(name),
                service_point=ServicePointId(f"SP-{name}"),
                installed_at=EPOCH,
                status=InstallStatus.MANUAL_ON,
            )
            for name in names
        ),
    )


@dataclass(slots=True, kw_only=True)
class OrderAttempt:
    """One order as its requester sees it."""

    reference: str
    ids: list[str] = field(default_factory=list)
    state: str = ""


@dataclass(slots=True)
class OrderRequesters:
    """One for each service point: off, on, off, ... until it is `enough`."""

    api: str
    points: Sequence[str]
    attempts: list[OrderAttempt] = field(default_factory=list)
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    _session: aiohttp.ClientSession = field(init=False)

    async def run(self) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        timeout = aiohttp.ClientTimeout(total=10.0)
        async with (
            aiohttp.ClientSession(headers=headers, timeout=timeout) as self._session,
            asyncio.TaskGroup() as group,
        ):
            for point in self.points:
                group.create_task(self._one_after_the_other(point))

    async def _one_after_the_other(self, point: str) -> None:
        kind = OrderKind.DISABLE
        while not self.enough.is_set():
            attempt = OrderAttempt(reference=f"o-{point}-{len(self.attempts)}")
            self.attempts.append(attempt)
            order = await self._submit(attempt, kind, point)
            await self._end(attempt, order)
            if attempt.state in ERRORS:
                return
            if attempt.state == "completed":
                kind = OrderKind.ENABLE if kind is OrderKind.DISABLE else OrderKind.DISABLE

    async def _submit(self, attempt: OrderAttempt, kind: OrderKind, point: str) -> str:
        body = {"kind": kind.value, "service_point": point, "reference": attempt.reference}
        while True:
            status, told = await self._call("POST", "/orders", body)
            if status == 202:
                attempt.ids.append(str(told["id"]))
                return attempt.ids[-1]
            await asyncio.sleep(_AGAIN_S)

    async def _end(self, attempt: OrderAttempt, order: str) -> None:
        """Wait for the end. What people must see to is given up, where that is allowed."""
        while True:
            _, told = await self._call("GET", f"/orders/{order}")
            now = told.get("order", {})
            if now.get("final"):
                attempt.state = now["state"]
                return
            if now.get("state") in ERRORS:
                status, _ = await self._call(
                    "POST", f"/orders/{order}/discard", {"reason": "given up"}
                )
                if 400 <= status < 500:  # an unknown outcome: it takes two people
                    attempt.state = now["state"]
                    return
            await asyncio.sleep(_AGAIN_S)

    async def _call(
        self, method: str, path: str, body: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and answer; 0 and nothing where the connection broke."""
        try:
            async with self._session.request(method, self.api + path, json=body) as answer:
                return answer.status, await answer.json()
        except (aiohttp.ClientError, TimeoutError):
            return 0, {}


class FileCrew:
    """Takes messages from out/, and lays reports into in/: each under one id, however often."""

    def __init__(self, folder: Path) -> None:
        self._out, self._in = folder / DROP / "out", folder / DROP / "in"
        self.dispatched: list[str] = []

    async def work(self, until: "asyncio.Task[None]") -> None:
        while not until.done():
            await asyncio.to_thread(self._look)
            await asyncio.wait({until}, timeout=_LOOK_S)

    def _look(self) -> None:
        self._in.mkdir(parents=True, exist_ok=True)
        for file in sorted(self._out.glob("[!.]*.json")):
            message = read_message(file.read_bytes())
            for news in _news(message):
                self._report(message, news)
            if message.kind is MessageKind.DISPATCH:
                self.dispatched.append(message.id)
            file.unlink()

    def _report(self, message: FieldMessage, news: FieldNews) -> None:
        id_ = f"{message.id}:{type(news).__name__}"
        report = FieldReport(id=id_, activity=message.activity, news=news)
        name = id_.replace("/", "-").replace(":", "-")
        whole = self._in / f".{name}"
        whole.write_bytes(report_json(report))
        whole.replace(self._in / f"{name}.json")


def _news(message: FieldMessage) -> Iterable[FieldNews]:
    now = datetime.now(UTC)
    if message.kind is MessageKind.SLOTS:
        slot = Slot(start=now, end=now + timedelta(hours=2), taken_by="crew")
        return (AppointmentBooked(slot=slot),)
    if message.kind is MessageKind.DISPATCH:
        cause = EventId(f"{message.activity}:work")
        read = _read(message, cause, now)
        return (WorkReported(report=CompletionReport(at=now, cause=cause, measurements=read)),)
    return ()


def _read(message: FieldMessage, cause: EventId, at: datetime) -> tuple[Measurement, ...]:
    """The register, where the visit is about reading it."""
    device = message.site.device
    if device is None or FIELD_TASKS[message.task].successful != (FieldEffect.MEASURE,):
        return ()
    register = f"{device}-R"
    return (
        Measurement(
            id=f"{cause}:{register}",
            component=register,
            at=at,
            value=Decimal("4711.5"),
            device=device,
        ),
    )
