"""The WSDL files as a table of operations, loaded once, with the network off.

A site's own folder takes the place of the packaged one, and its names, namespaces, actions and
order of fields are what is then sent.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any as Untyped
from typing import Final

from zeep.wsdl import Document

from adapter.errors import ContractError
from adapter.wire.operation_spec import OperationSpec, difference, field_differences
from adapter.wire.shapes import Field
from adapter.wire.wsdl_files import ContractFile, read_files

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

_PACKAGED: Final = Path(__file__).parent / "contract"
_CHECKOUT: Final = Path(__file__).parents[2] / "wsdl"


class Catalog:
    """All operations and faults of one contract. `place` is where it was read from.

    An operation whose types are not understood is not in it, since a vendor's files have many that
    nobody calls; `not_understood` says why, by key. `remarks` are what the reader of WSDL stumbled
    over and went on without.
    """

    def __init__(self, place: Path, files: Iterable[ContractFile]) -> None:
        operations: dict[str, OperationSpec] = {}
        faults: dict[str, tuple[ContractFile, Field]] = {}
        not_understood: dict[str, str] = {}
        remarks: list[str] = []
        self._files: dict[str, ContractFile] = {}
        for read in files:
            for key in (*read.operations, *read.not_understood):
                first = self._files.setdefault(key, read)
                if first is not read:
                    _require_same(key, first, read)
            operations = {**read.operations, **operations}
            not_understood = {**read.not_understood, **not_understood}
            remarks += _unlike_faults(faults, read)
            faults |= {name: (read, field) for name, field in read.faults.items()}
            remarks += read.remarks
        self.place = place
        self.operations = MappingProxyType(operations)
        self.not_understood = MappingProxyType(not_understood)
        self.faults = MappingProxyType({name: field for name, (_, field) in faults.items()})
        """The detail element of each fault, by the fault's name."""
        self.remarks = tuple(remarks)

    @classmethod
    def load(cls, place: Path | None = None) -> "Catalog":
        """Read one WSDL file, every *.wsdl of a folder, or (None) the packaged contract, which is
        read once in a process.

        Raises ContractError for a folder without WSDL, for files that are not readable as WSDL, for
        an import that would leave the machine, and for files that describe one operation in two
        ways. What two files describe in the same way is one operation.
        """
        if place is None:
            return _packaged_contract()
        files = _wsdl_files(place) if place.is_dir() else [place]
        if not files:
            raise ContractError(f"no *.wsdl in {place}")
        read = read_files(files)
        found = {service for one in read for service in one.services}
        ours = [_packaged_file(_OURS[each]) for each in sorted(_OURS.keys() - found)]
        return cls(place, (*ours, *read))  # where both define a fault, the site's own counts

    def spec(self, key: str) -> OperationSpec:
        """Raises ContractError where the WSDL has no such operation."""
        try:
            return self.operations[key]
        except KeyError:
            reason = self.not_understood.get(key, "is not there")
            raise ContractError(f"{self.place}: operation {key} {reason}") from None

    @property
    def services(self) -> frozenset[str]:
        """All of them, by the names of their port types."""
        return frozenset(key.partition(".")[0] for key in self._files)

    def services_of(self, file: Path) -> frozenset[str]:
        """The services that `file` defines, which must be one of those this was loaded from."""
        return frozenset(
            key.partition(".")[0]
            for key, read in self._files.items()
            if read.file.resolve() == file.resolve()
        )

    def document(self, key: str) -> Document:
        """zeep's own model of the file that defines `key`."""
        return self.source(key).document

    def original(self, key: str) -> Untyped:
        """zeep's own operation: the reference that the codec is tested by."""
        return self.source(key).original(key)

    def source(self, key: str) -> ContractFile:
        """The file that defines `key`, the first where several do. Raises ContractError."""
        self.spec(key)
        return self._files[key]


def _unlike_faults(
    known: Mapping[str, tuple[ContractFile, Field]], read: ContractFile
) -> Iterator[str]:
    """Remarks on faults that a site's own files describe in two ways: the last one counts."""
    for name, field in read.faults.items():
        first, other = known.get(name, (read, field))
        if first.file.parent == _packaged_place():
            continue
        for unlike in islice(field_differences(other, field), 1):
            yield (
                f"{first.file.name} and {read.file.name} differ in the fault {name}: {unlike}; "
                f"that of {read.file.name} counts"
            )


def _require_same(key: str, first: ContractFile, second: ContractFile) -> None:
    """Raises ContractError where two files describe an operation in two ways."""
    unread = [each.not_understood.get(key, "") for each in (first, second)]
    if not any(unread):
        unlike = difference(first.operations[key], second.operations[key])
    elif all(unread):
        unlike = ""
    else:
        unlike = f"{'the first' if unread[0] else 'the second'} {''.join(unread)}"
    if unlike:
        names = f"{first.file.name} and {second.file.name}"
        raise ContractError(f"{names} both define {key} and differ in it: {unlike}")


def _wsdl_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() == ".wsdl")


def _packaged_place() -> Path:
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


@cache
def _packaged_file(name: str) -> ContractFile:
    (read,) = read_files([_packaged_place() / name])
    return read


@cache
def _packaged_contract() -> Catalog:
    return Catalog.load(_packaged_place())
