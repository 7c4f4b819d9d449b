"""The registry of a scenario as rows, one a device; what is as usual is not said.

Usual is: a service point of its own, all capabilities, one register and one load profile channel
of "Wh d".
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from adapter.commands.flows import CommandKind
from adapter.engine.commands.ports import Import
from adapter.model.device import (
    ComponentKind,
    Device,
    DeviceView,
    InstallEvent,
    InstallStatus,
    MeasuringComponent,
    ServicePoint,
)
from adapter.model.ids import DeviceId, EndpointId, ServicePointId
from adapter.model.values import replace
from adapter.replay.scenario import BadScenario

_ALL: Final = frozenset(kind.value for kind in CommandKind)
_INSTALLED: Final = datetime(2020, 1, 1, tzinfo=UTC)


class _Row(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    id: str
    endpoint: str | None = None
    status: InstallStatus | None = None
    """None: not installed anywhere."""
    serial: str = ""
    device_type: str = ""
    configuration_group: str = ""
    groups: tuple[str, ...] = ()
    service_point: str = ""
    life_support: bool = False
    protected: bool = False
    without: tuple[str, ...] = ()
    """Kinds of command that the device does not support."""
    components: tuple[MeasuringComponent, ...] = ()
    """Those of a site that has others than usual; none: the usual two."""


def rows_of(what: Import) -> tuple[Mapping[str, object], ...]:
    """The rows of master data that are as usual where a row says nothing."""
    points = {point.id: point for point in what.service_points}
    installs = {install.device: install for install in what.installs}
    return tuple(_row(device, installs.get(device.id), points) for device in what.devices)


def _row(
    device: Device,
    installed: InstallEvent | None,
    points: Mapping[ServicePointId, ServicePoint],
) -> Mapping[str, object]:
    point = points[installed.service_point] if installed is not None else None
    row = _Row(
        id=device.id,
        endpoint=device.endpoint,
        status=installed.status if installed is not None else None,
        serial=device.serial,
        device_type=device.device_type,
        configuration_group=device.configuration_group,
        groups=tuple(sorted(device.groups)),
        service_point=point.id if point is not None else "",
        life_support=point is not None and point.life_support,
        protected=point is not None and point.protected,
        without=tuple(sorted(_ALL - device.capabilities)),
    )
    plain = json.loads(msgspec.json.encode(row))
    assert isinstance(plain, dict)
    return plain


def row_of_view(view: DeviceView, status: InstallStatus | None) -> Mapping[str, object]:
    """A device as a running gateway shows it, with the status that it had at the start."""
    device, installed = view.device, view.installed
    point = view.service_point
    if installed is not None and status is not None:
        installed = replace(installed, status=status)
    made = dict(
        _row(
            device,
            installed if status is not None and point is not None else None,
            {} if point is None else {point.id: point},
        )
    )
    if device.components != _usual(device.id):
        made["components"] = json.loads(msgspec.json.encode(device.components))
    return made


def registry_from(rows: Iterable[Mapping[str, object]]) -> Import:
    """The master data that the rows describe. Raises BadScenario."""
    devices: list[Device] = []
    points: list[ServicePoint] = []
    installs: list[InstallEvent] = []
    for given in rows:
        try:
            row = msgspec.convert(given, _Row)
        except msgspec.ValidationError as error:
            raise BadScenario(f"device: {error}") from error
        devices.append(_device(row))
        point = ServicePointId(row.service_point or f"SP-{row.id}")
        points.append(
            ServicePoint(id=point, life_support=row.life_support, protected=row.protected)
        )
        if row.status is not None:
            installs.append(
                InstallEvent(
                    device=DeviceId(row.id),
                    service_point=point,
                    installed_at=_INSTALLED,
                    status=row.status,
                )
            )
    return Import(devices=tuple(devices), service_points=tuple(points), installs=tuple(installs))


def _device(row: _Row) -> Device:
    return Device(
        id=DeviceId(row.id),
        endpoint=EndpointId(row.endpoint) if row.endpoint else None,
        serial=row.serial,
        device_type=row.device_type,
        configuration_group=row.configuration_group,
        groups=frozenset(row.groups),
        capabilities=_ALL - frozenset(row.without),
        components=row.components or _usual(row.id),
    )


def _usual(device: str) -> tuple[MeasuringComponent, ...]:
    return (
        MeasuringComponent(id=f"{device}-R", kind=ComponentKind.SCALAR, quantity="Wh d"),
        MeasuringComponent(
            id=f"{device}-L", kind=ComponentKind.INTERVAL, quantity="Wh d", seconds=900
        ),
    )
