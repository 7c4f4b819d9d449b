"""A night with a cap, an override, a stop and a cancel is recorded and played back at home."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter.cli.output import Exit
from adapter.model.values import replace
from adapter.replay.played import Played
from adapter.replay.player import play
from adapter.replay.scenario import Act, Do, Recording, read
from adapter.simulator.settings import SimulatorConfig
from tests.cli.running_service import Terminal, serving
from tests.replay.recordings import codec
from tests.support import for_every, run
from tests.supporting.secrets_within import found_in, in_files
from tests.supporting.switching_night import CARL, COMMON, KEYS, SETTINGS, WHY, switching_night


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("switching")


@pytest.fixture
def recorded(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Recording:
    """The night, recorded once."""
    if not (folder / "night").exists():
        since = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
        config = SimulatorConfig()
        with serving(folder, head_end=config, meters=4, more=SETTINGS, keys=KEYS) as service:
            terminal = Terminal(capsys, monkeypatch, service.api_url)
            many = switching_night(terminal, service)
            ask = ("--config", str(folder / "openway.toml"), "record", "--since", since)
            told = terminal.as_(CARL)(*ask, "--to", str(folder / "night"), "--json")
        assert told.code == Exit.OK, told
        assert told.json["commands"] == many
        assert told.json["recordings"] == 1  # the cap counts them all
    (scenario,) = (folder / "night").rglob("scenario.toml")
    return read(scenario.parent)


def played(what: Recording) -> Played:
    return run(play(what, codec()))


def test_a_night_of_stops_caps_and_overrides_is_played_without_a_difference(
    recorded: Recording, folder: Path
) -> None:
    done = [act.do for act in recorded.scenario.acts]
    wanted = (Do.STOP, Do.RESUME, Do.OVERRIDE, Do.END_OVERRIDE, Do.CANCEL)
    assert [done.count(each) for each in wanted] == [2, 3, 1, 1, 1]
    assert played(recorded).difference == ""
    assert not found_in(in_files(folder / "night"), (WHY, COMMON, "Wilhelmina", "carl", "evening"))


def without(do: Do) -> Callable[[Act], Act | None]:
    return lambda act: None if act.do is do else act


def longer(act: Act) -> Act:
    return replace(act, limit="") if act.do is Do.OVERRIDE else act


@for_every(
    "change, told",
    (
        (without(Do.OVERRIDE), "command 2 (remote_disconnect)"),
        (without(Do.CANCEL), "command 3 (remote_disconnect)"),
        (without(Do.RESUME), "command 4 (remote_connect)"),
        (without(Do.STOP), "gateway["),
        (without(Do.END_OVERRIDE), "gateway["),
        (longer, "gateway["),
    ),
    ids=("no override", "no cancel", "no resume", "no stop", "not ended", "of every limit"),
)
def test_what_people_did_is_part_of_the_recording(
    recorded: Recording, change: Callable[[Act], Act | None], told: str
) -> None:
    acts = tuple(act for each in recorded.scenario.acts if (act := change(each)) is not None)
    made = replace(recorded, scenario=replace(recorded.scenario, acts=acts))
    assert told in played(made).decision


def test_a_gateway_without_the_cap_decides_otherwise(recorded: Recording) -> None:
    scenario = replace(recorded.scenario, switch={})
    assert played(replace(recorded, scenario=scenario)).difference
