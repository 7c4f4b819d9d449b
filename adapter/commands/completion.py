"""Completion events: COMPLETION_MACHINE, and what each one changes in the model.

It carries what the head end did into the registry, by its own record and apart from the reply, so
that it can be tried again without sending the command again. It may never be executed twice, nor be
taken back once executed; in error it waits for the next try or for people. Pure; the engine stores
the change. Documented are Pending, Executed and Discarded; Error is ours.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from adapter.commands.activity import Command, CompletionEvent, CompletionState
from adapter.commands.calls import Reading, ReadingKind
from adapter.commands.events import (
    CompletionChange,
    CompletionDiscarded,
    CompletionExecuted,
    CompletionFailed,
    CompletionRetried,
)
from adapter.commands.flows import EFFECT_OF, FLOWS, INTERVAL_KINDS, Completion
from adapter.model.device import (
    ComponentKind,
    Device,
    DeviceView,
    InstallEffect,
    InstallEvent,
    MeasuringComponent,
    apply_effect,
)
from adapter.model.reading import InitialMeasurement, InitialValue
from adapter.model.state_machine import StateMachine
from adapter.model.values import replace_struct as replace

S = CompletionState
COMPLETION_MACHINE: Final[StateMachine[CompletionState, CompletionChange]] = StateMachine(
    name="completion event",
    states=CompletionState,
    start=S.PENDING,
    final=frozenset({S.EXECUTED, S.DISCARDED}),
    arrows={
        (S.PENDING, CompletionExecuted): {S.EXECUTED},
        (S.PENDING, CompletionFailed): {S.ERROR},
        (S.PENDING, CompletionDiscarded): {S.DISCARDED},
        (S.ERROR, CompletionRetried): {S.PENDING},
        (S.ERROR, CompletionDiscarded): {S.DISCARDED},
        (S.EXECUTED, CompletionExecuted): {S.EXECUTED},
    },
)

_EFFECT: Final[Mapping[Completion | None, InstallEffect]] = MappingProxyType(
    {FLOWS[kind].completion: effect for kind, effect in EFFECT_OF.items()}
)


def step_completion(completion: CompletionEvent, change: CompletionChange) -> CompletionEvent:
    """Apply one event. Raises IllegalTransition."""
    of = f"completion event {completion.id}"
    to = COMPLETION_MACHINE.follow(completion.state, type(change), of=of)
    match change:
        case CompletionExecuted():
            return replace(completion, state=to, error="")
        case CompletionFailed(error=error):
            return replace(completion, state=to, error=error, tries=completion.tries + 1)
        case CompletionRetried() | CompletionDiscarded():
            return replace(completion, state=to)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldChange:
    """What a completion event changes; applying it twice changes nothing more."""

    installs: tuple[InstallEvent, ...] = ()
    measurements: tuple[InitialMeasurement, ...] = ()


def execute(
    command: Command,
    event: CompletionEvent,
    views: Sequence[DeviceView],
    readings: Iterable[Reading],
) -> WorldChange:
    """What `event` changes, given the devices as they are and the readings that arrived.

    Raises InstallRefused when the install event has no arrow for it: the event waits in error,
    and is retried without sending the command again.
    """
    effect = _EFFECT.get(event.kind)
    if effect is None:
        return WorldChange(measurements=_measurements(command, event, views, readings))
    request = command.request
    armed = effect is InstallEffect.CONNECT and request.user_intervention_required
    changed = tuple(
        apply_effect(
            view,
            effect,
            at=event.at,
            cause=event.id,
            armed=armed,
            override=request.install_status_override,
            site_status=request.site_install_status,
        )
        for view in views
    )
    return WorldChange(installs=changed)


def _measurements(
    command: Command,
    event: CompletionEvent,
    views: Sequence[DeviceView],
    readings: Iterable[Reading],
) -> tuple[InitialMeasurement, ...]:
    """One IMD for each device, quantity and kind that the command asked for.

    Only quantities that the device is configured for are kept; a device without any configured
    component keeps all.
    """
    wanted = (
        ReadingKind.INTERVAL if command.request.kind in INTERVAL_KINDS else ReadingKind.REGISTER
    )
    by_endpoint = {view.device.endpoint: view for view in views}
    groups: dict[tuple[str, str, int], list[Reading]] = {}
    for reading in readings:
        if reading.kind is wanted and reading.endpoint in by_endpoint:
            key = (reading.endpoint, same_quantity(reading.quantity), reading.seconds)
            groups.setdefault(key, []).append(reading)
    made: list[InitialMeasurement] = []
    for (endpoint, quantity, seconds), rows in sorted(groups.items()):
        view = next(v for e, v in by_endpoint.items() if e == endpoint)
        component = component_for(view, quantity, wanted, seconds=seconds)
        if component is not None:
            made.append(_measurement(view, component, wanted, quantity, seconds, rows, event))
    return tuple(made)


def same_quantity(quantity: str) -> str:
    """`Whd` and `Wh d` both occur and mean the same (known)."""
    return "".join(quantity.lower().split())


def component_for(
    view: DeviceView, quantity: str, kind: ReadingKind, *, seconds: int = 0
) -> str | None:
    """The id of the component that takes this quantity, of several the one of this interval
    length; None where the device has none for it."""
    if not view.device.components:
        return f"{view.device.id}:{quantity}"
    found = components_for(view.device, quantity, kind)
    usual = found[0].id if found else None
    return next((each.id for each in found if each.seconds == seconds), usual)


def components_for(
    device: Device, quantity: str, kind: ReadingKind
) -> Sequence[MeasuringComponent]:
    """The device's components for this quantity and kind."""
    wanted = ComponentKind.INTERVAL if kind is ReadingKind.INTERVAL else ComponentKind.SCALAR
    return [
        each
        for each in device.components
        if each.kind is wanted and same_quantity(each.quantity) == quantity
    ]


def _measurement(
    view: DeviceView,
    component: str,
    kind: ReadingKind,
    quantity: str,
    seconds: int,
    rows: list[Reading],
    event: CompletionEvent,
) -> InitialMeasurement:
    # Of several at one time the best counts: the last one of these stays.
    rows = sorted(rows, key=lambda row: (row.at, row.value is not None, row.condition or 0))
    ordered = list({row.at: row for row in rows}.values())
    if kind is ReadingKind.REGISTER:
        ordered = ([row for row in ordered if row.value is not None] or ordered)[-1:]
    start, end = ordered[0].at - timedelta(seconds=seconds), ordered[-1].at
    interval = kind is ReadingKind.INTERVAL
    return InitialMeasurement(
        id=f"{view.device.id}:{component}:{kind}:{start.isoformat()}:{end.isoformat()}",
        device=view.device.id,
        component=component,
        kind=ComponentKind.INTERVAL if interval else ComponentKind.SCALAR,
        quantity=rows[0].quantity,
        start=start,
        end=end,
        seconds=seconds,
        values=tuple(
            InitialValue(at=row.at, value=row.value, statuses=row.statuses, condition=row.condition)
            for row in ordered
        ),
        cause=event.id,
    )
