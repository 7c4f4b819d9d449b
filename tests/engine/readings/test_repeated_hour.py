"""The hour that comes twice in autumn, in times without an offset: never a silent revision."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapter.engine.readings.ports import StoredValue
from adapter.model.measurement import REGULAR
from adapter.readings.conditions import CLOCK
from tests.engine.readings.store_with_intake import Rig, a_meter, a_rig
from tests.wire.payloads import data_arrived, interval, read_data, register

FLAG = "DaylightSavingsTime"
Told = tuple[str, int, bool]
"""(end on the wall, value, whether it is flagged)."""

CHICAGO = {"time": {"zone": "America/Chicago", "shift": "adjusted"}}
SET_BACK = datetime(2026, 11, 1, 7, 0, tzinfo=UTC)


@asynccontextmanager
async def in_december(folder: Path, tables: Mapping[str, object]) -> AsyncIterator[Rig]:
    """When everything of the autumn has arrived."""
    async with a_rig(folder, tables=tables) as rig:
        await rig.clock.turn(datetime(2026, 12, 1, tzinfo=UTC))
        yield rig


def told(minutes: int, *, zone: str = "America/Chicago", at: datetime = SET_BACK) -> list[Told]:
    """What a device writes whose every interval comes by itself, from two hours before the clock
    is set back to two hours after."""
    found = []
    for number in range(-120 // minutes, 120 // minutes + 1):
        end = (at + timedelta(minutes=minutes * number)).astimezone(ZoneInfo(zone))
        found.append((end.replace(tzinfo=None).isoformat(), 500 + number, bool(end.dst())))
    return found


def one(row: Told, minutes: int = 15, *, flags: bool = True) -> str:
    end, value, flagged = row
    words = [FLAG] if flagged and flags else []
    part = read_data("m1", [interval(value, *words)], end=end)
    return part.replace("<b:IntervalLength>15<", f"<b:IntervalLength>{minutes}<")


def ends(rows: Sequence[StoredValue]) -> dict[datetime, Decimal | None]:
    return {row.at: row.head_end_value for row in rows}


@pytest.mark.parametrize("minutes", [1, 5, 15, 30, 60])
@pytest.mark.parametrize("payloads", ["one", "many", "many, the later first"])
async def test_the_daylight_flag_tells_the_two_passes_apart(
    tmp_path: Path, minutes: int, payloads: str
) -> None:
    rows = told(minutes)
    async with in_december(tmp_path, tables=CHICAGO) as rig:
        if payloads == "one":
            await rig.take(data_arrived(*[one(row, minutes) for row in rows]))
        else:
            half = len(rows) // 2
            again = [rows[:half], rows[half:]]
            for some in again if payloads == "many" else reversed(again):
                await rig.take(data_arrived(*[one(row, minutes) for row in some]))
        stored = await rig.values("m1", revisions=True)
        assert len(stored) == len(rows)
        assert await rig.data.errors() == []
        if payloads != "many, the later first":
            start = SET_BACK - timedelta(hours=2)
            assert ends(stored) == {
                start + timedelta(minutes=minutes * number): Decimal(value)
                for number, (_, value, _) in enumerate(rows)
            }
            assert {row.condition for row in stored} == {REGULAR}


@pytest.mark.parametrize("minutes", [15, 60])
async def test_without_any_flag_both_passes_are_kept_and_are_not_regular(
    tmp_path: Path, minutes: int
) -> None:
    rows = told(minutes)
    async with in_december(tmp_path, tables=CHICAGO) as rig:
        for row in rows:
            await rig.take(data_arrived(one(row, minutes, flags=False)))
        stored = await rig.values("m1", revisions=True)
        assert [row.head_end_value for row in stored] == [value for _, value, _ in rows]
        assert len(set(ends(stored))) == len(rows)
        unsure = [row for row in stored if row.condition == CLOCK]
        assert len(unsure) == 120 // minutes
        assert all("(not told which)" in row.conversion for row in unsure)


async def test_what_comes_again_is_repeated_and_what_fits_nowhere_is_an_error_record(
    tmp_path: Path,
) -> None:
    first, second, third = ("2026-11-01T01:30:00", 1), ("2026-11-01T01:30:00", 2), 3
    async with in_december(tmp_path, tables=CHICAGO) as rig:
        for end, value in (first, second, first, second):
            await rig.take(data_arrived(one((end, value, False))))
        assert len(await rig.values("m1", revisions=True)) == 2
        payload = await rig.take(data_arrived(one((first[0], third, False))))
        assert (payload.counts["rejected"], payload.counts["revised"]) == (1, 0)
        (error,) = await rig.data.errors()
        assert (error.endpoint, error.reason) == ("m1", "not_a_time")
        assert error.detail == "2026-11-01T01:30:00 comes twice, and other values have both times"
        assert [row.head_end_value for row in await rig.values("m1")] == [1, 2]


async def test_a_flag_of_the_day_tells_that_an_unflagged_pass_is_the_second(tmp_path: Path) -> None:
    async with in_december(tmp_path, tables=CHICAGO) as rig:
        await rig.take(data_arrived(one(("2026-10-31T20:00:00", 1, True))))
        await rig.take(data_arrived(one(("2026-11-01T01:30:00", 2, False))))
        later = (await rig.values("m1"))[-1]
        assert (later.at, later.condition) == (SET_BACK + timedelta(minutes=30), REGULAR)
        assert later.conversion.endswith("America/Chicago, the second of two such times")
        await rig.take(data_arrived(one(("2026-11-01T01:30:00", 3, False))))
        revised = (await rig.values("m1"))[-1]
        assert (revised.at, revised.head_end_value) == (later.at, Decimal(3))


async def test_flags_within_a_channel_tell_of_its_end(tmp_path: Path) -> None:
    values = [interval(1, FLAG), interval(2, FLAG), interval(3), interval(4)]
    flagged = [interval(5, FLAG), interval(6, FLAG)]
    async with in_december(tmp_path, tables=CHICAGO) as rig:
        await rig.take(data_arrived(read_data("m1", values, end="2026-11-01T01:15:00")))
        await rig.take(data_arrived(read_data("m2", flagged, end="2026-11-01T01:15:00")))
        for name, end in (("m1", timedelta(minutes=15)), ("m2", timedelta(minutes=-45))):
            rows = await rig.values(name)
            assert max(ends(rows)) == SET_BACK + end
            assert {row.condition for row in rows} == {REGULAR}


async def test_an_interval_flagged_for_what_was_before_its_end_replaces_nothing(
    tmp_path: Path,
) -> None:
    """A device that flags the interval, not its end, flags both hours that end at one o'clock."""
    async with in_december(tmp_path, tables=CHICAGO) as rig:
        for value in (1, 2):
            await rig.take(data_arrived(one(("2026-11-01T01:00:00", value, True), 60)))
        stored = await rig.values("m1", revisions=True)
        assert ends(stored) == {SET_BACK - timedelta(hours=1): Decimal(1), SET_BACK: Decimal(2)}
        assert [row.condition for row in stored] == [REGULAR, CLOCK]


async def test_registers_of_the_repeated_hour_are_not_regular_and_replace_nothing(
    tmp_path: Path,
) -> None:
    async with in_december(tmp_path, tables=CHICAGO) as rig:
        for value in ("100", "104"):
            row = register(value, at="2026-11-01T01:30:00")
            await rig.take(data_arrived(read_data("m1", registers=row)))
        stored = await rig.values("m1", revisions=True)
        half = timedelta(minutes=30)
        assert ends(stored) == {
            SET_BACK - half: Decimal(100),
            SET_BACK + half: Decimal(104),
        }
        assert {row.condition for row in stored} == {CLOCK}


async def test_a_days_value_that_ends_at_a_midnight_that_comes_twice_is_not_regular(
    tmp_path: Path,
) -> None:
    havana = {"time": {"zone": "America/Havana"}}
    async with in_december(tmp_path, tables=havana) as rig:
        await rig.take(data_arrived(one(("2026-11-01T00:00:00", 7, False), 1_440)))
        (row,) = await rig.values("m1")
        assert (row.at, row.condition) == (datetime(2026, 11, 1, 4, tzinfo=UTC), CLOCK)


async def test_days_on_the_wall_end_at_midnight_on_both_sides_of_the_change(tmp_path: Path) -> None:
    async with in_december(tmp_path, tables=CHICAGO) as rig:
        part = read_data("m1", [1, 2, 3], end="2026-11-03T00:00:00")
        await rig.take(data_arrived(part.replace("Length>15<", "Length>1440<")))
        await rig.take(data_arrived(one(("2026-11-01T00:00:00", 1, False), 1_440)))
        stored = await rig.values("m1", revisions=True)
        assert ends(stored) == {
            datetime(2026, 11, 1, 5, tzinfo=UTC): Decimal(1),
            datetime(2026, 11, 2, 6, tzinfo=UTC): Decimal(2),
            datetime(2026, 11, 3, 6, tzinfo=UTC): Decimal(3),
        }


@pytest.mark.parametrize(
    ("zone", "at"),
    [
        ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
        ("Europe/Dublin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ],
)
async def test_it_is_so_in_every_zone(tmp_path: Path, zone: str, at: datetime) -> None:
    zoned = ZoneInfo(zone)
    before = (at - timedelta(seconds=1)).astimezone(zoned).utcoffset()
    rows = [
        (end.replace(tzinfo=None).isoformat(), number, end.utcoffset() == before)
        for number in range(-4, 9)
        for end in [(at + timedelta(minutes=15 * number)).astimezone(zoned)]
    ]
    async with in_december(tmp_path, tables={"time": {"zone": zone}}) as rig:
        await rig.take(data_arrived(*[one(row) for row in rows]))
        assert ends(await rig.values("m1", revisions=True)) == {
            at + timedelta(minutes=15 * number): Decimal(number) for _, number, _ in rows
        }


async def test_a_time_with_an_offset_is_one_time_whatever_its_flags(tmp_path: Path) -> None:
    async with in_december(tmp_path, tables=CHICAGO) as rig:
        for end, value in (("2026-11-01T01:30:00-05:00", 1), ("2026-11-01T01:30:00-06:00", 2)):
            await rig.take(data_arrived(one((end, value, False))))
        stored = await rig.values("m1")
        half = timedelta(minutes=30)
        assert ends(stored) == {SET_BACK - half: Decimal(1), SET_BACK + half: Decimal(2)}
        assert {row.condition for row in stored} == {REGULAR}


async def test_the_year_round_clock_of_a_device_class_has_no_such_hour(tmp_path: Path) -> None:
    tables = {"time": {"zone": "America/Chicago", "classes": {"ITR1": "standard"}}}
    async with in_december(tmp_path, tables=tables) as rig:
        await rig.take(data_arrived(one(("2026-11-01T01:30:00", 1, False))))
        (row,) = await rig.values("m1")
        assert (row.at, row.condition) == (SET_BACK + timedelta(minutes=30), REGULAR)


async def test_what_waits_for_its_device_is_told_apart_when_it_comes(tmp_path: Path) -> None:
    rows = [row for row in told(15) if row[0].startswith("2026-11-01T01")]
    async with in_december(tmp_path, tables=CHICAGO) as rig:
        parts = [one(row).replace(">m1<", ">later<") for row in rows]
        await rig.take(data_arrived(*parts))
        await rig.add(a_meter("later"))
        await rig.intake.reprocess()
        stored = await rig.values("later", revisions=True)
        assert [row.head_end_value for row in stored] == [value for _, value, _ in rows]
        assert len(set(ends(stored))) == 8
