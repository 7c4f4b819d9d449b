"""Every fault of the contract with the class we put it in, and how a fault is written and read.

The names are the contract's; the classes are ours (inferred): what is busy is tried again, what is
not finished is polled again, all else would be refused again. Only a fault whose detail is one of
these elements, in its own namespace, says that the head end refused and did not act. All others
(WCF's InternalServiceFault, a proxy's, a type we do not know) are read with an empty name.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from lxml import etree

from adapter.errors import Fault, FaultClass
from adapter.wire.scalars import escaped
from adapter.wire.xml import ENVELOPE_NS, Soap, local_name, namespace

COM: Final = "http://www.itron.com/ami/2008/10/common"
SEC: Final = "http://www.itron.com/ami/2008/10/security"
SEC09: Final = "http://www.itron.com/ami/2009/12/security"
SEC14: Final = "http://www.itron.com/ami/2014/12/security"

_R, _A, _P = FaultClass.RETRY, FaultClass.POLL_AGAIN, FaultClass.PERMANENT
# fmt: off
_ROWS: Final = (
    ("TooManyConcurrentRequestsFault",     COM,   _R),
    ("TooManyCommandsFault",               COM,   _R),
    ("RequestNotFinishedFault",            COM,   _A),
    ("OperationFault",                     COM,   _P),
    ("ArgumentFault",                      COM,   _P),
    ("DeviceNotFoundFault",                COM,   _P),
    ("EndpointNotFoundFault",              COM,   _P),
    ("EndpointNotRegisteredFault",         COM,   _P),
    ("MeterNotFoundFault",                 COM,   _P),
    ("MeterNotRegisteredFault",            COM,   _P),
    ("GroupNotFoundFault",                 COM,   _P),
    ("InvalidDateTimeRangeFault",          COM,   _P),
    ("InvalidUriFormatFault",              COM,   _P),
    ("NoValidTargetsFoundFault",           COM,   _P),
    ("RequestNotFoundFault",               COM,   _P),
    ("OperationNotSupportedFault",         COM,   _P),
    ("DuplicateSubscriberEndpointFault",   COM,   _P),
    ("DuplicateSubscriberFault",           COM,   _P),
    ("DuplicateSubscriptionFault",         COM,   _P),
    ("SubscriberEndpointNotFoundFault",    COM,   _P),
    ("SubscriberNotFoundFault",            COM,   _P),
    ("TooManySubscribersFault",            COM,   _P),
    ("SecurityFault",                      SEC,   _P),
    ("InvalidPermissionLevelFault",        SEC09, _P),
    ("InvalidOpticalUserIdFault",          SEC09, _P),
    ("InvalidAuthorizationClassFault",     SEC14, _P),
    ("InvalidRequestedServiceFault",       SEC14, _P),
    ("InvalidAuthorizationPrincipalFault", SEC14, _P),
    ("InvalidAuthorizationRightsFault",    SEC14, _P),
)
# fmt: on

FAULT_CLASSES: Final[Mapping[str, FaultClass]] = MappingProxyType(
    {name: klass for name, _, klass in _ROWS}
)
FAULT_NAMESPACES: Final[Mapping[str, str]] = MappingProxyType(
    {name: namespace for name, namespace, _ in _ROWS}
)

_PERMANENT_CODES: Final = frozenset(
    {
        "ActionNotSupported",
        "DeserializationFailed",
        "FailedAuthentication",
        "InvalidSecurity",
        "InvalidSecurityToken",
        "MustUnderstand",
        "VersionMismatch",
    }
)
"""Codes of unnamed faults that the same bytes would meet again; any other may pass with time."""

_CODES: Final = MappingProxyType(
    {
        Soap.V11: {
            "Client": "s:Client",
            "Server": "s:Server",
            "MustUnderstand": "s:MustUnderstand",
            "VersionMismatch": "s:VersionMismatch",
        },
        Soap.V12: {
            "Client": "s:Sender",
            "Server": "s:Receiver",
            "MustUnderstand": "s:MustUnderstand",
            "VersionMismatch": "s:VersionMismatch",
        },
    }
)


def is_fault(content: etree._Element) -> bool:
    return local_name(content) == "Fault" and namespace(content) in ENVELOPE_NS.values()


def read_fault(content: etree._Element) -> Fault:
    """A soap:Fault element of either version. Never raises: a strange fault is an unnamed one."""
    detail = detail_of(content)
    reason = reason_of(content)
    if detail is None or not _of_contract(detail):
        permanent = code_of(content) in _PERMANENT_CODES
        return Fault(name="", klass=_P if permanent else _R, message=reason)
    name = local_name(detail)
    fields = {local_name(child): _flat(child) for child in detail}
    return Fault(
        name=name,
        klass=FAULT_CLASSES[name],
        message=fields.get("Message") or reason,
        fields=MappingProxyType(fields),
    )


def detail_of(content: etree._Element) -> etree._Element | None:
    """What detail says: the first of the contract's faults in it, else its first element. Stacks
    put entries of their own before and behind."""
    for child in content:
        if local_name(child) in ("detail", "Detail"):
            entries = list(child.iterchildren(etree.Element))
            return next(filter(_of_contract, entries), next(iter(entries), None))
    return None


def _of_contract(entry: etree._Element) -> bool:
    return FAULT_NAMESPACES.get(local_name(entry)) == namespace(entry)


def code_of(content: etree._Element) -> str:
    """The innermost fault code without its prefix, which some stacks leave out."""
    codes = [
        (element.text or "").strip()
        for element in content.iter()
        if local_name(element) == "faultcode"
        or (local_name(element) == "Value" and namespace(element) == ENVELOPE_NS[Soap.V12])
    ]
    return codes[-1].rpartition(":")[2] if codes else ""


def reason_of(content: etree._Element) -> str:
    for element in content.iter():
        if local_name(element) in ("faultstring", "Text"):
            return (element.text or "").strip()
    return ""


def soap_fault(code: str, reason: str, *, soap: Soap = Soap.V11, detail: str = "") -> bytes:
    """A whole fault envelope as .NET writes it. `code` is SOAP 1.1's word; `detail` is XML."""
    ns, qualified = ENVELOPE_NS[soap], _CODES[soap][code]
    text = escaped(reason)
    if soap is Soap.V11:
        inside = f"<detail>{detail}</detail>" if detail else ""
        fault = (
            f"<faultcode>{qualified}</faultcode>"
            f'<faultstring xml:lang="en-US">{text}</faultstring>{inside}'
        )
    else:
        inside = f"<s:Detail>{detail}</s:Detail>" if detail else ""
        fault = (
            f"<s:Code><s:Value>{qualified}</s:Value></s:Code>"
            f'<s:Reason><s:Text xml:lang="en-US">{text}</s:Text></s:Reason>{inside}'
        )
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{ns}">'
        f"<s:Body><s:Fault>{fault}</s:Fault></s:Body></s:Envelope>"
    ).encode()


def _flat(element: etree._Element) -> str:
    """The text of a field; of a list of endpoints, their texts joined by blanks."""
    return " ".join(str(text).strip() for text in element.itertext() if text.strip())
