"""Recording the catalogue again gives the committed files, byte for byte."""

from pathlib import Path

import pytest

from adapter.replay.catalogue import scenarios
from adapter.replay.recorder import record
from adapter.replay.run import record_again, record_all
from adapter.replay.scenario import read, write
from tests.replay.recordings import FIXTURES, codec

SOME = (
    "device_commissioning/reply_lost",
    "multi_device_status_check/split_in_chunks",
    "multi_device_status_check/technical_failure",
    "on_demand_read_interval/success",
    "remote_connect/all_checks_and_read",
    "remote_disconnect/callback_before_reply",
    "remote_disconnect/opposite_order",
    "remote_disconnect/silence_after_acting",
    "scheduled_read_interval/missing_devices",
)


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("name", SOME)
def test_recording_again_gives_the_same_files(name: str, tmp_path: Path) -> None:
    (scenario,) = scenarios(name)
    ((_, folder),) = record_all([scenario], tmp_path, codec=codec())
    assert files(folder) == files(FIXTURES / name)


def test_a_scenario_is_recorded_again_from_its_own_file(tmp_path: Path) -> None:
    name = "remote_connect/armed"
    folder = tmp_path / name
    folder.mkdir(parents=True)
    text = (FIXTURES / name / "scenario.toml").read_text()
    (folder / "scenario.toml").write_text(text.partition("[recorded]")[0])
    list(record_again([folder], codec=codec()))
    assert files(folder) == files(FIXTURES / name)


async def test_what_was_recorded_is_what_is_read_back(tmp_path: Path) -> None:
    (scenario,) = scenarios("on_demand_read_scalar/technical_failure")
    made = await record(scenario, codec())
    write(made, tmp_path / scenario.name)
    assert read(tmp_path / scenario.name) == made
