"""Master data as it is written: devices, service points, install events."""

import apsw

from adapter.engine.ports import Import
from adapter.model.device import InstallEvent
from adapter.store import queries
from adapter.store.rows import encode, encode_install, micros
from adapter.store.threads import Transaction


def import_(tx: Transaction, what: Import) -> None:
    connection = tx.connection
    for device in what.devices:
        connection.execute(queries.UPSERT_DEVICE, (device.id, encode(device)))
        connection.execute(queries.LEAVE_GROUPS, (device.id,))
        connection.executemany(
            queries.JOIN_GROUP, [(group, device.id) for group in sorted(device.groups)]
        )
    for point in what.service_points:
        connection.execute(queries.UPSERT_SERVICE_POINT, (point.id, encode(point)))
    for install in what.installs:
        stored = _stored_version(connection, install)
        put_install(connection, install, install.version if stored is None else stored + 1)


def _stored_version(connection: apsw.Connection, install: InstallEvent) -> int | None:
    key = (install.device, install.service_point, micros(install.installed_at))
    version: int | None = connection.execute(queries.INSTALL_GUARD, key).get
    return version


def install_unmoved(connection: apsw.Connection, install: InstallEvent) -> bool:
    """As it was loaded; a new one only where the device is not installed by now."""
    stored = _stored_version(connection, install)
    if stored is not None:
        return stored == install.version
    taken = connection.execute(queries.INSTALL_OPEN, (install.device,)).get
    return install.version == 0 and taken is None


def put_install(connection: apsw.Connection, install: InstallEvent, version: int) -> None:
    connection.execute(
        queries.PUT_INSTALL,
        {
            "device": install.device,
            "service_point": install.service_point,
            "installed_at": micros(install.installed_at),
            "removed": install.removed_at is not None,
            "version": version,
            "body": encode_install(install, version),
        },
    )
