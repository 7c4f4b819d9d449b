"""Master data as it is written: devices, install events."""

from adapter.model.device import Device, InstallEvent
from adapter.model.ids import endpoint_key
from adapter.store.commands import queries
from adapter.store.connection import SqlConnection
from adapter.store.rows import encode, encode_install, micros


def put_device(connection: SqlConnection, device: Device) -> None:
    connection.execute(queries.UPSERT_DEVICE, (device.id, encode(device)))
    connection.execute(queries.LEAVE_GROUPS, (device.id,))
    connection.executemany(
        queries.JOIN_GROUP, [(group, device.id) for group in sorted(device.groups)]
    )
    connection.execute(queries.LEAVE_ENDPOINT, (device.id,))
    if device.endpoint is not None:
        key = endpoint_key(device.endpoint)
        connection.execute(queries.TAKE_ENDPOINT, (device.id, key))


def stored_version(connection: SqlConnection, install: InstallEvent) -> int | None:
    key = (install.device, install.service_point, micros(install.installed_at))
    version: int | None = connection.execute(queries.INSTALL_GUARD, key).get
    return version


def install_unmoved(connection: SqlConnection, install: InstallEvent) -> bool:
    """As it was loaded; a new one only where the device is not installed by now."""
    stored = stored_version(connection, install)
    if stored is not None:
        return stored == install.version
    taken = connection.execute(queries.INSTALL_OPEN, (install.device,)).get
    return install.version == 0 and taken is None


def put_install(connection: SqlConnection, install: InstallEvent, version: int) -> None:
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
