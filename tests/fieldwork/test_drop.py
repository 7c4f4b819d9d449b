"""Files in folders: out, in, done, failed."""

import os
from pathlib import Path

import pytest

from adapter.errors import StoreFailed
from adapter.fieldwork.drop import FileDrop
from adapter.fieldwork.messages import message_json, read_message, report_json
from adapter.fieldwork.settings import DropSettings
from tests.fieldwork.builders import KeptReports, a_message, a_work_report, until


def a_drop(folder: Path, **changes: object) -> FileDrop:
    return FileDrop(DropSettings(folder=folder, **changes))  # type: ignore[arg-type]


def put(folder: Path, name: str, raw: bytes) -> None:
    inside = folder / "in"
    inside.mkdir(parents=True, exist_ok=True)
    (inside / f".{name}").write_bytes(raw)
    (inside / f".{name}").rename(inside / name)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_message_is_a_whole_file_under_the_name_of_its_id(tmp_path: Path) -> None:
    message = a_message()
    await a_drop(tmp_path).send(message)
    assert names(tmp_path / "out") == ["SO-1.1-message-1.json"]
    assert read_message((tmp_path / "out" / "SO-1.1-message-1.json").read_bytes()) == message


async def test_a_message_sent_again_is_the_same_file(tmp_path: Path) -> None:
    drop = a_drop(tmp_path)
    await drop.send(a_message())
    await a_drop(tmp_path).send(a_message())
    await drop.send(a_message(2))
    assert names(tmp_path / "out") == ["SO-1.1-message-1.json", "SO-1.1-message-2.json"]
    assert (tmp_path / "out" / "SO-1.1-message-1.json").read_bytes() == message_json(a_message())


async def test_what_a_crash_left_half_written_is_no_message(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".SO-1.1-message-1.json.tmp").write_bytes(b'{"id"')
    await a_drop(tmp_path).send(a_message())
    assert names(tmp_path / "out") == ["SO-1.1-message-1.json"]


async def test_a_message_that_cannot_be_written_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file in the way")
    with pytest.raises(OSError, match="out"):
        await a_drop(tmp_path).send(a_message())


async def test_reports_are_taken_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.json", "a.json", "c.json"):
        put(tmp_path, name, report_json(a_work_report(name[0])))
    inbox = KeptReports()
    assert await a_drop(tmp_path).look(inbox) == 3
    assert list(inbox.reports) == ["a", "b", "c"]
    assert names(tmp_path / "done") == ["a.json", "b.json", "c.json"]
    assert names(tmp_path / "in") == []


async def test_a_report_taken_before_a_crash_is_known_when_it_is_taken_again(
    tmp_path: Path,
) -> None:
    put(tmp_path, "a.json", report_json(a_work_report()))
    inbox = KeptReports()
    await inbox.receive(a_work_report())  # durable, and then the process ended
    await a_drop(tmp_path).look(inbox)
    assert inbox.repeated == 1
    assert names(tmp_path / "done") == ["a.json"]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"no json", "bad_report"),
        (report_json(a_work_report()).replace(b"SO-1.1", b"XX-1.1"), "not_found"),
        (report_json(a_work_report()).replace(b"SO-1.1", b"SO-7.1"), "conflict"),
        (b" " * 2001, "bad_report: a.json: larger than 2000 bytes"),
    ],
)
async def test_a_report_that_nothing_can_be_done_with_is_kept_with_its_reason(
    tmp_path: Path, raw: bytes, reason: str
) -> None:
    put(tmp_path, "a.json", raw)
    inbox = KeptReports(refuses=frozenset({"SO-7.1"}))
    await a_drop(tmp_path, report_bytes=2000).look(inbox)
    assert names(tmp_path / "failed") == ["a.json", "a.json.reason"]
    assert (tmp_path / "failed" / "a.json.reason").read_text().startswith(reason)
    assert names(tmp_path / "in") == []
    assert not inbox.reports


async def test_a_report_stays_where_it_is_while_storage_is_broken(tmp_path: Path) -> None:
    put(tmp_path, "a.json", report_json(a_work_report()))
    with pytest.raises(StoreFailed):
        await a_drop(tmp_path).look(KeptReports(broken=StoreFailed("disk full")))
    assert names(tmp_path / "in") == ["a.json"]


async def test_a_name_that_was_there_before_is_not_written_over(tmp_path: Path) -> None:
    inbox, drop = KeptReports(), a_drop(tmp_path)
    for id_ in ("1", "2", "3"):
        put(tmp_path, "a.json", report_json(a_work_report(id_)))
        await drop.look(inbox)
    assert names(tmp_path / "done") == ["a.2.json", "a.3.json", "a.json"]


async def test_files_that_are_still_being_written_are_left_alone(tmp_path: Path) -> None:
    put(tmp_path, "a.json.part", b"")
    put(tmp_path, ".hidden.json", b"")
    assert await a_drop(tmp_path).look(KeptReports()) == 0


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
async def test_what_is_no_ordinary_file_is_refused_and_not_opened(
    tmp_path: Path, kind: str
) -> None:
    (tmp_path / "in").mkdir()
    place = tmp_path / "in" / "a.json"
    if kind == "link":
        (tmp_path / "secret").write_bytes(report_json(a_work_report()))
        place.symlink_to(tmp_path / "secret")
    elif kind == "folder":
        place.mkdir()
    else:
        os.mkfifo(place)
    inbox = KeptReports()
    await a_drop(tmp_path).look(inbox)
    assert not inbox.reports
    assert "a.json" in names(tmp_path / "failed")


@pytest.mark.parametrize("name", ["a.json.reason", ".a.json.reason.tmp"])
async def test_a_link_laid_where_a_reason_goes_is_not_written_through(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "failed").mkdir()
    (tmp_path / "victim").write_text("as it was")
    (tmp_path / "failed" / name).symlink_to(tmp_path / "victim")
    put(tmp_path, "a.json", b"no json")
    await a_drop(tmp_path).look(KeptReports())
    assert (tmp_path / "victim").read_text() == "as it was"
    assert names(tmp_path / "failed") == ["a.json", "a.json.reason"]
    assert (tmp_path / "failed" / "a.json.reason").read_text().startswith("bad_report")
    assert not (tmp_path / "failed" / "a.json.reason").is_symlink()


@pytest.mark.parametrize("name", ["SO-1.1-message-1.json", ".SO-1.1-message-1.json.tmp"])
async def test_a_link_laid_where_a_message_goes_is_not_written_through(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "victim").write_text("as it was")
    (tmp_path / "out" / name).symlink_to(tmp_path / "victim")
    await a_drop(tmp_path).send(a_message())
    assert (tmp_path / "victim").read_text() == "as it was"
    assert names(tmp_path / "out") == ["SO-1.1-message-1.json"]
    assert not (tmp_path / "out" / "SO-1.1-message-1.json").is_symlink()


async def test_reports_are_taken_while_it_runs(tmp_path: Path) -> None:
    inbox, drop = KeptReports(), a_drop(tmp_path, poll_s=0.01)
    await drop.start(inbox)
    put(tmp_path, "a.json", report_json(a_work_report()))
    await until(lambda: (tmp_path / "done" / "a.json").exists())
    await drop.stop()
    assert list(inbox.reports) == ["R-1"]
