"""D1-DCRMMTR, Decommission Removed Meter."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from adapter.commands.flows import EFFECT_OF, CommandKind
from adapter.model.device import COMMISSIONED, InstallEffect
from adapter.orders.activities import ChildKind
from adapter.orders.algorithms.mnemonics import Grammar, RowList, parse_row
from adapter.orders.algorithms.reader import ParameterReader
from adapter.orders.algorithms.rows import OLD_DEVICE
from adapter.orders.algorithms.verdict import Create, Pass, Verdict, Wait
from adapter.orders.order import ChildSpec, Installation, ServiceOrder, View

LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "activity": "Decommission Activity BO to be created",
        "blocking": "(ours) whether a failed decommissioning stops the order",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecommissionRemoved:
    """D1-DCRMMTR. `blocking` is ours: the old meter may never answer again."""

    activity_bo: str = "D1-DeviceDecommission"
    blocking: bool = True


def parse(read: ParameterReader) -> DecommissionRemoved:
    text = read.text("activity", "activityBOToCreate=D1-DeviceDecommission")
    row = parse_row(
        text, 1, RowList(where=read.where, grammar=Grammar.DECOMMISSION, lookups=read.lookups)
    )
    command = read.lookups.objects[row.business_object].command
    if command is None or EFFECT_OF.get(command) is not InstallEffect.DECOMMISSION:
        raise read.fail("activity", f"{row.business_object} does not decommission")
    return DecommissionRemoved(
        activity_bo=row.business_object, blocking=read.flag("blocking", True)
    )


def decommission_removed(order: ServiceOrder, view: View, params: DecommissionRemoved) -> Verdict:
    """D1-DCRMMTR: take the meter that left the service point off the head end (steps inferred)."""
    old = removed_device(order, view)
    if old is None:
        return Pass(note="no device was removed")
    if not old.device.smart or old.event.status not in COMMISSIONED:
        return Pass(note=f"removed device {old.device.id} is not commissioned")
    own = [c for c in view.of(params.activity_bo) if c.spec.device == old.device.id]
    if any(child.completed for child in own):
        return Pass(note="decommissioned")
    if own and not own[-1].final:
        return Wait(child=own[-1].id)
    if own and not params.blocking:
        return Pass(note=f"decommissioning ended as {own[-1].state}; configured not to block")
    if CommandKind.DEVICE_DECOMMISSIONING not in old.capabilities:
        return Pass(note=f"removed device {old.device.id} supports no decommissioning")
    return Create(
        child=ChildSpec(
            business_object=params.activity_bo,
            kind=ChildKind.COMMAND,
            command=view.lookups.objects[params.activity_bo].command,
            device=old.device.id,
            blocking=params.blocking,
        )
    )


def removed_device(order: ServiceOrder, view: View) -> Installation | None:
    """The device that the order's own exchange took away, else the last one removed since."""
    named = {c.spec.details.get(OLD_DEVICE) for c in view.children if c.completed}
    gone = [each for each in view.removed if each.event.removed_at is not None]
    ours = [each for each in gone if each.device.id in named]
    if not ours:
        ours = [g for g in gone if g.event.removed_at and g.event.removed_at >= order.created_at]
    current = view.device.id if view.device is not None and view.device_installed else None
    return next((each for each in reversed(ours) if each.device.id != current), None)
