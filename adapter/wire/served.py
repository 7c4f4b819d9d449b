"""The contract of what we host, as files for others: WSDL with our own address, and its schemas."""

from collections.abc import Mapping
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

        Services and bindings of the file that are not ours are left out.
        """
        root = etree.fromstring(self._text[self._documents[key]], _FILES)
        service = key.partition(".")[0]
        bindings = {
            str(binding.get("name"))
            for binding in root.findall(f"{_WSDL}binding")
            if _local(binding.get("type")) == service
        }
        for each in root.findall(f"{_WSDL}service"):
            ports = [port for port in each if _local(port.get("binding")) in bindings]
            if not ports:
                root.remove(each)
            for port in ports:
                for place in port.findall(f"{_SOAP}address"):
                    place.set("location", address)
        for binding in root.findall(f"{_WSDL}binding"):
            if binding.get("name") not in bindings:
                root.remove(binding)
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


def _local(name: str | None) -> str:
    return (name or "").rpartition(":")[2]
