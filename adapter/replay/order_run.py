"""Many order fixtures: what `openway record` and `openway replay` call for folders of them."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from adapter.replay.order_scenario import order_folders, read_order_scenario, write_expected
from adapter.replay.order_stage import PlayedOrder, play_order, run_order
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec


def orders_below(places: Sequence[Path]) -> tuple[Path, ...]:
    """The folders of order fixtures at or below some places, in order of name."""
    found = (folder for place in places for folder in order_folders(place))
    return tuple(dict.fromkeys(found))


def play_orders(folders: Sequence[Path], *, codec: Codec | None = None) -> Iterator[PlayedOrder]:
    """Run the fixtures one after the other. Raises BadScenario for one that is unreadable."""
    used = codec or Codec(Catalog.load())
    for folder in folders:
        yield asyncio.run(play_order(folder, used))


def record_orders(folders: Sequence[Path], *, codec: Codec | None = None) -> Iterator[PlayedOrder]:
    """Run the fixtures and write what came out as what is expected. Raises BadScenario."""
    used = codec or Codec(Catalog.load())
    for folder in folders:
        played = asyncio.run(run_order(read_order_scenario(folder), used))
        write_expected(folder, played.outcome)
        yield played
