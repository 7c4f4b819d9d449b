"""A gateway's part that posts events to three receivers, until it is killed: see test_hour."""

import asyncio
import sys
from datetime import timedelta
from itertools import count
from pathlib import Path

from adapter.engine.clock import HandClock
from adapter.webhooks.settings import ReceiverSettings
from tests.builders import NOON
from tests.engine.feed.receiving import DeliverySite, a_receiver, a_site

NAMES = ("away", "slow", "good")
MINUTES = 6
METERS = 8
WAIT_S = 600.0


def receivers(url: str) -> list[ReceiverSettings]:
    """However long an answer takes under load, it is waited for."""
    return [a_receiver(f"{url}/{name}", name, connect_s=WAIT_S, reply_s=WAIT_S) for name in NAMES]


async def live(folder: Path, url: str, life: int) -> None:
    clock = HandClock(NOON + timedelta(minutes=MINUTES * life))
    settings = receivers(url)
    async with a_site(folder, *settings, clock=clock) as site:
        loops = [asyncio.create_task(forever(site, name)) for name in NAMES]
        # How many posts these events take is a matter of load: it goes on until it is killed.
        for minute in count():
            for meter in range(METERS):
                await site.put(f"{life}-{minute}-{meter}", subject=f"M{meter}")
            if minute < MINUTES:
                await clock.turn(clock.now() + timedelta(minutes=1))
            await site.work("good")
            for each in loops:
                if each.done():
                    each.result()


async def forever(site: DeliverySite, name: str) -> None:
    """As the runner has it: a receiver that is slow is waited for by its own loop alone."""
    while True:
        await site.work(name)
        await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
