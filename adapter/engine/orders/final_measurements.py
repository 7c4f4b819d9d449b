"""The measurements that orders look for, where a site has no measurement system of its own."""

from collections.abc import Sequence
from datetime import datetime

from adapter.engine.orders.ports import OrderStore
from adapter.engine.readings import ports
from adapter.model.ids import DeviceId
from adapter.model.measurement import Measurement


class StoredMeasurements:
    """What `readings show` shows: of each channel and time the last revision, with its condition.

    Nobody validates, edits or estimates here; the condition code is what the head end's status
    words lead to. What crews read is added as it is.
    """

    def __init__(self, data: ports.Measurements, orders: OrderStore) -> None:
        self._data = data
        self._orders = orders

    async def final(
        self, device: DeviceId, start: datetime, end: datetime, *, near: datetime
    ) -> Sequence[Measurement]:
        arrived = await self._data.nearest(device, start, end, near=near)
        return [*arrived, *await self._orders.crew_measurements(device, start, end)]
