"""AddMeterDefinitions and DeregisterMeters: answered at once, without a token.

What the vendor's reply holds is not published; here it is a Result and a list of failures.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapter.commands.calls import FailureReason
from adapter.model.ids import EndpointId
from adapter.model.values import replace
from adapter.simulator.bodies import Body, failure_list, items, part, text
from adapter.simulator.jobs import Delivery, FaultRaised
from adapter.simulator.meters import Failed, Population, addressable
from adapter.simulator.schedule import Schedule
from adapter.simulator.settings import SimulatorConfig
from adapter.simulator.work import Worker

ADD_METERS = "ProvisioningService.AddMeterDefinitions"
DEREGISTER = "ProvisioningService.DeregisterMeters"


@dataclass(slots=True, kw_only=True)
class Provisioning:
    config: SimulatorConfig
    population: Population
    schedule: Schedule
    worker: Worker

    def add(self, body: Body, *, now: datetime) -> dict[str, object]:
        """Define meters at the head end; each registers now, or `registration_s` later."""
        given = part(body, "input")
        group = text(given, "ConfigurationGroupName")
        named = _named(given)
        failures: dict[EndpointId, Failed] = {}
        for esn in named:
            failed = self.worker.refusal(ADD_METERS, esn) or self._define(esn, group, now)
            if failed is not None:
                failures[esn] = failed
        return {"AddMeterDefinitionsResult": self._result(named, failures)}

    def deregister(self, body: Body) -> dict[str, object]:
        named = _named(part(body, "input"))
        failures: dict[EndpointId, Failed] = {}
        for esn in named:
            failed = self.worker.refusal(DEREGISTER, esn) or self._deregister(esn)
            if failed is not None:
                failures[esn] = failed
        return {"DeregisterMetersResult": self._result(named, failures)}

    def _define(self, esn: EndpointId, group: str, now: datetime) -> Failed | None:
        meter = self.population.find(esn)
        if meter is None:
            if not self.config.answers.add_unknown_meters:
                return addressable(None, esn)
            meter = self.population.new(esn, group)
        wait = self.config.timing.registration_s
        self.population.put(
            replace(
                meter,
                commissioned=True,
                registered=meter.registered or not wait,
                configuration_group=group or meter.configuration_group,
            )
        )
        if wait and not meter.registered:
            self.schedule.put(now + timedelta(seconds=wait), lambda _: self._register(esn))
        return None

    def _register(self, esn: EndpointId) -> list[Delivery]:
        meter = self.population.find(esn)
        if meter is not None and meter.commissioned:
            self.population.put(replace(meter, registered=True))
        return []

    def _deregister(self, esn: EndpointId) -> Failed | None:
        meter = self.population.find(esn)
        if meter is None:
            return addressable(None, esn)
        if not meter.commissioned:
            return Failed(
                reason=FailureReason.TARGET_NOT_REGISTERED, description=f"{esn} is not registered."
            )
        self.population.put(replace(meter, registered=False, commissioned=False))
        return None

    def _result(
        self, named: tuple[EndpointId, ...], failures: Mapping[EndpointId, Failed]
    ) -> dict[str, object]:
        if not failures:
            return {"Result": "Success"}
        result = self.config.answers.mixed if len(failures) < len(named) else "Failure"
        return {"Result": result, "EndpointFailureResult": failure_list(failures)}


def _named(given: Body) -> tuple[EndpointId, ...]:
    name = "ElectronicSerialNumbers"
    named = tuple(dict.fromkeys(items(given, name)))
    if not named or not all(named):
        raise FaultRaised("ArgumentFault", f"{name} must not be empty.", ParameterName=name)
    return tuple(map(EndpointId, named))
