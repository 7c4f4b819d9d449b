"""What the schema says against a message, for people.

xmlschema is slow and speaks plainly: this is for desks and quarantines, never on the path of a
message. A callback is never refused for what stands here, since part of the schema is inferred.
"""

from functools import lru_cache
from pathlib import Path
from typing import Final

import xmlschema
from lxml import etree

from adapter.wire.faults import detail_of, is_fault
from adapter.wire.xml import MAX_BYTES, XS, open_envelope

MAX_REMARKS: Final = 20


def explain(folder: Path, data: bytes, *, max_bytes: int = MAX_BYTES) -> list[str]:
    """What in the message breaks the XSD files of a contract's folder; [] where nothing does.

    Raises WireError for bytes that are no SOAP message at all.
    """
    content = open_envelope(data, max_bytes=max_bytes).content
    element = detail_of(content) if is_fault(content) else content
    if element is None:
        return []
    schema = _schema(folder)
    if schema.elements.get(element.tag) is None:
        return [f"{element.tag} is not declared"]
    remarks = []
    for error in schema.iter_errors(etree.ElementTree(element)):
        remarks.append(f"{error.path}: {error.reason}")
        if len(remarks) == MAX_REMARKS:
            break
    return remarks


@lru_cache(maxsize=4)
def _schema(folder: Path) -> xmlschema.XMLSchema:
    """All XSD files of the folder as one schema, with the network off."""
    imports = "".join(
        f'<xs:import namespace="{etree.parse(file).getroot().get("targetNamespace")}" '
        f'schemaLocation="{file.resolve().as_uri()}"/>'
        for file in sorted((folder / "xsd").glob("*.xsd"))
    )
    return xmlschema.XMLSchema(f'<xs:schema xmlns:xs="{XS}">{imports}</xs:schema>', allow="local")
