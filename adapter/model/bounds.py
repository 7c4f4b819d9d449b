"""What a number among the settings may be, written beside its type.

idle_s: Annotated[PositiveSeconds, "a connection without a request is closed after so long"]
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from adapter.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """`least` or more, or more than `above`; at most `most`. Of a list, the number of entries."""

    most: float
    least: float | None = None
    above: float | None = None
    noun: str = ""

    def allow(self, number: float) -> bool:
        # As a positive answer, for that not-a-number compares as false.
        low = self.least is None or number >= self.least
        return low and (self.above is None or number > self.above) and number <= self.most

    def __str__(self) -> str:
        if self.least is not None:
            return f"from {self.least:g} to {_plain(self.most)}"
        return f"more than {self.above:g}, at most {_plain(self.most)}"


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"


LONGEST_S: Final = 100 * 366 * 86_400
"""A hundred years: what is longer leaves no date to wait for."""

MOST: Final = 2**53
"""The largest whole number that every reader of JSON keeps exact."""

KIB, MIB, GIB, TIB = (1024**power for power in (1, 2, 3, 4))

Seconds = Annotated[float, Bounds(least=0, most=LONGEST_S)]
PositiveSeconds = Annotated[float, Bounds(above=0, most=LONGEST_S)]
Days = Annotated[float, Bounds(least=0, most=LONGEST_S // 86_400)]
Port = Annotated[int, Bounds(least=0, most=65_535, noun="a port")]
Count = Annotated[int, Bounds(least=1, most=10_000_000)]
CountOrZero = Annotated[int, Bounds(least=0, most=10_000_000)]
"""0 is none, or without limit, as its help says."""
Seed = Annotated[int, Bounds(least=0, most=MOST)]
Share = Annotated[float, Bounds(least=0, most=1)]
Body = Annotated[int, Bounds(least=1, most=64 * MIB)]
"""Bytes of what is held in memory as a whole."""


def unwrapped(hint: object) -> tuple[Any, tuple[object, ...], bool]:
    """The bare type of an annotation, its notes, and whether it may be None."""
    notes: list[object] = []
    optional = False
    while True:
        if get_origin(hint) is Annotated:
            hint, *more = get_args(hint)
            notes.extend(more)
        elif get_origin(hint) in (Union, UnionType):
            parts = [part for part in get_args(hint) if part is not type(None)]
            optional, hint = True, parts[0]
        else:
            return hint, tuple(notes), optional


def bounds_in(notes: tuple[object, ...]) -> Bounds | None:
    return next((note for note in notes if isinstance(note, Bounds)), None)


def check_bounds(value: object) -> None:
    """Raises SettingsError for the first field of a settings class that is out of its bounds."""
    of_type: Any = type(value)
    for name, bounds in _bounded(of_type):
        number = getattr(value, name)
        if isinstance(number, int | float) and not bounds.allow(number):
            raise SettingsError(f"{name}: must be {bounds}")


@lru_cache(maxsize=64)
def _bounded(kind: Any) -> tuple[tuple[str, Bounds], ...]:
    return tuple(_bounds_of(kind))


def _bounds_of(kind: type) -> Iterator[tuple[str, Bounds]]:
    hints = get_type_hints(kind, include_extras=True)
    for item in fields(kind):
        if (bounds := bounds_in(unwrapped(hints[item.name])[1])) is not None:
            yield item.name, bounds
