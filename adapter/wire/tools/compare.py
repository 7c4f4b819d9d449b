"""Where two messages first differ, as an XPath, by what they say and not by how they are written.

Prefixes, where a namespace is declared, comments and white space between elements say nothing.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from lxml import etree

from adapter.wire.xml import local_name, parse

_LONGEST_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`at` is an XPath in local names, counted where a name occurs again among its siblings."""

    at: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.at}: expected {self.expected}, got {self.got}"


def first_difference(expected: bytes, got: bytes) -> Difference | None:
    """The first place, in document order, at which `got` says something else; None: nowhere.

    Raises NotWellFormed for what is no XML.
    """
    one = parse(expected, max_bytes=_LONGEST_BYTES)
    other = parse(got, max_bytes=_LONGEST_BYTES)
    return _compare(one, other, f"/{local_name(one)}")


def _compare(one: etree._Element, other: etree._Element, at: str) -> Difference | None:
    if one.tag != other.tag:
        return Difference(at=at, expected=f"<{one.tag}>", got=f"<{other.tag}>")
    for name in sorted({*one.attrib, *other.attrib}, key=str):
        if one.get(name) != other.get(name):
            return Difference(
                at=f"{at}/@{etree.QName(name).localname}",
                expected=_shown(one.get(name)),
                got=_shown(other.get(name)),
            )
    if _text(one) != _text(other):
        return Difference(at=at, expected=_shown(_text(one)), got=_shown(_text(other)))
    return _compare_children(one, other, at)


def _compare_children(one: etree._Element, other: etree._Element, at: str) -> Difference | None:
    total = Counter(local_name(child) for child in one)
    seen: Counter[str] = Counter()
    for position, child in enumerate(one):
        name = local_name(child)
        seen[name] += 1
        place = f"{at}/{name}[{seen[name]}]" if total[name] > 1 else f"{at}/{name}"
        if position >= len(other):
            return Difference(at=place, expected=f"<{child.tag}>", got="nothing")
        found = _compare(child, other[position], place)
        if found is not None:
            return found
    if len(other) > len(one):
        extra = other[len(one)]
        return Difference(at=f"{at}/{local_name(extra)}", expected="nothing", got=f"<{extra.tag}>")
    return None


def _text(element: etree._Element) -> str:
    """The text of a leaf; between the children of an element there is only white space."""
    text = element.text or ""
    return text.strip() if len(element) else text


def _shown(text: str | None) -> str:
    return "nothing" if text is None else repr(text)
