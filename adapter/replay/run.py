"""Recording and playing of many scenarios: what `openway record` and `openway replay` call."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from adapter.model.values import replace
from adapter.replay.catalogue import scenarios
from adapter.replay.played import Played
from adapter.replay.player import play
from adapter.replay.recorder import record
from adapter.replay.scenario import (
    SCENARIO,
    BadScenario,
    Recording,
    Scenario,
    read,
    read_scenario,
    unused_files,
)
from adapter.replay.scenario import write as write_recording
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec


def found_below(places: Sequence[Path]) -> tuple[Path, ...]:
    """The scenario folders at or below some places, in order of name. Raises BadScenario."""
    found: list[Path] = []
    for place in places:
        here = sorted(file.parent for file in place.rglob(SCENARIO))
        if not here:
            raise BadScenario(f"{place}: there is no {SCENARIO} in it")
        found += here
    return tuple(dict.fromkeys(found))


def play_all(folders: Sequence[Path], *, codec: Codec | None = None) -> Iterator[Played]:
    """Play the recordings one after the other. Raises BadScenario for one that is unreadable."""
    used = codec or Codec(Catalog.load())
    for folder in folders:
        played = asyncio.run(play(read(folder), used))
        yield replace(played, unused=unused_files(folder))


def record_all(
    wanted: Sequence[Scenario], below: Path, *, codec: Codec | None = None
) -> Iterator[tuple[Recording, Path]]:
    """Record scenarios into folders of their names below a place."""
    used = codec or Codec(Catalog.load())
    for scenario in wanted:
        folder = below / scenario.name
        yield _record(scenario, folder, used), folder


def record_again(
    folders: Sequence[Path], *, codec: Codec | None = None
) -> Iterator[tuple[Recording, Path]]:
    """Record what the scenario.toml of some folders describes, in place."""
    used = codec or Codec(Catalog.load())
    for folder in folders:
        yield _record(read_scenario(folder), folder, used), folder


def named(patterns: Sequence[str]) -> tuple[Scenario, ...]:
    """Scenarios of the catalogue by name or pattern; all for none. Raises BadScenario."""
    for pattern in patterns:
        if not scenarios(pattern):
            raise BadScenario(f"{pattern}: no scenario of the catalogue has this name")
    return scenarios(*patterns)


def _record(scenario: Scenario, folder: Path, codec: Codec) -> Recording:
    recording = asyncio.run(record(scenario, codec))
    write_recording(recording, folder)
    return recording
