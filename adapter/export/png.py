"""A load profile as PNG, with Pillow: the extra `plot`.

Up to seven days are drawn as panels, one below the other, on one scale; more as a map, one line a
day, where colour is power. What is missing is hatched, and never looks like zero.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from adapter.errors import GatewayError
from adapter.export.profile import MEANING, Day, Profile, ProfileMark, ProfileSlot

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

PANEL_DAYS: Final = 7
WIDTH: Final = 1280
_FINE: Final = 2
"""Drawn so many times as large and made smaller, which smooths the edges."""

_LEFT, _RIGHT, _TOP, _FOOT = 92, 128, 78, 72
_PANEL: Final = 190
_GAP: Final = 62
_STRIP: Final = 7
_ROW: Final = 18
_SHORTEST_MAP: Final = 240
_LONGEST_MAP: Final = 1600

Colour = tuple[int, int, int]
_PAPER: Final = (255, 255, 255)
_INK: Final = (33, 37, 41)
_SOFT: Final = (108, 117, 125)
_GRID: Final = (226, 230, 234)
_BAR: Final = (38, 110, 176)
_BACK: Final = (46, 139, 87)
_VOID: Final = (246, 238, 238)
_HATCH: Final = (221, 180, 180)
_CLOCK: Final = (142, 68, 173)
_COLOURS: Final[dict[ProfileMark, Colour]] = {
    ProfileMark.GAP: _HATCH,
    ProfileMark.MISSING: (192, 57, 43),
    ProfileMark.SUSPECT: (230, 126, 34),
    ProfileMark.OUTAGE: (52, 73, 94),
    ProfileMark.PARTIAL: (241, 196, 15),
    ProfileMark.CLOCK: _CLOCK,
    ProfileMark.NOTED: (127, 179, 213),
}
_SCALE: Final[tuple[Colour, ...]] = (
    (68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37),
)  # fmt: skip
"""From nothing to the highest; told apart by eyes of all kinds, and in grey."""


class PictureError(GatewayError):
    code = "picture_error"


def write_png(profile: Profile, path: Path) -> tuple[int, int]:
    """Width and height in pixels. Raises PictureError naming the extra where Pillow is missing."""
    picture = picture_of(profile)
    picture.save(path, format="PNG", optimize=True)
    return picture.size


def picture_of(profile: Profile) -> "Image":
    try:
        from PIL import Image
    except ImportError as error:
        raise PictureError(
            "a PNG needs Pillow: pip install 'openway-gateway[plot]'; the terminal needs nothing"
        ) from error
    few = len(profile.days) <= PANEL_DAYS
    if few:
        inner = len(profile.days) * (_PANEL + _GAP)
    else:
        inner = min(max(len(profile.days) * _ROW, _SHORTEST_MAP), _LONGEST_MAP) + 20
    height = _TOP + inner + _FOOT
    image = Image.new("RGB", (WIDTH * _FINE, height * _FINE), _PAPER)
    canvas = _Canvas(image)
    _head(canvas, profile)
    if few:
        for index, day in enumerate(profile.days):
            _panel(canvas, profile, day, _TOP + index * (_PANEL + _GAP) + 22)
    else:
        _map(canvas, profile, inner - 20)
    _legend(canvas, profile, height - 34)
    return image.resize((WIDTH, height), Image.Resampling.LANCZOS)


class _Canvas:
    """Drawing in the pixels of the finished picture."""

    def __init__(self, image: "Image") -> None:
        from PIL.ImageDraw import Draw

        self._draw: ImageDraw = Draw(image)
        self._fonts: dict[int, FreeTypeFont | ImageFont] = {}

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        corners = [round(each * _FINE) for each in (left, top, right, bottom)]
        if corners[2] > corners[0] and corners[3] > corners[1]:
            self._draw.rectangle((*corners[:2], corners[2] - 1, corners[3] - 1), fill=colour)

    def line(self, points: Sequence[tuple[float, float]], colour: Colour, width: float = 1) -> None:
        fine = [(x * _FINE, y * _FINE) for x, y in points]
        self._draw.line(fine, fill=colour, width=max(1, round(width * _FINE)))

    def text(
        self, x: float, y: float, text: str, *, size: int = 13, colour: Colour = _INK,
        anchor: str = "ls",
    ) -> float:  # fmt: skip
        """Write with the anchor at a point (Pillow's two letters); how wide it became."""
        from PIL import ImageFont

        if size not in self._fonts:
            self._fonts[size] = ImageFont.load_default(size * _FINE)
        font = self._fonts[size]
        self._draw.text((x * _FINE, y * _FINE), text, font=font, fill=colour, anchor=anchor)
        return font.getlength(text) / _FINE

    def hatch(self, left: float, top: float, right: float, bottom: float) -> None:
        """Slanted lines on a pale ground: nothing is known here."""
        self.box(left, top, right, bottom, _VOID)
        step, x = 8.0, left - (bottom - top)
        while x < right:
            first, last = max(x, left), min(x + (bottom - top), right)
            if last > first:
                self.line([(first, bottom - (first - x)), (last, bottom - (last - x))], _HATCH)
            x += step


def _head(canvas: _Canvas, profile: Profile) -> None:
    first, last = profile.days[0].date, profile.days[-1].date
    period = f"{first}" if first == last else f"{first} to {last}"
    sqi = f" ({profile.sqi})" if profile.sqi else ""
    canvas.text(_LEFT, 34, f"{profile.meter}   {profile.quantity}{sqi}", size=20)
    words = [period, str(profile.zone), f"{profile.seconds // 60} min", f"in {profile.unit}"]
    if profile.energy_unit:
        words.append(f"{_number(profile.energy(profile.days))} {profile.energy_unit} in all")
    canvas.text(_LEFT, 56, "   ·   ".join(words), size=14, colour=_SOFT)


# ---------------------------------------------------------------- panels


def _panel(canvas: _Canvas, profile: Profile, day: Day, top: float) -> None:
    right, bottom = WIDTH - _RIGHT, top + _PANEL - _STRIP - 4
    ticks = _nice(profile.lowest, profile.highest)
    low, high = float(ticks[0]), float(ticks[-1])

    def place(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - top)

    length = "" if day.hours == 24 else f"   ({day.hours:g} hours)"
    canvas.text(_LEFT, top - 8, f"{day.date:%A} {day.date}{length}", size=14)
    if profile.energy_unit and day.known:
        total = f"{_number(profile.energy([day]))} {profile.energy_unit}"
        canvas.text(right + 12, (top + bottom) / 2, total, size=14, anchor="lm")
    wide = (right - _LEFT) / len(day.slots)
    for first, last in _runs(day.slots):
        canvas.hatch(_LEFT + first * wide, top, _LEFT + last * wide, bottom)
    for tick in ticks:
        y = place(float(tick))
        canvas.line([(_LEFT, y), (right, y)], _GRID)
        canvas.text(_LEFT - 8, y, _number(tick), size=12, colour=_SOFT, anchor="rm")
    _hours(canvas, profile, day, (top, bottom + _STRIP + 4), wide)
    zero = place(0.0)
    for index, slot in enumerate(day.slots):
        x = _LEFT + index * wide
        if slot.value is not None:
            y = place(float(slot.value))
            colour = _BAR if slot.value >= 0 else _BACK
            # A value of nothing is a line too: it was measured.
            upper, lower = min(y, zero - 1), max(y, zero)
            canvas.box(x, upper, x + max(wide - 0.5, 0.5), lower, colour)
        if slot.mark in _COLOURS and slot.mark is not ProfileMark.GAP:
            canvas.box(x, bottom + 3, x + wide, bottom + 3 + _STRIP, _COLOURS[slot.mark])
    canvas.line([(_LEFT, zero), (right, zero)], _SOFT)


def _hours(
    canvas: _Canvas, profile: Profile, day: Day, span: tuple[float, float], wide: float
) -> None:
    """Every third hour of the local clock; where the clock is changed, a line that says so."""
    top, bottom = span
    said = ""
    for index in range(len(day.slots)):
        at, x = profile.local(day, index), _LEFT + index * wide
        before = profile.local(day, index - 1).utcoffset() if index else at.utcoffset()
        offset = at.utcoffset()
        hour = f"{at.hour:02}"
        if at.minute == 0 and at.hour % 3 == 0 and hour != said:
            canvas.line([(x, top), (x, bottom)], _GRID)
            canvas.text(x, bottom + 14, hour, size=12, colour=_SOFT, anchor="ms")
            said = hour
        if before is not None and offset is not None and before != offset:
            word = "forward" if offset > before else "back"
            canvas.line([(x, top), (x, bottom)], _CLOCK, 1.5)
            canvas.text(x + 5, top + 12, f"clock {word}", size=12, colour=_CLOCK)
    canvas.text(WIDTH - _RIGHT, bottom + 14, "24", size=12, colour=_SOFT, anchor="ms")


def _runs(slots: Sequence[ProfileSlot]) -> Iterator[tuple[int, int]]:
    """(first, past the last) of neighbours without a value."""
    first: int | None = None
    for index, slot in enumerate((*slots, ProfileSlot(Decimal(0), ProfileMark.NONE))):
        if slot.value is None and first is None:
            first = index
        elif slot.value is not None and first is not None:
            yield first, index
            first = None


# ---------------------------------------------------------------- map


def _map(canvas: _Canvas, profile: Profile, height: float) -> None:
    right, row = WIDTH - _RIGHT, height / len(profile.days)
    most = max(len(day.slots) for day in profile.days)
    wide = (right - _LEFT) / most
    low, high = float(profile.lowest), float(profile.highest) or 1.0
    every = max(1, round(14 / row))
    for number, day in enumerate(profile.days):
        top = _TOP + number * row
        if number % every == 0:
            name = f"{day.date:%b %d}" if every > 1 or row >= 14 else ""
            canvas.text(_LEFT - 8, top + row / 2, name, size=12, colour=_SOFT, anchor="rm")
        for first, last in _runs(day.slots):
            canvas.hatch(_LEFT + first * wide, top, _LEFT + last * wide, top + row)
        for index, slot in enumerate(day.slots):
            x, following = _LEFT + index * wide, _LEFT + (index + 1) * wide
            if slot.value is not None:
                colour = _ramp((float(slot.value) - low) / (high - low))
                canvas.box(x, top, following, top + row - (1 if row > 6 else 0), colour)
            if slot.mark in _COLOURS and slot.mark not in (ProfileMark.GAP, ProfileMark.NOTED):
                strip = min(4.0, row / 3)
                canvas.box(x, top + row - strip, following, top + row, _COLOURS[slot.mark])
        _row_end(canvas, profile, day, (right, top + row / 2), row)
    usual = next((day for day in profile.days if day.hours == 24), profile.days[0])
    for index in range(len(usual.slots)):
        at = profile.local(usual, index)
        if at.minute == 0 and at.hour % 3 == 0:
            x = _LEFT + index * wide
            canvas.line([(x, _TOP - 5), (x, _TOP - 1)], _SOFT)
            canvas.text(x, _TOP - 7, f"{at.hour:02}", size=12, colour=_SOFT, anchor="ms")
    _ramp_legend(canvas, profile, low, high)


def _row_end(
    canvas: _Canvas, profile: Profile, day: Day, at: tuple[float, float], row: float
) -> None:
    if row < 14:
        return
    told = profile.energy_unit and day.known
    words = f"{_number(profile.energy([day]))} {profile.energy_unit}" if told else ""
    hours = "" if day.hours == 24 else f"  {day.hours:g} h"
    colour = _SOFT if not hours else _CLOCK
    canvas.text(at[0] + 10, at[1], words + hours, size=12, colour=colour, anchor="lm")


def _ramp(share: float) -> Colour:
    place = min(max(share, 0.0), 1.0) * (len(_SCALE) - 1)
    index = min(int(place), len(_SCALE) - 2)
    part = place - index
    one, two = _SCALE[index], _SCALE[index + 1]
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(one, two, strict=True))
    return red, green, blue


def _ramp_legend(canvas: _Canvas, profile: Profile, low: float, high: float) -> None:
    left, top, wide = WIDTH - _RIGHT - 220, 40, 160
    for step in range(wide):
        canvas.box(left + step, top, left + step + 1, top + 10, _ramp(step / wide))
    canvas.text(left - 6, top + 5, f"{low:.3g}", size=12, colour=_SOFT, anchor="rm")
    text = f"{high:.3g} {profile.unit}"
    canvas.text(left + wide + 6, top + 5, text, size=12, colour=_SOFT, anchor="lm")


# ---------------------------------------------------------------- what both share


def _legend(canvas: _Canvas, profile: Profile, y: float) -> None:
    x: float = _LEFT
    for mark in profile.marks():
        if mark is ProfileMark.GAP:
            canvas.hatch(x, y - 11, x + 18, y + 1)
        else:
            canvas.box(x, y - 11, x + 18, y + 1, _COLOURS[mark])
        x += 24
        x += canvas.text(x, y, MEANING[mark], size=13, colour=_SOFT) + 26


def _nice(lowest: Decimal, highest: Decimal) -> list[Decimal]:
    """About four round numbers from at or below `lowest` to at or above `highest`."""
    span = highest - lowest or Decimal(1)
    unit = Decimal(1).scaleb((span / 4).adjusted())
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor * 4 >= span)
    first = (lowest // step) * step
    if first > lowest:
        first -= step
    ticks = [first]
    while ticks[-1] < highest or len(ticks) < 2:
        ticks.append(ticks[-1] + step)
    return ticks


def _number(number: Decimal) -> str:
    places = max(0, 2 - number.adjusted()) if number else 0
    text = f"{number:.{min(places, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
