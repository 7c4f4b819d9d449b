"""Whether the members of a message stand as a WCF data contract wants them.

Our own readers are more tolerant. This is for the simulated head end, whose services are taken for
.NET's (inferred).
"""

from collections.abc import Iterator

from lxml import etree

from adapter.wire.reader import is_nil, tags_of
from adapter.wire.shapes import Field, ListOf, Scalar, Struct
from adapter.wire.xml import where


def misfit(field: Field, element: etree._Element) -> str | None:
    """The first thing in `element` that a data contract would not read; None: all of it fits.

    Members must stand in the contract's order, those that it requires must be there, and nil may
    stand only where it allows it. Elements that it does not have are passed over. WCF also passes
    over an optional member that is out of order; here that is a misfit, so that it is seen.
    """
    return next(_misfits(field, element), None)


def _misfits(field: Field, element: etree._Element) -> Iterator[str]:
    content = field.content
    if is_nil(element):
        if not field.nillable:
            yield f"{where(element)}: must not be nil"
    elif isinstance(content, Struct):
        yield from _of_members(content, element)
    elif isinstance(content, ListOf) and not _any_item_fits(content.item):
        tags = tags_of(content.item)
        for child in element:
            if child.tag in tags:
                yield from _misfits(content.item, child)


def _any_item_fits(item: Field) -> bool:
    return isinstance(item.content, Scalar) and item.nillable


def _of_members(struct: Struct, element: etree._Element) -> Iterator[str]:
    places: dict[str, int] = {}
    for place, field in enumerate(struct.fields):
        for tag in tags_of(field):
            places.setdefault(tag, place)
    begun = 0  # up to here members have been there, or may not come any more
    for child in element:
        place = places.get(child.tag, -1)
        if place < 0:
            continue
        field = struct.fields[place]
        if place < begun and not (field.repeated and place == begun - 1):
            yield f"{where(child)}: does not stand where the contract has it"
        yield from _lacking(struct.fields[begun:place], element)
        yield from _misfits(field, child)
        begun = max(begun, place + 1)
    yield from _lacking(struct.fields[begun:], element)


def _lacking(fields: tuple[Field, ...], element: etree._Element) -> Iterator[str]:
    """In the order of the contract: what stands too late is lacking, as it is for WCF."""
    return (f"{where(element)}: lacks {field.name}" for field in fields if field.required)
