"""What a meter counts: energy as a function of seed, meter and time, with nothing stored.

The running total is the primitive and an interval is the difference of two totals, so registers
and load profiles of one meter always agree to the watt-hour. Days and quarter hours vary by
amounts drawn from the seed; the total never falls. Periods without supply or with the switch open
count nothing. The shape of a day follows the clock on the meter's wall.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import shake_128
from itertools import accumulate, pairwise, repeat
from operator import sub
from typing import Final, NamedTuple

from adapter.simulator.local_days import SLOT_S, SLOTS, LocalDay, day_at
from adapter.simulator.meters import EPOCH, Meter
from adapter.simulator.seeded import number

INTERVAL: Final = timedelta(minutes=15)
DELIVERED: Final = "Wh d"
RECEIVED: Final = "Wh r"

_EPOCH_S: Final = int(EPOCH.timestamp())
_EPOCH_SLOT: Final = _EPOCH_S // SLOT_S
_WHOLE: Final = 1_000_000


def _shape(hourly: tuple[int, ...]) -> tuple[int, ...]:
    """96 weights from 24, straight lines between the hours, scaled to about a million in all."""
    steps = [
        hourly[hour] * (4 - quarter) + hourly[(hour + 1) % 24] * quarter
        for hour in range(24)
        for quarter in range(4)
    ]
    return tuple(step * _WHOLE // sum(steps) for step in steps)


# Percent of a usual hour, midnight first: a household with an evening peak, and a roof at noon.
_HOUSEHOLD: Final = _shape(
    (
        *(55, 45, 40, 38, 40, 50, 80, 115, 110, 95, 90, 95),
        *(105, 100, 90, 90, 105, 140, 180, 190, 175, 150, 110, 75),
    )
)
_ROOF: Final = _shape(
    (
        *(0, 0, 0, 0, 0, 0, 5, 25, 60, 100, 135, 155),
        *(160, 150, 130, 95, 55, 20, 5, 0, 0, 0, 0, 0),
    )
)


@dataclass(frozen=True, slots=True)
class _Curve:
    weights: tuple[int, ...]
    totals: tuple[int, ...]
    """Running sum of the weights, from 0: one more than there are slots."""
    rooms: tuple[int, ...]
    """How far each start of a slot may be moved; not at all at midnight."""


_WEIGHTS: Final = {DELIVERED: _HOUSEHOLD, RECEIVED: _ROOF}


@lru_cache(maxsize=256)
def _curve(quantity: str, slots: tuple[int, ...]) -> _Curve:
    """The shape of a day with these quarter hours of the clock."""
    weights = tuple(_WEIGHTS[quantity][slot] for slot in slots)
    rooms = (0, *(min(pair) // 2 for pair in pairwise(weights)))
    return _Curve(weights, tuple(accumulate(weights, initial=0)), rooms)


def quantities(meter: Meter) -> tuple[str, ...]:
    """The channels this meter records."""
    return (DELIVERED, RECEIVED) if meter.generates else (DELIVERED,)


@lru_cache(maxsize=4_096)
def _daily(seed: int, esn: str, quantity: str) -> int:
    """Watt-hours of a usual day: 8 to 32 kWh taken, a third of that given."""
    usual = 8_000 + number(seed, esn, quantity, "daily") % 24_000
    return usual if quantity == DELIVERED else usual // 3


@lru_cache(maxsize=4_096)
def _noise(seed: int, esn: str, quantity: str, day: int) -> bytes:
    return shake_128(f"{seed}|{esn}|{quantity}|{day}".encode()).digest(SLOTS + 1)


def _day_start(seed: int, esn: str, quantity: str, day: int) -> int:
    """Micro-shares of Wh (1e-6 Wh) counted before the day. Two days differ by half at most."""
    if day <= 0:
        return 0
    daily = _daily(seed, esn, quantity) * _WHOLE
    return daily * day + daily // 2 * _noise(seed, esn, quantity, day)[SLOTS] // 256


def _counted(seed: int, meter: Meter, quantity: str, seconds: int) -> int:
    """Watt-hours since EPOCH with the supply never off. Never falls."""
    if seconds <= 0:
        return 0
    before = _since_midnight(seed, meter, quantity, 0) if meter.zone != "UTC" else 0
    return _since_midnight(seed, meter, quantity, seconds) - before


def _since_midnight(seed: int, meter: Meter, quantity: str, seconds: int) -> int:
    """Watt-hours since the midnight with which the meter's first day began."""
    day = day_at(meter.zone, seconds)
    slot, within = divmod(seconds - day.start, SLOT_S)
    start = _day_start(seed, meter.esn, quantity, day.number)
    length = _day_start(seed, meter.esn, quantity, day.number + 1) - start
    here = _boundary(seed, meter.esn, quantity, day, slot)
    share = here
    if within:
        there = _boundary(seed, meter.esn, quantity, day, slot + 1)
        share += (there - here) * within // SLOT_S
    return (start + length * share // _curve(quantity, day.slots).totals[-1]) // _WHOLE


def _boundary(seed: int, esn: str, quantity: str, day: LocalDay, slot: int) -> int:
    """Share of the day that is over at the start of `slot`.

    Moved by less than half of the smaller neighbour, so that no interval can be negative.
    """
    curve = _curve(quantity, day.slots)
    if slot == len(day.slots):
        return curve.totals[slot]
    moved = _noise(seed, esn, quantity, day.number)[slot % SLOTS]
    return curve.totals[slot] + curve.rooms[slot] * moved // 256


def _seconds(at: datetime) -> int:
    return int(at.timestamp()) - _EPOCH_S


def total_wh(meter: Meter, quantity: str, at: datetime, *, seed: int) -> int:
    """The register at `at`: watt-hours since EPOCH, less what the switch or an outage kept back."""
    until = _seconds(at)
    total = _counted(seed, meter, quantity, until)
    for start, end in _without_supply(meter, at):
        first, last = _seconds(start), min(_seconds(end), until)
        if last > max(first, 0):
            total -= _counted(seed, meter, quantity, last)
            total += _counted(seed, meter, quantity, first)
    return total


def _without_supply(meter: Meter, at: datetime) -> list[tuple[datetime, datetime]]:
    """Periods without energy, merged so that none counts twice."""
    periods = sorted((*meter.off, *meter.outages))
    if meter.open_since is not None and meter.open_since < at:
        periods = sorted((*periods, (meter.open_since, at)))
    merged: list[tuple[datetime, datetime]] = []
    for start, end in periods:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


class Interval(NamedTuple):
    """`end` in UTC, energy in Wh, and the words of dat:ProfileStatus that apply.

    `extended` are those of dat:ExtendedProfileStatus.
    """

    end: datetime
    wh: int
    statuses: tuple[str, ...]
    extended: tuple[str, ...] = ()


def intervals(
    meter: Meter, quantity: str, *, start: datetime, end: datetime, seed: int
) -> Iterator[Interval]:
    """The whole quarter hours inside [start, end], oldest first."""
    first = -(-int(start.timestamp()) // SLOT_S)
    last = int(end.timestamp()) // SLOT_S
    interrupted = bool(meter.off or meter.outages or meter.open_since)
    before = _total_at(meter, quantity, first * SLOT_S, seed) if first < last else 0
    for day, slots in _days(first + 1, last + 1, meter.zone):
        ends = _ends(_EPOCH_SLOT + day.start // SLOT_S + slots.start, len(slots))
        if interrupted:
            totals = [total_wh(meter, quantity, at, seed=seed) for at in ends]
        else:
            totals = _day_totals(seed, meter, quantity, day, slots)
        used = map(sub, totals, (before, *totals))
        if meter.outages:
            yield from map(Interval, ends, used, (_statuses(meter, at) for at in ends))
        else:
            yield from map(Interval, ends, used, repeat(()))
        before = totals[-1]


def _days(first: int, last: int, zone: str) -> Iterator[tuple[LocalDay, range]]:
    """Quarter hours from `first` to before `last`, since 1970, as days and slots in them."""
    while first < last:
        seconds = first * SLOT_S - _EPOCH_S
        day = day_at(zone, seconds)
        slot = (seconds - day.start) // SLOT_S
        upto = min(len(day.slots), slot + last - first)
        yield day, range(slot, upto)
        first += upto - slot


@lru_cache(maxsize=512)
def _ends(first: int, count: int) -> tuple[datetime, ...]:
    """The moments of `count` quarter hours from `first` on, since 1970. Alike for all meters."""
    return tuple(
        datetime.fromtimestamp(quarter * SLOT_S, UTC) for quarter in range(first, first + count)
    )


def _day_totals(seed: int, meter: Meter, quantity: str, day: LocalDay, slots: range) -> list[int]:
    """`_counted` at the start of each of these quarter hours of one day, all at once."""
    if day.number < 0 or day.start < 0:
        starts = (day.start + slot * SLOT_S for slot in slots)
        return [_counted(seed, meter, quantity, at) for at in starts]
    start = _day_start(seed, meter.esn, quantity, day.number)
    length = _day_start(seed, meter.esn, quantity, day.number + 1) - start
    noise = _noise(seed, meter.esn, quantity, day.number)
    if len(day.slots) > SLOTS:
        noise = noise[:SLOTS] * 2
    before = _since_midnight(seed, meter, quantity, 0) if meter.zone != "UTC" else 0
    curve = _curve(quantity, day.slots)
    whole = curve.totals[-1]
    some = slice(slots.start, slots.stop)
    return [
        (start + length * (total + room * moved // 256) // whole) // _WHOLE - before
        for total, room, moved in zip(
            curve.totals[some], curve.rooms[some], noise[some], strict=False
        )
    ]


def _total_at(meter: Meter, quantity: str, moment: int, seed: int) -> int:
    return total_wh(meter, quantity, datetime.fromtimestamp(moment, UTC), seed=seed)


def _statuses(meter: Meter, end: datetime) -> tuple[str, ...]:
    start = end - INTERVAL
    dark = sum(
        max(0.0, (min(end, to) - max(start, since)).total_seconds()) for since, to in meter.outages
    )
    if dark <= 0:
        return ()
    if dark < INTERVAL.total_seconds():
        return ("PartialInterval", "PowerFailure")
    return ("PowerFailure",)
