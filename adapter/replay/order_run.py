"""Order fixtures, one or many: what `openway record` and `openway replay` call for folders."""

import asyncio
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from adapter.model.values import replace
from adapter.replay.json_text import first_difference
from adapter.replay.order_outcome import outcome
from adapter.replay.order_scenario import (
    OrderScenario,
    order_folders,
    read_expected,
    read_order_scenario,
    write_expected,
)
from adapter.replay.order_stage import OrderStage
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayedOrder:
    """How a run went. `difference` is "" where nothing differed from what was expected."""

    name: str
    difference: str
    outcome: Mapping[str, object]
    virtual_s: float
    real_s: float


async def play_order(folder: Path, codec: Codec) -> PlayedOrder:
    """Run the fixture of a folder and compare. Raises BadScenario."""
    played = await run_order(read_order_scenario(folder), codec)
    difference = first_difference(dict(read_expected(folder)), played.outcome)
    return replace(played, difference=difference or "")


async def run_order(scenario: OrderScenario, codec: Codec) -> PlayedOrder:
    """Run a scenario to its end. Raises BadScenario."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="openway-order-") as folder:
        async with AsyncExitStack() as stack:
            staged = OrderStage(scenario, codec, Path(folder))
            await staged.open(stack)
            await staged.run()
            found = await outcome(staged)
            now = staged.clock.now()
    return PlayedOrder(
        name=scenario.name,
        difference="",
        outcome=found,
        virtual_s=(now - scenario.start).total_seconds(),
        real_s=time.perf_counter() - began,
    )


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
