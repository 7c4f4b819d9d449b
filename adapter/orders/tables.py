"""The matrix and its rows as text, for people: README, command line, console."""

from collections.abc import Mapping
from dataclasses import fields

from adapter.orders.algorithms.canspact_updspac import MAINTENANCE_MATRIX
from adapter.orders.algorithms.mnemonics import MNEMONIC_VALUES, MNEMONICS, TASK, Grammar
from adapter.orders.algorithms.rows import AlgorithmType, ParameterRow
from adapter.orders.algorithms.table import ALGORITHMS, Algorithm, parse_algorithm
from adapter.orders.elements import ATTRIBUTES, ELEMENTS
from adapter.orders.lifecycle import ORDER_MACHINE
from adapter.orders.matrix import (
    FOURTH_MEASUREMENT_CHECK,
    MATRIX,
    ROW_COUNTS,
    Orchestrations,
)
from adapter.orders.order import OrderKind
from adapter.orders.tasks import FIELD_TASKS, OPPOSITES, CancelReason, RescheduleReason

KIND_TITLES: Mapping[OrderKind, str] = {
    OrderKind.ENABLE: "Enable Service",
    OrderKind.DISABLE: "Disable Service",
    OrderKind.CUT: "Cut for Non-Payment",
    OrderKind.RECONNECT: "Reconnect for Payment",
    OrderKind.EXCHANGE: "Meter Exchange",
    OrderKind.BACK_TO_BACK: "Back-to-Back",
}


def matrix_lines(matrix: Orchestrations = MATRIX) -> tuple[tuple[str, ...], ...]:
    """Heading, then one line per algorithm type: `2` is the second to run, `?` marks uncertain."""
    lines: list[tuple[str, ...]] = [("Algorithm type", *(KIND_TITLES[kind] for kind in OrderKind))]
    for type_ in ROW_COUNTS:
        places = (_cell(matrix[kind], type_, kind) for kind in OrderKind)
        lines.append((f"{ALGORITHMS[type_].title} ({type_})", *places))
    return tuple(lines)


def _cell(cells: tuple[Algorithm, ...], type_: AlgorithmType, kind: OrderKind) -> str:
    places = ", ".join(str(n) for n, cell in enumerate(cells, start=1) if cell.type is type_)
    uncertain = type_ is AlgorithmType.CHKMSMT and kind is FOURTH_MEASUREMENT_CHECK
    return f"{places} ?" if places and uncertain else places


def row_lines(algorithm: Algorithm) -> tuple[str, ...]:
    """Every row of one algorithm in the source's mnemonic text, with its label."""
    found: list[str] = []
    for each in fields(algorithm.parameters):
        value = getattr(algorithm.parameters, each.name)
        if isinstance(value, tuple):
            found += [f"{row.label}: {row.text}" for row in value if isinstance(row, ParameterRow)]
    return tuple(found)


Lines = tuple[tuple[str, ...], ...]
"""A heading, then the rows."""


def row_table(matrix: Orchestrations = MATRIX) -> Lines:
    """Every row of every algorithm, in the source's mnemonic text."""
    lines: list[tuple[str, ...]] = [("orchestration", "cell", "algorithm", "row", "text")]
    for kind, cells in matrix.items():
        for place, each in enumerate(cells, start=1):
            name = f"{each.name} ({each.type})"
            lines += [
                (kind.value, str(place), name, *line.split(": ", 1)) for line in row_lines(each)
            ]
    return tuple(lines)


_ATTRIBUTES: Mapping[str, str] = {
    "field_task": "task",
    "item_field_task": "item_task",
    "error_if_missing": "missing",
}


def parameter_table() -> Lines:
    """Every parameter of every type: its key in TOML, the source's label, what it is left out."""
    lines: list[tuple[str, ...]] = [("algorithm type", "key", "the source's parameter", "default")]
    for type_, row in ALGORITHMS.items():
        title = f"{row.title} ({type_})"
        if not row.labels:
            lines.append((title, "", "no parameters", ""))
        for key, label in row.labels.items():
            lines.append((title, key, label, _default(type_, key)))
    return tuple(lines)


def _default(type_: AlgorithmType, key: str) -> str:
    if type_ is AlgorithmType.CUSTOM:
        return ""
    plain = parse_algorithm(type_, "", {}, where="tables").parameters
    if key == "activity":
        task = getattr(plain, "task", "")
        pairs = (("activityBOToCreate", getattr(plain, "activity_bo", "")), (TASK, task))
        return " ".join(f"{name}={value}" for name, value in pairs if value)
    value = getattr(plain, _ATTRIBUTES.get(key, key))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value == () else str(value)


def mnemonic_table() -> Lines:
    """What a row may say, where, and with which values."""
    lines: list[tuple[str, ...]] = [("mnemonic", "in rows of", "values")]
    for name in MNEMONIC_VALUES:
        where = ", ".join(each.value for each in Grammar if name in MNEMONICS[each])
        lines.append((name, where or "the activity type's own rows", MNEMONIC_VALUES[name]))
    return tuple(lines)


def element_table() -> Lines:
    """What an order may carry; `(gateway)` are elements that it fills itself."""
    lines: list[tuple[str, ...]] = [("element", "meaning", "values")]
    for each in ELEMENTS.values():
        values = "(gateway)" if each.own else ", ".join(each.values) or "any text"
        lines.append((each.name, each.meaning, values))
    return (*lines, *((name, "of every activity; for XPaths", "") for name in ATTRIBUTES))


def task_table() -> Lines:
    """The field task types; what they change and their thresholds are inferred."""
    lines: list[tuple[str, ...]] = [
        ("field task", "group", "routing", "appointment", "changes", "duplicates", "conflicts with")
    ]
    for task in FIELD_TASKS.values():
        opposed = ", ".join(sorted(OPPOSITES[task.group]))
        lines.append(
            (
                task.name,
                task.group,
                task.routing.value,
                task.appointment.value,
                ", ".join(each.value for each in task.successful),
                f"refused for {task.duplicates.hours} h",
                f"{opposed} for {task.conflicts.hours} h" if opposed else "",
            )
        )
    return tuple(lines)


def reason_table() -> Lines:
    """Why work is cancelled or moved. `D1-` are the product's, `CM-` ours."""
    return (
        ("lookup", "value"),
        *(("D1-CancelReasonLookup", each.value) for each in CancelReason),
        *(("D1-RescheduleReasonLookup", each.value) for each in RescheduleReason),
    )


def transition_table() -> Lines:
    """The order lifecycle: state, event, next state."""
    arrows = ORDER_MACHINE.arrows.items()
    lines = ((s.value, event.__name__, to.value) for (s, event), (to,) in arrows)
    return (("state", "event", "next state"), *lines)


def withdrawal_table() -> Lines:
    """D1-CANSPACT and D1-UPDSPAC: what a request does, by the status of the child (ours)."""
    lines: list[tuple[str, ...]] = [("child", "its status", "on cancel", "on update")]
    for (group, state), (cancel, update) in MAINTENANCE_MATRIX.items():
        lines.append((group.value, state.value, cancel.value, update.value))
    return tuple(lines)
