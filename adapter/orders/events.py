"""What happens to a service order, past tense, and what is to be done next, imperative."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from adapter.model.ids import OrderId
from adapter.orders.algorithms.verdict import (
    Decision,
)
from adapter.orders.order import (
    ChildFact,
    ChildId,
    ChildSpec,
    OrderProblem,
    OrderState,
)


def _nothing() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A monitor took up the new order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderValidated:
    """Every rule holds. `superseded` are the orders that this one withdraws."""

    superseded: tuple[OrderId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A rule is broken: on validation, or on release, when the facts are old."""

    problems: tuple[OrderProblem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveDateReached:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Satisfied:
    """All algorithms passed: the world is as the order wants it. `summary` is for the requester."""

    fields: Mapping[str, str] = field(default_factory=_nothing)
    summary: Mapping[str, str] = field(default_factory=_nothing)
    decisions: tuple[Decision, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildWanted:
    """An algorithm wants this child."""

    child: ChildSpec
    algorithm: str
    row: str = ""
    fields: Mapping[str, str] = field(default_factory=_nothing)
    decisions: tuple[Decision, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildAwaited:
    """A child was still open when the algorithms were to run."""

    child: ChildId
    fields: Mapping[str, str] = field(default_factory=_nothing)
    decisions: tuple[Decision, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecidable:
    """An algorithm could not decide, or a guard said no."""

    problem: OrderProblem
    fields: Mapping[str, str] = field(default_factory=_nothing)
    decisions: tuple[Decision, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A withdrawn order has nothing left to finish or to restore."""

    reason: str
    decisions: tuple[Decision, ...] = ()
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildCompleted:
    child: ChildId


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildGaveUp:
    """A child ended without success, and the order goes on without it."""

    child: ChildId
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildFailed:
    """A child is in error, was cancelled or timed out, and people have to look."""

    child: ChildId
    problem: OrderProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRepaired:
    """A child left its error and works again."""

    child: ChildId


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRetryAsked:
    """`open_child` is the child in error that is retried, if one is still open."""

    who: str
    open_child: ChildId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevalidationDue:
    """The transitory Retry state is left for Validate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationDue:
    """The transitory Retry state is left for "Are SP and Device Ready?"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """People or an update changed the order. Times are kept where None."""

    who: str
    fields: Mapping[str, str] = field(default_factory=_nothing)
    effective_at: datetime | None = None
    service_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedByHand:
    who: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDiscardAsked:
    """`children` are the facts at hand: one under way, or a dark customer, forbids it. `advice` is
    what people have to know of supply (`advice.py`)."""

    who: str
    reason: str
    children: tuple[ChildFact, ...] = ()
    dark: bool = False
    restored_by: OrderId | None = None
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopWanted:
    """The order is withdrawn (payment, cancel) while `child` is under way: stop before the next.

    `restored_by` is the order that reconnects the customer if supply is off after it.
    """

    who: str
    reason: str
    child: ChildId | None = None
    restored_by: OrderId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Netted:
    """Another order of the same day makes switching needless; None: it does not any more.

    `child` is a child of which nothing has left, and which was to switch off.
    """

    other: OrderId | None
    child: ChildId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreWanted:
    """The order is withdrawn while the customer is dark: restore supply, then stop."""

    who: str
    reason: str


Event = (
    Opened
    | OrderValidated
    | Rejected
    | EffectiveDateReached
    | Satisfied
    | ChildWanted
    | ChildAwaited
    | Undecidable
    | Stopped
    | ChildCompleted
    | ChildGaveUp
    | ChildFailed
    | ChildRepaired
    | OrderRetryAsked
    | RevalidationDue
    | EvaluationDue
    | Corrected
    | CompletedByHand
    | OrderDiscardAsked
    | StopWanted
    | RestoreWanted
    | Netted
)


class ReplyKind(StrEnum):
    ACKNOWLEDGEMENT = "acknowledgement"
    NEGATIVE_ACKNOWLEDGEMENT = "negative_acknowledgement"
    INTERIM = "interim"
    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLATION = "cancellation"
    """To a request to cancel the order."""
    UPDATE = "update"
    """To a request to change it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendReply:
    """Tell the requester. `{order}/reply/{number}` is its fixed id; delivery is its own affair."""

    kind: ReplyKind
    number: int
    details: Mapping[str, str] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRules:
    """Load the facts, feed `validation.check_rules`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtWorld:
    """Load the facts, feed `evaluate.look_at_world`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """Look at the order again at this time at the latest."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateChild:
    id: ChildId
    number: int
    child: ChildSpec
    algorithm: str = ""
    row: str = ""
    cell: int = 0
    type: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardChild:
    """Discard a child of which nothing has left."""

    child: ChildId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelChild:
    """Try to cancel a child under way, by a maintenance activity; it may be too late."""

    child: ChildId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryChild:
    child: ChildId
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTodo:
    problem: OrderProblem
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseTodo:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Continue:
    """Feed `lifecycle.resumed(to)`: the state is transitory."""

    to: OrderState


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawOrder:
    """Another order is void because of this one."""

    order: OrderId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitOrder:
    """Retry this order when that one is final."""

    order: OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepDecisions:
    """Append to the order's record: which cell and row decided, seeing what."""

    state: OrderState
    decisions: tuple[Decision, ...]


Effect = (
    SendReply
    | CheckRules
    | LookAtWorld
    | Wake
    | CreateChild
    | DiscardChild
    | CancelChild
    | RetryChild
    | OpenTodo
    | CloseTodo
    | Continue
    | WithdrawOrder
    | AwaitOrder
    | KeepDecisions
)
