"""The built-in registry: master data in the gateway's own store."""

from collections.abc import Mapping, Sequence

from adapter.engine.commands.ports import Store
from adapter.model.device import DeviceView, InstallEvent
from adapter.model.ids import DeviceId, EndpointId, EventId


class StoreRegistry:
    """Implements the DeviceRegistry port where a site brings none of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def views(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, DeviceView]:
        return await self._store.views(devices)

    async def at_endpoints(
        self, endpoints: Sequence[EndpointId]
    ) -> Mapping[EndpointId, Sequence[DeviceView]]:
        return await self._store.at_endpoints(endpoints)

    async def members(self, group: str) -> Sequence[DeviceId]:
        return await self._store.members(group)

    async def apply(self, installs: Sequence[InstallEvent], cause: EventId) -> None:
        """The change is stored with the completion event itself."""
