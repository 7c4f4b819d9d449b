"""Distinct types for the identities that must never be mixed up."""

from functools import lru_cache
from typing import NewType

CommandId = NewType("CommandId", str)
"""One command activity: 26 characters that sort in the order of acceptance."""

CommunicationId = NewType("CommunicationId", str)
"""One attempt to send one request. It is part of the callback address (docs/connecting.md)."""

RequestToken = NewType("RequestToken", str)
"""The head end's GUID for a request, lower case, 8-4-4-4-12."""

EndpointId = NewType("EndpointId", str)
"""The head end's ElectronicSerialNumber. An opaque key."""


@lru_cache(maxsize=50_000)
def endpoint_key(endpoint: str) -> str:
    """What two spellings of one endpoint have in common: without case, blanks, separators, and
    zeros before its numbers. The head end gets the spelling that was loaded; this only tells
    whether two devices name the same meter."""
    kept = "".join(each for each in endpoint.casefold() if each.isalnum() or each == ".")
    return ".".join(_number(part) for part in kept.split("."))


def _number(part: str) -> str:
    return (part.lstrip("0") or "0") if part.isdigit() else part


DeviceId = NewType("DeviceId", str)
ServicePointId = NewType("ServicePointId", str)
OrderId = NewType("OrderId", str)
EventId = NewType("EventId", str)
"""A completion event or publication: `{command}:{event}`, fixed for ever (I2)."""

InboxId = NewType("InboxId", int)

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [one + two for one in _ALPHABET for two in _ALPHABET]
_LENGTH = 26


_ENTROPY_BITS = 80


def sortable_id(milliseconds: int, entropy: int) -> str:
    """26 characters, Crockford base 32: 48 bits of time, then 80 bits of `entropy`."""
    return id_of_number(id_number(milliseconds, entropy))


def milliseconds_of(made: str) -> int:
    """The time in a sortable id."""
    return time_of_number(number_of_id(made))


def id_number(milliseconds: int, entropy: int) -> int:
    """The 128 bits of a sortable id. Ids sort as their numbers do."""
    return (milliseconds & (1 << 48) - 1) << _ENTROPY_BITS | entropy & (1 << _ENTROPY_BITS) - 1


def time_of_number(number: int) -> int:
    """The milliseconds in a sortable id's number."""
    return number >> _ENTROPY_BITS


def id_of_number(number: int) -> str:
    """The 26 characters of a sortable id's number."""
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, -10, -10)])


def number_of_id(made: str) -> int:
    """The number of a sortable id."""
    value = 0
    for character in made:
        value = value << 5 | _ALPHABET.index(character)
    return value


def is_sortable_id(text: str) -> bool:
    """Whether `text` has the form of a sortable id."""
    return len(text) == _LENGTH and set(text) <= set(_ALPHABET)
