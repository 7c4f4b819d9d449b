"""A whole gateway on a PostgreSQL store: REST, head end, callbacks, orders, and a second start."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from adapter.client import CommandIn, CommandKind, OrderIn, OrderKind
from adapter.service.settings import Settings, StoreSettings
from adapter.simulator.server import Simulator
from adapter.testing import ForwardClock, HeadEndUnderTest
from adapter.testing.site import a_gateway, a_head_end


@pytest.fixture
def clock() -> ForwardClock:
    return ForwardClock()


@pytest.fixture
def head_end(clock: ForwardClock) -> Iterator[HeadEndUnderTest]:
    with a_head_end(clock) as made:
        yield made


@pytest.fixture
def settings(postgresql_store_url: str) -> Settings:
    return Settings(store=StoreSettings(url=postgresql_store_url))


def switches(simulator: Simulator, count: int) -> list[str]:
    population = simulator.world.population
    meters = [population.find(esn) for esn in islice(population, count)]
    return [str(meter.switch) for meter in meters if meter is not None]


async def test_what_one_start_has_stored_the_next_one_has(
    clock: ForwardClock, head_end: HeadEndUnderTest, settings: Settings, tmp_path: Path
) -> None:
    cut = OrderIn(kind=OrderKind.CUT, service_point="SP700002", reference="case-1")
    asked = CommandIn(kind=CommandKind.REMOTE_DISCONNECT, devices=["M700001"])
    with a_gateway(head_end, clock, tmp_path, settings) as gateway:
        async with gateway.client() as client:
            made = await client.submit_command(asked)
            first = await client.wait_command(made.id, timeout_s=40)
            order = await client.submit_order(cut)
            shown = await client.wait_order(order.id, timeout_s=40)
    assert (first.outcome, shown.order.state) == ("succeeded", "completed")
    assert head_end.call(lambda it: switches(it, 3)) == [
        "Disconnected",
        "Disconnected",
        "Connected",
    ]
    with a_gateway(head_end, clock, tmp_path, settings) as gateway:
        async with gateway.client() as client:
            assert await client.get_command(made.id) == first
            again = CommandIn(kind=CommandKind.REMOTE_CONNECT, devices=["M700001"])
            made = await client.submit_command(again)
            assert (await client.wait_command(made.id, timeout_s=40)).outcome == "succeeded"
    assert head_end.call(lambda it: switches(it, 2)) == ["Connected", "Disconnected"]
