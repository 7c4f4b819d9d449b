"""Processes of the gateway, forked from one that has already imported everything.

Each is a process of its own, with its own files, sockets and threads: SIGKILL is as final as for
one started from a shell, but a restart takes a fraction of a second. Orders come as JSON lines on
standard input, what happens goes as JSON lines to standard output:

    {"settings": FILE, "log": FILE, "crash_at": "name:n" or "", "planted": NAME or ""}
    {"started": PID}   {"ready": PID}   {"ended": PID, "status": exit status, negative for a signal}
"""

import asyncio
import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from adapter.engine import crash_points
from adapter.engine.clock import SystemClock
from adapter.engine.commands.ports import PublicationRow
from adapter.errors import GatewayError
from adapter.service.app import contract, over, until_stopped
from adapter.service.log import start_logging
from adapter.service.settings import Settings, load
from adapter.wire.codec import Codec
from tests.durability.planted_faults import STORES, replica

FAILED = 7
_PR_SET_PDEATHSIG = 1


class FileSink:
    """A receiver of publications that never forgets: one line each, on disk before it confirms."""

    name = "file"

    def __init__(self, path: Path) -> None:
        self._path = path

    async def deliver(self, batch: Sequence[PublicationRow]) -> None:
        lines = [json.dumps([row.publication.id, row.seq]) + "\n" for row in batch]
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())


def _say(**told: object) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


async def _serve(settings: Settings, codec: Codec, planted: str) -> None:
    clock = SystemClock()
    store = STORES[planted](settings.store.path, now=clock.now)
    await store.open()
    try:
        sink = FileSink(settings.store.path.with_suffix(".published"))
        async with (
            replica(planted, store, settings, codec, clock),
            over(store, settings, codec=codec, clock=clock, sinks=[sink]) as app,
        ):
            _say(ready=os.getpid())
            await until_stopped(app.gateway)
    finally:
        await store.close()


def _die_with_the_parent() -> None:
    """So that a test run that is cut off leaves nothing behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _child(order: dict[str, str], codec: Codec) -> int:
    _die_with_the_parent()
    os.dup2(os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    try:
        crash_points.arm(order["crash_at"])
        settings = load(Path(order["settings"]), {})
        start_logging(settings.log)
        asyncio.run(_serve(settings, codec, order["planted"]))
    except GatewayError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201
        return FAILED
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    _die_with_the_parent()
    codec = contract(None, Settings().engine.kinds)
    _say(hatched=os.getpid())
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(_child(json.loads(line), codec))
        _say(started=child)
        _, status = os.waitpid(child, 0)
        _say(ended=child, status=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
