"""A group interrogation over HTTP with everything that goes wrong: every meter ends as something,
and what is stored adds up to what the simulator's meters counted."""

import os
from decimal import Decimal
from pathlib import Path

import pytest

from adapter.demo.city import City, CityReport, read_city
from adapter.engine.clock import SystemClock
from adapter.errors import SettingsError
from adapter.simulator.energy import intervals
from adapter.simulator.meters import Population
from adapter.simulator.settings import SimulatorConfig
from adapter.store.commands.commands import SqliteStore
from adapter.store.readings.measurements import SqliteMeasurements


def adds_up(city: City, books: CityReport) -> None:
    assert books.differs == []
    assert books.agree
    ends = books.ends
    assert set(ends) <= {"succeeded", "failed", "missing"}
    assert sum(ends.values()) == books.compared == city.meters
    assert ends["failed"] == sum(books.reasons.values())
    assert 0 < ends["failed"] < 0.05 * city.meters
    assert 0 < ends["missing"] < 0.05 * city.meters
    assert books.doubled > 0
    assert books.late > 0
    assert books.stored_kwh == books.metered_kwh > 0


@pytest.mark.seconds(220)
async def test_every_meter_of_a_group_ends_as_read_failed_or_missing(tmp_path: Path) -> None:
    city = City(meters=400, quarters=12, window_s=15.0, timeout_s=90.0)
    said: list[str] = []
    books = await read_city(city, tmp_path, said.append)
    adds_up(city, books)
    assert any("meters imported" in line for line in said)
    await agrees_interval_by_interval(city, books, tmp_path)
    with pytest.raises(SettingsError):
        await read_city(city, tmp_path, said.append)


async def agrees_interval_by_interval(city: City, books: CityReport, folder: Path) -> None:
    """Beside the sums: each value stands at the time at which the meter counted it."""
    population = Population(plan=SimulatorConfig.load(folder / "city.toml").population)
    assert books.period is not None
    start, end = books.period
    store = SqliteStore(folder / "gateway.db", now=SystemClock().now)
    await store.open()
    try:
        data, checked = SqliteMeasurements(store.database), 0
        for esn in population:
            meter = population.find(esn)
            assert meter is not None
            stored = await data.values_between(start, end, endpoint=esn, revisions=True)
            counted = intervals(meter, "Wh d", start=start, end=end, seed=city.seed)
            expected = {row.end: Decimal(row.wh) for row in counted}
            assert len(stored) in (0, city.quarters)
            for item in stored:
                assert item.head_end_value == (0 if item.value is None else expected[item.at])
            checked += bool(stored)
        assert checked == books.ends["succeeded"]
    finally:
        await store.close()


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("meters", [10_000, int(os.environ.get("SOAK_METERS", "100000"))])
@pytest.mark.seconds(7100)
async def test_a_city_day_is_interrogated(tmp_path: Path, meters: int) -> None:
    city = City(meters=meters)
    adds_up(city, await read_city(city, tmp_path, print))
