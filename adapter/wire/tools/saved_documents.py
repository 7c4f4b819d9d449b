"""The documents of a running service as files: locations become relative, nothing is left out."""

import posixpath
import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import urldefrag, urljoin, urlsplit

from lxml import etree

from adapter.errors import ContractError

_DEFINITIONS: Final = "{http://schemas.xmlsoap.org/wsdl/}definitions"
_SCHEMA: Final = "{http://www.w3.org/2001/XMLSchema}schema"
_LOCATIONS: Final = {
    "{http://schemas.xmlsoap.org/wsdl/}import": "location",
    "{http://www.w3.org/2001/XMLSchema}import": "schemaLocation",
    "{http://www.w3.org/2001/XMLSchema}include": "schemaLocation",
    "{http://www.w3.org/2001/XMLSchema}redefine": "schemaLocation",
}
_IMPORTED: Final = "imported"
"""A folder of its own: what lies beside the services' files is read as a service's file."""

_MOST_DOCUMENTS: Final = 500
_LONGEST_NAME: Final = 80


class SavedDocuments:
    """`files` by their names in the folder; `elsewhere` are locations of other hosts, which were
    asked for at the host that was named: behind a proxy a service knows itself by another name."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self.files: dict[str, bytes] = {}
        self.elsewhere: list[str] = []
        self._read = read
        self._names: dict[str, str] = {}
        self._waiting: deque[str] = deque()

    def fetch(self, urls: Iterable[str]) -> None:
        """Each URL's own document, and whatever they import.

        Raises ContractError for what is neither WSDL nor schema, and past 500 documents; whatever
        `read` raises comes through.
        """
        services = [urldefrag(url).url for url in urls]
        for url in services:
            self._name(url, "", ".wsdl")
        while self._waiting:
            url = self._waiting.popleft()
            root = _document(self._read(url), url, service=url in services)
            for element in root.iter(*_LOCATIONS):
                self._lead(element, url)
            self.files[self._names[url]] = etree.tostring(
                root, xml_declaration=True, encoding="utf-8"
            )

    def _lead(self, element: etree._Element, url: str) -> None:
        """Write the relative place where a location stood."""
        attribute = _LOCATIONS[str(element.tag)]
        location = (element.get(attribute) or "").strip()
        if not location:
            return
        target = self._here(location, url)
        if target not in self._names:
            wsdl = attribute == "location"
            self._name(target, f"{_IMPORTED}/", ".part.wsdl" if wsdl else ".xsd")
        here = posixpath.dirname(self._names[url])
        element.set(attribute, posixpath.relpath(self._names[target], here or "."))

    def _here(self, location: str, url: str) -> str:
        try:
            target = urldefrag(urljoin(url, location)).url
            asked, base = urlsplit(target), urlsplit(url)
        except ValueError as error:
            raise ContractError(f"{url}: the location {location!r} is no URL") from error
        if asked.scheme not in ("http", "https"):
            raise ContractError(f"{url}: the location {location!r} is not on the web")
        if (asked.scheme, asked.netloc) == (base.scheme, base.netloc):
            return target
        if target not in self.elsewhere:
            self.elsewhere.append(target)
        return asked._replace(scheme=base.scheme, netloc=base.netloc).geturl()

    def _name(self, url: str, folder: str, ending: str) -> None:
        if url in self._names:
            return
        if len(self._names) >= _MOST_DOCUMENTS:
            raise ContractError(f"{url}: more than {_MOST_DOCUMENTS} documents")
        parts = urlsplit(url)
        stem = posixpath.splitext(posixpath.basename(parts.path.rstrip("/")))[0]
        query = parts.query.rpartition("=")[2] if folder else ""
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", f"{stem}-{query}")[:_LONGEST_NAME].strip("-")
        taken = {name.lower() for name in self._names.values()}
        name = f"{folder}{plain or 'service'}{ending}"
        number = 1
        while name.lower() in taken:
            number += 1
            name = f"{folder}{plain or 'service'}-{number}{ending}"
        self._names[url] = name
        self._waiting.append(url)


def _document(content: bytes, url: str, *, service: bool) -> etree._Element:
    try:
        root = etree.fromstring(content, _PLAIN)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ContractError(f"{url}: is no XML: {error}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise ContractError(f"{url}: has a document type, which is refused")
    wanted = (_DEFINITIONS,) if service else (_DEFINITIONS, _SCHEMA)
    if root.tag not in wanted:
        raise ContractError(
            f"{url}: is not {'a WSDL' if service else 'WSDL or XSD'} but {root.tag}"
        )
    return root


_PLAIN: Final = etree.XMLParser(resolve_entities=False, no_network=True)
