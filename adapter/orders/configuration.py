"""A site's orders file: orchestrations, activity types, field task types. From parsed TOML to typed
values, or a clear refusal.

Reading the file and resolving `package.module:function` names are the edge's work. What a site does
not write stays as `matrix.py` and `tasks.py` have it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from adapter.errors import SettingsError, meant
from adapter.model.device import InstallStatus
from adapter.model.values import replace
from adapter.orders.activities import (
    BUSINESS_OBJECTS,
    FIELD_ACTIVITY,
    BusinessObject,
    ChildKind,
)
from adapter.orders.algorithms.crspact import CreateSpecificActivity
from adapter.orders.algorithms.custom import CustomFunction
from adapter.orders.algorithms.dvcomchk import CompatibilityCheckParameters
from adapter.orders.algorithms.mnemonics import Grammar, RowError, RowList, can_hold, parse_rows
from adapter.orders.algorithms.remonoff import RemoteOffOn
from adapter.orders.algorithms.rows import AlgorithmType, ParameterRow
from adapter.orders.algorithms.table import Algorithm, parse_algorithm
from adapter.orders.algorithms.upddvc import MissingService, UpdateDevice
from adapter.orders.configuration_table import Table, as_mapping
from adapter.orders.elements import ELEMENTS, ActivityElement, with_own
from adapter.orders.lookups import BASE, OrderLookups
from adapter.orders.matrix import FOURTH_MEASUREMENT_CHECK, Orchestrations, default_matrix
from adapter.orders.netting import NETTED
from adapter.orders.order import (
    ActivityType,
    Components,
    LoadCheck,
    Moratorium,
    OnLoadSideVoltage,
    OnUnsureLoadCheck,
    OrderKind,
    TimeoutPolicy,
)
from adapter.orders.tasks import (
    AS_SHIPPED,
    FIELD_TASKS,
    OPPOSITES,
    Appointment,
    FieldEffect,
    FieldTask,
    Overlap,
    field_task,
    own_field_task,
)

NONE: Final = "none"


class FunctionRole(StrEnum):
    """How a site's function is called: `order.CompatibilityCheck` and so on."""

    COMPATIBILITY = "compatibility"
    OVERRIDE = "override"
    ALGORITHM = "algorithm"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersConfiguration:
    """`functions` are the names that the edge has to resolve before the start, with their roles."""

    matrix: Orchestrations
    activity_types: Mapping[str, ActivityType]
    lookups: OrderLookups = BASE
    elements: Mapping[str, ActivityElement] = field(default_factory=lambda: ELEMENTS)
    functions: frozenset[tuple[FunctionRole, str]] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What the parameters of a site may name."""

    lookups: OrderLookups
    elements: Mapping[str, ActivityElement]


_TABLES: Final = (
    "fourth_measurement_check",
    "orchestration",
    "activity_type",
    "element",
    "business_object",
    "install_status",
    "reasons",
)


def parse_configuration(
    raw: Mapping[str, object], tasks: Mapping[str, FieldTask] = AS_SHIPPED
) -> OrdersConfiguration:
    """The `[orders]` table; `tasks` are the field task types that the site has changed or has of
    its own. Raises SettingsError naming the place of the first mistake."""
    read = Table("orders", raw)
    read.only(*_TABLES)
    elements = _elements(read)
    lookups = OrderLookups(changed_tasks=tasks)
    lookups = replace(lookups, objects=_objects(read, lookups), statuses=_statuses(read))
    lookups = _reasons(read, lookups)
    how = Words(lookups=lookups, elements=elements)
    matrix = dict(default_matrix(_fourth(read)))
    for name, cells in read.table("orchestration").items():
        kind = _kind(name, "orders.orchestration")
        matrix[kind] = _orchestration(kind, cells, how)
    types = {kind.value: ActivityType(name=kind.value, kind=kind) for kind in OrderKind}
    for name, values in read.table("activity_type").items():
        types[name] = _activity_type(name, as_mapping(f"orders.activity_type.{name}", values), how)
    _check_together(matrix, types)
    return OrdersConfiguration(
        matrix=MappingProxyType(matrix),
        activity_types=MappingProxyType(types),
        lookups=lookups,
        elements=elements,
        functions=_functions(matrix, types),
    )


def _fourth(read: Table) -> OrderKind | None:
    default = FOURTH_MEASUREMENT_CHECK.value if FOURTH_MEASUREMENT_CHECK is not None else NONE
    name = read.text("fourth_measurement_check", default)
    allowed = (OrderKind.EXCHANGE, OrderKind.CUT, OrderKind.RECONNECT)
    if name != NONE and name not in {each.value for each in allowed}:
        raise read.fail("fourth_measurement_check", f"{name} is not exchange, cut, reconnect, none")
    return None if name == NONE else OrderKind(name)


def _elements(read: Table) -> Mapping[str, ActivityElement]:
    """`[orders.element.keepOn] values = ["Y", "N"]`, or `[orders.element."request/keepOn"]`."""
    found = []
    for path, values in read.table("element").items():
        inner = Table(f"orders.element.{path}", as_mapping(f"orders.element.{path}", values))
        inner.only("values", "meaning")
        group, _, name = path.rpartition("/")
        given = inner.lines("values")
        meaning = inner.text("meaning", "the site's own")
        found.append(ActivityElement(name=name, meaning=meaning, values=given, group=group))
    try:
        return with_own(found)
    except ValueError as error:
        raise read.fail("element", str(error)) from None


def _reasons(read: Table, lookups: OrderLookups) -> OrderLookups:
    """`[orders.reasons]` with `cancel` and `reschedule`, lists of the site's own."""
    inner = Table("orders.reasons", read.table("reasons"))
    inner.only("cancel", "reschedule")
    return replace(
        lookups,
        cancel_reasons=(*lookups.cancel_reasons, *inner.lines("cancel")),
        reschedule_reasons=(*lookups.reschedule_reasons, *inner.lines("reschedule")),
    )


def _statuses(read: Table) -> Mapping[str, InstallStatus]:
    """`[orders.install_status.CM-OffForChange] means = "Disconn-Comm"`."""
    found: dict[str, InstallStatus] = {}
    folded = {each.value.casefold() for each in InstallStatus}
    for name, values in read.table("install_status").items():
        where = f"orders.install_status.{name}"
        inner = Table(where, as_mapping(where, values))
        inner.only("means")
        if name.casefold() in folded or not name or set(name) & set(" ="):
            raise read.fail(f"install_status.{name}", "is known already, or cannot be a name")
        folded.add(name.casefold())
        if "means" not in inner.raw:
            raise inner.fail("means", "is needed: the status whose physical state it is")
        found[name] = inner.choice("means", InstallStatus, InstallStatus.PENDING)
    return MappingProxyType(found)


def _objects(read: Table, lookups: OrderLookups) -> Mapping[str, BusinessObject]:
    """`[orders.business_object.CM-UrgentConnect] like = "D1-RemoteConnect"`."""
    found = dict(BUSINESS_OBJECTS)
    for name, values in read.table("business_object").items():
        where = f"orders.business_object.{name}"
        inner = Table(where, as_mapping(where, values))
        inner.only("like", "field_task")
        like = BUSINESS_OBJECTS.get(inner.text("like", ""))
        if name in BUSINESS_OBJECTS or not name or set(name) & set(" ="):
            raise read.fail(f"business_object.{name}", "is known already, or cannot be a name")
        if like is None:
            close = meant(inner.text("like", ""), BUSINESS_OBJECTS)
            raise inner.fail("like", f"names no business object that there is{close}")
        task = lookups.task(inner.text("field_task", like.task))
        if "field_task" in inner.raw and (task is None or like.kind is not ChildKind.FIELD):
            raise inner.fail("field_task", "a field task type, for a field activity")
        found[name] = replace(like, name=name, task="" if task is None else task.name)
    return MappingProxyType(found)


def _orchestration(kind: OrderKind, cells: object, how: Words) -> tuple[Algorithm, ...]:
    where = f"orders.orchestration.{kind}"
    if not isinstance(cells, Sequence) or isinstance(cells, str) or not cells:
        raise SettingsError(f"{where}: must be a list of algorithms, in their order")
    return tuple(
        _algorithm(f"{where}, algorithm {number}", as_mapping(where, cell), how)
        for number, cell in enumerate(cells, start=1)
    )


_MAINTENANCE: Final = (AlgorithmType.CANSPACT, AlgorithmType.UPDSPAC)


def _algorithm(where: str, cell: Mapping[str, object], how: Words) -> Algorithm:
    known = {each.value: each for each in AlgorithmType if each not in _MAINTENANCE}
    type_ = known.get(str(cell.get("type", "")))
    if type_ is None:
        raise SettingsError(f"{where}: unknown algorithm type {cell.get('type')!r}")
    name = cell.get("name", type_.value)
    if not isinstance(name, str) or not name:
        raise SettingsError(f"{where}, name: must be text")
    raw = {key: value for key, value in cell.items() if key not in ("type", "name")}
    lookups, elements = how.lookups, how.elements
    return parse_algorithm(type_, name, raw, where=where, lookups=lookups, elements=elements)


_KEYS: Final = (
    "kind",
    "compatibility_algorithm",
    "override_algorithm",
    "within_the_day",
    "minimum_offset_days",
    "maximum_offset_days",
    "components",
    "wait_time_out_hours",
    "on_wait_time_out",
    "visit_time_out_hours",
    "pass_bound",
    "require_evidence",
    "reconnect_on_payment",
    "load_check",
    "on_load_side_voltage",
    "on_unsure_load_check",
    "load_check_field_task",
    "netting",
    "moratoria",
    "field_task_by_service_point_condition",
    "field_task_by_device_condition",
)


def _activity_type(name: str, values: Mapping[str, object], how: Words) -> ActivityType:
    read = Table(f"orders.activity_type.{name}", values)
    read.only(*_KEYS)
    kind = _kind(read.text("kind", name), f"{read.where}, kind")
    plain = ActivityType(name=name, kind=kind)
    return ActivityType(
        name=name,
        kind=kind,
        compatibility_algorithm=read.function("compatibility_algorithm"),
        override_algorithm=read.function("override_algorithm"),
        within_the_day=read.flag("within_the_day", plain.within_the_day),
        minimum_offset_days=read.whole("minimum_offset_days", plain.minimum_offset_days),
        maximum_offset_days=read.whole("maximum_offset_days", plain.maximum_offset_days),
        components=read.choice("components", Components, plain.components),
        wait_time_out_hours=read.whole("wait_time_out_hours", plain.wait_time_out_hours, least=1),
        on_wait_time_out=read.choice("on_wait_time_out", TimeoutPolicy, plain.on_wait_time_out),
        visit_time_out_hours=read.whole("visit_time_out_hours", 0)
        if "visit_time_out_hours" in values
        else None,
        pass_bound=read.whole("pass_bound", plain.pass_bound, least=1),
        require_evidence=read.flag("require_evidence", plain.require_evidence),
        reconnect_on_payment=read.flag("reconnect_on_payment", plain.reconnect_on_payment),
        load_check=read.choice("load_check", LoadCheck, plain.load_check),
        on_load_side_voltage=read.choice(
            "on_load_side_voltage", OnLoadSideVoltage, plain.on_load_side_voltage
        ),
        on_unsure_load_check=read.choice(
            "on_unsure_load_check", OnUnsureLoadCheck, plain.on_unsure_load_check
        ),
        load_check_field_task=_check_task(read, plain.load_check_field_task, how),
        netting=_netting(read, kind, plain.netting),
        moratoria=_moratoria(read),
        point_rows=_zone(read, "field_task_by_service_point_condition", Grammar.SERVICE_POINT, how),
        device_rows=_zone(read, "field_task_by_device_condition", Grammar.DEVICE, how),
    )


def _check_task(read: Table, plain: str, how: Words) -> str:
    name = read.text("load_check_field_task", plain)
    task = how.lookups.task(name)
    if task is None:
        close = meant(name, how.lookups.task_names)
        raise read.fail("load_check_field_task", f"{name} is not a known field task type{close}")
    if task.disconnects:
        raise read.fail("load_check_field_task", f"{name} takes supply away")
    return task.name


def _netting(read: Table, kind: OrderKind, plain: bool) -> bool:
    if "netting" in read.raw and kind not in NETTED:
        raise read.fail("netting", f"is for {' and '.join(sorted(NETTED))}, not for {kind}")
    return read.flag("netting", plain)


def _zone(read: Table, key: str, grammar: Grammar, words: Words) -> tuple[ParameterRow, ...]:
    """A zone's rows: no limit of twenty, and they may name a service point type (documented)."""
    how = RowList(
        where=f"{read.where}, {key}",
        grammar=grammar,
        origin="zone",
        field_activity_bo=FIELD_ACTIVITY,
        most=None,
        zone=True,
        lookups=words.lookups,
    )
    return parse_rows(read.lines(key), how)


def _moratoria(read: Table) -> tuple[Moratorium, ...]:
    found = []
    for number, each in enumerate(read.items("moratoria"), start=1):
        inner = Table(f"{read.where}, moratorium {number}", as_mapping(read.where, each))
        inner.only("first", "last", "reason")
        first, last = inner.day("first"), inner.day("last")
        if last < first:
            raise inner.fail("last", "lies before first")
        found.append(Moratorium(first=first, last=last, reason=inner.text("reason", "")))
    return tuple(found)


def _functions(
    matrix: Orchestrations, types: Mapping[str, ActivityType]
) -> frozenset[tuple[FunctionRole, str]]:
    named = {
        (FunctionRole.ALGORITHM, each.parameters.function)
        for cells in matrix.values()
        for each in cells
        if isinstance(each.parameters, CustomFunction)
    }
    for each in types.values():
        named.add((FunctionRole.COMPATIBILITY, each.compatibility_algorithm))
        named.add((FunctionRole.OVERRIDE, each.override_algorithm))
    return frozenset(pair for pair in named if pair[1])


def _check_together(
    matrix: Orchestrations,
    types: Mapping[str, ActivityType],
) -> None:
    """What an algorithm of an orchestration takes for granted of the others and of activity types.

    Each mistake would be silent at run time: a row that nobody asks, a flag that is filled from the
    wrong meter, a swap of the meter that the switching does not know of. All refusals are ours.
    Raises SettingsError naming the orchestration, or the activity type, and the rule.
    """
    for kind, cells in matrix.items():
        where = f"orders.orchestration.{kind}"
        own = [each for each in types.values() if each.kind is kind]
        _flag_before_exchange(where, cells)
        _swap_is_seen(where, cells)
        _overrides_have_an_algorithm(where, cells, own)
        for each in own:
            _zones_are_asked(each, cells)
            _zone_rows_can_fire(each, cells)


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


def _override_needed(where: str, rows: Iterable[ParameterRow], why: str) -> None:
    for row in rows:
        if row.execute_override and not (row.business_object or row.task):
            rule = f"executeOverrideAlgorithm=true needs an override_algorithm; {why}"
            raise RowError(where, row.number, rule)


def _zone_rows_can_fire(activity_type: ActivityType, cells: Sequence[Algorithm]) -> None:
    """A row for a device that is not in place needs an Update Device that continues."""
    found = [each.parameters for each in cells if isinstance(each.parameters, UpdateDevice)]
    if any(each.missing is MissingService.CONTINUE for each in found):
        return
    for row in activity_type.device_rows:
        if not can_hold(row, in_service=True):
            where = f"orders.activity_type.{activity_type.name}, field_task_by_device_condition"
            rule = f"can never be reached: no D1-UPDDVC of {activity_type.kind} orders continues"
            raise RowError(where, row.number, f"{rule} without a device (error_if_missing=Con)")


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


_TASK_KEYS: Final = ("appointment", "when_canceled", "duplicates", "conflicts")
_OWN_KEYS: Final = ("like", "group", "when_successful")
"""Of a type of the site's own."""


def changed_tasks(raw: Mapping[str, object]) -> Mapping[str, FieldTask]:
    """The task types as the site has them, by name: `[field_task.D1-InstallMeter]` of its file.

    Appointment, duplicates, conflicts and the completion events of a cancelled visit are the site's
    to say (documented as attributes of the task type). The events of a successful one stay: the
    algorithms count on them. Raises SettingsError naming the place.
    """
    read = Table("field_task", raw)
    tables = {name: Table(f"field_task.{name}", read.table(name)) for name in raw}
    known = {
        name: field_task(name) or _own_task(name, table, read) for name, table in tables.items()
    }
    all_ = {task.name: task for task in known.values()}
    return {task.name: _changed_task(task, tables[name], all_) for name, task in known.items()}


def _own_task(name: str, table: Table, read: Table) -> FieldTask:
    """`[field_task.CM-InstallSubmeter] like = "D1-InstallMeter"`, or `group` and changes."""
    like = field_task(table.text("like", ""))
    group = table.text("group", like.group if like is not None else "")
    if not {"like", "group"} & set(table.raw):
        raise read.fail(name, f"is not a known field task type{meant(name, FIELD_TASKS)}")
    if "like" in table.raw and like is None:
        close = meant(table.text("like", ""), FIELD_TASKS)
        raise table.fail("like", f"is not a known field task type{close}")
    if group not in OPPOSITES:
        raise table.fail("group", f"{group} is not one of {', '.join(OPPOSITES)}")
    if not name or set(name) & set(" ="):
        raise read.fail(name, "cannot be the name of a field task type")
    task = like or own_field_task(name, group)
    own = Overlap(hours=task.duplicates.hours, tasks=frozenset({name}))
    made = replace(task, name=name, group=group, duplicates=own)
    given = "when_successful" in table.raw
    return replace(made, successful=_effects(table, "when_successful")) if given else made


def _changed_task(task: FieldTask, read: Table, known: Mapping[str, FieldTask]) -> FieldTask:
    read.only(*_TASK_KEYS, *(() if task.name in FIELD_TASKS else _OWN_KEYS))
    canceled = "when_canceled"
    return replace(
        task,
        appointment=read.choice("appointment", Appointment, task.appointment),
        canceled=_effects(read, canceled) if canceled in read.raw else task.canceled,
        duplicates=_overlap(read, "duplicates", task.duplicates, known),
        conflicts=_overlap(read, "conflicts", task.conflicts, known),
    )


def _effects(read: Table, key: str) -> tuple[FieldEffect, ...]:
    known = {each.value: each for each in FieldEffect}
    names = read.lines(key)
    for name in names:
        if name not in known:
            raise read.fail(key, f"{name} is not one of {', '.join(known)}")
    return tuple(known[name] for name in names)


def _overlap(read: Table, key: str, plain: Overlap, known: Mapping[str, FieldTask]) -> Overlap:
    """`{ allowed = false, hours = 48, tasks = [...] }`; what is left out stays."""
    if key not in read.raw:
        return plain
    inner = Table(f"{read.where}, {key}", read.table(key))
    inner.only("allowed", "hours", "tasks")
    return Overlap(
        allowed=inner.flag("allowed", plain.allowed),
        hours=inner.whole("hours", plain.hours),
        tasks=_task_names(inner, known) if "tasks" in inner.raw else plain.tasks,
    )


def _task_names(read: Table, known: Mapping[str, FieldTask]) -> frozenset[str]:
    found = []
    for name in read.lines("tasks"):
        task = field_task(name, known)
        if task is None:
            raise SettingsError(f"{read.where}, tasks: {name} is not a known field task type")
        found.append(task.name)
    return frozenset(found)


def _kind(name: str, where: str) -> OrderKind:
    known = next((each for each in OrderKind if each.value == name), None)
    if known is None:
        raise SettingsError(f"{where}: {name} is not one of {', '.join(OrderKind)}")
    return known
