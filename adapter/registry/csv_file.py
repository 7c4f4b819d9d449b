"""Master data from CSV: one row per device, with its service point and its install event.

A row may also be a service point alone, where nothing is installed yet.
"""

import csv
from collections.abc import Callable, Collection, Mapping, Sequence
from io import StringIO
from types import MappingProxyType
from typing import Final

from adapter.engine.commands.ports import Import
from adapter.engine.registry.imports import ALL_KINDS, ImportProblem, Row, Rows, T, member_of, whole
from adapter.errors import meant
from adapter.model.device import (
    INTERVALS_S,
    Category,
    Device,
    DisconnectLocation,
    InstallEvent,
    InstallStatus,
    ServicePoint,
)
from adapter.model.spreadsheets import cell_problem, header_problem, width_problem
from adapter.model.values import replace
from adapter.model.whole_numbers import read_whole


def _text(cell: str) -> object:
    return cell


def _flag(cell: str) -> object:
    lower = cell.lower()
    if lower not in ("true", "false", "yes", "no", "1", "0", "y", "n"):
        raise ValueError("must be yes or no")
    return lower in ("true", "yes", "1", "y")


def _list(cell: str) -> object:
    return sorted({part.strip() for part in cell.split(";") if part.strip()})


def _kinds(cell: str) -> object:
    return ALL_KINDS if cell.lower() == "all" else _list(cell)


def _components(cell: str) -> object:
    return [_component(part.strip()) for part in cell.split(";") if part.strip()]


def _component(text: str) -> dict[str, object]:
    parts = [part.strip() for part in text.split("|")]
    if not 3 <= len(parts) <= 6:
        raise ValueError("must be id|scalar or interval|quantity|unit|seconds|billing")
    made: dict[str, object] = {"id": parts[0], "kind": parts[1], "quantity": parts[2]}
    if len(parts) > 3 and parts[3]:
        made["unit"] = parts[3]
    if len(parts) > 4 and parts[4]:
        made["seconds"] = _seconds(parts[4])
    if len(parts) > 5 and parts[5]:
        made["billing"] = _flag(parts[5])
    return made


def _seconds(text: str) -> int:
    try:
        return read_whole(text, INTERVALS_S)
    except ValueError as error:
        raise ValueError(f"seconds: {error}") from None


def _history(cell: str) -> object:
    entries = []
    for part in (each.strip() for each in cell.split(";")):
        at, bar, switched = part.partition("|")
        if not bar or switched.strip().lower() not in ("on", "off"):
            raise ValueError("must be time|on or time|off, with ; between")
        on = switched.strip().lower() == "on"
        entries.append({"at": at.strip(), "on": on, "cause": "import"})
    return entries


Cell = Callable[[str], object]
_DEVICE: Final[Mapping[str, tuple[str, Cell]]] = MappingProxyType(
    {
        "device": ("id", _text),
        "endpoint": ("endpoint", _text),
        "serial": ("serial", _text),
        "device_type": ("device_type", _text),
        "head_end": ("head_end", _text),
        "configuration_group": ("configuration_group", _text),
        "groups": ("groups", _list),
        "capabilities": ("capabilities", _kinds),
        "components": ("components", _components),
        "device_category": ("category", _text),
    }
)
_POINT: Final[Mapping[str, tuple[str, Cell]]] = MappingProxyType(
    {
        "service_point": ("id", _text),
        "category": ("category", _text),
        "connected": ("connected", _flag),
        "disconnect_location": ("disconnect_location", _text),
        "time_zone": ("time_zone", _text),
        "life_support": ("life_support", _flag),
        "protected": ("protected", _flag),
        "sp_type": ("sp_type", _text),
        "measurement_cycle": ("measurement_cycle", _text),
    }
)
_INSTALL: Final[Mapping[str, tuple[str, Cell]]] = MappingProxyType(
    {
        "installed_at": ("installed_at", _text),
        "removed_at": ("removed_at", _text),
        "install_status": ("status", _text),
        "armed": ("armed", _flag),
        "site_status": ("site_status", _text),
        "history": ("history", _history),
    }
)
_FORMS: Final[Mapping[Cell, str]] = MappingProxyType(
    {
        _text: "text",
        _flag: "yes or no",
        _list: "texts with ; between",
        _kinds: "all, or kinds of commands with ; between",
        _components: "id|scalar or interval|quantity|unit|seconds|billing, with ; between",
        _history: "time|on or time|off, with ; between",
    }
)


_TIME: Final = "time, ISO 8601 with a zone"
_VALUES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "category": ", ".join(Category),
        "head_end": "name of its head end; empty: the gateway's own, `head_end.name`",
        "device_category": f"{Category.METER}, {Category.ITEM}",
        "disconnect_location": ", ".join(DisconnectLocation),
        "time_zone": "IANA zone, as Europe/Berlin",
        "installed_at": _TIME,
        "removed_at": _TIME,
        "install_status": ", ".join(InstallStatus),
    }
)


def column_table() -> Sequence[tuple[str, str, str]]:
    """Every column: of what it is, and the form of its cells."""
    parts = (("device", _DEVICE), ("service point", _POINT), ("install event", _INSTALL))
    return [
        (name, of, _VALUES.get(name, _FORMS[read]))
        for of, part in parts
        for name, (_, read) in part.items()
    ]


COLUMNS: Final = (*_DEVICE, *_POINT, *_INSTALL)
_SILENT: Final = frozenset({"connected", "disconnect_location", *_INSTALL})
"""Columns of which an empty cell says nothing; in the others it is the usual value."""


def read_csv(text: str, place: str) -> Import:
    table = csv.DictReader(StringIO(text, newline=""), strict=True)
    problems: list[ImportProblem] = []
    devices: Rows[Device] = []
    points: Rows[ServicePoint] = []
    installs: Rows[InstallEvent] = []
    try:
        header = [name.strip() for name in table.fieldnames or ()]
        if (damage := header_problem(header)) is not None:
            problems.append(ImportProblem(place, 1, "", damage))
        else:
            _check_header(header, place, problems)
        table.fieldnames = header
        if not problems:
            for row in table:
                _row(row, place, table.line_num, problems, devices, points, installs)
    except csv.Error as error:
        problems.append(ImportProblem(place, table.line_num + 1, "", f"is not CSV: {error}"))
    return whole((place, place, place), devices, points, installs, problems)


def _check_header(header: list[str], place: str, problems: list[ImportProblem]) -> None:
    for name in header:
        if name not in COLUMNS:
            rule = f"unknown column{meant(name, list(COLUMNS))}"
            problems.append(ImportProblem(place, 1, name, rule))
    twice = sorted({name for name in header if header.count(name) > 1})
    problems.extend(ImportProblem(place, 1, name, "stands there twice") for name in twice)
    if "device" not in header and "service_point" not in header:
        problems.append(ImportProblem(place, 1, "device", "is needed"))


def _row(
    row: Mapping[str | None, object],
    place: str,
    number: int,
    problems: list[ImportProblem],
    devices: Rows[Device],
    points: Rows[ServicePoint],
    installs: Rows[InstallEvent],
) -> None:
    if None in row or None in row.values():
        problems.append(ImportProblem(place, number, "", width_problem(row)))
        return
    cells = {str(name): str(cell).strip() for name, cell in row.items()}
    filled = {name: cell for name, cell in cells.items() if cell}
    if not filled:
        return
    damaged = [(name, rule) for name, cell in filled.items() if (rule := cell_problem(cell))]
    problems.extend(ImportProblem(place, number, name, rule) for name, rule in damaged)
    bad = {name for name, _ in damaged}
    point = filled.get("service_point")
    alone = point is not None and not any(name in filled for name in (*_DEVICE, *_INSTALL))
    if not alone:
        _take(filled, _DEVICE, {}, cells, Device, place, number, problems, devices, bad)
    rest = sorted(name for name in filled if name in (*_POINT, *_INSTALL))
    if point is None:
        problems.extend(
            ImportProblem(place, number, name, "needs a service_point") for name in rest
        )
        return
    _take(filled, _POINT, {}, cells, ServicePoint, place, number, problems, points, bad)
    if any(name in filled for name in _INSTALL):
        both = {"device": filled.get("device", ""), "service_point": point}
        _take(filled, _INSTALL, both, cells, InstallEvent, place, number, problems, installs, bad)


def _take(
    filled: Mapping[str, str],
    columns: Mapping[str, tuple[str, Cell]],
    more: Mapping[str, object],
    header: Collection[str],
    kind: type[T],
    place: str,
    number: int,
    problems: list[ImportProblem],
    rows: Rows[T],
    damaged: Collection[str],
) -> None:
    """`damaged` are columns whose fault was told."""
    member = dict(more)
    bad = set(damaged)
    names = {field: column for column, (field, _) in columns.items()}
    for column, (field, read) in columns.items():
        if column in filled and column not in bad:
            try:
                member[field] = read(filled[column])
            except ValueError as error:
                problems.append(ImportProblem(place, number, column, str(error)))
                bad.add(column)
    found: list[ImportProblem] = []
    made = member_of(member, kind, place, number, found)
    for each in found:
        inner = each.column.partition("[")[0].partition(".")[0]
        column = names.get(inner, inner)
        missing = "missing required field `"
        if each.rule.startswith("object " + missing):
            column = each.rule.rpartition("field ")[2].strip("`")
            column = names.get(column, column)
            each = replace(each, rule="is needed")
            if column in bad:
                continue
        problems.append(replace(each, column=column))
    if made is not None and bad.isdisjoint(columns):
        said = {field for column, (field, _) in columns.items() if _says(column, filled, header)}
        rows.append(Row(number, made, frozenset(said | more.keys())))


def _says(column: str, filled: Mapping[str, str], header: Collection[str]) -> bool:
    return column in filled or (column in header and column not in _SILENT)
