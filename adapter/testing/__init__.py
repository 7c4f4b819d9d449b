"""Fixtures for tests of an integration: a whole gateway before a simulated head end, on loopback.

    pytest_plugins = ["adapter.testing"]  # in conftest.py

`gateway` has the URL and keys of one that runs, `head_end` what it speaks with, `clock` lets their
time pass, and `replay` plays a recording. They need pytest, and no plugin for coroutines.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapter.replay.played import Played
from adapter.replay.run import found_below, play_all
from adapter.testing.site import (
    ForwardClock,
    GatewayUnderTest,
    HeadEndUnderTest,
    a_gateway,
    a_head_end,
)
from adapter.wire.codec import packaged_codec

__all__ = [
    "ForwardClock",
    "GatewayUnderTest",
    "HeadEndUnderTest",
    "clock",
    "gateway",
    "head_end",
    "replay",
]


@pytest.fixture
def clock() -> ForwardClock:
    """The clock of gateway and head end: the machine's, until `forward` lets time pass."""
    return ForwardClock()


@pytest.fixture
def head_end(clock: ForwardClock) -> Iterator[HeadEndUnderTest]:
    """A simulated head end with 50 meters, M700001 to M700050."""
    with a_head_end(clock) as made:
        yield made


@pytest.fixture
def gateway(
    head_end: HeadEndUnderTest, clock: ForwardClock, tmp_path: Path
) -> Iterator[GatewayUnderTest]:
    """A gateway that knows the meters of `head_end`, each at the service point of its number."""
    with a_gateway(head_end, clock, tmp_path) as made:
        yield made


@pytest.fixture
def replay() -> Callable[[Path | str], list[Played]]:
    """Plays the recordings at or below a folder, as `openway replay` does; what differs fails."""

    def play(folder: Path | str) -> list[Played]:
        with ThreadPoolExecutor(1) as apart:  # where no event loop runs
            played = apart.submit(lambda: list(_play(Path(folder)))).result()
        for each in played:
            assert not each.difference, f"{each.name}: {each.difference}"
        return played

    return play


def _play(folder: Path) -> Iterator[Played]:
    return play_all(found_below([folder]), codec=packaged_codec())
