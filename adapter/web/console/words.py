"""How values are written on the pages: times, spans, counts, words."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import jinja2
from markupsafe import Markup

_NONE: Final = "–"
_BETWEEN: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def span(seconds: float | timedelta | None) -> str:
    """As `850 ms`, `12 s`, `4 min 10 s`, `3 h 20 min`, `2 d 4 h`."""
    if seconds is None:
        return _NONE
    s = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)
    if s < 1:
        return f"{max(s, 0.0) * 1000:.0f} ms"
    if s < 10:
        return f"{s:.1f} s"
    whole = round(s)
    for size, name, below, rest in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            more = whole % size // below
            return f"{whole // size} {name}" + (f" {more} {rest}" if more else "")
    return f"{whole} s"


def moment(at: datetime | None) -> Markup:
    """The time of day where it is today, with the date else; in UTC. The browser says in its title
    what that is where it stands."""
    if at is None:
        return Markup(_NONE)
    at = at.astimezone(UTC)
    return _time(at, f"{at:%Y-%m-%d %H:%M:%S}")


def _time(at: datetime, text: str) -> Markup:
    """Digits alone come in, so that nothing has to be escaped."""
    return Markup(f'<time datetime="{at:%Y-%m-%dT%H:%M:%SZ}">{text}</time>')


@jinja2.pass_context
def clock(context: jinja2.runtime.Context, at: datetime | None) -> Markup:
    """Short: without the date where that is today's."""
    if at is None:
        return Markup(_NONE)
    at, now = at.astimezone(UTC), context["now"]
    text = f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%m-%d %H:%M}"
    return _time(at, text)


@jinja2.pass_context
def age(context: jinja2.runtime.Context, at: datetime | None) -> str:
    """How long ago; `in ...` of what is still to come."""
    if at is None:
        return _NONE
    left = (context["now"] - at).total_seconds()
    return span(left) if left >= 0 else f"in {span(-left)}"


def count(value: float | Decimal | None) -> str:
    """With thin spaces between thousands."""
    if value is None:
        return _NONE
    whole = f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
    return whole.replace(",", "\u202f")


def share(part: float, whole: float) -> str:
    """In per cent; all but not quite all is never 100 %."""
    if not whole:
        return _NONE
    percent = 100 * part / whole
    if 99 < percent < 100:
        return f"{min(percent, 99.9):.1f} %"
    return f"{percent:.0f} %"


def size(octets: float | None) -> str:
    if octets is None:
        return _NONE
    for unit in ("B", "kB", "MB", "GB"):
        if abs(octets) < 1000:
            return f"{octets:.3g} {unit}"
        octets /= 1000
    return f"{octets:.3g} TB"


def word(value: object) -> str:
    """A name of the code as people read it: `not_sent` as `not sent`."""
    return str(value).replace("_", " ") if value not in (None, "") else _NONE


def words(name: str) -> str:
    """A name of an action as people read it: `StatusNotified` as `status notified`."""
    return _BETWEEN.sub(" ", name).lower()


def operation(name: str) -> str:
    """Of the head end, without its service."""
    service, _, short = name.rpartition(".")
    return short if service.endswith("Service") else name


def details(values: Mapping[str, object]) -> str:
    """What an entry of the audit says besides, in one line."""
    return "; ".join(
        _detail(name, value) for name, value in values.items() if value not in ("", [])
    )


def _detail(name: str, value: object) -> str:
    if name == "moves":
        return ", ".join(moves_of(value))
    return f"waits {waits_of(value)}" if name == "waits" else f"{name} {value}"


def waits_of(waits: object) -> str:
    """How long a step decided to wait (`commands/waits.py`)."""
    found = waits.values() if isinstance(waits, Mapping) else ()
    dates = [each for each in found if isinstance(each, Mapping)]
    return ", ".join(f"{word(name)} {s:g} s" for each in dates for name, s in each.items())


def moves_of(moves: object) -> Sequence[str]:
    """States that were left for others, of an entry of the audit; without ids."""
    found = moves if isinstance(moves, list | tuple) else ()
    return [f"{was or 'new'} → {now}".replace("_", " ") for _, was, now in found]


def twice(value: object) -> tuple[object, object]:
    """Of a list whose values are read as they are."""
    return value, value


def per_second(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 0.05 else "0"


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "span": span,
    "moment": moment,
    "clock": clock,
    "age": age,
    "count": count,
    "share": share,
    "size": size,
    "word": word,
    "per_second": per_second,
    "words": words,
    "operation": operation,
    "details": details,
    "twice": twice,
}
