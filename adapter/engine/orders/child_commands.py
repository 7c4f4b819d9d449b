"""What an order asks of the commands of its children."""

from typing import Final

from adapter.commands import steps
from adapter.commands.activity import Command, CommunicationState, State
from adapter.engine.orders.ports import OrderRecord
from adapter.orders.order import ChildId

_QUEUED: Final = frozenset({State.AWAITING_APPROVAL, State.WAITING_FOR_EFFECTIVE_DATE})


def is_of(command: Command, case: OrderRecord, child: ChildId) -> bool:
    """Whether a command is the child's own, and not one that took its idempotency key."""
    spec = next(each.fact.spec for each in case.children if each.fact.id == child)
    asked = command.request
    own = asked.order == case.order.id and asked.kind is spec.command
    return own and asked.devices == (spec.device,)


def unsent(command: Command) -> bool:
    """Whether nothing of the command has left."""
    if command.activity.state in _QUEUED:
        return True
    return command.activity.state is State.COMMUNICATION_IN_PROGRESS and all(
        communication.state is CommunicationState.QUEUED and communication.sent_at is None
        for communication in command.communications
    )


def at_head_end(command: Command) -> bool:
    """Whether the head end may have it, and can be asked to cancel it."""
    waits = command.activity.state is State.COMMUNICATION_IN_PROGRESS
    return waits and steps.unclear(command) is None
