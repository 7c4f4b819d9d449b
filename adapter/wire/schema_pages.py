"""The schemas of a contract as pages `?xsd=xsd0`, or all of them inside of one WSDL."""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Final
from xml.sax.saxutils import quoteattr

from lxml import etree
from zeep.loader import absolute_location

from adapter.wire.xml import XS

_IMPORT: Final = f"{{{XS}}}import"
_INCLUDE: Final = f"{{{XS}}}include"
_SCHEMA: Final = f"{{{XS}}}schema"
_LOCATION: Final = "schemaLocation"


class _Page:
    """One schema document; a place with `#` is a schema that stands in a WSDL."""

    def __init__(self, name: str, place: str, root: etree._Element) -> None:
        self.name = name
        self.place = place
        self.root = root
        self.namespace = root.get("targetNamespace", "")

    def parts(self, tag: str) -> list[etree._Element]:
        return self.root.findall(tag)

    def leads_to(self, element: etree._Element) -> str:
        location = (element.get(_LOCATION) or "").strip()
        if not location:
            return ""
        return str(absolute_location(location, self.place.partition("#")[0]))  # type: ignore[no-untyped-call]


class SchemaPages:
    """All schemas of some WSDL files, each once. `texts` are documents by their places."""

    def __init__(self, texts: Iterable[Mapping[str, bytes]]) -> None:
        self._pages: dict[str, _Page] = {}
        for one in texts:
            for place, content in one.items():
                for at, root in _schemas_in(place, content):
                    if at not in self._pages:
                        name = f"xsd{len(self._pages)}"
                        self._pages[at] = _Page(name, at, root)
        self._by_name = {page.name: page for page in self._pages.values()}
        self._first = dict(self._firsts())
        self._taken_in = dict(self._without_namespace())

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._by_name)

    def page(self, name: str, *, address: str) -> etree._Element:
        """The schema; what it imports leads to the other pages at `address`."""
        page = self._by_name[name]
        root = deepcopy(page.root)
        for tag in (_IMPORT, _INCLUDE):
            for element, copied in zip(page.parts(tag), root.findall(tag), strict=True):
                _lead(copied, self._target(page, element), address)
        for other in self._left_aside(page):
            included = etree.Element(_INCLUDE)
            included.set(_LOCATION, _url(address, other))
            root.insert(0, included)
        return root

    def imports(self, *, address: str) -> etree._Element:
        """A schema that imports one page of each namespace."""
        root = etree.Element(_SCHEMA, nsmap={"xs": XS})
        for page in self._pages.values():
            if self._first.get(page.namespace) is not page:
                continue
            element = etree.SubElement(root, _IMPORT)
            if page.namespace:
                element.set("namespace", page.namespace)
            element.set(_LOCATION, _url(address, page))
        return root

    def inside(self) -> Iterator[etree._Element]:
        """All schemas without a location in them."""
        for page in self._pages.values():
            root = deepcopy(page.root)
            if (namespace := self._taken_in.get(page.place)) is not None:
                root = _in_namespace(root, namespace)
            for element in root.findall(_IMPORT):
                element.attrib.pop(_LOCATION, "")
            for element in root.findall(_INCLUDE):
                root.remove(element)
            yield root

    def _target(self, page: _Page, element: etree._Element) -> _Page | None:
        """By its place, else (schemas that stand side by side in a WSDL) by its namespace."""
        named = self._pages.get(page.leads_to(element))
        if named is not None or element.tag == _INCLUDE:
            return named
        return self._first.get(element.get("namespace", ""))

    def _included(self, pages: Iterable[_Page]) -> set[str]:
        return {page.leads_to(element) for page in pages for element in page.parts(_INCLUDE)}

    def _firsts(self) -> Iterator[tuple[str, _Page]]:
        """Of each namespace the page that others import: the first that none includes, if any."""
        everything = list(self._pages.values())
        included = self._included(everything)
        for page in reversed(everything):
            if page.namespace or page.place not in included:
                yield page.namespace, page
        for page in reversed(everything):
            if page.place not in included:
                yield page.namespace, page

    def _left_aside(self, page: _Page) -> Iterator[_Page]:
        """What no import leads to: other pages of the namespace that nobody includes."""
        if self._first.get(page.namespace) is not page:
            return
        included = self._included(self._pages.values())
        for other in self._pages.values():
            alike = other.namespace == page.namespace and other is not page
            if alike and other.place not in included:
                yield other

    def _without_namespace(self) -> Iterator[tuple[str, str]]:
        """Pages that take the namespace of who includes them, by place."""
        for page in self._pages.values():
            for element in page.parts(_INCLUDE):
                target = self._pages.get(page.leads_to(element))
                if target is not None and not target.namespace and page.namespace:
                    yield target.place, page.namespace


def _schemas_in(place: str, content: bytes) -> Iterator[tuple[str, etree._Element]]:
    """A schema, or those in a WSDL that define something."""
    root = etree.fromstring(content, _PLAIN)
    if root.tag == _SCHEMA:
        yield place, root
        return
    for number, schema in enumerate(root.findall(f".//{_SCHEMA}")):
        if schema.get("targetNamespace") or any(each.tag != _IMPORT for each in schema):
            # Written and read again, it has the prefixes of all above it, which its values use.
            alone = etree.tostring(schema, with_tail=False)
            yield f"{place}#{number}", etree.fromstring(alone, _PLAIN)


def _in_namespace(root: etree._Element, namespace: str) -> etree._Element:
    """Names without a prefix are the namespace's own then."""
    if None in root.nsmap:
        root.set("targetNamespace", namespace)
        return root
    text = etree.tostring(root, encoding="unicode")
    start = text.index(">" if "/>" not in text[: text.index(">") + 1] else "/>")
    return etree.fromstring(
        f"{text[:start]} xmlns={quoteattr(namespace)} targetNamespace={quoteattr(namespace)}"
        f"{text[start:]}",
        _PLAIN,
    )


def _lead(element: etree._Element, target: _Page | None, address: str) -> None:
    if target is None:
        element.attrib.pop(_LOCATION, "")
    else:
        element.set(_LOCATION, _url(address, target))


def _url(address: str, page: _Page) -> str:
    return f"{address}?xsd={page.name}"


_PLAIN: Final = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)
