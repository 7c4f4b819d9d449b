"""The loops: each works what is due, then sleeps until poked or until the next wake."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from adapter.errors import StoreFailed

log = logging.getLogger(__name__)

_IDLE_S: Final = 0.25
"""At most so long sleeps a loop that nobody pokes: the sweep that makes lost hints harmless."""

Once = Callable[[], Awaitable[int]]


class _Poke:
    """What wakes a loop."""

    def __init__(self) -> None:
        self._poked = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        self._poked = True
        self.wake()

    def wake(self) -> None:
        """If it sleeps. One that is at work has no reason to begin anew."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def clear(self) -> None:
        self._poked = False

    async def wait(self) -> None:
        if not self._poked:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter


class Runner:
    """Runs `once` functions until stopped. A StoreFailed ends all of them (fail-stop, I12)."""

    def __init__(self) -> None:
        self._loops: dict[str, Once] = {}
        self._pokes: dict[str, _Poke] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._sweep: asyncio.TimerHandle | None = None
        self.failed: asyncio.Future[BaseException] | None = None

    def add(self, name: str, once: Once) -> None:
        """Before `start`."""
        self._loops[name] = once
        self._pokes[name] = _Poke()

    def start(self) -> None:
        self.failed = asyncio.get_running_loop().create_future()
        for name, once in self._loops.items():
            task = asyncio.get_running_loop().create_task(self._run(name, once), name=name)
            self._tasks.append(task)
        self._wake_all()

    def _wake_all(self) -> None:
        """One timer for all of them: every command wakes several, and would move theirs."""
        for poke in self._pokes.values():
            poke.wake()
        self._sweep = asyncio.get_running_loop().call_later(_IDLE_S, self._wake_all)

    async def stop(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def poke(self, *names: str) -> None:
        """Something may be due: a hint that may be lost."""
        for name in names:
            self._pokes[name].set()

    async def _run(self, name: str, once: Once) -> None:
        poke = self._pokes[name]
        while True:
            poke.clear()
            try:
                worked = await once()
            except StoreFailed as error:
                self._fail(error)
                return
            except Exception:
                # Rows stay due in the store: the loop goes on, slowly, and says so.
                log.exception("loop_failed", extra={"loop": name})
                worked = 0
                await asyncio.sleep(_IDLE_S)
            if not worked:
                await poke.wait()

    def _fail(self, error: BaseException) -> None:
        log.critical("store_failed", extra={"error": str(error)})
        if self.failed is not None and not self.failed.done():
            self.failed.set_result(error)
