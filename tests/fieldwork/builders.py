"""Messages and reports, and an inbox that keeps them as the engine's would."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

from adapter.engine.orders.field_work import FieldMessage, FieldReport, Receipt, Site
from adapter.engine.upkeep.set_aside import SetAside
from adapter.errors import Conflict, NotFound
from adapter.model.device import (
    Category,
    ComponentKind,
    Device,
    DisconnectLocation,
    MeasuringComponent,
)
from adapter.model.ids import DeviceId, EndpointId, EventId, OrderId, ServicePointId
from adapter.model.measurement import Measurement
from adapter.model.values import replace
from adapter.orders.completion import CompletionReport
from adapter.orders.field_activity_events import MessageKind, WorkReported
from adapter.orders.order import ChildId, OrderKind

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
ACTIVITY = ChildId("SO-1.1")
METER = Device(
    id=DeviceId("M-9"),
    endpoint=EndpointId("2.16.9"),
    serial="S9",
    capabilities=frozenset({"device_commissioning", "remote_connect"}),
    components=(MeasuringComponent(id="M-9-R", kind=ComponentKind.SCALAR, quantity="Wh d"),),
)


def a_message(number: int = 1, **changes: object) -> FieldMessage:
    message = FieldMessage(
        id=f"{ACTIVITY}/message/{number}",
        kind=MessageKind.DISPATCH,
        number=number,
        activity=ACTIVITY,
        order=OrderId("SO-1"),
        order_kind=OrderKind.ENABLE,
        task="D1-TurnOnMeter",
        site=Site(
            service_point=ServicePointId("SP-1"),
            category=Category.METER,
            connected=True,
            disconnect_location=DisconnectLocation.DEVICE,
            device=DeviceId("M-1"),
        ),
        created_at=NOON,
        not_before=NOON + timedelta(minutes=5),
        requester="cis",
        reference="ext-1",
        details={"contact_phone": "x"},
    )
    return replace(message, **changes)  # type: ignore[arg-type]


def a_work_report(id_: str = "R-1", **changes: object) -> FieldReport:
    values: dict[str, object] = {"at": NOON, "cause": EventId(id_), **changes}
    work = CompletionReport(**values)  # type: ignore[arg-type]
    return FieldReport(
        id=id_, activity=ACTIVITY, who="crew 7", news=WorkReported(report=work, who="crew 7")
    )


def a_reading(report: str = "R-1", component: str = "M-9-R") -> Measurement:
    return Measurement(
        id=f"{report}/{component}",
        component=component,
        at=NOON,
        value=Decimal("1234.50"),
        device=METER.id,
    )


@dataclass
class KeptReports:
    """A durable inbox in memory; `refuses` are activities of which it wants no news."""

    reports: dict[str, FieldReport] = field(default_factory=dict)
    refuses: frozenset[str] = frozenset()
    broken: Exception | None = None
    repeated: int = 0
    set_aside: SetAside = field(default_factory=SetAside)

    async def receive(self, report: FieldReport) -> Receipt:
        if self.broken is not None:
            raise self.broken
        if not report.activity.startswith("SO-"):
            raise NotFound(f"no activity {report.activity}")
        if report.activity in self.refuses:
            raise Conflict(f"{report.activity} is final")
        if report.id in self.reports:
            self.repeated += 1
            return Receipt.REPEATED
        self.reports[report.id] = report
        return Receipt.APPLIED


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until `condition` holds. The test's own time-out bounds it."""
    for _ in count():
        if condition():
            return
        await asyncio.sleep(0.002)
