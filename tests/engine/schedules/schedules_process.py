"""A process that makes the requests of a schedule and is killed on the way: see test_crash."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.engine.schedules.schedules_on_a_store import a_plan, schedule_stage


async def live(folder: Path) -> None:
    async with schedule_stage(folder) as made:
        if not await made.schedules.list():
            await made.schedules.add(a_plan(), by="ann")
        await made.clock.turn(datetime(2026, 3, 2, 7, 30, tzinfo=UTC))
        await made.work()


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1])))
