"""Readers, compiled once for each element of the contract: parsed XML in, JSON values out.

A reader walks an element's children once and looks each up by its qualified name. They are tolerant
where versions of the head end differ: any order, unknown elements passed over, absent elements left
out, xsi:nil anywhere read as None, unknown words of enumerations kept. They are strict where a
misreading could pass unseen: elements inside text, an element twice that may stand once, a number
that is none.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from lxml import etree

from adapter.errors import ContractViolation
from adapter.wire.scalars import FromText, JsonValue, from_text
from adapter.wire.shapes import Content, Field, ListOf, Scalar, Skipped, Struct
from adapter.wire.xml import XS, XSI, text_of, where

Read: TypeAlias = Callable[[etree._Element], JsonValue]

_SUBSCRIPTIONS: Final = "http://www.itron.com/ami/2009/08/subscriptions"
_PROVISIONING: Final = "http://www.itron.com/ami/2009/08/provisioning"
_ALSO_READ: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        _SUBSCRIPTIONS: (
            "http://www.itron.com/ami/2009/08/subscribers",
            "http://www.itron.com/ami/2008/10/data",
        ),
        _PROVISIONING: ("http://www.itron.com/ami/2008/10/provisioning",),
    }
)
"""Namespaces in which elements of the inferred parts of the contract are taken as well."""

_NIL: Final = f"{{{XSI}}}nil"
_TYPE: Final = f"{{{XSI}}}type"


def tags_of(field: Field) -> tuple[str, ...]:
    """The qualified names under which an element is read, the contract's own first."""
    others = _ALSO_READ.get(field.namespace, ())
    return (field.tag, *(f"{{{namespace}}}{field.name}" for namespace in others))


def content_reader(content: Content) -> Read:
    """The reader of an element that holds `content`."""
    if isinstance(content, Struct):
        return _struct(content)
    if isinstance(content, ListOf):
        return _list(content.item)
    if isinstance(content, Scalar):
        return _scalar(from_text(content))
    return _any_value


def _struct(struct: Struct) -> Read:
    rows: dict[str, tuple[str, bool, Read, FromText | None]] = {}
    for field in struct.fields:
        content = field.content
        if not isinstance(content, Skipped):
            plain = from_text(content) if isinstance(content, Scalar) else None
            row = (field.name, field.repeated, content_reader(content), plain)
            for tag in tags_of(field):
                rows.setdefault(tag, row)

    def read(element: etree._Element) -> JsonValue:
        found: dict[str, JsonValue] = {}
        for child in element:
            row = rows.get(child.tag)
            if row is None:
                continue
            name, repeated, read_child, plain = row
            # Plain text is most of every message, and is taken here to save the call.
            text = child.text if plain is not None else None
            if text and plain is not None and not len(child):
                try:
                    value = plain(text)
                except ValueError as error:
                    raise ContractViolation(str(error), at=where(child)) from None
            else:
                value = read_child(child)
            if repeated:
                found.setdefault(name, []).append(value)  # type: ignore[union-attr]
            elif name in found:
                raise ContractViolation("stands twice", at=where(child))
            else:
                found[name] = value
        return found if found or not is_nil(element) else None

    return read


def _list(item: Field) -> Read:
    tags = frozenset(tags_of(item))
    read_item = content_reader(item.content)

    def read(element: etree._Element) -> JsonValue:
        found = [read_item(child) for child in element if child.tag in tags]
        return found if found or not is_nil(element) else None

    return read


def _scalar(convert: FromText) -> Read:
    def read(element: etree._Element) -> JsonValue:
        text = element.text
        if text is None or len(element):
            text = text_of(element)
            if is_nil(element):
                return None
        try:
            return convert(text)
        except ValueError as error:
            raise ContractViolation(str(error), at=where(element)) from None

    return read


def _any_value(element: etree._Element) -> JsonValue:
    """{"type": "xs:...", "value": text}; a type of another namespace is named in full.

    A value that is not simple has None for its value: it is passed over, as an extra element is.
    """
    if is_nil(element):
        return None
    value = None if len(element) else (element.text or "")
    kind = element.get(_TYPE)
    if kind is None:
        return {"value": value}
    prefix, _, name = kind.strip().rpartition(":")
    namespace = element.nsmap.get(prefix or None)
    return {"type": f"xs:{name}" if namespace == XS else f"{{{namespace}}}{name}", "value": value}


def is_nil(element: etree._Element) -> bool:
    """Whether xsi:nil says that there is no value."""
    return element.get(_NIL) in ("true", "1")
