"""Seeds to measurements: lookups first, then times, numbers and conditions. Exact arithmetic."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Context, Decimal, localcontext
from functools import lru_cache
from itertools import repeat
from typing import Final, TypeAlias

from adapter.commands.calls import ReadingKind
from adapter.model.date_time import read_date_time
from adapter.model.decimals import read_decimal
from adapter.model.entered_value import BOUND, MOST_PLACES, is_bounded
from adapter.model.measurement import REGULAR
from adapter.model.values import replace
from adapter.readings.conditions import CLOCK, DAYLIGHT, SUSPECT, UNKNOWN_STATUS
from adapter.readings.lookups import Lookups, Quantity
from adapter.readings.seeds import Normal, RejectedSeed, Row, Seed, Unmapped

_LONGEST_NUMBER: Final = 60
_EXACT: Final = Context(prec=240)
_ONE: Final = Decimal(1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY_MINUTES: Final = 1_440
_MOST_NUMBERS: Final = 2_048
_MOST_SCALES: Final = 8
_PLAIN_ONE: Final = r"-?[0-9]{1,15}(?:\.[0-9]{1,13})?"
_PLAIN: Final = re.compile(f"{_PLAIN_ONE}(?:,{_PLAIN_ONE})*+")
"""Digits, perhaps with a point between, and commas between them: in the bound, and written out."""
_Number: TypeAlias = tuple[str, str, int]
"""(value, head_end_value, condition)"""
_FIRST: Final = (datetime(1900, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST: Final = (datetime(9000, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND


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
    end = _end_of(seed, zone)
    if lookups.is_adjusted(seed.device_class):
        _check_daylight(seed, end.at, zone)
    pulse = _pulse(seed)
    interval = seed.kind is ReadingKind.INTERVAL
    if interval and seed.texts and not 0 < seed.minutes <= 527_040:
        raise _Bad(Unmapped.LENGTH, f"{seed.minutes} minutes")
    times = _times(seed, end, zone) if interval else (end.at, end.at)
    if times[0] < _FIRST:
        raise _Bad(Unmapped.TIME, f"{len(seed.texts)} intervals end at {seed.at[:40]}")
    rows = _rows(seed, times[1:], pulse, quantity, lookups)
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
        conversion=_conversion(seed, quantity, pulse, zone) + end.words,
        rows=rows,
        start=times[0],
        end=end.at,
        at=seed.at,
        device_class=seed.device_class,
        later=end.later,
        doubtful=end.doubtful,
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
    half = step // 2  # days are an hour longer or shorter where the clock is set
    length = (normal.end - normal.start + half) // step if step else len(normal.rows)
    texts = [""] * length
    statuses: dict[int, tuple[str, ...]] = {}
    for number, (at, _, external, _, words) in enumerate(normal.rows):
        index = (at - normal.start + half) // step - 1 if step else number
        texts[index] = external or ""
        if words:
            statuses[index] = tuple(words.split(","))
    return Seed(
        identifier=normal.identifier,
        serial=normal.serial,
        kind=normal.kind,
        quantity=normal.quantity,
        source=normal.source,
        device_class=normal.device_class,
        at=normal.at or (_EPOCH + timedelta(microseconds=normal.end)).isoformat(),
        minutes=normal.seconds // 60,
        texts=tuple(texts),
        statuses=statuses,
        position=normal.position,
    )


def _rows(
    seed: Seed, times: Sequence[int], pulse: Decimal, quantity: Quantity, lookups: Lookups
) -> list[Row]:
    """One row a value. The common case, numbers without a status, is kept short."""
    texts, statuses = seed.texts, seed.statuses
    if seed.kind is ReadingKind.INTERVAL and "" in texts:
        texts = tuple(filter(None, texts))
    known = _numbers_at(pulse, quantity.multiplier, quantity.one_way).known(texts)
    if not statuses and len(texts) == len(seed.texts):
        numbers = map(known.__getitem__, texts)
        return [
            (at, value, external, condition, "")
            for at, (value, external, condition) in zip(times, numbers, strict=True)
        ]
    judged = {words: judge(words, lookups) for words in {(), *statuses.values()}}
    rows: list[Row] = []
    for index, (at, text) in enumerate(zip(times, seed.texts, strict=True)):
        if text:
            words = statuses.get(index, ())
            kept, worst = judged[words]
            value, external, usual = known[text]
            rows.append((at, value if kept else None, external, min(worst, usual), ",".join(words)))
    return rows


class _Numbers:
    """What a row has of a number, by its text, at one scale. What is below zero where nothing can
    be is not regular.

    A number is judged and multiplied when it comes first, and some thousand are remembered.
    """

    def __init__(self, pulse: Decimal, multiplier: Decimal, one_way: bool) -> None:
        self._pulse = pulse
        self._factor = _EXACT.multiply(pulse, multiplier)
        self._below_zero = SUSPECT if one_way else REGULAR
        self._known: dict[str, _Number] = {}

    def known(self, texts: Sequence[str]) -> Mapping[str, _Number]:
        """These numbers, and others. Raises _Bad for the first that is none."""
        known = self._known
        if all(map(known.__contains__, texts)):
            return known
        if len(known) > _MOST_NUMBERS:
            known = self._known = {}
        new = [text for text in texts if text not in known]
        known.update(zip(new, self._judged(new), strict=True))
        return known

    def _judged(self, texts: Sequence[str]) -> Iterable[_Number]:
        listed = ",".join(texts)
        plain = listed.count(",") == len(texts) - 1 and _PLAIN.fullmatch(listed) is not None
        with localcontext(_EXACT):
            numbers = list(map(Decimal if plain else _number, texts))
            values = _texts_of([number * self._factor for number in numbers])
            externals: Iterable[str] = texts
            if self._pulse != _ONE:
                externals = _texts_of([number * self._pulse for number in numbers])
            elif not plain:
                externals = map(_written_out, texts, numbers)
        usual: Iterable[int] = repeat(REGULAR, len(texts))
        if "-" in listed:
            usual = [self._below_zero if number < 0 else REGULAR for number in numbers]
        return zip(values, externals, usual, strict=True)


_numbers_at: Final = lru_cache(maxsize=_MOST_SCALES)(_Numbers)


def judge(words: tuple[str, ...], lookups: Lookups) -> tuple[bool, int]:
    """Whether the number of an interval with these statuses counts, and its condition code."""
    conditions = [lookups.conditions.get(word, UNKNOWN_STATUS) for word in words]
    return lookups.without_value.isdisjoint(words), min(conditions, default=REGULAR)


def _number(text: str) -> Decimal:
    """Every way a numeric xs type is written; not NaN, infinity, words or absurd exponents."""
    try:
        number = read_decimal(text)
    except ValueError:
        raise _Bad(Unmapped.NUMBER, text[:60] or "no value") from None
    if (len(text) > MOST_PLACES or _has_exponent(text)) and not is_bounded(number):
        raise _Bad(Unmapped.NUMBER, f"{text[:60]} is too long: {BOUND}")
    return number


def _has_exponent(text: str) -> bool:
    return "e" in text or "E" in text


def _written_out(text: str, number: Decimal) -> str:
    """A number as it came, where it came without an exponent and with digits around its point."""
    odd = _has_exponent(text) or text[-1] == "." or text.startswith(("+", ".", "-."))
    return text_of(number) if odd else text


def text_of(number: Decimal) -> str:
    """A number's one text: no exponent, no zeros that say nothing, no minus before zero."""
    text = str(number)
    if "E" in text:
        text = format(number, "f")
    if text[-1] == "0" and "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _texts_of(numbers: Sequence[Decimal]) -> list[str]:
    """As `text_of`. Most are written so already: this is the hot path."""
    return [
        text if text[-1] != "0" and "E" not in text else text_of(number)
        for number, text in zip(numbers, map(str, numbers), strict=True)
    ]


def _pulse(seed: Seed) -> Decimal:
    if seed.scaled or seed.kind is ReadingKind.REGISTER:
        return _ONE
    text = seed.pulse.strip()
    if not text:
        raise _Bad(Unmapped.PULSE, "is missing, and the values are pulses")
    if len(text) > _LONGEST_NUMBER:
        raise _Bad(Unmapped.PULSE, text[:60])
    try:
        pulse = read_decimal(text)
    except ValueError:
        raise _Bad(Unmapped.PULSE, text[:60]) from None
    if pulse <= 0:
        raise _Bad(Unmapped.PULSE, f"{text[:60]} is not above zero")
    if abs(pulse.adjusted()) > 20 or not is_bounded(pulse):
        raise _Bad(Unmapped.PULSE, text[:60])
    return pulse


@dataclass(frozen=True, slots=True)
class _End:
    """When a seed ends, and what else it may be: see `Normal`."""

    at: int
    later: int = 0
    doubtful: bool = False
    words: str = ""


def _end_of(seed: Seed, zone: tzinfo) -> _End:
    """Of two times with one text, the contract's daylight flag tells which: with it the first. It
    is the last interval's that counts. Where no interval has it, perhaps the device never says it.
    """
    first = micros_of(seed.at, zone, day_end=_is_of_days(seed))
    later = 0 if isinstance(zone, timezone) else _later(seed.at.strip(), zone)
    if not later:
        return _End(first)
    flagged = {index for index, words in seed.statuses.items() if DAYLIGHT in words}
    if seed.kind is ReadingKind.REGISTER or not flagged:
        return _End(first, later, doubtful=True)
    if len(seed.texts) - 1 not in flagged:
        return _End(first + later, words=SECOND)
    # Ending with daylight saving time itself, a flag may also mean the interval before that moment.
    edge = _later(_text_before(seed.at, zone), zone) == 0
    return _End(first, later if edge else 0, words=FIRST)


def _is_of_days(seed: Seed) -> bool:
    return seed.minutes > 0 and seed.minutes % _DAY_MINUTES == 0


def _check_daylight(seed: Seed, end: int, zone: tzinfo) -> None:
    """Where a device says that it was daylight saving time, and the zone has none then, the time is
    read in the wrong zone: it would be another one's. The first and the last that say so decide."""
    flagged = [index for index, words in seed.statuses.items() if DAYLIGHT in words]
    if not flagged or _has_offset(seed.at):
        return
    step, last = seed.minutes * 60_000_000, max(len(seed.texts) - 1, 0)
    for index in (min(flagged), max(flagged)):
        at = end - step * (last - index)
        if not _FIRST <= at < _LAST:
            return  # is told elsewhere
        if not (_is_daylight(at, zone) or _is_daylight(at - 1, zone)):
            rule = f"{seed.at[:40]} has the status {DAYLIGHT}, and {zone} has no such time then"
            raise _Bad(Unmapped.TIME, f"{rule}: time.zone of the tables is not the meter's")


def _is_daylight(at: int, zone: tzinfo) -> bool:
    """By offsets, of which winter has the least: tzdata calls Dublin's summer standard time."""
    local = (_EPOCH + timedelta(microseconds=at)).astimezone(zone)
    usual = [
        datetime(local.year, month, 1, tzinfo=zone).utcoffset() or timedelta() for month in (1, 7)
    ]
    return (local.utcoffset() or timedelta()) > min(usual)


FIRST: Final = ", the first of two such times"
SECOND: Final = ", the second of two such times"
NOT_TOLD: Final = " (not told which)"


def at_second_time(normal: Normal) -> Normal:
    """The same values at the second of the two times that they may be of."""
    later = normal.later
    return replace(
        normal,
        rows=[(at + later, *rest) for at, *rest in normal.rows],  # type: ignore[misc]
        start=normal.start + later,
        end=normal.end + later,
        conversion=normal.conversion.removesuffix(FIRST) + SECOND,
        later=0,
        doubtful=False,
    )


def at_unsure_time(normal: Normal) -> Normal:
    """The same values under the condition of a clock that is not to be trusted."""
    return replace(
        normal,
        rows=[
            (at, value, external, min(condition, CLOCK), statuses)
            for at, value, external, condition, statuses in normal.rows
        ],
        conversion=normal.conversion + NOT_TOLD,
        later=0,
        doubtful=False,
    )


def _later(text: str, zone: tzinfo) -> int:
    """Microseconds to the second time with this text; 0 where there is one."""
    return max(_set_back(read_date_time(text, zone), zone), 0)


def _set_back(at: datetime, zone: tzinfo) -> int:
    """Microseconds by which the clock is set back at this time on the wall; below zero where it is
    set forward, and the time does not exist."""
    if at.tzinfo is not zone:
        return 0
    first, second = at.utcoffset(), at.replace(fold=1).utcoffset()
    assert first is not None
    assert second is not None
    return (first - second) // _MICROSECOND


def _text_before(text: str, zone: tzinfo) -> str:
    """The moment before on the wall."""
    return (read_date_time(text.strip(), zone).replace(tzinfo=None) - _MICROSECOND).isoformat()


def _times(seed: Seed, end: _End, zone: tzinfo) -> Sequence[int]:
    """When the intervals begin, and each one's end. Days on the wall are as long as they are."""
    number, step = len(seed.texts), seed.minutes * 60_000_000
    days, rest = divmod(seed.minutes, _DAY_MINUTES)
    local = None if rest or not number else read_date_time(seed.at.strip(), zone)
    if local is None or local.tzinfo is not zone:
        return range(end.at - step * number, end.at + 1, step or 1)
    try:
        before = [
            (local - timedelta(days=days * ago) - _EPOCH) // _MICROSECOND
            for ago in range(number, 0, -1)
        ]
    except OverflowError:
        raise _Bad(Unmapped.TIME, f"{number} intervals end at {seed.at[:40]}") from None
    return (*before, end.at)


def micros_of(text: str, zone: tzinfo, *, day_end: bool = False) -> int:
    """An xs:dateTime of the years 1900 to 8999 as microseconds since 1970 (UTC).

    Without an offset the time is in `zone`: the first of two where the clock is set back. Where it
    is set forward there is no such time: it would be the same as another one. A `day_end` may be
    the very moment at which it is set forward, as midnight in Santiago.
    """
    text = text.strip()
    try:
        at = read_date_time(text, zone)
        found = (at - _EPOCH) // _MICROSECOND
        absent = not isinstance(zone, timezone) and _set_back(at, zone) < 0
        if absent and day_end:
            absent = _set_back(at - _MICROSECOND, zone) < 0
    except (ValueError, OverflowError):
        raise _Bad(Unmapped.TIME, text[:40]) from None
    if absent:
        rule = f"does not exist in {zone}: the clock is set forward"
        raise _Bad(Unmapped.TIME, f"{text[:40]} {rule}")
    if not _FIRST <= found < _LAST:  # also the time that nobody set
        raise _Bad(Unmapped.TIME, text[:40])
    return found


def _conversion(seed: Seed, quantity: Quantity, pulse: Decimal, zone: tzinfo) -> str:
    words = [f"{quantity.name} x {text_of(quantity.multiplier)} = {quantity.unit}"]
    if pulse != _ONE:
        words.append(f"pulses x {text_of(pulse)}")
    if read_in := zone_words(seed.at, zone):
        words.append(read_in)
    return "; ".join(words)


def zone_words(text: str, zone: tzinfo) -> str:
    """What is said of a time whose offset was not told; empty where it was."""
    return "" if _has_offset(text) else f"time without offset read in {zone}"


def receipt_words(text: str, zone: tzinfo) -> str:
    """The same of what is told under the time of its receipt."""
    return "; ".join(filter(None, ("time of its receipt", zone_words(text, zone))))


def _has_offset(text: str) -> bool:
    return _OFFSET.search(text) is not None


_OFFSET: Final = re.compile(r"(Z|[+-]\d\d:\d\d)\s*$")


def second_moment_of(text: str, zone: tzinfo) -> int | None:
    """The second of the two times with this text; None where it is one time, or none."""
    if isinstance(zone, timezone) or (first := moment_of(text, zone)) is None:
        return None
    later = _later(text.strip(), zone)
    return first + later if later else None


def moment_of(text: str, zone: tzinfo) -> int | None:
    """As `micros_of`, and None for what is no time."""
    found = moment_or_problem(text, zone)
    return None if isinstance(found, str) else found


def moment_or_problem(text: str, zone: tzinfo) -> int | str:
    """As `micros_of`, and what is wrong with what is no time."""
    try:
        return micros_of(text, zone)
    except _Bad as bad:
        return bad.detail
