"""What one command costs in commits, statements, loads, parses and bytes: counts, not times.

Gateway and head end are processes of their own, so that all that is counted is the gateway's. The
least of several is judged: a busy machine adds timers that come round once more. The bounds are
today's figures with a little room; whoever makes a command cheaper lowers them.
"""

import json
from collections.abc import Iterator
from typing import Final

import pytest

from bench.counts import NAMES, Counts, least
from bench.processes import Side, side
from bench.sides.head_end import DELAYS_S

ALONE: Final = Counts(
    commits=7, statements=120, loads=0, trees=0, judged=0, forms=5, written=345_000
)
"""At most so much for one command, nobody else there."""

TOGETHER: Final = Counts(
    commits=0.5, statements=25, loads=0.2, trees=0, judged=0, forms=5.4, written=42_000
)
"""At most so much for each of many, 64 of them at a time. How many share a commit, and how many
callbacks come before the token is stored and are read once more, is up to the machine."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    folder = tmp_path_factory.mktemp("counts")
    with side("bench.sides.head_end", *map(str, DELAYS_S)) as head_end:
        asked = {"head_end": head_end.ready["url"], "folder": str(folder), "meters": 128}
        with side("bench.sides.gateway", json.dumps({**asked, "counting": True})) as started:
            yield started


def counted(gateway: Side, count: int, *, times: int) -> Counts:
    """The least that a command took, in several runs of so many, at most 64 at a time."""
    several = []
    work = {"kind": "device_status_check", "count": count, "at_once": 64}
    for _ in range(times):
        ran = gateway.ask(do="run", work=[work])
        assert ran["states"] == [{"completed succeeded": count}]
        several.append(Counts(**ran["counts"]).each(count))
    return least(several)


def over(found: Counts, most: Counts) -> dict[str, tuple[float, float]]:
    """What is above its bound: (found, bound). Bytes that the machine does not tell are not."""
    pairs = {name: (getattr(found, name), getattr(most, name)) for name in NAMES}
    return {name: pair for name, pair in pairs.items() if pair[0] > pair[1]}


def test_a_command_alone_costs_no_more_than_it_did(gateway: Side) -> None:
    assert over(counted(gateway, 1, times=12), ALONE) == {}


def test_each_of_many_commands_costs_no_more_than_it_did(gateway: Side) -> None:
    assert over(counted(gateway, 128, times=3), TOGETHER) == {}


def test_a_command_does_cost_commits_statements_and_readings(gateway: Side) -> None:
    """Counts of nothing would be within every bound."""
    found = counted(gateway, 1, times=1)
    assert found.commits >= 3
    assert found.statements >= 10
    assert found.forms >= 3
