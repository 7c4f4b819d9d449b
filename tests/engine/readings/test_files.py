"""Files and directories handed in, by the command line and to a running gateway."""

import asyncio
import gzip
import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from adapter.cli import run as openway
from adapter.cli.output import Exit
from adapter.engine.readings.ports import PayloadState
from adapter.engine.readings.spool import files_of, pieces_of
from adapter.engine.readings.tables import load_tables, read_tables
from adapter.errors import InvalidRequest, SettingsError
from tests.engine.readings.store_with_intake import a_rig
from tests.wire.payloads import data_arrived, read_data


async def test_a_file_is_taken_in_once_whatever_its_name(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        body = data_arrived(read_data("m1", [1000]))
        (tmp_path / "a.xml").write_bytes(body)
        (tmp_path / "b.xml.gz").write_bytes(gzip.compress(body))
        for name in ("a.xml", "b.xml.gz", "a.xml"):
            await rig.hand(tmp_path / name)
            await rig.work()
        (payload,) = await rig.data.payloads()
        assert (payload.source, payload.counts["new"]) == ("a.xml", 1)
        assert await rig.numbers() == [Decimal(1)]
        assert len(list(rig.spool.folder.glob("*.gz"))) == 1
        assert rig.spool.tickets() == []


async def test_a_ticket_that_a_crash_left_behind_takes_no_body_away(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        (tmp_path / "a.xml").write_bytes(data_arrived(read_data("", [1])))
        await rig.hand(tmp_path / "a.xml")
        (ticket,) = rig.spool.tickets()
        await rig.work()
        rig.spool.hand_in(ticket)
        await rig.work()
        (payload,) = await rig.data.payloads()
        assert rig.spool.path(payload.file).exists()
        assert rig.spool.tickets() == []


async def test_a_refused_file_is_tried_again_when_it_is_handed_in_again(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        (tmp_path / "a.xml").write_bytes(data_arrived(read_data("m1", [1]))[:-30])
        for _ in range(2):
            await rig.hand(tmp_path / "a.xml")
            await rig.work()
            (payload,) = await rig.data.payloads()
            assert payload.state is PayloadState.QUARANTINED


def test_directories_are_walked_and_what_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("in/b.xml", "in/a.xml", "in/deep/c.xml.gz", "in/readme.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in files_of([tmp_path / "in"])] == ["a.xml", "b.xml", "c.xml.gz"]
    with pytest.raises(InvalidRequest, match="gone"):
        list(files_of([tmp_path / "gone"]))


def test_endings_of_files_in_a_directory_may_be_in_capitals(tmp_path: Path) -> None:
    for name in ("A.XML", "b.Xml.GZ", "c.xmlx", "d.gz"):
        (tmp_path / name).touch()
    assert [path.name for path in files_of([tmp_path])] == ["A.XML", "b.Xml.GZ"]


def test_a_gzip_file_of_several_parts_is_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "a.xml.gz"
    one, other = b"one " * 100_000, b"other"
    file.write_bytes(gzip.compress(one) + gzip.compress(other))
    assert b"".join(pieces_of(file)) == one + other
    file.write_bytes(gzip.compress(one) + b"\0" * 200_000 + gzip.compress(other) + b"\0")
    assert b"".join(pieces_of(file)) == one + other
    file.write_bytes(gzip.compress(one) + gzip.compress(other)[:-3])
    with pytest.raises(OSError, match="cut short"):
        list(pieces_of(file))
    file.write_bytes(gzip.compress(one) + b"other")
    with pytest.raises(OSError, match="damaged"):
        list(pieces_of(file))


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_taken_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("openway.toml").write_text('[store]\npath = "gw.db"\n[intake]\nspool = "spool"\n')
    Path("in").mkdir()
    whole = gzip.compress(data_arrived(read_data("m2", [1])))
    Path("in/a.xml").write_bytes(data_arrived(read_data("m1", [1])))
    Path("in/b_cut.xml.gz").write_bytes(whole[:-20])
    Path("in/c_bent.xml.gz").write_bytes(whole[:12] + b"\xff\xff" + whole[14:])
    Path("in/d.XML").write_bytes(data_arrived(read_data("m3", [1])))
    assert openway(["intake", "in", "--json"]) == Exit.WITHOUT_SUCCESS
    told = capsys.readouterr()
    assert sorted(row["source"] for row in json.loads(told.out)) == ["a.xml", "d.XML"]
    assert "not taken: in/b_cut.xml.gz is cut short" in told.err
    assert "not taken: in/c_bent.xml.gz is damaged" in told.err
    assert "2 of 4 files not taken" in told.err
    assert openway(["intake", "in/b_cut.xml.gz", "in/c_bent.xml.gz"]) == Exit.INVALID
    told = capsys.readouterr()
    assert (told.out, told.err.count("not taken: ")) == ("", 2)
    assert len(list(Path("spool").glob("*.gz"))) == 2


def test_links_in_a_folder_are_named_and_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("openway.toml").write_text('[store]\npath = "gw.db"\n[intake]\nspool = "spool"\n')
    for folder in ("in", "elsewhere"):
        Path(folder).mkdir()
    Path("secret").write_bytes(b"secret")
    Path("elsewhere/far.xml").write_bytes(b"secret")
    Path("in/a.xml").write_bytes(data_arrived(read_data("m1", [1])))
    Path("in/b.xml").symlink_to(tmp_path / "secret")
    Path("in/c.xml.gz").symlink_to(tmp_path / "gone")
    Path("in/deeper").symlink_to(tmp_path / "elsewhere")
    Path("in/d.xml").symlink_to(tmp_path / "elsewhere")
    assert openway(["intake", "in", "--json"]) == Exit.WITHOUT_SUCCESS
    told = capsys.readouterr()
    assert [row["source"] for row in json.loads(told.out)] == ["a.xml"]
    for name in ("b.xml", "c.xml.gz", "d.xml"):
        assert f"not taken: in/{name} is a link; links are not followed" in told.err
    assert len(list(Path("spool").glob("*.gz"))) == 1
    assert openway(["intake", "in/b.xml"]) == Exit.INVALID


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.xml")
    with pytest.raises(OSError, match="no regular file"):
        next(pieces_of(tmp_path / "a.xml"))


def test_a_file_is_unpacked_no_further_than_the_largest_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("openway.toml").write_text(
        '[store]\npath = "gw.db"\n[intake]\nspool = "spool"\n'
        "[listener.bodies]\ndata_bytes = 2000000\n"
    )
    Path("a.xml.gz").write_bytes(gzip.compress(b" " * 200_000_000))
    Path("b.xml").write_bytes(b" " * 2_000_001)
    Path("c.xml").write_bytes(data_arrived(read_data("m1", [1])))
    assert openway(["intake", "a.xml.gz", "b.xml", "c.xml", "--json"]) == Exit.WITHOUT_SUCCESS
    told = capsys.readouterr()
    assert [row["source"] for row in json.loads(told.out)] == ["c.xml"]
    for name in ("a.xml.gz", "b.xml"):
        assert f"not taken: {name} is larger, unpacked, than 2000000 bytes" in told.err
    assert len(list(Path("spool").glob("*.gz"))) == 1


def test_the_command_line_takes_in_files_and_shows_what_became_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tables.toml").write_text("")
    Path("openway.toml").write_text('[store]\npath = "gw.db"\n[intake]\ntables = "tables.toml"\n')
    Path("a.xml").write_bytes(data_arrived(read_data("m1", [1], quantity="Gas")))
    Path("bad.xml").write_bytes(b"<ReadDataCollection><")

    def told(*arguments: str) -> list[dict[str, object]]:
        assert openway(["intake", *arguments, "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        return answer if isinstance(answer, list) else [answer]

    good, bad = sorted(told("a.xml", "bad.xml"), key=lambda row: str(row["source"]))
    assert (good["state"], good["errors"]) == ("loaded", 1)
    assert (bad["state"], bad["position"]) == ("quarantined", 20)
    assert len(told("payloads")) == 2
    (error,) = told("errors")
    assert error["detail"] == "Gas"
    Path("tables.toml").write_text('[quantities.Gas]\nunit = "m3"\n')
    (counts,) = told("reprocess")
    assert counts == {"values": 0, "events": 0, "still_open": 1}  # the registry has no such meter


def test_a_correction_of_an_unknown_payload_is_refused_and_what_stays_open_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("openway.toml").write_text('[store]\npath = "gw.db"\n[intake]\nspool = "spool"\n')
    gas = read_data("m1", [1], quantity="Gas")
    Path("a.xml").write_bytes(data_arrived(gas, read_data("", [1])))
    Path("b.xml").write_bytes(data_arrived(read_data("m2", [1], quantity="Wh x")))

    def told(*arguments: str) -> tuple[int, str, str]:
        return (openway(["intake", *arguments]), *capsys.readouterr())

    for number in ("1", "9223372036854775807", "0", "-1", "99999999999999999999"):
        code, out, err = told("a.xml", "--corrects", number)
        possible = number in ("1", "9223372036854775807")
        assert (code, out) == (Exit.NOT_FOUND if possible else Exit.INVALID, "")
        assert (
            f"corrects: no payload {number}; " if possible else "1 to 9223372036854775807"
        ) in err
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "a.xml",
            "b.xml",
            "openway.toml",
        ]
    assert told("a.xml")[0] == Exit.OK
    code, _, err = told("b.xml", "--corrects", "2")
    assert code == Exit.NOT_FOUND
    assert "no payload 2" in err
    assert len(json.loads(told("payloads", "--json")[1])) == 1
    assert told("a.xml", "b.xml", "--corrects", "1")[0] == Exit.INVALID

    code, _, err = told("b.xml", "--corrects", "1")
    assert code == Exit.OK
    assert "payload 1 still has 1 open error record:" in err
    assert "unknown_quantity Gas (m1)" in err
    (left,) = json.loads(told("errors", "--payload", "1", "--json")[1])
    assert left["detail"] == "Gas"
    assert len(json.loads(told("errors", "--json")[1])) == 2


async def test_beside_a_gateway_an_unknown_payload_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("openway.toml").write_text('[store]\npath = "gateway.db"\n[intake]\nspool = "spool"\n')
    Path("a.xml").write_bytes(data_arrived(read_data("m1", [1000])))
    async with a_rig(tmp_path) as rig:
        wrong = await rig.take(data_arrived(read_data("", [1])))
        for number, code in ((wrong.id + 1, Exit.NOT_FOUND), (wrong.id, Exit.OK)):
            asked = ["intake", "a.xml", "--corrects", str(number)]
            assert await asyncio.to_thread(openway, asked) == code
            assert len(rig.spool.tickets()) == (code == Exit.OK)
        assert f"openway intake errors --payload {wrong.id}" in capsys.readouterr().err
        await rig.work()
        assert await rig.data.errors() == []
        capsys.readouterr()
        assert await asyncio.to_thread(openway, ["intake", "payloads", "--json"]) == Exit.OK
        assert len(json.loads(capsys.readouterr().out)) == 2


async def test_files_are_handed_to_the_gateway_that_has_the_store_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("openway.toml").write_text('[store]\npath = "gateway.db"\n[intake]\nspool = "spool"\n')
    Path("a.xml").write_bytes(data_arrived(read_data("m1", [1000])))
    async with a_rig(tmp_path) as rig:
        code = await asyncio.to_thread(openway, ["intake", "a.xml"])
        assert code == 0
        await rig.work()
        assert await rig.numbers() == [Decimal(1)]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[quantitys]", "quantitys"),
        ("[quantities.x]", "unit"),
        ('[quantities.x]\nunit = "a"\nmultiplier = 0.1', "multiplier"),
        ('[quantities.x]\nunit = "a"\ncolour = "b"', "colour"),
        ("[conditions]\nTamper = 7", "Tamper"),
        ('[time]\nzone = "Mars/Olympus"', "Mars"),
        ('[time]\nshift = "sideways"', "shift"),
        ('[devices]\nids = ["name"]', "ids"),
        ("[devices]\nkeep = true", "keep"),
        ("[intervals]\nwithout_value = 1", "without_value"),
        ("[time", "tables"),
    ],
)
def test_bad_tables_are_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "tables.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=named):
        load_tables(path)


def test_the_shipped_tables_are_what_an_empty_file_means(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text("")
    assert load_tables(tmp_path / "empty.toml") == load_tables(None)
    assert read_tables({}).quantity("Whd") is not None
