"""What an import may change in the registry, what it leaves alone and why: pure, on one snapshot.

Only completion events change what they own (I19): status, arming and on/off history of a known
install event, and the source status (`connected`, `disconnect_location`) of a known service point,
which completion events of field work set. An import says all the rest: devices, attributes and
restrictions of service points, new install events, removals. Where it says otherwise of something
that is not its own, it is left alone and told; an override changes status, arming and source status
for a reason, and appends to the history. The endpoint of a device that is installed is like those:
another one would send the switch orders for one customer to the meter of the next.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from types import MappingProxyType
from typing import Final, TypeVar

from adapter.engine.registry.ports import Import, ImportDifference, Known
from adapter.model.device import (
    CONNECTED,
    Category,
    Device,
    InstallEvent,
    InstallStatus,
    OnOff,
    ServicePoint,
)
from adapter.model.ids import DeviceId, EventId, ServicePointId, endpoint_key
from adapter.model.values import replace

T = TypeVar("T", Device, ServicePoint)

POINT_OWNED: Final = ("connected", "disconnect_location")
_INSTALL_OWNED: Final = ("status", "armed")
_BY_COMPLETION: Final = "only completion events change it"
_INSTALLED_WITH: Final = "the device is installed with the other one"
_KNOWN_DATE: Final = "the install event is known under its own date"
_NOT_UNDONE: Final = "a removal is not undone: load a new install event where it is back"
_APPENDED: Final = "the history of a known install event grows by what happens to it"

_S = InstallStatus
_OPENED: Final[Mapping[InstallStatus, InstallStatus]] = MappingProxyType(
    {
        _S.CONN_COMM: _S.DISCONN_COMM,
        _S.CONN_DECOMM: _S.DISCONN_DECOMM,
        _S.CONN_PRECOMM: _S.DISCONN_DECOMM,
    }
)
"""The status of a smart meter that came with its switch open. Inferred, as `OFF_BY_HAND`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Somebody says that the file is right about what completion events own."""

    reason: str
    at: datetime
    cause: EventId


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPlan:
    """What to write, and what is told. `untaken` are those of `left_alone` for which a whole
    install event of the file was not taken; `clashes` is why the import is refused: by the number
    of a device from 0, whose endpoint belongs to another."""

    write: Import
    left_alone: tuple[ImportDifference, ...]
    overridden: tuple[ImportDifference, ...]
    untaken: tuple[ImportDifference, ...]
    clashes: tuple[tuple[int, str], ...]


@dataclass(slots=True)
class _Told:
    override: Override | None
    left_alone: list[ImportDifference] = field(default_factory=list)
    overridden: list[ImportDifference] = field(default_factory=list)
    untaken: list[ImportDifference] = field(default_factory=list)

    def left(
        self, subject: str, name: str, stored: object, given: object, why: str
    ) -> ImportDifference:
        made = _difference(subject, name, stored, given, why)
        self.left_alone.append(made)
        return made

    def owned(
        self, subject: str, name: str, stored: object, given: object, why: str = _BY_COMPLETION
    ) -> bool:
        """Whether the file's value is taken, of a field that only an override changes."""
        if self.override is None:
            self.left(subject, name, stored, given, why)
            return False
        self.overridden.append(_difference(subject, name, stored, given, self.override.reason))
        return True


def plan(what: Import, known: Known, override: Override | None = None) -> ImportPlan:
    """Decide every member of the import on what is known."""
    told = _Told(override)
    there = {each.device for each in known.installs if each.removed_at is None}
    shared = _shared(known)
    claimed = [_merged(each, known.devices.get(each.id), what) for each in what.devices]
    devices = [_device(each, known, what, told, there - shared) for each in claimed]
    points = {each.id: _point(each, known, what, told) for each in what.service_points}
    places = {**known.service_points, **points}
    planner = _Installs(
        what, known, told, {**known.devices, **{device.id: device for device in devices}}, places
    )
    installs = planner.decide()
    # What the file says must not clash, nor what becomes of it where an endpoint stays.
    clashes = dict(_clashes(devices, planner, told)) | dict(_clashes(claimed, planner, told))
    return ImportPlan(
        write=Import(
            devices=tuple(each for each in devices if known.devices.get(each.id) != each),
            service_points=tuple(
                each for each in points.values() if known.service_points.get(each.id) != each
            ),
            installs=tuple(installs),
        ),
        left_alone=tuple(dict.fromkeys(told.left_alone)),
        overridden=tuple(told.overridden),
        untaken=tuple(told.untaken),
        clashes=tuple(sorted(clashes.items())),
    )


def _merged(given: T, stored: T | None, what: Import) -> T:
    """The member as it becomes: what the file does not say stays as it is."""
    if stored is None:
        return given
    kept = {
        item.name: getattr(stored, item.name)
        for item in fields(given)
        if not what.says(given, item.name)
    }
    return replace(given, **kept) if kept else given


def _device(
    given: Device, known: Known, what: Import, told: _Told, installed: set[DeviceId]
) -> Device:
    """`installed` are those that keep their endpoint, unless they are removed in the same file."""
    stored = known.devices.get(given.id)
    before = None if stored is None else stored.endpoint
    after = given.endpoint
    if before is None or given.id not in installed:
        return given
    same = after is not None and endpoint_key(after) == endpoint_key(before)
    if not same and (why := _under_way(known, given.id)):
        told.left(given.id, "endpoint", before, after, why)
        return replace(given, endpoint=before)
    gone = any(each.device == given.id and each.removed_at for each in what.installs)
    if same or gone or told.owned(given.id, "endpoint", before, after, _INSTALLED_WITH):
        return given
    return replace(given, endpoint=before)


def _under_way(known: Known, device: DeviceId) -> str | None:
    """Why a meter is not moved now: what it is about to do is for the customer of before."""
    command = known.switching.get(device)
    if command is None:
        return None
    return f"command {command} is under way at its meter: load it again when that is over"


def _shared(known: Known) -> set[DeviceId]:
    """Devices whose endpoint another one names as well: an import mends that as it finds right."""
    removed = _removed(known.devices, known.installs)
    groups = _by_endpoint(known.devices, removed).values()
    return {device for group in groups if len(group) > 1 for device in group}


def _point(given: ServicePoint, known: Known, what: Import, told: _Told) -> ServicePoint:
    stored = known.service_points.get(given.id)
    merged = _merged(given, stored, what)
    if stored is None:
        return merged
    for name in POINT_OWNED:
        before, after = getattr(stored, name), getattr(merged, name)
        if before != after and not told.owned(given.id, name, before, after):
            merged = replace(merged, **{name: before})
    return merged


@dataclass(slots=True)
class _Installs:
    """Install events of the file against those that are known, removals before what follows."""

    what: Import
    known: Known
    told: _Told
    devices: Mapping[DeviceId, Device]
    places: Mapping[ServicePointId, ServicePoint]
    after: dict[tuple[str, str, datetime], InstallEvent] = field(default_factory=dict)

    def decide(self) -> list[InstallEvent]:
        before = {_key(each): each for each in self.known.installs}
        self.after = dict(before)
        matched = _matched(self.what.installs, before)
        fresh = [each for each in self.what.installs if _key(each) not in matched]
        for given in self.what.installs:
            if _key(given) in matched:
                stored = self.after[matched[_key(given)]]
                self.after[_key(stored)] = self._known(given, stored)
        for given in sorted(fresh, key=lambda each: each.removed_at is None):
            taken = self._new(given)
            if taken is not None:
                self.after[_key(taken)] = taken
        self._unmentioned()
        return [each for key, each in self.after.items() if before.get(key) != each]

    # ------------------------------------------------------------ known ones

    def _known(self, given: InstallEvent, stored: InstallEvent) -> InstallEvent:
        device, told = given.device, self.told
        if given.installed_at != stored.installed_at:
            told.left(device, "installed_at", stored.installed_at, given.installed_at, _KNOWN_DATE)
        event = self._removed(given, stored)
        for name in _INSTALL_OWNED:
            before, after = getattr(stored, name), getattr(given, name)
            removal = after is _S.REMOVED and given.removed_at is not None
            if before == after or removal or not self.what.says(given, name):
                continue
            if told.owned(device, name, before, after):
                event = replace(event, **{name: after})
                if name == "status":
                    event = replace(event, site_status=given.site_status)
        self._history(given, stored)
        return self._appended(stored, event)

    def _removed(self, given: InstallEvent, stored: InstallEvent) -> InstallEvent:
        before, after = stored.removed_at, given.removed_at
        if before == after:
            return stored
        why = None
        if before is not None:
            why = _NOT_UNDONE if after is None else "the removal is known under its own date"
        elif after is not None and after < stored.installed_at:
            why = "it is before the installation"
        else:
            why = _under_way(self.known, given.device)
        if why is None:
            return replace(stored, removed_at=after)
        self.told.left(given.device, "removed_at", before, after, why)
        return stored

    def _history(self, given: InstallEvent, stored: InstallEvent) -> None:
        have = {(each.at, each.on) for each in stored.history}
        more = [each for each in given.history if (each.at, each.on) not in have]
        if more and self.what.says(given, "history"):
            self.told.left(given.device, "history", stored.history, tuple(more), _APPENDED)

    def _appended(self, stored: InstallEvent, event: InstallEvent) -> InstallEvent:
        """An override that turns the device on or off is one more entry of its history."""
        override, on = self.told.override, event.status in CONNECTED
        if override is None or on == (stored.status in CONNECTED):
            return event
        entry = OnOff(at=override.at, on=on, cause=override.cause)
        return replace(event, history=(*event.history, entry))

    # ------------------------------------------------------------ new ones

    def _new(self, given: InstallEvent) -> InstallEvent | None:
        if given.removed_at is not None:
            return given
        mine = [each for each in self.after.values() if each.device == given.device]
        here = next((each for each in mine if each.removed_at is None), None)
        if here is not None:
            why = _under_way(self.known, given.device)
            why = why or f"say in removed_at when it was removed from {here.service_point}"
            self._untaken(given, _place(here), why)
            return None
        later = next((each for each in mine if each.installed_at > given.installed_at), None)
        if later is not None:
            self._untaken(given, _place(later), "a later install event is known")
            return None
        meter = self._meter_at(given)
        if meter is not None:
            why = f"say in removed_at when {meter.device} was removed from there"
            self._untaken(given, f"{meter.device} is there", why)
            return None
        return self._as_switched(given, mine)

    def _untaken(self, given: InstallEvent, stored: str, why: str) -> None:
        made = self.told.left(given.device, "installed", stored, _place(given), why)
        self.told.untaken.append(made)

    def _meter_at(self, given: InstallEvent) -> InstallEvent | None:
        place = self.places.get(given.service_point)
        if place is None or place.category is not Category.METER:
            return None
        for each in self.after.values():
            if each.service_point == given.service_point and each.removed_at is None:
                return each
        return None

    def _as_switched(self, given: InstallEvent, mine: Iterable[InstallEvent]) -> InstallEvent:
        """A switch that was opened by order stays open where the meter goes."""
        device = self.devices.get(given.device)
        entries = sorted((e for each in mine for e in each.history), key=lambda entry: entry.at)
        opened = bool(entries) and not entries[-1].on
        status = _OPENED.get(given.status)
        if device is None or not device.smart or not opened or status is None:
            return given
        if self.told.owned(given.device, "status", status, given.status):
            return given
        return replace(given, status=status, armed=False)

    # ------------------------------------------------------------ those that are not mentioned

    def _unmentioned(self) -> None:
        """Devices of the file that are installed by the registry, where the file has install events
        and none of theirs: what is not said removes nothing."""
        told_of = {each.device for each in self.what.installs}
        if not told_of:
            return
        why = "what a file does not say removes nothing: say it in removed_at"
        listed = {each.id for each in self.what.devices} - told_of
        for event in self.known.installs:
            if event.device in listed and event.removed_at is None:
                self.told.left(event.device, "installed", _place(event), None, why)


def _clashes(
    devices: Iterable[Device], planner: _Installs, told: _Told
) -> Iterator[tuple[int, str]]:
    """An endpoint belongs to one device that is not removed (I7), looked at as it is afterwards. A
    store that has two already is told, and mended by the import that says which is right."""
    devices = list(devices)
    before = planner.known.devices
    after = {**planner.devices, **{each.id: each for each in devices}}
    removed_before = _removed(before, planner.known.installs)
    removed_after = _removed(after, planner.after.values())
    now = _by_endpoint(after, removed_after)
    then = _by_endpoint(before, removed_before)
    for number, device in enumerate(devices):
        key = None if device.endpoint is None else endpoint_key(device.endpoint)
        others = sorted(now.get(key, set()) - {device.id}) if key is not None else []
        if not others or device.id in removed_after or key is None:
            continue
        holder = f"belongs to {', '.join(others)}, which is not removed"
        if {device.id, *others} <= then.get(key, set()):
            told.left(device.id, "endpoint", device.endpoint, device.endpoint, f"also {holder}")
        else:
            yield number, f"{device.id}: {device.endpoint} {holder}"


def _removed(ids: Iterable[DeviceId], installs: Iterable[InstallEvent]) -> set[DeviceId]:
    """Those that were installed and are not any more."""
    events = list(installs)
    gone = {each.device for each in events if each.removed_at is not None}
    there = {each.device for each in events if each.removed_at is None}
    return set(ids) & (gone - there)


def _by_endpoint(
    devices: Mapping[DeviceId, Device], removed: set[DeviceId]
) -> dict[str, set[DeviceId]]:
    found: dict[str, set[DeviceId]] = {}
    for device in devices.values():
        if device.endpoint is not None and device.id not in removed:
            found.setdefault(endpoint_key(device.endpoint), set()).add(device.id)
    return found


def _key(install: InstallEvent) -> tuple[str, str, datetime]:
    return install.device, install.service_point, install.installed_at


def _matched(
    given: Iterable[InstallEvent], before: Mapping[tuple[str, str, datetime], InstallEvent]
) -> dict[tuple[str, str, datetime], tuple[str, str, datetime]]:
    """Which known install event each of the file is: of the same date, or else one of the same
    device at the same service point during some of the same time."""
    members = list(given)
    matched = {_key(each): _key(each) for each in members if _key(each) in before}
    for each in members:
        if _key(each) in matched:
            continue
        taken = set(matched.values())
        same = [other for key, other in before.items() if key not in taken and _same(each, other)]
        if same:
            latest = max(same, key=lambda other: (other.removed_at is None, other.installed_at))
            matched[_key(each)] = _key(latest)
    return matched


def _same(one: InstallEvent, other: InstallEvent) -> bool:
    if (one.device, one.service_point) != (other.device, other.service_point):
        return False
    begins_in_time = other.removed_at is None or one.installed_at < other.removed_at
    ends_in_time = one.removed_at is None or other.installed_at < one.removed_at
    return begins_in_time and ends_in_time


def _place(install: InstallEvent) -> str:
    return f"{install.service_point} since {_text(install.installed_at)}"


def _difference(
    subject: str, name: str, stored: object, given: object, why: str
) -> ImportDifference:
    return ImportDifference(
        subject=subject, field=name, stored=_text(stored), given=_text(given), reason=why
    )


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case tuple():
            return "; ".join(_entries(value))
    return str(value)


def _entries(history: Iterable[object]) -> Iterator[str]:
    for entry in history:
        if isinstance(entry, OnOff):
            yield f"{_text(entry.at)}|{'on' if entry.on else 'off'}"
