"""What is counted by device and day is what is seen, whatever came, in whatever order."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapter.engine.readings.completeness import MeterDay
from adapter.model.ids import DeviceId, EndpointId
from adapter.readings.days import bounds_of, day_of
from adapter.store.connection import SqlConnection
from adapter.store.readings.completeness import SqliteCompleteness
from adapter.store.readings.device_days import count_days
from tests.export.filled_store import MIDNIGHT, Loader, a_store, esn, intervals, register
from tests.support import every_case, for_every

FIRST, LAST = date(2026, 2, 20), date(2026, 3, 20)
BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)
Sums = tuple[int, int, int, int]


async def counted(
    loader: Loader, number: int, *, zone: tzinfo = UTC, most: int = 7
) -> dict[date, MeterDay]:
    """The days of M<number>, after everything was counted in small pieces."""
    store = SqliteCompleteness(loader.store.database, zone)
    for _ in range(10_000):
        if not await store.count_days(most=most):
            break
    assert await store.uncounted() == 0
    found = await store.meter_days(DeviceId(f"M{number}"), FIRST, LAST)
    return {each.day: each for each in found}


def sums(days: dict[date, MeterDay]) -> dict[date, Sums]:
    return {
        day: (each.expected, each.intervals, each.registers, each.doubtful)
        for day, each in days.items()
    }


async def looked_up(loader: Loader, number: int, *, zone: tzinfo = UTC) -> dict[date, Sums]:
    """The same from the values that are seen."""
    start, end = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    values = await loader.data.values_between(
        start, end, endpoint=EndpointId(esn(number)), limit=100_000
    )
    expected: dict[date, int] = {}
    found: dict[date, Counter[str]] = {}
    for each in values:
        day = day_of(each.at, zone)
        counts = found.setdefault(day, Counter())
        begins, ends = bounds_of(day, zone)
        if each.kind == "interval":
            expected[day] = int((ends - begins).total_seconds()) // each.seconds
        if each.value is not None and each.condition > 201_000:
            counts[each.kind] += 1
            counts["doubtful"] += each.condition < 500_000
    return {
        day: (expected.get(day, 0), each["interval"], each["register"], each["doubtful"])
        for day, each in found.items()
    }


async def load_some(loader: Loader, chance: random.Random) -> None:
    """A few values of some time in March, some of them in doubt, missing or for the second time."""
    seeds = []
    for number in {chance.randint(1, 3) for _ in range(3)}:
        start = MIDNIGHT + timedelta(minutes=15 * chance.randint(0, 400))
        texts = [str(chance.randint(1, 3)) for _ in range(chance.choice([1, 4, 96, 150]))]
        words: dict[int, tuple[str, ...]] = {
            chance.randrange(len(texts)): (chance.choice(["PowerFailure", "SkippedInterval"]),)
            for _ in range(2)
        }
        seeds.append(intervals(number, texts, start=start, statuses=words))
        if chance.random() < 0.3:
            seeds.append(register(number, texts[0], at=start))
    loading = await loader.begin(*seeds)
    if chance.random() < 0.2:
        await loading.refuse()
        await loader.data.sweep(limit=chance.choice([3, 1_000]))
    else:
        await loading.end()


@pytest.mark.parametrize("zone", [UTC, BERLIN, ZoneInfo("America/Chicago")], ids=str)
async def test_counts_are_those_of_the_values_that_are_seen(on_disk: Path, zone: tzinfo) -> None:
    with every_case() as case:
        for seed in range(6):
            chance = random.Random(seed)
            async with a_store(on_disk / f"{seed}.db") as loader:
                store = SqliteCompleteness(loader.store.database, zone)
                for _ in range(8):
                    await load_some(loader, chance)
                    await store.count_days(most=chance.choice([1, 3, 50]))
                for number in (1, 2, 3):
                    with case((seed, number)):
                        days = sums(await counted(loader, number, zone=zone))
                        assert days == await looked_up(loader, number, zone=zone)


@for_every(
    "day, hours", [(date(2026, 3, 28), 24), (date(2026, 3, 29), 23), (date(2026, 10, 25), 25)]
)
def test_a_day_is_as_long_as_it_is_on_the_wall(day: date, hours: int) -> None:
    start, end = bounds_of(day, BERLIN)
    assert end - start == timedelta(hours=hours)
    assert day_of(end, BERLIN) == day
    assert day_of(start + timedelta(microseconds=1), BERLIN) == day
    assert day_of(start, BERLIN) == day - DAY


async def test_a_day_of_23_hours_is_whole_with_92_quarters(on_disk: Path) -> None:
    start, _ = bounds_of(date(2026, 3, 10), BERLIN)
    async with a_store(on_disk / "gateway.db") as loader:
        await loader.load(intervals(1, ["1"] * 96, start=start))
        (day,) = (await counted(loader, 1, zone=BERLIN)).values()
        assert (day.day, day.intervals, day.expected) == (date(2026, 3, 10), 96, 96)


async def test_it_says_when_the_last_value_of_a_day_came_first(on_disk: Path) -> None:
    async with a_store(on_disk / "gateway.db") as loader:
        await loader.load(intervals(1, ["1"] * 95))
        late = loader.clock.time = MIDNIGHT + 3 * DAY
        await loader.load(intervals(1, ["1"] * 96))
        loader.clock.time = MIDNIGHT + 5 * DAY
        await loader.load(intervals(1, ["2"] * 96))
        (day,) = (await counted(loader, 1)).values()
        assert (day.intervals, day.arrived) == (96, late)


async def test_days_of_another_zone_are_counted_anew(on_disk: Path) -> None:
    async with a_store(on_disk / "gateway.db") as loader:
        await loader.load(intervals(1, ["1"] * 192))
        assert sums(await counted(loader, 1)) == await looked_up(loader, 1)
        berlin = sums(await counted(loader, 1, zone=BERLIN, most=2))
        assert berlin == await looked_up(loader, 1, zone=BERLIN)
        assert len(berlin) == 3


async def test_a_load_of_which_a_restored_file_does_not_know_is_not_counted(
    on_disk: Path,
) -> None:
    async with a_store(on_disk / "gateway.db") as loader:
        await loader.load(intervals(1, ["1"] * 96))
        before = sums(await counted(loader, 1))
        await loader.load(intervals(1, ["1"] * 96, start=MIDNIGHT + DAY), intervals(2, ["7"]))
        assert len(await counted(loader, 1)) == 2
        # As an older gateway's file has it.
        await loader.store.database.write(
            lambda tx: tx.connection.execute("DELETE FROM load WHERE id = 2")
        )
        assert sums(await counted(loader, 1)) == before
        store = SqliteCompleteness(loader.store.database, UTC)
        last = await store.last_contact(DeviceId("M1"))
        assert last is not None
        assert last.last_at == MIDNIGHT + DAY
        assert await store.last_contact(DeviceId("M2")) is None


async def test_a_load_that_takes_the_number_of_a_forgotten_one_counts_what_it_has(
    on_disk: Path,
) -> None:
    async with a_store(on_disk / "gateway.db") as loader:
        await loader.load(intervals(1, ["1"] * 96))
        await loader.load(intervals(1, ["1"] * 50, start=MIDNIGHT + DAY))
        await counted(loader, 1)

        def forget(db: SqlConnection) -> None:
            db.execute("DELETE FROM load WHERE id = 2")
            db.execute("UPDATE sqlite_sequence SET seq = 1 WHERE name = 'load'")

        await loader.store.database.write(lambda tx: forget(tx.connection))
        await loader.load(intervals(1, ["3"] * 20, start=MIDNIGHT + 2 * DAY))
        days = sums(await counted(loader, 1))
        assert days == await looked_up(loader, 1)
        assert sorted(days) == [date(2026, 3, 2), date(2026, 3, 4)]


async def test_a_piece_is_small_however_large_a_load(on_disk: Path) -> None:
    async with a_store(on_disk / "gateway.db") as loader:
        await loader.load(*(intervals(number, ["1"] * 960) for number in (1, 2, 3)))
        steps = []
        for _ in range(100):
            steps.append(
                await loader.store.database.measure(lambda tx: count_days(tx.connection, UTC, 4))
            )
            if not steps[-1]:
                break
        assert max(steps) <= 4
        assert sum(steps[1:]) == 30


async def test_a_time_at_the_end_of_the_calendar_holds_nothing_up(on_disk: Path) -> None:
    async with a_store(on_disk / "gateway.db") as loader:
        await loader.load(intervals(1, ["1"] * 96), intervals(2, ["1"] * 4))
        for at in (-(2**62), 2**62, 253_402_300_800_000_000):
            await loader.store.database.measure(
                lambda tx, at=at: tx.connection.execute(  # type: ignore[misc]
                    "INSERT INTO measured SELECT 1, ?, load, 9, '1', '1', 501000, '', conversion"
                    " FROM measured LIMIT 1",
                    (at,),
                )
            )
        assert sums(await counted(loader, 1)) == {date(2026, 3, 2): (96, 96, 0, 0)}
        assert len(await counted(loader, 2)) == 1
