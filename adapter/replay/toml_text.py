"""TOML for people: plain values, one inline table a line where there is a list of them."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

_BARE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def toml_text(table: Mapping[str, object]) -> str:
    """The text that `tomllib` reads back as `table`. Members that are None are left out.

    Lists of tables are written as a list of inline tables, one a line; tables get a header.
    """
    lines = _section(table, "")
    return "\n".join(lines).strip("\n") + "\n"


def _section(table: Mapping[str, object], name: str) -> list[str]:
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    lines = [f"{_key(key)} = {_top(value)}" for key, value in plain.items() if value is not None]
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            full = f"{name}.{_key(key)}" if name else _key(key)
            inner = _section(value, full)
            own = any(not isinstance(each, Mapping) for each in value.values())
            lines += ["", f"[{full}]", *inner] if own else inner
    return lines


def _top(value: object) -> str:
    if _is_list(value) and value and all(isinstance(each, Mapping) for each in _items(value)):
        return "[\n" + "".join(f"  {_inline(each)},\n" for each in _items(value)) + "]"
    return _inline(value)


def _inline(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        pairs = (
            f"{_key(key)} = {_inline(each)}" for key, each in value.items() if each is not None
        )
        return "{" + ", ".join(pairs) + "}"
    if _is_list(value):
        return "[" + ", ".join(_inline(each) for each in _items(value)) + "]"
    raise TypeError(f"TOML has no {type(value).__name__}")


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence | frozenset) and not isinstance(value, str | bytes)


def _items(value: object) -> list[object]:
    if isinstance(value, frozenset):
        return sorted(value)
    assert isinstance(value, Sequence)
    return list(value)


def _key(name: object) -> str:
    text = str(name)
    return text if text and set(text) <= _BARE else json.dumps(text, ensure_ascii=False)
