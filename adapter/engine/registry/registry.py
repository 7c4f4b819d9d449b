"""Devices and service points: what they are, what stands where, and how they are loaded."""

from collections.abc import Mapping, Sequence

from adapter.engine.commands.ports import AuditEntry, Clock, DeviceRegistry, Import, Store
from adapter.engine.registry.importer import Importer
from adapter.engine.registry.ports import (
    ImportReport,
    PointFilter,
    PointPage,
    ServicePointStore,
    point_subject,
)
from adapter.errors import NotFound
from adapter.model.device import DeviceView
from adapter.model.ids import DeviceId, EndpointId, ServicePointId
from adapter.model.reading import InitialMeasurement
from adapter.model.supply import PointView


class Registry:
    """Load master data, look at devices. What completion events have changed is theirs: an import
    leaves it alone unless it is given a reason.

    Raises InvalidRequest; ImportRefused, with all that is wrong with an import; NotFound; Conflict
    where the devices keep changing meanwhile; StoreFailed.
    """

    def __init__(
        self, store: Store, devices: DeviceRegistry, points: ServicePointStore, clock: Clock
    ) -> None:
        self._store = store
        self._devices = devices
        self._points = points
        self._importer = Importer(store, clock)

    async def start(self) -> None:
        """Look for endpoints that more than one device names."""
        await self._importer.look_at_shared()

    async def import_devices(
        self,
        what: Import,
        *,
        by: str = "api",
        override: str | None = None,
        whole: bool = False,
        dry_run: bool = False,
    ) -> ImportReport:
        """Load master data; see `Importer.load`."""
        return await self._importer.load(
            what, by=by, override=override, whole=whole, dry_run=dry_run
        )

    @property
    def shared_endpoints(self) -> Mapping[EndpointId, Sequence[DeviceView]]:
        """Endpoints that more than one device names: no switch order goes to any of them."""
        return self._importer.shared

    async def devices(
        self, *, after: DeviceId | None = None, limit: int = 100
    ) -> Sequence[DeviceView]:
        """By id."""
        return await self._store.devices(after=after, limit=limit)

    async def device(self, device: DeviceId) -> DeviceView:
        """Raises NotFound."""
        found = await self._devices.views([device])
        if device not in found:
            raise NotFound(f"no device {device}")
        return found[device]

    async def knows_device(self, device: DeviceId) -> bool:
        return device in await self._devices.views([device])

    async def service_points(self, wanted: PointFilter | None = None) -> PointPage:
        """By id: each with its devices, and whether supply gets through."""
        return await self._points.points(wanted or PointFilter())

    async def service_point(self, point: ServicePointId) -> PointView:
        """Raises NotFound."""
        found = await self._points.point(point)
        if found is None:
            raise NotFound(f"no service point {point}")
        return found

    async def changes_at(self, point: ServicePointId) -> Sequence[AuditEntry]:
        """What visits and imports with a reason have changed there, oldest first."""
        return await self._store.audit(subject=point_subject(point))

    async def measurements(self, device: DeviceId) -> Sequence[InitialMeasurement]:
        """What completion events have made of its readings."""
        return await self._store.measurements(device)
