"""The one lifecycle of the six orchestrations: ORDER_MACHINE and step().

It takes an order from the request to the one answer that the requester gets, child by child, and
looks at the world anew before each. It may never create a child while another is open, be discarded
while a child may still act, or be closed by hand while a customer is dark whom it switched off.

Documented: the states up to "Are SP and Device Ready?", Discarded, the acknowledgement on Pending,
the failure notification on Discarded, and that after each child everything is looked at again.
Inferred: the states between, the success notification. Ours: negative acknowledgement, stopping.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, TypeAlias

from adapter.commands.flows import OPENING_KINDS
from adapter.errors import Forbidden, IllegalTransition
from adapter.model.ids import OrderId
from adapter.model.state_machine import StateMachine
from adapter.model.values import replace
from adapter.model.whole_numbers import Span
from adapter.orders import events as e
from adapter.orders.activities import ChildKind
from adapter.orders.netting import called_back, netted_with
from adapter.orders.order import (
    CHILD_ERROR,
    ERROR_STATES,
    FINAL_STATES,
    NETTED_WITH,
    NO_FIELDS,
    RECONNECT_ORDER,
    ChildFact,
    ChildId,
    ChildState,
    OrderKind,
    OrderProblem,
    OrderState,
    ServiceOrder,
)
from adapter.orders.payment import LEFT_OFF_BY, PAYMENT
from adapter.orders.switching import cut_off, reconnects

S = OrderState
Event: TypeAlias = e.Event
Effect: TypeAlias = e.Effect

ORDER_MACHINE: Final[StateMachine[OrderState, Event]] = StateMachine(
    name="service order",
    states=OrderState,
    start=S.PENDING,
    final=FINAL_STATES,
    arrows={
        (S.PENDING, e.Opened): {S.VALIDATE},
        (S.PENDING, e.Corrected): {S.PENDING},
        (S.PENDING, e.Netted): {S.PENDING},
        (S.PENDING, e.OrderDiscardAsked): {S.DISCARDED},
        (S.VALIDATE, e.OrderValidated): {S.WAITING},
        (S.VALIDATE, e.Rejected): {S.VALIDATION_ERROR},
        (S.VALIDATE, e.Corrected): {S.VALIDATE},
        (S.VALIDATE, e.Netted): {S.VALIDATE},
        (S.VALIDATE, e.OrderDiscardAsked): {S.DISCARDED},
        (S.VALIDATION_ERROR, e.OrderRetryAsked): {S.RETRY},
        (S.VALIDATION_ERROR, e.Corrected): {S.VALIDATION_ERROR},
        (S.VALIDATION_ERROR, e.Netted): {S.VALIDATION_ERROR},
        (S.VALIDATION_ERROR, e.OrderDiscardAsked): {S.DISCARDED},
        (S.WAITING, e.EffectiveDateReached): {S.READY},
        (S.WAITING, e.Corrected): {S.VALIDATE},
        (S.WAITING, e.Netted): {S.WAITING},
        (S.WAITING, e.OrderDiscardAsked): {S.DISCARDED},
        (S.READY, e.Satisfied): {S.COMPLETED},
        (S.READY, e.ChildWanted): {S.IN_PROGRESS},
        (S.READY, e.ChildAwaited): {S.IN_PROGRESS},
        (S.READY, e.Undecidable): {S.ACTIVITY_ERROR},
        (S.READY, e.Rejected): {S.VALIDATION_ERROR},
        (S.READY, e.Stopped): {S.DISCARDED},
        (S.READY, e.StopWanted): {S.READY},
        (S.READY, e.Netted): {S.READY},
        (S.READY, e.OrderDiscardAsked): {S.DISCARDED},
        (S.IN_PROGRESS, e.ChildCompleted): {S.READY},
        (S.IN_PROGRESS, e.ChildGaveUp): {S.READY},
        (S.IN_PROGRESS, e.ChildFailed): {S.ACTIVITY_ERROR},
        (S.IN_PROGRESS, e.StopWanted): {S.IN_PROGRESS},
        (S.IN_PROGRESS, e.Corrected): {S.IN_PROGRESS},
        (S.IN_PROGRESS, e.Netted): {S.IN_PROGRESS},
        (S.IN_PROGRESS, e.OrderDiscardAsked): {S.DISCARDED},
        (S.ACTIVITY_ERROR, e.ChildCompleted): {S.READY},
        (S.ACTIVITY_ERROR, e.ChildGaveUp): {S.READY},
        (S.ACTIVITY_ERROR, e.ChildFailed): {S.ACTIVITY_ERROR},
        (S.ACTIVITY_ERROR, e.ChildRepaired): {S.IN_PROGRESS},
        (S.ACTIVITY_ERROR, e.OrderRetryAsked): {S.RETRY},
        (S.ACTIVITY_ERROR, e.Corrected): {S.ACTIVITY_ERROR},
        (S.ACTIVITY_ERROR, e.CompletedByHand): {S.COMPLETED},
        (S.ACTIVITY_ERROR, e.StopWanted): {S.ACTIVITY_ERROR},
        (S.ACTIVITY_ERROR, e.RestoreWanted): {S.READY},
        (S.ACTIVITY_ERROR, e.Netted): {S.ACTIVITY_ERROR},
        (S.ACTIVITY_ERROR, e.OrderDiscardAsked): {S.DISCARDED},
        (S.RETRY, e.RevalidationDue): {S.VALIDATE},
        (S.RETRY, e.EvaluationDue): {S.READY},
        (S.RETRY, e.StopWanted): {S.RETRY},
        (S.RETRY, e.Netted): {S.RETRY},
        (S.RETRY, e.OrderDiscardAsked): {S.DISCARDED},
    },
)

POLL: Final = timedelta(minutes=5)
"""How soon an order looks at its child by itself: a lost push heals then. Ours."""
LONGEST_POLL: Final = timedelta(hours=1)
"""The same of a child that has been waited for for long. Ours."""

DARK_PRIORITY: Final = 100
TODO_PRIORITY: Final = 10
PRIORITIES: Final = Span(-89, 89)
"""Of orders; a customer who is dark goes before any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStep:
    order: ServiceOrder
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class _Change:
    order: ServiceOrder
    effects: tuple[Effect, ...] = ()


_ASKED: Final[Mapping[type[Event], str]] = MappingProxyType(
    {
        e.OrderRetryAsked: "retried",
        e.Corrected: "corrected",
        e.CompletedByHand: "completed by hand",
        e.OrderDiscardAsked: "discarded",
    }
)
"""What people ask for, in their words."""


def _follow(order: ServiceOrder, event: Event) -> OrderState:
    """Where the event leads. What people asked for in vain is refused in their words."""
    asked = _ASKED.get(type(event))
    if asked is None or ORDER_MACHINE.targets(order.state, type(event)):
        return ORDER_MACHINE.follow(order.state, type(event), of=f"order {order.id}")
    states = [state.value for state, known in ORDER_MACHINE.arrows if known is type(event)]
    raise IllegalTransition(
        f"order {order.id} is {order.state}; it can be {asked} in {' or '.join(states)}"
    )


def step(order: ServiceOrder, event: Event, *, now: datetime) -> OrderStep:
    """Apply one event. Raises IllegalTransition, or Forbidden, and changes nothing.

    The caller saves order and effects together, guarded by `version`.
    """
    to = _follow(order, event)
    change = _change(order, event, now)
    moved = to is not order.state
    effects = (*_leaving(order, to), *change.effects)
    after = replace(
        change.order,
        state=to,
        state_since=now if moved else order.state_since,
        ended_at=now if to in FINAL_STATES else None,
        problem=None if moved and to not in ERROR_STATES else change.order.problem,
        awaited_child=None if to in FINAL_STATES else change.order.awaited_child,
        replies=order.replies + sum(isinstance(each, e.SendReply) for each in effects),
        version=order.version + 1,
    )
    return OrderStep(order=after, effects=effects)


def _leaving(order: ServiceOrder, to: OrderState) -> tuple[Effect, ...]:
    """An object that leaves its error closes its own To Do (documented)."""
    return (e.CloseTodo(),) if order.state in ERROR_STATES and to is not order.state else ()


def _change(order: ServiceOrder, event: Event, now: datetime) -> _Change:
    match event:
        case e.Opened() | e.RevalidationDue():
            return _opened(order, event)
        case e.OrderValidated():
            withdraw = (e.WithdrawOrder(order=o, reason=order.id) for o in event.superseded)
            return _Change(order, (*withdraw, e.Wake(at=max(order.effective_at, now))))
        case e.EffectiveDateReached() | e.EvaluationDue():
            return _Change(order, (e.LookAtWorld(),))
        case e.Rejected():
            return _rejected(order, event)
        case e.Satisfied() | e.ChildWanted() | e.ChildAwaited() | e.Undecidable() | e.Stopped():
            return _decided(order, event, now)
        case e.ChildCompleted() | e.ChildGaveUp() | e.ChildFailed() | e.ChildRepaired():
            return _child(order, event, now)
        case _:
            return _people(order, event)


def _opened(order: ServiceOrder, event: e.Opened | e.RevalidationDue) -> _Change:
    if isinstance(event, e.RevalidationDue):
        return _Change(order, (e.CheckRules(),))
    return _Change(
        order, (_reply(order, e.ReplyKind.ACKNOWLEDGEMENT, {"order": order.id}), e.CheckRules())
    )


def _rejected(order: ServiceOrder, event: e.Rejected) -> _Change:
    first = event.problems[0]
    text = "; ".join(each.text for each in event.problems)
    blocking = tuple(e.AwaitOrder(order=p.order) for p in event.problems if p.order is not None)
    details = {"code": first.code, "reason": text}
    reply = _reply(order, e.ReplyKind.NEGATIVE_ACKNOWLEDGEMENT, details)
    problem = replace(first, text=text)
    return _Change(replace(order, problem=problem), (_todo(order, problem), reply, *blocking))


Decided = e.Satisfied | e.ChildWanted | e.ChildAwaited | e.Undecidable | e.Stopped


def _decided(order: ServiceOrder, event: Decided, now: datetime) -> _Change:
    kept = e.KeepDecisions(state=order.state, decisions=event.decisions)
    if not isinstance(event, e.Stopped):
        order = replace(order, fields={**order.fields, **event.fields})
    match event:
        case e.Satisfied():
            reply = _reply(order, e.ReplyKind.SUCCESS, _success(order, event, now))
            return _Change(order, (kept, reply))
        case e.ChildWanted():
            return _wanted(order, event, now, kept)
        case e.ChildAwaited():
            waiting = replace(order, awaited_child=event.child)
            return _Change(waiting, (kept, e.Wake(at=now + POLL)))
        case e.Undecidable():
            return _troubled(order, event.problem, (kept,))
        case e.Stopped():
            told = {"reason": event.reason, **_given_up(order, event.advice)}
            return _Change(order, (kept, _reply(order, e.ReplyKind.FAILURE, told)))


def _wanted(
    order: ServiceOrder, event: e.ChildWanted, now: datetime, kept: e.KeepDecisions
) -> _Change:
    number = order.children + 1
    child = order.child_id(number)
    details = {
        "child": child,
        "activity": event.child.business_object,
        "task": event.child.task,
    }
    by = event.decisions[-1] if event.decisions else None
    create = e.CreateChild(
        id=child,
        number=number,
        child=event.child,
        algorithm=event.algorithm,
        row=event.row,
        cell=0 if by is None else by.cell,
        type="" if by is None else by.type,
        note="" if by is None else by.note,
    )
    reply = _reply(order, e.ReplyKind.INTERIM, {k: v for k, v in details.items() if v})
    after = replace(order, children=number, passes=order.passes + 1, awaited_child=child)
    return _Change(after, (kept, create, reply, e.Wake(at=now + POLL)))


def _success(order: ServiceOrder, event: e.Satisfied, now: datetime) -> Mapping[str, str]:
    told = {name: value for name, value in order.fields.items() if value}
    details = {"completedAt": now.isoformat(), **told, **event.summary}
    if order.stop:
        details["withdrawal"] = f"too late: {order.stop}"
        if order.kind in (OrderKind.CUT, OrderKind.DISABLE):
            details["advice"] = _advice(order.fields.get(RECONNECT_ORDER, ""))
    return details


def _advice(restored_by: str) -> str:
    if restored_by:
        return f"supply is off: order {restored_by} reconnects it"
    return "supply is off: order a reconnection"


def _child(
    order: ServiceOrder,
    event: e.ChildCompleted | e.ChildGaveUp | e.ChildFailed | e.ChildRepaired,
    now: datetime,
) -> _Change:
    if event.child != order.awaited_child:
        raise IllegalTransition(f"order {order.id} does not wait for {event.child}")
    match event:
        case e.ChildFailed():
            return _troubled(order, event.problem, ())
        case e.ChildRepaired():
            return _Change(order, (e.Wake(at=now + POLL),))
        case _:
            return _Change(replace(order, awaited_child=None), (e.LookAtWorld(),))


def _troubled(order: ServiceOrder, problem: OrderProblem, before: tuple[Effect, ...]) -> _Change:
    """The requester is told once of the same exception, whatever people read of it meanwhile."""
    after, effects = replace(order, problem=problem), (*before, _todo(order, problem))
    if order.problem is not None and order.problem.code == problem.code:
        return _Change(after, effects)
    told = {"exception": problem.code, "reason": problem.text}
    return _Change(after, (*effects, _reply(order, e.ReplyKind.INTERIM, told)))


def _people(order: ServiceOrder, event: Event) -> _Change:
    match event:
        case e.OrderRetryAsked():
            return _retried(order, event)
        case e.Corrected():
            return _corrected(order, event)
        case e.CompletedByHand() if order.problem is not None and order.problem.without_supply:
            raise Forbidden(f"order {order.id} switched the customer off: restore supply first")
        case e.CompletedByHand():
            details = {"completedBy": "hand", "reason": event.reason}
            return _Change(order, (_reply(order, e.ReplyKind.SUCCESS, details),))
        case e.StopWanted():
            cancel = e.CancelChild(child=event.child, reason=event.reason) if event.child else None
            after = _restored_by(replace(order, stop=event.reason), event.restored_by)
            return _Change(after, () if cancel is None else (cancel,))
        case e.Netted(other=other, child=child):
            after = replace(order, fields={**order.fields, NETTED_WITH: other or ""})
            why = f"netted with order {other}"
            return _Change(
                after, () if child is None else (e.CancelChild(child=child, reason=why),)
            )
        case e.RestoreWanted():
            after = replace(order, stop=event.reason, awaited_child=None)
            return _Change(_new_attempt(after), (e.LookAtWorld(),))
        case e.OrderDiscardAsked():
            return _discarded(order, event)
        case _:
            raise IllegalTransition(f"order {order.id}: {type(event).__name__} means nothing here")


def _retried(order: ServiceOrder, event: e.OrderRetryAsked) -> _Change:
    if order.state is S.VALIDATION_ERROR:
        return _Change(order, (e.Continue(to=S.VALIDATE),))
    retry = (e.RetryChild(child=event.open_child, who=event.who),) if event.open_child else ()
    return _Change(_new_attempt(order), (*retry, e.Continue(to=S.READY)))


def resumed(to: OrderState) -> Event:
    """The event that leaves the transitory Retry state for `to`."""
    return e.RevalidationDue() if to is S.VALIDATE else e.EvaluationDue()


def _new_attempt(order: ServiceOrder) -> ServiceOrder:
    """Children made before this no longer count against the bound or against a second try."""
    return replace(order, passes=0, first_of_retry=order.children)


def _corrected(order: ServiceOrder, event: e.Corrected) -> _Change:
    after = replace(
        order,
        fields={**order.fields, **event.fields},
        effective_at=event.effective_at or order.effective_at,
        service_at=event.service_at or order.service_at,
    )
    checked = order.state in (S.VALIDATE, S.WAITING)
    return _Change(after, (e.CheckRules(),) if checked else ())


def _discarded(order: ServiceOrder, event: e.OrderDiscardAsked) -> _Change:
    """Raises Forbidden while a child needs a cancel activity, or while we left someone dark."""
    if event.dark:
        raise Forbidden(f"order {order.id} switched the customer off: restore supply first")
    open_ = [child for child in event.children if not child.final]
    held = [child for child in open_ if not discardable(child)]
    if held:
        what = "await its end" if held[0].state is ChildState.CANCELLING else "cancel it first"
        raise Forbidden(f"child {held[0].id} is {held[0].state}: {what}")
    after, details = order, {"reason": event.reason, **_given_up(order, event.advice)}
    if order.problem is not None and order.problem.code == PAYMENT:
        after = replace(order, fields={**order.fields, LEFT_OFF_BY: event.who})
    if cut_off(event.children):
        after = _restored_by(after, event.restored_by)
        details["advice"] = _advice(after.fields.get(RECONNECT_ORDER, ""))
    gone = (e.DiscardChild(child=child.id, reason=event.reason) for child in open_)
    return _Change(after, (*gone, _reply(order, e.ReplyKind.FAILURE, details)))


def _given_up(order: ServiceOrder, advice: str) -> Mapping[str, str]:
    """What nobody may overlook: a Disable that was not carried out, a customer without supply."""
    other = netted_with(order) if order.kind is OrderKind.ENABLE else None
    told = {NETTED_WITH: other or "", "advice": advice}
    return {name: value for name, value in told.items() if value}


def _restored_by(order: ServiceOrder, other: OrderId | None) -> ServiceOrder:
    if other is None:
        return order
    return replace(order, fields={**order.fields, RECONNECT_ORDER: other})


def discardable(child: ChildFact) -> bool:
    """Whether a child may be discarded without a cancel activity: nothing of it has left.

    A wait never leaves; a field activity in communication error was never taken by the field
    system, while a command there may have reached the meter.
    """
    if child.spec.kind in (ChildKind.WAIT_MEASUREMENT, ChildKind.WAIT_SCHEDULED_READ):
        return True
    if child.spec.kind is ChildKind.FIELD and child.state is ChildState.COMMUNICATION_ERROR:
        return True
    return child.state in (ChildState.QUEUED, ChildState.VALIDATION_ERROR)


def _reply(order: ServiceOrder, kind: e.ReplyKind, details: Mapping[str, str]) -> e.SendReply:
    return e.SendReply(kind=kind, number=order.replies + 1, details=details or NO_FIELDS)


def _todo(order: ServiceOrder, problem: OrderProblem) -> e.OpenTodo:
    urgent = DARK_PRIORITY if problem.without_supply else TODO_PRIORITY + order.priority
    return e.OpenTodo(problem=problem, priority=urgent)


def observe(
    order: ServiceOrder, children: Sequence[ChildFact], *, dark: bool = False
) -> Event | None:
    """What the order's monitor learns from its child now, or None. A lost push heals here.

    `dark` is `evaluate.customer_without_supply` for these children.
    """
    child = next((each for each in children if each.id == order.awaited_child), None)
    if child is None or order.state not in (S.IN_PROGRESS, S.ACTIVITY_ERROR):
        return None
    troubled = order.state is S.ACTIVITY_ERROR
    if child.completed:
        return e.ChildCompleted(child=child.id)
    if child.final and (order.stop or _has_another_way(order, child)):
        return e.ChildGaveUp(child=child.id, reason=child.reason)
    if child.final or child.state in CHILD_ERROR:
        problem = _failure(order, child, dark)
        known = troubled and problem == order.problem
        return None if known else e.ChildFailed(child=child.id, problem=problem)
    return e.ChildRepaired(child=child.id) if troubled else None


def _has_another_way(order: ServiceOrder, child: ChildFact) -> bool:
    """Whether the order can look at the world again after a child that came to nothing."""
    other = bool(child.load_check_cause) or child.expired_held
    return not child.spec.blocking or other or called_back(order, child)


def pushed(order: ServiceOrder, child: ChildFact, *, dark: bool = False) -> Event | None:
    """What a child may tell its order by itself: nothing unless its flag allows it (documented)."""
    return observe(order, (child,), dark=dark) if child.may_push else None


def _failure(order: ServiceOrder, child: ChildFact, dark: bool) -> OrderProblem:
    """An unclear switch-off of a change-over counts as dark: nobody may overlook it."""
    what = child.spec.task or child.spec.business_object
    off = child.spec.command in OPENING_KINDS
    unclear = order.kind is OrderKind.BACK_TO_BACK and off and not child.final
    serious = dark or unclear
    silent = child.state is ChildState.RESPONSE_ERROR
    restores = order.kind is OrderKind.RECONNECT and reconnects(child.spec)
    waits = "; the customer may still be without supply" if restores else ""
    return OrderProblem(
        code="customer_without_supply"
        if serious
        else "visit_overdue"
        if silent
        else "child_failed",
        text=f"{what} ({child.id}) is {child.state}: {child.reason or 'no reason given'}{waits}",
        action="see to supply at once"
        if serious
        else child.action or "repair the child or retry the order",
        without_supply=serious,
    )


def withdraw(
    order: ServiceOrder,
    children: Sequence[ChildFact],
    *,
    who: str,
    reason: str,
    dark: bool = False,
    taken: Collection[ChildId] = (),
    restored_by: OrderId | None = None,
    advice: str = "",
) -> Event:
    """The event by which a payment or a cancellation ends the order, at whatever moment it comes.

    Nothing under way: discarded at once. A child under way, or one that has just done its work:
    the order stops before the next one. A customer whom the order left dark: supply is restored
    first, and what restores it is left alone. `taken` are commands that the gateway has and that
    could not be called back: those are under way. Raises IllegalTransition on a final order.
    """
    if order.final:
        raise IllegalTransition(f"order {order.id} is already {order.state}")
    held = next((c for c in children if not c.final and _under_way(c, taken)), None)
    done = any(c.completed and c.id == order.awaited_child for c in children)
    busy = order.state in (S.IN_PROGRESS, S.READY, S.RETRY)
    if held is not None or done or (dark and busy):
        cancelled = held.id if held is not None and not dark else None
        return e.StopWanted(who=who, reason=reason, child=cancelled, restored_by=restored_by)
    if dark:
        return e.RestoreWanted(who=who, reason=reason)
    return e.OrderDiscardAsked(
        who=who,
        reason=reason,
        children=tuple(children),
        restored_by=restored_by,
        advice=advice,
    )


def _under_way(child: ChildFact, taken: Collection[ChildId]) -> bool:
    return child.id in taken or not discardable(child)
