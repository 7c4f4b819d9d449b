"""Master data in dictionaries: the registry's part of the model."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from adapter.engine.commands.ports import Import
from adapter.engine.registry.ports import Known
from adapter.model.device import Device, DeviceView, InstallEvent, ServicePoint
from adapter.model.ids import DeviceId, EndpointId, ServicePointId, endpoint_key
from adapter.model.values import replace

_InstallKey = tuple[DeviceId, ServicePointId, datetime]


def _key(install: InstallEvent) -> _InstallKey:
    return install.device, install.service_point, install.installed_at


def _key_of(device: Device) -> str | None:
    return None if device.endpoint is None else endpoint_key(device.endpoint)


class RegistryModel:
    """Devices, service points and install events; each install event is guarded by its version."""

    def __init__(self) -> None:
        self._devices: dict[DeviceId, Device] = {}
        self._service_points: dict[ServicePointId, ServicePoint] = {}
        self._installs: dict[_InstallKey, InstallEvent] = {}

    def known(self, what: Import) -> Known:
        devices = {each.id for each in what.devices} | {each.device for each in what.installs}
        named = [*what.devices, *(self._devices[id] for id in devices if id in self._devices)]
        keys = {endpoint_key(each.endpoint) for each in named if each.endpoint is not None}
        devices |= {each.id for each in self._devices.values() if _key_of(each) in keys}
        points = {each.id for each in what.service_points}
        points |= {each.service_point for each in what.installs}
        found = [
            each
            for each in self._installs.values()
            if each.device in devices or (each.removed_at is None and each.service_point in points)
        ]
        return Known(
            devices={id: self._devices[id] for id in devices if id in self._devices},
            service_points={
                id: self._service_points[id] for id in points if id in self._service_points
            },
            installs=tuple(
                sorted(found, key=lambda e: (e.device, e.installed_at, e.service_point))
            ),
        )

    def import_(self, what: Import, asked: Import, seen: Known) -> bool:
        """Whether it was written: nothing is where `known(asked)` is not `seen` any more."""
        if self.known(asked) != seen:
            return False
        self._devices.update({item.id: item for item in what.devices})
        self._service_points.update({item.id: item for item in what.service_points})
        for install in what.installs:
            stored = self._installs.get(_key(install))
            version = install.version if stored is None else stored.version + 1
            self._installs[_key(install)] = replace(install, version=version)
        return True

    def unmoved(self, install: InstallEvent) -> bool:
        stored = self._installs.get(_key(install))
        if stored is not None:
            return stored.version == install.version
        mine = [item for item in self._installs.values() if item.device == install.device]
        return install.version == 0 and all(item.removed_at is not None for item in mine)

    def put(self, install: InstallEvent) -> None:
        self._installs[_key(install)] = replace(install, version=install.version + 1)

    def _view(self, device: DeviceId) -> DeviceView:
        mine = [item for item in self._installs.values() if item.device == device]
        installed = max(
            mine,
            key=lambda item: (item.removed_at is None, item.installed_at, item.service_point),
            default=None,
        )
        point = None if installed is None else self._service_points.get(installed.service_point)
        return DeviceView(device=self._devices[device], service_point=point, installed=installed)

    def views(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, DeviceView]:
        return {device: self._view(device) for device in devices if device in self._devices}

    def at_endpoints(
        self, endpoints: Sequence[EndpointId]
    ) -> Mapping[EndpointId, Sequence[DeviceView]]:
        found: dict[EndpointId, Sequence[DeviceView]] = {}
        for endpoint in endpoints:
            key = endpoint_key(endpoint)
            ids = sorted(each.id for each in self._devices.values() if _key_of(each) == key)
            found[endpoint] = [view for view in map(self._view, ids) if view.in_use]
        return found

    def shared_endpoints(self) -> Mapping[EndpointId, Sequence[DeviceView]]:
        keys = sorted({key for each in self._devices.values() if (key := _key_of(each))})
        found = self.at_endpoints([EndpointId(key) for key in keys])
        shared = [views for views in found.values() if len(views) > 1]
        return {endpoint: views for views in shared if (endpoint := views[0].device.endpoint)}

    def members(self, group: str) -> Sequence[DeviceId]:
        return sorted(item.id for item in self._devices.values() if group in item.groups)

    def devices(self, *, after: DeviceId | None, limit: int) -> Sequence[DeviceView]:
        ids = sorted(device for device in self._devices if device > (after or ""))
        return [self._view(device) for device in ids[:limit]]
