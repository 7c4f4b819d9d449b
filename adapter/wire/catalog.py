"""The WSDL files as a table of operations, loaded once, with the network off.

zeep reads the files and is asked for nothing else here; a site's own folder takes the place of the
packaged one, and its names, namespaces, actions and order of fields are what is then sent.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any as Untyped
from typing import Final
from urllib.parse import unquote, urlsplit

import zeep
from lxml import etree
from zeep.wsdl import Document
from zeep.wsdl.bindings.soap import Soap11Binding

from adapter.errors import ContractError, SettingsError
from adapter.settings.text_files import read_whole
from adapter.wire.shapes import FacetTable, Field, field_of, read_facets

HOSTED_HERE: Final = MappingProxyType(
    {
        "RequestStatusChangedService.StatusChanged": "StatusChanged",
        "DataSubscriberService.DataArrived": "DataArrived",
        "EventSubscriberService.EventsArrived": "EventsArrived",
        "ExceptionSubscriberService.ExceptionsArrived": "ExceptionsArrived",
    }
)
"""The operations that the head end calls on us, by key, and their names."""

_OURS: Final = MappingProxyType(
    {
        "RequestStatusChangedService": "request-status-changed.wsdl",
        "DataSubscriberService": "data-subscriber.wsdl",
        "EventSubscriberService": "event-subscriber.wsdl",
        "ExceptionSubscriberService": "exception-subscriber.wsdl",
    }
)
"""Services of ours that no head end's own WSDL need describe; the packaged ones fill the gap."""

_LONGEST_BYTES: Final = 16 * 1024 * 1024
_PACKAGED: Final = Path(__file__).parent / "contract"
_CHECKOUT: Final = Path(__file__).parents[2] / "wsdl"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationSpec:
    """One operation. `path` is the URL path of its service; `request` and `response` its elements.

    `key` is `{Service}.{Operation}`, the value of `commands.flows.Operation` where a command uses
    it.
    """

    key: str
    service: str
    name: str
    namespace: str
    soap_action: str
    path: str
    faults: tuple[str, ...]
    request: Field
    response: Field


class Catalog:
    """All operations and faults of one contract. `place` is where it was read from.

    An operation whose types are not understood is not in it, since a vendor's files have many that
    nobody calls; `not_understood` says why, by key. `remarks` are what the reader of WSDL stumbled
    over and went on without.
    """

    def __init__(self, place: Path, files: Iterable["_Loaded"]) -> None:
        operations: dict[str, OperationSpec] = {}
        faults: dict[str, Field] = {}
        not_understood: dict[str, str] = {}
        remarks: list[str] = []
        self._documents: dict[str, Document] = {}
        for loaded in files:
            for key in (*loaded.operations, *loaded.not_understood):
                if key in self._documents:
                    raise ContractError(f"{loaded.file}: {key} is defined in two files")
                self._documents[key] = loaded.document
            operations |= loaded.operations
            not_understood |= loaded.not_understood
            faults |= loaded.faults
            remarks += loaded.remarks
        self.place = place
        self.operations = MappingProxyType(operations)
        self.not_understood = MappingProxyType(not_understood)
        self.faults = MappingProxyType(faults)
        """The detail element of each fault, by the fault's name."""
        self.remarks = tuple(remarks)

    @classmethod
    def load(cls, place: Path | None = None) -> "Catalog":
        """Read one WSDL file, every *.wsdl of a folder, or (None) the packaged contract, which is
        read once in a process.

        Raises ContractError for a folder without WSDL, for files that are not readable as WSDL, for
        an import that would leave the machine, and for two files that define one operation.
        """
        if place is None:
            return _packaged_contract()
        packaged = _packaged_place()
        files = _wsdl_files(place) if place.is_dir() else [place]
        if not files:
            raise ContractError(f"no *.wsdl in {place}")
        loaded = [_load(file) for file in files]
        found = {service for one in loaded for service in _services(one.document)}
        ours = [_load(packaged / _OURS[service]) for service in sorted(_OURS.keys() - found)]
        return cls(place, (*ours, *loaded))  # where both define a fault, the site's own counts

    def spec(self, key: str) -> OperationSpec:
        """Raises ContractError where the WSDL has no such operation."""
        try:
            return self.operations[key]
        except KeyError:
            reason = self.not_understood.get(key, "is not there")
            raise ContractError(f"{self.place}: operation {key} {reason}") from None

    def services_of(self, file: Path) -> frozenset[str]:
        """The services that `file` defines, which must be one of those this was loaded from."""
        return frozenset(
            key.partition(".")[0]
            for key, document in self._documents.items()
            if document.location == str(file.resolve())
        )

    def document(self, key: str) -> Document:
        """zeep's own model of the file that defines `key`."""
        self.spec(key)
        return self._documents[key]

    def original(self, key: str) -> Untyped:
        """zeep's own operation: the reference that the codec is tested by."""
        offered = _offered(self.document(key))
        return next(operation for name, _, operation in offered if name == key)


def _wsdl_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() == ".wsdl")


def _packaged_place() -> Path:
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


@cache
def _packaged_contract() -> Catalog:
    return Catalog.load(_packaged_place())


class _FilesOnly:
    """What zeep asks for documents: gives local files and nothing else, and remembers them."""

    def __init__(self) -> None:
        self.loaded: dict[str, bytes] = {}

    def load(self, url: str) -> bytes:
        parts = urlsplit(str(url))
        if parts.scheme not in ("", "file") or parts.netloc:
            raise ContractError(f"{url}: WSDL files are read from disk only")
        path = Path(unquote(parts.path) if parts.scheme else str(url))
        try:
            self.loaded[str(path)] = read_whole(path, str(url), _LONGEST_BYTES)
        except SettingsError as error:
            raise ContractError(str(error)) from error
        return self.loaded[str(path)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    file: Path
    document: Document
    operations: Mapping[str, OperationSpec]
    not_understood: Mapping[str, str]
    faults: Mapping[str, Field]
    remarks: tuple[str, ...]


def _load(file: Path) -> _Loaded:
    transport = _FilesOnly()
    settings = zeep.Settings(
        strict=True, forbid_dtd=True, forbid_entities=True, forbid_external=True
    )
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            document = Document(
                str(file.resolve()),
                transport,  # type: ignore[arg-type]  # only its load() is used
                settings=settings,
            )
    except Exception as error:  # zeep raises whatever its own code comes upon
        raise ContractError(f"{file.name}: {_told(error)}") from error
    root = etree.fromstring(transport.loaded[str(file.resolve())], _PLAIN)
    if root.tag != "{http://schemas.xmlsoap.org/wsdl/}definitions":
        raise ContractError(f"{file.name}: not a WSDL but {root.tag}")
    facets = {
        name: found
        for content in transport.loaded.values()
        for name, found in read_facets(etree.fromstring(content, _PLAIN))
    }
    operations: dict[str, OperationSpec] = {}
    not_understood: dict[str, str] = {}
    for key, port, operation in _offered(document):
        try:
            operations[key] = _spec(key, port, operation, facets)
        except Exception as error:  # zeep's model of it lacks something; the others are read
            not_understood[key] = f"is not understood: {_told(error)}"
    faults = {}
    for element in document.types.elements:
        if element.name.endswith("Fault"):
            with suppress(Exception):
                faults[element.name] = field_of(element, facets)
    return _Loaded(
        file=file,
        document=document,
        operations=operations,
        not_understood=not_understood,
        faults=faults,
        remarks=tuple(f"{file.name}: {each.message}" for each in warned),
    )


def _services(document: Document) -> Iterator[str]:
    """By their port types, also those without an operation."""
    for service in document.services.values():
        for port in service.ports.values():
            yield port.binding.port_type.name.localname


def _offered(document: Document) -> Iterator[tuple[str, Untyped, Untyped]]:
    """Key, port and zeep operation of all that a file offers, each service by one port of it."""
    for service in document.services.values():
        ports = sorted(service.ports.values(), key=lambda port: not _is_soap_11(port))
        for port in ports[:1]:
            for operation in port.binding._operations.values():
                yield f"{port.binding.port_type.name.localname}.{operation.name}", port, operation


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
