"""Pages of values and events, and what payload statistics count."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import apsw
import pytest

from adapter.engine.readings.reports import EventRow, Grouping, Reports, ValueQuery, ValueRow
from adapter.errors import InvalidRequest, StoreFailed
from adapter.model.measurement import Entered
from adapter.store.orders.orders import SqliteOrders
from adapter.store.readings import queries
from adapter.store.readings.reports import SqliteReports, open_store
from tests.export.filled_store import (
    MIDNIGHT,
    QUARTER,
    a_store,
    esn,
    event,
    filled,
    intervals,
    register,
)

ALL = ValueQuery(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


async def values(
    reports: Reports, wanted: ValueQuery = ALL, *, limit: int = 1000
) -> list[ValueRow]:
    found: list[ValueRow] = []
    cursor: str | None = None
    while True:
        page = await reports.values(wanted, cursor=cursor, limit=limit)
        assert len(page.rows) <= limit
        found += page.rows
        if page.next is None:
            return found
        cursor = page.next


async def events(reports: Reports, *, limit: int) -> list[EventRow]:
    found: list[EventRow] = []
    cursor: str | None = None
    while True:
        page = await reports.events(ALL, cursor=cursor, limit=limit)
        found += page.rows
        if page.next is None:
            return found
        cursor = page.next


async def test_pages_of_any_size_give_the_same_rows_in_one_order(tmp_path: Path) -> None:
    await filled(tmp_path / "gateway.db")
    async with a_store(tmp_path / "gateway.db") as loader:
        reports = SqliteReports(loader.store.database)
        for revisions in (False, True):
            wanted = ALL._replace(revisions=revisions)
            whole = await values(reports, wanted)
            assert len(whole) == 201 + revisions
            keys = [(row.device, row.component, row.at, row.load_run, row.number) for row in whole]
            assert keys == sorted(keys)
            for limit in (1, 7, 100):
                assert await values(reports, wanted, limit=limit) == whole


async def test_of_a_replaced_value_the_last_counts_and_revisions_show_both(tmp_path: Path) -> None:
    await filled(tmp_path / "gateway.db")
    async with a_store(tmp_path / "gateway.db") as loader:
        reports = SqliteReports(loader.store.database)
        second = ValueQuery(MIDNIGHT + QUARTER, MIDNIGHT + 2 * QUARTER, "M1")
        (row,) = await values(reports, second)
        assert (row.value, row.head_end_value, row.unit) == ("0.9995", "999.5", "kWh")
        both = await values(reports, second._replace(revisions=True))
        assert [each.head_end_value for each in both] == ["101", "999.5"]


def told(number: int, hours: int, value: str, **more: object) -> Entered:
    at = MIDNIGHT + timedelta(hours=hours)
    words = {"id": f"t{number}{hours}", "device": f"M{number}", "component": f"M{number}-R", **more}
    return Entered(at=at, value=Decimal(value), **words)  # type: ignore[arg-type]


async def test_what_people_entered_and_crews_read_stands_before_the_rest_and_says_whose_it_is(
    tmp_path: Path,
) -> None:
    await filled(tmp_path / "gateway.db")
    async with a_store(tmp_path / "gateway.db") as loader:
        reports = SqliteReports(loader.store.database)
        payloads = await values(reports)
        entered = told(2, 5, "12.50", by="anna", entered_at=MIDNIGHT, condition=401000)
        crew = told(2, 4, "11", id="visit-1/by-hand/1/M2-R")
        other = [told(1, 6, "3"), told(2, 6, "1e999999"), told(1, 2, "1", component="gone")]
        await SqliteOrders(loader.store.database).enter_measurements([entered, crew, *other], [])
        whole = await values(reports)
        assert whole[5:] == payloads
        assert {row.origin for row in payloads} == {"payload"}
        assert [row.value for row in whole[:5]] == ["1", "3", "11", "12.5", "1E+999999"]
        read, typed = whole[2:4]
        assert (read.origin, read.entered_by, read.entered_at) == (
            "crew",
            "visit-1/by-hand/1",
            None,
        )
        assert (typed.origin, typed.entered_by) == ("entered", "anna")
        assert typed.entered_at == typed.at - 5 * 3_600_000_000
        assert (typed.endpoint, typed.kind, typed.quantity) == (esn(2), "register", "Wh d")
        assert (typed.unit, typed.condition, typed.payload) == ("kWh", 401000, 0)
        for limit in (1, 2, 5, 7, 100):
            assert await values(reports, limit=limit) == whole
        of_one = await values(reports, ALL._replace(component="M2-R"), limit=1)
        assert [row.value for row in of_one] == ["11", "12.5", "1E+999999", "1234.56725"]
        noon = ValueQuery(
            MIDNIGHT + timedelta(hours=4), MIDNIGHT + timedelta(hours=5), "M2", "M2-R"
        )
        assert await values(reports, noon) == [typed]


@pytest.mark.parametrize("device", [True, False])
@pytest.mark.parametrize("resumed", [True, False])
async def test_what_people_told_is_read_along_its_index(
    tmp_path: Path, *, device: bool, resumed: bool
) -> None:
    await filled(tmp_path / "gateway.db")
    db = open_store(tmp_path / "gateway.db")
    names = dict.fromkeys(("device", "start", "end", "key"), 1)
    query = f"EXPLAIN QUERY PLAN {queries.entered(device=device, resumed=resumed)}"
    steps = [row[3] for row in db.execute(query, names)]
    db.close()
    assert "crew_measurement_device" in steps[0]
    assert not [step for step in steps if "TEMP B-TREE" in step]


async def test_periods_side_by_side_share_nothing_and_leave_nothing_out(tmp_path: Path) -> None:
    await filled(tmp_path / "gateway.db")
    async with a_store(tmp_path / "gateway.db") as loader:
        reports = SqliteReports(loader.store.database)
        noon, next_day = MIDNIGHT + timedelta(hours=12), MIDNIGHT + timedelta(hours=24)
        wanted = ALL._replace(component="M1-L")
        parts = [
            await values(reports, wanted._replace(start=start, end=end))
            for start, end in ((MIDNIGHT, noon), (noon, next_day), (next_day, ALL.end))
        ]
        assert [len(part) for part in parts] == [48, 48, 4]
        assert [row for part in parts for row in part] == await values(reports, wanted)


async def test_what_is_not_loaded_whole_is_not_reported(tmp_path: Path) -> None:
    async with a_store(tmp_path / "gateway.db") as loader:
        reports = SqliteReports(loader.store.database)
        down = event(1, "Primary Power Down", MIDNIGHT)
        staged = await loader.begin(intervals(1, ["1"]), events=[down])
        assert await values(reports) == []
        assert await events(reports, limit=10) == []
        await staged.refuse()
        assert await values(reports) == []
        (payload,) = await reports.payloads()
        assert (payload.state, payload.position) == ("quarantined", 77)


async def test_what_is_loaded_after_the_first_page_stays_out_of_the_next(tmp_path: Path) -> None:
    async with a_store(tmp_path / "gateway.db") as loader:
        reports = SqliteReports(loader.store.database)
        await loader.load(intervals(1, ["1", "2"]), intervals(2, ["3"]))
        page = await reports.values(ALL, cursor=None, limit=1)
        await loader.load(intervals(1, ["11", "12", "13"]), intervals(3, ["4"]))
        rest = await reports.values(ALL, cursor=page.next, limit=100)
        assert [row.head_end_value for row in (*page.rows, *rest.rows)] == ["1", "2", "3"]
        assert [row.head_end_value for row in await values(reports)] == [
            "11",
            "12",
            "13",
            "3",
            "4",
        ]


async def test_events_keep_the_order_of_arrival_and_the_head_ends_words(tmp_path: Path) -> None:
    async with a_store(tmp_path / "gateway.db", meters=2) as loader:
        reports = SqliteReports(loader.store.database)
        later, sooner = MIDNIGHT + timedelta(hours=2), MIDNIGHT + timedelta(hours=1)
        await loader.load(
            events=[event(1, "Up", later), event(2, "Down", sooner), event(9, "Lost", later)]
        )
        whole = await events(reports, limit=100)
        assert [(row.name, row.device) for row in whole] == [
            ("Up", "M1"),
            ("Down", "M2"),
            ("Lost", ""),
        ]
        assert whole[0].arguments == '{"note":"a \\"quoted\\", text","phase":["A","B"]}'
        assert await events(reports, limit=1) == whole
        page = await reports.events(ALL._replace(device="M2"), cursor=None, limit=10)
        assert [row.name for row in page.rows] == ["Down"]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "p1",
        "p1.0",
        "p1.6e6f6e65",
        "v1",
        "v1.2.3.4.5.6",
        "e1.2",
        "v1.2.3.4.99999999999999999999",
        "v1.2.3.4.x",
    ],
)
async def test_a_cursor_that_no_page_gave_is_refused(tmp_path: Path, cursor: str) -> None:
    async with a_store(tmp_path / "gateway.db") as loader:
        with pytest.raises(InvalidRequest):
            await SqliteReports(loader.store.database).values(ALL, cursor=cursor or "v", limit=5)


async def test_statistics_count_payloads_bytes_values_errors_and_lag(tmp_path: Path) -> None:
    async with a_store(tmp_path / "gateway.db") as loader:
        reports = SqliteReports(loader.store.database)
        await loader.load(intervals(1, ["1", "2"]), register(1, "not a number"))
        await loader.load(intervals(1, ["1", "5"]))
        await (await loader.begin()).refuse()
        found = await reports.statistics(ALL.start, ALL.end, by=Grouping.OPERATION)
        (group,) = found.groups
        assert group.group == "DataSubscriberService.DataArrived"
        assert (group.payloads, group.bytes) == (3, 6_000)
        assert group.states == {"loaded": 2, "quarantined": 1}
        counts = {name: group.counts[name] for name in ("new", "repeated", "revised", "errors")}
        assert counts == {"new": 2, "repeated": 1, "revised": 1, "errors": 1}
        assert group.lag_median_s == group.lag_longest_s == 2.5
        assert found.open_errors == {"not_a_number": 1}
        each = await reports.statistics(ALL.start, ALL.end, by=Grouping.PAYLOAD)
        assert [item.group for item in each.groups] == ["1", "2", "3"]
        nothing = await reports.statistics(ALL.start, MIDNIGHT, by=Grouping.DAY)
        assert nothing.groups == []


async def test_a_store_is_read_beside_its_writer_and_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    await filled(path)
    before = path.read_bytes()
    async with a_store(path) as loader:
        connection = open_store(path)
        await loader.load(intervals(3, ["1"]))
        assert connection.execute("SELECT count(*) FROM load").get == 4
        with pytest.raises(apsw.ReadOnlyError, match="readonly"):
            connection.execute("DELETE FROM load")
        connection.close()
    after = path.read_bytes()
    open_store(path).close()
    assert path.read_bytes() == after != before


def test_another_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database at all, but long enough to be looked at\n" * 9)
    for name in ("notes.txt", "missing.db"):
        with pytest.raises(StoreFailed):
            open_store(tmp_path / name)


async def test_many_may_read_at_once(tmp_path: Path) -> None:
    await filled(tmp_path / "gateway.db")
    async with a_store(tmp_path / "gateway.db") as loader:
        reports = SqliteReports(loader.store.database)
        found = await asyncio.gather(*(values(reports, limit=13) for _ in range(5)))
        assert all(rows == found[0] for rows in found)
