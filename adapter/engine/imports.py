"""Rows of master data on their way in: what each may hold, and how they must fit together."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from adapter.commands.flows import CommandKind
from adapter.commands.timing import in_utc
from adapter.engine.ports import Import
from adapter.errors import InvalidRequest, meant
from adapter.model.device import INTERVALS_S, Category, Device, InstallEvent, ServicePoint

T = TypeVar("T", Device, ServicePoint, InstallEvent)

MAX_PROBLEMS: Final = 50
ALL_KINDS: Final = [kind.value for kind in CommandKind]


@dataclass(frozen=True, slots=True)
class Problem:
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

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)[:MAX_PROBLEMS]
        first = self.problems[0]
        super().__init__(f"{first.place}[{first.row}] {first.column}".strip(), first.rule)
        self.args = ("\n".join(map(str, self.problems)),)


Rows = list[tuple[int, T]]
"""Members with the row each stood in."""


def member_of(
    member: object, kind: type[T], place: str, row: int, problems: list[Problem]
) -> T | None:
    """The member as a value, or None with the complaints in `problems`."""
    if not isinstance(member, Mapping):
        problems.append(Problem(place, row, "", "must be an object"))
        return None
    known = [item.name for item in fields(kind)]
    unknown = [str(name) for name in member if name not in known]
    if unknown:
        problems.extend(
            Problem(place, row, name, f"unknown column{meant(name, known)}") for name in unknown
        )
        return None
    try:
        return msgspec.convert(dict(member), kind, strict=True)
    except msgspec.ValidationError as error:
        text, _, at = str(error).partition(" - at `$")
        column = at.removesuffix("`").lstrip(".")
        problems.append(Problem(place, row, column, text[0].lower() + text[1:]))
        return None


def whole(
    places: tuple[str, str, str],
    devices: Rows[Device],
    points: Rows[ServicePoint],
    installs: Rows[InstallEvent],
    problems: list[Problem],
) -> Import:
    """All of it, judged together. Raises ImportRefused when there is any complaint.

    `places` is where devices, service points and install events stood.
    """
    points = _once_each(places[1], points, problems)
    problems.extend(_devices(places[0], devices))
    problems.extend(_zones(places[1], points))
    problems.extend(_installs(places[2], devices, points, installs))
    if not problems and not (devices or points or installs):
        problems.append(Problem(places[0], 0, "", "has nothing to load"))
    if problems:
        raise ImportRefused(sorted(problems, key=lambda each: (each.place, each.row)))
    return Import(
        devices=tuple(device for _, device in devices),
        service_points=tuple(point for _, point in points),
        installs=tuple(_in_utc(install) for _, install in installs),
    )


def _once_each(
    place: str, points: Rows[ServicePoint], problems: list[Problem]
) -> Rows[ServicePoint]:
    """Each service point once; the same one may stand in several rows, saying the same."""
    known: dict[str, tuple[int, ServicePoint]] = {}
    for row, point in points:
        before = known.setdefault(point.id, (row, point))
        if before[1] != point:
            rule = f"service point {point.id} is otherwise in row {before[0]}"
            problems.append(Problem(place, row, "service_point", rule))
    return list(known.values())


def _devices(place: str, devices: Rows[Device]) -> Iterator[Problem]:
    by_id: dict[str, int] = {}
    by_endpoint: dict[str, int] = {}
    for row, device in devices:
        if not device.id:
            yield Problem(place, row, "device", "is needed")
        if by_id.setdefault(device.id, row) != row:
            yield Problem(place, row, "device", f"{device.id} is also in row {by_id[device.id]}")
        endpoint = device.endpoint
        if endpoint is not None and by_endpoint.setdefault(endpoint, row) != row:
            rule = f"{endpoint} also belongs to row {by_endpoint[endpoint]}"
            yield Problem(place, row, "endpoint", rule)
        for kind in sorted(device.capabilities):
            if kind not in ALL_KINDS:
                rule = f"{kind!r} is no command{meant(kind, ALL_KINDS)}"
                yield Problem(place, row, "capabilities", rule)
        if not all(INTERVALS_S.holds(each.seconds) for each in device.components):
            yield Problem(place, row, "components", f"seconds must be {INTERVALS_S}")


def _zones(place: str, points: Rows[ServicePoint]) -> Iterator[Problem]:
    for row, point in points:
        try:
            ZoneInfo(point.time_zone)
        except (KeyError, OSError, ValueError):
            yield Problem(place, row, "time_zone", f"no zone {point.time_zone!r}")


def _installs(
    place: str, devices: Rows[Device], points: Rows[ServicePoint], installs: Rows[InstallEvent]
) -> Iterator[Problem]:
    known = {device.id for _, device in devices}
    places = {point.id: point for _, point in points}
    current: dict[str, int] = {}
    metered: dict[str, int] = {}
    for row, install in installs:
        if install.device not in known:
            yield Problem(place, row, "device", f"{install.device} is not in this file")
        point = places.get(install.service_point)
        if point is None:
            rule = f"{install.service_point} is not in this file"
            yield Problem(place, row, "service_point", rule)
        for name in ("installed_at", "removed_at"):
            at: datetime | None = getattr(install, name)
            if at is not None and at.tzinfo is None:
                yield Problem(place, row, name, "needs a zone, as in 2026-03-01T06:00:00Z")
        if any(each.at.tzinfo is None for each in install.history):
            yield Problem(place, row, "history", "needs times with a zone")
        if install.removed_at is not None:
            continue
        if current.setdefault(install.device, row) != row:
            rule = f"{install.device} is also installed in row {current[install.device]}"
            yield Problem(place, row, "device", rule)
        single = point is not None and point.category is Category.METER
        if single and metered.setdefault(install.service_point, row) != row:
            rule = f"{install.service_point} has a meter in row {metered[install.service_point]}"
            yield Problem(place, row, "service_point", rule)


def _in_utc(install: InstallEvent) -> InstallEvent:
    removed = install.removed_at
    return dataclasses.replace(
        install,
        installed_at=in_utc("installed_at", install.installed_at),
        removed_at=None if removed is None else in_utc("removed_at", removed),
        history=tuple(
            dataclasses.replace(each, at=in_utc("history", each.at)) for each in install.history
        ),
    )


def checked(what: Import) -> Import:
    """The same, in UTC, if its parts fit together; rows count from 1 in each list.

    Raises ImportRefused.
    """
    return whole(
        ("devices", "service_points", "installs"),
        list(enumerate(what.devices, 1)),
        list(enumerate(what.service_points, 1)),
        list(enumerate(what.installs, 1)),
        [],
    )
