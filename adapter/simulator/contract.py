"""The contract as web pages: each service's WSDL at `?wsdl`, the files it imports beside it."""

import re
from pathlib import Path
from typing import Final

from adapter.wire.catalog import HOSTED_HERE, Catalog, OperationSpec

FILES: Final = "/wsdl/"
"""Where the imported files are served."""

_ADDRESS: Final = re.compile(r"""(<\w+:address\s+location=["'])https?://[^/"']+(/)""")


def hosted(catalog: Catalog) -> tuple[OperationSpec, ...]:
    """The operations that the head end serves; the others it calls."""
    return tuple(spec for spec in catalog.operations.values() if spec.key not in HOSTED_HERE)


class ContractPages:
    """All files in memory. `base` is the server's own address, written into the WSDL."""

    def __init__(self, catalog: Catalog, base: str) -> None:
        self._pages: dict[str, str] = {}
        self._files: dict[str, bytes] = {}
        for spec in hosted(catalog):
            file = Path(str(catalog.document(spec.key).location))
            self._pages[spec.path] = _at(file.read_text(encoding="utf-8"), base)
            if file.name in self._files:
                continue
            for part in (*file.parent.rglob("*.wsdl"), *file.parent.rglob("*.xsd")):
                self._files[part.relative_to(file.parent).as_posix()] = part.read_bytes()

    def page(self, path: str) -> str:
        """The WSDL of the service at `path`. Raises KeyError where there is no service."""
        return self._pages[path]

    def file(self, name: str) -> bytes | None:
        return self._files.get(name)


def _at(text: str, base: str) -> str:
    """A WSDL whose imports and service address lead to this server."""
    text = text.replace('schemaLocation="', f'schemaLocation="{base}{FILES}')
    return _ADDRESS.sub(lambda found: f"{found[1]}{base}{found[2]}", text)
