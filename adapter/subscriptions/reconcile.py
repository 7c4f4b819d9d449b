"""Subscriptions at the head end: what is wanted, what is there, and what is to be done about it.

Of the data service's own operation the contract is known; all of SubscriptionService is
provisional. No operation is known that subscribes for events alone: the address for data gets them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class SubscriptionKind(StrEnum):
    DATA = "data"
    EXCEPTIONS = "exceptions"


class SubscriptionOperation(StrEnum):
    """The head end's operations that keep subscriptions, as `{Service}.{Operation}`."""

    OLD_SUBSCRIBE_DATA = "DataService.SubscribeToEndpointData"
    OLD_CANCEL_DATA = "DataService.CancelEndpointDataSubscription"
    LIST = "SubscriptionService.RetrieveSubscriptionsBySystemName"
    SUBSCRIBE_DATA = "SubscriptionService.SubscribeToEndpointData"
    SUBSCRIBE_EXCEPTIONS = "SubscriptionService.SubscribeToEndpointExceptionsByGroups"
    CANCEL_DATA = "SubscriptionService.CancelDataSubscription"
    CANCEL_EXCEPTIONS = "SubscriptionService.CancelExceptionSubscription"


_O, _K = SubscriptionOperation, SubscriptionKind

THERE_ALREADY: Final = frozenset(
    {
        "DuplicateSubscriptionFault",
        "DuplicateSubscriberFault",
        "DuplicateSubscriberEndpointFault",
    }
)
"""Faults by which the head end says that we are subscribed (inferred from their names)."""

NOT_THERE: Final = frozenset(
    {
        "SubscriberNotFoundFault",
        "SubscriberEndpointNotFoundFault",
    }
)


class Generation(StrEnum):
    """Which service is asked. The data service can subscribe for data and cannot be asked what is
    there: it is simply told again."""

    OFF = "off"
    DATA_SERVICE = "data_service"
    SUBSCRIPTION_SERVICE = "subscription_service"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionCall:
    """One request. `addresses` are ours; `groups` narrow exceptions, none: all (inferred)."""

    operation: SubscriptionOperation
    system: str
    addresses: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A subscription that the head end tells of. `kind` is its own word, "" where it says none."""

    system: str
    addresses: tuple[str, ...]
    kind: str = ""

    def is_of(self, kind: SubscriptionKind) -> bool:
        return not self.kind or self.kind.lower().startswith(kind.value[:4])


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedSubscription:
    kind: SubscriptionKind
    generation: Generation
    system: str
    address: str
    groups: tuple[str, ...] = ()


_OPERATIONS: Final = MappingProxyType(
    {
        (Generation.DATA_SERVICE, _K.DATA): (_O.OLD_SUBSCRIBE_DATA, _O.OLD_CANCEL_DATA),
        (Generation.SUBSCRIPTION_SERVICE, _K.DATA): (_O.SUBSCRIBE_DATA, _O.CANCEL_DATA),
        (Generation.SUBSCRIPTION_SERVICE, _K.EXCEPTIONS): (
            _O.SUBSCRIBE_EXCEPTIONS,
            _O.CANCEL_EXCEPTIONS,
        ),
    }
)


def operations_of(
    generation: Generation, kind: SubscriptionKind
) -> tuple[SubscriptionOperation, ...]:
    """All that keeping it up takes; none where the generation does not have that kind."""
    found = _OPERATIONS.get((generation, kind), ())
    listed = generation is Generation.SUBSCRIPTION_SERVICE
    return (_O.LIST, *found) if found and listed else found


def subscribe(wanted: WantedSubscription) -> SubscriptionCall:
    return SubscriptionCall(
        operation=_OPERATIONS[wanted.generation, wanted.kind][0],
        system=wanted.system,
        addresses=(wanted.address,),
        groups=wanted.groups,
    )


def cancel(wanted: WantedSubscription) -> SubscriptionCall:
    return SubscriptionCall(
        operation=_OPERATIONS[wanted.generation, wanted.kind][1],
        system=wanted.system,
        addresses=(wanted.address,),
    )


def to_do(wanted: WantedSubscription, held: Sequence[Held] | None) -> tuple[SubscriptionCall, ...]:
    """The calls that bring about what is wanted; none where it is there.

    `held` None: the head end cannot be asked. A subscription of ours for another address (the
    gateway has moved) is cancelled first: two of them would bring everything twice.
    """
    if held is None:
        return (subscribe(wanted),)
    ours = [row for row in held if row.system == wanted.system and row.is_of(wanted.kind)]
    if any(wanted.address in row.addresses for row in ours):
        return ()
    return (cancel(wanted), subscribe(wanted)) if ours else (subscribe(wanted),)
