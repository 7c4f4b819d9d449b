"""The facts that orders look at: master data, and where the measurements come from.

The registry stays the record: it is what completion events change. A service point that it has not
is looked up once, with its devices and install events, and kept; later changes come as imports.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from adapter.engine.commands.ports import Import
from adapter.engine.orders.ports import OrderStore, OrderWorld
from adapter.engine.readings.ports import MeasurementStore
from adapter.engine.registry.imports import ImportRefused, checked
from adapter.errors import GatewayError
from adapter.model.ids import DeviceId, OrderId, ServicePointId
from adapter.model.measurement import Measurement

log = logging.getLogger(__name__)
Keep = Callable[[Import], Awaitable[object]]
"""Raises ImportRefused where it contradicts the records."""


class MasterData(Protocol):
    """A site's own system of service points, devices and install events."""

    async def at(self, point: ServicePointId) -> Import | None:
        """The service point with its devices and their install events, former ones too; None for
        one that is unknown there too. May raise anything: it is asked again."""


class MasterDataFailed(GatewayError):
    """The site's system did not answer, or not with what fits together."""

    code = "master_data"


class Records:
    """The facts that orders look at: the registry's, and the site's where the registry has none."""

    def __init__(self, store: OrderStore, site: MasterData | None, keep: Keep) -> None:
        self._store = store
        self._site = site
        self._keep = keep

    async def world(
        self, point: ServicePointId, order: OrderId, found: OrderWorld | None = None
    ) -> OrderWorld:
        """What is at the service point now; `found` is what the registry has. Raises
        MasterDataFailed."""
        found = found or await self._store.world(point, order)
        if found.service_point is not None or self._site is None:
            return found
        told = await self._ask(self._site, point)
        if told is None:
            return found
        try:
            await self._keep(told)
        except ImportRefused as error:
            raise MasterDataFailed(f"what is told of {point} is not taken: {error}") from error
        log.info("master_data_taken", extra={"service_point": point})
        return await self._store.world(point, order)

    async def _ask(self, site: MasterData, point: ServicePointId) -> Import | None:
        try:
            told = await site.at(point)
            whole = None if told is None else checked(told)
        except ImportRefused as error:
            raise MasterDataFailed(f"what is told of {point} does not fit: {error}") from error
        except Exception as error:
            raise MasterDataFailed(f"{point}: {type(error).__name__}: {error}") from error
        if whole is not None and point not in {each.id for each in whole.service_points}:
            raise MasterDataFailed(f"what is told of {point} does not have it")
        return whole


class MeasurementsFailed(GatewayError):
    """The site's measurement system did not answer: it is asked again."""

    code = "measurements"


class StoredMeasurements:
    """What `readings show` shows: of each channel and time the last revision, with its condition.
    For a site that has no measurement system of its own.

    Nobody validates, edits or estimates here; the condition code is what the head end's status
    words lead to. What crews read is added as it is.
    """

    def __init__(self, data: MeasurementStore, orders: OrderStore) -> None:
        self._data = data
        self._orders = orders

    async def final(
        self, device: DeviceId, start: datetime, end: datetime, *, near: datetime
    ) -> Sequence[Measurement]:
        arrived = await self._data.nearest(device, start, end, near=near)
        return [*arrived, *await self._orders.crew_measurements(device, start, end)]
