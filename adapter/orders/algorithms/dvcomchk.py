"""D1-DVCOMCHK, Customer-Device Compatibility Check."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from adapter.orders.activities import INCOMPATIBLE_DEVICE, ChildKind
from adapter.orders.algorithms.reader import ParameterReader
from adapter.orders.algorithms.verdict import (
    Create,
    Customs,
    Pass,
    Verdict,
    Wait,
    field_child,
    refuse,
)
from adapter.orders.order import ServiceOrder, View

LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "activity_bo": "Activity BO To Create If Compatibility Detected",
        "field_task": "(ours) field task of that activity",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompatibilityCheckParameters:
    """D1-DVCOMCHK. `task` is ours: the field task of the activity, where the object has none."""

    activity_bo: str = INCOMPATIBLE_DEVICE
    task: str = "D1-ExchangeMeter"


def parse(read: ParameterReader) -> CompatibilityCheckParameters:
    default = CompatibilityCheckParameters()
    return CompatibilityCheckParameters(
        activity_bo=read.activity("activity_bo", default.activity_bo, ChildKind.FIELD),
        task=read.task("field_task", default.task),
    )


def check_compatibility(
    order: ServiceOrder, view: View, params: CompatibilityCheckParameters, customs: Customs
) -> Verdict:
    """D1-DVCOMCHK: run the activity type's own check; the base package ships none."""
    name = view.activity_type.compatibility_algorithm
    if not name:
        return Pass(note="the activity type has no compatibility algorithm")
    if not view.device_installed:
        return Pass(note="no device installed")  # ours
    check = customs.compatibility.get(name)
    if check is None:
        return refuse("algorithm_missing", f"compatibility algorithm {name} is not installed")
    if check(order, view):
        return Pass(note="compatible")
    own = view.of(params.activity_bo)
    waiting = next((child for child in own if not child.final), None)
    if waiting is not None:
        return Wait(child=waiting.id)  # ours: never a second one
    if any(child.completed and child.number > order.first_of_retry for child in own):
        return refuse(
            "incompatible",
            "the device is still incompatible after the work that was to change it",
            "look at the device, then retry",
        )  # ours
    return Create(child=field_child(view, params.activity_bo, params.task))
