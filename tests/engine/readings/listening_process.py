"""A gateway process that takes in what is posted to it; tests kill it.

python -m tests.engine.readings.listening_process FOLDER METERS

It prints its address and ends with its input.
"""

import asyncio
import os
import sys
from pathlib import Path

from adapter.engine.clock import SystemClock
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.ports import Import
from adapter.engine.commands.settings import CommandSettings
from adapter.headend.settings import HeadEndSettings
from adapter.server.connections import bind, url_of
from adapter.service.app import running
from adapter.service.assembly import connect
from adapter.service.settings import Api, Settings
from adapter.store.commands.commands import SqliteStore
from adapter.wire.codec import packaged_codec
from bench.beside import device


async def _serve(folder: Path, meters: int) -> None:
    clock, listening = SystemClock(), bind("127.0.0.1", 0)
    url = url_of(listening, tls=False)
    store = SqliteStore(folder / "gateway.db", now=clock.now)
    await store.open()
    try:
        if not await store.devices(limit=1):
            await store.import_(Import(devices=tuple(device(number) for number in range(meters))))
        core = connect(
            store=store,
            codec=packaged_codec(),
            head_end=HeadEndSettings(base_url="http://127.0.0.1:9"),
            identity=CallbackIdentity(url, (b"key" * 16,)),
            settings=CommandSettings(),
            clock=clock,
        )
        async with running(core, Settings(api=Api(port=0)), listening, clock):
            os.write(1, f"{url}\n".encode())
            await asyncio.to_thread(sys.stdin.read)
    finally:
        await store.close()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
