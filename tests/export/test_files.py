"""Exports as files: read back, they hold what the store has."""

import csv
import hashlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapter.cli import run as openway
from adapter.cli.output import Exit
from adapter.engine.readings.reports import EventRow, ValueQuery, ValueRow
from adapter.export.columns import EVENTS, VALUES, Form
from adapter.export.csv_file import CsvSink
from adapter.export.days import days
from adapter.export.files import fill
from adapter.export.parquet_file import ExportError, ParquetSink
from adapter.store.readings import reports
from tests.export.filled_store import MIDNIGHT, QUARTER, a_store, exact, filled, intervals
from tests.support import run

ALL = ValueQuery(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    run(filled(tmp_path / "gateway.db"))
    return tmp_path / "gateway.db"


def rows_of(path: Path, wanted: ValueQuery = ALL) -> Sequence[ValueRow]:
    connection = reports.open_store(path)
    try:
        return reports.values(connection, wanted, None, 100_000).rows
    finally:
        connection.close()


def moment(at: int | None) -> datetime | None:
    return None if at is None else EPOCH + timedelta(microseconds=at)


def test_the_columns_are_those_of_the_rows() -> None:
    for columns, kind in ((VALUES, ValueRow), (EVENTS, EventRow)):
        fields = ["time" if name == "at" else name for name in kind._fields]
        assert [column.name for column in columns] == fields


def test_csv_read_back_is_what_the_store_has(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.csv"
    assert openway(["readings", "export", "--store", str(path), "--out", str(out)]) == Exit.OK
    with open(tmp_path / "v.csv", encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    wanted = rows_of(path)
    assert len(read) == len(wanted) == 201
    for cells, row in zip(read, wanted, strict=True):
        assert exact(cells["value"]) == exact(row.value)
        assert datetime.fromisoformat(cells["time"]) == moment(row.at)
        assert (cells["start"] == "") == (row.start is None)
        assert cells["statuses"].split() == [word for word in row.statuses.split(",") if word]
        assert int(cells["condition"]) == row.condition
        assert cells["conversion"] == row.conversion


def test_parquet_read_back_is_what_the_store_has(path: Path, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "v.parquet"
    assert openway(["readings", "export", "--store", str(path), "--out", str(out)]) == Exit.OK
    table = pq.read_table(out)
    assert str(table.schema.field("value").type) == "decimal128(38, 18)"
    assert str(table.schema.field("time").type) == "timestamp[us, tz=UTC]"
    assert table.schema.field("time").metadata[b"meaning"].startswith(b"END of the interval")
    read = table.to_pylist()
    for cells, row in zip(read, rows_of(path), strict=True):
        assert cells["value"] == exact(row.value)
        assert cells["head_end_value"] == exact(row.head_end_value)
        assert (cells["time"], cells["start"]) == (moment(row.at), moment(row.start))
        assert cells["statuses"] == [word for word in row.statuses.split(",") if word]
    skipped = [cells for cells in read if cells["statuses"] == ["SkippedInterval"]]
    assert [cells["value"] for cells in skipped] == [None]


def test_events_are_exported_with_their_arguments(path: Path, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "e.parquet"
    arguments = ["readings", "export", "--events", "--store", str(path), "--out", str(out)]
    assert openway(arguments) == Exit.OK
    (cells,) = pq.read_table(out).to_pylist()
    assert (cells["device"], cells["name"]) == ("M1", "Primary Power Down")
    assert cells["exception"] is False
    assert cells["time"] == MIDNIGHT + timedelta(hours=3)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_same_rows_give_the_same_bytes(path: Path, tmp_path: Path, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    digests = set()
    for name in ("one", "two"):
        out = tmp_path / f"{name}.{form}"
        openway(["readings", "export", "--store", str(path), "--out", str(out)])
        digests.add(hashlib.sha256(out.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_duckdb_and_pandas_and_polars_where_they_are_read_it_alike(
    path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "v.parquet"
    openway(["readings", "export", "--store", str(path), "--out", str(out)])
    total = sum(Decimal(row.value) for row in rows_of(path) if row.value is not None)
    sums: dict[str, Any] = {}
    for name, read in READERS.items():
        if importlib.util.find_spec(name) is not None:
            sums[name] = read(str(out))
    assert "duckdb" in sums
    assert set(sums.values()) == {total}


def _pandas(path: str) -> Any:
    import pandas  # type: ignore[import-untyped,import-not-found,unused-ignore]

    return pandas.read_parquet(path)["value"].dropna().sum()


def _polars(path: str) -> Any:
    import polars  # type: ignore[import-not-found,unused-ignore]

    return polars.read_parquet(path)["value"].sum()


def _duckdb(path: str) -> Any:
    import duckdb

    words = ", ".join(f"min({column.name})" for column in VALUES)
    found = duckdb.sql(f"SELECT total FROM (SELECT sum(value) AS total, {words} FROM '{path}')")
    assert found is not None
    return found.fetchall()[0][0]


READERS = {"pandas": _pandas, "polars": _polars, "duckdb": _duckdb}


# ---------------------------------------------------------------- days


def test_days_of_a_zone_are_23_24_or_25_hours_long() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 3, 28, tzinfo=berlin)
    found = list(days(start, start + timedelta(days=3), berlin, lambda *_: True))
    assert [(day, (end - begin).total_seconds() / 3600) for day, begin, end in found] == [
        (date(2026, 3, 28), 24),
        (date(2026, 3, 29), 23),
        (date(2026, 3, 30), 24),
    ]
    start = datetime(2026, 10, 25, tzinfo=berlin)
    ((_, begin, end),) = days(start, start + timedelta(days=1), berlin, lambda *_: True)
    assert (end - begin).total_seconds() == 25 * 3600


async def test_a_file_a_day_holds_the_intervals_of_that_day_of_the_zone(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    start = datetime(2026, 3, 27, 23, tzinfo=UTC)  # midnight in Berlin
    async with a_store(path) as loader:
        await loader.load(intervals(1, ["5"] * (96 + 92 + 10), start=start))
    arguments = ["readings", "export", "--by-day", "--format", "csv", "--zone", "Europe/Berlin"]
    arguments += ["--from", start.isoformat(), "--to", "2026-04-01T00:00:00Z"]
    arguments += ["--store", str(path), "--out", str(tmp_path / "days")]
    assert openway(arguments) == Exit.OK
    counts = {
        file.parent.name: len(file.read_text().splitlines()) - 1
        for file in sorted((tmp_path / "days").rglob("*.csv"))
    }
    assert counts == {"day=2026-03-28": 96, "day=2026-03-29": 92, "day=2026-03-30": 10}


def test_only_days_that_have_something_are_found_and_empty_years_are_passed_at_once() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    wanted = {date(1901, 3, 1), date(2026, 3, 29), date(2026, 3, 30), date(8999, 12, 30)}
    at = [datetime(*day.timetuple()[:3], 13, tzinfo=berlin) for day in wanted]
    asked: list[tuple[datetime, datetime]] = []

    def has(start: datetime, end: datetime) -> bool:
        asked.append((start, end))
        return any(start < each <= end for each in at)

    start, end = datetime(1900, 1, 1, tzinfo=UTC), datetime(8999, 12, 31, tzinfo=UTC)
    assert [day for day, *_ in days(start, end, berlin, has)] == sorted(wanted)
    assert len(asked) < 2 * 23 * len(wanted)
    assert list(days(end, start, berlin, has)) == []


@pytest.mark.parametrize("more", [[], ["--events"]])
def test_a_century_day_by_day_asks_for_days_with_data_alone(
    path: Path, tmp_path: Path, more: list[str]
) -> None:
    out, whole = tmp_path / "days", tmp_path / "whole.csv"
    arguments = ["readings", "export", "--store", str(path), *more]
    assert openway([*arguments, "--out", str(whole)]) == Exit.OK
    arguments += ["--by-day", "--format", "csv", "--zone", "UTC", "--out", str(out)]
    assert openway([*arguments, "--from", "1900-01-01T00:00:00Z", "--to", "8999-12-31Z"]) == 2
    until = "8999-12-31T00:00:00Z"
    assert openway([*arguments, "--from", "1900-01-01T00:00:00Z", "--to", until]) == Exit.OK
    parts = [file.read_text().splitlines()[1:] for file in out.rglob("*.csv")]
    assert all(parts)
    assert sorted(line for part in parts for line in part) == sorted(
        whole.read_text().splitlines()[1:]
    )


# ---------------------------------------------------------------- what does not fit, what breaks


WHOLE = {"at", *(each.name for each in VALUES if each.form in (Form.WHOLE, Form.TIME))}


def a_row(value: str) -> ValueRow:
    cells = [0 if name in WHOLE else "" for name in ValueRow._fields]
    return ValueRow._make(cells)._replace(value=value, head_end_value=None)


def test_the_row_that_parquet_cannot_hold_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow.parquet")
    row = a_row("1" * 25)._replace(device="M1", component="M1-R", load_run=7, at=1_000_000)
    with (
        pytest.raises(ExportError) as refused,
        ParquetSink(tmp_path / "v.parquet", VALUES) as sink,
    ):
        fill(sink, [[a_row("1.5"), row]])
    assert str(refused.value).startswith(
        "device M1, component M1-R, load_run 7, number 0, time 1970-01-01T00:00:01+00:00: "
        f"value {'1' * 25} is no fit for decimal128(38, 18)"
    )


@pytest.mark.parametrize("text", ["0." + "0" * 18 + "1", "1" + "0" * 20, "-1" + "0" * 20, "1" * 25])
def test_a_number_that_does_not_fit_is_named_and_nothing_is_rounded(
    tmp_path: Path, text: str
) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "v.parquet"
    with (
        pytest.raises(ExportError, match=f"value {text} is no fit"),
        ParquetSink(out, VALUES) as it,
    ):
        fill(it, [[a_row("1.5"), a_row(text)]])
    assert list(tmp_path.iterdir()) == []
    with ParquetSink(out, VALUES, exact_texts=True) as sink:
        fill(sink, [[a_row(text)]])
    assert pq.read_table(out)["value"].to_pylist() == [text]


@pytest.mark.parametrize(
    "text", ["99999999999999999999.999999999999999999", "-0.000000000000000001"]
)
def test_the_longest_numbers_fit_exactly(tmp_path: Path, text: str) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    with ParquetSink(tmp_path / "v.parquet", VALUES) as sink:
        fill(sink, [[a_row(text)]])
    assert pq.read_table(tmp_path / "v.parquet")["value"].to_pylist() == [Decimal(text)]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_export_that_breaks_leaves_what_was_there_before(tmp_path: Path, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"v.{form}"
    out.write_text("as before")

    def broken() -> Iterator[list[ValueRow]]:
        yield [a_row("1")]
        raise ConnectionError("cut off")

    sink = CsvSink(out, VALUES) if form == "csv" else ParquetSink(out, VALUES)
    with pytest.raises(ConnectionError), sink:
        fill(sink, broken())
    assert out.read_text() == "as before"
    assert [each.name for each in tmp_path.iterdir()] == [out.name]


def test_row_groups_are_of_the_size_that_bounds_memory(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "v.parquet"
    with ParquetSink(out, VALUES, row_group=100) as sink:
        fill(sink, [[a_row(str(number)) for number in range(first, first + 70)]
                    for first in range(0, 350, 70)])  # fmt: skip
    found = pq.ParquetFile(out)
    sizes = [found.metadata.row_group(each).num_rows for each in range(found.num_row_groups)]
    assert sizes == [100, 100, 100, 50]
    assert found.read()["value"].to_pylist() == [Decimal(number) for number in range(350)]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--out", "x.txt"],
        ["--out", "-", "--format", "parquet"],
        ["--out", "days", "--by-day"],
        ["--out", "x.csv", "--events", "--component", "c"],
        ["--out", "x.csv", "--zone", "Mars/Olympus"],
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(
    path: Path, tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert openway(["readings", "export", "--store", str(path), *arguments]) == Exit.INVALID
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith("x")] == []


def test_csv_goes_to_standard_output(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["readings", "export", "M2", "--component", "M2-R", "--out", "-"]
    assert openway([*arguments, "--store", str(path)]) == Exit.OK
    header, line = capsys.readouterr().out.splitlines()
    assert header.startswith("device,endpoint,component,kind")
    assert ",2026-03-02T00:00:00.000000Z,1234.56725,1234567.25,501000,," in line


# ---------------------------------------------------------------- memory

_EXPORT = """
import resource, sys
from adapter.cli import run
assert run(["readings", "export", "--store", sys.argv[1], "--out", sys.argv[2]]) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def many(path: Path, rows: int) -> None:
    """A store with so many values in channels of 10,000 each."""

    async def scene() -> None:
        async with a_store(path) as loader:
            await loader.load(intervals(1, ["1"]))
            await loader.store.database.measure(
                lambda tx: tx.connection.execute(
                    """
WITH RECURSIVE c(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM c WHERE n <= :channels)
INSERT INTO channel (id, device, endpoint, component, kind, same_quantity, source, seconds,
                     quantity, unit, tou, sqi)
SELECT n, 'D' || n, 'E' || n, 'D' || n || '-L', 'interval', 'whd', '', 900, 'Wh d', 'kWh', '',
       'delivered' FROM c""",
                    {"channels": rows // 10_000},
                )
            )
            await loader.store.database.measure(
                lambda tx: tx.connection.execute(
                    """
WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 10000)
INSERT INTO measured (channel, at, load, n, value, head_end_value, condition, statuses, conversion)
SELECT channel.id, n * 900000000, 1, 0, '0.' || (n % 997), n % 997, 501000, '', 1
FROM channel CROSS JOIN s WHERE channel.id > 1"""
                )
            )

    run(scene(), seconds=110)


def peak_kib(path: Path, out: Path) -> int:
    command = [sys.executable, "-c", _EXPORT, str(path), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=110)
    return int(done.stdout.split()[-1])


@pytest.mark.parametrize("rows", [80_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, rows: int) -> None:
    """An export of so many rows, in each form, beside one of 20,000."""
    pytest.importorskip("pyarrow")
    many(tmp_path / "few.db", 20_000)
    many(tmp_path / "many.db", rows)
    for form in ("csv", "parquet"):
        few = peak_kib(tmp_path / "few.db", tmp_path / f"few.{form}")
        grown = peak_kib(tmp_path / "many.db", tmp_path / f"many.{form}") - few
        assert grown < 30 * 1024, form


def test_every_form_occurs_in_a_column() -> None:
    assert {column.form for column in (*VALUES, *EVENTS)} == set(Form)


def test_a_quarter_hour_ends_where_the_next_begins(path: Path) -> None:
    rows = rows_of(path, ALL._replace(component="M1-L"))
    assert all(before.at == after.start for before, after in pairwise(rows))
    assert rows[0].start is not None
    assert moment(rows[0].start) == MIDNIGHT
    assert moment(rows[-1].at) == MIDNIGHT + 100 * QUARTER
