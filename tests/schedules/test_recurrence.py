"""Pure: windows tile the day, also where clocks change; what a late request covers."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.schedules.recurrence import (
    Grid,
    Issue,
    Recurrence,
    Window,
    count_windows,
    due_at,
    ended,
    first_window,
    issue,
    window_after,
    window_at,
)

ZONES = (
    "UTC", "America/Chicago", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns",
    "Asia/Kathmandu", "Pacific/Apia", "America/Havana",
)  # fmt: skip
MINUTES = (15, 30, 60, 180, 240, 360, 480, 720, 1440)

grids = st.builds(
    Grid,
    first=st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    length=st.sampled_from(MINUTES).map(lambda minutes: timedelta(minutes=minutes)),
    zone=st.sampled_from(ZONES),
)
moments = st.datetimes(
    min_value=datetime(2011, 12, 1),  # noqa: DTZ001
    max_value=datetime(2030, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@settings(max_examples=60, deadline=None)
@given(grids, moments)
def test_every_moment_lies_in_exactly_one_window(grid: Grid, at: datetime) -> None:
    window = window_at(grid, at)
    assert window.start <= at < window.end
    assert window_at(grid, window.start) == window
    assert window_at(grid, window.end - timedelta(microseconds=1)) == window
    assert window_after(grid, window).start == window.end


@settings(max_examples=60, deadline=None)
@given(grids, moments)
def test_windows_have_neither_gap_nor_overlap(grid: Grid, at: datetime) -> None:
    window = window_at(grid, at)
    for _ in range(30):
        later = window_after(grid, window)
        assert window.start < window.end == later.start
        assert later.end - later.start <= grid.length + timedelta(hours=24)
        window = later


@settings(max_examples=60, deadline=None)
@given(grids, moments)
def test_away_from_changes_a_window_is_as_long_as_asked_for(grid: Grid, at: datetime) -> None:
    window = window_at(grid, at)
    zone = ZoneInfo(grid.zone)
    if window.start.astimezone(zone).utcoffset() == window.end.astimezone(zone).utcoffset():
        wall = window.start.astimezone(zone).replace(tzinfo=None)
        first = datetime.combine(wall.date(), grid.first)
        assert (wall - first) % grid.length == timedelta(seconds=0) or _near_change(window, zone)


def _near_change(window: Window, zone: ZoneInfo) -> bool:
    """The edges of an hour that is left out are moved to the change itself."""
    offsets = {
        (window.start + timedelta(hours=hours)).astimezone(zone).utcoffset()
        for hours in range(-25, 26)
    }
    return len(offsets) > 1


@pytest.mark.parametrize(
    ("day", "hours"), [((2026, 3, 8), 23), ((2026, 11, 1), 25), ((2026, 6, 1), 24)]
)
def test_a_days_window_is_as_long_as_the_day_is(day: tuple[int, int, int], hours: int) -> None:
    zone = ZoneInfo("America/Chicago")
    grid = Grid(first=time(0), length=timedelta(days=1), zone="America/Chicago")
    window = window_at(grid, datetime(*day, 12, tzinfo=zone).astimezone(UTC))
    assert window.end - window.start == timedelta(hours=hours)
    assert window.start == datetime(*day, tzinfo=zone).astimezone(UTC)


def test_a_quarter_of_an_hour_over_the_hour_that_is_left_out_is_not_lost() -> None:
    grid = Grid(first=time(0), length=timedelta(minutes=15), zone="America/Chicago")
    window = window_at(grid, datetime(2026, 3, 8, 7, 45, tzinfo=UTC))
    later = window_after(grid, window)
    assert window.end == datetime(2026, 3, 8, 8, 0, tzinfo=UTC)
    assert later.end == datetime(2026, 3, 8, 8, 15, tzinfo=UTC)


TWICE = Grid(first=time(8), length=timedelta(hours=12), zone="UTC")
HOURLY = Recurrence(grid=TWICE, buffer=timedelta(hours=1))


def at(hour: int, minute: int = 0, day: int = 1) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def issued(now: datetime, next_start: datetime, recurrence: Recurrence = HOURLY) -> Issue:
    found = issue(recurrence, next_start, now=now)
    assert found is not None
    return found


def test_a_request_leaves_the_buffer_before_its_window_ends() -> None:
    assert due_at(HOURLY, at(8)) == at(19)
    assert issue(HOURLY, at(8), now=at(18, 59)) is None
    made = issued(at(19), at(8))
    assert made.covers == Window(at(8), at(20))
    assert made.work_end - made.work_start == timedelta(hours=1)


@pytest.mark.parametrize(("minute", "left"), [((19, 30), 30), ((20, 0), 0), ((23, 0), 0)])
def test_the_buffer_shrinks_when_the_request_is_late(minute: tuple[int, int], left: int) -> None:
    made = issued(at(*minute), at(8))
    assert made.work_end - made.work_start == timedelta(minutes=left)
    assert made.covers == Window(at(8), at(20))


def test_what_was_missed_is_asked_for_with_the_next() -> None:
    made = issued(at(19, day=4), at(8))
    assert made.covers == Window(at(8), at(20, day=4))
    assert made.missed is None


def test_without_catch_up_only_the_newest_window_is_read_and_the_rest_is_told() -> None:
    exact = Recurrence(grid=TWICE, buffer=timedelta(hours=1), catch_up=False)
    made = issued(at(19, day=4), at(8), exact)
    assert made.covers == Window(at(8, day=4), at(20, day=4))
    assert made.missed == Window(at(8), at(8, day=4))


@pytest.mark.parametrize(
    ("hours", "covered"), [(1, 12), (12, 12), (23, 12), (24, 24), (36, 36), (83, 72), (84, 84)]
)
def test_a_bound_skips_whole_windows_and_never_the_newest(hours: int, covered: int) -> None:
    made = issue(HOURLY, at(8), now=at(19, day=4), longest=timedelta(hours=hours))
    assert made is not None
    start = at(20, day=4) - timedelta(hours=covered)
    assert made.covers == Window(start, at(20, day=4))
    assert made.missed == (None if covered == 84 else Window(at(8), start))


def test_windows_are_counted_over_changes_of_clocks() -> None:
    quarters = Grid(first=time(0), length=timedelta(minutes=15), zone="Europe/Berlin")
    for month, day, hours in ((3, 29, 23), (10, 25, 25), (6, 1, 24)):
        start = datetime(2026, month, day, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
        end = start + timedelta(hours=hours)
        assert count_windows(quarters, Window(start, end)) == 96
        assert count_windows(quarters, Window(start, start)) == 0


def test_a_schedule_begins_with_the_first_whole_window() -> None:
    assert first_window(HOURLY, at(8)).start == at(8)
    assert first_window(HOURLY, at(8, 1)).start == at(20)


def test_it_ends_by_count_or_by_date() -> None:
    by_count = Recurrence(grid=TWICE, count=3)
    assert not ended(by_count, issued=2, next_start=at(8))
    assert ended(by_count, issued=3, next_start=at(8))
    by_date = Recurrence(grid=TWICE, end=at(9, day=3))
    assert not ended(by_date, issued=9, next_start=at(8, day=3))
    assert ended(by_date, issued=0, next_start=at(20, day=3))


@settings(max_examples=60, deadline=None)
@given(
    grids,
    moments,
    st.lists(st.integers(0, 60 * 72), min_size=1, max_size=12),
    st.integers(0, 120),
    st.booleans(),
)
def test_however_late_the_monitor_is_nothing_is_read_twice_or_forgotten(
    grid: Grid, start: datetime, waits: list[int], buffer: int, catch_up: bool
) -> None:
    recurrence = Recurrence(grid=grid, buffer=timedelta(minutes=buffer), catch_up=catch_up)
    next_start = first_window(recurrence, start).start
    now = start
    for wait in waits:
        now += timedelta(minutes=wait)
        made = issue(recurrence, next_start, now=now)
        if made is None:
            assert now < due_at(recurrence, next_start)
            continue
        assert (made.missed.start if made.missed else made.covers.start) == next_start
        assert made.missed is None or made.missed.end == made.covers.start
        assert made.missed is None or not catch_up
        assert made.covers.start < made.covers.end
        assert window_at(grid, made.grid.start) == made.grid
        assert made.work_start == now <= made.work_end
        assert made.work_end - now <= timedelta(hours=48)
        assert issue(recurrence, made.covers.end, now=now) is None
        next_start = made.covers.end
