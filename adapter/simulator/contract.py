"""The contract as web pages: each service's WSDL at `?wsdl`, its schemas beside it.

Only services that the head end serves are in them; those that it calls are the caller's to host.
"""

import re
from pathlib import Path
from typing import Final

from adapter.wire.catalog import HOSTED_HERE, Catalog
from adapter.wire.operation_spec import OperationSpec
from adapter.wire.served import without_services

FILES: Final = "/wsdl/"
"""Where the schemas are served."""

_CALLED: Final = frozenset(key.partition(".")[0] for key in HOSTED_HERE)
_ADDRESS: Final = re.compile(r"""(<\w+:address\s+location=["'])https?://[^/"']+(/)""")


def hosted(catalog: Catalog) -> tuple[OperationSpec, ...]:
    """The operations that the head end serves; the others it calls."""
    return tuple(spec for spec in catalog.operations.values() if spec.key not in HOSTED_HERE)


class ContractPages:
    """All files in memory."""

    def __init__(self, catalog: Catalog) -> None:
        self._pages: dict[str, str] = {}
        self._files: dict[str, bytes] = {}
        for spec in hosted(catalog):
            file = Path(str(catalog.document(spec.key).location))
            if spec.path in self._pages:
                continue
            self._pages[spec.path] = without_services(_CALLED, file.read_bytes()).decode()
            for part in file.parent.rglob("*.xsd"):
                self._files[part.relative_to(file.parent).as_posix()] = part.read_bytes()

    def page(self, path: str, *, base: str) -> str:
        """The WSDL of the service at `path`, leading to `base`, the address the caller used.

        Raises KeyError where there is no service.
        """
        text = self._pages[path].replace('schemaLocation="', f'schemaLocation="{base}{FILES}')
        return _ADDRESS.sub(lambda found: f"{found[1]}{base}{found[2]}", text)

    def file(self, name: str) -> bytes | None:
        return self._files.get(name)
