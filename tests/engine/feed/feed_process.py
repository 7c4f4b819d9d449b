"""A gateway's part that posts events to three receivers, for one life: see test_hour."""

import asyncio
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from adapter.engine.clock import HandClock
from tests.builders import NOON
from tests.engine.feed.receiving import DeliverySite, a_receiver, a_site

NAMES = ("away", "slow", "good")
MINUTES = 6
METERS = 8


async def live(folder: Path, url: str, life: int) -> None:
    clock = HandClock(NOON + timedelta(minutes=MINUTES * life))
    settings = [a_receiver(f"{url}/{name}", name) for name in NAMES]
    async with a_site(folder, *settings, clock=clock) as site:
        loops = [asyncio.create_task(forever(site, name)) for name in NAMES]
        for minute in range(MINUTES):
            for meter in range(METERS):
                await site.put(f"{life}-{minute}-{meter}", subject=f"M{meter}")
            await clock.turn(clock.now() + timedelta(minutes=1))
            await site.work("good")
        for each in loops:
            each.cancel()
            with suppress(asyncio.CancelledError):
                await each


async def forever(site: DeliverySite, name: str) -> None:
    """As the runner has it: a receiver that is slow is waited for by its own loop alone."""
    while True:
        await site.work(name)
        await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
