"""The hour that does not exist in spring, and a daylight flag in a zone that has no such time:
error records of what is said so, never a silent revision of another value."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from adapter.model.measurement import REGULAR
from tests.engine.readings.store_with_intake import Rig, a_rig
from tests.wire.payloads import data_arrived, event_log, interval, meter_event, read_data, register

FLAG = "DaylightSavingsTime"
CHICAGO = {"time": {"zone": "America/Chicago"}}
SET_FORWARD = datetime(2026, 3, 8, 8, 0, tzinfo=UTC)


@asynccontextmanager
async def in_december(folder: Path, tables: Mapping[str, object]) -> AsyncIterator[Rig]:
    async with a_rig(folder, tables=tables) as rig:
        await rig.clock.turn(datetime(2026, 12, 1, tzinfo=UTC))
        yield rig


def ending(wall: str, value: int, *words: str) -> str:
    return read_data("m1", [interval(value, *words)], end=wall)


async def test_intervals_and_registers_of_the_hour_that_does_not_exist_replace_nothing(
    tmp_path: Path,
) -> None:
    walls = ["01:45", "02:00", "02:15", "02:30", "02:45", "03:00", "03:15", "03:30", "03:45"]
    parts = [ending(f"2026-03-08T{wall}:00", n) for n, wall in enumerate(walls)]
    skipped = register("1000", at="2026-03-08T02:30:00")
    there = register("1001", at="2026-03-08T03:30:00")
    parts.append(read_data("m2", registers=there + skipped))
    async with in_december(tmp_path, CHICAGO) as rig:
        payload = await rig.take(data_arrived(*parts))
        assert (payload.counts["new"], payload.counts["revised"]) == (6, 0)
        assert payload.counts["rejected"] == 5
        quarter = timedelta(minutes=15)
        assert {row.at: row.head_end_value for row in await rig.values(revisions=True)} == {
            SET_FORWARD - quarter: Decimal(0),
            **{SET_FORWARD + quarter * n: Decimal(5 + n) for n in range(4)},
        }
        (value,) = await rig.values("m2", revisions=True)
        assert value.head_end_value == Decimal(1001)
        errors = await rig.data.errors()
        assert [error.endpoint for error in errors] == ["m1"] * 4 + ["m2"]
        assert {error.reason for error in errors} == {"not_a_time"}
        rule = "does not exist in America/Chicago: the clock is set forward"
        assert all(error.detail.endswith(rule) for error in errors)
        # Those meters write standard time the whole year: the tables say so, and it is all there.
        rig.tables["time"] = {"zone": "America/Chicago", "shift": "standard"}
        await rig.desk.reprocess()
        assert await rig.data.errors() == []


async def test_an_event_of_the_hour_that_does_not_exist_is_an_error_record(tmp_path: Path) -> None:
    log = event_log(
        meter_event("Skipped", "2026-03-08T02:30:00"), meter_event("There", "2026-03-08T03:30:00")
    )
    async with in_december(tmp_path, CHICAGO) as rig:
        await rig.take(data_arrived(read_data("m1", log=log)))
        (event,) = await rig.data.arrived_events()
        assert (event.seed.name, event.at) == ("There", SET_FORWARD + timedelta(minutes=30))
        (error,) = await rig.data.errors()
        assert error.endpoint == "m1"
        rule = "does not exist in America/Chicago: the clock is set forward"
        assert error.detail == f"event 'Skipped' has no time: '2026-03-08T02:30:00' {rule}"


async def test_a_repeated_hour_under_tables_without_a_zone_revises_nothing(tmp_path: Path) -> None:
    """The zone that nobody set is UTC. The flag says that this is wrong, and nobody guesses."""
    walls = [("01:15", FLAG), ("01:30", FLAG), ("01:45", FLAG), ("01:00", ""), ("01:15", ""),
             ("01:30", ""), ("01:45", ""), ("02:00", "")]  # fmt: skip
    parts = [
        ending(f"2026-11-01T{wall}:00", 41 + n, *([word] if word else []))
        for n, (wall, word) in enumerate(walls)
    ]
    async with in_december(tmp_path, {}) as rig:
        payload = await rig.take(data_arrived(*parts))
        assert (payload.counts["new"], payload.counts["revised"]) == (5, 0)
        stored = await rig.values(revisions=True)
        assert [row.head_end_value for row in stored] == [44, 45, 46, 47, 48]
        errors = await rig.data.errors()
        assert len(errors) == 3
        assert {(error.endpoint, error.reason) for error in errors} == {("m1", "not_a_time")}
        assert errors[0].detail == (
            "2026-11-01T01:15:00 has the status DaylightSavingsTime, and UTC has no such time "
            "then: time.zone of the tables is not the meter's"
        )
        rig.tables["time"] = {"zone": "America/Chicago"}
        await rig.desk.reprocess()
        assert await rig.data.errors() == []
        flagged = [row for row in await rig.values() if row.statuses]
        assert [row.at.isoformat()[:16] for row in flagged] == [
            "2026-11-01T06:15", "2026-11-01T06:30", "2026-11-01T06:45",
        ]  # fmt: skip
        assert {row.condition for row in flagged} == {REGULAR}
