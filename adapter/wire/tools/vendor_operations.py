"""Operations of the head end that no command uses: what `openway wire decode` says of them.

A capture holds more than our own traffic. Names: read in client code generated from a live head end
(known), but for ChangeConfigurationGroup, which is documented. The packaged contract has no types
for those below, so they are shown as texts and cannot be written.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from lxml import etree

from adapter.commands.flows import FLOWS
from adapter.subscriptions.reconcile import SubscriptionOperation
from adapter.wire.catalog import HOSTED_HERE, Catalog
from adapter.wire.codec import Direction, JsonValue
from adapter.wire.gate import operations_of
from adapter.wire.xml import XSI, local_name

UNUSED: Final = "no command uses it"
UNDESCRIBED: Final = f"{UNUSED}; the contract does not describe it: its values are shown as texts"

_AMI: Final = "http://www.itron.com/ami/"
_WITH_RESULT: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "ControlService": (
            "RestrictMeter", "PingByGroup",
            "DownloadConfigurationByGroup", "DownloadConfigurationByEndpoints",
            "ChangeLimitingServiceByMeters", "ChangeLimitingServiceByGroup",
            "ClearServiceLimitingByMeters", "ClearServiceLimitingByGroup",
            "ReadServiceLimitingModeByMeters",
            "ActivateCriticalPeakPricingByMeters", "ActivateCriticalPeakPricingByGroup",
            "ScheduleCriticalPeakPricingByMeters", "ScheduleCriticalPeakPricingByGroup",
            "CancelCriticalPeakPricingByMeters", "CancelCriticalPeakPricingByGroup",
            "SendGasModuleCommandByDevices", "EnableHaltedZigBeeRadioByMeters",
            "ChangeAllowC1218OverZigbeeFlag", "DownloadToken", "PaymentModeSwitch",
            "ScheduleRightSizingByMeters", "ScheduleRightSizingByGroup", "DisplayMessageByDevices",
        ),
        "DiagnosticService": (
            "PingByGroup", "ReadFirmwareAndHardwareVersionsByMeters", "ReregisterByMeters",
            "ReadRfLanClockByMeters", "RetrieveStatsByEndpoints", "DevicePingByEndpoints",
            "RetrieveTlvByEndpoints",
        ),
    }
)  # fmt: skip
"""Each has its Get...Result."""

_ALONE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "ControlService": ("ResetCommModule",),
        "DiagnosticService": ("GetCurrentServiceState", "GetCurrentServiceStateByEndpoints"),
        "DataService": ("SmsWakeup",),
        "ProvisioningService": ("ChangeConfigurationGroup",),
    }
)
_NAMESPACES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "ControlService": (f"{_AMI}2008/10/control",),
        "DiagnosticService": (f"{_AMI}2012/03/control/diagnostic",),
        "DataService": (f"{_AMI}2008/10/data",),
        "ProvisioningService": (f"{_AMI}2009/08/provisioning", f"{_AMI}2008/10/provisioning"),
    }
)


def _tags() -> dict[str, tuple[str, Direction]]:
    found: dict[str, tuple[str, Direction]] = {}
    for service, namespaces in _NAMESPACES.items():
        paired = _WITH_RESULT.get(service, ())
        for name in (*paired, *(f"Get{name}Result" for name in paired), *_ALONE.get(service, ())):
            for ns in namespaces:
                found[f"{{{ns}}}{name}"] = f"{service}.{name}", Direction.REQUEST
                found[f"{{{ns}}}{name}Response"] = f"{service}.{name}", Direction.RESPONSE
    return found


_MESSAGES: Final[Mapping[str, tuple[str, Direction]]] = MappingProxyType(_tags())


def undescribed_message(content: etree._Element) -> dict[str, JsonValue] | None:
    """A message of one of those operations without its types; None where it begins none."""
    if content.tag not in _MESSAGES:
        return None
    operation, direction = _MESSAGES[content.tag]
    body = _plain(content)
    return {
        "operation": operation,
        "direction": direction.value,
        "body": body if isinstance(body, dict) else {},
    }


def note_on(operation: str, catalog: Catalog) -> str:
    """What is to be said of an operation's use; "" where a command, a callback or a subscription
    uses it."""
    if operation in _used():
        return ""
    return UNUSED if operation in catalog.operations else UNDESCRIBED


def _used() -> frozenset[str]:
    by_commands = (key for kind in FLOWS for key in operations_of(kind))
    return frozenset({*by_commands, *HOSTED_HERE, *map(str, SubscriptionOperation)})


def _plain(element: etree._Element) -> JsonValue:
    """Texts under their names; a name that comes again is a list."""
    if element.get(f"{{{XSI}}}nil", "").strip() in ("true", "1"):
        return None
    if not len(element):
        return element.text or ""
    found: dict[str, list[JsonValue]] = {}
    for child in element:
        found.setdefault(local_name(child), []).append(_plain(child))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}
