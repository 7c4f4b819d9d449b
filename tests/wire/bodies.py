"""Message bodies for tests: generated from the contract, and compared as XML."""

from functools import cache
from pathlib import Path

from hypothesis import strategies as st
from lxml import etree

from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec
from adapter.wire.scalars import JsonValue
from adapter.wire.shapes import AnyValue, Content, Field, ListOf, Scalar, Skipped, Struct
from adapter.wire.xml import XSI

WSDL = Path(__file__).parents[2] / "wsdl"
EXAMPLES = Path(__file__).parent / "examples"
Strategy = st.SearchStrategy[JsonValue]

_TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), include_characters="\t\n\r<>&\"'é€😀").filter(
        lambda c: c not in "\ufffe\uffff"
    ),
    max_size=8,
)
_TIMES = st.from_regex(
    r"20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{1,7})?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])?",
    fullmatch=True,
)
_DECIMALS = st.from_regex(r"-?[0-9]{1,18}(\.[0-9]{1,9})?", fullmatch=True)
_FLOATS = st.from_regex(r"-?[0-9]{1,7}(\.[0-9]{1,7})?(E-?[0-9]{1,2})?|INF", fullmatch=True)
_INTEGERS = {
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "unsignedShort": st.integers(0, 2**16 - 1),
    "unsignedLong": st.integers(0, 2**64 - 1),
}
_ANY_VALUES = st.one_of(
    st.builds(lambda v: {"type": "xs:string", "value": v}, _TEXT),
    st.builds(lambda v: {"type": "xs:decimal", "value": v}, _DECIMALS),
    st.builds(lambda v: {"type": "xs:dateTime", "value": v}, _TIMES),
    st.builds(lambda v: {"type": "xs:boolean", "value": v}, st.sampled_from(["true", "false"])),
    st.builds(lambda v: {"type": "xs:int", "value": str(v)}, _INTEGERS["int"]),
    st.builds(lambda v: {"type": "xs:double", "value": v}, _FLOATS),
)


def catalog() -> Catalog:
    return Catalog.load()


@cache
def codec() -> Codec:
    return Codec(catalog())


def bodies(field: Field) -> st.SearchStrategy[dict[str, JsonValue]]:
    """Everything the contract allows inside a wrapper element, its parameters present."""
    assert isinstance(field.content, Struct)
    return st.fixed_dictionaries(
        {parameter.name: _element(parameter) for parameter in field.content.fields}
    )


def canonical(element: etree._Element) -> str:
    """Canonical XML 2.0 with prefixes rewritten, those inside xsi:type included."""
    text: str = etree.canonicalize(
        etree.tostring(element, encoding="unicode"),
        rewrite_prefixes=True,
        qname_aware_attrs=[f"{{{XSI}}}type"],
    )
    return text


def content_of(envelope: bytes) -> etree._Element:
    """The element inside the body, by lxml alone."""
    (body,) = etree.fromstring(envelope).iterfind("{*}Body")
    return body[0]


def _element(field: Field) -> Strategy:
    inside = _content(field.content)
    return st.one_of(inside, st.none()) if field.nillable else inside


def _content(content: Content) -> Strategy:
    if isinstance(content, Struct):
        sent = [field for field in content.fields if not isinstance(field.content, Skipped)]
        return st.fixed_dictionaries(
            {field.name: _element(field) for field in sent if field.required},
            optional={field.name: _element(field) for field in sent if not field.required},
        )
    if isinstance(content, ListOf):
        # zeep cannot write a nil group inside a list: it takes it for one without fields.
        nil_item = not isinstance(content.item.content, Struct)
        item = _element(content.item) if nil_item else _content(content.item.content)
        return st.lists(item, max_size=2)
    if isinstance(content, AnyValue):
        return _ANY_VALUES
    assert isinstance(content, Scalar)
    return _scalar(content)


def _scalar(scalar: Scalar) -> Strategy:
    if scalar.facets.words:
        return st.sampled_from(scalar.facets.words)
    if scalar.facets.pattern is not None:
        return st.uuids().map(str)
    if scalar.kind in _INTEGERS:
        return _INTEGERS[scalar.kind]
    kinds: dict[str, Strategy] = {
        "boolean": st.booleans(),
        "dateTime": _TIMES,
        "decimal": _DECIMALS,
        "float": _FLOATS,
        "string": _TEXT,
        "anyURI": _TEXT,
    }
    return kinds[scalar.kind]
