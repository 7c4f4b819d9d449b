"""Rows of master data on their way in: what each may hold, and how they must fit together."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from types import GenericAlias, MappingProxyType
from typing import Final, Generic, TypeVar, get_type_hints
from zoneinfo import ZoneInfo

import msgspec

from adapter.commands.flows import CommandKind
from adapter.commands.timing import in_utc
from adapter.engine.commands.ports import Import
from adapter.engine.registry.ports import Named, named
from adapter.errors import InvalidRequest, meant
from adapter.model.device import INTERVALS_S, Category, Device, InstallEvent, ServicePoint
from adapter.model.ids import DeviceId, endpoint_key
from adapter.model.spreadsheets import number_problem
from adapter.model.texts import (
    endpoint_problem,
    id_problem,
    registry_id_problem,
    text_problem,
    twin_key,
)
from adapter.model.values import replace

Check = Callable[[str], str | None]
T = TypeVar("T", Device, ServicePoint, InstallEvent)
S = TypeVar("S", Device, ServicePoint)

MAX_PROBLEMS: Final = 50
_TWICE: Final = {
    "device": "{id} is also in row {row}",
    "service_point": "service point {id} is otherwise in row {row}",
}
ALL_KINDS: Final = [kind.value for kind in CommandKind]


@dataclass(frozen=True, slots=True)
class ImportProblem:
    """One thing wrong. `row` counts from 1; in CSV it is the line in the file."""

    place: str
    row: int
    column: str
    rule: str

    def __str__(self) -> str:
        column = f", {self.column}" if self.column else ""
        return f"{self.place}, row {self.row}{column}: {self.rule}"


class ImportRefused(InvalidRequest):
    """Nothing was taken; `problems` says why, the first fifty."""

    code = "import_refused"

    def __init__(self, problems: Iterable[ImportProblem]) -> None:
        self.problems = tuple(problems)[:MAX_PROBLEMS]
        first = self.problems[0]
        super().__init__(f"{first.place}[{first.row}] {first.column}".strip(), first.rule)
        self.args = ("\n".join(map(str, self.problems)),)


@dataclass(frozen=True, slots=True)
class Row(Generic[T]):
    """A member with the row it stood in, and the fields that it was given with; None: all."""

    number: int
    member: T
    said: frozenset[str] | None = None


Rows = list[Row[T]]


def member_of(
    member: object, kind: type[T], place: str, row: int, problems: list[ImportProblem]
) -> T | None:
    """The member as a value, or None with the complaints in `problems`."""
    if not isinstance(member, Mapping):
        problems.append(ImportProblem(place, row, "", "must be an object"))
        return None
    known = [item.name for item in fields(kind)]
    unknown = [str(name) for name in member if name not in known]
    if unknown:
        problems.extend(
            ImportProblem(place, row, name, f"unknown column{meant(name, known)}")
            for name in unknown
        )
        return None
    try:
        return msgspec.convert(dict(member), kind, strict=True)
    except msgspec.ValidationError as error:
        wrong = list(_each_wrong(member, kind)) or [str(error)]
        problems.extend(_problem(each, place, row) for each in wrong)
        return None


def _each_wrong(member: Mapping[object, object], kind: type[T]) -> Iterator[str]:
    """What is wrong with each of its fields, as the reader says it of the first alone."""
    hints = get_type_hints(kind, include_extras=True)
    for item in fields(kind):
        if item.name in member:
            try:
                of_one = GenericAlias(dict, (str, hints[item.name]))
                msgspec.convert({item.name: member[item.name]}, of_one)
            except msgspec.ValidationError as error:
                yield str(error).replace("`$[...]", f"`$.{item.name}")
        elif item.default is MISSING and item.default_factory is MISSING:
            yield f"Object missing required field `{item.name}`"


def _problem(text: str, place: str, row: int) -> ImportProblem:
    said, _, at = text.partition(" - at `$")
    column = at.removesuffix("`").lstrip(".")
    return ImportProblem(place, row, column, said[0].lower() + said[1:])


def whole(
    places: tuple[str, str, str],
    devices: Rows[Device],
    points: Rows[ServicePoint],
    installs: Rows[InstallEvent],
    problems: list[ImportProblem],
) -> Import:
    """All of it, judged together. Raises ImportRefused when there is any complaint.

    `places` is where devices, service points and install events stood.
    """
    points = _once_each(places[1], "service_point", points, problems)
    devices = _once_each(places[0], "device", devices, problems)
    problems.extend(_twins(places[0], "device", ((row.number, row.member.id) for row in devices)))
    problems.extend(_twins(places[1], "service_point", ((r.number, r.member.id) for r in points)))
    groups = ((row.number, group) for row in devices for group in sorted(row.member.groups))
    problems.extend(_twins(places[0], "groups", groups))
    problems.extend(_devices(places[0], devices, _removed(installs)))
    problems.extend(_zones(places[1], points))
    problems.extend(_installs(places[2], devices, points, installs))
    if not problems and not (devices or points or installs):
        problems.append(ImportProblem(places[0], 0, "", "has nothing to load"))
    if problems:
        raise ImportRefused(sorted(problems, key=lambda each: (each.place, each.row)))
    dated = [replace(row, member=_in_utc(row.member)) for row in installs]
    return Import(
        devices=tuple(row.member for row in devices),
        service_points=tuple(row.member for row in points),
        installs=tuple(row.member for row in dated),
        said={**_said(devices), **_said(points), **_said(dated)},
        rows={row.member.id: row.number for row in devices},
    )


def _said(rows: Rows[T]) -> dict[Named, frozenset[str]]:
    return {named(row.member): row.said for row in rows if row.said is not None}


def _once_each(place: str, column: str, rows: Rows[S], problems: list[ImportProblem]) -> Rows[S]:
    """Each once; the same service point, or device, may stand in several rows, saying the same."""
    known: dict[str, Row[S]] = {}
    for row in rows:
        id = row.member.id
        if id not in known:
            known[id] = row
        elif known[id].member == row.member:
            known[id] = replace(known[id], said=_both(known[id].said, row.said))
        else:
            rule = _TWICE[column].format(id=id, row=known[id].number)
            problems.append(ImportProblem(place, row.number, column, rule))
    return list(known.values())


def _twins(place: str, column: str, ids: Iterable[tuple[int, str]]) -> Iterator[ImportProblem]:
    """Ids that people take for one: nobody could say which is meant."""
    known: dict[str, tuple[int, str]] = {}
    for number, id in ids:
        row, other = known.setdefault(twin_key(id), (number, id))
        if other != id:
            yield ImportProblem(place, number, column, f"{id} looks like {other} of row {row}")


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return None if one is None or other is None else one | other


def _removed(installs: Rows[InstallEvent]) -> set[DeviceId]:
    """Devices that are removed by all that the file says."""
    events = [row.member for row in installs]
    there = {each.device for each in events if each.removed_at is None}
    return {each.device for each in events} - there


def _devices(
    place: str, devices: Rows[Device], removed: Collection[DeviceId]
) -> Iterator[ImportProblem]:
    by_endpoint: dict[str, int] = {}
    for row in devices:
        device, number = row.member, row.number
        yield from _texts(place, number, device)
        if device.endpoint is not None and device.id not in removed:
            first = by_endpoint.setdefault(endpoint_key(device.endpoint), number)
            if first != number:
                rule = f"{device.endpoint} also belongs to row {first}"
                yield ImportProblem(place, number, "endpoint", rule)
        for kind in sorted(device.capabilities):
            if kind not in ALL_KINDS:
                rule = f"{kind!r} is no command{meant(kind, ALL_KINDS)}"
                yield ImportProblem(place, number, "capabilities", rule)
        if not all(INTERVALS_S.holds(each.seconds) for each in device.components):
            yield ImportProblem(place, number, "components", f"seconds must be {INTERVALS_S}")


def _serial_problem(text: str) -> str | None:
    return text_problem(text) or number_problem(text)


_IDS: Final[Mapping[tuple[type, str], tuple[str, Check]]] = MappingProxyType(
    {
        (Device, "id"): ("device", registry_id_problem),
        (Device, "endpoint"): ("endpoint", endpoint_problem),
        (Device, "serial"): ("serial", _serial_problem),
        (Device, "groups"): ("groups", registry_id_problem),
        (ServicePoint, "id"): ("service_point", registry_id_problem),
    }
)
"""The column of a field, and what is asked of it; the other texts are `text_problem`'s."""


def _texts(place: str, row: int, member: Device | ServicePoint) -> Iterator[ImportProblem]:
    """Texts that XML cannot carry or nobody can tell apart, with their column."""
    for item in fields(member):
        value = getattr(member, item.name)
        column, check = _IDS.get((type(member), item.name), (item.name, text_problem))
        values = [value] if isinstance(value, str) else value
        if isinstance(values, frozenset):
            values = sorted(values)
        elif not isinstance(values, list):
            continue
        problems = (check(each) for each in values)
        first = next((problem for problem in problems if problem is not None), None)
        if first is not None:
            yield ImportProblem(place, row, column, first)
    for each in member.components if isinstance(member, Device) else ():
        problem = id_problem(each.id) or text_problem(each.quantity) or text_problem(each.unit)
        if problem is not None:
            yield ImportProblem(place, row, "components", problem)


def _zones(place: str, points: Rows[ServicePoint]) -> Iterator[ImportProblem]:
    for row in points:
        yield from _texts(place, row.number, row.member)
        try:
            ZoneInfo(row.member.time_zone)
        except (KeyError, OSError, ValueError):
            yield ImportProblem(place, row.number, "time_zone", f"no zone {row.member.time_zone!r}")


def _installs(
    place: str, devices: Rows[Device], points: Rows[ServicePoint], installs: Rows[InstallEvent]
) -> Iterator[ImportProblem]:
    known = {row.member.id for row in devices}
    places = {row.member.id: row.member for row in points}
    current: dict[str, int] = {}
    metered: dict[str, int] = {}
    events: dict[tuple[str, str, datetime], int] = {}
    for each in installs:
        row, install = each.number, each.member
        if install.device not in known:
            yield ImportProblem(place, row, "device", f"{install.device} is not in this file")
        point = places.get(install.service_point)
        if point is None:
            rule = f"{install.service_point} is not in this file"
            yield ImportProblem(place, row, "service_point", rule)
        yield from _times(place, row, install)
        key = (install.device, install.service_point, install.installed_at)
        if events.setdefault(key, row) != row:
            yield ImportProblem(place, row, "installed_at", f"the same is in row {events[key]}")
        if install.removed_at is not None:
            continue
        if current.setdefault(install.device, row) != row:
            rule = f"{install.device} is also installed in row {current[install.device]}"
            yield ImportProblem(place, row, "device", rule)
        single = point is not None and point.category is Category.METER
        if single and metered.setdefault(install.service_point, row) != row:
            rule = f"{install.service_point} has a meter in row {metered[install.service_point]}"
            yield ImportProblem(place, row, "service_point", rule)


def _times(place: str, row: int, install: InstallEvent) -> Iterator[ImportProblem]:
    naive = [
        name
        for name in ("installed_at", "removed_at")
        if (at := getattr(install, name)) is not None and at.tzinfo is None
    ]
    for name in naive:
        yield ImportProblem(place, row, name, "needs a zone, as in 2026-03-01T06:00:00Z")
    if any(entry.at.tzinfo is None for entry in install.history):
        yield ImportProblem(place, row, "history", "needs times with a zone")
    removed = install.removed_at
    if not naive and removed is not None and removed < install.installed_at:
        yield ImportProblem(place, row, "removed_at", "is before installed_at")


def _in_utc(install: InstallEvent) -> InstallEvent:
    removed = install.removed_at
    return replace(
        install,
        installed_at=in_utc("installed_at", install.installed_at),
        removed_at=None if removed is None else in_utc("removed_at", removed),
        history=tuple(replace(each, at=in_utc("history", each.at)) for each in install.history),
    )


def checked(what: Import) -> Import:
    """The same, in UTC, if its parts fit together; rows count from 1 in each list.

    Raises ImportRefused.
    """
    return whole(
        ("devices", "service_points", "installs"),
        _rows(what.devices, what),
        _rows(what.service_points, what),
        _rows(what.installs, what),
        [],
    )


def _rows(members: Iterable[T], what: Import) -> Rows[T]:
    return [Row(number, each, what.said.get(named(each))) for number, each in enumerate(members, 1)]
