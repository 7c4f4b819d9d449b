"""Measurements, events and payloads over HTTP: pages, lines, and the command line over both."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from adapter.cli import run as openway
from adapter.cli.client import Client
from adapter.cli.output import Exit
from adapter.client.errors import Unreachable
from adapter.engine.readings.reports import ValuePage, ValueQuery
from adapter.errors import StoreFailed
from adapter.model.ids import DeviceId
from adapter.model.measurement import Entered, Measurement
from adapter.model.secret import Secret
from adapter.model.values import replace
from adapter.server.settings import RestSettings
from adapter.store.orders.orders import SqliteOrders
from adapter.store.readings.reports import SqliteReports
from adapter.web.api.rest import Rest
from tests.export.filled_store import MIDNIGHT, QUARTER, a_store, filled
from tests.web.both_servers import KEYS, TOKENS, Rig, a_rig


@asynccontextmanager
async def serving(
    path: Path, kind: type[SqliteReports] = SqliteReports, *, told: Sequence[Measurement] = ()
) -> AsyncIterator[Rig]:
    """The JSON interface over a store with measurements."""
    await filled(path)
    async with a_rig() as rig, a_store(path) as loader:
        await SqliteOrders(loader.store.database).enter_measurements(told, [])
        readings = replace(rig.gateway.readings, reports=kind(loader.store.database))
        gateway = replace(rig.gateway, readings=readings)
        async with Rest(gateway, RestSettings(keys=KEYS)) as rest:
            yield replace(rig, rest=rest)


async def test_pages_lead_through_all_measurements(tmp_path: Path) -> None:
    async with serving(tmp_path / "gateway.db") as rig:
        found, cursor = [], ""
        while True:
            told = await rig.ask("GET", f"/measurements?limit=37{cursor}", by="reader")
            assert told.status == 200
            found += told["items"]
            if told["next"] is None:
                break
            cursor = f"&cursor={told['next']}"
        assert len(found) == 201
        assert len({(row["component"], row["at"]) for row in found}) == 201
        assert found[1]["value"] == "0.9995"
        assert found[1]["start"] == "2026-03-02T00:15:00Z"
        assert [row["statuses"] for row in found if row["value"] is None] == [["SkippedInterval"]]


async def test_a_page_is_of_what_was_asked_for(tmp_path: Path) -> None:
    async with serving(tmp_path / "gateway.db") as rig:
        query = "device=M1&from=2026-03-02T00:15:00Z&to=2026-03-02T00:30:00Z"
        told = await rig.ask("GET", f"/measurements?{query}")
        assert [row["head_end_value"] for row in told["items"]] == ["999.5"]
        told = await rig.ask("GET", f"/measurements?{query}&revisions=true")
        assert [row["head_end_value"] for row in told["items"]] == ["101", "999.5"]
        told = await rig.ask("GET", "/measurements?component=M2-R")
        assert [row["kind"] for row in told["items"]] == ["register"]
        told = await rig.ask("GET", "/arrived-events?device=M1")
        assert [row["name"] for row in told["items"]] == ["Primary Power Down"]
        assert told["items"][0]["arguments"]["phase"] == ["A", "B"]


async def test_a_page_says_of_what_people_told_who_it_was_and_when(tmp_path: Path) -> None:
    entered = Entered(
        id="entered/M1/M1-R/x", device=DeviceId("M1"), component="M1-R", at=MIDNIGHT,
        value=Decimal("7.50"), by="anna", entered_at=MIDNIGHT + QUARTER,
    )  # fmt: skip
    async with serving(tmp_path / "gateway.db", told=[entered]) as rig:
        first = await rig.ask("GET", "/measurements?device=M1&limit=1")
        (row,) = first["items"]
        assert (row["value"], row["head_end_value"], row["payload"]) == ("7.5", None, 0)
        assert (row["origin"], row["entered_by"]) == ("entered", "anna")
        assert row["entered_at"] == "2026-03-02T00:15:00Z"
        rest = await rig.ask("GET", f"/measurements?device=M1&limit=1&cursor={first['next']}")
        (row,) = rest["items"]
        assert (row["origin"], row["entered_by"], row["entered_at"]) == ("payload", "", None)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=2026-03-02T00:00:00", "from"),
        ("to=yesterday", "to"),
        ("cursor=v1", "cursor"),
        ("limit=0", "limit"),
        ("revisions=perhaps", "revisions"),
        ("colour=blue", "colour"),
    ],
)
async def test_what_cannot_be_asked_is_named(tmp_path: Path, query: str, field: str) -> None:
    async with serving(tmp_path / "gateway.db") as rig:
        told = await rig.ask("GET", f"/measurements?{query}")
        assert told.status == 422
        assert told["field"] == field


async def test_lines_are_all_of_it_with_a_first_and_a_last(tmp_path: Path) -> None:
    async with serving(tmp_path / "gateway.db") as rig:
        headers = {"Authorization": f"Bearer {TOKENS['reader']}"}
        url = rig.rest.url + "/api/v1/measurements/lines"
        async with rig.http.get(url, headers=headers) as response:
            assert response.content_type == "application/x-ndjson"
            lines = [json.loads(line) for line in (await response.read()).splitlines()]
        assert lines[0]["columns"][0] == "device"
        assert lines[-1] == {"rows": 201}
        assert len(lines) == 203


async def test_nobody_reads_measurements_without_a_key(tmp_path: Path) -> None:
    async with serving(tmp_path / "gateway.db") as rig:
        for path in ("/measurements", "/measurements/lines", "/payloads", "/arrived-events"):
            assert (await rig.ask("GET", path, by=None)).status == 401


async def test_before_the_first_payload_there_is_nothing_to_read() -> None:
    async with a_rig() as rig:
        assert (await rig.ask("GET", "/measurements")).body == {"items": [], "next": None}
        statistics = (await rig.ask("GET", "/payloads/statistics")).body
        assert (statistics["groups"], statistics["open_errors"]) == ([], {})


async def test_payloads_and_their_statistics_are_told(tmp_path: Path) -> None:
    async with serving(tmp_path / "gateway.db") as rig:
        told = await rig.ask("GET", "/payloads?limit=2")
        assert [row["id"] for row in told["items"]] == [3, 2]
        assert told["items"][0]["lag_s"] == 2.5
        rest = await rig.ask("GET", f"/payloads?limit=2&cursor={told['next']}")
        assert [row["id"] for row in rest["items"]] == [1]
        told = await rig.ask("GET", "/payloads/statistics?by=day")
        assert [group["payloads"] for group in told["groups"]] == [3]


class FailingReports(SqliteReports):
    """Its disk breaks after the first page."""

    async def values(self, wanted: ValueQuery, *, cursor: str | None, limit: int) -> ValuePage:
        if cursor is not None:
            raise StoreFailed("the disk is gone")
        return await super().values(wanted, cursor=cursor, limit=10)


async def test_an_answer_that_was_cut_off_is_not_taken_for_whole(tmp_path: Path) -> None:
    async with serving(tmp_path / "gateway.db", FailingReports) as rig:
        client = Client(url=rig.rest.url, key=Secret(TOKENS["reader"]))

        def read() -> None:
            with pytest.raises(Unreachable):
                list(client.lines("/measurements/lines"))

        await asyncio.to_thread(read)


async def test_the_command_line_exports_the_same_over_http_as_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.db"
    async with serving(path) as rig:
        monkeypatch.setenv("OPENWAY_API_URL", rig.rest.url)
        monkeypatch.setenv("OPENWAY_API_KEY", TOKENS["reader"])
        for what in ([], ["--events"]):
            for name, source in (("api", []), ("file", ["--store", str(path)])):
                out = ["--out", str(tmp_path / f"{name}.csv")]
                arguments = ["readings", "export", *out, *what, *source]
                assert await asyncio.to_thread(openway, arguments) == Exit.OK
            api, file = tmp_path / "api.csv", tmp_path / "file.csv"
            assert api.read_bytes() == file.read_bytes()
            assert len(api.read_bytes()) > 100
            days = [
                "--by-day",
                "--format",
                "csv",
                "--zone",
                "UTC",
                "--from",
                "1900-01-01T00:00:00Z",
            ]
            for name, source in (("api-days", []), ("file-days", ["--store", str(path)])):
                folder = ["--out", str(tmp_path / name)]
                arguments = ["readings", "export", *folder, *days, *what, *source]
                assert await asyncio.to_thread(openway, arguments) == Exit.OK
            assert _files(tmp_path / "api-days") == _files(tmp_path / "file-days") != {}
        for source in ([], ["--store", str(path)]):
            arguments = ["readings", "show", "M99", *source]
            assert await asyncio.to_thread(openway, arguments) == Exit.NOT_FOUND
        for command in ("payloads", "statistics"):
            told = []
            for source in ([], ["--store", str(path)]):
                capsys.readouterr()
                arguments = ["readings", command, "--json", *source]
                assert await asyncio.to_thread(openway, arguments) == Exit.OK
                told.append(json.loads(capsys.readouterr().out))
            assert json.dumps(told[0], sort_keys=True) == json.dumps(told[1], sort_keys=True)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*.csv")}


async def test_a_load_profile_is_shown_and_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.db"
    await filled(path)
    period = ["--from", "2026-03-02T00:00:00Z", "--to", "2026-03-03T00:00:00Z"]
    store = ["--store", str(path)]
    assert openway(["readings", "plot", "M2", *period, *store, "--zone", "UTC"]) == Exit.OK
    drawn = capsys.readouterr().out
    assert "Monday 2026-03-02" in drawn
    assert "marks: o outage, p partial interval" in drawn
    assert openway(["readings", "show", "M1", *period, *store, "--limit", "3"]) == Exit.OK
    shown = capsys.readouterr()
    assert "0.9995" in shown.out
    assert "there are more" in shown.err
    assert openway(["readings", "show", "M1", *period, *store, "--json"]) == Exit.OK
    assert len(capsys.readouterr().out.splitlines()) == 96
    assert openway(["readings", "plot", "M3", *store, *period]) == Exit.NOT_FOUND
    assert openway(["readings", "show", "M3", *store, *period]) == Exit.OK
    capsys.readouterr()
    unknown: tuple[list[str], ...] = (["show", "M99"], ["export", "M99", "--out", "-"])
    for arguments in unknown:
        assert openway(["readings", *arguments, *store, *period]) == Exit.NOT_FOUND
        refused = capsys.readouterr()
        assert "no device M99" in refused.err
        assert refused.out == ""
    assert openway(["readings", "plot", "M2", *store, *period, "--quantity", "V"]) == Exit.NOT_FOUND
