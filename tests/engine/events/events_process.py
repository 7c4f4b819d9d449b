"""A process that takes arrivals and is killed on the way: see test_crash."""

import asyncio
import sys
from pathlib import Path

from adapter.events.types import StormRule, event_tables
from tests.engine.events.events_on_a_store import NOON, event_stage, power

TABLES = event_tables(storms=(StormRule(publications=100, window_s=3600.0),))
METERS = 1_300


async def live(folder: Path) -> None:
    async with event_stage(folder, TABLES) as made:
        await made.arrive([power(number, NOON) for number in range(METERS)])
        await made.work()


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1])))
