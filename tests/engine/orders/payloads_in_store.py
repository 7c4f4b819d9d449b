"""Payloads that are in a store before a gateway runs on it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from adapter.engine.clock import SystemClock
from adapter.engine.commands.ports import InboxState, Received
from adapter.model.device import Device
from adapter.service.payloads import taking
from adapter.service.settings import IntakeSettings
from adapter.store.commands.commands import SqliteStore
from tests.engine.readings.store_with_intake import DATA
from tests.wire.payloads import data_arrived, read_data, register


def read_now(devices: Sequence[Device]) -> bytes:
    """A DataArrived with the register of each device, as of now."""
    at = datetime.now(UTC).isoformat()
    parts = (
        read_data(each.endpoint or "", registers=register("1000", at=at), serial=each.serial)
        for each in devices
    )
    return data_arrived(*parts)


async def take_in(store: SqliteStore, body: bytes) -> None:
    """Let a body arrive at a store that no gateway has open, and take it in."""
    clock = SystemClock()
    message = Received(operation=DATA, raw=body, at=clock.now(), state=InboxState.LOADING)
    await store.receive([message])
    made = taking(store, clock, IntakeSettings())
    assert made is not None
    while (await made.intake.once()).worked:
        pass
    await made.intake.stop()
