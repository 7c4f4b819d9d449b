"""What meters count: functions of seed, meter and time that never contradict each other."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.commands.calls import SwitchState
from adapter.model.ids import EndpointId
from adapter.model.values import replace
from adapter.simulator.energy import DELIVERED, INTERVAL, RECEIVED, intervals, total_wh
from adapter.simulator.meters import EPOCH, Meter, Population, PopulationPlan, moved
from tests.simulator.running_simulator import NOON, ONE

SEED = 7
DAY = timedelta(days=1)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis wants bounds without a zone
quantities = st.sampled_from([DELIVERED, RECEIVED])


def a_meter(number: int = 1) -> Meter:
    population = Population(plan=PopulationPlan(count=100_000))
    found = population.find(EndpointId(f"{population.plan.esn_prefix}{700_000 + number}"))
    assert found is not None
    return found


@given(st.integers(1, 100_000), quantities, moments, st.integers(0, 200_000))
def test_a_register_never_falls(number: int, quantity: str, at: datetime, later: int) -> None:
    meter = a_meter(number)
    before = total_wh(meter, quantity, at, seed=SEED)
    after = total_wh(meter, quantity, at + timedelta(seconds=later), seed=SEED)
    assert 0 <= before <= after


@given(st.integers(1, 100_000), quantities, moments, st.integers(1, 300))
def test_intervals_add_up_to_what_the_register_counted(
    number: int, quantity: str, at: datetime, quarters: int
) -> None:
    meter = a_meter(number)
    start = datetime.fromtimestamp(int(at.timestamp()) // 900 * 900, UTC)
    end = start + quarters * INTERVAL
    found = list(intervals(meter, quantity, start=start, end=end, seed=SEED))
    assert [row.end for row in found] == [start + n * INTERVAL for n in range(1, quarters + 1)]
    assert all(row.wh >= 0 for row in found)
    assert sum(row.wh for row in found) == (
        total_wh(meter, quantity, end, seed=SEED) - total_wh(meter, quantity, start, seed=SEED)
    )


@given(moments, moments, st.integers(60, 90_000))
def test_intervals_and_register_agree_across_outages_and_open_switches(
    first: datetime, second: datetime, seconds: int
) -> None:
    periods = tuple((at, at + timedelta(seconds=seconds)) for at in (first, second))
    start = min(first, second).replace(minute=0, second=0, microsecond=0) - INTERVAL
    end = start + 3 * DAY
    meter = replace(a_meter(), off=periods[:1], outages=periods)
    found = list(intervals(meter, DELIVERED, start=start, end=end, seed=SEED))
    assert all(row.wh >= 0 for row in found)
    assert sum(row.wh for row in found) == (
        total_wh(meter, DELIVERED, end, seed=SEED) - total_wh(meter, DELIVERED, start, seed=SEED)
    )


def test_a_day_is_dark_hours_low_and_an_evening_peak() -> None:
    rows = list(intervals(a_meter(), DELIVERED, start=NOON - DAY, end=NOON, seed=SEED))
    by_hour: dict[int, int] = {}
    for row in rows:
        hour = (row.end - INTERVAL).hour
        by_hour[hour] = by_hour.get(hour, 0) + row.wh
    assert min(by_hour, key=by_hour.__getitem__) in (1, 2, 3, 4, 5)
    assert max(by_hour, key=by_hour.__getitem__) in (17, 18, 19, 20, 21)
    assert 3_000 < sum(by_hour.values()) < 50_000


def test_other_seeds_and_other_meters_count_otherwise_and_the_same_ones_the_same() -> None:
    def day(meter: Meter, seed: int) -> list[int]:
        return [r.wh for r in intervals(meter, DELIVERED, start=NOON - DAY, end=NOON, seed=seed)]

    assert day(a_meter(), SEED) == day(a_meter(), SEED)
    assert day(a_meter(), SEED) != day(a_meter(), SEED + 1)
    assert day(a_meter(), SEED) != day(a_meter(2), SEED)


def test_an_open_switch_counts_nothing_and_a_closed_one_goes_on() -> None:
    opened = moved(a_meter(), SwitchState.DISCONNECTED, now=NOON)
    armed = moved(opened, SwitchState.ARMED, now=NOON + DAY)
    closed = moved(armed, SwitchState.CONNECTED, now=NOON + 2 * DAY)

    def at(meter: Meter, moment: datetime) -> int:
        return total_wh(meter, DELIVERED, moment, seed=SEED)

    assert at(opened, NOON) == at(armed, NOON + DAY) == at(closed, NOON + 2 * DAY)
    assert at(closed, NOON + 3 * DAY) > at(closed, NOON + 2 * DAY)


def test_an_outage_shows_in_the_statuses_of_the_intervals_it_touches() -> None:
    dark = (NOON + timedelta(minutes=5), NOON + timedelta(minutes=40))
    meter = replace(a_meter(), outages=(dark,))
    rows = list(
        intervals(meter, DELIVERED, start=NOON - INTERVAL, end=NOON + 4 * INTERVAL, seed=SEED)
    )
    assert [row.statuses for row in rows] == [
        (),
        ("PartialInterval", "PowerFailure"),
        ("PowerFailure",),
        ("PartialInterval", "PowerFailure"),
        (),
    ]
    assert rows[2].wh == 0
    assert rows[1].wh > 0


def test_a_meter_that_was_born_disconnected_has_counted_nothing() -> None:
    population = Population(plan=PopulationPlan(disconnected_share=1.0))
    meter = population.find(EndpointId(ONE))
    assert meter is not None
    assert (meter.switch, meter.switch_changed_at) == (SwitchState.DISCONNECTED, EPOCH)
    assert total_wh(meter, DELIVERED, NOON, seed=SEED) == 0


@pytest.mark.parametrize("moment", [EPOCH, EPOCH - DAY])
def test_nothing_was_counted_before_the_epoch(moment: datetime) -> None:
    assert total_wh(a_meter(), DELIVERED, moment, seed=SEED) == 0
    assert all(
        row.wh == 0
        for row in intervals(a_meter(), DELIVERED, start=moment - DAY, end=moment, seed=SEED)
    )


# ---------------------------------------------------------------- the clock on the wall

ZONES = ("Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia")
zones = st.sampled_from(ZONES)


def local_rows(zone: str, day: datetime) -> list[int]:
    """Watt-hours of each quarter hour of one day of the zone."""
    meter = replace(a_meter(), zone=zone)
    start, end = (at.astimezone(UTC) for at in (day, day + DAY))
    return [row.wh for row in intervals(meter, DELIVERED, start=start, end=end, seed=SEED)]


@given(zones, quantities, moments, st.integers(1, 300))
def test_intervals_and_register_agree_in_every_zone(
    zone: str, quantity: str, at: datetime, quarters: int
) -> None:
    meter = replace(a_meter(), zone=zone)
    start = datetime.fromtimestamp(int(at.timestamp()) // 900 * 900, UTC)
    end = start + quarters * INTERVAL
    found = list(intervals(meter, quantity, start=start, end=end, seed=SEED))
    assert [row.end for row in found] == [start + n * INTERVAL for n in range(1, quarters + 1)]
    assert all(row.wh >= 0 for row in found)
    assert sum(row.wh for row in found) == (
        total_wh(meter, quantity, end, seed=SEED) - total_wh(meter, quantity, start, seed=SEED)
    )


@given(zones, quantities, moments, st.integers(0, 200_000))
def test_a_register_never_falls_in_any_zone(
    zone: str, quantity: str, at: datetime, later: int
) -> None:
    meter = replace(a_meter(), zone=zone)
    before = total_wh(meter, quantity, at, seed=SEED)
    assert 0 <= before <= total_wh(meter, quantity, at + timedelta(seconds=later), seed=SEED)


@pytest.mark.parametrize("date", [datetime(2026, 1, 15), datetime(2026, 7, 15)])  # noqa: DTZ001
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kathmandu"])
def test_the_evening_peak_is_in_the_evening_of_the_meter(zone: str, date: datetime) -> None:
    wh = local_rows(zone, date.replace(tzinfo=ZoneInfo(zone)))
    hours = [sum(wh[first : first + 4]) for first in range(0, 96, 4)]
    assert max(range(24), key=hours.__getitem__) in (17, 18, 19, 20, 21)
    assert min(range(24), key=hours.__getitem__) in (1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("date", "quarters"),
    [
        (datetime(2026, 3, 28), 96),  # noqa: DTZ001
        (datetime(2026, 3, 29), 92),  # noqa: DTZ001
        (datetime(2026, 10, 25), 100),  # noqa: DTZ001
        (datetime(2028, 2, 29), 96),  # noqa: DTZ001
    ],
)
def test_days_on_which_the_clock_is_set_are_shorter_or_longer_and_keep_their_shape(
    date: datetime, quarters: int
) -> None:
    midnight = date.replace(tzinfo=ZoneInfo("Europe/Berlin"))
    wh = local_rows("Europe/Berlin", midnight)
    assert len(wh) == quarters
    assert 3_000 < sum(wh) < 50_000
    highest = max(range(quarters - 3), key=lambda slot: sum(wh[slot : slot + 4]))
    peak = midnight.astimezone(UTC) + INTERVAL * highest
    assert peak.astimezone(ZoneInfo("Europe/Berlin")).hour in (16, 17, 18, 19, 20, 21)
