"""What a child's completion events change in the world: the only thing that changes it.

The engine applies these to stored records; `plan` applies them to a copy. Effects of commands are
`model.device.apply_effect`; those of field work are here. What a crew reports overrules what its
task's name promises: a meter may be off at the meter or at the source, and both must be recorded
truly.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from adapter.commands.flows import FLOWS, CommandKind, Completion
from adapter.errors import GatewayError
from adapter.model.device import (
    Device,
    DeviceView,
    DisconnectLocation,
    InstallEffect,
    InstallEvent,
    InstallStatus,
    OnOff,
    apply_effect,
)
from adapter.model.ids import DeviceId, EventId
from adapter.model.measurement import Measurement
from adapter.model.values import replace
from adapter.orders.order import CONNECT_NEW_DEVICE, DO_NOT_CONNECT, Installation, View
from adapter.orders.tasks import FieldEffect


class CompletionRefused(GatewayError):
    """A report does not fit the records: the child waits in completion error for people."""

    code = "completion_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionReport:
    """What a crew says it did, at `at` (UTC). `cause` makes a repeated report change nothing.

    `not_done` are effects of the task that did not happen; `disconnect_location` where supply was
    opened; `install_status` what a new device was left as; `reading_pending` that readings were
    taken which still have to become final measurements. `site_status` is the site's own name of
    `install_status`. `removed_device` is the one the crew says
    it took away; `remarks` are for people.
    """

    at: datetime
    cause: EventId
    new_device: Device | None = None
    new_capabilities: frozenset[str] = frozenset()
    install_status: InstallStatus | None = None
    site_status: str = ""
    disconnect_location: DisconnectLocation | None = None
    not_done: frozenset[FieldEffect] = frozenset()
    measurements: tuple[Measurement, ...] = ()
    reading_pending: bool = False
    removed_device: DeviceId | None = None
    remarks: tuple[str, ...] = ()


_CLOCKS_APART: Final = timedelta(minutes=5)
"""So far a crew's clock may be ahead of ours. Ours."""
_BEFORE_ORDERED: Final = timedelta(days=1)

_S = InstallStatus
ON_BY_HAND: Final[Mapping[InstallStatus, InstallStatus]] = MappingProxyType(
    {
        _S.MANUAL_OFF: _S.MANUAL_ON,
        _S.DISCONN_COMM: _S.CONN_COMM,
        _S.PRECONN_COMM: _S.CONN_COMM,
        _S.DISCONN_DECOMM: _S.CONN_DECOMM,
    }
)
"""Install status after a crew turned the device on. Inferred; other statuses stay."""

OFF_BY_HAND: Final[Mapping[InstallStatus, InstallStatus]] = MappingProxyType(
    {
        _S.MANUAL_ON: _S.MANUAL_OFF,
        _S.CONN_COMM: _S.DISCONN_COMM,
        _S.CONN_PRECOMM: _S.DISCONN_DECOMM,
        _S.CONN_DECOMM: _S.DISCONN_DECOMM,
    }
)
"""Install status after a crew turned the device off. The product has no "Disconn-PreComm"."""


def install_status(
    device: Device, capabilities: frozenset[str], *, left_off: bool = False
) -> InstallStatus:
    """How a new device is left where the report does not say: `left_off` where the visit is not to
    connect it (D1NC). Ours.

    A smart meter with a remote switch is delivered open and waits for its remote connect; the
    product has no status "disconnected, not yet commissioned", Disconn-Decomm comes nearest.
    """
    if not device.smart:
        return _S.MANUAL_OFF if left_off else _S.MANUAL_ON
    off = left_off or CommandKind.REMOTE_CONNECT in capabilities
    return _S.DISCONN_DECOMM if off else _S.CONN_PRECOMM


def leaves_off(details: Mapping[str, str]) -> bool:
    """Whether a visit with these details leaves a device that it installs off."""
    return details.get(CONNECT_NEW_DEVICE) == DO_NOT_CONNECT


def yet_to_come(at: datetime, now: datetime) -> str:
    """What is wrong with the time of what a crew has done; empty: nothing."""
    return f"{at.isoformat()} has not come yet" if at > now + _CLOCKS_APART else ""


def check_times(report: CompletionReport, *, now: datetime, ordered: datetime | None) -> None:
    """`ordered` is when the visit was, None where people vouch for the report. Raises
    CompletionRefused for what is yet to come, and for work long before anybody asked for it."""
    for at in (report.at, *(each.at for each in report.measurements)):
        if problem := yet_to_come(at, now):
            raise CompletionRefused(problem)
    if ordered is not None and report.at < ordered - _BEFORE_ORDERED:
        text = f"{report.at.isoformat()} is long before the visit was ordered: retry if it is so"
        raise CompletionRefused(text)


def apply_field_work(
    view: View,
    effects: tuple[FieldEffect, ...],
    report: CompletionReport,
    *,
    left_off: bool = False,
) -> View:
    """The facts after field work. `left_off`: a new device is left off unless the report says
    otherwise. Raises CompletionRefused where report and records differ."""
    if _seen(view, report.cause):
        return view
    if left_off and report.install_status is None:
        report = _left_off(view, report)
    for effect in effects:
        if effect not in report.not_done:
            view = _APPLY[effect](view, report)
    return view


def _left_off(view: View, report: CompletionReport) -> CompletionReport:
    device = report.new_device or (view.device if view.status is _S.PENDING else None)
    if device is None:
        return report
    commands = report.new_capabilities if report.new_device is not None else view.capabilities
    return replace(report, install_status=install_status(device, commands, left_off=True))


def _seen(view: View, cause: EventId) -> bool:
    return view.installed is not None and any(e.cause == cause for e in view.installed.history)


def _connect_point(view: View, _report: CompletionReport) -> View:
    return replace(view, service_point=replace(view.service_point, connected=True))


def _open(location: DisconnectLocation) -> Callable[[View, CompletionReport], View]:
    def apply(view: View, _report: CompletionReport) -> View:
        point = replace(view.service_point, connected=False, disconnect_location=location)
        return replace(view, service_point=point)

    return apply


def _install(view: View, report: CompletionReport) -> View:
    planned = view.device if view.status is _S.PENDING else None
    device = report.new_device or planned
    if device is None:
        raise CompletionRefused("the report names no device")
    if view.device_installed:
        raise CompletionRefused(f"device {view.device.id if view.device else ''} is still there")
    if planned is not None and planned.id != device.id:
        raise CompletionRefused(f"device {device.id} was installed, {planned.id} was planned")
    commands = report.new_capabilities if report.new_device is not None else view.capabilities
    status = report.install_status or install_status(device, commands)
    event = InstallEvent(
        device=device.id,
        service_point=view.service_point.id,
        installed_at=report.at,
        status=status,
        site_status=report.site_status,
        history=(OnOff(at=report.at, on=status in _ON, cause=report.cause),),
    )
    return replace(view, device=device, installed=event, capabilities=commands)


_ON: Final = frozenset({_S.MANUAL_ON, _S.CONN_PRECOMM, _S.CONN_COMM, _S.CONN_DECOMM})


def _remove(view: View, report: CompletionReport) -> View:
    if view.device is None or view.installed is None or not view.device_installed:
        raise CompletionRefused("there is no device to remove")
    if report.removed_device not in (None, view.device.id):
        raise CompletionRefused(f"{report.removed_device} was removed, {view.device.id} was there")
    gone = Installation(
        device=view.device,
        event=replace(view.installed, removed_at=report.at),
        capabilities=view.capabilities,
    )
    return replace(
        view, device=None, installed=None, capabilities=frozenset(), removed=(*view.removed, gone)
    )


def _turn(
    table: Mapping[InstallStatus, InstallStatus], *, on: bool
) -> Callable[[View, CompletionReport], View]:
    def apply(view: View, report: CompletionReport) -> View:
        if view.installed is None or not view.device_installed:
            return view
        event = replace(
            view.installed,
            status=table.get(view.installed.status, view.installed.status),
            site_status="",
            history=(
                *view.installed.history,
                OnOff(at=report.at, on=on, cause=report.cause),
            ),
        )
        return replace(view, installed=event)

    return apply


_turn_on, _turn_off = _turn(ON_BY_HAND, on=True), _turn(OFF_BY_HAND, on=False)
_open_source = _open(DisconnectLocation.SOURCE)


def _cut(view: View, report: CompletionReport) -> View:
    """At the device where there is one that is on, unless the crew says otherwise."""
    default = DisconnectLocation.DEVICE if view.on else DisconnectLocation.SOURCE
    at = report.disconnect_location or default
    return (_turn_off if at is DisconnectLocation.DEVICE else _open_source)(view, report)


def _measure(view: View, report: CompletionReport) -> View:
    return replace(
        view,
        measurements=(*view.measurements, *report.measurements),
        reading_on_its_way=view.reading_on_its_way or report.reading_pending,
    )


_APPLY: Final[Mapping[FieldEffect, Callable[[View, CompletionReport], View]]] = MappingProxyType(
    {
        FieldEffect.CONNECT_POINT: _connect_point,
        FieldEffect.OPEN_SOURCE: _open_source,
        FieldEffect.OPEN_AT_DEVICE: _open(DisconnectLocation.DEVICE),
        FieldEffect.INSTALL: _install,
        FieldEffect.REMOVE: _remove,
        FieldEffect.TURN_ON: _turn_on,
        FieldEffect.TURN_OFF: _turn_off,
        FieldEffect.CUT: _cut,
        FieldEffect.MEASURE: _measure,
    }
)

_INSTALL_EFFECTS: Final[Mapping[Completion, InstallEffect]] = MappingProxyType(
    {
        Completion.COMMISSION_DEVICE: InstallEffect.COMMISSION,
        Completion.DECOMMISSION_DEVICE: InstallEffect.DECOMMISSION,
        Completion.CONNECT_DEVICE: InstallEffect.CONNECT,
        Completion.DISCONNECT_DEVICE: InstallEffect.DISCONNECT,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutcome:
    """A command that succeeded: which, on which device, when, and the status it has to set."""

    kind: CommandKind
    device: DeviceId
    at: datetime
    cause: EventId
    override: InstallStatus | None = None
    site_status: str = ""


def apply_command(view: View, outcome: CommandOutcome) -> View:
    """The facts after a command's completion event. A read's measurement comes on its own."""
    completion = FLOWS[outcome.kind].completion
    effect = _INSTALL_EFFECTS.get(completion) if completion is not None else None
    if effect is None:
        return view
    if view.device is not None and view.device.id == outcome.device:
        before = DeviceView(
            device=view.device, service_point=view.service_point, installed=view.installed
        )
        return replace(view, installed=_after(before, effect, outcome))
    removed = tuple(
        replace(each, event=_after_removed(each, view, effect, outcome))
        if each.device.id == outcome.device
        else each
        for each in view.removed
    )
    return replace(view, removed=removed)


def _after(before: DeviceView, effect: InstallEffect, outcome: CommandOutcome) -> InstallEvent:
    return apply_effect(
        before,
        effect,
        at=outcome.at,
        cause=outcome.cause,
        override=outcome.override,
        site_status=outcome.site_status,
    )


def _after_removed(
    gone: Installation, view: View, effect: InstallEffect, outcome: CommandOutcome
) -> InstallEvent:
    before = DeviceView(device=gone.device, service_point=view.service_point, installed=gone.event)
    return _after(before, effect, outcome)
