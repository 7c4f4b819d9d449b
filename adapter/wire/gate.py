"""The WSDL gate: which commands a contract can carry, and what breaks the others.

Compared is what each command needs, element by element: what we write must have a place and nothing
more may be demanded; what we read must be there. Names, namespaces, actions and order may differ,
since messages are compiled from the contract that is given.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from adapter.commands.calls import Call, ReadParameters
from adapter.commands.flows import FLOWS, READ_KINDS, CommandKind, Operation
from adapter.errors import ContractViolation
from adapter.model.ids import EndpointId, RequestToken
from adapter.subscriptions.reconcile import (
    Generation,
    SubscriptionCall,
    SubscriptionKind,
    SubscriptionOperation,
)
from adapter.subscriptions.reconcile import operations_of as subscription_operations
from adapter.wire.catalog import HOSTED_HERE, Catalog
from adapter.wire.codec import Codec
from adapter.wire.notifications import DATA_ARRIVED, INBOUND_HAS, STATUS_CHANGED
from adapter.wire.operation_spec import OperationSpec
from adapter.wire.operations import OPERATIONS, request_body
from adapter.wire.shapes import Field, ListOf, Struct
from adapter.wire.subscriptions import HELD_HAS, subscription_body


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing in a contract that breaks one command."""

    command: CommandKind
    operation: str
    problem: str

    def __str__(self) -> str:
        return f"{self.command}: {self.operation}: {self.problem}"


def check_contract(catalog: Catalog, *, services: Collection[str] = ()) -> tuple[Finding, ...]:
    """Everything that stops a command, in the order of the command-flow table; () is good.

    `services` limits the look to those services, for one WSDL file out of many.
    """
    codec = Codec(catalog)
    problems: dict[str, tuple[str, ...]] = {}
    findings: list[Finding] = []
    for command in FLOWS:
        for key in operations_of(command):
            if services and key.partition(".")[0] not in services:
                continue
            if key not in problems:
                problems[key] = tuple(_problems(codec, key))
            findings += (
                Finding(command=command, operation=key, problem=problem)
                for problem in problems[key]
            )
    return tuple(findings)


def grouped(findings: Collection[Finding]) -> Iterator[tuple[str, str, tuple[CommandKind, ...]]]:
    """Operation, problem and the commands that it breaks: for people, who read of each once."""
    commands: dict[tuple[str, str], list[CommandKind]] = {}
    for each in findings:
        commands.setdefault((each.operation, each.problem), []).append(each.command)
    for (operation, problem), broken in commands.items():
        yield operation, problem, tuple(dict.fromkeys(broken))


def lacking(
    catalog: Catalog, *, services: Collection[str]
) -> Mapping[CommandKind, tuple[Finding, ...]]:
    """What stops each command where these services are all there is; () where it is carried.

    What the head end calls on us is no service of its own: it counts where it is among them.
    """
    found = check_contract(catalog, services=services) if services else ()
    lacks: dict[CommandKind, tuple[Finding, ...]] = {}
    for command in FLOWS:
        absent = (
            Finding(command=command, operation=key, problem=_NOT_HERE)
            for key in operations_of(command)
            if key not in HOSTED_HERE and key.partition(".")[0] not in services
        )
        lacks[command] = (*(each for each in found if each.command is command), *absent)
    return lacks


def operations_of(command: CommandKind) -> tuple[str, ...]:
    """The operations that a command uses in either direction, by key."""
    flow = FLOWS[command]
    if flow.result is None:
        return (flow.request.operation,)
    always = (
        flow.request.operation,
        flow.result.operation,
        Operation.REQUEST_STATUS,
        Operation.CANCEL_REQUEST,
        STATUS_CHANGED,
    )
    return (*always, DATA_ARRIVED) if command in READ_KINDS else always


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionFinding:
    """One thing in a contract that breaks one way to subscribe, named as its setting has it:
    `subscriptions.data = "subscription_service"`."""

    subscription: str
    operation: str
    problem: str


def check_subscriptions(
    catalog: Catalog, *, services: Collection[str] = ()
) -> tuple[SubscriptionFinding, ...]:
    """The same for the calls by which subscriptions are kept up."""
    codec = Codec(catalog)
    return tuple(
        SubscriptionFinding(subscription=_way(generation, kind), operation=key, problem=problem)
        for generation in Generation
        for kind in SubscriptionKind
        for key in subscription_operations(generation, kind)
        if not services or key.partition(".")[0] in services
        for problem in _problems(codec, key)
    )


def lacking_subscriptions(
    catalog: Catalog, *, services: Collection[str]
) -> Mapping[str, tuple[SubscriptionFinding, ...]]:
    """The same as `lacking` for each way to subscribe that takes a call, by its setting."""
    found = check_subscriptions(catalog, services=services) if services else ()
    lacks: dict[str, tuple[SubscriptionFinding, ...]] = {}
    for generation in Generation:
        for kind in SubscriptionKind:
            way, needed = _way(generation, kind), subscription_operations(generation, kind)
            if not needed:
                continue
            absent = (
                SubscriptionFinding(subscription=way, operation=key, problem=_NOT_HERE)
                for key in needed
                if key.partition(".")[0] not in services
            )
            lacks[way] = (*(each for each in found if each.subscription == way), *absent)
    return lacks


def check_hosted(catalog: Catalog) -> dict[str, str]:
    """What is wrong with the operations that we host, by key: without one the listener could not
    start, whatever commands need."""
    return {
        key: catalog.not_understood.get(key, _MISSING)
        for key in HOSTED_HERE
        if key not in catalog.operations
    }


def _way(generation: Generation, kind: SubscriptionKind) -> str:
    return f'subscriptions.{kind} = "{generation}"'


def _problems(codec: Codec, key: str) -> Iterator[str]:
    spec = codec.catalog.operations.get(key)
    if spec is None:
        yield codec.catalog.not_understood.get(key, _MISSING)
        return
    if not spec.soap_action:
        yield "the operation has no SOAPAction"
    if key in INBOUND_HAS:
        field, above, reads = spec.request, "input", INBOUND_HAS[key]
    else:
        field, above, reads = spec.response, f"{spec.name}Result", _REPLY_HAS.get(key, ())
        yield from _unwritable(codec, spec)
    present = frozenset(_paths(field, ""))
    for path in reads:
        if f"{above}/{path}" not in present:
            yield f"{field.name} has no {above}/{path}, which is read"


def _unwritable(codec: Codec, spec: OperationSpec) -> Iterator[str]:
    """What stops the fullest and the shortest request we write."""
    present = frozenset(_paths(spec.request, ""))
    fullest = _sent_body(spec.key, full=True)
    missing = [path for path in _written(fullest, "") if path not in present]
    if missing:
        yield from (f"{spec.name} has no {path}, which is sent" for path in missing)
        return
    for full in (True, False):
        try:
            codec.encode_request(spec.key, _sent_body(spec.key, full=full))
        except ContractViolation as violation:
            yield f"cannot be sent: {violation}"
            return


def _sent_body(key: str, *, full: bool) -> Mapping[str, object]:
    if key not in _SUBSCRIPTION_OPERATIONS:
        return request_body(_call(Operation(key), full=full))
    return subscription_body(
        SubscriptionCall(
            operation=SubscriptionOperation(key),
            system="system",
            addresses=("https://gateway.example/openway/data",),
            groups=("group",) if full else (),
        )
    )


def _call(operation: Operation, *, full: bool) -> Call:
    """A call with everything, or as little as possible, in it."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Call(
        operation=operation,
        endpoints=(EndpointId("1"),),
        group="group",
        token=RequestToken("5b0c7e0e-6d0f-4a55-9a6e-2f6f4a1f0c11"),
        callback="https://gateway.example/openway/status" if full else None,
        read=ReadParameters(
            start=at,
            end=at,
            window_start=at,
            window_end=at,
            load_profile=full,
            registers=full,
            events=full,
        ),
        configuration_group="group" if full else None,
        emergency_override=full,
    )


def _paths(field: Field, above: str) -> Iterator[str]:
    """Every path below an element as JSON has it: items of a list stand for their list."""
    content = field.content.item.content if isinstance(field.content, ListOf) else field.content
    for child in content.fields if isinstance(content, Struct) else ():
        path = f"{above}{child.name}"
        yield path
        yield from _paths(child, f"{path}/")


def _written(body: Mapping[str, object], above: str) -> Iterator[str]:
    for name, value in body.items():
        yield f"{above}{name}"
        if isinstance(value, Mapping):
            yield from _written(value, f"{above}{name}/")


_MISSING: Final = "the operation is missing"
_NOT_HERE: Final = "is not in this file"
_SUBSCRIPTION_OPERATIONS: Final = frozenset(str(each) for each in SubscriptionOperation)
_REPLY_HAS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        **{str(key): row.reply_has for key, row in OPERATIONS.items()},
        SubscriptionOperation.LIST: HELD_HAS,
    }
)
"""Below `{Operation}Result`. The other replies are empty, or read without regard to their type."""
