"""D1-CRSPACT, Create Specific Activity."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from adapter.orders.activities import ChildKind
from adapter.orders.algorithms.mnemonics import Grammar, RowList, parse_rows
from adapter.orders.algorithms.reader import ParameterReader
from adapter.orders.algorithms.rows import ParameterRow
from adapter.orders.algorithms.verdict import (
    Create,
    Customs,
    Pass,
    Verdict,
    checked_child,
    child_of_row,
    create_by_row,
    first_match,
    refuse,
)
from adapter.orders.order import ServiceOrder, View

LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "field_activity_bo": "Field Activity BO",
        "rows": "SP State and Activity BO to Create",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSpecificActivity:
    """D1-CRSPACT."""

    field_activity_bo: str = ""
    rows: tuple[ParameterRow, ...] = ()


def parse(read: ParameterReader) -> CreateSpecificActivity:
    field_bo = read.activity("field_activity_bo", "", ChildKind.FIELD)
    how = RowList(
        where=read.where,
        grammar=Grammar.SERVICE_POINT,
        field_activity_bo=field_bo,
        lookups=read.lookups,
    )
    return CreateSpecificActivity(
        field_activity_bo=field_bo, rows=parse_rows(read.lines("rows"), how)
    )


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
    return create_by_row(view, row, params.field_activity_bo)


def _override(
    order: ServiceOrder, view: View, row: ParameterRow, field_bo: str, customs: Customs
) -> Verdict:
    """Ask the activity type's Override Device/Task Algorithm; without an answer, the row's own."""
    name = view.activity_type.override_algorithm
    ask = customs.override.get(name)
    child = ask(order, view) if ask is not None else None
    if child is not None:
        child = checked_child(name, child, view.lookups)
    if child is None and (row.business_object or row.task):
        child = child_of_row(view, row, field_bo)
    if child is None:
        return refuse(
            "algorithm_missing",
            f"the override algorithm {name or '(none configured)'} gave nothing to create",
            "configure the activity type, then retry",
            row=row.label,
        )
    return Create(child=child, row=row.label)
