"""What messages have in common is stored once: the skeleton. A row has its number and the values.

The same call or callback differs from command to command in a few texts: a token, an endpoint, a
time. Cutting these out takes a quarter of what compressing takes, and less is left to be written.
A skeleton is learned from what was met a few times, and never changes or goes.
"""

import re
import zlib
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Final

from adapter.store.connection import SqlConnection

FIRST: Final = 16
"""Numbers below are forms that need no skeleton (compression.py)."""

_CUT: Final = b"\0"
"""Stands in a skeleton for each value, and between the values of a row: XML and JSON have none."""

_LONGEST: Final = 4096
_MOST_PARTS: Final = 129
_MET: Final = 3
"""So often it is met before it is learned: what is met once is not going to help."""

_MOST_MET: Final = 256
_MOST: Final = 512
"""Skeletons: two megabytes at most."""

INSERT: Final = "INSERT INTO skeleton (number, text) VALUES (?, ?)"
ALL: Final = "SELECT number, text FROM skeleton ORDER BY number"


@dataclass(frozen=True, slots=True)
class Values:
    """Where texts of one kind have values: `pattern` has one group, `cut` takes its place."""

    pattern: re.Pattern[bytes]
    cut: bytes


IN_XML: Final = Values(re.compile(rb">([^<]+)<"), b">\0<")
"""All text of elements."""

IN_JSON: Final = Values(
    re.compile(rb'"([^"\\0-9]*+(?:[0-9][^"\\0-9]++)*+[0-9]{2}[^"\\]*+)"'), b'"\0"'
)
"""Strings with two digits side by side: names of things and times, but not the words of a table."""


class Skeletons:
    """Those of a file, for the one thread that writes it."""

    def __init__(self, known: dict[bytes, int] | None = None) -> None:
        self._known = known or {}
        self._met: dict[bytes, int] = {}

    @classmethod
    def of(cls, connection: SqlConnection) -> "Skeletons":
        return cls({text: number for number, text in connection.execute(ALL)})

    def __len__(self) -> int:
        return len(self._known)

    def forget(self, length: int) -> None:
        """Those learned since there were so many: they are undone."""
        while len(self._known) > length:
            self._known.popitem()

    def parted(
        self, connection: SqlConnection, text: bytes, values: Values
    ) -> tuple[int, bytes] | None:
        """The skeleton's number and the values; None: there is none for this text."""
        number = self._known.get(text)
        if number is not None:
            return (number, b"") if _CUT not in text else None
        if len(text) > _LONGEST or _CUT in text:
            return None
        parts = values.pattern.split(text)
        if len(parts) > _MOST_PARTS:
            return None
        skeleton = values.cut.join(parts[::2])
        number = self._known.get(skeleton) or self._meet(connection, skeleton)
        return None if number is None else (number, _CUT.join(parts[1::2]))

    def _meet(self, connection: SqlConnection, skeleton: bytes) -> int | None:
        met = self._met.pop(skeleton, 0) + 1
        if met >= _MET and len(self._known) < _MOST:
            number = FIRST + len(self._known)
            connection.execute(INSERT, (number, skeleton))
            self._known[skeleton] = number
            return number
        self._met[skeleton] = met
        if len(self._met) > _MOST_MET:
            del self._met[next(iter(self._met))]
        return None


def whole(skeleton: bytes | None, values: bytes) -> bytes:
    """The text. Raises zlib.error, as what is compressed does, where it is damaged."""
    if skeleton is None:
        raise zlib.error("the skeleton of the text is missing")
    parts = skeleton.split(_CUT)
    inside = values.split(_CUT) if len(parts) > 1 else []
    if len(parts) != len(inside) + 1 or (values and not inside):
        raise zlib.error(f"{len(parts) - 1} values belong into the text, {len(inside)} are there")
    return b"".join(chain.from_iterable(zip_longest(parts, inside, fillvalue=b"")))
