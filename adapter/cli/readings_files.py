"""Reads readings that people have from CSV and JSON files: all, or nothing.

CSV: `device,component,at,value`, and `condition` where it is not the ordinary one. JSON: an object
with a list `measurements` of such members. Every complaint names file, row, column and rule.
"""

import csv
from collections.abc import Mapping, Sequence
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Final

from adapter.engine.registry.imports import ImportProblem, ImportRefused
from adapter.errors import meant
from adapter.model.entered_value import read_value
from adapter.model.json_members import json_value
from adapter.model.measurement import CONDITIONS, REGULAR
from adapter.model.spreadsheets import (
    cell_problem,
    header_problem,
    width_problem,
)
from adapter.model.whole_numbers import read_whole

COLUMNS: Final = ("device", "component", "at", "value", "condition")
_NEEDED: Final = COLUMNS[:4]
_NEED: Final = "is needed"


def read_readings(path: Path) -> Sequence[Mapping[str, object]]:
    """As the API takes them. Raises ImportRefused."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ImportRefused(
            [ImportProblem(path.name, 0, "", f"cannot be read: {error}")]
        ) from error
    problems: list[ImportProblem] = []
    rows = (_json if path.suffix.lower() == ".json" else _csv)(text, path.name, problems)
    found = [_reading(row, path.name, number, problems) for number, row in rows]
    if not found and not problems:
        problems.append(ImportProblem(path.name, 0, "", "has nothing to load"))
    if problems:
        raise ImportRefused(problems)
    return found


def _csv(
    text: str, place: str, problems: list[ImportProblem]
) -> list[tuple[int, Mapping[str, str]]]:
    table = csv.DictReader(StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, Mapping[str, str]]] = []
    try:
        names = [name.strip() for name in table.fieldnames or ()]
        if (damage := header_problem(names)) is not None:
            problems.append(ImportProblem(place, 1, "", damage))
        else:
            _check_names(names, place, 1, problems)
        table.fieldnames = names
        for row in table if not problems else ():
            if None in row or None in row.values():
                problems.append(ImportProblem(place, table.line_num, "", width_problem(row)))
            elif any(row.values()):
                cells = {name: str(cell).strip() for name, cell in row.items() if cell}
                damaged = _damaged(cells, place, table.line_num)
                problems += damaged
                rows += [] if damaged else [(table.line_num, cells)]
    except csv.Error as error:
        problems.append(ImportProblem(place, table.line_num + 1, "", f"is not CSV: {error}"))
    return rows


def _damaged(cells: Mapping[str, str], place: str, row: int) -> list[ImportProblem]:
    found = ((name, cell_problem(cell)) for name, cell in cells.items())
    return [ImportProblem(place, row, name, rule) for name, rule in found if rule is not None]


def _json(
    text: str, place: str, problems: list[ImportProblem]
) -> list[tuple[int, Mapping[str, str]]]:
    try:
        given = json_value(text, number=str)
    except ValueError as error:
        problems.append(ImportProblem(place, 0, "", f"is not JSON: {error}"))
        return []
    members = given.get("measurements") if isinstance(given, dict) else None
    if not isinstance(members, list) or not all(isinstance(each, dict) for each in members):
        problems.append(ImportProblem(place, 0, "measurements", "must be a list of objects"))
        return []
    for number, each in enumerate(members, 1):
        _check_names([*each], place, number, problems, every=False)
    return [(n, {k: str(v) for k, v in each.items()}) for n, each in enumerate(members, 1)]


def _check_names(
    names: Sequence[str], place: str, row: int, problems: list[ImportProblem], *, every: bool = True
) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    missing = [name for name in _NEEDED if every and name not in names]
    problems += [
        ImportProblem(place, row, n, f"unknown column{meant(n, COLUMNS)}") for n in unknown
    ]
    problems += [ImportProblem(place, row, n, _NEED) for n in missing]


def _reading(
    row: Mapping[str, str], place: str, number: int, problems: list[ImportProblem]
) -> Mapping[str, object]:
    rules = {
        "device": "" if row.get("device") else _NEED,
        "component": "" if row.get("component") else _NEED,
        "at": _time_rule(row.get("at")),
        "value": _value_rule(row.get("value")),
        "condition": _condition_rule(row.get("condition")),
    }
    problems += [ImportProblem(place, number, name, rule) for name, rule in rules.items() if rule]
    condition = row.get("condition", "")
    right = condition and not rules["condition"]
    return {**row, "condition": read_whole(condition, CONDITIONS) if right else REGULAR}


def _time_rule(text: str | None) -> str:
    if text is None:
        return _NEED
    try:
        zone = datetime.fromisoformat(text).tzinfo
    except ValueError:
        return "is no time, as 2026-03-01T06:00:00Z"
    return "" if zone is not None else "needs a zone, as in 2026-03-01T06:00:00Z"


def _value_rule(text: str | None) -> str:
    if text is None:
        return _NEED
    try:
        read_value(text)
    except ValueError as error:
        return str(error)
    return ""


def _condition_rule(text: str | None) -> str:
    try:
        read_whole(text or str(REGULAR), CONDITIONS)
    except ValueError:
        return f"must be a whole number, {CONDITIONS}"
    return ""
