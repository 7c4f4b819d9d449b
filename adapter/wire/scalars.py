"""Text of simple XML Schema types: from values when writing, to JSON values when reading.

At the end, looking into a decoded body: what is absent, nil or of another kind is never a KeyError.

Reading keeps what JSON can hold without loss: booleans and integers become JSON's, everything else
(decimals, floats, dateTimes, GUIDs, words of enumerations) stays the text that stood on the wire.
Writing takes those same JSON values, and also Decimal, UUID and datetimes that know their zone.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar
from uuid import UUID

from adapter.errors import ContractViolation
from adapter.model.date_time import is_unset, read_date_time
from adapter.model.ids import RequestToken
from adapter.model.whole_numbers import XS_INTEGERS, read_whole
from adapter.wire.shapes import Facets, Scalar

JsonValue: TypeAlias = "bool | int | str | list[JsonValue] | dict[str, JsonValue] | None"
Fields: TypeAlias = Mapping[str, JsonValue]
"""The fields of a decoded group, by name."""
Word = TypeVar("Word", bound=StrEnum)
ToText: TypeAlias = Callable[[object], str]
"""A value's text, escaped for XML. Raises ValueError for what the type does not allow."""
FromText: TypeAlias = Callable[[str], JsonValue]
"""The JSON value of a text. Raises ValueError where the text is not of the type."""

_MOST_NUMBERS: Final = 1024
"""Texts of one type whose numbers are kept: counts and lengths are the same few again and again."""
_SHORT: Final = 8
_GUID: Final = re.compile(r"[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}", re.ASCII)
_NIL_GUID: Final = "00000000-0000-0000-0000-000000000000"
_WORDS: Final = MappingProxyType({"true": True, "1": True, "false": False, "0": False})
_SPECIAL: Final = re.compile("[<>&\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPES: Final = MappingProxyType({"<": "&lt;", ">": "&gt;", "&": "&amp;", "\r": "&#13;"})
_DATE_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII
)
_LEXICAL: Final = MappingProxyType(
    {
        "boolean": re.compile("true|false|1|0"),
        "decimal": re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII),
        "float": re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|-?INF|NaN", re.ASCII),
        "double": re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|-?INF|NaN", re.ASCII),
        "dateTime": _DATE_TIME,
    }
    | dict.fromkeys(XS_INTEGERS, re.compile(r"[+-]?\d{1,40}", re.ASCII))
)


def is_open_text(scalar: Scalar) -> bool:
    """Whether any characters that XML allows are a value: no words, pattern or number to check."""
    return scalar.kind in ("string", "anyURI") and scalar.facets == Facets()


def escaped(text: str) -> str:
    """`text` for element content. Refuses the characters that XML 1.0 does not have."""
    return text if _SPECIAL.search(text) is None else _SPECIAL.sub(_escape, text)


def is_plain(text: str) -> bool:
    """Whether `text` is printable ASCII without markup, which may be written as it stands."""
    return (
        text.isascii()
        and text.isprintable()
        and "<" not in text
        and ">" not in text
        and "&" not in text
    )


def to_text(scalar: Scalar) -> ToText:
    """The writer of one simple type."""
    if scalar.kind == "boolean":
        return _boolean_text
    if scalar.kind in XS_INTEGERS:
        return _integer_writer(scalar.kind)
    if scalar.facets.words:
        return _word_writer(scalar.facets.words)
    if scalar.facets.pattern is not None:
        return _pattern_writer(scalar.facets.pattern)
    if scalar.kind in _LEXICAL:
        return _lexical_writer(scalar.kind)
    return _open_text


def from_text(scalar: Scalar) -> FromText:
    """The reader of one simple type. Words outside an enumeration are read as they stand."""
    if scalar.kind == "boolean":
        return _boolean
    if scalar.kind in XS_INTEGERS:
        return _integer_reader(scalar.kind)
    if is_open_text(scalar):
        return _same
    return str.strip


def any_text(kind: str, value: object) -> str:
    """The text of an xs:anyType value that says it is of `kind`; a str must be of its form."""
    lexical = _LEXICAL.get(kind)
    if isinstance(value, str) and lexical is not None:
        if lexical.fullmatch(value) is None:
            raise ValueError(f"{value!r} is not an xs:{kind}")
        return value
    return to_text(Scalar(kind))(value)


def instant(text: str, *, zone: tzinfo = UTC) -> datetime:
    """An xs:dateTime in UTC; without an offset it is in `zone`, the head end's. Raises
    ContractViolation."""
    try:
        return read_date_time(text, zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ContractViolation(f"{text[:40]!r} is not a time") from None


def optional_instant(text: str | None, *, zone: tzinfo = UTC) -> datetime | None:
    """As `instant`, and None for a time that is absent or that nobody set."""
    return None if not text or is_unset(text) else instant(text, zone=zone)


def date_time(value: datetime) -> str:
    """The text of a time, in UTC with `Z`. Raises ValueError where it knows no zone."""
    if value.tzinfo is None:
        raise ValueError("a time without a zone is not sent")
    return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _escape(found: re.Match[str]) -> str:
    try:
        return _ESCAPES[found[0]]
    except KeyError:
        raise ValueError(f"character U+{ord(found[0]):04X} cannot stand in XML") from None


def _open_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"needs text, not {type(value).__name__}")
    return value if _SPECIAL.search(value) is None else _SPECIAL.sub(_escape, value)


def _boolean_text(value: object) -> str:
    if value is True:
        return "true"
    if value is False:
        return "false"
    raise ValueError(f"needs true or false, not {value!r}")


def _integer_writer(kind: str) -> ToText:
    span = XS_INTEGERS[kind]

    def write(value: object) -> str:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"needs a whole number, not {value!r}")
        if not span.holds(value):
            raise ValueError(f"{value} is outside xs:{kind}")
        return str(value)

    return write


def _word_writer(words: tuple[str, ...]) -> ToText:
    texts = {word: escaped(word) for word in words}

    def write(value: object) -> str:
        if isinstance(value, str) and value in texts:
            return texts[value]
        raise ValueError(f"{value!r} is none of {', '.join(words)}")

    return write


def _pattern_writer(pattern: re.Pattern[str]) -> ToText:
    def write(value: object) -> str:
        text = str(value) if isinstance(value, str | UUID) else ""
        if pattern.fullmatch(text) is None:
            raise ValueError(f"{value!r} does not have the form {pattern.pattern}")
        return escaped(text)

    return write


def _lexical_writer(kind: str) -> ToText:
    lexical = _LEXICAL[kind]

    def write(value: object) -> str:
        text = _plain_text(value)
        if lexical.fullmatch(text) is None:
            raise ValueError(f"{value!r} is not an xs:{kind}")
        return text

    return write


def _plain_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return date_time(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{type(value).__name__} is not taken; give it as text")


def _same(text: str) -> JsonValue:
    return text


def _boolean(text: str) -> JsonValue:
    word = _WORDS.get(text.strip())
    if word is None:
        raise ValueError(f"{text[:40]!r} is neither true nor false")
    return word


def _integer_reader(kind: str) -> FromText:
    span = XS_INTEGERS[kind]

    @lru_cache(maxsize=_MOST_NUMBERS)
    def again(text: str) -> int:
        return read_whole(text, span)

    def read(text: str) -> JsonValue:
        return again(text) if len(text) <= _SHORT else read_whole(text, span)

    return read


# ---------------------------------------------------------------- fields of a decoded body


def group(fields: Fields, name: str) -> Fields:
    """The named group of fields; empty where it is absent or nil."""
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def groups(fields: Fields, name: str) -> list[Fields]:
    """The named list of groups, nil entries left out."""
    value = fields.get(name)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def text(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def needed(fields: Fields, name: str) -> str:
    value = text(fields, name)
    if value is None:
        raise ContractViolation("is missing", at=name)
    return value


def count(fields: Fields, name: str) -> int:
    value = fields.get(name)
    return value if isinstance(value, int) else 0


def word(kind: type[Word], value: JsonValue, unknown: Word) -> Word:
    """The member that `value` names, or `unknown`: the head end's enumerations grow."""
    if not isinstance(value, str):
        return unknown
    # A look into the table of the class; to call the class for it takes many times as long.
    member: Word = kind._value2member_map_.get(value, unknown)  # type: ignore[assignment]
    return member


def token_of(value: JsonValue, at: str) -> RequestToken:
    """A token in lower case. Raises ContractViolation for anything that is not a non-nil GUID."""
    text = value.strip().lower() if isinstance(value, str) else ""
    if _GUID.fullmatch(text) is None or text == _NIL_GUID:
        raise ContractViolation("needs a GUID that is not nil", at=at)
    return RequestToken(text)
