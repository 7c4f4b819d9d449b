"""D1-UPDDVC, Update Device: brings the device to the state that the order wants, one child at a
time. The rows that come with the program are in `orders/matrix.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from adapter.model.device import InstallStatus
from adapter.model.values import replace
from adapter.orders.activities import ChildKind
from adapter.orders.algorithms.mnemonics import Grammar, RowError, RowList, parse_rows
from adapter.orders.algorithms.reader import ParameterReader
from adapter.orders.algorithms.rows import SKIP, ParameterRow
from adapter.orders.algorithms.verdict import (
    Create,
    Pass,
    Verdict,
    child_of_row,
    create_by_row,
    field_child,
    first_match,
    matching,
    refuse,
)
from adapter.orders.elements import element_value
from adapter.orders.order import ChildState, ServiceOrder, View

LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "error_if_missing": "Error if SP Not Connected or no Device Installed",
        "rows": "SP State and Activity BO to Create",
        "field_activity_bo": "Field Activity BO",
        "element": "XPath of Activity Element controlling Activity creation",
        "stop_value": "Element value indication that Activity creation should not proceed",
        "service_point_rows": "(ours) rows by the service point's own state, looked at first",
        "alternative_after": "(ours) failed commands before the alternative field task, 0: off",
    }
)


class MissingService(StrEnum):
    """ "Error if SP Not Connected or no Device Installed"."""

    YES = "Yes"
    CONTINUE = "Con"
    """Continue to the rows."""
    NOTHING = "Nothing"
    """Ours: nothing to update, for what is to be turned off is off already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateDevice:
    """D1-UPDDVC.

    `service_point_rows` is ours: rows looked at first, by the service point's own state, because
    the source's rows see only the install event, and a crew may have cut at the source.
    `alternative_after` is ours too: so many failed commands are followed by the alternative field
    task; 0 leaves every failure to people.
    """

    missing: MissingService = MissingService.YES
    rows: tuple[ParameterRow, ...] = ()
    field_activity_bo: str = ""
    element: str = ""
    stop_value: str = ""
    service_point_rows: tuple[ParameterRow, ...] = ()
    alternative_after: int = 0


def parse(read: ParameterReader) -> UpdateDevice:
    field_bo = read.activity("field_activity_bo", "", ChildKind.FIELD)
    missing = read.text("error_if_missing", MissingService.YES.value)
    if missing not in {each.value for each in MissingService}:
        raise read.fail("error_if_missing", f"{missing} is neither Yes nor Con nor Nothing")
    element = read.element("element")
    stop = read.value_of("stop_value", element)
    if bool(element) != bool(stop):
        raise read.fail("element", "an element and its stop value belong together")
    rows = RowList(
        where=read.where,
        grammar=Grammar.DEVICE,
        field_activity_bo=field_bo,
        lookups=read.lookups,
        in_service=missing != MissingService.CONTINUE,
    )
    points = RowList(
        where=f"{read.where}, service point rows",
        grammar=Grammar.SERVICE_POINT,
        origin="service point",
        field_activity_bo=field_bo,
        lookups=read.lookups,
    )
    point_rows = parse_rows(read.lines("service_point_rows"), points)
    for row in point_rows:
        if row.execute_override:
            raise RowError(points.where, row.number, "executeOverrideAlgorithm is D1-CRSPACT's")
    return UpdateDevice(
        missing=MissingService(missing),
        rows=parse_rows(read.lines("rows"), rows),
        field_activity_bo=field_bo,
        element=element,
        stop_value=stop,
        service_point_rows=point_rows,
        alternative_after=read.whole("alternative_after", 0, most=10),
    )


def update_device(order: ServiceOrder, view: View, params: UpdateDevice) -> Verdict:
    """D1-UPDDVC: bring the device to the state that the order wants, one child at a time.

    The stop value is looked at before the missing device (ours: the source gives no order).
    """
    if params.element and element_value(order, params.element) == params.stop_value:
        return Pass(note=f"{params.element} is {params.stop_value}")
    point_row = first_match(params.service_point_rows, view)
    if point_row is not None:
        return create_by_row(view, point_row, params.field_activity_bo)
    missing = _missing(view)
    if params.missing is MissingService.CONTINUE:
        return _by_status(view, params)
    if missing and params.missing is MissingService.YES:
        return refuse("not_ready", missing, "repair the service point's data or work, then retry")
    if missing or not view.device_installed:
        return Pass(note=f"nothing to update: {missing or 'a multi-item has no device'}")
    return _by_status(view, params)


def _missing(view: View) -> str:
    if not view.service_point.connected:
        return "the service point is not connected"
    if view.device_expected and not view.device_installed:
        return "no device is installed at the service point"
    return ""


def _by_status(view: View, params: UpdateDevice) -> Verdict:
    skipped: list[str] = []
    for row in matching((*view.activity_type.device_rows, *params.rows), view):
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


def _device_row(view: View, row: ParameterRow, params: UpdateDevice) -> Verdict | None:
    """What one matching row gives; None for `skip`."""
    field_bo = params.field_activity_bo
    known = view.lookups.objects.get(row.business_object)
    command = known.command if known is not None else None
    visit = row.alternative not in ("", SKIP) and params.alternative_after > 0
    tried = [c for c in view.of(row.business_object) if not c.load_check_cause]
    failed = sum(c.state is ChildState.FAILED for c in tried)
    worn_out = visit and failed >= params.alternative_after
    hears = view.device_installed or view.status is InstallStatus.PENDING
    if command is None or (hears and view.supports(command) and not worn_out):
        child = child_of_row(view, row, field_bo)
        return Create(child=replace(child, blocking=not visit), row=row.label)
    if row.alternative == SKIP:
        return None
    if not row.alternative and not hears:
        return create_by_row(view, row, field_bo)  # refuses it: nobody would hear the command
    if not row.alternative:
        return refuse(
            "not_supported",
            f"the device does not support {row.business_object} and there is no alternative",
            "configure an alternative field task, or discard",
            row=row.label,
        )  # ours
    why = f"failed {failed} times" if worn_out else "is not supported"
    why = why if hears else "has no device to go to"
    return Create(
        child=field_child(view, field_bo, row.alternative),
        note=f"{row.business_object} {why}",
        row=row.label,
    )
