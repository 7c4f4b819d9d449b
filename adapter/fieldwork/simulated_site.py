"""What a simulated crew finds at a service point, what it brings, and what its hands change."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Protocol

from adapter.commands.calls import SwitchState
from adapter.engine.orders.field_work import FieldMessage
from adapter.model.device import (
    ComponentKind,
    Device,
    DisconnectLocation,
    InstallStatus,
)
from adapter.model.ids import DeviceId, EventId
from adapter.model.measurement import Measurement
from adapter.orders.algorithms.rows import NEW_DEVICE
from adapter.orders.lookups import BASE, OrderLookups
from adapter.orders.tasks import FieldEffect
from adapter.simulator.meters import Population, moved


class Street(Protocol):
    def new_device(self, message: FieldMessage) -> Device | None:
        """The device that is installed; None where there is none to bring."""

    def changed(
        self,
        message: FieldMessage,
        effects: Sequence[FieldEffect],
        *,
        device: Device | None,
        disconnect_location: DisconnectLocation | None,
        at: datetime,
    ) -> None:
        """What the crew's hands have done to simulated meters."""

    def read(
        self, message: FieldMessage, device: Device | None, *, cause: EventId, at: datetime
    ) -> tuple[Measurement, ...]:
        """What the registers show, of the device that is brought or else of the one there."""


def wanted_device(message: FieldMessage) -> DeviceId | None:
    """The device that the order names, or that is planned for the place."""
    named = message.details.get(NEW_DEVICE)
    if named:
        return DeviceId(named)
    return message.site.device if message.site.status is InstallStatus.PENDING else None


class UnknownStreet:
    """Nothing is known but what the order says: named devices are brought, no register is read."""

    def new_device(self, message: FieldMessage) -> Device | None:
        wanted = wanted_device(message)
        return None if wanted is None else Device(id=wanted)

    def changed(
        self,
        message: FieldMessage,
        effects: Sequence[FieldEffect],
        *,
        device: Device | None,
        disconnect_location: DisconnectLocation | None,
        at: datetime,
    ) -> None:
        pass

    def read(
        self, message: FieldMessage, device: Device | None, *, cause: EventId, at: datetime
    ) -> tuple[Measurement, ...]:
        return ()


def _is_read(message: FieldMessage, lookups: OrderLookups) -> bool:
    """The register of a smart meter is left to the head end unless the visit is for reading it."""
    task = lookups.task(message.task)
    return task is not None and task.successful == (FieldEffect.MEASURE,)


class SimulatedStreet:
    """Simulated meters and a van of new devices, taken in order or as the order names them.

    `devices` gives what is known of a device; a device without an endpoint has no simulated meter
    and only its registers are read.
    """

    def __init__(
        self,
        devices: Callable[[DeviceId], Device | None],
        *,
        van: Sequence[Device] = (),
        population: Population | None = None,
        seed: int = 1,
        lookups: OrderLookups = BASE,
    ) -> None:
        self._lookups = lookups
        self._devices = devices
        self._van = list(van)
        self._population = population
        self._seed = seed

    def load(self, device: Device) -> None:
        """Put one more new device into the van."""
        self._van.append(device)

    def new_device(self, message: FieldMessage) -> Device | None:
        wanted = wanted_device(message)
        if wanted is not None:
            self._van = [each for each in self._van if each.id != wanted]
            return self._devices(wanted)
        fitting = next((each for each in self._van if each.category is message.site.category), None)
        if fitting is not None:
            self._van.remove(fitting)
        return fitting

    def changed(
        self,
        message: FieldMessage,
        effects: Sequence[FieldEffect],
        *,
        device: Device | None,
        disconnect_location: DisconnectLocation | None,
        at: datetime,
    ) -> None:
        there = self._devices(message.site.device) if message.site.device is not None else None
        touched = device or there
        if touched is None:
            return
        if FieldEffect.TURN_ON in effects:
            self._switch(touched, SwitchState.CONNECTED, at)
        source = disconnect_location is DisconnectLocation.SOURCE
        if FieldEffect.TURN_OFF in effects or (FieldEffect.CUT in effects and not source):
            self._switch(touched, SwitchState.DISCONNECTED, at)

    def _switch(self, device: Device, to: SwitchState, at: datetime) -> None:
        population = self._population
        meter = (
            population.find(device.endpoint)
            if population is not None and device.endpoint is not None
            else None
        )
        if population is not None and meter is not None:
            population.put(moved(meter, to, now=at))

    def read(
        self, message: FieldMessage, device: Device | None, *, cause: EventId, at: datetime
    ) -> tuple[Measurement, ...]:
        known = device
        if known is None and message.site.device is not None:
            known = self._devices(message.site.device)
        if known is None or (known.smart and not _is_read(message, self._lookups)):
            return ()
        return tuple(
            Measurement(
                id=f"{cause}/{component.id}",
                component=component.id,
                at=at,
                value=self._shown(component.id),
                device=known.id,
            )
            for component in known.components
            if component.kind is ComponentKind.SCALAR
        )

    def _shown(self, component: str) -> Decimal:
        wh = Random(f"{self._seed}:{component}").randrange(1_000_000, 90_000_000)
        return Decimal(wh) / 1000
