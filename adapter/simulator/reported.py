"""Events that meters report by themselves: EventsArrived, to the addresses that get data.

That the data address gets events too is documented; the wrapper is inferred. Which kinds a real
head end has is not known but for two: the others here are made up, and named so that it shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from adapter.model.ids import EndpointId
from adapter.simulator.bodies import wire_time
from adapter.simulator.jobs import Delivery
from adapter.simulator.meters import Population
from adapter.simulator.outages import DOWN, UP
from adapter.simulator.readings import typed
from adapter.simulator.schedule import Schedule
from adapter.simulator.subscriptions import SimulatedSubscriptions

EVENTS_ARRIVED: Final = "EventSubscriberService.EventsArrived"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventKind:
    name: str
    number: int
    category: str
    log_type: str = "Event"


_POWER: Final = "PowerOutageOrRestoration"
KINDS: Final[Mapping[str, EventKind]] = MappingProxyType(
    {
        "power_down": EventKind(name=DOWN[0], number=DOWN[1], category=_POWER),
        "power_up": EventKind(name=UP[0], number=UP[1], category=_POWER),
        "cover_removed": EventKind(
            name="Simulated Cover Removed", number=900_001, category="StatusEvent"
        ),
        "cover_replaced": EventKind(
            name="Simulated Cover Replaced", number=900_002, category="StatusEvent"
        ),
        "clock_set": EventKind(
            name="Simulated Clock Set",
            number=900_003,
            category="CommonOperation",
            log_type="History",
        ),
        "configured": EventKind(
            name="Simulated Configuration Changed",
            number=900_004,
            category="Configuration",
            log_type="History",
        ),
    }
)


@dataclass(slots=True, kw_only=True)
class Reported:
    population: Population
    subscriptions: SimulatedSubscriptions
    schedule: Schedule
    _numbers: int = 10_000

    def tell(
        self,
        endpoints: Sequence[EndpointId],
        kind: EventKind,
        *,
        now: datetime,
        arguments: Mapping[str, str] = MappingProxyType({}),
        times: int = 1,
    ) -> int:
        """One EventsArrived for each meter, `times` over. How many of those named are known."""
        known = [esn for esn in endpoints if self.population.find(esn) is not None]
        self._numbers += 1
        number = self._numbers

        def step(due: datetime) -> list[Delivery]:
            made = [self._delivery(esn, kind, due, number, arguments) for esn in known]
            return [item for each in made for item in each] * times

        self.schedule.put(now, step)
        return len(known)

    def _delivery(
        self,
        esn: EndpointId,
        kind: EventKind,
        at: datetime,
        sequence: int,
        arguments: Mapping[str, str],
    ) -> list[Delivery]:
        row: dict[str, object] = {
            "Timestamp": wire_time(at),
            "Category": kind.category,
            "LogType": kind.log_type,
            "Name": kind.name,
            "ID": kind.number,
            "SequenceNumber": sequence,
        }
        if arguments:
            row["Arguments"] = [
                {"Name": name, "Value": typed("xs:string", value)}
                for name, value in arguments.items()
            ]
        log = {"MeterEvents": [row], "UnreportedEventCount": 0}
        return [
            Delivery(
                operation=EVENTS_ARRIVED,
                address=address,
                body={"input": {"Identifier": esn, "EventLog": log}},
                lane=f"{address} {esn}",
                endpoints=(esn,),
            )
            for address in self.subscriptions.data_addresses()
        ]
