"""A load profile in characters: eighths of blocks over an axis of local hours, marks below.

Up to three days are drawn tall, each with an axis of its own; more are one line each.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from adapter.export.profile import MEANING, Day, Profile, ProfileMark, ProfileSlot

EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
GAP: Final = "░"
TALL_DAYS: Final = 3
_HEIGHT: Final = 8
_GUTTER: Final = 9
_TOTAL: Final = 18
_ORDER: Final = tuple(MEANING)
_ZERO: Final = Decimal(0)


def draw(profile: Profile, *, width: int = 120) -> list[str]:
    """Lines of text, none longer than `width` where that is 60 or more."""
    lines = [_title(profile)]
    merge = _merge(profile, max(width, 60))
    if len(profile.days) <= TALL_DAYS:
        for day in profile.days:
            lines += ["", *_tall(profile, day, merge)]
    else:
        lines += ["", *_short(profile, merge)]
    if marks := profile.marks():
        lines += ["", "marks: " + ", ".join(f"{mark} {MEANING[mark]}" for mark in marks)]
    return lines


def _title(profile: Profile) -> str:
    first, last = profile.days[0].date, profile.days[-1].date
    period = f"{first}" if first == last else f"{first} to {last}"
    total = ""
    if profile.energy_unit:
        total = f", {_short_number(profile.energy(profile.days))} {profile.energy_unit}"
    sqi = f" ({profile.sqi})" if profile.sqi else ""
    minutes = profile.seconds // 60
    return (
        f"{profile.meter}  {profile.quantity}{sqi}, {profile.unit}, {minutes} min, "
        f"{period}, {profile.zone}{total}"
    )


def _merge(profile: Profile, width: int) -> int:
    """How many slots one column stands for."""
    longest = max(len(day.slots) for day in profile.days)
    room = width - _GUTTER - (_TOTAL if len(profile.days) > TALL_DAYS else 0)
    for merge in (1, 2, 3, 4, 6, 8, 12, 24, 48, 96):
        if -(-longest // merge) <= room:
            return merge
    return longest


def _columns(day: Day, merge: int) -> list[ProfileSlot]:
    """Slots put together: the mean of those with a value, the worst mark."""
    columns = []
    for first in range(0, len(day.slots), merge):
        part = day.slots[first : first + merge]
        values = [slot.value for slot in part if slot.value is not None]
        value = sum(values, Decimal(0)) / len(values) if values else None
        columns.append(ProfileSlot(value, _worst([slot.mark for slot in part])))
    return columns


def _worst(marks: Sequence[ProfileMark]) -> ProfileMark:
    return next((mark for mark in _ORDER if mark in marks), ProfileMark.NONE)


def _tall(profile: Profile, day: Day, merge: int) -> Iterator[str]:
    columns = _columns(day, merge)
    lowest, highest = profile.lowest, profile.highest
    levels = [_level(slot.value, lowest, highest, _HEIGHT * 8) for slot in columns]
    yield f"{_day_name(day)}{_energy(profile, day)}"
    for row in range(_HEIGHT - 1, -1, -1):
        cells = "".join(
            GAP if level is None else EIGHTHS[min(max(level - 8 * row, 0), 8)] for level in levels
        )
        yield f"{_scale(row, lowest, highest):>7} ┤{cells}".rstrip()
    yield from _below(profile, day, columns, merge)


def _scale(row: int, lowest: Decimal, highest: Decimal) -> str:
    """What stands at the axis: the top of the highest row, the middle, the bottom."""
    if row == _HEIGHT - 1:
        return _short_number(highest)
    if row == _HEIGHT // 2 - 1:
        return _short_number((highest + lowest) / 2)
    return _short_number(lowest) if row == 0 else ""


def _below(profile: Profile, day: Day, columns: Sequence[ProfileSlot], merge: int) -> Iterator[str]:
    ticks, labels = _axis(profile, day, len(columns), merge)
    yield " " * (_GUTTER - 1) + "└" + ticks
    yield " " * _GUTTER + labels
    marks = "".join(slot.mark.value for slot in columns)
    if marks.strip():
        yield f"{'marks':>7}  {marks}".rstrip()


def _axis(profile: Profile, day: Day, count: int, merge: int) -> tuple[str, str]:
    """Ticks and hours at every third hour of the local clock, so that a change of it shows."""
    ticks = ["─"] * count
    labels = [" "] * (count + 2)
    free = 0
    last = ""
    for column in range(count):
        at = profile.local(day, column * merge)
        hour = f"{at.hour:02}"
        jumped = column > 0 and _offset(profile, day, column, merge)
        if (at.minute == 0 and at.hour % 3 == 0 and hour != last) or jumped:
            ticks[column] = "┬"
            if column >= free:
                labels[column : column + 2] = hour
                free = column + 3
            last = hour
    return "".join(ticks), "".join(labels).rstrip()


def _offset(profile: Profile, day: Day, column: int, merge: int) -> bool:
    """Whether the clock was changed at the beginning of this column."""
    before = profile.local(day, (column - 1) * merge).utcoffset()
    return before != profile.local(day, column * merge).utcoffset()


def _short(profile: Profile, merge: int) -> Iterator[str]:
    usual = next((day for day in profile.days if day.hours == 24), profile.days[0])
    ticks, labels = _axis(profile, usual, -(-len(usual.slots) // merge), merge)
    drawn = [(day, _columns(day, merge)) for day in profile.days]
    values = [slot.value for _, columns in drawn for slot in columns if slot.value is not None]
    lowest, highest = min(values, default=_ZERO), max(values, default=_ZERO)
    lowest = min(lowest, _ZERO)
    for day, columns in drawn:
        levels = [_level(slot.value, lowest, highest, 8) for slot in columns]
        cells = "".join(
            GAP if level is None else EIGHTHS[level or (1 if _is_some(slot) else 0)]
            for level, slot in zip(levels, columns, strict=True)
        )
        name = day.date.strftime("%m-%d")
        hours = "" if day.hours == 24 else f" {day.hours:g} h"
        energy = _energy(profile, day).removeprefix(",")
        yield f"{name:>7} ┤{cells}{energy}{hours}"
        marks = "".join(slot.mark.value for slot in columns)
        if marks.strip(" ."):
            yield f"{'':>7}  {marks}".rstrip()
    yield " " * (_GUTTER - 1) + "└" + ticks
    yield " " * _GUTTER + labels
    yield f"{'':>7}  full block: {_short_number(highest)} {profile.unit}"


def _is_some(slot: ProfileSlot) -> bool:
    return slot.value is not None and slot.value > 0


def _level(value: Decimal | None, lowest: Decimal, highest: Decimal, most: int) -> int | None:
    """Height in eighths of a row; None where there is nothing to draw."""
    if value is None:
        return None
    span = highest - lowest
    return int((value - lowest) * most / span + Decimal("0.5")) if span else 0


def _day_name(day: Day) -> str:
    length = "" if day.hours == 24 else f", a day of {day.hours:g} hours"
    return f"{day.date:%A} {day.date}{length}"


def _energy(profile: Profile, day: Day) -> str:
    if not profile.energy_unit or not day.known:
        return ""
    return f", {_short_number(profile.energy([day]))} {profile.energy_unit}"


def _short_number(number: Decimal) -> str:
    """Three digits that count, or all before the point."""
    if number == 0:
        return "0"
    places = max(0, 2 - number.adjusted())
    return f"{number:.{min(places, 6)}f}"
