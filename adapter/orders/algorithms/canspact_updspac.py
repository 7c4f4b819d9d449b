"""D1-CANSPACT and D1-UPDSPAC, Cancel and Update Specific Activity: by the status of the child.

Documented: each acts according to the specific activity's current status; a crew under way must
not be cancelled automatically. The matrix itself is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from adapter.orders.activities import ChildKind
from adapter.orders.algorithms.reader import ParameterReader
from adapter.orders.algorithms.verdict import Pass, Verdict
from adapter.orders.order import ChildFact, ChildState, ServiceOrder, View


class Action(StrEnum):
    """What a maintenance activity does to its specific activity."""

    DISCARD_ORDER = "discard the order"
    CHANGE_ORDER = "change the order and validate it again"
    DISCARD_CHILD = "discard the child; nothing was sent"
    CHANGE_CHILD = "change the child; nothing was sent"
    STOP_SENDING = "stop the communication, discard the child"
    SEND_CANCEL = "ask the field system to cancel"
    SEND_CHANGE = "send a change message"
    CALL_BACK = "ask the head end to cancel"
    AWAIT_OUTCOME = "wait for its outcome, then ask the head end to cancel what still may be"
    ASKED = "asked already; the answer is awaited"
    RESTORE_FIRST = "supply is restored first; then the order stops"
    STOP_AFTER = "nothing to cancel; the order stops before its next child"
    ALREADY = "already so"
    ASK_PEOPLE = "work was done: people decide"
    REJECT = "too late"


class Group(StrEnum):
    """Who has a child that has left: the field system, the head end, or nobody."""

    FIELD = "field"
    COMMAND = "command"
    WAIT = "wait"


_GROUPS: Final[Mapping[ChildKind, Group]] = MappingProxyType(
    {
        ChildKind.FIELD: Group.FIELD,
        ChildKind.COMMAND: Group.COMMAND,
        ChildKind.WAIT_MEASUREMENT: Group.WAIT,
        ChildKind.WAIT_SCHEDULED_READ: Group.WAIT,
    }
)


A, C = Action, ChildState


_COMMON: Final[Mapping[ChildState, tuple[Action, Action]]] = {
    #  child                    cancel             update
    C.QUEUED: (A.DISCARD_CHILD, A.CHANGE_CHILD),
    C.VALIDATION_ERROR: (A.DISCARD_CHILD, A.CHANGE_CHILD),
    C.SENDING: (A.STOP_SENDING, A.CHANGE_CHILD),
    C.SENT: (A.SEND_CANCEL, A.SEND_CHANGE),
    C.STARTED: (A.REJECT, A.REJECT),
    C.COMMUNICATION_ERROR: (A.DISCARD_CHILD, A.CHANGE_CHILD),
    C.RESPONSE_ERROR: (A.SEND_CANCEL, A.SEND_CHANGE),
    C.COMPLETION_ERROR: (A.ASK_PEOPLE, A.REJECT),
    C.COMPLETED: (A.STOP_AFTER, A.REJECT),
    C.FAILED: (A.STOP_AFTER, A.REJECT),
    C.TIMED_OUT: (A.STOP_AFTER, A.REJECT),
    C.CANCELED: (A.ALREADY, A.REJECT),
    C.DISCARDED: (A.ALREADY, A.REJECT),
}


_COMMAND: Final[Mapping[ChildState, tuple[Action, Action]]] = {
    # What is with the head end may be with the meter: whether CancelRequest came in time, the
    # head end tells. An error there proves nothing.
    C.SENDING: (A.CALL_BACK, A.REJECT),
    C.SENT: (A.CALL_BACK, A.REJECT),
    C.UNCLEAR: (A.AWAIT_OUTCOME, A.REJECT),
    C.CANCELLING: (A.ASKED, A.REJECT),
    C.COMMUNICATION_ERROR: (A.ASK_PEOPLE, A.REJECT),
    C.RESPONSE_ERROR: (A.ASK_PEOPLE, A.REJECT),
}


_WAIT: Final[Mapping[ChildState, tuple[Action, Action]]] = {
    C.SENDING: (A.DISCARD_CHILD, A.CHANGE_CHILD),
    C.SENT: (A.DISCARD_CHILD, A.CHANGE_CHILD),
    C.STARTED: (A.DISCARD_CHILD, A.CHANGE_CHILD),
    C.RESPONSE_ERROR: (A.DISCARD_CHILD, A.CHANGE_CHILD),
    C.COMPLETION_ERROR: (A.DISCARD_CHILD, A.CHANGE_CHILD),
}


MAINTENANCE_MATRIX: Final[Mapping[tuple[Group, ChildState], tuple[Action, Action]]] = (
    MappingProxyType(
        {
            (group, state): {**_COMMON, **own}[state]
            for group, own in ((Group.FIELD, {}), (Group.COMMAND, _COMMAND), (Group.WAIT, _WAIT))
            for state in ChildState
            if state in _COMMON or state in own
        }
    )
)
"""(group, status of the child) -> (on cancel, on update)."""


LABELS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintainSpecificActivity:
    """D1-CANSPACT and D1-UPDSPAC. The source names no parameters."""


def parse(_read: ParameterReader) -> MaintainSpecificActivity:
    return MaintainSpecificActivity()


def maintain_nothing(
    _order: ServiceOrder, _view: View, _params: MaintainSpecificActivity
) -> Verdict:
    """In an order's own orchestration: the two act for a request to cancel or update it."""
    return Pass(note="acts for maintenance activities only")


def cancel_specific_activity(child: ChildFact | None) -> Action:
    """D1-CANSPACT. Without a child the order itself is what is cancelled."""
    if child is None:
        return Action.DISCARD_ORDER
    return MAINTENANCE_MATRIX[_GROUPS[child.spec.kind], child.state][0]


def update_specific_activity(child: ChildFact | None) -> Action:
    """D1-UPDSPAC. Without a child the order's own elements are changed."""
    if child is None:
        return Action.CHANGE_ORDER
    return MAINTENANCE_MATRIX[_GROUPS[child.spec.kind], child.state][1]
