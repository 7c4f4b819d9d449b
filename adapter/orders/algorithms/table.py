"""The algorithm types of "Are SP and Device Ready?" as pure functions of order, facts, parameters.

Each acts only if the world still needs it, for every pass starts again from the first (documented).
Steps marked (inferred) or (ours) are not in the source. D1-CHKMSMT is in `chkmsmt.py`, D1-REMONOFF
in `remonoff.py`; D1-CANSPACT and D1-UPDSPAC, which act for another kind of activity, are in
`orders/maintenance.py`.
"""

from dataclasses import replace
from typing import Final

from adapter.commands.flows import CommandKind
from adapter.model.device import COMMISSIONED, Category
from adapter.orders.activities import BUSINESS_OBJECTS, ChildKind
from adapter.orders.algorithms.chkmsmt import check_measurement
from adapter.orders.algorithms.remonoff import remote_off_on
from adapter.orders.algorithms.row_match import first_match, matches
from adapter.orders.algorithms.rows import (
    SKIP,
    CheckMeasurement,
    CompatibilityCheckParameters,
    ConnectIfConnectedBefore,
    CreateMeterExchange,
    CreateSpecificActivity,
    CustomFunction,
    DecommissionRemoved,
    MaintainSpecificActivity,
    MissingService,
    Parameters,
    RemoteOffOn,
    Row,
    UpdateDevice,
)
from adapter.orders.algorithms.specs import command_child, field_child, refuse
from adapter.orders.algorithms.verdict import (
    Create,
    Customs,
    Pass,
    SetField,
    Verdict,
    Wait,
)
from adapter.orders.order import (
    CONNECT_NEW_DEVICE,
    DO_CONNECT,
    DO_NOT_CONNECT,
    ChildSpec,
    ChildState,
    Installation,
    ServiceOrder,
    View,
)
from adapter.orders.tasks import field_task

OLD_DEVICE: Final = "oldDevice"
NEW_DEVICE: Final = "newDevice"
"""The element of an order that says which device to install."""


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


def connect_if_connected_before(
    order: ServiceOrder, view: View, _params: ConnectIfConnectedBefore
) -> Verdict:
    """D1-CONPRECON: fill the empty flag from the old device; never override a value.

    A device behind an open source is not connected (inferred).
    """
    if order.fields.get(CONNECT_NEW_DEVICE):
        return Pass(note="the flag has a value")
    connected = view.on and view.service_point.connected
    return SetField(fields={CONNECT_NEW_DEVICE: DO_CONNECT if connected else DO_NOT_CONNECT})


def create_specific_activity(
    order: ServiceOrder, view: View, params: CreateSpecificActivity, customs: Customs
) -> Verdict:
    """D1-CRSPACT: the first row that matches the service point says what to create.

    The activity type's zone rows come first, being local (ours).
    """
    row = first_match((*view.activity_type.point_rows, *params.rows), view)
    if row is None:
        return Pass(note="no row matches: nothing to install or connect")
    if row.execute_override:
        return _override(order, view, row, params.field_activity_bo, customs)
    return _by_row(view, row, params.field_activity_bo)


def _by_row(view: View, row: Row, field_bo: str) -> Verdict:
    """What the row creates; a command needs somebody who hears it (ours)."""
    child = _result(view, row, field_bo)
    if child.kind is ChildKind.COMMAND and not view.device_installed:
        return refuse(
            "no_device",
            f"{child.business_object}: no device is installed at the service point",
            "narrow the row with deviceInstalledAtSP=true, then retry",
            row=row.label,
        )
    return Create(child=child, row=row.label)


def _result(view: View, row: Row, field_bo: str) -> ChildSpec:
    if not row.business_object:
        return field_child(view, field_bo, row.task)
    known = BUSINESS_OBJECTS[row.business_object]
    if known.kind is ChildKind.COMMAND:
        return command_child(view, row.business_object)
    return field_child(view, row.business_object, known.task)


def _override(
    order: ServiceOrder, view: View, row: Row, field_bo: str, customs: Customs
) -> Verdict:
    """Ask the activity type's Override Device/Task Algorithm; without an answer, the row's own."""
    name = view.activity_type.override_algorithm
    ask = customs.override.get(name)
    child = ask(order, view) if ask is not None else None
    if child is not None:
        _check_child(name, child)
    if child is None and (row.business_object or row.task):
        child = _result(view, row, field_bo)
    if child is None:
        return refuse(
            "algorithm_missing",
            f"the override algorithm {name or '(none configured)'} gave nothing to create",
            "configure the activity type, then retry",
            row=row.label,
        )
    return Create(child=child, row=row.label)


def create_meter_exchange(order: ServiceOrder, view: View, params: CreateMeterExchange) -> Verdict:
    """D1-CREMTREXC, by its own child: the new device is often unknown before (inferred)."""
    item = view.service_point.category is Category.ITEM
    task = params.item_task if item else params.task
    own = [child for child in view.of(params.activity_bo) if child.spec.task == task]
    if any(child.completed for child in own):
        return Pass(note="exchanged")
    if own and not own[-1].final:
        return Wait(child=own[-1].id)
    if own and own[-1].number > order.first_of_retry:
        return refuse(
            "exchange_not_done",
            f"the exchange ended as {own[-1].state}: {own[-1].reason or 'no reason given'}",
            "retry for a new visit, or discard",
        )  # ours
    if not view.device_installed:
        return refuse(
            "no_device",
            "there is no device to exchange",
            "load its install event, then retry; or discard",
        )
    wish = order.fields.get(CONNECT_NEW_DEVICE)
    details = {CONNECT_NEW_DEVICE: wish} if wish else {}
    if view.device is not None:
        details[OLD_DEVICE] = view.device.id
    return Create(child=field_child(view, params.activity_bo, task, **details))


def update_device(order: ServiceOrder, view: View, params: UpdateDevice) -> Verdict:
    """D1-UPDDVC: bring the device to the state that the order wants, one child at a time.

    The stop value is looked at before the missing device (ours: the source gives no order).
    """
    element = params.element.rpartition("/")[2]
    if element and order.fields.get(element) == params.stop_value:
        return Pass(note=f"{element} is {params.stop_value}")
    point_row = first_match(params.service_point_rows, view)
    if point_row is not None:
        return _by_row(view, point_row, params.field_activity_bo)
    missing = _missing(view)
    if missing and params.missing is MissingService.YES:
        return refuse("not_ready", missing, "repair the service point's data or work, then retry")
    if missing or not view.device_installed:
        return Pass(note=missing or "a multi-item has no device")
    return _by_status(view, params)


def _missing(view: View) -> str:
    if not view.service_point.connected:
        return "the service point is not connected"
    if view.device_expected and not view.device_installed:
        return "no device is installed at the service point"
    return ""


def _by_status(view: View, params: UpdateDevice) -> Verdict:
    skipped: list[str] = []
    for row in (*view.activity_type.device_rows, *params.rows):
        if not matches(row, view):
            continue
        verdict = _device_row(view, row, params)
        if verdict is not None:
            return verdict
        skipped.append(row.label)
    if skipped:
        return Pass(
            note=f"{', '.join(skipped)} skipped: the device does not support the command",
            row=skipped[-1],
        )
    return Pass(note="the device is as the order wants it")


def _device_row(view: View, row: Row, params: UpdateDevice) -> Verdict | None:
    """What one matching row gives; None for `skip`."""
    field_bo = params.field_activity_bo
    known = BUSINESS_OBJECTS.get(row.business_object)
    command = known.command if known is not None else None
    visit = row.alternative not in ("", SKIP) and params.alternative_after > 0
    failed = sum(c.state is ChildState.FAILED for c in view.of(row.business_object))
    worn_out = visit and failed >= params.alternative_after
    if command is None or (view.supports(command) and not worn_out):
        child = _result(view, row, field_bo)
        return Create(child=replace(child, blocking=not visit), row=row.label)
    if row.alternative == SKIP:
        return None
    if not row.alternative:
        return refuse(
            "not_supported",
            f"the device does not support {row.business_object} and there is no alternative",
            "configure an alternative field task, or discard",
            row=row.label,
        )  # ours
    why = f"failed {failed} times" if worn_out else "is not supported"
    return Create(
        child=field_child(view, field_bo, row.alternative),
        note=f"{row.business_object} {why}",
        row=row.label,
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
            command=BUSINESS_OBJECTS[params.activity_bo].command,
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


def run_custom(
    order: ServiceOrder, view: View, params: CustomFunction, customs: Customs
) -> Verdict:
    """A site's own algorithm."""
    function = customs.algorithms.get(params.function)
    if function is None:
        return refuse("algorithm_missing", f"algorithm {params.function} is not installed")
    verdict: object = function(order, view)
    if not isinstance(verdict, Verdict):
        raise TypeError(f"{params.function} gave {type(verdict).__name__}, which is no verdict")
    if isinstance(verdict, Create):
        _check_child(params.function, verdict.child)
    if isinstance(verdict, Wait) and verdict.child not in {c.id for c in view.children}:
        raise ValueError(f"{params.function} waits for {verdict.child}, which is no child")
    return verdict


def _check_child(function: str, child: object) -> None:
    """A site's function may want only what can be done. Raises TypeError, ValueError."""
    if not isinstance(child, ChildSpec):
        raise TypeError(f"{function} wants {type(child).__name__}, which is no ChildSpec")
    known = BUSINESS_OBJECTS.get(child.business_object)
    if known is None or known.kind is not child.kind or known.command is not child.command:
        raise ValueError(f"{function}: {child.business_object} is no {child.kind} of that kind")
    if child.kind is ChildKind.FIELD and field_task(child.task) is None:
        raise ValueError(f"{function}: unknown field task {child.task!r}")
    if child.kind is ChildKind.COMMAND and child.device is None:
        raise ValueError(f"{function}: {child.business_object} without a device")


def decide(order: ServiceOrder, view: View, params: Parameters, customs: Customs) -> Verdict:
    """Run the algorithm that these parameters belong to."""
    match params:
        case CompatibilityCheckParameters():
            return check_compatibility(order, view, params, customs)
        case ConnectIfConnectedBefore():
            return connect_if_connected_before(order, view, params)
        case CreateSpecificActivity():
            return create_specific_activity(order, view, params, customs)
        case CreateMeterExchange():
            return create_meter_exchange(order, view, params)
        case UpdateDevice():
            return update_device(order, view, params)
        case RemoteOffOn():
            return remote_off_on(view, params)
        case DecommissionRemoved():
            return decommission_removed(order, view, params)
        case CheckMeasurement():
            return check_measurement(order, view, params)
        case MaintainSpecificActivity():
            return Pass(note="acts for maintenance activities only")
        case CustomFunction():
            return run_custom(order, view, params, customs)
