"""Power outages: meters that go dark for a while, and the exceptions the head end tells of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from adapter.model.ids import EndpointId
from adapter.model.values import replace
from adapter.simulator.bodies import wire_time
from adapter.simulator.jobs import Delivery
from adapter.simulator.meters import Population
from adapter.simulator.schedule import Schedule
from adapter.simulator.settings import SimulatorConfig
from adapter.simulator.subscriptions import SimulatedSubscriptions

EXCEPTIONS_ARRIVED: Final = "ExceptionSubscriberService.ExceptionsArrived"
DOWN: Final = ("Primary Power Down", 18_001)
UP: Final = ("Primary Power Up", 18_002)
"""The only two exceptions whose names and numbers are known."""


@dataclass(slots=True, kw_only=True)
class Outages:
    config: SimulatorConfig
    population: Population
    subscriptions: SimulatedSubscriptions
    schedule: Schedule

    def begin(self, endpoints: Sequence[EndpointId], *, seconds: float, now: datetime) -> int:
        """Take the supply from meters for a while. How many of those named are known."""
        end = now + timedelta(seconds=seconds)
        dark: list[EndpointId] = []
        numbers: dict[EndpointId, int] = {}
        for esn in endpoints:
            meter = self.population.find(esn)
            if meter is None or not meter.reachable:
                continue
            dark.append(esn)
            numbers[esn] = 2 * len(meter.outages)
            outages = (*meter.outages, (now, end))
            self.population.put(replace(meter, reachable=False, outages=outages))
        self.schedule.put(now, lambda due: self._tell(numbers, DOWN, due))
        self.schedule.put(end, lambda due: self._restore(numbers, due))
        return len(dark)

    def _restore(self, numbers: Mapping[EndpointId, int], now: datetime) -> list[Delivery]:
        for esn in numbers:
            meter = self.population.find(esn)
            if meter is not None:
                self.population.put(replace(meter, reachable=True))
        return self._tell({esn: at + 1 for esn, at in numbers.items()}, UP, now)

    def _tell(
        self, numbers: Mapping[EndpointId, int], what: tuple[str, int], now: datetime
    ) -> list[Delivery]:
        """`numbers` are the sequence numbers, those of the meters' own event logs."""
        name, number = what
        size = self.config.limits.meters_per_message
        deliveries: list[Delivery] = []
        for address, wanted in self.subscriptions.for_exceptions(self.population):
            told = [esn for esn in numbers if not wanted or esn in wanted]
            for first in range(0, len(told), size):
                portion = tuple(told[first : first + size])
                rows = [_exception(esn, name, number, now, numbers[esn]) for esn in portion]
                deliveries.append(
                    Delivery(
                        operation=EXCEPTIONS_ARRIVED,
                        address=address,
                        body={"input": {"MeterExceptionCollection": rows}},
                        lane=address,
                        endpoints=portion,
                    )
                )
        return deliveries


def _exception(
    esn: EndpointId, name: str, number: int, now: datetime, sequence: int
) -> dict[str, object]:
    return {
        "ElectronicSerialNumber": esn,
        "ReceivedWhen": wire_time(now),
        "ExceptionCategory": "PowerOutageOrRestoration",
        "Name": name,
        "ID": number,
        "Timestamp": wire_time(now),
        "SequenceNumber": sequence,
    }
