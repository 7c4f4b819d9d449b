"""Load profiles as characters and as PNG: gaps, statuses and the days on which clocks change."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapter.engine.readings.reports import ValueRow
from adapter.export.profile import MEANING, Profile, ProfileMark, profile
from adapter.export.terminal import draw
from adapter.readings.conditions import CONDITIONS, WITHOUT_VALUE
from tests.support import for_every

BERLIN = ZoneInfo("Europe/Berlin")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def a_row(
    end: datetime, value: str | None, statuses: str = "", condition: int = 501000
) -> ValueRow:
    at = (end - EPOCH) // timedelta(microseconds=1)
    return ValueRow(
        device="M1",
        endpoint="E1",
        component="M1-L",
        kind="interval",
        quantity="Wh d",
        source="",
        seconds=3600,
        unit="kWh",
        tou="",
        sqi="delivered",
        start=at - 3_600_000_000,
        at=at,
        value=value,
        head_end_value=None,
        condition=condition,
        statuses=statuses,
        conversion="",
        load_run=1,
        number=0,
        payload=1,
        origin="payload",
        entered_by="",
        entered_at=None,
    )


def hourly(day: datetime, *, days: int = 1, without: range = range(0)) -> list[ValueRow]:
    """1 kWh in the first hour, 2 in the second, up to 8, and again."""
    start, end = day.astimezone(UTC), (day + timedelta(days=days)).astimezone(UTC)
    hours = (end - start) // timedelta(hours=1)
    return [
        a_row(start + timedelta(hours=hour + 1), str(hour % 8 + 1))
        for hour in range(hours)
        if hour not in without
    ]


def a_profile(rows: list[ValueRow], day: datetime, *, days: int = 1) -> Profile:
    return profile("M1", rows, start=day, end=day + timedelta(days=days), zone=BERLIN)


def test_a_day_is_drawn_with_its_gap_and_its_marks() -> None:
    day = datetime(2026, 3, 2, tzinfo=BERLIN)
    rows = hourly(day, without=range(10, 13))
    rows[5] = rows[5]._replace(statuses="PowerFailure", condition=402000)
    rows[6] = rows[6]._replace(value=None, statuses="SkippedInterval", condition=201000)
    assert draw(a_profile(rows, day)) == [
        "M1  Wh d (delivered), kW, 60 min, 2026-03-02, Europe/Berlin, 89.0 kWh",
        "",
        "Monday 2026-03-02, 89.0 kWh",
        "   8.00 ┤      ░█  ░░░  █       █",
        "        ┤      ░█  ░░░ ██      ██",
        "        ┤     █░█  ░░░███     ███",
        "        ┤    ██░█  ░░░███    ████",
        "   4.00 ┤   ███░█  ░░░███   █████",
        "        ┤  ████░█  ░░░███  ██████",
        "        ┤ █████░█ █░░░███ ███████",
        "      0 ┤██████░███░░░███████████",
        "        └┬──┬──┬──┬──┬──┬──┬──┬──",
        "         00 03 06 09 12 15 18 21",
        "  marks       ox   ...",
        "",
        "marks: . no data, x told as missing, o outage",
    ]


def test_the_hours_of_the_axis_are_those_of_the_local_clock() -> None:
    spring = datetime(2026, 3, 29, tzinfo=BERLIN)
    lines = draw(a_profile(hourly(spring), spring))
    assert "Sunday 2026-03-29, a day of 23 hours" in lines[2]
    assert lines[-2:] == [
        "        └┬─┬──┬──┬──┬──┬──┬──┬──",
        "         00   06 09 12 15 18 21",
    ]
    autumn = datetime(2026, 10, 25, tzinfo=BERLIN)
    lines = draw(a_profile(hourly(autumn), autumn))
    assert "a day of 25 hours" in lines[2]
    assert lines[-2:] == [
        "        └┬──┬┬──┬──┬──┬──┬──┬──┬──",
        "         00 02  06 09 12 15 18 21",
    ]


def test_more_days_are_a_line_each_and_say_how_long_they_are() -> None:
    day = datetime(2026, 3, 27, tzinfo=BERLIN)
    lines = draw(a_profile(hourly(day, days=5), day, days=5))
    assert lines[2:7] == [
        "  03-27 ┤▁▂▃▄▅▆▇█▁▂▃▄▅▆▇█▁▂▃▄▅▆▇█ 108 kWh",
        "  03-28 ┤▁▂▃▄▅▆▇█▁▂▃▄▅▆▇█▁▂▃▄▅▆▇█ 108 kWh",
        "  03-29 ┤▁▂▃▄▅▆▇█▁▂▃▄▅▆▇█▁▂▃▄▅▆▇ 100 kWh 23 h",
        "  03-30 ┤█▁▂▃▄▅▆▇█▁▂▃▄▅▆▇█▁▂▃▄▅▆▇ 108 kWh",
        "  03-31 ┤█▁▂▃▄▅▆▇█▁▂▃▄▅▆▇█▁▂▃▄▅▆▇ 108 kWh",
    ]
    assert lines[-1] == "         full block: 8.00 kW"


@pytest.mark.parametrize("width", [60, 61, 80, 120, 200])
@pytest.mark.parametrize("days", [1, 3, 4, 30])
def test_no_line_is_wider_than_was_asked_for(width: int, days: int) -> None:
    day = datetime(2026, 3, 2, tzinfo=BERLIN)
    rows = [
        a_row(day + timedelta(minutes=15 * (slot + 1)), str(slot % 9))._replace(seconds=900)
        for slot in range(96 * days)
    ]
    _, *lines = draw(a_profile(rows, day, days=days), width=width)
    assert max(map(len, lines)) <= width


@for_every("word", CONDITIONS)
def test_every_status_word_is_seen_or_is_ordinary(word: str) -> None:
    day = datetime(2026, 3, 2, tzinfo=BERLIN)
    rows = hourly(day)
    value = None if word in WITHOUT_VALUE else "1"
    rows[3] = rows[3]._replace(statuses=word, condition=CONDITIONS[word], value=value)
    marks = a_profile(rows, day).marks()
    assert marks == (() if word == "DaylightSavingsTime" else marks[:1])
    assert all(mark in MEANING for mark in marks)
    assert (value is None) == (marks[:1] == (ProfileMark.MISSING,) and word in WITHOUT_VALUE)


def test_energy_given_back_has_a_scale_below_nothing() -> None:
    day = datetime(2026, 3, 2, tzinfo=BERLIN)
    rows = [row._replace(value=str(number - 12)) for number, row in enumerate(hourly(day))]
    lines = draw(a_profile(rows, day))
    assert lines[3].startswith("   11.0 ┤")
    assert lines[10].startswith("  -12.0 ┤")


# ---------------------------------------------------------------- PNG


@pytest.mark.parametrize("days", [1, 7, 8, 40, 366])
def test_a_png_has_size_and_content(tmp_path: Path, days: int) -> None:
    pytest.importorskip("matplotlib")
    from PIL import Image

    from adapter.export.png import write_png

    day = datetime(2026, 1, 5, tzinfo=BERLIN)
    rows = hourly(day, days=days, without=range(8, 11))
    size = write_png(a_profile(rows, day, days=days), tmp_path / "profile.png")
    with Image.open(tmp_path / "profile.png") as picture:
        assert picture.size == size
        assert size[0] == 1280
        assert 300 <= size[1] <= 7_000
        colours = picture.convert("RGB").getcolors(1_000_000)
    assert colours is not None
    assert len(colours) > 50


def test_the_same_profile_gives_the_same_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from adapter.export.png import write_png

    day = datetime(2026, 3, 29, tzinfo=BERLIN)
    for name in ("one.png", "two.png"):
        write_png(a_profile(hourly(day), day), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_what_is_missing_does_not_look_like_nothing_used(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from PIL import Image

    from adapter.export.png import write_png

    day = datetime(2026, 3, 2, tzinfo=BERLIN)
    gap = hourly(day, without=range(8, 16))
    zero = [row._replace(value="0") if 8 <= number < 16 else row
            for number, row in enumerate(hourly(day))]  # fmt: skip
    middle, pixels = (620, 180), []
    for name, rows in (("gap.png", gap), ("zero.png", zero)):
        write_png(a_profile(rows, day), tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            pixels.append(picture.convert("RGB").getpixel(middle))
    assert pixels[0] != pixels[1]


@pytest.mark.parametrize(
    ("date", "hours"), [(datetime(2026, 3, 29, tzinfo=BERLIN), 23),
                        (datetime(2026, 10, 25, tzinfo=BERLIN), 25)]
)  # fmt: skip
def test_a_day_on_which_the_clock_is_set_says_so_and_has_all_its_hours(
    date: datetime, hours: int
) -> None:
    pytest.importorskip("matplotlib")
    from adapter.export.png import picture_of

    (panel,) = picture_of(a_profile(hourly(date), date)).axes
    assert f"({hours} hours)" in panel.get_title("left")
    assert panel.get_xlim() == (0, hours)
    word = "forward" if hours == 23 else "back"
    assert f"clock {word}" in [text.get_text() for text in panel.texts]
    ticks = [label.get_text() for label in panel.get_xticklabels()]
    assert ticks == ["00", "03", "06", "09", "12", "15", "18", "21", "24"]


def test_a_map_leaves_out_what_a_short_day_has_not_and_hatches_what_is_missing() -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.patches import Rectangle
    from numpy import ma

    from adapter.export.png import picture_of

    first = datetime(2026, 3, 25, tzinfo=BERLIN)
    axes = picture_of(a_profile(hourly(first, days=8, without=range(8, 11)), first, days=8)).axes[0]
    behind = [each for each in axes.patches if isinstance(each, Rectangle) and each.get_hatch()]
    assert [bar.get_width() for bar in behind] == [24, 24, 24, 24, 23, 24, 24, 24]
    drawn = axes.images[0].get_array()
    assert drawn is not None
    unknown = ma.getmaskarray(drawn).tolist()
    assert unknown[0] == [8 <= hour < 11 for hour in range(24)]
    assert unknown[4][23]
