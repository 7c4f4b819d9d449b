"""A request for many is validated a part at a time: all devices count, only the first are told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from adapter.commands.flows import CommandKind
from adapter.commands.rules import SwitchPolicy
from adapter.engine.commands.ports import Import
from adapter.engine.commands.validation import Validation
from adapter.engine.registry.store_registry import StoreRegistry
from adapter.errors import InvalidRequest, UnknownDevice
from adapter.model.device import Device
from adapter.model.ids import DeviceId
from adapter.store.commands.commands import SqliteStore
from tests.builders import NOON, a_device, a_request

KIND = CommandKind.SCHEDULED_READ_SCALAR
MANY = 1_203


@asynccontextmanager
async def holding(*devices: Device) -> AsyncIterator[Validation]:
    """A validation over a store with these devices."""
    with TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "gateway.db", now=lambda: NOON)
        await store.open()
        try:
            await store.import_(Import(devices=devices))
            registry = StoreRegistry(store)
            yield Validation(store, registry, frozenset(CommandKind), SwitchPolicy())
        finally:
            await store.close()


def many(*unable: int) -> tuple[Device, ...]:
    """MANY devices, of which `unable` cannot be read."""
    return tuple(
        a_device(f"M-{number:05}", **({"capabilities": frozenset()} if number in unable else {}))
        for number in range(MANY)
    )


@pytest.mark.parametrize("broken", [0, 1, 99, 100, 101, MANY])
async def test_every_device_is_judged(broken: int) -> None:
    devices = many(*range(MANY - broken, MANY))
    ids = tuple(device.id for device in devices)
    request = a_request(KIND, group="Feeder 7", devices=())
    async with holding(*devices) as validation:
        found = await validation.survey(request, ids)
    assert [target.device for target in found.targets] == list(ids)
    assert len(found.violations) == min(broken, 100) + (broken > 100)
    assert {item.rule for item in found.violations} <= {"eligible_command"}
    if broken > 100:
        assert found.violations[-1].text == f"and {broken - 100} more like these"
        assert ids[MANY - broken] in found.violations[0].text


async def test_one_that_is_not_there_or_no_smart_meter_stops_the_request() -> None:
    devices = many()
    ids = tuple(device.id for device in devices)
    request = a_request(KIND, group="Feeder 7", devices=())
    async with holding(*devices) as validation:
        with pytest.raises(UnknownDevice):
            await validation.survey(request, (*ids, DeviceId("nobody")))
    async with holding(a_device("M-1", endpoint=None)) as validation:
        with pytest.raises(InvalidRequest):
            await validation.survey(request, (DeviceId("M-1"),))
