"""What a wrong clock has written into an order and its children, put right once the clock is.

What people dated stays. What the gateway dated by its clock is shifted where it was the wrong one.
"""

from datetime import datetime, timedelta

from adapter.commands.clock_correction import shifted
from adapter.model.values import replace
from adapter.orders.field_activity import FieldActivity
from adapter.orders.order import ChildFact, ChildSpec, ServiceOrder
from adapter.orders.waits import WaitActivity


def corrected_order(
    order: ServiceOrder, *, now: datetime, ahead_s: float, by_wrong_clock: bool
) -> ServiceOrder:
    """`by_wrong_clock`: it was accepted by a clock that was `ahead_s` seconds ahead. An order that
    gave no dates has those of its acceptance."""
    made = order.created_at
    if by_wrong_clock or made > now:
        made = shifted(made, now, ahead_s)
    effective = made if order.effective_at == order.created_at else order.effective_at
    service = order.service_at
    if service in (order.created_at, order.effective_at):
        service = made if service == order.created_at else effective
    since = order.state_since
    return replace(
        order,
        created_at=made,
        effective_at=effective,
        service_at=service,
        state_since=None if since is None else min(since, now),
    )


def corrected_fact(
    fact: ChildFact, before: ServiceOrder, after: ServiceOrder, *, now: datetime, ahead_s: float
) -> ChildFact:
    """`before` and `after`: its order. A child that was made by the right clock stays."""
    made = shifted(fact.created_at, now, ahead_s) if fact.created_at > now else fact.created_at
    spec = _spec(fact.spec, before, after, by=fact.created_at - made)
    return replace(fact, created_at=made, spec=spec)


def _spec(
    spec: ChildSpec, before: ServiceOrder, after: ServiceOrder, *, by: timedelta
) -> ChildSpec:
    effective = spec.effective_at
    if effective is not None and effective == before.effective_at:
        effective = after.effective_at
    return replace(
        spec, effective_at=effective, due_at=None if spec.due_at is None else spec.due_at - by
    )


def corrected_wait(wait: WaitActivity, fact: ChildFact) -> WaitActivity:
    """As its fact was corrected."""
    return replace(wait, created_at=fact.created_at, spec=fact.spec)


def corrected_visit(visit: FieldActivity, fact: ChildFact, *, now: datetime) -> FieldActivity:
    """As its fact was corrected; an answer is not waited for longer than its patience."""
    answer_by = visit.answer_by
    if answer_by is not None and visit.patience is not None:
        end = None if visit.appointment is None else visit.appointment.end
        known = (fact.spec.effective_at, end)
        latest = max([now, *(each for each in known if each is not None)]) + visit.patience
        answer_by = min(answer_by, latest)
    return replace(visit, created_at=fact.created_at, spec=fact.spec, answer_by=answer_by)
