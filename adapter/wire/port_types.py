"""Port types that no service offers: made callable, as SOAP 1.1 with document/literal.

A head end's documents may have the abstract half of a service alone. What is missing is inferred: a
SOAP 1.1 binding, the actions of WS-Addressing, and an address at the path of the namespace.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from lxml import etree

WSDL: Final = "http://schemas.xmlsoap.org/wsdl/"
SOAP_11: Final = "http://schemas.xmlsoap.org/wsdl/soap/"
SOAP_12: Final = "http://schemas.xmlsoap.org/wsdl/soap12/"
SOAP_HTTP: Final = "http://schemas.xmlsoap.org/soap/http"
WSAW: Final = "http://www.w3.org/2006/05/addressing/wsdl"
_ACTIONS: Final = (
    "{http://www.w3.org/2007/05/addressing/metadata}Action",
    f"{{{WSAW}}}Action",
    "{http://www.w3.org/2006/02/addressing/wsdl}Action",
    "{http://schemas.xmlsoap.org/ws/2004/08/addressing}Action",
)
_NOWHERE: Final = "http://headend.invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedBinding:
    """`soap` is the namespace of its version's elements in WSDL."""

    name: str
    namespace: str
    soap: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PortType:
    """`element` is its own in one of the documents; `binding` one there is that no service uses."""

    name: str
    namespace: str
    element: etree._Element
    binding: "UnusedBinding | None"

    @property
    def path(self) -> str:
        """Where its address is taken to be: at the path of its namespace."""
        try:
            parts = urlsplit(self.namespace)
        except ValueError:
            return "/"
        return (parts.path if parts.scheme in ("http", "https") else "") or "/"

    @property
    def operations(self) -> Mapping[str, etree._Element]:
        """By name; one that stands twice is taken as it stands at last, as zeep takes it."""
        found = self.element.findall(f"{{{WSDL}}}operation")
        return {name: each for each in found if (name := each.get("name"))}

    def action(self, operation: str) -> tuple[str, bool]:
        """The action of a request, and whether the document says it.

        Else it is the default action pattern for WSDL 1.1 (Web Services Addressing 1.0, Metadata,
        4.4.4): namespace, port type and the name of the input.
        """
        of_it = self.operations[operation]
        message = of_it.find(f"{{{WSDL}}}input")
        if message is None:
            return "", True
        for attribute in _ACTIONS:
            if said := (message.get(attribute) or "").strip():
                return said, True
        both = of_it.find(f"{{{WSDL}}}output") is not None
        name = message.get("name") or operation + ("Request" if both else "")
        between = ":" if self.namespace.lower().startswith("urn:") else "/"
        above = self.namespace.removesuffix(between)
        return f"{above}{between}{self.name}{between}{name}", False

    @property
    def remark(self) -> str:
        """What was taken for granted, for people."""
        if self.binding is not None:
            return (
                f"port type {self.name} has a binding and no address: taken to be at {self.path}, "
                f"which is inferred"
            )
        unsaid = [name for name in self.operations if not self.action(name)[1]]
        by = "by wsaw:Action" if len(unsaid) < len(self.operations) else "by its default actions"
        told = f"; {', '.join(unsaid)} without wsaw:Action by the default of WS-Addressing"
        return (
            f"port type {self.name} has no binding: taken as document/literal SOAP 1.1 {by} at "
            f"{self.path}, which is inferred{told if unsaid else ''}"
        )


def port_types(documents: Iterable[etree._Element]) -> list[PortType]:
    """All that the documents have, each once."""
    documents = list(documents)
    bindings = dict(_bindings(documents))
    found: dict[tuple[str, str], PortType] = {}
    for root in documents:
        namespace = root.get("targetNamespace", "")
        for element in root.findall(f"{{{WSDL}}}portType"):
            name = element.get("name", "")
            binding = bindings.get((namespace, name))
            port_type = PortType(name=name, namespace=namespace, element=element, binding=binding)
            if name and port_type.operations:
                found.setdefault((namespace, name), port_type)
    return list(found.values())


def with_bindings(
    root: etree._Element, others: Iterable[etree._Element], port_types: Iterable[PortType]
) -> bytes:
    """`root` with a binding and a service for each of these."""
    taken = {
        name
        for document in (root, *others)
        for tag in ("binding", "service")
        for each in document.findall(f"{{{WSDL}}}{tag}")
        if (name := each.get("name"))
    }
    for each in port_types:
        name = each.name
        while name in taken:
            name += "_"
        taken.add(name)
        if each.binding is None:
            _bind(root, each, name)
        _serve(root, each, name)
    return etree.tostring(root)


def _bindings(
    documents: Iterable[etree._Element],
) -> Iterator[tuple[tuple[str, str], UnusedBinding]]:
    """The SOAP bindings by their port types; those of SOAP 1.1 last, so that they count."""
    for soap in (SOAP_12, SOAP_11):
        for root in documents:
            namespace = root.get("targetNamespace", "")
            for binding in root.findall(f"{{{WSDL}}}binding"):
                prefix, _, local = (binding.get("type") or "").strip().rpartition(":")
                of = binding.nsmap.get(prefix, "") if prefix else namespace
                name = binding.get("name", "")
                if name and binding.find(f"{{{soap}}}binding") is not None:
                    unused = UnusedBinding(name=name, namespace=namespace, soap=soap)
                    yield (of, local), unused


def _bind(root: etree._Element, port_type: PortType, name: str) -> None:
    prefixes = {"taken": port_type.namespace, "soap": SOAP_11}
    binding = etree.SubElement(root, f"{{{WSDL}}}binding", nsmap=prefixes)
    binding.set("name", name)
    binding.set("type", f"taken:{port_type.name}")
    etree.SubElement(binding, f"{{{SOAP_11}}}binding", transport=SOAP_HTTP)
    for each, described in port_type.operations.items():
        operation = etree.SubElement(binding, f"{{{WSDL}}}operation", name=each)
        action, _ = port_type.action(each)
        etree.SubElement(operation, f"{{{SOAP_11}}}operation", soapAction=action, style="document")
        for tag in ("input", "output"):
            if described.find(f"{{{WSDL}}}{tag}") is not None:
                message = etree.SubElement(operation, f"{{{WSDL}}}{tag}")
                etree.SubElement(message, f"{{{SOAP_11}}}body", use="literal")
        for fault in described.findall(f"{{{WSDL}}}fault"):
            if named := fault.get("name"):
                message = etree.SubElement(operation, f"{{{WSDL}}}fault", name=named)
                etree.SubElement(message, f"{{{SOAP_11}}}fault", name=named, use="literal")


def _serve(root: etree._Element, port_type: PortType, name: str) -> None:
    unused = port_type.binding or UnusedBinding(
        name=name, namespace=root.get("targetNamespace", ""), soap=SOAP_11
    )
    service = etree.SubElement(root, f"{{{WSDL}}}service", name=name)
    prefixes = {"bound": unused.namespace} if unused.namespace else None
    port = etree.SubElement(service, f"{{{WSDL}}}port", name=name, nsmap=prefixes)
    port.set("binding", f"bound:{unused.name}" if unused.namespace else unused.name)
    address = etree.SubElement(port, f"{{{unused.soap}}}address")
    address.set("location", f"{_NOWHERE}{port_type.path}")
