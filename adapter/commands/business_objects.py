"""Which business object of the source each communication is: its request, its result, its callback.

The names are those of the command-flow table. A step before or beside the command's own request is
the request of another command, and has that one's names. Asking for a status and canceling are
ours: the source has no business object for them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from adapter.commands.activity import Command, Communication, StepKind, Work
from adapter.commands.events import (
    AskFailed,
    Dispatched,
    Event,
    LateNotified,
    OutcomeReceived,
    SendFailed,
    SendRefused,
    SendUnclear,
    StatusNotified,
    TokenReceived,
)
from adapter.commands.flows import FLOWS, STATUS_CHANGED, CommandKind, Flow

KIND_OF_STEP: Final[Mapping[StepKind, CommandKind]] = MappingProxyType(
    {
        StepKind.LOAD_CHECK: CommandKind.LOAD_CHECK,
        StepKind.SWITCH_CHECK: CommandKind.READ_DISCONNECT_STATE,
        StepKind.READ: CommandKind.ON_DEMAND_READ_SCALAR,
        StepKind.SETTLE: CommandKind.READ_DISCONNECT_STATE,
    }
)
"""The command whose request a step sends; the main step sends the command's own."""


class BusinessObjects(Struct, frozen=True, kw_only=True, gc=False):
    """Of one communication. None: its command has no such message."""

    outbound: str
    result_outbound: str | None
    inbound: str | None


def objects_of(kind: CommandKind, communication: Communication) -> BusinessObjects:
    flow = _flow(kind, communication.step)
    return BusinessObjects(
        outbound=flow.request.business_object,
        result_outbound=flow.result.business_object if flow.result else None,
        inbound=flow.notice,
    )


def object_of_operation(
    kind: CommandKind, communication: Communication, operation: str
) -> str | None:
    """Of one message; `operation` as the message log names it. None: the source has none."""
    flow = _flow(kind, communication.step)
    if operation == flow.request.operation.value:
        return flow.request.business_object
    if flow.result is not None and operation == flow.result.operation.value:
        return flow.result.business_object
    return flow.notice and inbound_object(operation)


def inbound_object(operation: str) -> str | None:
    """Of a message that the head end sends of itself, whoever's it is. Data, events and exceptions
    have none: the source takes them in as payloads."""
    return STATUS_CHANGED if operation.endswith(".StatusChanged") else None


def object_of_event(command: Command, event: Event) -> str | None:
    """The business object that an event is about: what was sent, asked for, or received."""
    named = getattr(event, "communication", None)
    if named is None:
        return None
    for communication in command.communications:
        if communication.id == named:
            break
    else:
        return None
    flow = _flow(command.request.kind, communication.step)
    match event:
        case StatusNotified(polled=False) | LateNotified():
            return flow.notice
        case Dispatched() | TokenReceived() | SendFailed() | SendRefused() | SendUnclear():
            return flow.request.business_object
        case OutcomeReceived() | AskFailed(work=Work.RESULT):
            return (flow.result or flow.request).business_object
    return None


def _flow(kind: CommandKind, step: StepKind) -> Flow:
    return FLOWS[KIND_OF_STEP.get(step, kind)]
