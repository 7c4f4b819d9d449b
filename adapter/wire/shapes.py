"""The contract as plain values: what an element may hold, taken from zeep's type tree.

Writers, readers and the WSDL gate are made from these, so that only this module and `catalog`
know how zeep keeps a schema. Covered is what a WCF data contract can say: sequences of elements,
arrays, simple types with enumerations or patterns, xs:anyType, and `Metadata` (xs:any), which is
neither sent nor read. Anything else (choices, attributes, recursion) is a ContractError at start.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any as Untyped
from typing import Final, TypeAlias

from lxml import etree
from zeep import xsd

from adapter.errors import ContractError
from adapter.wire.xml import XS


@dataclass(frozen=True, slots=True)
class Facets:
    """What zeep forgets of a simple type: the words of an enumeration, or a pattern."""

    words: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Scalar:
    """Text. `kind` is the local name of the XML Schema type it is built on ("dateTime")."""

    kind: str
    facets: Facets = Facets()


@dataclass(frozen=True, slots=True)
class AnyValue:
    """xs:anyType: a simple value that names its own type by xsi:type."""


@dataclass(frozen=True, slots=True)
class Struct:
    fields: tuple["Field", ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    """A type whose only member repeats: JSON sees just the list of items."""

    item: "Field"


@dataclass(frozen=True, slots=True)
class Skipped:
    """Open content (xs:any): passed over."""


Content: TypeAlias = Scalar | AnyValue | Struct | ListOf | Skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One element: its name, how often it may stand, what is in it."""

    name: str
    namespace: str
    required: bool
    nillable: bool
    repeated: bool
    content: Content

    @property
    def tag(self) -> str:
        return f"{{{self.namespace}}}{self.name}"


FacetTable: TypeAlias = Mapping[str, Facets]
"""Facets by the simple type's qualified name, as `read_facets` collects them."""


def read_facets(schema: etree._Element) -> Iterator[tuple[str, Facets]]:
    """Name and facets of every named simple type in one parsed WSDL or XSD."""
    for block in schema.iter(f"{{{XS}}}schema"):
        target = block.get("targetNamespace", "")
        for simple in block.iterfind(f"{{{XS}}}simpleType[@name]"):
            words = tuple(
                word.get("value", "") for word in simple.iterfind(f".//{{{XS}}}enumeration")
            )
            pattern = simple.find(f".//{{{XS}}}pattern")
            yield (
                f"{{{target}}}{simple.get('name')}",
                Facets(words, None if pattern is None else _compiled(pattern.get("value", ""))),
            )


def field_of(element: Untyped, facets: FacetTable) -> Field:
    """The shape of one zeep element and all below it. Raises ContractError for what is not
    understood, and where it has more than 20,000 elements."""
    return _field(element, _Reading(facets), ())


@dataclass(slots=True)
class _Reading:
    """Types in types, each twice, are a short file and an endless message."""

    facets: FacetTable
    left: int = 20_000


def _field(element: Untyped, reading: _Reading, within: tuple[str, ...]) -> Field:
    reading.left -= 1
    if reading.left < 0:
        raise ContractError(f"{'/'.join(within)}: the message has too many elements")
    known: bool = isinstance(element, xsd.Element)
    if not known:
        raise ContractError(f"{'/'.join(within)}: {type(element).__name__} is not understood")
    repeated = element.max_occurs == "unbounded" or element.max_occurs > 1
    return Field(
        name=element.name,
        namespace=element.qname.namespace or "",
        required=element.min_occurs > 0,
        nillable=bool(element.nillable),
        repeated=repeated,
        content=_content(element.type, reading, (*within, element.name)),
    )


def walk(field: Field, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Field]]:
    """Every element below `field` with its path of names; list items stand under their list."""
    content = field.content
    below = content.fields if isinstance(content, Struct) else ()
    if isinstance(content, ListOf):
        below = (content.item,)
    for child in below:
        yield (*path, child.name), child
        yield from walk(child, (*path, child.name))


def _content(type_: Untyped, reading: _Reading, within: tuple[str, ...]) -> Content:
    if isinstance(type_, xsd.ComplexType):
        return _complex(type_, reading, within)
    if isinstance(type_, xsd.AnySimpleType):
        name = str(type_.qname) if type_.qname is not None else ""
        return Scalar(_base_kind(type_), reading.facets.get(name, _NO_FACETS))
    if isinstance(type_, xsd.AnyType):
        return AnyValue()
    raise ContractError(f"{'/'.join(within)}: {type_!r} is not understood")


def _complex(type_: Untyped, reading: _Reading, within: tuple[str, ...]) -> Content:
    path = "/".join(within)
    if len(within) > _DEEPEST:
        raise ContractError(f"{path}: the type contains itself")
    elements = [element for _, element in type_.elements]
    if any(isinstance(element, xsd.Any) for element in elements):
        return Skipped()
    if any(isinstance(group, xsd.Choice | xsd.All) for _, group in type_.elements_nested):
        raise ContractError(f"{path}: xs:choice and xs:all are not understood")
    fields = tuple(_field(element, reading, within) for element in elements)
    if len(fields) == 1 and fields[0].repeated:
        return ListOf(fields[0])
    return Struct(fields)


def _base_kind(type_: Untyped) -> str:
    """The nearest XML Schema type in the ancestry of a zeep simple type."""
    for ancestor in type(type_).__mro__:
        qname = getattr(ancestor, "_default_qname", None)
        if qname is not None and qname.namespace == XS:
            return str(qname.localname)
    return "string"


def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern, re.ASCII)
    except (re.error, OverflowError, RecursionError):
        return None


_NO_FACETS: Final = Facets()
_DEEPEST: Final = 24
