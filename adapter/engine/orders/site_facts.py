"""What an order is decided on that is not its own, put together from wherever it is kept.

Each part is as it is at the moment it is asked for.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from adapter.commands.flows import OPENING_KINDS
from adapter.commands.rules import switch_lanes
from adapter.engine.commands.ports import Clock, Store
from adapter.engine.orders.arriving_device import twin_of
from adapter.engine.orders.facts import MeasurementsFailed, Records, StoredMeasurements
from adapter.engine.orders.ports import (
    Child,
    FinalMeasurements,
    OrderRecord,
    OrderRules,
    OrderWorld,
)
from adapter.engine.orders.unit_of_work import SiteFacts
from adapter.errors import StoreFailed
from adapter.model.device import Device, DeviceView
from adapter.model.ids import CommandId, DeviceId, OrderId
from adapter.model.measurement import Measurement
from adapter.orders.order import ActivityType, Installation, OrderKind, ServiceOrder, View


class SiteFactsReader:
    """`command_store` is where the commands and the devices are kept."""

    def __init__(
        self,
        records: Records,
        command_store: Store,
        measurements: FinalMeasurements,
        clock: Clock,
        rules: OrderRules,
    ) -> None:
        self.records = records
        self._command_store = command_store
        self._measurements = measurements
        self._clock = clock
        self._rules = rules

    async def of(
        self, case: OrderRecord, world: OrderWorld | None, arriving: Device | None
    ) -> SiteFacts:
        """`world` is what the registry has, where that is loaded; `arriving` a device that a crew
        reports as installed. Raises MasterDataFailed, MeasurementsFailed."""
        order = case.order
        world = await self.records.world(order.service_point, order.id, world)
        records = await self.view(order, world, case.children)
        if arriving is None:
            return SiteFacts(records=records, others=world.other_tasks)
        known = (await self._command_store.views([arriving.id])).get(arriving.id)
        return SiteFacts(
            records=records,
            others=world.other_tasks,
            arriving=known,
            holders=await self._holders(arriving if known is None else known.device),
            twin=await twin_of(self._command_store, arriving.id),
        )

    async def view(
        self, order: ServiceOrder, world: OrderWorld, children: Sequence[Child] = ()
    ) -> View | None:
        """The facts of an order; None without its service point or its activity type."""
        type_ = self._rules.activity_type(order.activity_type)
        point = world.service_point
        if type_ is None or point is None:
            return None
        schedule = self._rules.schedules.get(point.measurement_cycle)
        read = self._rules.reads_measurements(order.kind) or _reading_pending(children)
        found = await self._final(order, type_, world) if read else ()
        off = None
        if order.kind is OrderKind.RECONNECT:
            off = await self.disconnect_open(world.device, order.id)
        return View(
            now=self._clock.now(),
            service_point=point,
            activity_type=type_,
            device=world.device,
            installed=world.installed,
            removed=tuple(
                Installation(device=device, event=event, capabilities=self._rules.supported(device))
                for device, event in world.removed
            ),
            capabilities=self._rules.supported(world.device),
            measurements=found,
            scheduled_reads=schedule.reads if schedule is not None else (),
            reading_on_its_way=_on_its_way(children, found),
            children=tuple(child.fact for child in children),
            disconnect_open=off,
            open_orders=world.open_orders,
            lookups=self._rules.configuration.lookups,
        )

    async def disconnect_open(self, device: Device | None, order: OrderId) -> CommandId | None:
        """A disconnect of the device that is not the order's own and not over."""
        if device is None or not device.smart:
            return None
        holders = await self._command_store.holders(switch_lanes(device))
        commands = await self._command_store.load(sorted(set(holders.values())))
        opening = (
            each.id
            for each in commands.values()
            if each.request.kind in OPENING_KINDS and each.request.order != order
        )
        return next(opening, None)

    async def _final(
        self, order: ServiceOrder, type_: ActivityType, world: OrderWorld
    ) -> tuple[Measurement, ...]:
        day = timedelta(days=1)
        start = order.service_at - (type_.minimum_offset_days + 2) * day
        end = order.service_at + (type_.maximum_offset_days + 2) * day
        near = order.service_at
        devices = [] if world.device is None else [world.device.id]
        for device, event in world.removed:
            there = event.removed_at is None or event.removed_at >= start
            if there and device.id not in devices:
                devices.append(device.id)
        found: list[Measurement] = []
        for each in devices:
            found += await self._final_of(each, start, end, near)
        return tuple(found)

    async def _final_of(
        self, device: DeviceId, start: datetime, end: datetime, near: datetime
    ) -> Sequence[Measurement]:
        try:
            return await self._measurements.final(device, start, end, near=near)
        except StoreFailed:
            raise
        except Exception as error:
            if isinstance(self._measurements, StoredMeasurements):
                raise
            text = f"{device}: {type(error).__name__}: {error}"
            raise MeasurementsFailed(text) from error

    async def _holders(self, device: Device) -> Sequence[DeviceView]:
        """The devices that name the endpoint of one that a crew reports."""
        if device.endpoint is None:
            return ()
        return (await self._command_store.at_endpoints([device.endpoint]))[device.endpoint]


def _reading_pending(children: Sequence[Child]) -> bool:
    reports = (child.field.report for child in children if child.field is not None)
    return any(report is not None and report.reading_pending for report in reports)


def _on_its_way(children: Sequence[Child], found: Sequence[Measurement]) -> bool:
    """Whether a crew took readings that are no final measurements yet."""
    for child in children:
        report = child.field.report if child.field is not None else None
        pending = report is not None and report.reading_pending
        if pending and not any(each.at >= child.fact.created_at for each in found):
            return True
    return False
