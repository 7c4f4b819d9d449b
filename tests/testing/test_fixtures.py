"""The fixtures for tests of an integration do what they promise."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from itertools import islice
from pathlib import Path

import pytest

from adapter.client import (
    CommandIn,
    CommandKind,
    CommandOut,
    GatewayClient,
    KeyRefused,
    OrderIn,
    OrderKind,
)
from adapter.replay.played import Played
from adapter.simulator.faults import Effect, Script
from adapter.simulator.server import Simulator
from adapter.testing import ForwardClock, GatewayUnderTest, HeadEndUnderTest

FIXTURES = Path(__file__).parents[2] / "fixtures"
PING = CommandIn(kind=CommandKind.DEVICE_STATUS_CHECK, devices=["M700001"])


async def ended(gateway: GatewayUnderTest, command: CommandIn) -> CommandOut:
    async with gateway.client() as client:
        made = await client.submit_command(command)
        return await client.wait_command(made.id, timeout_s=40)


def test_a_command_is_carried_out_at_the_head_end(
    gateway: GatewayUnderTest,
    head_end: HeadEndUnderTest,
) -> None:
    asked = CommandIn(kind=CommandKind.REMOTE_DISCONNECT, devices=["M700002"])
    assert asyncio.run(ended(gateway, asked)).outcome == "succeeded"
    assert head_end.call(lambda simulator: switches(simulator, 2)) == ["Connected", "Disconnected"]


def switches(simulator: Simulator, count: int) -> list[str]:
    population = simulator.world.population
    meters = [population.find(esn) for esn in islice(population, count)]
    return [str(meter.switch) for meter in meters if meter is not None]


def test_what_a_script_says_goes_wrong(
    gateway: GatewayUnderTest,
    head_end: HeadEndUnderTest,
) -> None:
    head_end.script(Script(effect=Effect.ENDPOINT_FAILURE, operation="*Ping*"))
    assert asyncio.run(ended(gateway, PING)).outcome != "succeeded"


async def test_time_passes_when_the_test_says_so(
    gateway: GatewayUnderTest,
    clock: ForwardClock,
) -> None:
    tomorrow = clock.now() + timedelta(days=1)
    asked = OrderIn(
        kind=OrderKind.CUT, service_point="SP700003", reference="case-1", effective_at=tomorrow
    )
    async with gateway.client() as client:
        made = await client.submit_order(asked)
        shown = await client.wait_order(made.id, timeout_s=1)
        assert shown.order.state == "waiting"
        assert clock.forward(timedelta(days=1)) >= tomorrow
        shown = await client.wait_order(made.id, timeout_s=40)
        assert (shown.order.state, shown.order.ended_at is not None) == ("completed", True)


async def test_a_second_person_has_a_key_of_its_own(gateway: GatewayUnderTest) -> None:
    async with GatewayClient(gateway.url, gateway.second_key) as bob:
        with pytest.raises(KeyRefused):
            await bob.submit_command(PING)


async def test_a_recording_is_played(replay: Callable[[Path], list[Played]]) -> None:
    (played,) = replay(FIXTURES / "load_check" / "success")
    assert played.commands == 1
