"""Seeds to measurements: lookups first, then times, numbers and conditions. Exact arithmetic."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Context, Decimal, InvalidOperation
from typing import Final

from adapter.commands.calls import ReadingKind
from adapter.model.date_time import read_date_time
from adapter.model.measurement import REGULAR
from adapter.readings.conditions import UNKNOWN_STATUS
from adapter.readings.lookups import Lookups, Quantity
from adapter.readings.seeds import Normal, RejectedSeed, Row, Seed, Unmapped

_MOST_DIGITS: Final = 60
_EXACT: Final = Context(prec=4 * _MOST_DIGITS)
_ONE: Final = Decimal(1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FIRST: Final = (datetime(1900, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST: Final = (datetime(9000, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


class _Bad(Exception):
    def __init__(self, why: Unmapped, detail: str) -> None:
        super().__init__(detail)
        self.why = why
        self.detail = detail


def normalise(seed: Seed, lookups: Lookups, *, part: int = 0) -> Normal | RejectedSeed:
    """Both stages for one seed. All its values become rows, or none does; an interval of which
    nothing is told has none."""
    quantity = lookups.quantity(seed.quantity)
    if quantity is None:
        return RejectedSeed(why=Unmapped.QUANTITY, detail=seed.quantity[:100], seed=seed)
    try:
        return _normal(seed, quantity, lookups, part)
    except _Bad as bad:
        return RejectedSeed(why=bad.why, detail=bad.detail, seed=seed)


def _normal(seed: Seed, quantity: Quantity, lookups: Lookups, part: int) -> Normal:
    zone = lookups.zone_of(seed.device_class)
    end = micros_of(seed.at, zone)
    pulse = _pulse(seed)
    interval = seed.kind is ReadingKind.INTERVAL
    if interval and seed.texts and not 0 < seed.minutes <= 527_040:
        raise _Bad(Unmapped.LENGTH, f"{seed.minutes} minutes")
    step = seed.minutes * 60_000_000 if interval else 0
    first = end - step * (len(seed.texts) - 1)
    if first < _EARLIEST:
        raise _Bad(Unmapped.TIME, f"{len(seed.texts)} intervals end at {seed.at[:40]}")
    rows = _rows(seed, first, step, pulse, quantity.multiplier, lookups)
    return Normal(
        identifier=seed.identifier,
        serial=seed.serial,
        kind=seed.kind,
        quantity=quantity.name,
        source=seed.source,
        seconds=seed.minutes * 60 if interval else 0,
        unit=quantity.unit,
        tou=quantity.tou,
        sqi=quantity.sqi,
        conversion=_conversion(seed, quantity, pulse, zone),
        rows=rows,
        start=first - step,
        end=end,
        part=part,
        position=seed.position,
    )


def awaited(seed: Seed, lookups: Lookups) -> Normal | None:
    """Where and when the values of a seed belong, whatever its numbers say: the rows count by
    their times only. None where the seed does not tell."""
    interval = seed.kind is ReadingKind.INTERVAL
    texts = tuple("0" if text or not interval else "" for text in seed.texts)
    readable = replace(seed, texts=texts, pulse="1")
    found = normalise(readable, lookups)
    return found if isinstance(found, Normal) else None


def seed_of(normal: Normal) -> Seed:
    """A seed that gives these values again, for when they cannot be stored yet."""
    step = normal.seconds * 1_000_000
    texts = [""] * ((normal.end - normal.start) // step if step else len(normal.rows))
    statuses: dict[int, tuple[str, ...]] = {}
    for number, (at, _, external, _, words) in enumerate(normal.rows):
        index = (at - normal.start) // step - 1 if step else number
        texts[index] = external or ""
        if words:
            statuses[index] = tuple(words.split(","))
    return Seed(
        identifier=normal.identifier,
        serial=normal.serial,
        kind=normal.kind,
        quantity=normal.quantity,
        source=normal.source,
        at=(_EPOCH + timedelta(microseconds=normal.end)).isoformat(),
        minutes=normal.seconds // 60,
        texts=tuple(texts),
        statuses=statuses,
        position=normal.position,
    )


_EARLIEST: Final = (datetime(1900, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND


def _rows(
    seed: Seed, first: int, step: int, pulse: Decimal, multiplier: Decimal, lookups: Lookups
) -> list[Row]:
    """One row a value. The common case, a plain number without a status, is kept short."""
    factor = _EXACT.multiply(pulse, multiplier)
    multiply, statuses = _EXACT.multiply, seed.statuses
    rows: list[Row] = []
    at = first
    for index, text in enumerate(seed.texts):
        if not text and step:
            at += step
            continue
        external = _number(text)
        value = text_of(multiply(external, factor))
        told = text if pulse == _ONE else text_of(multiply(external, pulse))
        words = statuses.get(index) if statuses else None
        if words:
            kept, condition = judge(words, lookups)
            rows.append((at, value if kept else None, told, condition, ",".join(words)))
        else:
            rows.append((at, value, told, REGULAR, ""))
        at += step
    return rows


def judge(words: tuple[str, ...], lookups: Lookups) -> tuple[bool, int]:
    """Whether the number of an interval with these statuses counts, and its condition code."""
    conditions = [lookups.conditions.get(word, UNKNOWN_STATUS) for word in words]
    return lookups.without_value.isdisjoint(words), min(conditions, default=REGULAR)


def _number(text: str) -> Decimal:
    """Every way a numeric xs type is written; not NaN, infinity, words or absurd exponents."""
    if _NUMBER.fullmatch(text.strip()) is None:
        raise _Bad(Unmapped.NUMBER, text[:60] or "no value")
    number = Decimal(text.strip())
    if len(text) > 2 * _MOST_DIGITS or abs(number.adjusted()) > _MOST_DIGITS:
        raise _Bad(Unmapped.NUMBER, text[:60])
    return number


def text_of(number: Decimal) -> str:
    """A number's one text: no exponent, no zeros that say nothing, no minus before zero."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _pulse(seed: Seed) -> Decimal:
    if seed.scaled or seed.kind is ReadingKind.REGISTER:
        return _ONE
    try:
        pulse = Decimal(seed.pulse.strip())
    except InvalidOperation:
        raise _Bad(Unmapped.PULSE, seed.pulse[:60]) from None
    if not pulse.is_finite() or abs(pulse.adjusted()) > 20:
        raise _Bad(Unmapped.PULSE, seed.pulse[:60])
    return pulse


def micros_of(text: str, zone: tzinfo) -> int:
    """An xs:dateTime of the years 1900 to 8999 as microseconds since 1970 (UTC).

    Without an offset the time is in `zone`: the first of two where the clock is set back, and the
    offset from before the gap where it is set forward.
    """
    text = text.strip()
    try:
        found = (read_date_time(text, zone) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        raise _Bad(Unmapped.TIME, text[:40]) from None
    if not _FIRST <= found < _LAST:  # also the time that nobody set
        raise _Bad(Unmapped.TIME, text[:40])
    return found


def _conversion(seed: Seed, quantity: Quantity, pulse: Decimal, zone: tzinfo) -> str:
    words = [f"{quantity.name} x {text_of(quantity.multiplier)} = {quantity.unit}"]
    if pulse != _ONE:
        words.append(f"pulses x {text_of(pulse)}")
    if not seed.at.rstrip().endswith("Z") and not _DATE_TIME_OFFSET.search(seed.at):
        words.append(f"time without offset read in {zone}")
    return "; ".join(words)


_DATE_TIME_OFFSET: Final = re.compile(r"[+-]\d\d:\d\d\s*$")


def moment_of(text: str, zone: tzinfo) -> int | None:
    """As `micros_of`, and None for what is no time."""
    try:
        return micros_of(text, zone)
    except _Bad:
        return None
