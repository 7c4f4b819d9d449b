"""The month of a meter: what is missing, what is only in part there, what happened over it."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo

from adapter.readings.conditions import MISSING, OUTAGE
from adapter.readings.days import bounds_of
from adapter.web.console.meter_month import (
    HEIGHT,
    LEFT,
    TOP,
    WIDTH,
    DrawnInterval,
    Happening,
    MonthPicture,
    days_of,
    month_of,
)

MARCH = days_of(date(2026, 3, 1))
BERLIN = ZoneInfo("Europe/Berlin")
LONG_AFTER = datetime(2026, 5, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def quarters(day: date, zone: tzinfo, *, without: Iterable[int] = ()) -> list[DrawnInterval]:
    start, end = bounds_of(day, zone)
    left_out = set(without)
    return [
        DrawnInterval(at=start + QUARTER * (n + 1), value=Decimal(n % 5), condition=501_000)
        for n in range((end - start) // QUARTER)
        if n not in left_out
    ]


def drawn(
    intervals: Iterable[DrawnInterval],
    *,
    zone: tzinfo = UTC,
    now: datetime = LONG_AFTER,
    outages: Iterable[Happening] = (),
    events: Iterable[Happening] = (),
) -> MonthPicture:
    return month_of(
        MARCH, intervals, seconds=900, zone=zone, now=now, outages=outages, events=events
    )


def test_a_whole_month_misses_nothing_whatever_the_clocks_do() -> None:
    for zone, hours in ((UTC, 744), (BERLIN, 743)):
        made = drawn([each for day in MARCH for each in quarters(day, zone)], zone=zone)
        assert (made.expected, made.found) == (4 * hours, 4 * hours)
        assert len(made.hours) == hours
        assert not [each for each in made.hours if "missing" in each.shade]


def test_what_is_missing_looks_otherwise_than_what_is_little() -> None:
    made = drawn(quarters(MARCH[0], UTC, without=(4, 5, 6, 7, 9)))
    first = {(each.x - LEFT) // WIDTH: each for each in made.hours if each.y == TOP}
    assert first[1].shade == "missing"
    assert first[2].shade.endswith(" partial")
    assert first[2].told.endswith("3 of 4 intervals")
    assert "partial" not in first[0].shade
    assert made.days[0].missing == 5
    assert made.days[1].missing == 96


def test_a_value_that_the_head_end_calls_missing_is_missing() -> None:
    start, _ = bounds_of(MARCH[0], UTC)
    made = drawn(
        [
            DrawnInterval(at=start + QUARTER, value=Decimal(1), condition=MISSING),
            DrawnInterval(at=start + 2 * QUARTER, value=None, condition=501_000),
            DrawnInterval(at=start + 3 * QUARTER, value=Decimal(1), condition=OUTAGE),
        ]
    )
    assert (made.days[0].found, made.days[0].doubtful) == (1, 1)


def test_what_has_not_come_on_the_running_day_is_not_missing_yet() -> None:
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    made = drawn([*quarters(MARCH[0], UTC), *quarters(MARCH[1], UTC)[:8]], now=now)
    assert (made.days[1].expected, made.days[1].found) == (8, 8)
    assert made.days[2].expected == 0
    assert made.expected == made.found == 104


def test_an_outage_lies_over_each_of_its_days_until_it_ends_or_now() -> None:
    start = datetime(2026, 3, 2, 18, tzinfo=UTC)
    over = Happening(at=start, until=start + timedelta(hours=36), what="outage")
    lasting = Happening(at=datetime(2026, 3, 30, 12, tzinfo=UTC), what="outage")
    now = datetime(2026, 3, 31, 6, tzinfo=UTC)
    made = drawn((), outages=(over, lasting), now=now)
    bars = [((each.y - TOP) // HEIGHT, each.x, each.width) for each in made.outages]
    assert bars == [
        (1, LEFT + WIDTH * 18, WIDTH * 6),
        (2, LEFT, WIDTH * 24),
        (3, LEFT, WIDTH * 6),
        (29, LEFT + WIDTH * 12, WIDTH * 12),
        (30, LEFT, WIDTH * 6),
    ]


def test_an_event_stands_where_the_clock_on_the_wall_had_it() -> None:
    at = datetime(2026, 3, 29, 22, 30, tzinfo=UTC)  # half past midnight in Berlin
    (mark,) = drawn((), events=(Happening(at=at, what="e"),), zone=BERLIN).events
    assert (mark.x, mark.y) == (LEFT + WIDTH / 2, TOP + HEIGHT * 29.5)
    assert not drawn((), events=(Happening(at=LONG_AFTER, what="e"),)).events
