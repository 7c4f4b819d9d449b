"""What a crew's report changes in the records: from the facts before and after to the writes."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from adapter.engine.orders.ports import InstallWrite, WorldWrite
from adapter.model.device import Device, DeviceView, InstallStatus
from adapter.orders.completion import CompletionRefused, CompletionReport
from adapter.orders.order import View


def known_device(
    report: CompletionReport,
    view: View,
    arriving: DeviceView | None,
    supported: Callable[[Device], frozenset[str]],
) -> CompletionReport:
    """The report with the registry's own record of the device that was installed.

    Raises CompletionRefused where the two contradict each other, or where the records still have
    the device somewhere else.
    """
    reported = report.new_device
    if reported is None:
        return report
    device = reported
    if arriving is not None:
        device = _agreed(reported, arriving, view)
    elif not device.capabilities and report.new_capabilities:
        device = replace(device, capabilities=report.new_capabilities)
    return replace(report, new_device=device, new_capabilities=supported(device))


def _agreed(reported: Device, arriving: DeviceView, view: View) -> Device:
    known = arriving.device
    if reported.endpoint is not None and reported.endpoint != known.endpoint:
        raise CompletionRefused(
            f"device {known.id} has endpoint {known.endpoint}, not {reported.endpoint}"
        )
    event = arriving.installed
    here = view.service_point.id
    if event is not None and event.removed_at is None and event.service_point != here:
        raise CompletionRefused(
            f"device {known.id} is installed at {event.service_point} by the records"
        )
    return known


def endpoint_free(before: View, after: View, holders: Sequence[DeviceView]) -> None:
    """Raises CompletionRefused for a device that comes with an endpoint which is another's."""
    device = after.device
    if device is None or after.installed == before.installed:
        return
    gone = {each.device.id for each in after.removed}
    others = [each.device.id for each in holders if each.device.id not in {device.id, *gone}]
    if others:
        raise CompletionRefused(
            f"endpoint {device.endpoint} of device {device.id} is that of {', '.join(others)}"
        )


def world_write(before: View, after: View, *, new: bool) -> WorldWrite:
    """The difference as guarded writes. `new` says that the registry lacks an installed device."""
    point = before.service_point != after.service_point
    came = after.device is not None and (before.device is None or before.device != after.device)
    gone = tuple(
        InstallWrite(event=each.event) for each in after.removed if each not in before.removed
    )
    return WorldWrite(
        point_before=before.service_point if point else None,
        point_after=after.service_point if point else None,
        devices=(after.device,) if came and new and after.device is not None else (),
        installs=(*gone, *_installed(before, after)),
        measurements=tuple(
            m
            if m.device is not None or after.device is None
            else replace(m, device=after.device.id)
            for m in after.measurements[len(before.measurements) :]
        ),
    )


def _installed(before: View, after: View) -> tuple[InstallWrite, ...]:
    event, old = after.installed, before.installed
    if event is None or event == old:
        return ()
    planned = old is not None and old.status is InstallStatus.PENDING
    if planned and old is not None and old.device == event.device:
        return (InstallWrite(event=event, replaces=old),)
    return (InstallWrite(event=event),)
