"""Reads devices, service points and install events from CSV and JSON files: all, or nothing.

Every complaint names file, row, column and rule; a file with any complaint gives nothing.

JSON: an object with the lists `devices`, `service_points` and `installs`, whose members have the
fields of `model.device`. CSV: one row per device, with its service point and its install event, or
per service point without one. Lists within a cell have `;` between their members, and `components`
has members as `id|scalar or interval|quantity|unit|seconds|billing`, of which the last three may be
left out;
`openway tables import` names the columns.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from adapter.engine.commands.ports import Import
from adapter.engine.registry.imports import (
    ImportProblem,
    ImportRefused,
    Row,
    Rows,
    T,
    member_of,
    whole,
)
from adapter.engine.registry.ports import named
from adapter.model.device import Device, InstallEvent, ServicePoint
from adapter.model.json_members import json_value
from adapter.model.values import replace
from adapter.registry.csv_file import read_csv

_LISTS: Final = ("devices", "service_points", "installs")


def read_file(path: Path) -> Import:
    """Reads by the file's ending. Raises ImportRefused."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ImportRefused(
            [ImportProblem(path.name, 0, "", f"cannot be read: {error}")]
        ) from error
    if path.suffix.lower() == ".json":
        return read_json(text, path.name)
    if path.suffix.lower() == ".csv":
        return read_csv(text, path.name)
    raise ImportRefused([ImportProblem(path.name, 0, "", "the file must be .csv or .json")])


def as_json_values(what: Import) -> dict[str, object]:
    """As a JSON file has it, and the API takes it: each member with the fields that it says."""
    return {name: [_as_said(each, what) for each in getattr(what, name)] for name in _LISTS}


def _as_said(member: Device | ServicePoint | InstallEvent, what: Import) -> dict[str, object]:
    values = msgspec.to_builtins(member, str_keys=True)
    told = what.said.get(named(member))
    return {name: each for name, each in values.items() if told is None or name in told}


def parts(what: Import, devices: int) -> Iterator[Import]:
    """In parts of at most so many devices, each with the service points and installs it needs.

    Devices that are removed go first: their endpoint, or their service point, may be another's.
    """
    points = {point.id: point for point in what.service_points}
    installs: dict[str, list[InstallEvent]] = {}
    for install in what.installs:
        installs.setdefault(install.device, []).append(install)
    there = {install.device for install in what.installs if install.removed_at is None}
    gone = installs.keys() - there
    ordered = sorted(what.devices, key=lambda device: device.id not in gone)
    for start in range(0, len(ordered), devices):
        some = tuple(ordered[start : start + devices])
        mine = tuple(each for device in some for each in installs.get(device.id, ()))
        needed = {each.service_point: points[each.service_point] for each in mine}
        yield replace(what, devices=some, service_points=tuple(needed.values()), installs=mine)
    placed = {install.service_point for install in what.installs}
    empty = tuple(point for point in what.service_points if point.id not in placed)
    for start in range(0, len(empty), devices):
        yield Import(service_points=empty[start : start + devices], said=what.said)


def read_json(text: str, place: str) -> Import:
    try:
        table = json_value(text)
    except ValueError as error:
        row = error.lineno if isinstance(error, json.JSONDecodeError) else 0
        raise ImportRefused([ImportProblem(place, row, "", f"is not JSON: {error}")]) from error
    return import_of(table, place)


def import_of(table: object, place: str) -> Import:
    """What `as_json_values` gives, checked as a whole. Raises ImportRefused."""
    if not isinstance(table, Mapping):
        raise ImportRefused([ImportProblem(place, 0, "", "must be an object with lists")])
    problems = [
        ImportProblem(place, 0, str(name), f"unknown; known are {', '.join(_LISTS)}")
        for name in table
        if name not in _LISTS
    ]
    devices = _members(table, "devices", Device, place, problems)
    points = _members(table, "service_points", ServicePoint, place, problems)
    installs = _members(table, "installs", InstallEvent, place, problems)
    places = (f"{place} devices", f"{place} service_points", f"{place} installs")
    return whole(places, devices, points, installs, problems)


def _members(
    table: Mapping[str, object], name: str, kind: type[T], place: str, problems: list[ImportProblem]
) -> Rows[T]:
    given = table.get(name, [])
    if not isinstance(given, list):
        problems.append(ImportProblem(place, 0, name, "must be a list"))
        return []
    rows: Rows[T] = []
    for number, member in enumerate(given, 1):
        made = member_of(member, kind, f"{place} {name}", number, problems)
        if made is not None:
            rows.append(Row(number, made, frozenset(member)))
    return rows
