"""Functions over a unit of work: the order is stepped, and the requests to cancel or change it.

Every decision is a pure function of the order floor, fed with the facts that were loaded.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeVar

from adapter.engine.orders.field_work import CancelRefused, FieldReport, OtherWork
from adapter.engine.orders.ports import OrderPass
from adapter.engine.orders.unit_of_work import UnitOfWork
from adapter.engine.orders.unit_of_work_children import (
    create_child,
    step_field_activity,
    step_silent_field_activities,
    step_waits,
    stop_child,
)
from adapter.errors import Conflict, IllegalTransition, NotFound
from adapter.model.ids import OrderId
from adapter.model.values import replace
from adapter.orders import events as e
from adapter.orders import field_activity_events as f
from adapter.orders import maintenance as m
from adapter.orders.advice import GIVING_SUPPLY, on_giving_up
from adapter.orders.algorithms.canspact_updspac import Action
from adapter.orders.changes import Changes, decide_changes
from adapter.orders.clock_correction import (
    corrected_fact,
    corrected_order,
    corrected_visit,
    corrected_wait,
)
from adapter.orders.evaluate import look_at_world
from adapter.orders.field_activity import FIELD_MACHINE
from adapter.orders.lifecycle import discardable, observe, pushed, resumed, step, withdraw
from adapter.orders.netting import left_on_by_move, may_net, netted_with
from adapter.orders.order import ChildId, OrderProblem, OrderState, ServiceOrder
from adapter.orders.switching import disconnects
from adapter.orders.validation import check_rules

S = OrderState

_Taken = TypeVar("_Taken", bound=m.ActionTaken | m.ResponseAwaited)


def step_order(work: UnitOfWork, event: e.Event, *, actor: str = "gateway") -> None:
    """Step the order until it rests. Raises IllegalTransition, Forbidden."""
    queue = [event]
    while queue:
        current = queue.pop(0)
        before = work.order
        made = step(before, current, now=work.now)
        work.order = made.order
        work.moved(current, before.state, actor)
        for effect in made.effects:
            follow = _carry_out(work, effect)
            if follow is not None:
                queue.append(follow)
    _push(work)


def _carry_out(work: UnitOfWork, effect: e.Effect) -> e.Event | None:
    match effect:
        case e.SendReply():
            work.reply(effect.kind, f"{work.order.id}/reply/{effect.number}", effect.details)
        case e.CheckRules():
            return check_rules(work.order, work.view)
        case e.LookAtWorld():
            rules = work.rules
            matrix = rules.configuration.matrix
            return look_at_world(work.order, work.view, matrix=matrix, customs=rules.customs)
        case e.Continue(to=to):
            return resumed(to)
        case e.CreateChild():
            create_child(work, effect)
        case e.DiscardChild(child=child, reason=reason):
            stop_child(work, child, reason)
        case e.CancelChild(child=child, reason=reason):
            stop_child(work, child, reason)
        case e.RetryChild(child=child, who=who):
            if work.children[child].field is not None:
                step_field_activity(work, child, f.FieldRetried(who=who))
        case e.WithdrawOrder(order=order):
            work.supersedes.append(order)
        case e.AwaitOrder(order=order):
            work.blocked_by = order
        case e.CloseTodo():
            work.blocked_by = None
        case e.KeepDecisions(state=state, decisions=decisions):
            work.passes.append(
                OrderPass(
                    order=work.order.id,
                    number=work.order.version,
                    at=work.now,
                    state=state,
                    decisions=decisions,
                )
            )
        case _:
            pass  # Wake: see `UnitOfWork.write`; OpenTodo: the To Do list is derived from the rows
    return None


def withdraw_order(
    work: UnitOfWork, *, who: str, reason: str, restored_by: OrderId | None = None
) -> None:
    """End the order because somebody does not want it any more.

    A child that has done its work meanwhile counts: the order then ends as what it came to.
    """
    event = withdraw(
        work.order,
        work.facts,
        who=who,
        reason=reason,
        dark=work.dark,
        taken=work.taken,
        restored_by=restored_by,
        advice=advice_on_giving_up(work),
    )
    step_order(work, event, actor=who)
    if isinstance(event, e.StopWanted):
        look_at_child(work)


def advice_on_giving_up(work: UnitOfWork) -> str:
    """What people have to know of supply, should the order end now without success."""
    order = work.order
    return on_giving_up(order, work.view) if order.kind in GIVING_SUPPLY else ""


def look_at_child(work: UnitOfWork) -> None:
    """What the order learns from the child that it waits for."""
    event = observe(work.order, work.facts, dark=work.dark)
    if event is not None:
        step_order(work, event)


def monitor_order(work: UnitOfWork) -> None:
    """What time and children bring: the look that makes a lost push harmless."""
    step_waits(work)
    step_silent_field_activities(work)
    match work.order.state:
        case S.PENDING:
            step_order(work, e.Opened())
        case S.WAITING if work.now >= work.order.effective_at:
            step_order(work, e.EffectiveDateReached())
        case S.IN_PROGRESS | S.ACTIVITY_ERROR:
            look_at_child(work)
        case S.VALIDATION_ERROR if work.waits_for_disconnect and _is_over(work):
            step_order(work, e.OrderRetryAsked(who="gateway"))
        case _:
            pass
    _end_requests(work)


def _is_over(work: UnitOfWork) -> bool:
    return work.view is not None and work.view.disconnect_open is None


def net_orders(work: UnitOfWork, blocker: ServiceOrder) -> None:
    """What this order, which waits for `blocker`, knows of whether the two net each other."""
    if work.order.state is not S.VALIDATION_ERROR or work.view is None:
        return
    type_ = work.rules.activity_type(blocker.activity_type)
    if blocker.final:
        nets = blocker.state is S.COMPLETED and netted_with(blocker) == work.order.id
    else:
        nets = may_net(work.order, blocker, type_, work.view.service_point)
        if nets or netted_with(blocker) == work.order.id:
            work.nets.append(blocker.id)
    other = blocker.id if nets else None
    if netted_with(work.order) != other:
        step_order(work, e.Netted(other=other))


def take_netting(work: UnitOfWork, enable: OrderId, *, nets: bool) -> None:
    """Another order makes switching off needless, or does not any more.

    A child of which nothing has left is called back; one that has left does its work.
    """
    known = netted_with(work.order)
    open_ = () if work.view is None else {each.id for each in work.view.open_orders}
    if work.order.final or known == (enable if nets else None):
        return
    if known is not None and known != enable and known in open_:
        return
    child = work.awaited
    back = nets and child is not None and discardable(child) and disconnects(child.spec)
    called = child.id if child is not None and back else None
    step_order(work, e.Netted(other=enable if nets else None, child=called))
    look_at_child(work)


def retry_unblocked(work: UnitOfWork) -> None:
    """The order that stood in the way is final: try again."""
    if work.order.state is S.VALIDATION_ERROR and work.blocked_by is not None:
        step_order(work, e.OrderRetryAsked(who="gateway"))


def correct_clock(work: UnitOfWork, *, ahead_s: float, by_wrong_clock: bool) -> None:
    """The clock was wrong and is right again; what people dated stays."""
    before = work.order
    work.order = corrected_order(
        before, now=work.now, ahead_s=ahead_s, by_wrong_clock=by_wrong_clock
    )
    for number, child in work.children.items():
        if child.fact.final:
            continue
        fact = corrected_fact(child.fact, before, work.order, now=work.now, ahead_s=ahead_s)
        wait, visit = child.wait, child.field
        work.children[number] = replace(
            child,
            fact=fact,
            wait=None if wait is None else corrected_wait(wait, fact),
            field=None if visit is None else corrected_visit(visit, fact, now=work.now),
        )
    work.note("gateway", "ClockCorrected", work.order.id, {"ahead_s": ahead_s})


def settle_pushes(work: UnitOfWork) -> None:
    """What a field activity that moved does to its order, and to requests about it."""
    _push(work)
    _end_requests(work)


def _push(work: UnitOfWork) -> None:
    """Children whose flag allows it move the order at once, on the facts that were loaded."""
    pushes, work.pushes = work.pushes, []
    for child in pushes:
        if not work.world.empty:
            work.stale = True
            continue
        event = pushed(work.order, work.children[child].fact, dark=work.dark)
        if event is not None:
            step_order(work, event)


def take_report(work: UnitOfWork, report: FieldReport) -> None:
    """What a crew reports, kept with what it changes. Raises NotFound, IllegalTransition."""
    if report.activity not in work.children:
        raise NotFound(f"no activity {report.activity}")
    work.report = report
    news, who = report.news, report.who or "field"
    if isinstance(news, CancelRefused):
        refuse_requests(work, report.activity, news.reason)
        work.note(who, "CancelRefused", work.order.id, {"report": report.id})
        activity = work.children[report.activity].field
        if activity is not None and FIELD_MACHINE.targets(activity.state, f.CancelDeclined):
            step_field_activity(work, report.activity, f.CancelDeclined(), actor=who)
        settle_pushes(work)
        return
    if isinstance(news, OtherWork) or work.children[report.activity].field is None:
        raise IllegalTransition(f"{report.activity} is no visit")
    step_field_activity(work, report.activity, news, actor=who)
    settle_pushes(work)


def decide_field_activity(
    work: UnitOfWork, child: ChildId, event: f.FieldEvent, *, by: str
) -> None:
    """What people say of a activity. Raises Conflict, IllegalTransition."""
    if work.children[child].field is None:
        raise Conflict(f"child {child} is no visit")
    step_field_activity(work, child, event, actor=by)
    settle_pushes(work)


# ------------------------------------------------------------ requests to cancel or update


_ANSWER: Final[Mapping[m.Purpose, e.ReplyKind]] = MappingProxyType(
    {m.Purpose.CANCEL: e.ReplyKind.CANCELLATION, m.Purpose.UPDATE: e.ReplyKind.UPDATE}
)


def take_request(work: UnitOfWork, request: m.MaintenanceActivity) -> None:
    """Take up a new request; the first to commit wins against the child."""
    work.requests[request.id] = request
    step_request(work, request.id, m.RequestOpened())


def step_request(work: UnitOfWork, request: str, event: m.MaintenanceEvent) -> None:
    queue = [event]
    while queue:
        current = queue.pop(0)
        made = m.step_maintenance(work.requests[request], current, now=work.now)
        work.requests[request] = made.activity
        detail: dict[str, object] = {
            "to": made.activity.state.value,
            "outcome": made.activity.outcome,
        }
        if made.activity.changed:
            detail["changed"] = sorted(made.activity.changed)
        if made.activity.not_changed:
            detail["not_changed"] = dict(made.activity.not_changed)
        actor = getattr(current, "who", "") or made.activity.requester
        work.note(actor, type(current).__name__, request, {**detail, "order": work.order.id})
        for effect in made.effects:
            match effect:
                case m.CheckRequest():
                    queue.append(m.RequestValid())
                case m.ActOnChild():
                    queue.append(_act(work, made.activity))
                case m.ReplyToRequest(details=details, accepted=accepted):
                    reply = {**details, "accepted": "true" if accepted else "false"}
                    work.reply(_ANSWER[made.activity.purpose], f"{request}/reply/1", reply)
                case m.OpenRequestTodo():
                    pass  # derived from the row


def _act(work: UnitOfWork, request: m.MaintenanceActivity) -> m.MaintenanceEvent:
    child = work.awaited
    answer = m.first_answer(
        request.purpose,
        work.order,
        child,
        dark=work.dark,
        asked=child is not None and work.cancel_awaited(child.id),
    )
    if isinstance(answer, m.ActionTaken) and child is not None and child.id in work.called_back:
        answer = m.ActionTaken(action=Action.DISCARD_CHILD, child=child.id)
    if isinstance(answer, m.TooLate):
        return replace(answer, not_changed=dict.fromkeys(request.changes, answer.reason))
    if isinstance(answer, m.RequestFailed) or work.order.final:
        return answer
    if request.purpose is m.Purpose.CANCEL:
        reason = request.reason or "cancelled"
        withdraw_order(work, who=request.requester, reason=reason)
        if work.order.state is OrderState.COMPLETED:
            return m.first_answer(request.purpose, work.order, None)
        return _advised(answer, work.advice)
    return _change(work, request, answer)


def _change(
    work: UnitOfWork, request: m.MaintenanceActivity, answer: m.ActionTaken | m.ResponseAwaited
) -> m.MaintenanceEvent:
    awaited = work.awaited
    visit = None if awaited is None else work.children[awaited.id].field
    made = decide_changes(
        work.order,
        awaited,
        visit,
        request.changes,
        now=work.now,
        sent=answer.action is Action.SEND_CHANGE,
    )
    if not made.done:
        why = "; ".join(f"{name}: {reason}" for name, reason in made.refused.items())
        return m.TooLate(
            reason=f"not changed: {why}",
            action=answer.action,
            child=answer.child,
            not_changed=made.refused,
        )
    if awaited is not None:
        _change_child(work, awaited.id, made)
    before = work.order
    step_order(
        work,
        e.Corrected(
            who=request.requester,
            fields=made.elements,
            effective_at=made.effective_at,
            service_at=made.service_at,
        ),
        actor=request.requester,
    )
    names = ", ".join(made.refused)
    outcome = f"{answer.action}; not changed: {names}" if names else answer.outcome
    told = replace(answer, outcome=outcome, changed=made.done, not_changed=made.refused)
    return _advised(told, advice_on_moving(work, before))


def advice_on_moving(work: UnitOfWork, before: ServiceOrder) -> str:
    """What people have to know who changed the order, which was `before`."""
    if netted_with(before) is None or work.view is None:
        return ""
    return left_on_by_move(before, work.order, work.view)


def _advised(answer: _Taken, advice: str) -> _Taken:
    if not advice:
        return answer
    return replace(answer, outcome=f"{answer.outcome or answer.action}; {advice}")


def _change_child(work: UnitOfWork, child: ChildId, made: Changes) -> None:
    known = work.children[child]
    if known.field is not None:
        changed = f.FieldModified(
            details=made.elements, times=made.times, not_before=made.not_before, slot=made.slot
        )
        step_field_activity(work, child, changed)
    elif known.wait is not None and made.due_at is not None:
        spec = replace(known.fact.spec, due_at=made.due_at)
        fact, wait = replace(known.fact, spec=spec), replace(known.wait, spec=spec)
        work.children[child] = replace(known, fact=fact, wait=wait)


def refuse_requests(work: UnitOfWork, child: ChildId, reason: str) -> None:
    """The field system does not cancel or change the activity."""
    for request in list(work.requests.values()):
        if request.state is m.MaintenanceState.WAITING and request.child == child:
            step_request(work, request.id, m.TooLate(reason=reason))


def fail_requests(work: UnitOfWork, child: ChildId, reason: str) -> None:
    """A cancel or change message cannot be delivered: people see to the request, or, where
    nobody asked for it in a request of his own (a payment), to the activity."""
    waiting = [
        request.id
        for request in work.requests.values()
        if request.state is m.MaintenanceState.WAITING and request.child == child
    ]
    for request in waiting:
        step_request(work, request, m.RequestFailed(reason=reason))
    activity = work.children[child].field
    if (
        not waiting
        and activity is not None
        and FIELD_MACHINE.targets(activity.state, f.NoticeFailed)
    ):
        problem = OrderProblem(
            code="field_work",
            text=f"not told to the field system: {reason}",
            action="retry to tell it again, or call it and end the visit by hand",
        )
        step_field_activity(work, child, f.NoticeFailed(problem=problem))
        settle_pushes(work)


def _end_requests(work: UnitOfWork) -> None:
    for request in list(work.requests.values()):
        if request.state is m.MaintenanceState.WAITING and request.child is not None:
            event = m.child_ended(request, work.order, work.children[request.child].fact)
            if event is not None:
                step_request(work, request.id, event)
        elif request.state is m.MaintenanceState.ERROR and work.order.final:
            late = m.TooLate(reason=f"the order is {work.order.state}")
            step_request(work, request.id, late)
