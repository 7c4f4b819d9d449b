"""One WSDL file and all that it imports, read by zeep with the network off, as operations.

zeep reads the files and is asked for nothing else here.
"""

import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any as Untyped
from typing import Final
from urllib.parse import unquote, urlsplit

import zeep
from lxml import etree
from zeep.wsdl import Document
from zeep.wsdl.bindings.soap import Soap11Binding, Soap12Binding

from adapter.errors import ContractError, SettingsError
from adapter.model.values import replace
from adapter.settings.text_files import read_whole
from adapter.wire.operation_spec import OperationSpec, difference
from adapter.wire.port_types import port_types, with_bindings
from adapter.wire.shapes import FacetTable, Field, field_of, read_facets

_LONGEST_BYTES: Final = 16 * 1024 * 1024
_DEFINITIONS: Final = "{http://schemas.xmlsoap.org/wsdl/}definitions"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractFile:
    """What one WSDL file says. `texts` are its own bytes and those of all that it imports, by their
    places; `services` are named by their port types, also those without an operation."""

    file: Path
    document: Document
    texts: Mapping[str, bytes]
    services: frozenset[str]
    operations: Mapping[str, OperationSpec]
    not_understood: Mapping[str, str]
    faults: Mapping[str, Field]
    remarks: tuple[str, ...]

    def original(self, key: str) -> Untyped:
        """zeep's own operation. Raises StopIteration where there is none."""
        return next(found for name, _, found in _offered(self.document) if name == key)


def read_files(files: Collection[Path]) -> list[ContractFile]:
    """All files of one contract. Raises ContractError naming the file that cannot be read.

    A port type that no file binds is taken as SOAP 1.1, document/literal (inferred), and a remark
    says so.
    """
    read = [_read(file) for file in files]
    offered = frozenset[str]().union(*(one.services for one in read))
    return [_with_unbound(one, offered) for one in read]


def _with_unbound(read: ContractFile, offered: Collection[str]) -> ContractFile:
    """The file again, with a binding for each port type that is offered by none."""
    documents = {place: etree.fromstring(text, _PLAIN) for place, text in read.texts.items()}
    unbound = [each for each in port_types(documents.values()) if each.name not in offered]
    if not unbound:
        return read
    root = documents.pop(str(read.document.location))
    try:
        bound = _read(read.file, root=with_bindings(root, documents.values(), unbound))
    except (ContractError, ValueError) as error:  # ValueError: a name that XML has no place for
        names = ", ".join(each.name for each in unbound)
        left_out = f"{read.file.name}: port types without a binding are left out ({names}): {error}"
        return replace(read, remarks=(*read.remarks, left_out))
    told = tuple(f"{read.file.name}: {each.remark}" for each in unbound)
    return replace(bound, texts=read.texts, remarks=(*bound.remarks, *told))


class _FilesOnly:
    """What zeep asks for documents: gives local files and nothing else, and remembers them."""

    def __init__(self, changed: Mapping[str, bytes]) -> None:
        self.loaded: dict[str, bytes] = {}
        self._changed = changed

    def load(self, url: str) -> bytes:
        parts = urlsplit(str(url))
        if parts.scheme not in ("", "file") or parts.netloc:
            raise ContractError(f"{url}: WSDL files are read from disk only")
        path = Path(unquote(parts.path) if parts.scheme else str(url))
        content = self._changed.get(str(path))
        try:
            self.loaded[str(path)] = content or read_whole(path, str(url), _LONGEST_BYTES)
        except SettingsError as error:
            raise ContractError(str(error)) from error
        return self.loaded[str(path)]


def _read(file: Path, *, root: bytes | None = None) -> ContractFile:
    """`root` is read in the place of the file's own bytes."""
    place = str(file.resolve())
    transport = _FilesOnly({} if root is None else {place: root})
    settings = zeep.Settings(
        strict=True, forbid_dtd=True, forbid_entities=True, forbid_external=True
    )
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            document = Document(
                place,
                transport,  # type: ignore[arg-type]  # only its load() is used
                settings=settings,
            )
    except Exception as error:  # zeep raises whatever its own code comes upon
        raise ContractError(f"{file.name}: {_told(error)}") from error
    read = etree.fromstring(transport.loaded[place], _PLAIN)
    if read.tag != _DEFINITIONS:
        raise ContractError(f"{file.name}: not a WSDL but {read.tag}")
    facets = {
        name: found
        for content in transport.loaded.values()
        for name, found in read_facets(etree.fromstring(content, _PLAIN))
    }
    operations, not_understood = _operations(file, document, facets)
    return ContractFile(
        file=file,
        document=document,
        texts=MappingProxyType(transport.loaded),
        services=frozenset(_services(document)),
        operations=operations,
        not_understood=not_understood,
        faults=_faults(document, facets),
        remarks=tuple(
            dict.fromkeys(
                f"{file.name}: {each}"
                for each in (*(str(one.message) for one in warned), *_soap_12_alone(document))
            )
        ),
    )


def _operations(
    file: Path, document: Document, facets: FacetTable
) -> tuple[dict[str, OperationSpec], dict[str, str]]:
    """What is understood, by key, and why the others are not.

    Raises ContractError where two services of the file have one operation, and differ in it.
    """
    operations: dict[str, OperationSpec] = {}
    not_understood: dict[str, str] = {}
    for key, port, operation in _offered(document):
        try:
            found = _spec(key, port, operation, facets)
        except Exception as error:  # zeep's model of it lacks something; the others are read
            not_understood[key] = f"is not understood: {_told(error)}"
            continue
        if key in operations and (unlike := difference(operations[key], found)):
            raise ContractError(f"{file.name}: {key} is defined twice, and differs in {unlike}")
        operations.setdefault(key, found)
    for key in operations.keys() & not_understood.keys():
        raise ContractError(f"{file.name}: {key} is defined twice, and once {not_understood[key]}")
    return operations, not_understood


def _faults(document: Document, facets: FacetTable) -> dict[str, Field]:
    faults = {}
    for element in document.types.elements:
        if element.name.endswith("Fault"):
            with suppress(Exception):
                faults[element.name] = field_of(element, facets)
    return faults


def _services_in(document: Document) -> Iterator[Untyped]:
    """zeep's services of the file and of all WSDL that it imports."""
    for definition in document._definitions.values():
        yield from definition.services.values()


def _services(document: Document) -> Iterator[str]:
    for service in _services_in(document):
        for port in service.ports.values():
            yield port.binding.port_type.name.localname


def _offered(document: Document) -> Iterator[tuple[str, Untyped, Untyped]]:
    """Key, port and zeep operation of all that a file offers: of each service and port type one
    port, SOAP 1.1 before others."""
    for service in _services_in(document):
        chosen: dict[str, Untyped] = {}
        for port in sorted(service.ports.values(), key=lambda port: not _is_soap_11(port)):
            chosen.setdefault(port.binding.port_type.name.text, port)
        for port in chosen.values():
            for operation in port.binding._operations.values():
                yield f"{port.binding.port_type.name.localname}.{operation.name}", port, operation


def _soap_12_alone(document: Document) -> Iterator[str]:
    for key, port, _ in _offered(document):
        if isinstance(port.binding, Soap12Binding):
            service = key.partition(".")[0]
            yield f"{service} is bound to SOAP 1.2 alone, and is called by SOAP 1.1 all the same"


def _told(error: Exception) -> str:
    """What is raised on purpose has a text for people; of the rest its kind says more."""
    wanted = isinstance(error, ContractError | zeep.exceptions.Error | etree.Error)
    text = " ".join(str(error).split())
    return text if wanted and text else f"{type(error).__name__}: {text}".removesuffix(": ")


def _is_soap_11(port: Untyped) -> bool:
    return isinstance(port.binding, Soap11Binding)


def _spec(key: str, port: Untyped, operation: Untyped, facets: FacetTable) -> OperationSpec:
    request, response = _element(operation.input), _element(operation.output)
    return OperationSpec(
        key=key,
        service=key.partition(".")[0],
        name=operation.name,
        namespace=request.qname.namespace,
        soap_action=operation.soapaction,
        path=urlsplit(port.binding_options["address"]).path,
        faults=tuple(operation.faults),
        request=field_of(request, facets),
        response=field_of(response, facets),
    )


def _element(message: Untyped) -> Untyped:
    if message is None or message.body is None:
        raise ContractError("it has no input or no output")
    return message.body


_PLAIN: Final = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)
