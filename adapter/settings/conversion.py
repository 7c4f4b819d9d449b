"""Values of settings: from TOML or a variable's text to the type that the setting has."""

from collections.abc import Callable, Mapping, Sequence
from datetime import time
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, get_args, get_origin

from adapter.errors import SettingsError, meant
from adapter.model.bounds import Bounds, bounds_in, unwrapped
from adapter.model.decimals import read_decimal
from adapter.model.whole_numbers import Span, read_whole

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ANY: Final = Span(-(10**40), 10**40)
_YES, _NO = frozenset({"true", "yes", "1", "on"}), frozenset({"false", "no", "0", "off"})


def from_text(kind: Any, text: str) -> object:
    """A variable's text as TOML would have given it; text where it is no such thing."""
    text = text.strip()
    if kind is bool:
        lower = text.lower()
        return True if lower in _YES else False if lower in _NO else text
    if kind in (int, float):
        try:
            return read_whole(text, _ANY) if kind is int else float(read_decimal(text))
        except ValueError:
            return text
    if get_origin(kind) in (tuple, frozenset) and kind != tuple[time, time]:
        return [part.strip() for part in text.split(",") if part.strip()]
    if get_origin(kind) is Mapping:
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        value_kind = unwrapped(get_args(kind)[1])[0]
        return {key.strip(): from_text(value_kind, value) for key, _, value in pairs}
    return text


def convert(
    name: str, kind: Any, value: object, folder: Path, bounds: Bounds | None = None
) -> object:
    """The value as its type wants it; relative paths start at `folder`. Raises SettingsError."""
    origin = get_origin(kind)
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise SettingsError(f"{name}: must be a table")
        item, notes, _ = unwrapped(get_args(kind)[1])
        inner = bounds_in(notes)
        return MappingProxyType(
            {key: convert(f"{name}.{key}", item, value[key], folder, inner) for key in value}
        )
    try:
        if kind in (int, float):
            return _number(kind, value, bounds)
        if kind is Path:
            return path_of(value, folder)
        if kind in _CONVERTERS:
            return _CONVERTERS[kind](value)
        if origin is Literal or (isinstance(kind, type) and issubclass(kind, StrEnum)):
            return _word(kind, value)
        if origin in (tuple, frozenset, Sequence):
            return _several(kind, value, bounds)
    except _Wrong as wrong:
        raise SettingsError(f"{name}: {wrong}") from None
    raise TypeError(f"{name}: no reader for {kind}")


class _Wrong(SettingsError):
    """What is wrong with a value, for `name: ...`."""


def _number(kind: type, value: object, bounds: Bounds | None) -> float:
    noun = (bounds and bounds.noun) or ("a whole number" if kind is int else "a number")
    wanted = int if kind is int else (int, float)
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise _Wrong(f"must be {noun}")
    if bounds is not None and not bounds.allow(value):
        raise _Wrong(f"must be {noun}, {bounds}")
    return float(value) if kind is float else value


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("must be true or false")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong("must be text")
    return value


def _window(value: object) -> tuple[time, time]:
    first, dash, last = _text(value).partition("-")
    try:
        opens, closes = time.fromisoformat(first.strip()), time.fromisoformat(last.strip())
    except ValueError:
        dash = ""
    if not dash or opens.tzinfo or closes.tzinfo or opens == closes:
        raise _Wrong('must be local times as "08:00-17:30"')
    return opens, closes


def _weekdays(value: object) -> frozenset[int]:
    days = [str(each).lower()[:3] for each in value] if isinstance(value, list) else []
    if not days or any(day not in WEEKDAYS for day in days):
        raise _Wrong("must be a list of weekdays, mon to sun")
    return frozenset(WEEKDAYS.index(day) for day in days)


_CONVERTERS: Final[Mapping[object, Callable[[object], object]]] = MappingProxyType(
    {bool: _bool, str: _text, tuple[time, time]: _window, frozenset[int]: _weekdays}
)


def path_of(value: object, folder: Path) -> Path:
    text = _text(value)
    if not text.strip() or "\0" in text:
        raise _Wrong("must be a path")
    try:
        return folder / Path(text).expanduser()
    except RuntimeError:  # the home of a user that there is not
        raise _Wrong("must be a path") from None


def _word(kind: Any, value: object) -> str:
    known = [str(each) for each in (get_args(kind) or kind)]
    text = _text(value)
    if text in known:
        return text if get_args(kind) else kind(text)
    hint = meant(text, known)
    listed = f"; known are {', '.join(known)}" if len(known) <= 8 and not hint else ""
    raise _Wrong(f"{text!r} is unknown{hint}{listed}")


def _several(kind: Any, value: object, bounds: Bounds | None) -> object:
    item = get_args(kind)[0]
    if not isinstance(value, list):
        raise _Wrong("must be a list")
    if bounds is not None and not bounds.allow(len(value)):
        raise _Wrong(f"must be a list of {bounds} entries")
    read = _text if item is str else lambda each: _word(item, each)
    made = [read(each) for each in value]
    return frozenset(made) if get_origin(kind) is frozenset else tuple(made)
