"""The errors that the gateway raises on purpose, as a tree.

Errors that only one part knows stand where they are raised, below one of these: an install event
without an arrow (`model.device`), an empty budget or a foreign token (`engine.apply`), a refused
import (`engine.imports`), a field system's no (`engine.field_work`), a recording that differs
(`replay.player`), an API that cannot be reached (`client`).

GatewayError                    stable public `code`, one sentence for people
├── InvalidRequest              a field and the rule it breaks; nothing was stored
│   ├── UnknownDevice           the registry has no such device
│   └── UnknownServicePoint     the registry has no such service point
├── NotFound                    no such command, communication, device or quarantined message
├── NotKept                     it was there, and was removed for its age
├── Conflict                    same idempotency key, other content; or the state forbids it
│   ├── IllegalTransition       the state machine has no such arrow; nothing changed
│   └── Forbidden               the policy says no (approval, window, limit, same person twice)
├── HeadEndError                says what may have happened out there
│   ├── NotSent                 nothing left this machine: safe to send again
│   │   └── Unwritable          the request cannot be written: sending again cannot help
│   ├── Refused                 the head end said no, by one of its named faults
│   └── OutcomeUnknown          it may have acted: ask before any resend
├── WireError                   bytes that are not the message they should be
│   ├── NotWellFormed           not XML, or XML that is never accepted (DTD, depth, size)
│   └── ContractViolation       an element is missing, unexpected or has an impossible value
├── ContractError               the WSDL given lacks what a command needs
├── SettingsError               a setting is unknown or bad; the start is refused
└── StoreFailed                 storage broke: nothing is acknowledged until recovery from disk
    └── StoreInUse              it is another process's: nothing is wrong with it
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from types import MappingProxyType


def closest(name: str, known: Iterable[str]) -> str | None:
    """The one that is like it, but for a letter or two; far-off words are none."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=0.65)), None)


def meant(name: str, known: Iterable[str]) -> str:
    """`; did you mean x?`, for the end of a sentence about an unknown name; or nothing."""
    close = closest(name, known)
    return f"; did you mean {close}?" if close else ""


class GatewayError(Exception):
    """Base of all. `code` is stable and public; the text is for people."""

    code = "gateway_error"


class InvalidRequest(GatewayError):
    """The request names something impossible. `field` is the place, `rule` what it breaks."""

    code = "invalid_request"

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class UnknownDevice(InvalidRequest):
    code = "unknown_device"


class UnknownServicePoint(InvalidRequest):
    code = "unknown_service_point"


class NotFound(GatewayError):
    code = "not_found"


class NotKept(GatewayError):
    code = "not_kept"


class Conflict(GatewayError):
    code = "conflict"


class IllegalTransition(Conflict):
    """There is no arrow for this event in this state; nothing changed."""

    code = "illegal_transition"


class Forbidden(Conflict):
    code = "forbidden"


class FaultClass(StrEnum):
    """What a fault of the head end asks us to do. The classes are ours."""

    RETRY = "retry"
    POLL_AGAIN = "poll_again"
    PERMANENT = "permanent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One SOAP fault of the head end.

    `name` is the detail element's local name ("MeterNotFoundFault"), or "" where the fault carries
    no named detail, in which case it proves nothing about what the head end did.
    """

    name: str
    klass: FaultClass
    message: str = ""
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def named(self) -> bool:
        return bool(self.name)


class HeadEndError(GatewayError):
    code = "head_end_error"


class NotSent(HeadEndError):
    """No byte of the request left this machine: name, connect or TLS failed, or a limit of ours."""

    code = "not_sent"


class Unwritable(NotSent):
    """The request cannot be written, so no byte of it left, and trying again cannot help."""

    code = "unwritable"


class Refused(HeadEndError):
    """The head end answered with one of its named faults, or with a 4xx that must be its own."""

    code = "refused"

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.name or 'fault'}: {fault.message}")
        self.fault = fault


class OutcomeUnknown(HeadEndError):
    """The request may have been executed: everything that is neither NotSent nor Refused."""

    code = "outcome_unknown"


class WireError(GatewayError):
    """`at` names the element, where one can be named."""

    code = "wire_error"

    def __init__(self, message: str, *, at: str = "") -> None:
        super().__init__(f"{at}: {message}" if at else message)
        self.at = at


class NotWellFormed(WireError):
    """`position` is the byte, of the body in UTF-8, at which it was noticed; -1 where not known."""

    code = "not_well_formed"

    def __init__(self, message: str, position: int = -1, *, at: str = "") -> None:
        super().__init__(message, at=at)
        self.position = position


class ContractViolation(WireError):
    code = "contract_violation"


class ContractError(GatewayError):
    code = "contract_error"


class SettingsError(GatewayError):
    code = "settings_error"


class StoreFailed(GatewayError):
    code = "store_failed"


class StoreInUse(StoreFailed):
    """Another process owns the store: nothing is wrong with it."""

    code = "store_in_use"
