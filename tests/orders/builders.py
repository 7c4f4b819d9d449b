"""Service points, devices and orders for the order tests, with the defaults of an ordinary day."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from adapter.model.device import (
    Category,
    ComponentKind,
    Device,
    DisconnectLocation,
    InstallEvent,
    InstallStatus,
    MeasuringComponent,
    ServicePoint,
)
from adapter.model.ids import DeviceId, EndpointId, OrderId, ServicePointId
from adapter.model.measurement import REGULAR, Measurement
from adapter.orders.activities import BUSINESS_OBJECTS
from adapter.orders.order import (
    ActivityType,
    ChildFact,
    ChildId,
    ChildSpec,
    ChildState,
    OrderKind,
    OrderState,
    ServiceOrder,
    View,
)
from adapter.orders.plan import SMART_COMMANDS

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
INSTALLED_AT = NOON - timedelta(days=900)
REGISTER = MeasuringComponent(id="kwh", kind=ComponentKind.SCALAR, quantity="Wh d")
INTERVAL = MeasuringComponent(id="load", kind=ComponentKind.INTERVAL, quantity="Wh d", seconds=900)
POINT = ServicePointId("SP-1")


def an_order(kind: OrderKind, **changes: object) -> ServiceOrder:
    values: dict[str, object] = {
        "id": OrderId("SO-1"),
        "kind": kind,
        "service_point": POINT,
        "activity_type": kind.value,
        "requester": "cis",
        "external_reference": "ext-1",
        "created_at": NOON - timedelta(hours=1),
        "effective_at": NOON - timedelta(minutes=30),
        "service_at": NOON - timedelta(minutes=30),
        "state": OrderState.READY,
    }
    return ServiceOrder(**{**values, **changes})  # type: ignore[arg-type]


def a_type(kind: OrderKind, **changes: object) -> ActivityType:
    return ActivityType(**{"name": kind.value, "kind": kind, **changes})  # type: ignore[arg-type]


def a_smart_meter(
    name: str = "M-1", *components: MeasuringComponent, capabilities: frozenset[str] = frozenset()
) -> Device:
    return Device(
        id=DeviceId(name),
        endpoint=EndpointId(f"esn-{name}"),
        components=components or (REGISTER,),
        capabilities=capabilities,
    )


def a_manual_meter(name: str = "M-1") -> Device:
    return Device(id=DeviceId(name), components=(REGISTER,))


def an_item(name: str = "I-1") -> Device:
    return Device(id=DeviceId(name), category=Category.ITEM)


def a_view(
    kind: OrderKind,
    *,
    device: Device | None = None,
    status: InstallStatus | None = None,
    connected: bool = True,
    location: DisconnectLocation = DisconnectLocation.DEVICE,
    category: Category = Category.METER,
    commands: frozenset[str] | None = None,
    measurements: tuple[Measurement, ...] = (),
    point: dict[str, object] | None = None,
    activity_type: dict[str, object] | None = None,
    **changes: object,
) -> View:
    """A world of one service point; `status` installs the device."""
    service_point = ServicePoint(
        id=POINT,
        category=category,
        connected=connected,
        disconnect_location=location,
        **(point or {}),  # type: ignore[arg-type]
    )
    installed = None
    if device is not None and status is not None:
        installed = InstallEvent(
            device=device.id, service_point=POINT, installed_at=INSTALLED_AT, status=status
        )
    smart = device is not None and device.smart
    known = SMART_COMMANDS if commands is None else commands
    values: dict[str, object] = {
        "now": NOON,
        "service_point": service_point,
        "activity_type": a_type(kind, **(activity_type or {})),
        "device": device,
        "installed": installed,
        "capabilities": known if smart else frozenset(),
        "measurements": measurements,
    }
    return View(**{**values, **changes})  # type: ignore[arg-type]


def a_reading(
    at: datetime = NOON - timedelta(minutes=30),
    *,
    component: str = "kwh",
    condition: int = REGULAR,
    device: str = "M-1",
    name: str = "m-1",
) -> Measurement:
    return Measurement(
        id=name,
        component=component,
        at=at,
        value=Decimal("1234.5"),
        condition=condition,
        device=DeviceId(device),
    )


def a_child(
    business_object: str,
    number: int = 1,
    state: ChildState = ChildState.COMPLETED,
    **spec: object,
) -> ChildFact:
    known = BUSINESS_OBJECTS[business_object]
    values: dict[str, object] = {
        "business_object": business_object,
        "kind": known.kind,
        "command": known.command,
        "task": known.task,
        **spec,
    }
    return ChildFact(
        id=ChildId(f"SO-1.{number}"),
        number=number,
        spec=ChildSpec(**values),  # type: ignore[arg-type]
        state=state,
        created_at=NOON,
        ended_at=NOON if state is ChildState.COMPLETED else None,
    )
