"""A recording of a stranger reads no file outside its folder, and none that has no end."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from adapter.replay import recording_files
from adapter.replay.order_scenario import read_expected, read_order_scenario, write_expected
from adapter.replay.scenario import BadScenario, read, read_scenario, write
from tests.replay.recordings import FIXTURES
from tests.support import every_case, for_every

GOOD = FIXTURES / "load_check/success"
FIRST = "01-request.xml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "outside.xml").write_text("<secret/>")
    shutil.copytree(GOOD, tmp_path / "recording")
    return tmp_path / "recording"


def naming(folder: Path, file: str) -> None:
    place = folder / "scenario.toml"
    text = place.read_text()
    assert f'"{FIRST}"' in text
    place.write_text(text.replace(f'"{FIRST}"', f'"{file}"'))


def replaced(folder: Path, make: Callable[[Path], object], name: str = FIRST) -> None:
    (folder / name).unlink()
    make(folder / name)


def long(path: Path) -> None:
    path.touch()
    os.truncate(path, recording_files.MOST_BYTES + 1)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "absolute": (lambda at: naming(at, f"{at.parent}/outside.xml"), "in the folder"),
    "above": (lambda at: naming(at, "../outside.xml"), "in the folder"),
    "a device": (lambda at: naming(at, "/dev/zero"), "in the folder"),
    "the folder above": (lambda at: naming(at, ".."), "in the folder"),
    "a link": (
        lambda at: replaced(at, lambda to: to.symlink_to("../outside.xml")),
        "not a symbolic link",
    ),
    "a FIFO": (lambda at: replaced(at, os.mkfifo), "a regular file"),
    "a folder": (lambda at: replaced(at, Path.mkdir), "a regular file"),
    "long": (lambda at: replaced(at, long), "at most 67108864 bytes"),
}


@for_every("name", REFUSED)
def test_a_message_is_a_regular_file_in_the_folder(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    below = tmp_path_factory.mktemp("stranger")
    (below / "outside.xml").write_text("<secret/>")
    shutil.copytree(GOOD, below / "recording")
    change, rule = REFUSED[name]
    change(below / "recording")
    with pytest.raises(BadScenario, match=rule) as caught:
        read(below / "recording")
    assert "recorded.message[1].file" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_other_files_are_regular_files_too(folder: Path) -> None:
    readers = {
        "scenario.toml": read_scenario,
        "expected.json": read,
        "order.toml": read_order_scenario,
    }
    with every_case() as case:
        for name, reader in readers.items():
            for make in (os.mkfifo, lambda to: to.symlink_to("/dev/zero")):
                with case((name, make)):
                    at = folder / name
                    kept = at.read_bytes() if at.is_file() else None
                    at.unlink(missing_ok=True)
                    make(at)
                    with pytest.raises(BadScenario, match=f"{name}: must be a regular file"):
                        reader(folder)
                    at.unlink()
                    if kept is not None:
                        at.write_bytes(kept)
        with case("expected of an order"):
            (folder / "expected.json").unlink()
            os.mkfifo(folder / "expected.json")
            with pytest.raises(BadScenario, match="must be a regular file"):
                read_expected(folder)


def test_acts_and_messages_are_bounded(folder: Path) -> None:
    place = folder / "scenario.toml"
    text = place.read_text()
    rows = "{}," * 100_001
    place.write_text(
        f"{text.partition('[recorded]')[0]}[recorded]\nends_at = 1.0\nmessage = [{rows}]"
    )
    with pytest.raises(BadScenario, match=r"recorded\.message: at most 100000"):
        read(folder)
    place.write_text("act = [" + '{ do = "cancel" },' * 20_001 + ']\nshows = "many"\n')
    with pytest.raises(BadScenario, match="act: at most 20000"):
        read_scenario(folder)
    (folder / "order.toml").write_text(place.read_text())
    with pytest.raises(BadScenario, match="act: at most 20000"):
        read_order_scenario(folder)


def test_nothing_is_written_through_a_link(folder: Path) -> None:
    recording = read(folder)
    outside = folder.parent / "outside.xml"
    names = ("scenario.toml", "expected.json", FIRST)
    for name in names:
        replaced(folder, lambda to: to.symlink_to(outside), name)
    write(recording, folder)
    assert outside.read_text() == "<secret/>"
    assert not any((folder / name).is_symlink() for name in names)
    assert read(folder) == recording
    replaced(folder, lambda to: to.symlink_to(outside), "expected.json")
    write_expected(folder, {"orders": []})
    assert outside.read_text() == "<secret/>"
    assert read_expected(folder) == {"orders": []}
    assert sorted(each.name for each in folder.iterdir()) == sorted(
        each.name for each in GOOD.iterdir()
    )


WILD = ("inf", "-inf", "nan", "1e12")


@for_every("value", WILD)
def test_a_time_beyond_the_calendar_is_refused_by_its_field(
    tmp_path_factory: pytest.TempPathFactory, value: str
) -> None:
    folder = tmp_path_factory.mktemp("wild") / "recording"
    shutil.copytree(GOOD, folder)
    place = folder / "scenario.toml"
    good = place.read_text()
    with every_case() as case:
        for head, name in (
            ("[recorded]", "recorded.ends_at"),
            ("act = [", "act[1].at"),
            ("message = [", "recorded.message[1].at"),
        ):
            with case(name):
                before, found, after = good.partition(head)
                assert found
                member = name.rpartition(".")[2]
                changed = re.sub(rf"\b{member} = [\d.]+", f"{member} = {value}", after, count=1)
                assert changed != after
                place.write_text(before + head + changed)
                with pytest.raises(BadScenario, match=re.escape(f"{name}: must be at most")):
                    read(folder)
        for name, text in (
            ("act[1].at", f'shows = "x"\nact = [{{ do = "cancel", at = {value} }}]'),
            ("ends_at", f'shows = "x"\nends_at = {value}\nact = []'),
        ):
            with case(f"order {name}"):
                (folder / "order.toml").write_text(text)
                with pytest.raises(BadScenario, match=re.escape(f"{name}: must be at most")):
                    read_order_scenario(folder)


def test_what_is_nested_too_deep_is_refused(folder: Path) -> None:
    deep = f"act = {'[' * 100_000}"
    with every_case() as case:
        for name, reader in (("scenario.toml", read_scenario), ("order.toml", read_order_scenario)):
            with case(name):
                (folder / name).write_text(deep)
                with pytest.raises(BadScenario, match=f"{name}: lists or tables are nested"):
                    reader(folder)
