"""A device that a crew brings, against the registry: what it has of it, and whether it may come."""

from collections.abc import Callable, Collection, Sequence

from adapter.engine.commands.ports import Import, Store
from adapter.engine.registry.ports import looks_like
from adapter.model.device import Device, DeviceView
from adapter.model.ids import DeviceId
from adapter.model.texts import endpoint_problem, registry_id_problem
from adapter.model.values import replace
from adapter.orders.completion import CompletionRefused, CompletionReport
from adapter.orders.order import View


def known_device(
    report: CompletionReport,
    view: View,
    arriving: DeviceView | None,
    supported: Callable[[Device], frozenset[str]],
    *,
    twin: DeviceId | None = None,
) -> CompletionReport:
    """The report with the registry's own record of the device that was installed.

    `twin` is the known device that people take a new one for. Raises CompletionRefused where there
    is one, where report and record contradict each other, or where the records still have the
    device somewhere else.
    """
    reported = report.new_device
    if reported is None:
        return report
    device = reported
    _check_names(reported)
    if arriving is not None:
        device = agreed(reported, arriving, view)
    elif twin is not None:
        raise CompletionRefused(f"device {looks_like(device.id, twin)}")
    elif not device.capabilities and report.new_capabilities:
        device = replace(device, capabilities=report.new_capabilities)
    return replace(report, new_device=device, new_capabilities=supported(device))


async def twin_of(store: Store, device: DeviceId) -> DeviceId | None:
    """The device of the registry that people take a new one for, by the rule of imports."""
    seen = await store.known(Import(devices=(Device(id=device),)))
    twin = seen.twins.get(("device", device))
    return None if twin is None else DeviceId(twin)


def _check_names(device: Device) -> None:
    """What an import would refuse does not come in by a crew either."""
    named = device.endpoint
    problem = registry_id_problem(device.id) or (None if named is None else endpoint_problem(named))
    if problem is not None:
        raise CompletionRefused(f"device {device.id!r}, endpoint {named!r}: {problem}")


def agreed(reported: Device, arriving: DeviceView, view: View) -> Device:
    """The registry's record of a device that a crew brings. Raises CompletionRefused where they
    contradict each other, or the records have it at another service point."""
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


def check_arrived(before: View, after: View, holders: Sequence[DeviceView]) -> None:
    """Raises CompletionRefused for a device that comes with an endpoint which is another's."""
    device = after.device
    if device is None or after.installed == before.installed:
        return
    gone = {each.device.id for each in after.removed}
    check_endpoint_free(device, holders, {device.id, *gone})


def check_endpoint_free(
    device: Device, holders: Sequence[DeviceView], besides: Collection[DeviceId]
) -> None:
    """Raises CompletionRefused where `holders` of its endpoint has others than those."""
    others = [each.device.id for each in holders if each.device.id not in besides]
    if others:
        raise CompletionRefused(
            f"endpoint {device.endpoint} of device {device.id} is that of {', '.join(others)}"
        )
