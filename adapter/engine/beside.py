"""What runs beside the commands on the same store, each in a loop of its own."""

from dataclasses import dataclass, field

from adapter.engine.events.events import DeviceEvents
from adapter.engine.orders.orders import Orders
from adapter.engine.readings.entered import EnteredReadings
from adapter.engine.readings.ports import ErrorRecords
from adapter.engine.readings.reports import Reports
from adapter.engine.runner import Once, Runner
from adapter.engine.schedules.schedules import Schedules
from adapter.engine.subscriptions.subscriptions import Subscriptions
from adapter.engine.upkeep.retention import Retention
from adapter.engine.upkeep.set_aside import SetAside
from adapter.errors import NotFound


@dataclass(slots=True)
class Beside:
    """None where there is no such thing; asking for it then raises NotFound."""

    events: DeviceEvents | None = None
    desk: ErrorRecords | None = None
    reports: Reports | None = None
    orders: Orders | None = None
    entered: EnteredReadings | None = None
    schedules: Schedules | None = None
    subscriptions: Subscriptions | None = None
    retention: Retention | None = None
    set_aside: SetAside = field(default_factory=SetAside)
    _runner: Runner | None = field(default=None, init=False)

    @property
    def device_events(self) -> DeviceEvents:
        if self.events is None:
            raise NotFound("this gateway keeps no device events")
        return self.events

    @property
    def intake_desk(self) -> ErrorRecords:
        if self.desk is None:
            raise NotFound("this gateway's store keeps no payloads")
        return self.desk

    @property
    def payload_reports(self) -> Reports:
        if self.reports is None:
            raise NotFound("this gateway's store keeps no payloads")
        return self.reports

    @property
    def service_orders(self) -> Orders:
        if self.orders is None:
            raise NotFound("this gateway's store keeps no service orders")
        return self.orders

    @property
    def entered_readings(self) -> EnteredReadings:
        if self.entered is None:
            raise NotFound("this gateway's store keeps no service orders")
        return self.entered

    @property
    def read_schedules(self) -> Schedules:
        if self.schedules is None:
            raise NotFound("this gateway keeps no schedules")
        return self.schedules

    @property
    def kept_subscriptions(self) -> Subscriptions:
        if self.subscriptions is None:
            raise NotFound("this gateway keeps no subscriptions")
        return self.subscriptions

    @property
    def kept_rows(self) -> Retention:
        if self.retention is None:
            raise NotFound("this gateway's store keeps all rows")
        return self.retention

    def start(self) -> None:
        loops: dict[str, Once] = {}
        if self.events is not None:
            loops["events"] = self.events.once
        if self.schedules is not None:
            loops["schedules"] = self.schedules.once
        if self.subscriptions is not None:
            loops["subscriptions"] = self.subscriptions.once
        if self.retention is not None:
            loops["retention"] = self.retention.once
        self._runner = Runner(loops)
        self._runner.start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.stop()
            self._runner = None
