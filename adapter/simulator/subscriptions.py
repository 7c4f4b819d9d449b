"""Who wants data and exceptions: the subscriptions of both generations of the contract.

SubscriptionService is not published; its operations work here as their names say (inferred).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from adapter.model.ids import EndpointId
from adapter.simulator.bodies import Body, items, part, text
from adapter.simulator.jobs import FaultRaised
from adapter.simulator.meters import Population
from adapter.simulator.operations import check_address


class SimulatedSubscriptionKind(StrEnum):
    DATA = "Data"
    EXCEPTIONS = "Exceptions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """`endpoints` and `groups` narrow exceptions; both empty is everything."""

    system: str
    kind: SimulatedSubscriptionKind
    addresses: tuple[str, ...]
    endpoints: frozenset[EndpointId] = frozenset()
    groups: tuple[str, ...] = ()


class SimulatedSubscriptions:
    """At most one subscription of a kind per SystemName; a second one takes its place."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: dict[tuple[SimulatedSubscriptionKind, str], Subscription] = {}

    def put(self, subscription: Subscription) -> None:
        """Raises TooManySubscribersFault past the limit."""
        key = (subscription.kind, subscription.system)
        if key not in self._rows and self._most and len(self._rows) >= self._most:
            raise FaultRaised("TooManySubscribersFault", "There are too many subscribers.")
        self._rows[key] = subscription

    def drop(self, kind: SimulatedSubscriptionKind, system: str) -> bool:
        return self._rows.pop((kind, system), None) is not None

    def clear(self) -> None:
        self._rows.clear()

    def listed(self) -> tuple[Subscription, ...]:
        return tuple(self._rows.values())

    def data_addresses(self) -> tuple[str, ...]:
        """Every address that gets data, each once."""
        found = (
            row.addresses
            for row in self._rows.values()
            if row.kind is SimulatedSubscriptionKind.DATA
        )
        return tuple(dict.fromkeys(address for addresses in found for address in addresses))

    def for_exceptions(self, population: Population) -> Iterable[tuple[str, frozenset[EndpointId]]]:
        """Each address with the endpoints it wants; an empty set is all of them."""
        for row in self._rows.values():
            if row.kind is not SimulatedSubscriptionKind.EXCEPTIONS:
                continue
            wanted = set(row.endpoints)
            for group in row.groups:
                wanted.update(population.members(group) or ())
            for address in row.addresses:
                yield address, frozenset(wanted)


SubscriptionBody = dict[str, object]
Handler = Callable[[SimulatedSubscriptions, Body], SubscriptionBody]


def _subscribe(
    rows: SimulatedSubscriptions, kind: SimulatedSubscriptionKind, holder: Body, request: Body
) -> SubscriptionBody:
    system = _system(holder)
    single = text(holder, "Uri")
    addresses = (single,) if single else items(holder, "UriCollection")
    if not addresses:
        raise FaultRaised("ArgumentFault", "An address is needed.", ParameterName="Uri")
    for address in addresses:
        check_address(address)
    rows.put(
        Subscription(
            system=system,
            kind=kind,
            addresses=addresses,
            endpoints=frozenset(map(EndpointId, items(request, "ElectronicSerialNumbers"))),
            groups=items(part(request, "GroupConstraints"), "FilteredGroupNames"),
        )
    )
    return {}


def _system(holder: Body) -> str:
    system = text(holder, "SystemName")
    if not system:
        raise FaultRaised("ArgumentFault", "SystemName is needed.", ParameterName="SystemName")
    return system


def _old_subscribe(rows: SimulatedSubscriptions, body: Body) -> SubscriptionBody:
    request = part(body, "request")
    return _subscribe(
        rows, SimulatedSubscriptionKind.DATA, part(request, "SubscriberRequest"), request
    )


def _old_cancel(rows: SimulatedSubscriptions, body: Body) -> SubscriptionBody:
    rows.drop(SimulatedSubscriptionKind.DATA, _system(part(body, "request", "SubscriberRequest")))
    return {}


def _subscribe_data(rows: SimulatedSubscriptions, body: Body) -> SubscriptionBody:
    request = part(body, "request")
    return _subscribe(
        rows, SimulatedSubscriptionKind.DATA, part(request, "SubscriptionRequest"), request
    )


def _subscribe_exceptions(rows: SimulatedSubscriptions, body: Body) -> SubscriptionBody:
    request = part(body, "request")
    return _subscribe(
        rows, SimulatedSubscriptionKind.EXCEPTIONS, part(request, "SubscriptionRequest"), request
    )


def _cancel(
    rows: SimulatedSubscriptions, kind: SimulatedSubscriptionKind, body: Body
) -> SubscriptionBody:
    if not rows.drop(kind, _system(part(body, "request"))):
        raise FaultRaised("SubscriberNotFoundFault", "There is no such subscriber.")
    return {}


def _cancel_data(rows: SimulatedSubscriptions, body: Body) -> SubscriptionBody:
    return _cancel(rows, SimulatedSubscriptionKind.DATA, body)


def _cancel_exceptions(rows: SimulatedSubscriptions, body: Body) -> SubscriptionBody:
    return _cancel(rows, SimulatedSubscriptionKind.EXCEPTIONS, body)


def _retrieve(rows: SimulatedSubscriptions, body: Body) -> SubscriptionBody:
    system = _system(part(body, "request"))
    found = [row for row in rows.listed() if row.system == system]
    if not found:
        raise FaultRaised("SubscriberNotFoundFault", "There is no such subscriber.")
    listed = [
        {"SystemName": row.system, "UriCollection": list(row.addresses), "Kind": str(row.kind)}
        for row in found
    ]
    return {"RetrieveSubscriptionsBySystemNameResult": listed}


HANDLERS: Final[Mapping[str, Handler]] = MappingProxyType(
    {
        "DataService.SubscribeToEndpointData": _old_subscribe,
        "DataService.CancelEndpointDataSubscription": _old_cancel,
        "SubscriptionService.SubscribeToEndpointData": _subscribe_data,
        "SubscriptionService.SubscribeToEndpointExceptionsByMeter": _subscribe_exceptions,
        "SubscriptionService.SubscribeToEndpointExceptionsByGroups": _subscribe_exceptions,
        "SubscriptionService.CancelDataSubscription": _cancel_data,
        "SubscriptionService.CancelExceptionSubscription": _cancel_exceptions,
        "SubscriptionService.RetrieveSubscriptionsBySystemName": _retrieve,
    }
)
