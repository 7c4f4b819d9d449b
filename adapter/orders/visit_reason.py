"""What a crew is told of why it is sent: what the order wants, which row decided, what was tried.

No text that people typed, and none that a head end sent: a failure is told by its cause and what
the table says of it, the end of a visit by its code. Nobody's name comes along. Ours.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from adapter.commands.failures import FAILURES
from adapter.model.ids import CommandId, DeviceId
from adapter.orders.order import ChildFact, ChildId, ChildState, OrderKind
from adapter.orders.tasks import CancelReason

MOST_TOLD: Final = 20
"""So many of the latest children are told."""

WANTS: Final[Mapping[OrderKind, str]] = MappingProxyType(
    {
        OrderKind.ENABLE: "service is wanted here: supply on",
        OrderKind.DISABLE: "service ends here: supply off",
        OrderKind.CUT: "supply is to be cut",
        OrderKind.RECONNECT: "supply is to be given back",
        OrderKind.EXCHANGE: "the device is to be exchanged",
        OrderKind.BACK_TO_BACK: "service passes to somebody else: a reading, and supply stays on",
    }
)
_CODES: Final = frozenset(each.value for each in CancelReason)
_STATES: Final[Mapping[ChildState, str]] = MappingProxyType(
    {
        ChildState.TIMED_OUT: "its time was over",
        ChildState.VALIDATION_ERROR: "a rule forbids it",
        ChildState.COMMUNICATION_ERROR: "the head end or the field work system failed",
        ChildState.RESPONSE_ERROR: "nothing was heard of it",
        ChildState.COMPLETION_ERROR: "the records could not follow",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitReason:
    """`wants` is the order's wish; `cell` the place in the matrix, `type` and `algorithm` who
    decided, `row` by which of its rows, `note` what that saw ("D1-RemoteConnect failed 2 times").
    """

    wants: str
    cell: int = 0
    type: str = ""
    algorithm: str = ""
    row: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierWork:
    """A child of the order before the visit: a command, a visit or a wait; `does` is its object or
    field task, `reason` how it failed."""

    child: ChildId
    does: str
    state: ChildState
    reason: str = ""
    device: DeviceId | None = None
    command: CommandId | None = None
    algorithm: str = ""
    row: str = ""
    ended_at: datetime | None = None


def visit_reason(kind: OrderKind, fact: ChildFact) -> VisitReason:
    return VisitReason(
        wants=WANTS[kind],
        cell=fact.cell,
        type=fact.type,
        algorithm=fact.algorithm,
        row=fact.row,
        note=fact.note,
    )


def earlier_work(
    visit: ChildFact, children: Iterable[tuple[ChildFact, CommandId | None]]
) -> tuple[EarlierWork, ...]:
    """What the order had done or tried before the visit, oldest first; at most `MOST_TOLD`."""
    before = [each for each in children if each[0].number < visit.number]
    before.sort(key=lambda each: each[0].number)
    return tuple(_told(fact, command) for fact, command in before[-MOST_TOLD:])


def _told(fact: ChildFact, command: CommandId | None) -> EarlierWork:
    return EarlierWork(
        child=fact.id,
        does=fact.spec.task or fact.spec.business_object,
        state=fact.state,
        reason=_reason(fact),
        device=fact.spec.device,
        command=command,
        algorithm=fact.algorithm,
        row=fact.row,
        ended_at=fact.ended_at,
    )


def _reason(fact: ChildFact) -> str:
    if fact.completed:
        return ""
    cause = fact.reason.partition(":")[0].strip()
    if cause in FAILURES:
        return f"{cause}: {FAILURES[cause].meaning}"
    return cause if cause in _CODES else _STATES.get(fact.state, "")
