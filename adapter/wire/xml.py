"""The one hardened XML parser, and the SOAP envelope around what it reads.

Refused before a parser sees a byte: more than `max_bytes`, more tags than `max_elements`, a DOCTYPE
(and with it every entity), processing instructions (see `markup`), XML 1.1, encodings other than
UTF-8 and UTF-16 with a byte order mark. Refused after parsing: nesting past `max_depth`, more than
MAX_ATTRIBUTES attributes or namespaces in scope on one element. Comments are dropped while parsing,
so that a value cannot be cut short by one.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from lxml import etree

from adapter.errors import ContractViolation, NotWellFormed
from adapter.wire.markup import forbidden_markup

MAX_BYTES: Final = 256 * 1024
"""Enough for every message but DataArrived and long result lists; their readers say more."""
MAX_DEPTH: Final = 32
"""The deepest message of the contract has 12 levels."""
MAX_ELEMENTS: Final = 1_000_000
MAX_ATTRIBUTES: Final = 32

_DECLARATION: Final = re.compile(rb"<\?xml(\s[^>]*?)?\?>")
_VERSION: Final = re.compile(rb"""\sversion\s*=\s*["']([^"']*)["']""")
_ENCODING: Final = re.compile(rb"""\sencoding\s*=\s*["']([^"']*)["']""")
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_UTF32_MARKS: Final = (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")


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
    max_depth: int = MAX_DEPTH,
    max_elements: int = MAX_ELEMENTS,
) -> etree._Element:
    """The root element. Raises NotWellFormed, and never resolves anything outside `data`."""
    if len(data) > max_bytes:
        raise NotWellFormed(f"{len(data)} bytes, more than the {max_bytes} allowed")
    data = _as_utf8(data)
    forbidden = forbidden_markup(data)
    if forbidden is not None:
        raise NotWellFormed(str(forbidden))
    if len(data) > 3 * max_elements and data.count(b"<") > 2 * max_elements:
        raise NotWellFormed(f"more than {max_elements} elements")
    try:
        root = etree.fromstring(data, _PARSER)
    except etree.XMLSyntaxError as error:
        raise NotWellFormed(what_is_wrong(error)) from error
    except ValueError as error:
        raise NotWellFormed(str(error)) from error
    if _deeper_than(max_depth)(root):
        raise NotWellFormed(f"nested deeper than {max_depth} elements")
    if data.count(b"=") > MAX_ATTRIBUTES:
        _check_attributes(root, namespaces=data.count(b"xmlns") > MAX_ATTRIBUTES)
    return root


def open_envelope(data: bytes, *, max_bytes: int = MAX_BYTES) -> OpenedEnvelope:
    """Parse a SOAP 1.1 or 1.2 message and find its content. Header blocks are not looked at.

    Raises NotWellFormed, or ContractViolation where the XML is no envelope with one element.
    """
    root = parse(data, max_bytes=max_bytes)
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


def _as_utf8(data: bytes) -> bytes:
    """`data` in UTF-8, without byte order mark; the XML declaration is blanked."""
    try:
        if data.startswith(_UTF16_MARKS) and not data.startswith(_UTF32_MARKS):
            data, allowed = data.decode("utf-16").encode(), b"utf-16"
        else:
            data, allowed = data.removeprefix(_UTF8_MARK), b"utf-8"
            if not data.isascii():
                data.decode()
    except UnicodeError as error:
        raise NotWellFormed("neither UTF-8 nor UTF-16 with a byte order mark") from error
    declaration = _DECLARATION.match(data)
    if declaration is None:
        return data
    attributes = declaration[1] or b""
    version, encoding = _VERSION.search(attributes), _ENCODING.search(attributes)
    if version is None or version[1] != b"1.0":
        raise NotWellFormed("not XML 1.0")
    if encoding is not None and encoding[1].lower() != allowed:
        raise NotWellFormed(f"encoding {encoding[1][:20].decode(errors='replace')} is not accepted")
    # Blanks in its place keep the columns of the first line, which errors name.
    return b" " * declaration.end() + data[declaration.end() :]


_PARSER: Final = etree.XMLParser(
    encoding="utf-8",
    resolve_entities=False,
    load_dtd=False,
    no_network=True,
    huge_tree=False,
    recover=False,
    remove_comments=True,
)


@lru_cache
def _deeper_than(depth: int) -> etree.XPath:
    return etree.XPath(f"boolean({'/*' * (depth + 1)})")


def _check_attributes(root: etree._Element, *, namespaces: bool) -> None:
    for element in root.iter():
        if len(element.attrib) > MAX_ATTRIBUTES:
            raise NotWellFormed(f"more than {MAX_ATTRIBUTES} attributes on one element")
        if namespaces and len(element.nsmap) > MAX_ATTRIBUTES:
            raise NotWellFormed(f"more than {MAX_ATTRIBUTES} namespaces in scope")
