"""A site's orders file: matrix, activity types, reading calendar, valid tasks, its own functions.

[orders]                          orchestrations and activity types (docs/orders.md)
[measurement_cycle.MONTHLY]       reads = [2026-03-01T06:00:00Z, ...]
[service_point_type.RESIDENTIAL]  field_tasks = ["D1-TurnOnMeter", ...]
[field_task.D1-InstallMeter]      appointment = "Optional", and what else a site says of a task
"""

import importlib
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from adapter.commands.flows import CommandKind
from adapter.commands.timing import in_utc
from adapter.engine.orders.ports import OrderRules
from adapter.errors import InvalidRequest, SettingsError, meant
from adapter.model.device import THIS_HEAD_END
from adapter.model.measurement import CycleSchedule
from adapter.model.values import replace
from adapter.orders.algorithms.verdict import Customs
from adapter.orders.configuration import (
    FunctionRole,
    OrdersConfiguration,
    changed_tasks,
    parse_configuration,
)
from adapter.orders.tasks import FieldTask, field_task
from adapter.settings.text_files import read_toml

_TABLES: Final = ("orders", "measurement_cycle", "service_point_type", "field_task")


def load_rules(
    path: Path | None, kinds: frozenset[CommandKind], head_end: str = THIS_HEAD_END
) -> OrderRules:
    """The rules of `path`, or the default ones; `kinds` are what the head end of that name offers.
    Raises SettingsError naming the first mistake."""
    offered = frozenset(kind.value for kind in kinds)
    if path is None:
        return OrderRules(head_end_commands=offered, head_end=head_end)
    try:
        raw = read_toml(path)
    except SettingsError as error:
        raise SettingsError(f"orders.file: {error}") from error
    return replace(rules_of(raw), head_end_commands=offered, head_end=head_end)


def rules_of(raw: Mapping[str, object]) -> OrderRules:
    """The rules of a parsed file. Raises SettingsError."""
    unknown = sorted(set(raw) - set(_TABLES))
    if unknown:
        close = meant(unknown[0], _TABLES)
        raise SettingsError(f"orders.file: unknown table {unknown[0]}{close}")
    tasks = changed_tasks(_table(raw, "field_task"))
    configuration = parse_configuration(_table(raw, "orders"), tasks)
    return OrderRules(
        configuration=configuration,
        customs=_customs(configuration),
        schedules={
            name: _schedule(name, _table(_table(raw, "measurement_cycle"), name))
            for name in _table(raw, "measurement_cycle")
        },
        valid_tasks={
            name: _tasks(name, _table(_table(raw, "service_point_type"), name), tasks)
            for name in _table(raw, "service_point_type")
        },
        tasks=tasks,
    )


def _table(raw: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = raw.get(name, {})
    if not isinstance(found, dict):
        raise SettingsError(f"orders.file, {name}: must be a table")
    return found


def _schedule(name: str, table: Mapping[str, object]) -> CycleSchedule:
    where = f"orders.file, measurement_cycle.{name}"
    reads = table.get("reads", [])
    if set(table) - {"reads"} or not isinstance(reads, list):
        raise SettingsError(f"{where}: has a list `reads`, and nothing else")
    for at in reads:
        if not isinstance(at, datetime) or at.tzinfo is None:
            raise SettingsError(f"{where}, reads: {at} is no date and time with a zone")
    try:
        times = sorted(in_utc("reads", at) for at in reads)
    except InvalidRequest as error:
        raise SettingsError(f"{where}, {error}") from None
    return CycleSchedule(cycle=name, reads=tuple(times))


def _tasks(
    name: str, table: Mapping[str, object], known: Mapping[str, FieldTask]
) -> frozenset[str]:
    where = f"orders.file, service_point_type.{name}"
    names = table.get("field_tasks", [])
    if set(table) - {"field_tasks"} or not isinstance(names, list):
        raise SettingsError(f"{where}: has a list `field_tasks`, and nothing else")
    found = []
    for each in names:
        task = field_task(str(each), known)
        if task is None:
            raise SettingsError(f"{where}: unknown field task {each}")
        found.append(task.name)
    return frozenset(found)


def _customs(configuration: OrdersConfiguration) -> Customs:
    """The site's own functions, imported now, so that a wrong name stops the start."""
    found: dict[FunctionRole, dict[str, Callable[..., Any]]] = {role: {} for role in FunctionRole}
    for role, name in sorted(configuration.functions):
        found[role][name] = _function(name)
    return Customs(
        compatibility=found[FunctionRole.COMPATIBILITY],
        override=found[FunctionRole.OVERRIDE],
        algorithms=found[FunctionRole.ALGORITHM],
    )


def _function(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    if not all(each.isidentifier() for each in (*module.split("."), attribute)):
        raise SettingsError(f"orders.file: {name}: is not written as module.name:function")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        where = "install it, or name its folder in PYTHONPATH"
        raise SettingsError(f"orders.file: {name}: {error}; {where}") from error
    except AttributeError as error:
        raise SettingsError(f"orders.file: {name}: {error}") from error
    if not callable(found):
        raise SettingsError(f"orders.file: {name} is no function")
    function: Callable[..., Any] = found
    return function
