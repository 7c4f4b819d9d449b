"""The contract of what we host, as files for others: WSDL with our own address, and its schemas."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from lxml import etree

from adapter.wire.catalog import HOSTED_HERE, Catalog

_WSDL: Final = "{http://schemas.xmlsoap.org/wsdl/}"
_SOAP: Final = "{http://schemas.xmlsoap.org/wsdl/soap/}"
_XS: Final = "{http://www.w3.org/2001/XMLSchema}"
_FILES: Final = etree.XMLParser(resolve_entities=False, no_network=True)


class HostedContract:
    """Read once from the catalog's files; imported files are given by name and from memory.

    Only the files of the folder that defines our services are known, so that no name leads
    anywhere else.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._documents: dict[str, Path] = {
            key: Path(str(catalog.document(key).location)) for key in HOSTED_HERE
        }
        self._text = {path: path.read_bytes() for path in self._documents.values()}
        self._schemas: dict[str, bytes] = {}
        for folder in {path.parent for path in self._documents.values()}:
            for file in folder.rglob("*.xsd"):
                self._schemas.setdefault(file.relative_to(folder).as_posix(), file.read_bytes())

    def wsdl(self, key: str, *, address: str, schemas: str) -> bytes:
        """The WSDL of the hosted operation `key` at `address`, its imports below `schemas`.

        Services of the file that are not ours are left out.
        """
        root = etree.fromstring(self._text[self._documents[key]], _FILES)
        _drop_services(root, lambda service: service != key.partition(".")[0])
        for place in root.findall(f"{_WSDL}service/{_WSDL}port/{_SOAP}address"):
            place.set("location", address)
        for tag in (f"{_XS}import", f"{_XS}include"):
            for element in root.iter(tag):
                location = element.get("schemaLocation")
                if location is not None:
                    element.set("schemaLocation", f"{schemas}/{location}")
        return etree.tostring(root, xml_declaration=True, encoding="utf-8")

    @property
    def schemas(self) -> Mapping[str, bytes]:
        """The imported files by their place relative to the WSDL."""
        return self._schemas


def without_services(services: Collection[str], wsdl: bytes) -> bytes:
    """A WSDL without these services, named as their port types are."""
    root = etree.fromstring(wsdl, _FILES)
    _drop_services(root, lambda service: service in services)
    return etree.tostring(root, xml_declaration=True, encoding="utf-8")


def _drop_services(root: etree._Element, unwanted: Callable[[str], bool]) -> None:
    """What another file defines of a service is not looked at."""
    types = _drop(root, "portType", lambda each: unwanted(each.get("name", "")))
    bindings = _drop(root, "binding", lambda each: unwanted(_local(each.get("type"))))
    dropped = {binding.get("name") for binding in bindings}
    for service in root.findall(f"{_WSDL}service"):
        ports = _drop(service, "port", lambda each: _local(each.get("binding")) in dropped)
        if ports and service.find(f"{_WSDL}port") is None:
            root.remove(service)
    of_others = _messages(types) - _messages(root.findall(f"{_WSDL}portType"))
    _drop(root, "message", lambda each: each.get("name") in of_others)


def _drop(
    above: etree._Element, tag: str, unwanted: Callable[[etree._Element], bool]
) -> list[etree._Element]:
    """Remove the children of that tag that are not wanted, and give them."""
    found = [each for each in above.findall(f"{_WSDL}{tag}") if unwanted(each)]
    for each in found:
        above.remove(each)
    return found


def _messages(types: list[etree._Element]) -> set[str]:
    return {_local(part.get("message")) for each in types for part in each.iter()}


def _local(name: str | None) -> str:
    return (name or "").rpartition(":")[2]
