"""A load profile as PNG, with matplotlib: the extra `plot`.

Up to seven days are drawn as panels, one below the other, on one scale; more as a map, one line a
day, where colour is power. What is missing is hatched, and never looks like zero.
"""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from adapter.errors import GatewayError
from adapter.export.profile import MEANING, Day, Profile, ProfileMark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

PANEL_DAYS: Final = 7
WIDTH: Final = 1280
_DPI: Final = 100
_LEFT, _RIGHT, _TOP, _FOOT = 92, 128, 78, 72
_PANEL, _GAP, _ROW = 190, 62, 18
_SHORTEST_MAP, _LONGEST_MAP = 240, 1600
"""All in pixels."""

_SOFT, _GRID, _BAR, _BACK, _CLOCK = "#6c757d", "#e2e6ea", "#266eb0", "#2e8b57", "#8e44ad"
_MISSING: Final[dict[str, Any]] = {
    "facecolor": "#f6eeee",
    "edgecolor": "#ddb4b4",
    "hatch": "///",
    "linewidth": 0,
}
_COLOURS: Final = {
    ProfileMark.MISSING: "#c0392b",
    ProfileMark.SUSPECT: "#e67e22",
    ProfileMark.OUTAGE: "#34495e",
    ProfileMark.PARTIAL: "#f1c40f",
    ProfileMark.CLOCK: _CLOCK,
    ProfileMark.NOTED: "#7fb3d5",
}


class PictureError(GatewayError):
    code = "picture_error"


def write_png(profile: Profile, path: Path) -> tuple[int, int]:
    """Width and height in pixels. Raises PictureError naming the extra where matplotlib is
    missing."""
    figure = picture_of(profile)
    figure.savefig(path, format="png", metadata={"Software": None})
    return WIDTH, round(figure.get_figheight() * _DPI)


def picture_of(profile: Profile) -> "Figure":
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PictureError(
            "PNG needs matplotlib: pip install 'openway-gateway[plot]'; the terminal needs nothing"
        ) from error
    few = len(profile.days) <= PANEL_DAYS
    rows = min(max(len(profile.days) * _ROW, _SHORTEST_MAP), _LONGEST_MAP)
    height = _TOP + _FOOT + (len(profile.days) * (_PANEL + _GAP) if few else rows + 20)
    figure = Figure(figsize=(WIDTH / _DPI, height / _DPI), dpi=_DPI)
    _head(figure, profile, height)
    if few:
        for index, day in enumerate(profile.days):
            top = _TOP + index * (_PANEL + _GAP) + 22
            _panel(_axes(figure, height, top, _PANEL - 11), profile, day)
    else:
        _map(figure, _axes(figure, height, _TOP, rows), profile, height)
    _legend(figure, profile, height)
    return figure


def _axes(figure: "Figure", height: int, top: int, high: int) -> "Axes":
    wide = (WIDTH - _LEFT - _RIGHT) / WIDTH
    axes = figure.add_axes((_LEFT / WIDTH, 1 - (top + high) / height, wide, high / height))
    axes.tick_params(labelsize=9, labelcolor=_SOFT, length=0)
    axes.spines[:].set_visible(False)
    axes.set_axisbelow(True)
    return axes


def _head(figure: "Figure", profile: Profile, height: int) -> None:
    first, last = profile.days[0].date, profile.days[-1].date
    sqi = f" ({profile.sqi})" if profile.sqi else ""
    title = f"{profile.meter}   {profile.quantity}{sqi}"
    figure.text(_LEFT / WIDTH, 1 - 34 / height, title, fontsize=15)
    period = f"{first}" if first == last else f"{first} to {last}"
    words = [period, str(profile.zone), f"{profile.seconds // 60} min", f"in {profile.unit}"]
    if profile.energy_unit:
        words.append(f"{_number(profile.energy(profile.days))} {profile.energy_unit} in all")
    text = "   ·   ".join(words)
    figure.text(_LEFT / WIDTH, 1 - 58 / height, text, fontsize=10, color=_SOFT)


def _panel(axes: "Axes", profile: Profile, day: Day) -> None:
    ticks = _ticks(profile)
    thin = (ticks[-1] - ticks[0]) / _PANEL
    gaps = [index for index, slot in enumerate(day.slots) if slot.value is None]
    known = [(index, float(slot.value)) for index, slot in enumerate(day.slots)
             if slot.value is not None]  # fmt: skip
    marks = [(index, _COLOURS[slot.mark]) for index, slot in enumerate(day.slots)
             if slot.mark in _COLOURS]  # fmt: skip
    whole = axes.get_xaxis_transform()
    axes.bar(gaps, [1] * len(gaps), 1, align="edge", transform=whole, **_MISSING)
    # A value of nothing is a line too: it was measured.
    heights = [value or thin for _, value in known]
    colours = [_BAR if value >= 0 else _BACK for _, value in known]
    axes.bar([index for index, _ in known], heights, 0.95, align="edge", color=colours)
    strip: dict[str, Any] = {"transform": whole, "clip_on": False}
    strip["color"] = [colour for _, colour in marks]
    axes.bar([index for index, _ in marks], 0.04, 1, -0.06, align="edge", **strip)
    axes.set_xlim(0, len(day.slots))
    axes.set_ylim(ticks[0], ticks[-1])
    axes.set_yticks(ticks)
    axes.grid(color=_GRID)
    axes.axhline(0, color=_SOFT, linewidth=0.8)
    _hours(axes, profile, day)
    length = "" if day.hours == 24 else f"   ({day.hours:g} hours)"
    axes.set_title(f"{day.date:%A} {day.date}{length}", loc="left", fontsize=10)
    axes.text(1.01, 0.5, _energy(profile, day), transform=axes.transAxes, fontsize=10, va="center")


def _ticks(profile: Profile) -> list[float]:
    """A few round numbers, from at or below the lowest value to at or above the highest."""
    from matplotlib.ticker import MaxNLocator

    low, high = float(profile.lowest), float(profile.highest) or 1.0
    return [float(each) for each in MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)]


def _hours(axes: "Axes", profile: Profile, day: Day, *, changes: bool = True) -> None:
    """Every third hour of the local clock; where the clock is changed, a line that says so."""
    times = [profile.local(day, index) for index in range(len(day.slots))]
    ticks: dict[str, int] = {}
    for index, at in enumerate(times):
        if at.minute == 0 and at.hour % 3 == 0:
            ticks.setdefault(f"{at.hour:02}", index)
    axes.set_xticks([*ticks.values(), len(times)], [*ticks, "24"])
    axes.tick_params("x", pad=10)
    for index in range(1, len(times)) if changes else ():
        before, offset = times[index - 1].utcoffset(), times[index].utcoffset()
        if before is not None and offset is not None and before != offset:
            word = "forward" if offset > before else "back"
            axes.axvline(index, color=_CLOCK)
            place = axes.get_xaxis_transform()
            axes.text(index + 0.3, 0.92, f"clock {word}", transform=place, color=_CLOCK, fontsize=9)


def _map(figure: "Figure", axes: "Axes", profile: Profile, height: int) -> None:
    days, nothing = profile.days, float("nan")
    most = max(len(day.slots) for day in days)
    # Behind what is known all of a day is hatched; a shorter day ends before the others.
    axes.barh(range(len(days)), [len(day.slots) for day in days], 1.0, **_MISSING)
    rows = [[nothing if s.value is None else float(s.value) for s in day.slots] for day in days]
    low, high = float(profile.lowest), float(profile.highest) or 1.0
    image = axes.imshow(
        [[*row, *[nothing] * (most - len(row))] for row in rows],
        aspect="auto", interpolation="nearest", extent=(0, most, len(days) - 0.5, -0.5), zorder=2,
        vmin=low, vmax=high,
    )  # fmt: skip
    for mark, colour in _COLOURS.items():
        places = [(d, i) for d, day in enumerate(days) for i, s in enumerate(day.slots)
                  if s.mark is mark is not ProfileMark.NOTED]  # fmt: skip
        lower, left = [day + 0.35 for day, _ in places], [index for _, index in places]
        axes.barh(lower, [1] * len(places), 0.3, left, color=colour, zorder=3)
    every = max(1, round(14 * len(days) / (height - _TOP - _FOOT - 20)))
    shown = range(0, len(days), every)
    axes.set_yticks(list(shown), [f"{days[number].date:%b %d}" for number in shown])
    for number, day in enumerate(days) if every == 1 else ():
        axes.axhline(number + 0.5, color="white", linewidth=0.7, zorder=3)
        hours = "" if day.hours == 24 else f"  {day.hours:g} h"
        text, colour = f"  {_energy(profile, day)}{hours}", _CLOCK if hours else _SOFT
        axes.text(most, number, text, fontsize=9, color=colour, va="center")
    usual = next((day for day in days if day.hours == 24), days[0])
    _hours(axes, profile, usual, changes=False)
    axes.xaxis.tick_top()
    axes.tick_params("x", pad=2)
    _colour_scale(figure, image, (f"{low:.3g}", f"{high:.3g} {profile.unit}"), height)


def _colour_scale(figure: "Figure", image: "AxesImage", ends: tuple[str, str], height: int) -> None:
    place = ((WIDTH - _RIGHT - 220) / WIDTH, 1 - 50 / height, 160 / WIDTH, 10 / height)
    scale = figure.add_axes(place)
    figure.colorbar(image, scale, orientation="horizontal", ticks=[]).outline.set_visible(False)
    style: dict[str, Any] = {"va": "center", "fontsize": 9, "color": _SOFT}
    scale.text(-0.04, 0.5, ends[0], transform=scale.transAxes, ha="right", **style)
    scale.text(1.04, 0.5, ends[1], transform=scale.transAxes, ha="left", **style)


def _legend(figure: "Figure", profile: Profile, height: int) -> None:
    from matplotlib.patches import Patch

    marks = profile.marks()
    styles = [_MISSING if mark is ProfileMark.GAP else {"color": _COLOURS[mark]} for mark in marks]
    patches = [Patch(label=MEANING[m], **s) for m, s in zip(marks, styles, strict=True)]
    place = (_LEFT / WIDTH, 16 / height)
    figure.legend(handles=patches, loc="lower left", bbox_to_anchor=place, ncols=7, frameon=False)


def _energy(profile: Profile, day: Day) -> str:
    if not profile.energy_unit or not day.known:
        return ""
    return f"{_number(profile.energy([day]))} {profile.energy_unit}"


def _number(number: Decimal) -> str:
    places = max(0, 2 - number.adjusted()) if number else 0
    text = f"{number:.{min(places, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
