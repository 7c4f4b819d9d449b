"""Messages with the text of every element replaced that is not known to be harmless.

Kept are numbers, times and words of an enumeration where the contract says that the element has
such, and the names of quantities. Names of elements, attributes and namespaces stay where they are
of the contract or of SOAP. What is no XML is not kept at all.
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
_SOAP: Final = frozenset(
    {
        "Envelope", "Header", "Body", "Fault", "faultcode", "faultstring", "faultactor", "detail",
        "Code", "Subcode", "Value", "Reason", "Text", "Node", "Role", "Detail", "Action", "To",
        "From", "ReplyTo", "FaultTo", "MessageID", "RelatesTo", "Address",
    }
)  # fmt: skip
_ATTRIBUTES: Final = frozenset({"mustUnderstand", "actor", "role", "lang", "encodingStyle"})
_OF_XSI: Final = frozenset({"nil", "type"})
_OTHER_NAMESPACES: Final = frozenset(
    {
        XSI,
        "http://www.w3.org/2001/XMLSchema",
        "http://www.w3.org/XML/1998/namespace",
        "http://schemas.xmlsoap.org/soap/envelope/",
        "http://www.w3.org/2003/05/soap-envelope",
        "http://www.w3.org/2005/08/addressing",
    }
)
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
        _attributes(element, pseudonym)
        element.tag = _known_name(element, pseudonym)
    known = [prefix for prefix, uri in _prefixes(root) if prefix and uri in _namespaces()]
    etree.cleanup_namespaces(root, keep_ns_prefixes=known)
    return etree.tostring(root)


def _attributes(element: etree._Element, pseudonym: Callable[[str], str]) -> None:
    for name, given in list(element.attrib.items()):
        value, own = str(given), etree.QName(name)
        if own.namespace == XSI:
            if not _type_or_flag(value) or own.localname not in _OF_XSI:
                del element.attrib[name]
            continue
        del element.attrib[name]
        if own.localname in _ATTRIBUTES and own.namespace in {None, *_namespaces()}:
            element.set(name, pseudonym(value))
        else:
            element.set(_as_name(pseudonym(own.localname)), pseudonym(value))


def _known_name(element: etree._Element, pseudonym: Callable[[str], str]) -> str:
    """The tag of an element where others may know it."""
    name = etree.QName(element)
    shown = name.localname if name.localname in _names() else _as_name(pseudonym(name.localname))
    return f"{{{name.namespace}}}{shown}" if name.namespace in _namespaces() else shown


def _as_name(pseudonym: str) -> str:
    """A name begins with a letter."""
    return pseudonym if pseudonym[:1].isalpha() else f"x{pseudonym}"


def _prefixes(root: etree._Element) -> set[tuple[str | None, str]]:
    return {each for element in root.iter(etree.Element) for each in element.nsmap.items()}


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
def _names() -> frozenset[str]:
    """Of the elements of the contract and of SOAP."""
    return _SOAP | {field.name for field in _fields()}


@cache
def _namespaces() -> frozenset[str]:
    return _OTHER_NAMESPACES | {field.namespace for field in _fields()}


@cache
def _leaves() -> tuple[Field, ...]:
    return tuple(each for each in _fields() if not isinstance(each.content, Struct | ListOf))


@cache
def _fields() -> tuple[Field, ...]:
    """All elements of the packaged contract."""
    catalog = Catalog.load()
    found: list[Field] = []
    waiting = [
        *catalog.faults.values(),
        *(each for spec in catalog.operations.values() for each in (spec.request, spec.response)),
    ]
    while waiting:
        field = waiting.pop()
        found.append(field)
        match field.content:
            case Struct(fields=fields):
                waiting += fields
            case ListOf(item=item):
                waiting.append(item)
            case _:
                pass
    return tuple(found)
