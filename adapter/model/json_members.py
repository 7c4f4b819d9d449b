"""JSON from outside, in which no member of an object stands twice.

Readers differ in which of two they take; so a proxy or a log would see another request than the
gateway. Two spellings of one name (`"a"`, `"\\u0061"`) are one name.
"""

import json
from collections.abc import Callable
from typing import Final, NoReturn

MOST_ITEMS: Final = 100_000
"""Of one list: whoever names more has put together several requests."""
_SHOWN: Final = 100


class RepeatedMember(ValueError):
    """`name` stands twice in one object."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the member {name[:_SHOWN]!r} stands twice in one object")
        self.name = name


class LongList(ValueError):
    """The list `name` has more than MOST_ITEMS items."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the list {name[:_SHOWN]!r} has more than {MOST_ITEMS} items")
        self.name = name


def json_value(raw: bytes | str, *, number: Callable[[str], object] | None = None) -> object:
    """The value that a document is: UTF-8, with or without a mark before it. `number` makes the
    numbers from their texts. Raises ValueError, which is RepeatedMember for that."""
    text = raw.decode("utf-8-sig") if isinstance(raw, bytes) else raw.removeprefix("\ufeff")
    try:
        return json.loads(
            text,
            object_pairs_hook=_once,
            parse_int=number,
            parse_float=number,
            parse_constant=_refuse,
        )
    except RecursionError:
        raise ValueError("lists or objects are nested too deep") from None


def check_members(raw: bytes) -> None:
    """For bodies that another reader reads: raises ValueError, RepeatedMember and LongList among
    them. That reader would look at each item of a list before it counted them."""
    try:
        json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_nothing,
            parse_int=_nothing_of,
            parse_float=_nothing_of,
            parse_constant=_refuse,
        )
    except RecursionError:
        raise ValueError("lists or objects are nested too deep") from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise RepeatedMember(name)
            seen.add(name)
    return made


def _nothing(pairs: list[tuple[str, object]]) -> None:
    _once(pairs)
    for name, value in pairs:
        if isinstance(value, list) and len(value) > MOST_ITEMS:
            raise LongList(name)


def _nothing_of(number: str) -> None:
    """No number is made that nobody asks for, however many digits it has."""


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
