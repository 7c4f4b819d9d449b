"""The views for people have the columns that the docs say, and what the counts say."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw

from adapter.model.device import InstallEvent
from adapter.model.ids import DeviceId, ServicePointId
from adapter.store.readings.file import connect_reader_of_both
from adapter.store.readings.views import FILES, VIEWS
from adapter.store.registry.registry import put_install
from tests.export.filled_store import MIDNIGHT, Loader, a_store, esn, intervals
from tests.store.readings.test_device_days import counted

POINT = ServicePointId("SP-1")


async def filled(loader: Loader) -> None:
    install = InstallEvent(device=DeviceId("M1"), service_point=POINT, installed_at=MIDNIGHT)
    await loader.store.database.write(lambda tx: put_install(tx.connection, install, 1))
    await loader.load(intervals(1, ["1"] * 95), intervals(2, ["1"] * 4))
    await counted(loader, 1)


def views(db: apsw.Connection) -> Iterator[tuple[str, str]]:
    for schema in ("main", "measurements"):
        query = f"SELECT name FROM {schema}.sqlite_schema WHERE type = 'view'"
        for (view,) in list(db.execute(query)):
            for _, column, *_ in list(db.execute(f"PRAGMA {schema}.table_info({view})")):
                yield view, column


async def test_each_view_has_the_columns_that_are_told(on_disk: Path) -> None:
    path = on_disk / "gateway.db"
    async with a_store(path):
        pass
    with closing(connect_reader_of_both(path)) as db:
        assert list(views(db)) == [(view, column) for view, column, _ in VIEWS]
    assert set(FILES) == {view for view, _, _ in VIEWS}


async def test_they_say_who_is_expected_and_what_came(on_disk: Path) -> None:
    path = on_disk / "gateway.db"
    async with a_store(path) as loader:
        await filled(loader)
    with closing(connect_reader_of_both(path)) as db:
        assert list(db.execute("SELECT device, endpoint, installed_at FROM v_meter")) == [
            ("M1", esn(1), "2026-03-02T00:00:00Z")
        ]
        query = "SELECT day, device, expected, intervals, last_at, delay_s FROM v_meter_day"
        assert list(db.execute(f"{query} ORDER BY device")) == [
            ("2026-03-02", "M1", 96, 95, "2026-03-02T23:45:00Z", 0),
            ("2026-03-02", "M2", 96, 4, "2026-03-02T01:00:00Z", 0),
        ]
        silent = "SELECT device FROM v_meter EXCEPT SELECT device FROM v_meter_day WHERE day = ?"
        assert list(db.execute(silent, ("2026-03-03",))) == [("M1",)]
        assert list(db.execute(silent, ("2026-03-02",))) == []
