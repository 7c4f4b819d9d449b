"""Completion events: what a command changes in the registry and in the measurements, once.

The built-in registry changes in the transaction that saves the command
(`store/commands/writing.py`). A site's own changes before it: a stop between the two repeats the
event, which then changes nothing more (`model/device.py`, `apply_effect`) (I2).
"""

from collections.abc import Sequence

from adapter.commands.activity import Command, CompletionEvent, CompletionState
from adapter.commands.calls import Reading
from adapter.commands.completion import WorldChange, execute
from adapter.commands.events import CompletionExecuted, CompletionFailed
from adapter.commands.flows import Completion
from adapter.engine import crash_points
from adapter.engine.commands.apply import Applier, SavedWith
from adapter.engine.commands.awaited import MANY, sought
from adapter.engine.commands.ports import Clock, DeviceRegistry
from adapter.engine.readings.ports import MeasurementStore
from adapter.engine.tracing import SpanName, span
from adapter.errors import GatewayError
from adapter.model.reading import not_regular


class Completer:
    def __init__(
        self, data: MeasurementStore, registry: DeviceRegistry, applier: Applier, clock: Clock
    ) -> None:
        self._data = data
        self._registry = registry
        self._applier = applier
        self._clock = clock

    async def execute(self, command: Command, event: CompletionEvent) -> None:
        """Change the world, then say so; what is refused waits in error. Raises Conflict where
        the registry moved under the event."""
        with span(
            SpanName.COMPLETION,
            command.activity.trace,
            command=command.id,
            order=command.request.order or "",
            operation=event.kind,
            endpoints=len(command.targets),
        ) as traced:
            traced.set("outcome", await self._execute(command, event))

    async def _execute(self, command: Command, event: CompletionEvent) -> CompletionState:
        """What the event is then."""
        try:
            change = await self._change(command, event)
            await self._registry.apply(change.installs, event.id)
        except GatewayError as error:
            failed = CompletionFailed(event=event.id, error=str(error))
            await self._applier.apply(command.id, failed)
            return CompletionState.ERROR
        crash_points.reached("completion.before_apply")
        await self._applier.apply(
            command.id,
            CompletionExecuted(event=event.id, note=not_regular(change.measurements)),
            SavedWith(installs=change.installs, measurements=change.measurements),
        )
        crash_points.reached("completion.after_apply")
        return CompletionState.EXECUTED

    async def _change(self, command: Command, event: CompletionEvent) -> WorldChange:
        readings: Sequence[Reading] = ()
        if event.kind is Completion.CREATE_IMD:
            if len(command.targets) > MANY:
                # The intake made the measurements; a second copy of a city's day is of no use.
                return WorldChange()
            readings = await self._readings(command)
        devices = [target.device for target in command.targets]
        views = await self._registry.views(devices)
        known = [views[device] for device in devices if device in views]
        return execute(command, event, known, readings)

    async def _readings(self, command: Command) -> Sequence[Reading]:
        endpoints = [target.endpoint for target in command.targets]
        what = sought(command.request, command.activity.created_at, self._clock.now())
        return await self._data.readings_of(endpoints, *what)
