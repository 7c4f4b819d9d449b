"""A listener in a process that runs out of descriptors. Prints its address, then its counts."""

import asyncio
import json
import resource
import sys

from tests.web.both_servers import a_rig


async def main(descriptors: int) -> None:
    async with a_rig() as rig:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))
        print(rig.signed(), flush=True)  # noqa: T201
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        print(json.dumps(rig.listener.counts), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
