"""Messages with the text of every element replaced that is not known to be harmless.

Kept are numbers, times and words of an enumeration where the contract says that the element has
such, and the names of quantities. What is no XML is not kept at all.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Final

from lxml import etree

from adapter.errors import NotWellFormed
from adapter.wire.catalog import Catalog
from adapter.wire.shapes import Field, ListOf, Scalar, Struct
from adapter.wire.xml import XSI, local_name, parse

_LONGEST: Final = 64 * 1024 * 1024
_NUMBER: Final = re.compile(r"[+-]?(\d{1,12})(\.\d{1,12})?([eE][+-]?\d{1,3})?")
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?|-?P[0-9DTHMS.]{1,40}"
)
_FLAG: Final = frozenset({"true", "false", "0", "1"})
_WORDS: Final = re.compile(r"[A-Za-z]{1,12}( [A-Za-z()/]{1,12}){0,4}")
_NAMED: Final = frozenset({"Quantity", "ExtendedSwitchState"})
"""Elements whose words are the head end's own: letters, no digits."""
_IDENTIFYING: Final = re.compile(r"serial|address|mac|esn|name|token", re.IGNORECASE)
_NUMBERS: Final = frozenset(
    {
        "byte", "decimal", "double", "float", "int", "integer", "long", "short", "unsignedByte",
        "unsignedInt", "unsignedLong", "unsignedShort",
    }
)  # fmt: skip
_FAULT_CODE: Final = re.compile(r"([A-Za-z0-9]{1,8}:)?[A-Za-z]{1,30}(\.[A-Za-z]{1,30})?")
_SECURITY: Final = (
    "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}"
)


class Unredactable(NotWellFormed):
    """The message is no XML: nobody can tell what of it is harmless."""

    code = "unredactable"


def redacted_message(raw: bytes, pseudonym: Callable[[str], str]) -> bytes:
    """The message with pseudonyms in it; comments are gone. Raises Unredactable."""
    try:
        root = parse(raw, max_bytes=_LONGEST)
    except NotWellFormed as error:
        raise Unredactable(str(error)) from error
    for header in list(root.iter(f"{_SECURITY}Security")):
        parent = header.getparent()
        if parent is not None:
            parent.remove(header)
    for element in root.iter(etree.Element):
        element.tail = None if element.tail is None or not element.tail.strip() else (
            pseudonym(element.tail.strip())
        )  # fmt: skip
        if element.text is not None:
            text = element.text.strip()
            element.text = _shown(element, text, pseudonym) if text else None
        for name, given in element.attrib.items():
            value = str(given)
            if not str(name).startswith(f"{{{XSI}}}"):
                element.set(name, pseudonym(value))
            elif not _type_or_flag(value):
                del element.attrib[name]
    return etree.tostring(root)


def _type_or_flag(value: str) -> bool:
    return value in _FLAG or bool(re.fullmatch(r"([A-Za-z0-9_]{1,12}:)?[A-Za-z]{1,40}", value))


def _shown(element: etree._Element, text: str, pseudonym: Callable[[str], str]) -> str:
    name = local_name(element)
    kinds, words = _kinds().get(name, frozenset()), _enumerated()
    if name == "faultcode" and _FAULT_CODE.fullmatch(text):
        return text
    if text in words or (name in _NAMED and _WORDS.fullmatch(text)):
        return text
    if not _IDENTIFYING.search(name) and kinds and _harmless(element, kinds, text):
        return text
    if kinds and kinds <= _NUMBERS:
        return str(int.from_bytes(pseudonym(text).encode(), "big") % 10**9)
    return pseudonym(text)


def _harmless(element: etree._Element, kinds: frozenset[str], text: str) -> bool:
    if kinds <= _NUMBERS:
        return bool(_NUMBER.fullmatch(text))
    if kinds <= {"dateTime", "duration"}:
        return bool(_TIME.fullmatch(text))
    if kinds == {"boolean"}:
        return text in _FLAG
    return "any" in kinds and _is_reading(element) and bool(_NUMBER.fullmatch(text))


def _is_reading(element: etree._Element) -> bool:
    """Beside the name of a quantity: what a meter has counted."""
    parent = element.getparent()
    return parent is not None and any(local_name(each) == "Quantity" for each in parent)


@cache
def _kinds() -> dict[str, frozenset[str]]:
    """The types that elements of a name have in the packaged contract."""
    found: dict[str, set[str]] = {}
    for field in _leaves():
        kind = field.content.kind if isinstance(field.content, Scalar) else "any"
        found.setdefault(field.name, set()).add(kind)
    return {name: frozenset(kinds) for name, kinds in found.items()}


@cache
def _enumerated() -> frozenset[str]:
    """Every word of an enumeration."""
    scalars = (field.content for field in _leaves() if isinstance(field.content, Scalar))
    return frozenset(word for scalar in scalars for word in scalar.facets.words)


@cache
def contract_words() -> frozenset[str]:
    """Names of operations, elements and faults, and the words of enumerations."""
    catalog = Catalog.load()
    names = {field.name for field in _leaves()} | {*catalog.faults, *catalog.operations}
    for spec in catalog.operations.values():
        names |= {spec.service, spec.name}
    return _enumerated() | names


@cache
def _leaves() -> tuple[Field, ...]:
    catalog = Catalog.load()
    found: list[Field] = []
    waiting = [
        *catalog.faults.values(),
        *(each for spec in catalog.operations.values() for each in (spec.request, spec.response)),
    ]
    while waiting:
        field = waiting.pop()
        match field.content:
            case Struct(fields=fields):
                waiting += fields
            case ListOf(item=item):
                waiting.append(item)
            case _:
                found.append(field)
    return tuple(found)
