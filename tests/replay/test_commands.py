"""`openway record` and `openway replay`, as they are typed."""

import io
import json
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from adapter.cli import main
from tests.replay.recordings import FIXTURES


def openway(*arguments: object) -> int:
    with pytest.raises(SystemExit) as leaving:
        main([str(each) for each in arguments])
    assert isinstance(leaving.value.code, int)
    return leaving.value.code


def test_replay_prints_each_recording_and_its_times(capsys: pytest.CaptureFixture[str]) -> None:
    assert openway("replay", FIXTURES / "load_check", FIXTURES / "remote_disconnect/day_long") == 0
    out, err = capsys.readouterr()
    assert "load_check/success" in out
    assert "23 h 1 min" in out
    assert f"{FIXTURES / 'load_check'}: 7 recordings played" in err
    assert f"{FIXTURES / 'remote_disconnect'}: 1 recording played" in err
    assert "8 recordings, 0 differ" in err


def test_replay_tells_a_terminal_which_one_it_is_at(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    with redirect_stderr(Terminal()) as told:
        assert openway("replay", FIXTURES / "load_check/success") == 0
    assert "playing 1 of 1:" in told.getvalue()
    assert "played" not in told.getvalue()


def test_replay_fails_where_a_recording_differs_and_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "load_check/success"
    shutil.copytree(FIXTURES / "load_check/success", folder)
    expected = folder / "expected.json"
    expected.write_text(expected.read_text().replace('"succeeded"', '"failed"', 1))
    assert openway("replay", tmp_path, "--json") == 1
    out, err = capsys.readouterr()
    (row,) = json.loads(out)
    assert err == ""
    assert row["difference"] == 'commands[0].summary.outcome: expected "failed", got "succeeded"'


def test_another_process_gives_the_same_transcript(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "adapter",
                "replay",
                str(FIXTURES / "remote_connect/success"),
                "--transcript",
                str(tmp_path / seed),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=FIXTURES.parent,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        for seed in ("1", "2")
    ]
    assert [process.wait(timeout=100) for process in processes] == [0, 0]
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_record_writes_the_scenarios_that_were_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert openway("record", "load_check/succ*", "--to", tmp_path) == 0
    assert (tmp_path / "load_check/success/expected.json").is_file()
    assert "7 messages in 10 s" in capsys.readouterr().err


def test_a_place_without_recordings_and_an_unknown_name_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert openway("replay", tmp_path) == 2
    assert "scenario.toml" in capsys.readouterr().err
    assert openway("record", "no/such", "--to", tmp_path) == 2
    assert "no/such" in capsys.readouterr().err


def test_the_catalogue_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert openway("record", "--list", "*/success", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 12


def test_a_gateway_is_recorded_of_the_past_into_a_new_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert openway("record", "--since", "+1h", "--to", tmp_path / "night") == 2
    assert "--since: is in the future" in capsys.readouterr().err
    (tmp_path / "mine.txt").write_text("kept")
    assert openway("record", "--since", "-1h", "--to", tmp_path) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "is not empty; a recording of a running gateway needs a new folder" in told
    assert [each.name for each in tmp_path.iterdir()] == ["mine.txt"]
