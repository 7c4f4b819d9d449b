"""A process that takes in everything that waits in a folder's store; tests kill it.

python -m tests.engine.readings.intake_process FOLDER WORKERS    (OPENWAY_CRASH_AT: where it dies)
"""

import asyncio
import sys
from pathlib import Path

from tests.engine.readings.store_with_intake import a_meter, a_rig


async def _work(folder: Path, workers: int) -> None:
    meters = (a_meter(f"m{number}") for number in range(40))
    async with a_rig(folder, *meters, workers=workers) as rig:
        await rig.work()


if __name__ == "__main__":
    asyncio.run(_work(Path(sys.argv[1]), int(sys.argv[2])))
