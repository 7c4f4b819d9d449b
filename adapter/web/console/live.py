"""Live pages: each is rendered once for all who look at it, and only what changed is sent.

The parts of a page that are live are the blocks of its template whose names begin with `live_`.
They show the same to everybody: what depends on who looks stands outside of them.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from adapter.errors import GatewayError
from adapter.web.api.problems import ProblemRaised

log = logging.getLogger(__name__)

Parts = Mapping[str, str]
"""HTML by the name of its block."""

_REST: Final = 9.0
"""A page that takes long is rendered more seldom, so that it takes a tenth of the time at most."""

TROUBLE: Final = "trouble"
"""The name of what is sent where a page cannot be rendered; "" once it can be again."""


@dataclass(slots=True)
class _Channel:
    render: Callable[[], Awaitable[Parts]]
    parts: Parts = field(default_factory=dict)
    viewers: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    loop: asyncio.Task[None] | None = None


class Live:
    """`rendered` counts how often a page was rendered for its viewers."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._channels: dict[str, _Channel] = {}
        self.rendered = 0

    async def watch(
        self, address: str, render: Callable[[], Awaitable[Parts]]
    ) -> AsyncGenerator[Parts, None]:
        """The parts of the page at an address: all of them at first, then those that changed.
        Goes on until it is closed."""
        channel = self._channels.setdefault(address, _Channel(render))
        channel.viewers += 1
        if channel.loop is None:
            channel.loop = asyncio.create_task(self._refresh(channel))
        seen: Parts = {}
        try:
            while True:
                changed, parts = channel.changed, channel.parts
                news = {name: html for name, html in parts.items() if seen.get(name) != html}
                seen = parts
                if news:
                    yield news
                elif channel.loop.done():
                    return
                else:
                    await changed.wait()
        finally:
            channel.viewers -= 1
            if channel.viewers == 0 and self._channels.get(address) is channel:
                del self._channels[address]
                channel.loop.cancel()

    async def _refresh(self, channel: _Channel) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                await self._once(channel)
                await asyncio.sleep(max(self._every_s, _REST * (loop.time() - began)))
        finally:
            channel.changed.set()

    async def _once(self, channel: _Channel) -> None:
        self.rendered += 1
        try:
            parts = {**await channel.render(), TROUBLE: ""}
        except (GatewayError, ProblemRaised) as error:
            parts = {**channel.parts, TROUBLE: str(error) or type(error).__name__}
        except Exception:
            log.exception("page_not_rendered")
            parts = {**channel.parts, TROUBLE: "this page cannot be rendered now"}
        if parts != channel.parts:
            channel.parts = parts
            channel.changed.set()
            channel.changed = asyncio.Event()

    async def stop(self) -> None:
        """Every stream ends."""
        loops = [each.loop for each in self._channels.values() if each.loop is not None]
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
