"""An event whose time came without an offset says in which zone it was read, at every door."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from adapter.engine.readings.reports import ValueQuery
from adapter.store.readings.reports import SqliteReports
from tests.engine.readings.store_with_intake import Rig
from tests.engine.readings.test_repeated_hour import CHICAGO, SET_BACK, in_december
from tests.engine.readings.test_unset_times import events, exceptions_arrived
from tests.support import every_case
from tests.wire.payloads import data_arrived, event_log, meter_event, read_data

READ_IN = "time without offset read in America/Chicago"
TWICE = "2026-11-01T01:30:00"
LATER = (SET_BACK + timedelta(minutes=31)).isoformat().replace("+00:00", "Z")
TOLD = {
    ("2026-07-01T01:30:00", ""): READ_IN,
    ("2026-07-01T01:30:00Z", ""): "",
    ("2026-07-01T01:30:00-05:00", ""): "",
    (TWICE, LATER): f"{READ_IN}, the second of two such times",
    (TWICE, ""): f"{READ_IN}, the first of two such times (not told which)",
    ("x", "2026-07-01T01:30:00Z"): "time of its receipt",
    ("x", "2026-07-01T01:30:00"): f"time of its receipt; {READ_IN}",
    ("2031-07-01T01:30:00", "2026-07-01T01:30:00Z"): "time of its receipt",
}
"""(time, receipt) as the message tells them -> what is said of the event's time."""
ALWAYS = ValueQuery(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


async def said(rig: Rig) -> set[str]:
    """What arrival, device event and publication say; they agree."""
    await events(rig)
    stored = [row.event.conversion for row in await rig.events.events()]
    page = await SqliteReports(rig.store.database).events(ALWAYS, cursor=None, limit=100)
    published = [
        row.publication.data["conversion"]
        for row in await rig.store.outbox("test", limit=100)
        if row.publication.type == "openway.device.event"
    ]
    arrived = [row.conversion for row in page.rows]
    assert sorted(stored) == sorted(arrived) == sorted(map(str, published))
    return set(stored)


async def test_an_event_says_in_which_zone_its_time_was_read(tmp_path: Path) -> None:
    with every_case() as case:
        for number, ((time, receipt), words) in enumerate(TOLD.items()):
            with case((time, receipt)):
                folder = tmp_path / str(number)
                folder.mkdir()
                async with in_december(folder, tables=CHICAGO) as rig:
                    await rig.take(exceptions_arrived(received=receipt, timestamp=time))
                    assert await said(rig) == {words}


async def test_the_events_of_a_log_say_each_for_itself(tmp_path: Path) -> None:
    log = event_log(
        meter_event("Primary Power Down", at="2026-07-01T01:30:00"),
        meter_event("Primary Power Up", at="2026-07-01T08:00:00Z"),
    )
    async with in_december(tmp_path, tables=CHICAGO) as rig:
        await rig.take(data_arrived(read_data("m1", log=log)))
        assert await said(rig) == {READ_IN, ""}
