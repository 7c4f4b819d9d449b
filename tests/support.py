"""What every test needs and no product code has: a bounded event loop run."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[object, object, T], *, seconds: float = 60.0) -> T:
    """Run one coroutine to its end, or fail after `seconds`."""

    async def bounded() -> T:
        async with asyncio.timeout(seconds):
            return await coroutine

    return asyncio.run(bounded())
