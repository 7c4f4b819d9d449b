"""The contract of what is served here, as web pages for others: a WSDL with the address asked at.

The pages are written from the catalog and not cut out of its files, which may be of several parts,
have services that somebody else hosts, or lack a binding. Only schemas that the file of an
operation imports are known, so that no name leads anywhere else.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any as Untyped
from typing import Final
from xml.sax.saxutils import escape

from lxml import etree
from zeep.wsdl.bindings.soap import Soap12Binding

from adapter.wire.catalog import HOSTED_HERE, Catalog
from adapter.wire.operation_spec import OperationSpec
from adapter.wire.port_types import SOAP_11, SOAP_12, SOAP_HTTP, WSAW, WSDL
from adapter.wire.schema_pages import SchemaPages
from adapter.wire.xml import XS

_ADDRESS: Final = "urn:openway:address"
"""Stands for the address in pages that are kept; no document has a reason to name it."""


def asks_for_contract(query: Iterable[str]) -> bool:
    """Whether the names in a query ask for a page of the contract, in any case of letters."""
    return any(name.lower() in ("wsdl", "singlewsdl", "xsd") for name in query)


def base_address(scheme: str, host: str | None, *, otherwise: str) -> str:
    """The address that a caller asked at, by its Host header; `otherwise` where that is none."""
    return f"{scheme}://{host}" if host and _HOST.fullmatch(host) else otherwise


def served_by_head_end(catalog: Catalog) -> tuple[OperationSpec, ...]:
    """The operations that the head end serves; the others it calls."""
    return tuple(spec for spec in catalog.operations.values() if spec.key not in HOSTED_HERE)


def contract_pages(catalog: Catalog) -> dict[str, "ServedContract"]:
    """The head end's services by the paths of their addresses."""
    by_path: dict[str, list[str]] = {}
    for spec in served_by_head_end(catalog):
        by_path.setdefault(spec.path or "/", []).append(spec.key)
    return {path: ServedContract(catalog, keys) for path, keys in by_path.items()}


class ServedContract:
    """The operations that are served at one address. A page is written once and kept."""

    def __init__(self, catalog: Catalog, keys: Iterable[str]) -> None:
        self._catalog = catalog
        self._keys = tuple(keys)
        self._kept: dict[str, bytes] = {}

    @cached_property
    def _schemas(self) -> SchemaPages:
        """Read when somebody asks: a start need not wait for it."""
        sources = {id(source): source for source in map(self._catalog.source, self._keys)}
        return SchemaPages([source.texts for source in sources.values()])

    def page(self, query: Mapping[str, str], *, address: str) -> bytes | None:
        """What `?wsdl`, `?singleWsdl` or `?xsd=NAME` asks for, leading to `address`.

        `?singleWsdl` is one page with its schemas inside. None: there is no such schema.
        """
        asked = {name.lower(): value for name, value in query.items()}
        if "singlewsdl" in asked:
            name = "single"
        elif "xsd" in asked:
            name = asked["xsd"]
            if name not in self._schemas.names:
                return None
        else:
            name = "wsdl"
        if name not in self._kept:
            self._kept[name] = self._written(name)
        whole = escape(address, {'"': "&quot;"}).encode("ascii", "xmlcharrefreplace")
        return self._kept[name].replace(_ADDRESS.encode(), whole)

    def _written(self, name: str) -> bytes:
        if name in self._schemas.names:
            page = self._schemas.page(name, address=_ADDRESS)
            return etree.tostring(page, xml_declaration=True, encoding="utf-8")
        single = name == "single"
        schemas = self._schemas.inside() if single else [self._schemas.imports(address=_ADDRESS)]
        definitions = self._definitions()
        etree.indent(definitions)
        root = etree.tostring(definitions, xml_declaration=True, encoding="utf-8")
        # As text: moved into the tree, a schema would lose prefixes that only its values use.
        inside = b"".join(etree.tostring(schema) for schema in schemas)
        return root.replace(_SCHEMAS, inside, 1)

    def _definitions(self) -> etree._Element:
        specs = [self._catalog.spec(key) for key in self._keys]
        target = specs[0].namespace
        tags = (target, *(tag[1:].partition("}")[0] for tag in self._tags()))
        prefixes = {each: f"n{number}" for number, each in enumerate(dict.fromkeys(tags))}
        names = {"wsdl": WSDL, "xs": XS, "wsaw": WSAW, "soap": SOAP_11, "soap12": SOAP_12}
        names |= {prefix: each for each, prefix in prefixes.items() if each}
        root = etree.Element(f"{{{WSDL}}}definitions", nsmap=names)
        if target:
            root.set("targetNamespace", target)
        etree.SubElement(root, f"{{{WSDL}}}types").append(etree.Comment("schemas"))
        writing = _Writing(root, self._catalog, prefixes, target)
        for service in dict.fromkeys(spec.service for spec in specs):
            writing.service([spec for spec in specs if spec.service == service])
        root[:] = sorted(root, key=lambda each: _ORDER.index(etree.QName(each).localname))
        return root

    def _tags(self) -> Iterator[str]:
        for key in self._keys:
            spec = self._catalog.spec(key)
            yield spec.request.tag
            yield spec.response.tag
            yield from _fault_tags(self._catalog, key).values()


class _Writing:
    """One WSDL under way: what belongs to a service is added below `root`."""

    def __init__(
        self, root: etree._Element, catalog: Catalog, prefixes: Mapping[str, str], target: str
    ) -> None:
        self._root = root
        self._catalog = catalog
        self._prefixes = prefixes
        self._target = target

    def service(self, specs: Iterable[OperationSpec]) -> None:
        specs = list(specs)
        name = specs[0].service
        soap = SOAP_12 if self._soap_12(specs[0].key) else SOAP_11
        bound = f"BasicHttpBinding_{name}"
        port_type = self._below("portType", name=name)
        binding = self._below("binding", name=bound, type=self._named(name))
        etree.SubElement(binding, f"{{{soap}}}binding", transport=SOAP_HTTP)
        for spec in specs:
            self._described(port_type, spec)
            self._bound(binding, spec, soap)
        service = self._below("service", name=name)
        port = etree.SubElement(service, f"{{{WSDL}}}port", name=bound, binding=self._named(bound))
        etree.SubElement(port, f"{{{soap}}}address", location=_ADDRESS)

    def _described(self, port_type: etree._Element, spec: OperationSpec) -> None:
        operation = etree.SubElement(port_type, f"{{{WSDL}}}operation", name=spec.name)
        faults = _fault_tags(self._catalog, spec.key)
        for tag, element in (("input", spec.request.tag), ("output", spec.response.tag)):
            message = self._message(f"{spec.service}_{spec.name}_{tag.title()}Message", element)
            each = etree.SubElement(operation, f"{{{WSDL}}}{tag}", message=message)
            answer = "" if tag == "input" else "Response"
            each.set(f"{{{WSAW}}}Action", f"{spec.soap_action}{answer}")
        for fault, element in faults.items():
            name = f"{spec.service}_{spec.name}_{fault}_FaultMessage"
            message = self._message(name, element, part="detail")
            etree.SubElement(operation, f"{{{WSDL}}}fault", name=fault, message=message)

    def _bound(self, binding: etree._Element, spec: OperationSpec, soap: str) -> None:
        operation = etree.SubElement(binding, f"{{{WSDL}}}operation", name=spec.name)
        etree.SubElement(
            operation, f"{{{soap}}}operation", soapAction=spec.soap_action, style="document"
        )
        for tag in ("input", "output"):
            message = etree.SubElement(operation, f"{{{WSDL}}}{tag}")
            etree.SubElement(message, f"{{{soap}}}body", use="literal")
        for fault in _fault_tags(self._catalog, spec.key):
            message = etree.SubElement(operation, f"{{{WSDL}}}fault", name=fault)
            etree.SubElement(message, f"{{{soap}}}fault", name=fault, use="literal")

    def _message(self, name: str, element: str, *, part: str = "parameters") -> str:
        message = self._below("message", name=name)
        namespace, _, local = element[1:].partition("}")
        qualified = f"{self._prefixes[namespace]}:{local}" if namespace else local
        etree.SubElement(message, f"{{{WSDL}}}part", name=part, element=qualified)
        return self._named(name)

    def _below(self, tag: str, **attributes: str) -> etree._Element:
        return etree.SubElement(self._root, f"{{{WSDL}}}{tag}", attributes)

    def _named(self, name: str) -> str:
        return f"{self._prefixes[self._target]}:{name}" if self._target else name

    def _soap_12(self, key: str) -> bool:
        binding = self._catalog.original(key).binding
        return isinstance(binding, Soap12Binding)


def _fault_tags(catalog: Catalog, key: str) -> dict[str, str]:
    """The elements of the faults that an operation declares; one that has none is left out."""
    declared: Untyped = catalog.original(key).abstract.fault_messages
    found = {}
    for name in catalog.spec(key).faults:
        parts = declared[name].parts.values() if name in declared else ()
        for part in parts:
            if part.element is not None:
                found[name] = f"{{{part.element.qname.namespace or ''}}}{part.element.name}"
    return found


_SCHEMAS: Final = b"<!--schemas-->"
_HOST: Final = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
_ORDER: Final = ("types", "message", "portType", "binding", "service")
