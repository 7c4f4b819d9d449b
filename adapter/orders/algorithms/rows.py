"""What the algorithm types are and what a row of their parameters says."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from adapter.model.device import Category, DisconnectLocation, InstallStatus

SKIP = "skip"


OLD_DEVICE: Final = "oldDevice"


NEW_DEVICE: Final = "newDevice"
"""The element of an order that says which device to install."""


class AlgorithmType(StrEnum):
    """The source's ten types. CUSTOM is a site's own function and has no row in the source."""

    DVCOMCHK = "D1-DVCOMCHK"
    CONPRECON = "D1-CONPRECON"
    CRSPACT = "D1-CRSPACT"
    CREMTREXC = "D1-CREMTREXC"
    UPDDVC = "D1-UPDDVC"
    REMONOFF = "D1-REMONOFF"
    DCRMMTR = "D1-DCRMMTR"
    CHKMSMT = "D1-CHKMSMT"
    CANSPACT = "D1-CANSPACT"
    UPDSPAC = "D1-UPDSPAC"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterRow:
    """One "SP State and Activity BO to Create": conditions (None matches all) and a result.

    `number` and `origin` ("parameter", "zone", "service point") name the row in messages; `text`
    is its mnemonic form. `site_status` is a status of the site's own, then `status` what it means.
    """

    number: int
    text: str
    origin: str = "parameter"
    connected: bool | None = None
    disconnect_location: DisconnectLocation | None = None
    device_installed: bool | None = None
    status: InstallStatus | None = None
    site_status: str = ""
    category: Category | None = None
    sp_type: str = ""
    business_object: str = ""
    task: str = ""
    alternative: str = ""
    execute_override: bool = False

    @property
    def label(self) -> str:
        return f"{self.origin} row {self.number}"
