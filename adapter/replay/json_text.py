"""JSON for people and for diffs: what fits on a line is on one; and where two values differ."""

import json
from collections.abc import Mapping
from typing import Final

_LINE: Final = 120


def json_text(value: object) -> str:
    """The value, always in the same form: objects in the order of their members."""
    return _written(value, 0) + "\n"


def _written(value: object, depth: int) -> str:
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + depth <= _LINE or not isinstance(value, Mapping | list) or not value:
        return line
    blanks = " " * (depth + 1)
    if isinstance(value, Mapping):
        parts = [
            f"{blanks}{json.dumps(str(name))}: {_written(each, depth + 1)}"
            for name, each in value.items()
        ]
        return "{\n" + ",\n".join(parts) + "\n" + " " * depth + "}"
    parts = [blanks + _written(each, depth + 1) for each in value]
    return "[\n" + ",\n".join(parts) + "\n" + " " * depth + "]"


def first_difference(expected: object, got: object, at: str = "") -> str | None:
    """Where, and how, `got` first differs, as `commands[0].state: expected ..., got ...`."""
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for name in (*expected, *(name for name in got if name not in expected)):
            place = f"{at}.{name}" if at else str(name)
            if name not in got or name not in expected:
                return _differs(place, expected.get(name, _NOTHING), got.get(name, _NOTHING))
            found = first_difference(expected[name], got[name], place)
            if found is not None:
                return found
        return None
    if isinstance(expected, list) and isinstance(got, list):
        for index, (one, other) in enumerate(zip(expected, got, strict=False)):
            found = first_difference(one, other, f"{at}[{index}]")
            if found is not None:
                return found
        if len(expected) != len(got):
            index = min(len(expected), len(got))
            one = expected[index] if index < len(expected) else _NOTHING
            other = got[index] if index < len(got) else _NOTHING
            return _differs(f"{at}[{index}]", one, other)
        return None
    return None if expected == got else _differs(at, expected, got)


class _Nothing:
    pass


_NOTHING: Final = _Nothing()


def _differs(at: str, expected: object, got: object) -> str:
    return f"{at}: expected {_shown(expected)}, got {_shown(got)}"


def _shown(value: object) -> str:
    return "nothing" if value is _NOTHING else json.dumps(value, ensure_ascii=False)[:200]
