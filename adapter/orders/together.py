"""What each algorithm of an orchestration takes for granted of the others and of activity types.

Each mistake here would be silent at run time: a row that nobody asks, a flag that is filled from
the wrong meter, a swap of the meter that the switching does not know of. All refusals are ours.
"""

from collections.abc import Iterable, Mapping, Sequence

from adapter.errors import SettingsError
from adapter.orders.algorithms.mnemonics import RowError
from adapter.orders.algorithms.rows import (
    Algorithm,
    AlgorithmType,
    CompatibilityCheckParameters,
    CreateSpecificActivity,
    RemoteOffOn,
    Row,
)
from adapter.orders.matrix import Orchestrations
from adapter.orders.order import ActivityType


def check_together(
    matrix: Orchestrations,
    types: Mapping[str, ActivityType],
) -> None:
    """Raises SettingsError naming the orchestration, or the activity type, and the rule."""
    for kind, cells in matrix.items():
        where = f"orders.orchestration.{kind}"
        own = [each for each in types.values() if each.kind is kind]
        _flag_before_exchange(where, cells)
        _swap_is_seen(where, cells)
        _overrides_have_an_algorithm(where, cells, own)
        for each in own:
            _zones_are_asked(each, cells)


def _flag_before_exchange(where: str, cells: Sequence[Algorithm]) -> None:
    types = [each.type for each in cells]
    first, later = AlgorithmType.CONPRECON, AlgorithmType.CREMTREXC
    if first in types and later in types and types.index(first) > types.index(later):
        raise SettingsError(
            f"{where}: {first} has to come before {later}: it asks the meter that is to leave"
        )


def _swap_is_seen(where: str, cells: Sequence[Algorithm]) -> None:
    made = {
        each.parameters.activity_bo
        for each in cells
        if isinstance(each.parameters, CompatibilityCheckParameters)
    }
    for number, each in enumerate(cells, start=1):
        wanted = getattr(each.parameters, "incompatibility_bo", "")
        if isinstance(each.parameters, RemoteOffOn) and made and wanted not in made:
            raise SettingsError(
                f"{where}, algorithm {number}: {each.name}, incompatibility_bo: {wanted} is not"
                f" what {AlgorithmType.DVCOMCHK} creates here ({', '.join(sorted(made))})"
            )


def _overrides_have_an_algorithm(
    where: str, cells: Sequence[Algorithm], types: Sequence[ActivityType]
) -> None:
    for each in types:
        if not each.override_algorithm:
            place = f"orders.activity_type.{each.name}, field_task_by_service_point_condition"
            _override_needed(place, each.point_rows, "this activity type names none")
    if any(each.override_algorithm for each in types):
        return
    for number, cell in enumerate(cells, start=1):
        if isinstance(cell.parameters, CreateSpecificActivity):
            place = f"{where}, algorithm {number}: {cell.name}"
            _override_needed(place, cell.parameters.rows, "no activity type of this kind names one")


def _override_needed(where: str, rows: Iterable[Row], why: str) -> None:
    for row in rows:
        if row.execute_override and not (row.business_object or row.task):
            rule = f"executeOverrideAlgorithm=true needs an override_algorithm; {why}"
            raise RowError(where, row.number, rule)


def _zones_are_asked(activity_type: ActivityType, cells: Sequence[Algorithm]) -> None:
    there = {each.type for each in cells}
    for rows, asked, key in (
        (activity_type.point_rows, AlgorithmType.CRSPACT, "service_point"),
        (activity_type.device_rows, AlgorithmType.UPDDVC, "device"),
    ):
        if rows and asked not in there:
            raise RowError(
                f"orders.activity_type.{activity_type.name}, field_task_by_{key}_condition",
                rows[0].number,
                f"can never be reached: {activity_type.kind} orders run no {asked}",
            )
