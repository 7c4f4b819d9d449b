"""The utility's side of the simulated meters: devices, service points and install events.

What a site's master data would say of this population, so that a gateway can be tried at once.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from adapter.commands.calls import SwitchState
from adapter.commands.flows import SWITCH_KINDS, CommandKind
from adapter.engine.commands.ports import Import
from adapter.model.device import (
    ComponentKind,
    Device,
    InstallEvent,
    InstallStatus,
    MeasuringComponent,
    ServicePoint,
)
from adapter.model.ids import DeviceId, EndpointId, ServicePointId
from adapter.simulator.meters import EPOCH, Meter, Population
from adapter.simulator.seeded import fraction

_ALL: Final = frozenset(kind.value for kind in CommandKind)
_SWITCHES: Final = frozenset(kind.value for kind in SWITCH_KINDS)
_QUARTER_HOUR_S: Final = 900


def device_id(endpoint: EndpointId) -> DeviceId:
    return DeviceId(f"M{endpoint.rpartition('.')[2]}")


def registry_of(population: Population, endpoints: Iterable[EndpointId] | None = None) -> Import:
    """Master data for all meters, or for `endpoints`, in the state they are in now."""
    devices: list[Device] = []
    points: list[ServicePoint] = []
    installs: list[InstallEvent] = []
    named = _named(population)
    for endpoint in population if endpoints is None else endpoints:
        meter = population.find(endpoint)
        if meter is None:
            continue
        groups = _groups(population, meter) | named.get(endpoint, frozenset())
        device = _device(meter, groups, profile=bills_by_profile(population, endpoint))
        point = ServicePointId(f"SP{device.id[1:]}")
        devices.append(device)
        points.append(ServicePoint(id=point, time_zone=meter.zone))
        installs.append(
            InstallEvent(
                device=device.id, service_point=point, installed_at=EPOCH, status=_status(meter)
            )
        )
    return Import(devices=tuple(devices), service_points=tuple(points), installs=tuple(installs))


def registry_parts(population: Population, size: int) -> Iterator[Import]:
    """The same in parts of `size` meters: of a city all at once would fill the memory."""
    endpoints = iter(population)
    while part := tuple(islice(endpoints, size)):
        yield registry_of(population, part)


def _groups(population: Population, meter: Meter) -> frozenset[str]:
    """The planned groups of a meter, without those that a named one hides."""
    planned = {*meter.groups, meter.configuration_group} & {
        *meter.groups,
        *population.plan.configuration_groups,
    }
    return frozenset(planned - population.named_groups.keys())


def _named(population: Population) -> dict[EndpointId, frozenset[str]]:
    found: dict[EndpointId, set[str]] = {}
    for name, members in population.named_groups.items():
        for endpoint in members:
            found.setdefault(endpoint, set()).add(name)
    return {endpoint: frozenset(names) for endpoint, names in found.items()}


def bills_by_profile(population: Population, endpoint: EndpointId) -> bool:
    """Whether the utility bills by the load profile; else by the register. One of both, or every
    order that looks for a measurement would need two kinds of data (ours)."""
    share = population.plan.interval_billed_share
    return bool(share) and fraction(population.plan.seed, endpoint, "billed by") < share


def _device(meter: Meter, groups: frozenset[str], *, profile: bool) -> Device:
    identity = device_id(meter.esn)
    return Device(
        id=identity,
        endpoint=meter.esn,
        serial=meter.serial,
        device_type=meter.device_class,
        configuration_group=meter.configuration_group,
        groups=groups,
        capabilities=_ALL if meter.remote_switch else _ALL - _SWITCHES,
        components=(
            MeasuringComponent(
                id=f"{identity}-R",
                kind=ComponentKind.SCALAR,
                quantity="Wh d",
                unit="kWh",
                billing=not profile,
            ),
            MeasuringComponent(
                id=f"{identity}-L",
                kind=ComponentKind.INTERVAL,
                quantity="Wh d",
                unit="kWh",
                seconds=_QUARTER_HOUR_S,
                billing=profile,
            ),
        ),
    )


def _status(meter: Meter) -> InstallStatus:
    closed = meter.switch is SwitchState.CONNECTED
    if not meter.commissioned:
        return InstallStatus.CONN_PRECOMM if closed else InstallStatus.PENDING
    return InstallStatus.CONN_COMM if closed else InstallStatus.DISCONN_COMM
