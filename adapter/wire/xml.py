"""The one hardened XML parser, and the SOAP envelope around what it reads.

Refused: more than `max_bytes`, more tags than `max_elements`, and whatever the one judge of XML
does not take (see `bounded`), at any size: a DOCTYPE (and with it every entity), processing
instructions, XML 1.1, encodings other than UTF-8 and UTF-16 with a byte order mark, deep nesting,
many attributes or namespaces, endless names, tags and texts. Markup that is seen to be plain, as
nearly all is, is not shown to the judge, who would say what the parser says. Comments are dropped
while parsing, so that a value cannot be cut short by one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from xml.parsers.expat import ExpatError

from lxml import etree

from adapter.errors import ContractViolation, NotWellFormed
from adapter.wire.apart import apart
from adapter.wire.bounded import KIB, USUAL
from adapter.wire.bounded import checked as judged
from adapter.wire.encoding import NO_ENCODING, as_utf8
from adapter.wire.plain import is_plain

MAX_BYTES: Final = 256 * KIB
"""Enough for every message but DataArrived and long result lists; their readers say more."""
MAX_ELEMENTS: Final = 1_000_000


class Soap(StrEnum):
    """The envelope's version. The head end speaks 1.1; 1.2 is read and answered."""

    V11 = "1.1"
    V12 = "1.2"


ENVELOPE_NS: Final = {
    Soap.V11: "http://schemas.xmlsoap.org/soap/envelope/",
    Soap.V12: "http://www.w3.org/2003/05/soap-envelope",
}
_VERSION_OF: Final = {f"{{{ns}}}Envelope": version for version, ns in ENVELOPE_NS.items()}
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
XS: Final = "http://www.w3.org/2001/XMLSchema"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedEnvelope:
    """The one element inside soap:Body, and the version of the envelope it came in."""

    content: etree._Element
    soap: Soap


def parse(
    data: bytes,
    *,
    max_bytes: int = MAX_BYTES,
    max_elements: int = MAX_ELEMENTS,
    known: bool = True,
) -> etree._Element:
    """The root element. Raises NotWellFormed, and never resolves anything outside `data`. `known`:
    it is not from a stranger, of whose names few are kept."""
    if len(data) > max_bytes:
        raise NotWellFormed(f"{len(data)} bytes, more than the {max_bytes} allowed")
    if len(data) > 3 * max_elements and data.count(b"<") > 2 * max_elements:
        raise NotWellFormed(f"more than {max_elements} elements")
    root = plain_root(data, known=known)
    if root is not None:
        return root
    try:
        return tree_of(judged(data), known=known)
    except NotWellFormed as error:
        if isinstance(error.__cause__, ExpatError) and NO_ENCODING not in str(error):
            # All is within bounds up to there, and libxml2 names what does not fit.
            tree_of(b"".join(as_utf8([data])), known=known)
        raise


def plain_root(data: bytes, *, known: bool = True) -> etree._Element | None:
    """The root of what is plain, in one go. None: it takes the judge to tell what this is."""
    if not is_plain(data, most_bytes=USUAL.text_bytes, most=USUAL.attributes):
        return None
    try:
        root = _read(data, known)
    except (etree.XMLSyntaxError, ValueError):
        return None
    shallow = len(data) <= _FEW and data.count(b"<") <= 2 * USUAL.depth
    return root if shallow or not _is_deep(root) else None


def tree_of(text: bytes, *, known: bool = True) -> etree._Element:
    """The root of what the judge of XML took, and gave back. Raises NotWellFormed."""
    try:
        return _read(text, known)
    except etree.XMLSyntaxError as error:
        raise NotWellFormed(what_is_wrong(error)) from error
    except ValueError as error:
        raise NotWellFormed(str(error)) from error


def open_envelope(data: bytes, *, max_bytes: int = MAX_BYTES, known: bool = True) -> OpenedEnvelope:
    """Parse a SOAP 1.1 or 1.2 message and find its content. Header blocks are not looked at.

    Raises NotWellFormed, or ContractViolation where the XML is no envelope with one element.
    """
    return opened(parse(data, max_bytes=max_bytes, known=known))


def opened(root: etree._Element) -> OpenedEnvelope:
    """The content of an envelope that is parsed. Raises ContractViolation."""
    version = _VERSION_OF.get(root.tag)
    if version is None:
        raise ContractViolation(f"not a SOAP envelope but {root.tag}", at=local_name(root))
    body = f"{{{ENVELOPE_NS[version]}}}Body"
    bodies = [child for child in root if child.tag == body]
    if len(bodies) != 1 or len(bodies[0]) != 1:
        raise ContractViolation("needs exactly one Body with exactly one element", at="Envelope")
    return OpenedEnvelope(content=bodies[0][0], soap=version)


def what_is_wrong(error: etree.XMLSyntaxError) -> str:
    """lxml's words with line and column, without the name it has for bytes from memory."""
    return " ".join((error.msg or "not well-formed").split())


def local_name(element: etree._Element) -> str:
    return element.tag.rpartition("}")[2]


def namespace(element: etree._Element) -> str:
    return element.tag[1:].partition("}")[0] if element.tag.startswith("{") else ""


def text_of(element: etree._Element) -> str:
    """The whole text of a leaf. Raises ContractViolation where elements are mixed into it."""
    if len(element):
        raise ContractViolation("has elements where text belongs", at=where(element))
    return element.text or ""


def where(element: etree._Element) -> str:
    """The path of local names from the message element down, for error texts."""
    names = [local_name(element), *(local_name(above) for above in element.iterancestors())]
    path = [name for name in reversed(names) if name not in ("Envelope", "Body")]
    return "/".join(path) or names[0]


PARSING: Final[Mapping[str, Any]] = {
    "encoding": "utf-8",
    "resolve_entities": False,
    "load_dtd": False,
    "no_network": True,
    "huge_tree": False,
    "recover": False,
    "remove_comments": True,
}
"""How every parser of ours reads; lxml's own defaults fetch and expand."""


def _new_parser() -> etree.XMLParser:
    return etree.XMLParser(**PARSING)


def _read(text: bytes, known: bool) -> etree._Element:
    if _FAMILIAR.has_all_of(text, known=known):
        return etree.fromstring(text, _PARSER)
    return apart(lambda: etree.fromstring(text, _new_parser()))


class FamiliarTags:
    """Tags that were met, and are few enough to be kept for good. Strangers fill a part of the
    room, so that what the head end writes stays familiar whatever else comes."""

    def __init__(self) -> None:
        self._met: set[bytes] = set()

    def has_all_of(self, text: bytes, *, known: bool) -> bool:
        """Whether it is short and of tags that were met; where there is room, they are now."""
        if len(text) > _SMALL:
            return False
        new = set(_TAGS.findall(text)) - self._met
        if not new:
            return True
        room = _MOST_MET if known else _MOST_OF_STRANGERS
        if len(self._met) + len(new) > room or max(map(len, new)) > KIB:
            return False
        self._met.update(new)
        return True


_PARSER: Final = _new_parser()
_FAMILIAR: Final = FamiliarTags()
_SMALL: Final = 16 * KIB
"""Beside what is larger a thread costs little."""
_MOST_MET: Final = 4096
_MOST_OF_STRANGERS: Final = 1024
_TAGS: Final = re.compile(rb"<[^>]*>?\s*")
"""With the blanks behind them, which are kept like names."""
_FEW: Final = 4 * KIB
"""Of so few bytes to count the tags is quicker than to go through the tree."""

_is_deep: Final = etree.XPath(f"boolean({'/*' * (USUAL.depth + 1)})")
