"""Whether the members of a message stand as a WCF data contract wants them.

Our own readers are more tolerant. This is for the simulated head end, whose services are taken for
.NET's (inferred).
"""

from collections.abc import Callable
from typing import TypeAlias

from lxml import etree

from adapter.wire.reader import is_nil, tags_of
from adapter.wire.scalars import JsonValue
from adapter.wire.shapes import Field, ListOf, Scalar, Struct
from adapter.wire.xml import where

Misfit: TypeAlias = Callable[[etree._Element], str | None]
"""The first thing in an element that a data contract would not read; None: all of it fits.

Members must stand in the contract's order, those that it requires must be there, and nil may stand
only where it allows it. Elements that it does not have are passed over. WCF also passes over an
optional member that is out of order; here that is a misfit, so that it is seen.
"""

Complete: TypeAlias = Callable[[JsonValue], bool]
"""Whether all is there that a data contract requires, in a value that was read without a parser:
then its members stand in order, and none is nil."""


def completeness_of(field: Field) -> Complete:
    """Compiled once for each message."""
    if isinstance(field.content, Struct):
        return _complete_members(field.content)
    if isinstance(field.content, ListOf) and isinstance(field.content.item.content, Struct):
        of_item = _complete_members(field.content.item.content)
        return lambda items: isinstance(items, list) and all(map(of_item, items))
    return lambda value: True


def _complete_members(struct: Struct) -> Complete:
    rows = [
        (
            each.name,
            each.required,
            None if isinstance(each.content, Scalar) else completeness_of(each),
        )
        for each in struct.fields
    ]

    def complete(value: JsonValue) -> bool:
        if not isinstance(value, dict):
            return False
        for name, required, of_member in rows:
            if name not in value:
                if required:
                    return False
            elif of_member is not None and not of_member(value[name]):
                return False
        return True

    return complete


def misfit_in(field: Field) -> Misfit:
    """Compiled once for each message, as readers are."""
    content = field.content
    if isinstance(content, Struct):
        within = _in_members(content)
    elif isinstance(content, ListOf) and not _any_item_fits(content.item):
        within = _in_items(content.item)
    else:
        within = _never
    nillable = field.nillable

    def misfit(element: etree._Element) -> str | None:
        if is_nil(element):
            return None if nillable else f"{where(element)}: must not be nil"
        return within(element)

    return misfit


def _never(element: etree._Element) -> str | None:
    return None


def _any_item_fits(item: Field) -> bool:
    return isinstance(item.content, Scalar) and item.nillable


def _in_items(item: Field) -> Misfit:
    tags, of_item = frozenset(tags_of(item)), misfit_in(item)

    def misfit(element: etree._Element) -> str | None:
        for child in element:
            if child.tag in tags and (found := of_item(child)) is not None:
                return found
        return None

    return misfit


def _in_members(struct: Struct) -> Misfit:
    places: dict[str, tuple[int, bool, Misfit]] = {}
    for place, field in enumerate(struct.fields):
        for tag in tags_of(field):
            places.setdefault(tag, (place, field.repeated, misfit_in(field)))
    names = [field.name if field.required else None for field in struct.fields]

    def lacking(element: etree._Element, start: int, end: int) -> str | None:
        """In the order of the contract: what stands too late is lacking, as it is for WCF."""
        for name in names[start:end]:
            if name is not None:
                return f"{where(element)}: lacks {name}"
        return None

    def misfit(element: etree._Element) -> str | None:
        begun = 0  # up to here members have been there, or may not come any more
        for child in element:
            row = places.get(child.tag)
            if row is None:
                continue
            place, repeated, of_member = row
            if place < begun:
                if not (repeated and place == begun - 1):
                    return f"{where(child)}: does not stand where the contract has it"
            else:
                if (found := lacking(element, begun, place)) is not None:
                    return found
                begun = place + 1
            if (found := of_member(child)) is not None:
                return found
        return lacking(element, begun, len(names))

    return misfit
