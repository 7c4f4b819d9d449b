"""Which commands a device supports: by its type, by its head end, by its own record."""

from collections.abc import Mapping
from dataclasses import dataclass

from adapter.model.device import Category, Device


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceType:
    """A make of device. `commands` are command kinds; empty means no remote command at all."""

    name: str
    category: Category = Category.METER
    commands: frozenset[str] = frozenset()


def supported_commands(
    device: Device | None,
    types: Mapping[str, DeviceType],
    head_ends: Mapping[str, frozenset[str]],
) -> frozenset[str]:
    """The commands that `device`, its type and its head end all support.

    A device without an endpoint supports none. A device's own list, where it has one, comes before
    its type's. `head_ends` are by name; one that is not listed supports none, and a device that
    names none is at the first.
    """
    if device is None or not device.smart:
        return frozenset()
    known = types.get(device.device_type)
    own = device.capabilities or (known.commands if known is not None else frozenset())
    at = next((name for name in head_ends if device.belongs_to(name)), None)
    return frozenset() if at is None else own & head_ends[at]
