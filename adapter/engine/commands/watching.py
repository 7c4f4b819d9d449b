"""Callers that wait for a command to become final."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from adapter.commands.activity import Command
from adapter.engine.commands.awaited import MANY
from adapter.model.ids import CommandId

_LOOK_EVERY_S: Final = 1.0


def _look_again_s(command: Command) -> float:
    """To read a command for a city takes a while; that it changed is told anyhow."""
    return _LOOK_EVERY_S if len(command.targets) <= MANY else 10 * _LOOK_EVERY_S


class Watchers:
    def __init__(self) -> None:
        self._waiting: dict[CommandId, set[asyncio.Event]] = {}

    def changed(self, command: CommandId) -> None:
        for event in self._waiting.get(command, ()):
            event.set()

    async def wait(
        self,
        command: CommandId,
        look: Callable[[CommandId], Awaitable[Command]],
        *,
        timeout_s: float,
    ) -> Command:
        """What `look` sees when the command is final, or after `timeout_s` seconds."""
        changed = asyncio.Event()
        self._waiting.setdefault(command, set()).add(changed)
        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            while True:
                changed.clear()
                found = await look(command)
                left = deadline - asyncio.get_running_loop().time()
                if found.activity.state.final or left <= 0:
                    return found
                try:
                    async with asyncio.timeout(min(left, _look_again_s(found))):
                        await changed.wait()
                except TimeoutError:
                    continue
        finally:
            watching = self._waiting[command]
            watching.discard(changed)
            if not watching:
                del self._waiting[command]
