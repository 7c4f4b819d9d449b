"""A process that writes to a store and says what was acknowledged; tests kill it.

python -m tests.store.writing_process submit FILE COUNT   submits COUNT commands, a few at a time
python -m tests.store.writing_process import FILE COUNT   imports COUNT devices, five at a time
python -m tests.store.writing_process hold FILE           opens the store until its input ends
"""

import asyncio
import os
import resource
import sys
from pathlib import Path

from adapter.engine.clock import HandClock as EngineClock
from adapter.engine.commands.ports import Import
from adapter.engine.registry.importer import Importer
from adapter.errors import StoreFailed
from adapter.model.device import Device
from adapter.model.ids import DeviceId
from adapter.store.commands.commands import SqliteStore
from tests.builders import HandClock, a_note, a_publication, a_submission

_AT_ONCE = 8


async def _submit_one(store: SqliteStore, number: int) -> None:
    note, event = a_note(str(number)), a_publication(f"e-{number}")
    await store.submit([a_submission(number, audit=(note,), publications=(event,))])
    os.write(1, b"%d\n" % number)


async def _submit(path: Path, count: int) -> int:
    store = SqliteStore(path, now=HandClock())
    await store.open()
    room = os.environ.get("ROOM_BYTES")
    if room:
        log = os.stat(f"{path}-wal").st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (log + int(room), log + int(room)))
    for first in range(0, count, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, count))
        answers = await asyncio.gather(
            *(_submit_one(store, number) for number in numbers), return_exceptions=True
        )
        failures = [answer for answer in answers if answer is not None]
        if failures:
            assert all(isinstance(failure, StoreFailed) for failure in failures), failures
            return await _refuses(store)
    await store.close()
    return 0


async def _refuses(store: SqliteStore) -> int:
    """After a failure nothing is answered, neither writes nor reads; 3 tells so."""
    for call in (store.submit([a_submission(9_999)]), store.ledger(), store.load([])):
        try:
            await call
        except StoreFailed:
            continue
        return 4
    await store.close()
    return 3


def devices_of(number: int) -> Import:
    """The devices of one part of an import."""
    ids = [f"M{number * 5 + each}" for each in range(5)]
    return Import(devices=tuple(Device(id=DeviceId(each), serial=f"S-{each}") for each in ids))


async def _import(path: Path, count: int) -> int:
    clock = HandClock()
    store = SqliteStore(path, now=clock)
    await store.open()
    importer = Importer(store, EngineClock(clock()))
    for number in range(count // 5):
        await importer.load(devices_of(number), by="ann")
        os.write(1, b"%d\n" % number)
    await store.close()
    return 0


async def _hold(path: Path) -> int:
    store = SqliteStore(path, now=HandClock())
    await store.open()
    os.write(1, b"open\n")
    await asyncio.to_thread(sys.stdin.read)
    await store.close()
    return 0


def main() -> int:
    what, path, *rest = sys.argv[1:]
    if what == "submit":
        return asyncio.run(_submit(Path(path), int(rest[0])))
    if what == "import":
        return asyncio.run(_import(Path(path), int(rest[0])))
    return asyncio.run(_hold(Path(path)))


if __name__ == "__main__":
    sys.exit(main())
