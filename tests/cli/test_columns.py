"""Each declared column of the command line is a field of what the API gives there."""

import importlib
import pkgutil
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import pytest

import adapter.cli
from adapter.cli.output import ListColumns, Row
from adapter.engine.readings.reports import ValueRow
from adapter.web.api.call import PREFIX
from adapter.web.api.routes import ROUTES

GIVEN: Final = {
    "commands.COMMANDS": ("/commands", "items"),
    "commands.PARTS.business_objects": ("/commands/{command}", "communications"),
    "commands.PARTS.communications": ("/commands/{command}", "communications"),
    "commands.PARTS.completion_events": ("/commands/{command}", "completion_events"),
    "commands.PARTS.history": ("/commands/{command}/history", "items"),
    "commands.PARTS.outcomes": ("/commands/{command}/outcomes", "items"),
    "commands_bulk.FAULTS": ("/commands/bulk/{bulk}", "faults"),
    "commands_bulk.ROWS": ("/commands/bulk/{bulk}/rows", "items"),
    "commands_holds.HOLDS": ("/switch-holds", "items"),
    "commands_switching.LIMITS": ("/switching/limits", "items"),
    "commands_switching.OVERRIDES": ("/switching/overrides", "items"),
    "commands_switching.WAITING": ("/switching/waiting", "items"),
    "events.EVENTS": ("/device-events", "items"),
    "events.OUTAGES": ("/outages", "items"),
    "events.UNKNOWN_EVENTS": ("/device-events/errors", "items"),
    "feed.DELIVERIES": ("/events/receivers/{receiver}/deliveries", "items"),
    "feed.FEED": ("/events", "items"),
    "feed.RECEIVERS": ("/events/receivers", "items"),
    "intake.ERROR_RECORDS": ("/intake/errors", "items"),
    "orders.ORDERS": ("/orders", "items"),
    "orders.PAID": ("/orders/payment", "items"),
    "orders_output.CHILDREN": ("/orders/{order}", "children"),
    "orders_output.REPLIES": ("/orders/{order}", "replies"),
    "orders_output.REQUESTS": ("/orders/{order}", "requests"),
    "orders_output.STEPS": ("/orders/plan", "steps"),
    "orders_visits.SENT_AGAIN": ("/orders/{order}/replies/retry", "items"),
    "quarantine.MESSAGES": ("/inbox", "items"),
    "readings_completeness.DAYS": ("/completeness/days", "items"),
    "readings_completeness.METERS": ("/completeness/meters", "items"),
    "readings_completeness.WINDOWS": ("/completeness/windows", "items"),
    "readings.GROUPS": ("/payloads/statistics", "groups"),
    "readings.PAYLOADS": ("/payloads", "items"),
    "registry.DEVICES": ("/devices", "items"),
    "registry.DIFFERENCES": ("/devices", "left_alone"),
    "registry_service_points.CHANGES": ("/service-points/{service_point}", "changes"),
    "registry_service_points.DEVICES": ("/service-points/{service_point}", "devices"),
    "registry_service_points.ORDERS": ("/service-points/{service_point}", "orders"),
    "registry_service_points.POINTS": ("/service-points", "items"),
    "schedules.SCHEDULES": ("/schedules", "items"),
    "schedules.WINDOWS": ("/schedules/{schedule}/windows", "items"),
    "subscriptions.SUBSCRIPTIONS": ("/subscriptions", "items"),
    "upkeep.ENTRIES": ("/audit", "items"),
    "upkeep.RETENTION": ("/retention", "items"),
    "upkeep_durations.DURATIONS": ("/durations", "items"),
    "upkeep_keys.KEYS": ("/keys", "items"),
    "upkeep_set_aside.ROWS": ("/set-aside", "items"),
    "upkeep_todo.COMMANDS": ("/todo/{entry}", "entry.commands"),
    "upkeep_todo.TODO": ("/todo", "items"),
    "upkeep_todo.WAITING": ("/todo/{entry}", "items"),
}
"""Path of the route, and the list in its answer."""

OWN: Final = {
    "config_running.CHANGES",
    "intake.LOADED_PAYLOADS",
    "readings.VALUES",
    "registry_service_points.SWITCHED",
    "store.FILES",
    "upkeep_forecast.SIZES",
}
"""Rows that the command line makes itself."""


def declared() -> dict[str, ListColumns]:
    found: dict[str, ListColumns] = {}
    for module in pkgutil.iter_modules(adapter.cli.__path__):
        names = vars(importlib.import_module(f"adapter.cli.{module.name}"))
        for name, value in names.items():
            parts = value if isinstance(value, dict) else {"": value}
            for part, shown in parts.items():
                if isinstance(shown, ListColumns):
                    found[f"{module.name}.{name}.{part}".rstrip(".")] = shown
    return found


DECLARED: Final = declared()


class AskedFor(dict[str, Any]):
    """A row that has whatever it is asked for, and remembers."""

    def __missing__(self, name: str) -> int:
        self[name] = 1
        return 1

    def get(self, name: str, default: object = None) -> Any:
        return self[name]


def fields_of(shown: ListColumns) -> list[str]:
    row = AskedFor()
    plain = [cell for cell in shown.cells.values() if isinstance(cell, str)]
    for cell in shown.cells.values():
        if not isinstance(cell, str):
            cell(row)
    return [*plain, *row]


def bare(kind: Any) -> Any:
    """Without None, and of a list what it has."""
    if get_origin(kind) in (Union, UnionType):
        return bare(next(each for each in get_args(kind) if each is not NoneType))
    is_list = get_origin(kind) is not None and not issubclass(get_origin(kind), Mapping)
    return bare(get_args(kind)[0]) if is_list else kind


def has(kind: Any, path: str) -> bool:
    name, _, rest = path.partition(".")
    if get_origin(kind) is not None:  # a mapping, by names of its own
        return True
    hints = get_type_hints(kind)
    return name in hints and (not rest or has(bare(hints[name]), rest))


def test_every_list_is_compared_with_what_the_api_gives() -> None:
    assert set(DECLARED) == {*GIVEN, *OWN}


@pytest.mark.parametrize("name", GIVEN)
def test_every_column_is_a_field_of_the_answer(name: str) -> None:
    path, member = GIVEN[name]
    kinds = [get_type_hints(route.gives) for route in ROUTES if route.path == PREFIX + path]
    name_of, _, rest = member.partition(".")
    found = {bare(kind[name_of]) for kind in kinds if name_of in kind}
    (row,) = {bare(get_type_hints(each)[rest]) for each in found} if rest else found
    wrong = [field for field in fields_of(DECLARED[name]) if not has(row, field)]
    assert not wrong, f"{name}: {row.__name__} has no {wrong}"


def test_values_are_rows_of_the_export() -> None:
    row: Row = dict.fromkeys(ValueRow._fields, 1)
    assert set(fields_of(DECLARED["readings.VALUES"])) <= set(row)
