"""One operation as a contract describes it, and where two descriptions of it differ."""

from collections.abc import Iterator
from dataclasses import dataclass

from adapter.wire.shapes import Content, Field, ListOf, Scalar, Struct


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationSpec:
    """One operation. `path` is the URL path of its service; `request` and `response` its elements.

    `key` is `{Service}.{Operation}`, the value of `commands.flows.Operation` where a command uses
    it.
    """

    key: str
    service: str
    name: str
    namespace: str
    soap_action: str
    path: str
    faults: tuple[str, ...]
    request: Field
    response: Field


def difference(one: OperationSpec, other: OperationSpec) -> str:
    """The first thing in which two descriptions of an operation differ, as "what: this, that";
    "" where messages are the same by both."""
    return next(_differences(one, other), "")


def _differences(one: OperationSpec, other: OperationSpec) -> Iterator[str]:
    if one.soap_action != other.soap_action:
        yield f"SOAPAction: {one.soap_action!r}, {other.soap_action!r}"
    if one.path != other.path:
        yield f"path of its address: {one.path!r}, {other.path!r}"
    if faults := sorted({*one.faults} ^ {*other.faults}):
        yield f"fault {faults[0]}: {_has(faults[0] in one.faults)}"
    yield from field_differences(one.request, other.request)
    yield from field_differences(one.response, other.response)


def field_differences(one: Field, other: Field, above: str = "") -> Iterator[str]:
    """The same for two elements and all below them."""
    path = f"{above}{one.name}"
    if one.tag != other.tag:
        yield f"{path}: {one.tag}, {other.tag}"
        return
    for what in ("required", "nillable", "repeated"):
        if (mine := getattr(one, what)) != getattr(other, what):
            yield f"{path}: {what}, not {what}" if mine else f"{path}: not {what}, {what}"
    yield from _content_differences(one.content, other.content, path)


def _content_differences(one: Content, other: Content, path: str) -> Iterator[str]:
    if isinstance(one, Struct) and isinstance(other, Struct):
        yield from _member_differences(one, other, path)
    elif isinstance(one, ListOf) and isinstance(other, ListOf):
        yield from field_differences(one.item, other.item, f"{path}/")
    elif one != other:
        yield f"{path}: {_words(one)}, {_words(other)}"


def _member_differences(one: Struct, other: Struct, path: str) -> Iterator[str]:
    mine, theirs = [each.tag for each in one.fields], [each.tag for each in other.fields]
    for field in (*one.fields, *other.fields):
        if (field.tag in mine) != (field.tag in theirs):
            yield f"{path}/{field.name}: {_has(field.tag in mine)}"
            return
    if mine != theirs:
        yield f"{path}: its elements are in another order"
        return
    for each, counterpart in zip(one.fields, other.fields, strict=True):
        yield from field_differences(each, counterpart, f"{path}/")


def _has(first: bool) -> str:
    return "is in the first only" if first else "is in the second only"


def _words(content: Content) -> str:
    if not isinstance(content, Scalar):
        return type(content).__name__.lower()
    words, pattern = content.facets.words, content.facets.pattern
    narrowed = f" of {', '.join(words)}" if words else ""
    return f"{content.kind}{narrowed}{f' like {pattern.pattern}' if pattern else ''}"
