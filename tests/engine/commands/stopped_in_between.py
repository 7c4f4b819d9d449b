"""A gateway of its own process: switching is stopped in it when the intent to send is on disk and
nothing has left, and it dies where it is told to.

    python -m tests.engine.commands.stopped_in_between FOLDER HEAD_END CRASH_POINT
"""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from adapter.engine import crash_points
from adapter.simulator.server import Simulator
from tests.clock.lives import MINUTE, NOON, InterruptedStore, life
from tests.engine.commands.test_switching_stopped import stop


@dataclass(frozen=True)
class HeadEndAt:
    """Where a simulator runs that is another process's."""

    url: str


async def work(folder: Path, url: str, point: str) -> None:
    there = cast(Simulator, HeadEndAt(url))
    async with life(folder, there, NOON + MINUTE, store_type=InterruptedStore) as now:
        store = now.core.store
        assert isinstance(store, InterruptedStore)

        async def come() -> None:
            crash_points.arm(point)
            await stop(now)
            os.write(1, b"answered\n")

        store.on_intent = come
        await now.gateway.drain()
        os.write(1, b"worked\n")


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
