"""Cancel and Update orchestrations: the requests to call back or change an order.

A request gets one answer: done, or too late. It acts in the transaction that locks order and child,
so it may never call something cancelled that was completed before.

Documented: both are activities of their own whose id answers the request. This lifecycle is ours.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from adapter.model.ids import OrderId
from adapter.model.state_machine import StateMachine
from adapter.model.values import replace
from adapter.orders.algorithms.canspact_updspac import (
    Action,
    cancel_specific_activity,
    update_specific_activity,
)
from adapter.orders.order import (
    RECONNECT_ORDER,
    ChildFact,
    ChildId,
    ChildState,
    OrderKind,
    OrderState,
    ServiceOrder,
)
from adapter.orders.switching import disconnects


class Purpose(StrEnum):
    CANCEL = "cancel"
    UPDATE = "update"


def maintain(purpose: Purpose, order: ServiceOrder, child: ChildFact | None) -> Action:
    """The action for a request that comes now. A final order leaves nothing to maintain: one that
    was given up is cancelled already, one that did its work cannot be cancelled any more."""
    if order.final:
        given_up = purpose is Purpose.CANCEL and order.state is OrderState.DISCARDED
        return Action.ALREADY if given_up else Action.REJECT
    act = cancel_specific_activity if purpose is Purpose.CANCEL else update_specific_activity
    return act(child)


class MaintenanceState(StrEnum):
    PENDING = "Pending"
    VALIDATE = "Validate"
    VALIDATION_ERROR = "Validation Error"
    ACTING = "Cancel|Update Specific Activity"
    WAITING = "Waiting for Response"
    ERROR = "Error"
    REJECTED = "Rejected"
    COMPLETED = "Completed"


MAINTENANCE_FINAL: Final = frozenset({MaintenanceState.REJECTED, MaintenanceState.COMPLETED})


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceActivity:
    """One request to cancel or update an order. `reference` is the requester's: a repeated one is
    answered by the first one's result. `child` is the specific activity, fixed when it acts.
    Of `changes`, `changed` says where each is now, `not_changed` why it stays as it was.
    """

    id: str
    purpose: Purpose
    order: OrderId
    requester: str
    reference: str
    created_at: datetime
    reason: str = ""
    changes: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, str] = field(default_factory=dict)
    not_changed: Mapping[str, str] = field(default_factory=dict)
    child: ChildId | None = None
    state: MaintenanceState = MaintenanceState.PENDING
    action: Action | None = None
    outcome: str = ""
    ended_at: datetime | None = None
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOpened:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestValid:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestInvalid:
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionTaken:
    """The action took effect at once (discarded, changed, already so)."""

    action: Action
    child: ChildId | None = None
    outcome: str = ""
    changed: Mapping[str, str] = field(default_factory=dict)
    not_changed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseAwaited:
    """The action needs the field system's answer, or the end of a child under way. `outcome` says
    what is to come."""

    action: Action
    child: ChildId | None = None
    outcome: str = ""
    changed: Mapping[str, str] = field(default_factory=dict)
    not_changed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TooLate:
    """Refused: by the matrix, by the field system, or because completion came first."""

    reason: str
    action: Action | None = None
    child: ChildId | None = None
    not_changed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The child ended as was asked."""

    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFailed:
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRetried:
    who: str


MaintenanceEvent: TypeAlias = (
    RequestOpened
    | RequestValid
    | RequestInvalid
    | ActionTaken
    | ResponseAwaited
    | TooLate
    | Answered
    | RequestFailed
    | RequestRetried
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """Does the order exist, may this requester maintain it? Feed RequestValid or RequestInvalid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActOnChild:
    """In the transaction that locks order and child: `maintain`, carry out, feed what it gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyToRequest:
    """Answer the requester (role Cancelation Activity); `accepted` tells the two answers apart."""

    accepted: bool
    details: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequestTodo:
    reason: str


MaintenanceEffect: TypeAlias = CheckRequest | ActOnChild | ReplyToRequest | OpenRequestTodo

S = MaintenanceState
MAINTENANCE_MACHINE: Final[StateMachine[MaintenanceState, MaintenanceEvent]] = StateMachine(
    name="request to cancel or update",
    states=MaintenanceState,
    start=S.PENDING,
    final=MAINTENANCE_FINAL,
    arrows={
        (S.PENDING, RequestOpened): {S.VALIDATE},
        (S.VALIDATE, RequestValid): {S.ACTING},
        (S.VALIDATE, RequestInvalid): {S.VALIDATION_ERROR},
        (S.VALIDATION_ERROR, RequestRetried): {S.VALIDATE},
        (S.VALIDATION_ERROR, TooLate): {S.REJECTED},
        (S.ACTING, ActionTaken): {S.COMPLETED},
        (S.ACTING, ResponseAwaited): {S.WAITING},
        (S.ACTING, TooLate): {S.REJECTED},
        (S.ACTING, RequestFailed): {S.ERROR},
        (S.WAITING, Answered): {S.COMPLETED},
        (S.WAITING, TooLate): {S.REJECTED},
        (S.WAITING, RequestFailed): {S.ERROR},
        (S.ERROR, RequestRetried): {S.ACTING},
        (S.ERROR, Answered): {S.COMPLETED},
        (S.ERROR, TooLate): {S.REJECTED},
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceStep:
    activity: MaintenanceActivity
    effects: tuple[MaintenanceEffect, ...]


def step_maintenance(
    activity: MaintenanceActivity, event: MaintenanceEvent, *, now: datetime
) -> MaintenanceStep:
    """Apply one event. Raises IllegalTransition, and changes nothing, without an arrow."""
    to = MAINTENANCE_MACHINE.follow(
        activity.state, type(event), of=f"{activity.purpose} {activity.id}"
    )
    changed, effects = _change(activity, event, to)
    after = replace(
        changed,
        state=to,
        ended_at=now if to in MAINTENANCE_FINAL else None,
        version=activity.version + 1,
    )
    return MaintenanceStep(activity=after, effects=effects)


def _change(
    activity: MaintenanceActivity, event: MaintenanceEvent, to: MaintenanceState
) -> tuple[MaintenanceActivity, tuple[MaintenanceEffect, ...]]:
    match event:
        case RequestOpened():
            return activity, (CheckRequest(),)
        case RequestValid():
            return activity, (ActOnChild(),)
        case RequestRetried():
            return activity, (CheckRequest() if to is S.VALIDATE else ActOnChild(),)
        case RequestInvalid(reason=reason) | RequestFailed(reason=reason):
            return replace(activity, outcome=reason), (OpenRequestTodo(reason=reason),)
        case ResponseAwaited(action=action, child=child, outcome=outcome):
            return replace(_told(activity, event), action=action, child=child, outcome=outcome), ()
        case ActionTaken(action=action, child=child, outcome=outcome):
            done = replace(
                _told(activity, event),
                action=action,
                child=child,
                outcome=outcome or action.value,
            )
            return done, (_answer(done, accepted=True),)
        case TooLate(reason=reason, action=action, child=child):
            late = replace(
                activity,
                action=action or activity.action,
                child=child or activity.child,
                outcome=reason,
                not_changed=event.not_changed or activity.not_changed,
            )
            return late, (_answer(late, accepted=False),)
        case Answered(outcome=outcome):
            done = replace(activity, outcome=outcome)
            return done, (_answer(done, accepted=True),)


def _answer(activity: MaintenanceActivity, *, accepted: bool) -> ReplyToRequest:
    details = {"request": activity.id, "order": activity.order, "result": activity.outcome}
    if activity.not_changed:
        details["notChanged"] = "; ".join(f"{k}: {v}" for k, v in activity.not_changed.items())
    return ReplyToRequest(accepted=accepted, details=details)


def _told(
    activity: MaintenanceActivity, event: ActionTaken | ResponseAwaited
) -> MaintenanceActivity:
    return replace(activity, changed=event.changed, not_changed=event.not_changed)


_TAKEN: Final = frozenset(
    {
        Action.DISCARD_ORDER,
        Action.CHANGE_ORDER,
        Action.DISCARD_CHILD,
        Action.CHANGE_CHILD,
        Action.STOP_SENDING,
        Action.ALREADY,
        Action.RESTORE_FIRST,
    }
)


_TO_COME: Final[Mapping[Action, str]] = MappingProxyType(
    {
        Action.SEND_CANCEL: "the field system is asked to cancel; what it answers decides",
        Action.CALL_BACK: "the head end is asked to cancel; how the command ends decides",
        Action.AWAIT_OUTCOME: "whether the command was taken is not known; when it is, the head end"
        " is asked to cancel what still may be",
        Action.ASKED: "asked already; how it ends decides",
    }
)
"""What a request that waits has led to, and what is to come."""


def first_answer(
    purpose: Purpose,
    order: ServiceOrder,
    child: ChildFact | None,
    *,
    dark: bool = False,
    asked: bool = False,
) -> ActionTaken | ResponseAwaited | TooLate | RequestFailed:
    """The event that ActOnChild feeds, from order and child as they are in that transaction.

    The first to commit wins: a child that completed a moment ago is Completed here. `dark` says
    that the order left the customer without supply: whatever became of its child, supply is
    restored. `asked` says that the field system was asked to cancel the child, and has not
    answered yet.
    """
    action = maintain(purpose, order, child)
    if purpose is Purpose.CANCEL and not order.final:
        if dark and action is not Action.ASK_PEOPLE:
            action = Action.RESTORE_FIRST
        elif asked:
            action = Action.ASKED
    number = child.id if child is not None else None
    if action is Action.ALREADY:
        state = order.state if order.final or child is None else child.state
        return ActionTaken(action=action, child=number, outcome=f"{action.value}: {state}")
    if action in _TAKEN:
        return ActionTaken(action=action, child=number)
    match action:
        case (
            Action.SEND_CANCEL
            | Action.SEND_CHANGE
            | Action.CALL_BACK
            | Action.AWAIT_OUTCOME
            | Action.ASKED
        ):
            told = _TO_COME.get(action, "")
            return ResponseAwaited(action=action, child=number, outcome=told)
        case Action.STOP_AFTER:
            text = f"{action.value}. {reversal_advice(order, child)}".strip()
            return ActionTaken(action=action, child=number, outcome=text)
        case Action.ASK_PEOPLE:
            return RequestFailed(reason=f"the child is {child.state if child else ''}: {action}")
        case _:
            return TooLate(reason=_rejection(order, child), action=action, child=number)


def _rejection(order: ServiceOrder, child: ChildFact | None) -> str:
    if order.final:
        return f"too late: the order is {order.state}. {_reversal(order)}".strip()
    state = child.state if child is not None else order.state
    return f"too late: the activity is {state}. {reversal_advice(order, child)}".strip()


def child_ended(
    activity: MaintenanceActivity, order: ServiceOrder, child: ChildFact
) -> MaintenanceEvent | None:
    """What a waiting request learns when its child becomes final; None while it is not."""
    if not child.final:
        return None
    if activity.purpose is Purpose.CANCEL and not child.completed:
        why = f": {child.reason}" if child.reason and child.spec.command is not None else ""
        return Answered(outcome=f"the activity is {child.state}{why}")
    if activity.purpose is Purpose.UPDATE and child.completed:
        return Answered(outcome="the activity completed with the change")
    late = activity.purpose is Purpose.CANCEL
    advice = reversal_advice(order, child) if late else ""
    told = f"{'too late: ' if late else ''}the activity is {child.state}"
    return TooLate(reason=f"{told}. {advice}" if advice else told)


def under_way(requests: Iterable[MaintenanceActivity]) -> MaintenanceActivity | None:
    """The cancellation whose answer is still to come."""
    waiting = (x for x in requests if x.purpose is Purpose.CANCEL and x.state is S.WAITING)
    return next(waiting, None)


def cancels_again(request: MaintenanceActivity, child: ChildId) -> bool:
    """Whether a request to cancel the child could not be delivered, or is tried again."""
    again = request.state is S.ACTING and request.action is not None
    failed = again or request.state is S.ERROR
    return failed and request.purpose is Purpose.CANCEL and request.child == child


def reversal_advice(order: ServiceOrder, child: ChildFact | None) -> str:
    """What a requester has to do about work that cannot be called back."""
    under_way = child is not None and child.state in (
        ChildState.COMPLETED,
        ChildState.STARTED,
        ChildState.SENT,
    )
    off = child is not None and child.completed and disconnects(child.spec)
    return _reversal(order, off=off) if under_way else ""


def _reversal(order: ServiceOrder, *, off: bool = False) -> str:
    """`off` says that the work took supply away."""
    if order.kind is OrderKind.BACK_TO_BACK:
        return "Supply is restored; then the order stops." if off else ""
    if order.kind not in (OrderKind.CUT, OrderKind.DISABLE):
        return ""
    restored_by = order.fields.get(RECONNECT_ORDER)
    if restored_by:
        return f"If supply is off, order {restored_by} reconnects it."
    return "If supply is off, order a reconnection."
