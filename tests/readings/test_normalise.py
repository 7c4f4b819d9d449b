"""Seeds to measurements: exact values, times and conditions."""

import tracemalloc
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from adapter.commands.calls import ReadingKind
from adapter.model.measurement import REGULAR
from adapter.model.values import replace
from adapter.readings.blocks import gaps
from adapter.readings.conditions import CONDITIONS, DAYLIGHT, MISSING, PARTIAL, SUSPECT
from adapter.readings.lookups import Lookups, Quantity, Shift, standard, with_quantities
from adapter.readings.normalise import awaited, moment_of, normalise, seed_of
from adapter.readings.seeds import Normal, RejectedSeed, Seed, Unmapped
from tests.support import for_every

CHICAGO = ZoneInfo("America/Chicago")
USUAL = Lookups()


def intervals(*texts: str, at: str = "2024-05-01T00:30:00Z", **rest: object) -> Seed:
    return replace(
        Seed(
            identifier="e", kind=ReadingKind.INTERVAL, quantity="Wh d", at=at, minutes=15,
            texts=texts,
        ),
        **rest,  # type: ignore[arg-type]
    )  # fmt: skip


def register(text: str, at: str = "2024-05-02T00:00:00Z") -> Seed:
    return Seed(
        identifier="e", kind=ReadingKind.REGISTER, quantity="Wh d", at=at, texts=(text,),
        source="CurrentRegister",
    )  # fmt: skip


def normal(seed: Seed, lookups: Lookups = USUAL) -> Normal:
    found = normalise(seed, lookups)
    assert isinstance(found, Normal), found
    return found


def refused(seed: Seed, lookups: Lookups = USUAL) -> RejectedSeed:
    found = normalise(seed, lookups)
    assert isinstance(found, RejectedSeed), found
    return found


def ends(found: Normal) -> list[str]:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return [(epoch + timedelta(microseconds=row[0])).isoformat() for row in found.rows]


def test_intervals_end_with_the_last_and_become_the_unit_of_their_quantity() -> None:
    found = normal(intervals("125", "98.5"))
    assert ends(found) == ["2024-05-01T00:15:00+00:00", "2024-05-01T00:30:00+00:00"]
    assert [row[1] for row in found.rows] == ["0.125", "0.0985"]
    assert [row[2] for row in found.rows] == ["125", "98.5"]
    assert (found.unit, found.sqi, found.seconds) == ("kWh", "delivered", 900)
    assert found.conversion == "Wh d x 0.001 = kWh"


@for_every("status", sorted(CONDITIONS))
def test_every_status_has_a_condition_of_six_digits(status: str) -> None:
    found = normal(intervals("1", "2", statuses={1: (status,)}))
    assert found.rows[0][3] == REGULAR
    assert found.rows[1][3] == CONDITIONS[status]
    assert 100_000 <= found.rows[1][3] <= 999_999
    assert found.rows[1][4] == status


def test_of_several_statuses_the_worst_decides_and_all_are_kept() -> None:
    words = ("PartialInterval", "PowerFailure", "Tamper")
    row = normal(intervals("98.5", statuses={0: words})).rows[0]
    assert (row[1], row[3], row[4]) == ("0.0985", SUSPECT, "PartialInterval,PowerFailure,Tamper")


def test_an_interval_that_was_not_recorded_has_no_value_and_keeps_what_was_told() -> None:
    row = normal(intervals("0", statuses={0: ("SkippedInterval",)})).rows[0]
    assert row[1:4] == (None, "0", MISSING)


def test_a_partial_interval_keeps_its_value() -> None:
    row = normal(intervals("7", statuses={0: ("PartialInterval",)})).rows[0]
    assert row[1:4] == ("0.007", "7", PARTIAL)


def test_a_status_nobody_knew_makes_the_value_suspect() -> None:
    assert normal(intervals("7", statuses={0: ("SolarFlare",)})).rows[0][3] == SUSPECT


def test_what_is_delivered_is_not_regular_below_zero_and_what_goes_either_way_is() -> None:
    for quantity, condition in (
        ("Wh d", SUSPECT), ("VAh d", SUSPECT), ("max W d", SUSPECT), ("Wh r", REGULAR),
        ("Wh net", REGULAR), ("varh r", REGULAR),
    ):  # fmt: skip
        found = normal(replace(intervals("5", "-3", "-0", ""), quantity=quantity))
        assert [row[3] for row in found.rows] == [REGULAR, condition, REGULAR]
        assert [row[2] for row in found.rows] == ["5", "-3", "-0"]
        found = normal(replace(register("-1e-3"), quantity=quantity))
        assert [row[3] for row in found.rows] == [condition]
    worse = normal(intervals("-3", statuses={0: ("SkippedInterval",)}))
    assert worse.rows[0][3] == MISSING


def test_conditions_are_configuration() -> None:
    lookups = replace(USUAL, conditions={"Tamper": 123456})
    assert normal(intervals("7", statuses={0: ("Tamper",)}), lookups).rows[0][3] == 123456


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1234567", "1234.567"),
        ("+5", "0.005"),
        ("-0", "0"),
        ("-3", "-0.003"),
        (".5", "0.0005"),
        ("5.", "0.005"),
        ("1.25E3", "1.25"),
        ("1e-3", "0.000001"),
        ("18446744073709551615", "18446744073709551.615"),
        ("0.1234567890123456789", "0.0001234567890123456789"),
    ],
)
def test_numbers_are_exact_however_they_are_written(text: str, value: str) -> None:
    assert normal(register(text)).rows[0][1] == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NaN",
        "INF",
        "-INF",
        "1" * 30,
        "1" * 40,
        "1" * 60,
        "0." + "1" * 29,
        "1e29",
        "1." + "1" * 40,
        "1e-29",
        "true",
        "2024-05-01T00:00:00Z",
        "1e99",
        "1_0",
        "0x1",
        "٣",
    ],
)
def test_what_is_no_number_is_an_error_record_and_no_measurement(text: str) -> None:
    assert refused(register(text)).why is Unmapped.NUMBER


def test_numbers_have_the_digits_of_a_decimal_of_the_contract_and_are_written_out() -> None:
    """The head end's own is as it came, but without an exponent, which an export does not have."""
    for text, told in (
        ("9" * 29, "9" * 29), ("0." + "3" * 28, "0." + "3" * 28), ("1e28", "1" + "0" * 28),
        ("1.50", "1.50"), ("4.9e-7", "0.00000049"), ("+5", "5"), (".5", "0.5"),
        ("1" + "0" * 28 + "." + "0" * 40, "1" + "0" * 28 + "." + "0" * 40),
    ):  # fmt: skip
        assert normal(register(text)).rows[0][2] == told


def test_raw_values_are_multiplied_and_scaled_ones_are_not() -> None:
    raw = intervals("3", "4", pulse="0.6", scaled=False)
    found = normal(raw)
    assert [row[1:3] for row in found.rows] == [("0.0018", "1.8"), ("0.0024", "2.4")]
    assert found.conversion == "Wh d x 0.001 = kWh; pulses x 0.6"
    assert normal(replace(raw, scaled=True)).rows[0][1] == "0.003"


@for_every(
    "pulse",
    [
        "NaN",
        "x",
        "1e30",
        "INF",
        "",
        " ",
        "0",
        "0.000",
        "-0",
        "0e9",
        "-1",
        "-0.025",
        "1_0",
        "٣",
        "1,5",
    ],
)
def test_a_pulse_multiplier_that_is_none_is_refused_where_it_counts(pulse: str) -> None:
    bad = refused(intervals("3", "4", pulse=pulse, scaled=False))
    assert (bad.why, bad.seed.texts, bad.seed.pulse) == (Unmapped.PULSE, ("3", "4"), pulse)
    assert normal(intervals("3", pulse=pulse)).rows[0][1] == "0.003"


# ---------------------------------------------------------------- times


def test_the_spring_day_has_92_quarter_hours_and_none_falls_into_the_gap() -> None:
    lookups = replace(USUAL, zone=CHICAGO)
    found = normal(intervals(*["1"] * 92, at="2024-03-11T00:00:00"), lookups)
    assert found.rows[-1][0] - found.start == 23 * 3_600_000_000
    assert ends(found)[0] == "2024-03-10T06:15:00+00:00"
    assert ends(found)[-1] == "2024-03-11T05:00:00+00:00"


def test_the_autumn_day_has_100_quarter_hours_all_at_different_times() -> None:
    lookups = replace(USUAL, zone=CHICAGO)
    found = normal(intervals(*["1"] * 100, at="2024-11-04T00:00:00"), lookups)
    assert ends(found)[0] == "2024-11-03T05:15:00+00:00"
    assert len(set(ends(found))) == 100


def test_an_hour_that_comes_twice_is_read_as_the_first_one() -> None:
    lookups = replace(USUAL, zone=CHICAGO)
    found = normal(register("1", at="2024-11-03T01:30:00"), lookups)
    assert ends(found) == ["2024-11-03T06:30:00+00:00"]


@pytest.mark.parametrize("minutes", [1_440, 2_880])
@pytest.mark.parametrize("at", ["2024-11-05T00:00:00", "2024-03-12T06:00:00"])
def test_days_on_the_wall_are_as_long_as_they_are(at: str, minutes: int) -> None:
    lookups = replace(USUAL, zone=CHICAGO)
    found = normal(intervals("1", "2", "", "4", at=at, minutes=minutes), lookups)
    last = datetime.fromisoformat(at)
    walls = [last - timedelta(minutes=minutes * ago) for ago in (3, 2, 0)]
    assert ends(found) == [
        wall.replace(tzinfo=CHICAGO).astimezone(UTC).isoformat() for wall in walls
    ]
    again = seed_of(found)
    assert again.texts == ("1", "2", "", "4")
    assert normal(again, lookups).rows == found.rows


def test_days_of_a_time_with_an_offset_have_24_hours() -> None:
    lookups = replace(USUAL, zone=CHICAGO)
    found = normal(intervals("1", "2", at="2024-11-04T00:00:00-06:00", minutes=1_440), lookups)
    assert found.rows[1][0] - found.rows[0][0] == 86_400_000_000


def test_standard_time_the_whole_year_where_the_device_class_writes_it() -> None:
    lookups = replace(USUAL, zone=CHICAGO, class_shifts={"S": Shift.STANDARD})
    summer = register("1", at="2024-07-01T00:00:00")
    assert ends(normal(summer, lookups)) == ["2024-07-01T05:00:00+00:00"]
    assert ends(normal(replace(summer, device_class="S"), lookups)) == ["2024-07-01T06:00:00+00:00"]
    assert standard(ZoneInfo("Australia/Sydney")).utcoffset(None) == timedelta(hours=10)


def test_leap_day() -> None:
    found = normal(intervals("1", "2", at="2024-02-29T00:15:00Z"))
    assert ends(found) == ["2024-02-29T00:00:00+00:00", "2024-02-29T00:15:00+00:00"]
    assert refused(register("1", at="2023-02-29T00:00:00Z")).why is Unmapped.TIME


def test_seven_digit_fractions_are_cut_to_microseconds() -> None:
    found = normal(register("1", at="2024-05-01T12:00:00.1234567Z"))
    assert ends(found) == ["2024-05-01T12:00:00.123456+00:00"]


def test_a_time_with_an_offset_ignores_the_head_ends_zone() -> None:
    found = normal(register("1", at="2024-05-01T12:00:00-07:00"), replace(USUAL, zone=CHICAGO))
    assert ends(found) == ["2024-05-01T19:00:00+00:00"]
    assert "offset" not in found.conversion


def test_a_time_without_an_offset_says_in_which_zone_it_was_read() -> None:
    found = normal(register("1", at="2024-05-01T12:00:00"), replace(USUAL, zone=CHICAGO))
    assert found.conversion.endswith("time without offset read in America/Chicago")


@for_every("at", ["02:00:00", "02:15:00", "02:30:00", "02:59:59.9999999"])
def test_a_time_that_the_clock_skips_is_an_error_record_and_no_other_time(at: str) -> None:
    """Else it is one moment with a time that is there, and replaces that one's value."""
    lookups = replace(USUAL, zone=CHICAGO)
    text = f"2024-03-10T{at}"
    why = f"{text} does not exist in America/Chicago: the clock is set forward"
    for seed in (register("1", at=text), intervals("1", at=text), intervals("1", "2", at=text)):
        assert (refused(seed, lookups).why, refused(seed, lookups).detail) == (Unmapped.TIME, why)
        standard_time = replace(lookups, shift=Shift.STANDARD)
        assert normal(seed, standard_time).conversion.endswith("UTC-06:00")
    assert moment_of(text, CHICAGO) is None
    assert ends(normal(register("1", at="2024-03-10T03:00:00"), lookups)) == [
        "2024-03-10T08:00:00+00:00"
    ]


def test_a_day_that_ends_as_the_clock_is_set_forward_ends_then() -> None:
    """In Santiago midnight is the hour that does not exist: the day before still ends."""
    lookups = replace(USUAL, zone=ZoneInfo("America/Santiago"))
    days = intervals("1", "2", at="2024-09-08T00:00:00", minutes=1_440)
    assert ends(normal(days, lookups)) == ["2024-09-07T04:00:00+00:00", "2024-09-08T04:00:00+00:00"]
    for at in ("2024-09-08T00:15:00", "2024-09-08T00:00:00"):
        assert refused(intervals("1", at=at), lookups).why is Unmapped.TIME
    assert refused(replace(days, at="2024-09-08T00:15:00"), lookups).why is Unmapped.TIME


@for_every(
    ("zone", "at", "right"),
    [
        ("UTC", "2026-10-31T20:00:00", False),
        ("America/Phoenix", "2026-07-01T00:00:00", False),
        ("America/Chicago", "2026-01-15T00:00:00", False),
        ("Australia/Sydney", "2026-07-01T00:00:00", False),
        ("America/Chicago", "2026-11-01T02:15:00", False),
        ("America/Chicago", "2026-07-01T00:00:00", True),
        ("America/Chicago", "2026-11-01T01:30:00", True),
        ("America/Chicago", "2026-03-08T03:00:00", True),
        ("Europe/Dublin", "2026-07-01T00:00:00", True),
        ("Australia/Sydney", "2026-01-15T00:00:00", True),
        ("UTC", "2026-07-01T00:00:00Z", True),
        ("UTC", "2026-07-01T00:00:00-05:00", True),
    ],
)
def test_a_daylight_flag_where_the_zone_has_none_is_an_error_record(
    zone: str, at: str, right: bool
) -> None:
    lookups = replace(USUAL, zone=UTC if zone == "UTC" else ZoneInfo(zone))
    for texts in (("1",), ("1", "2")):
        seed = intervals(*texts, at=at, statuses={len(texts) - 1: (DAYLIGHT,)})
        if right:
            assert normal(seed, lookups).rows[-1][3] == REGULAR
            continue
        found = refused(seed, lookups)
        assert found.why is Unmapped.TIME
        assert f"has the status {DAYLIGHT}, and {zone} has no such time then" in found.detail
        assert normal(seed, replace(lookups, shift=Shift.STANDARD)).rows  # says so of its times


@pytest.mark.parametrize("at", ["", "yesterday", "0001-01-01T00:00:00", "2024-05-01", "1e9"])
def test_what_is_no_time_is_an_error_record(at: str) -> None:
    assert refused(register("1", at=at)).why is Unmapped.TIME


def test_intervals_before_all_time_are_an_error_record() -> None:
    assert refused(intervals(*["1"] * 200, minutes=527_040)).why is Unmapped.TIME


def test_a_clock_that_was_reset_gives_intervals_that_overlap_and_say_so() -> None:
    before = normal(intervals("1", "2", at="2024-05-01T01:00:00Z"))
    statuses = {0: ("ClockResetBackwards",)}
    after = normal(intervals("3", "4", at="2024-05-01T01:00:00Z", statuses=statuses))
    assert ends(before) == ends(after)
    assert after.rows[0][3] == CONDITIONS["ClockResetBackwards"]


@pytest.mark.parametrize("minutes", [0, -15, 10**9])
def test_an_interval_length_that_is_none_is_refused(minutes: int) -> None:
    assert refused(intervals("1", minutes=minutes)).why is Unmapped.LENGTH


# ---------------------------------------------------------------- quantities, records, gaps


@pytest.mark.parametrize("name", ["Whd", "wh  D", "WH d"])
def test_quantities_are_compared_without_case_and_blanks(name: str) -> None:
    assert normal(replace(register("1"), quantity=name)).quantity == "Wh d"


def test_an_unknown_quantity_is_an_error_record_until_it_has_a_row() -> None:
    seed = replace(register("70"), quantity="Gas m3")
    assert refused(seed).why is Unmapped.QUANTITY
    assert refused(seed).detail == "Gas m3"
    row = Quantity(name="Gas m3", unit="m3", multiplier=Decimal("0.01"))
    assert normal(seed, with_quantities(USUAL, [row])).rows[0][1] == "0.7"


def test_a_kept_seed_gives_the_same_rows_again() -> None:
    statuses = {1: ("PartialInterval", "Tamper"), 2: ("SkippedInterval",)}
    seed = intervals("1.5", "2", "0", pulse="3", scaled=False, statuses=statuses)
    first = normal(seed)
    again = normal(seed_of(first))
    assert again.rows == first.rows
    assert (again.start, again.end, again.seconds) == (first.start, first.end, first.seconds)


@pytest.mark.parametrize("texts", [("", "1", "2"), ("1", "", "2"), ("1", "2", ""), ("", "")])
def test_an_interval_of_which_nothing_is_told_has_no_row_and_keeps_its_place(
    texts: tuple[str, ...],
) -> None:
    seed = intervals(*texts, statuses={1: ("PartialInterval",)})
    found, full = normal(seed), normal(intervals(*(text or "7" for text in texts)))
    told = [index for index, text in enumerate(texts) if text]
    assert ends(found) == [ends(full)[index] for index in told]
    assert [row[2] for row in found.rows] == [texts[index] for index in told]
    assert (found.start, found.end) == (full.start, full.end)
    again = seed_of(found)
    assert again.texts == texts
    assert normal(again).rows == found.rows


def test_a_kept_seed_belongs_where_its_values_are_and_not_where_nothing_is_told() -> None:
    found = awaited(intervals("x", "", "3"), USUAL)
    assert found is not None
    assert ends(found) == ["2024-05-01T00:00:00+00:00", "2024-05-01T00:30:00+00:00"]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([], [(0, 60)]),
        ([15, 30, 45, 60], []),
        ([15, 60], [(15, 45)]),
        ([30], [(0, 15), (30, 60)]),
        ([60, 45, 30, 15, 15], []),
        ([20, 40], [(0, 5), (20, 25), (40, 60)]),
    ],
)
def test_gaps_are_the_periods_that_no_interval_covers(
    times: list[int], expected: list[tuple[int, int]]
) -> None:
    assert gaps(times, start=0, end=60, step=15) == expected


def test_a_load_of_numbers_that_never_repeat_is_not_remembered() -> None:
    def grown(first: int) -> int:
        for start in range(first, first + 40_000, 1_000):
            normal(intervals(*(f"{start + n}.5" for n in range(1_000))))
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = grown(0)
        assert grown(40_000) - before < 2_000_000
    finally:
        tracemalloc.stop()


def test_of_a_number_that_comes_again_the_same_is_told_at_each_scale() -> None:
    for quantity in ("Wh d", "Vh", "Wh d", "Wh net"):
        found = normal(intervals("1500", "-0.50", quantity=quantity))
        scale = 1 if quantity == "Vh" else 1000
        assert [Decimal(row[1] or "") * scale for row in found.rows] == [1500, Decimal("-0.5")]
        assert [row[2] for row in found.rows] == ["1500", "-0.50"]
        assert found.rows[1][3] == (SUSPECT if quantity == "Wh d" else REGULAR)
