"""Readings that people enter by hand: from a book, a photograph, another system."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from adapter.commands.timing import in_utc
from adapter.engine.commands.ports import AuditNote, Clock, Store
from adapter.errors import InvalidRequest
from adapter.model.device import DeviceView
from adapter.model.entered_value import BOUND, is_bounded
from adapter.model.ids import DeviceId
from adapter.model.measurement import Entered, Measurement


class EnteredStore(Protocol):
    async def enter_measurements(
        self, measurements: Sequence[Measurement], notes: Sequence[AuditNote]
    ) -> None:
        """Keep them; one with a known id takes the place of the one before."""


class EnteredReadings:
    """`measured` is told of which devices there are measurements now, and looks at once at the
    orders that wait for one."""

    def __init__(
        self,
        store: EnteredStore,
        commands: Store,
        clock: Clock,
        measured: Callable[[Sequence[DeviceId]], Awaitable[None]],
    ) -> None:
        self._store = store
        self._commands = commands
        self._clock = clock
        self._measured = measured

    async def enter(self, readings: Sequence[Measurement], *, by: str) -> None:
        """Take all or none. Of a device, component and time the last one entered counts.

        Raises InvalidRequest naming the reading and the rule.
        """
        devices = list({each.device for each in readings if each.device is not None})
        known = await self._commands.views(devices)
        entered = [
            self._checked(number, each, known.get(each.device) if each.device else None, by)
            for number, each in enumerate(readings, start=1)
        ]
        notes = [
            AuditNote(
                actor=by,
                action="ReadingEntered",
                subject=each.device or "",
                detail={
                    "component": each.component,
                    "at": each.at.isoformat(),
                    "value": str(each.value),
                    "condition": each.condition,
                },
            )
            for each in entered
        ]
        await self._store.enter_measurements(entered, notes)
        await self._measured(devices)

    def _checked(self, number: int, each: Measurement, view: DeviceView | None, by: str) -> Entered:
        """With its id. Raises InvalidRequest."""
        place = f"measurements[{number}]"
        if view is None:
            raise InvalidRequest(f"{place}.device", f"{each.device} is not in the registry")
        components = [component.id for component in view.device.components]
        if each.component not in components:
            rule = f"{each.component} is not one of {', '.join(components) or '(none)'}"
            raise InvalidRequest(f"{place}.component", rule)
        if not is_bounded(each.value):
            raise InvalidRequest(f"{place}.value", f"must be a number of {BOUND}")
        at = in_utc(f"{place}.at", each.at)
        now = self._clock.now()
        if at > now:
            raise InvalidRequest(f"{place}.at", f"{at.isoformat()} has not come yet")
        return Entered(
            id=f"entered/{each.device}/{each.component}/{at.isoformat()}",
            device=each.device,
            component=each.component,
            at=at,
            value=each.value,
            condition=each.condition,
            by=by,
            entered_at=now,
        )
