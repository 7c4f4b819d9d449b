"""What the interface shows of what the gateway measures of itself."""

from collections.abc import Sequence
from typing import Protocol

from adapter.engine.upkeep.todo import TodoEntry
from adapter.server.scrape import Scrape


class Measured(Protocol):
    async def text(self) -> bytes:
        """In the text form of Prometheus."""

    async def scrape(self, todo: Sequence[TodoEntry] | None = None) -> Scrape:
        """The same for a page, but for the histograms. `todo`: the list of what waits for people,
        where it was read just now."""

    def in_memory(self) -> Scrape:
        """Of that what the store need not be asked for."""
