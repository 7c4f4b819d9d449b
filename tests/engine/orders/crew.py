"""A crew that does what it is asked, and one that does what a test tells it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from adapter.engine.orders.field_work import FieldInbox, FieldMessage, FieldNews, FieldReport
from adapter.errors import Conflict
from adapter.model.device import Category, ComponentKind, Device, MeasuringComponent
from adapter.model.ids import DeviceId, EventId
from adapter.model.measurement import Measurement
from adapter.orders.completion import CompletionReport
from adapter.orders.field_activity_events import (
    AppointmentBooked,
    MessageKind,
    Slot,
    WorkCanceled,
    WorkReported,
)
from adapter.orders.tasks import FIELD_TASKS, FieldEffect

REGISTER = MeasuringComponent(id="kwh", kind=ComponentKind.SCALAR, quantity="Wh d")


@dataclass
class Crew:
    """Does the work of every dispatch at once. `spares` gives the device to install, by service
    point; `present` the device that is there, for reading it. `idle` activities are left lying.
    """

    spares: dict[str, Device] = field(default_factory=dict)
    present: dict[str, Device] = field(default_factory=dict)
    idle: Callable[[FieldMessage], bool] = lambda message: False
    refuse: Callable[[FieldMessage], Exception | None] = lambda message: None
    heard: list[FieldMessage] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    inbox: FieldInbox | None = None
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def start(self, inbox: FieldInbox) -> None:
        self.inbox = inbox

    async def stop(self) -> None:
        await asyncio.gather(*self._tasks)

    async def send(self, message: FieldMessage) -> None:
        self.tried.append(message.id)
        error = self.refuse(message)
        if error is not None:
            raise error
        if message.id in {each.id for each in self.heard}:
            return
        self.heard.append(message)
        if self.idle(message):
            return
        task = asyncio.get_running_loop().create_task(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: FieldMessage) -> None:
        now = datetime.now(UTC)
        match message.kind:
            case MessageKind.SLOTS:
                slot = Slot(start=now, end=now + timedelta(hours=2), taken_by="crew")
                await self.report(message, AppointmentBooked(slot=slot))
            case MessageKind.DISPATCH:
                await self.report(message, WorkReported(report=self.done(message)))
            case MessageKind.CANCEL:
                report = CompletionReport(at=now, cause=EventId(f"{message.id}:canceled"))
                await self.report(message, WorkCanceled(reason="as asked", report=report))
            case MessageKind.MODIFY:
                pass

    async def report(self, message: FieldMessage, news: FieldNews) -> None:
        assert self.inbox is not None
        id_ = f"{message.id}:{type(news).__name__}"
        try:
            await self.inbox.receive(FieldReport(id=id_, activity=message.activity, news=news))
        except Conflict:
            return  # kept in the audit; a test that cares looks there

    def done(self, message: FieldMessage) -> CompletionReport:
        """The report of a well-done visit: manual meters are read when they come, go or are asked.

        The register of a smart meter is left to the head end unless it is to be read.
        """
        task = FIELD_TASKS.get(message.task)  # of a site's own only the site knows what it is
        effects = () if task is None else task.successful
        at = datetime.now(UTC)
        cause = EventId(f"{message.activity}:work")
        point = message.site.service_point
        new = self.spares.get(point) if FieldEffect.INSTALL in effects else None
        there = new or self.present.get(point)
        if new is not None:
            self.present[point] = new
        moved = {FieldEffect.INSTALL, FieldEffect.REMOVE} & set(effects)
        by_crew = bool(moved) and there is not None and not there.smart
        only_read = effects == (FieldEffect.MEASURE,)
        reads = FieldEffect.MEASURE in effects and there is not None and (by_crew or only_read)
        return CompletionReport(
            at=at,
            cause=cause,
            new_device=new,
            measurements=values(there, at, cause) if reads and there is not None else (),
        )


def values(device: Device, at: datetime, cause: str) -> tuple[Measurement, ...]:
    return tuple(
        Measurement(
            id=f"{cause}:{component.id}",
            component=component.id,
            at=at,
            value=Decimal("4711.5"),
            device=device.id,
        )
        for component in device.components
    )


def a_manual_meter(name: str) -> Device:
    return Device(id=DeviceId(name), serial=name, components=(REGISTER,))


def an_item(name: str) -> Device:
    return Device(id=DeviceId(name), category=Category.ITEM)
