"""The matrix and its rows as text, for people: README, command line, console."""

from collections.abc import Mapping
from dataclasses import fields

from adapter.orders.lifecycle import TRANSITIONS
from adapter.orders.matrix import (
    FOURTH_MEASUREMENT_CHECK,
    MATRIX,
    ROW_COUNTS,
    Orchestrations,
)
from adapter.orders.order import OrderKind
from adapter.orders.parameters import Algorithm, AlgorithmType, Row

TITLES: Mapping[AlgorithmType, str] = {
    AlgorithmType.DVCOMCHK: "Customer-Device Compatibility Check",
    AlgorithmType.CONPRECON: "Connect Only If Previously Connected",
    AlgorithmType.CRSPACT: "Create Specific Activity",
    AlgorithmType.CREMTREXC: "Create Meter Exchange Field Activity",
    AlgorithmType.UPDDVC: "Update Device",
    AlgorithmType.REMONOFF: "Remote Turn Off Turn On",
    AlgorithmType.DCRMMTR: "Decommission Removed Meter",
    AlgorithmType.CHKMSMT: "Check For Measurement",
}
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
    lines = [("Algorithm type", *(KIND_TITLES[kind] for kind in OrderKind))]
    for type_ in ROW_COUNTS:
        places = (_cell(matrix[kind], type_, kind) for kind in OrderKind)
        lines.append((f"{TITLES[type_]} ({type_})", *places))
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
            found += [f"{row.label}: {row.text}" for row in value if isinstance(row, Row)]
    return tuple(found)


def transition_lines() -> tuple[tuple[str, str, str], ...]:
    """The order lifecycle: state, event, next state."""
    return tuple(
        (state.value, event.__name__, to.value) for (state, event), to in TRANSITIONS.items()
    )
