"""Values of settings: from TOML or a variable's text to the type that the setting has."""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import time
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final, get_args, get_origin

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_YES, _NO = frozenset({"true", "yes", "1", "on"}), frozenset({"false", "no", "0", "off"})


def guess(name: str, known: Iterable[str]) -> str:
    """`, did you mean ...?` where something similar is known, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


class Wrong(Exception):
    """What is wrong with a value, for `name: ...`."""


def from_text(kind: object, text: str) -> object:
    """A variable's text as TOML would have given it; text where it is no such thing."""
    text = text.strip()
    if kind is bool:
        lower = text.lower()
        return True if lower in _YES else False if lower in _NO else text
    if kind in (int, float):
        try:
            return int(text) if kind is int else float(text)
        except ValueError:
            return text
    if get_origin(kind) in (tuple, frozenset) and kind != tuple[time, time]:
        return [part.strip() for part in text.split(",") if part.strip()]
    if get_origin(kind) is Mapping:
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        numbers = get_args(kind)[1] is float
        return {
            key.strip(): from_text(float, value) if numbers else value.strip()
            for key, _, value in pairs
        }
    return text


def convert(name: str, kind: object, value: object, folder: Path) -> object:
    """The value as its type wants it; relative paths start at `folder`. Raises Wrong."""
    if kind in _SIMPLE:
        made = _SIMPLE[kind](value)
        if isinstance(made, int | float) and not isinstance(made, bool):
            _check_range(name, made)
        return made
    if kind is Path:
        return path_of(value, folder)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return _member_of(kind, value)
    if get_origin(kind) is Mapping:
        return _mapping(get_args(kind)[1], value)
    if get_origin(kind) in (tuple, frozenset):
        return _several(kind, value)
    raise TypeError(f"{name}: no reader for {kind}")


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise Wrong("must be true or false")
    return value


def _int(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Wrong("must be a whole number")
    return value


def _float(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise Wrong("must be a number")
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Wrong("must be text")
    return value


def _window(value: object) -> tuple[time, time]:
    first, dash, last = _text(value).partition("-")
    try:
        opens, closes = time.fromisoformat(first.strip()), time.fromisoformat(last.strip())
    except ValueError:
        dash = ""
    if not dash or opens.tzinfo or closes.tzinfo or opens == closes:
        raise Wrong('must be local times as "08:00-17:30"')
    return opens, closes


def _weekdays(value: object) -> frozenset[int]:
    if not isinstance(value, list) or not value:
        raise Wrong("must be a list of weekdays, mon to sun")
    days = [str(each).lower()[:3] for each in value]
    if any(day not in WEEKDAYS for day in days):
        raise Wrong("must be a list of weekdays, mon to sun")
    return frozenset(WEEKDAYS.index(day) for day in days)


_SIMPLE: Final[Mapping[object, Callable[[object], object]]] = MappingProxyType(
    {
        bool: _bool,
        int: _int,
        float: _float,
        str: _text,
        tuple[time, time]: _window,
        frozenset[int]: _weekdays,
    }
)


def path_of(value: object, folder: Path) -> Path:
    text = _text(value)
    if not text.strip():
        raise Wrong("must be a path")
    return folder / Path(text).expanduser()


def _member_of(kind: type[StrEnum], value: object) -> StrEnum:
    known = [each.value for each in kind]
    text = _text(value)
    if text not in known:
        hint = guess(text, known)
        listed = f"; known are {', '.join(known)}" if len(known) <= 8 and not hint else ""
        raise Wrong(f"{text!r} is unknown{hint}{listed}")
    return kind(text)


def _mapping(kind: object, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise Wrong("must be a table")
    reader = _SIMPLE[kind]
    return MappingProxyType({key: reader(each) for key, each in value.items()})


def _several(kind: object, value: object) -> object:
    if not isinstance(value, list):
        raise Wrong("must be a list")
    item = get_args(kind)[0]
    made = [
        _member_of(item, each) if issubclass(item, StrEnum) else _SIMPLE[item](each)
        for each in value
    ]
    return tuple(made) if get_origin(kind) is tuple else frozenset(made)


_FROM_ONE: Final = ("attempts", "concurrency", "max_endpoints", "burst", "max_waiting", "_bytes")


_LONGEST_S: Final = 100 * 366 * 86_400
"""A hundred years: what is longer leaves no date to wait for."""

_MOST: Final = 2**53
"""The largest whole number that every reader of JSON keeps exact."""


def _check_range(name: str, number: float) -> None:
    last = name.rpartition(".")[2]
    day = 86_400 if last.endswith("days") else 1
    most = _LONGEST_S // day if last.endswith(("_s", "days")) or "timeouts." in name else _MOST
    if number > most:
        raise Wrong(f"must be at most {most}")
    if last.endswith("port"):
        if not 0 <= number <= 65_535:
            raise Wrong("must be a port, 0 to 65535")
    elif last.endswith(_FROM_ONE):
        if number < 1:
            raise Wrong("must be 1 or more")
    elif last.endswith(("timeout_s", "rate_per_s")) or "timeouts." in name:
        if number <= 0:
            raise Wrong("must be more than 0")
    elif number < 0:
        raise Wrong("must be 0 or more")
