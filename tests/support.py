"""What every test needs and no product code has: a bounded event loop run."""

import asyncio
from collections.abc import Coroutine
from typing import Final, TypeVar

T = TypeVar("T")
SECONDS: Final = 60.0


def run(coroutine: Coroutine[object, object, T], *, seconds: float = SECONDS) -> T:
    """Run one coroutine to its end, or fail after `seconds`."""

    async def bounded() -> T:
        async with asyncio.timeout(seconds):
            return await coroutine

    return asyncio.run(bounded())
