"""The children and problems that algorithms put into words."""

from adapter.model.device import InstallStatus
from adapter.orders.activities import BUSINESS_OBJECTS, FIELD_ACTIVITY, ChildKind
from adapter.orders.algorithms.verdict import Error
from adapter.orders.order import ChildSpec, Problem, View


def refuse(code: str, text: str, action: str = "", *, row: str = "", dark: bool = False) -> Error:
    return Error(problem=Problem(code=code, text=text, action=action, dark=dark), row=row)


def field_child(view: View, business_object: str, task: str, **details: str) -> ChildSpec:
    """A field activity at the service point, for the device that is there, if one is."""
    return ChildSpec(
        business_object=business_object or FIELD_ACTIVITY,
        kind=ChildKind.FIELD,
        task=task,
        device=view.device.id if view.device is not None and view.device_installed else None,
        details=details,
    )


def command_child(
    view: View, business_object: str, *, override: InstallStatus | None = None
) -> ChildSpec:
    """A command to the device that is installed now."""
    return ChildSpec(
        business_object=business_object,
        kind=ChildKind.COMMAND,
        command=BUSINESS_OBJECTS[business_object].command,
        device=view.device.id if view.device is not None else None,
        override=override,
    )
