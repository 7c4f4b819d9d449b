"""SIGHUP has the tables and the keys read again; bad ones leave those in force."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from adapter.engine.clock import SystemClock
from adapter.model.values import replace
from adapter.server.settings import RestSettings
from adapter.service.api_keys import WatchedKeys
from adapter.service.app import until_stopped
from adapter.service.live_settings import LiveSettings
from adapter.service.settings import LoadedSettings, Settings
from tests.engine.commands.quick_site import world
from tests.engine.readings.store_with_intake import Rig, a_rig
from tests.wire.payloads import data_arrived, read_data


async def reloads(rig: Rig) -> int:
    return len(await rig.store.audit(subject="tables"))


async def test_sighup_has_the_tables_read_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with contextlib.ExitStack() as stack:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            stack.callback(signal.signal, number, signal.getsignal(number))
        (tmp_path / "rig").mkdir()
        async with world(tmp_path) as made, a_rig(tmp_path / "rig") as rig:
            readings = replace(made.app.gateway.readings, error_records=rig.desk)
            gateway = replace(made.app.gateway, readings=readings)
            keys = tmp_path / "keys"
            keys.write_text(f"ann read sha256:{'0' * 64}\n", encoding="utf-8")
            api = made.app.rest.api
            watched = WatchedKeys(
                RestSettings(keys_path=keys), api.keys, SystemClock(), made.app.core.store
            )
            loaded = LoadedSettings(settings=Settings(), origin={})
            live = LiveSettings(
                loaded,
                lambda: loaded,
                core=replace(made.app.core, gateway=gateway),
                listener=made.app.listener,
                rest=made.app.rest,
                keys=watched,
                store=made.app.core.store,
                clock=SystemClock(),
            )
            serving = asyncio.create_task(until_stopped(gateway, live))
            await asyncio.sleep(0)  # until it waits, and its handlers are there
            rig.tables["quantities"] = {"Gas": {"unit": "m3"}}
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(20):
                while not await reloads(rig):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert [key.name for key in api.keys.all()] == ["ann"]
            gas = data_arrived(read_data("m1", [5], quantity="Gas"))
            assert (await rig.take(gas)).counts["new"] == 1
            rig.tables["quantities"] = {"Gas": {}}
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(20):
                while "tables_refused" not in caplog.messages:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert (await rig.take(gas)).counts["repeated"] == 1
            assert await reloads(rig) == 1
            assert not serving.done()
            os.kill(os.getpid(), signal.SIGTERM)
            await serving
