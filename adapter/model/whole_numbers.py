"""Whole numbers from outside: how they are written, and which of them a type holds.

What is read from a message has the range of the contract's type, what is the number of a row that
of the store's keys. A number outside is refused where it is read: behind that nothing asks again.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

_FORM: Final = re.compile(r"[+-]?[0-9]{1,40}")


class Span(NamedTuple):
    """All whole numbers from `least` to `most`, both included."""

    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.least} to {self.most}"

    def holds(self, number: int) -> bool:
        return self.least <= number <= self.most


_BITS: Final = MappingProxyType({"byte": 8, "short": 16, "int": 32, "long": 64})
LONG: Final = Span(-(2**63), 2**63 - 1)
ROW: Final = Span(1, 2**63 - 1)
"""Numbers of rows in the store."""
CURSOR: Final = Span(0, 2**63 - 1)
"""A place before the first row, or at one."""

XS_INTEGERS: Final[Mapping[str, Span]] = MappingProxyType(
    {name: Span(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for name, bits in _BITS.items()}
    | {f"unsigned{name.capitalize()}": Span(0, 2**bits - 1) for name, bits in _BITS.items()}
    | {
        "integer": LONG,
        "nonNegativeInteger": Span(0, LONG.most),
        "positiveInteger": ROW,
        "nonPositiveInteger": Span(LONG.least, 0),
        "negativeInteger": Span(LONG.least, -1),
    }
)
"""By the local name of the XML Schema type. Those without bounds have the store's and .NET's."""


def read_whole(text: str, span: Span) -> int:
    """The number that `text` is. Raises ValueError, which names the range."""
    text = text.strip()
    if _FORM.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is not a whole number, {span}")
    number = int(text)
    if not span.least <= number <= span.most:
        raise ValueError(f"{text[:40]} is not in {span}")
    return number
