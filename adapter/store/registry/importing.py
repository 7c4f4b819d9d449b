"""Imports of master data as they are judged and written: on one snapshot, in one transaction."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime

import msgspec

from adapter.commands.rules import switch_lanes
from adapter.engine.commands.ports import AuditNote, Import, Saved
from adapter.engine.registry.ports import Known, Named
from adapter.model.device import Device, InstallEvent
from adapter.model.ids import CommandId, DeviceId, endpoint_key
from adapter.model.texts import twins_of
from adapter.model.values import replace
from adapter.store.commands import queries
from adapter.store.commands.writing import note_all
from adapter.store.connection import SqlConnection
from adapter.store.registry.registry import put_device, put_install, stored_version
from adapter.store.rows import decode_device, decode_install, decode_service_point, encode
from adapter.store.transaction import Transaction


def known(db: SqlConnection, what: Import) -> Known:
    """What the registry has that the import is about."""
    ids = dict.fromkeys([*(each.id for each in what.devices), *(e.device for e in what.installs)])
    said_anew = frozenset(each.id for each in what.devices)
    devices = _devices(db, ids, said_anew)
    endpoints = (each.endpoint for each in (*what.devices, *devices.values()))
    for key in {endpoint_key(endpoint) for endpoint in endpoints if endpoint is not None}:
        ids.update((device, None) for (device,) in db.execute(queries.DEVICES_AT, (key,)))
    devices |= _devices(db, ids.keys() - devices.keys(), said_anew)
    points = dict.fromkeys(
        [*(each.id for each in what.service_points), *(e.service_point for e in what.installs)]
    )
    bodies = {point: db.execute(queries.SERVICE_POINT, (point,)).get for point in points}
    found: dict[bytes, None] = {}
    for device in ids:
        found.update((body, None) for (body,) in db.execute(queries.INSTALLS_OF, (device,)))
    for point in points:
        found.update((body, None) for (body,) in db.execute(queries.OPEN_AT, (point,)))
    return Known(
        devices=devices,
        service_points={
            point: decode_service_point(body) for point, body in bodies.items() if body is not None
        },
        installs=tuple(sorted(map(decode_install, found), key=_order)),
        twins=_twins(db, what),
        switching=_switching(db, devices.values()),
    )


def _switching(db: SqlConnection, devices: Iterable[Device]) -> dict[DeviceId, CommandId]:
    """Of devices whose meter is about to be switched, or may be, by which command."""
    found: dict[DeviceId, CommandId] = {}
    for device in devices:
        for lane in switch_lanes(device):
            command = db.execute(queries.SWITCH_OUT, (lane,)).get
            if command is not None:
                found[device.id] = CommandId(command)
    return found


def _twins(db: SqlConnection, what: Import) -> dict[Named, str]:
    """Of ids that are not in the registry the ones there that people take them for."""
    groups = dict.fromkeys(group for each in what.devices for group in sorted(each.groups))
    kinds = (
        ("device", (each.id for each in what.devices), queries.DEVICE, queries.DEVICES_LIKE),
        (
            "service_point",
            (each.id for each in what.service_points),
            queries.SERVICE_POINT,
            queries.SERVICE_POINTS_LIKE,
        ),
        ("group", groups, queries.GROUP_KNOWN, queries.GROUPS_LIKE),
    )
    found: dict[Named, str] = {}
    for kind, ids, known_as_it_is, known_like in kinds:
        for id in ids:
            if (twin := _twin(db, id, known_as_it_is, known_like)) is not None:
                found[(kind, id)] = twin
    return found


def twin_of_device(db: SqlConnection, device: DeviceId) -> str | None:
    """Of a device that is not in the registry the one there that people take it for."""
    return _twin(db, device, queries.DEVICE, queries.DEVICES_LIKE)


def _twin(db: SqlConnection, id: str, known_as_it_is: str, known_like: str) -> str | None:
    if db.execute(known_as_it_is, (id,)).get is not None:
        return None
    spelled = (db.execute(known_like, (text,)).get for text in twins_of(id))
    return next((each for each in spelled if each is not None), None)


def _devices(
    db: SqlConnection, ids: Iterable[DeviceId], said_anew: frozenset[DeviceId]
) -> dict[DeviceId, Device]:
    """One that cannot be read is as if it were not there only where the import says it anew:
    another one may hold an endpoint that is asked for (I7)."""
    found: dict[DeviceId, Device] = {}
    for device in ids:
        body = db.execute(queries.DEVICE, (device,)).get
        if body is not None:
            with suppress(*((msgspec.DecodeError,) if device in said_anew else ())):
                found[device] = decode_device(body)
    return found


def _order(install: InstallEvent) -> tuple[str, datetime, str]:
    return install.device, install.installed_at, install.service_point


def _moved(what: Import, seen: Known, now: Known) -> bool:
    """Whether it is not any more what the import was planned on.

    A switch order that has left meanwhile matters only to a device that the import moves: a load
    of a city would never be written while the city is being switched.
    """
    if replace(seen, switching={}) != replace(now, switching={}):
        return True
    moved = {each.device for each in what.installs if each not in seen.installs}
    for device in what.devices:
        before = seen.devices.get(device.id)
        if before is None or before.endpoint != device.endpoint:
            moved.add(device.id)
    return any(now.switching.get(each) != seen.switching.get(each) for each in moved)


def import_(
    tx: Transaction,
    what: Import,
    asked: Import | None,
    seen: Known | None,
    notes: Sequence[AuditNote],
    at: datetime,
) -> Saved:
    connection = tx.connection
    if _moved(what, seen or Known(), known(connection, asked or what)):
        return Saved.MOVED
    for device in what.devices:
        put_device(connection, device)
    for point in what.service_points:
        connection.execute(queries.UPSERT_SERVICE_POINT, (point.id, encode(point)))
    for install in what.installs:
        stored = stored_version(connection, install)
        put_install(connection, install, install.version if stored is None else stored + 1)
    note_all(tx, notes, at)
    return Saved.SAVED
