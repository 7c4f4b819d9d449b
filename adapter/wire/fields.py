"""Looking into a decoded body: what is absent, nil or of another kind never raises a KeyError."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeAlias, TypeVar

from adapter.errors import ContractViolation
from adapter.model.ids import RequestToken
from adapter.wire.scalars import JsonValue

Fields: TypeAlias = Mapping[str, JsonValue]
Word = TypeVar("Word", bound=StrEnum)

_GUID: Final = re.compile(r"[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}", re.ASCII)
_NIL_GUID: Final = "00000000-0000-0000-0000-000000000000"


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
    try:
        return kind(value) if isinstance(value, str) else unknown
    except ValueError:
        return unknown


def token_of(value: JsonValue, at: str) -> RequestToken:
    """A token in lower case. Raises ContractViolation for anything that is not a non-nil GUID."""
    text = value.strip().lower() if isinstance(value, str) else ""
    if _GUID.fullmatch(text) is None or text == _NIL_GUID:
        raise ContractViolation("needs a GUID that is not nil", at=at)
    return RequestToken(text)
