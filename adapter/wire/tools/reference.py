"""The slow path: zeep writes the message itself. The compiled writers are tested against it.

Takes the same JSON bodies as the codec. zeep checks keys and required elements, and little else.
"""

from collections.abc import Mapping
from typing import Any as Untyped

from lxml import etree
from zeep import xsd

from adapter.wire.catalog import Catalog
from adapter.wire.shapes import AnyValue, Content, Field, ListOf, Struct


def reference_request(catalog: Catalog, key: str, body: Mapping[str, object]) -> bytes:
    """The envelope of a request as zeep writes it."""
    arguments = _value(catalog.spec(key).request.content, body)
    return etree.tostring(catalog.original(key).create(**arguments).content, encoding="utf-8")


def reference_response(catalog: Catalog, key: str, body: Mapping[str, object]) -> bytes:
    """The body content of a response as zeep writes it, without an envelope.

    zeep is a client and writes no responses; its element is rendered alone.
    """
    spec = catalog.spec(key)
    element = catalog.document(key).types.get_element(spec.response.tag)
    holder = etree.Element("holder")
    element.render(  # type: ignore[no-untyped-call]
        holder, element(**_value(spec.response.content, body))
    )
    return etree.tostring(holder[0], encoding="utf-8")


def _value(content: Content, value: object) -> Untyped:
    """A JSON value in the form that zeep takes."""
    if value is None:
        return xsd.Nil
    if isinstance(content, ListOf) and isinstance(value, list):
        return {content.item.name: [_value(content.item.content, entry) for entry in value]}
    if isinstance(content, Struct) and isinstance(value, Mapping):
        fields = {field.name: field for field in content.fields}
        return {name: _field(fields.get(name), entry) for name, entry in value.items()}
    if isinstance(content, AnyValue) and isinstance(value, Mapping):
        kind = str(value.get("type", "xs:string")).removeprefix("xs:")
        return xsd.AnyObject(  # type: ignore[no-untyped-call]
            _simple_type(kind), value.get("value")
        )
    return value


def _field(field: Field | None, value: object) -> Untyped:
    return value if field is None else _value(field.content, value)


def _simple_type(kind: str) -> Untyped:
    return getattr(xsd, kind[0].upper() + kind[1:])()
