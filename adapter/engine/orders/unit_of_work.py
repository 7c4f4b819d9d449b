"""One case on its way from one resting place to the next, in memory; then saved as one.

The only place where orders, field activities, waits and requests are stepped. It decides nothing:
every decision is a pure function of the order floor, fed with the facts that were loaded.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from adapter.engine.orders.field_work import CancelRefused, FieldReport, OtherWork
from adapter.engine.orders.ports import CaseWrite, Child, Pass
from adapter.engine.orders.unit_of_work_children import CaseChildren
from adapter.errors import Conflict, IllegalTransition
from adapter.model.ids import OrderId
from adapter.orders import events as e
from adapter.orders import field_activity_events as f
from adapter.orders import maintenance as m
from adapter.orders.activities import ChildKind
from adapter.orders.evaluate import look_at_world
from adapter.orders.field_activity import FIELD_TRANSITIONS
from adapter.orders.lifecycle import LONGEST_POLL, POLL, observe, pushed, resumed, step, withdraw
from adapter.orders.order import ChildId, OrderState, Problem
from adapter.orders.validation import check_rules

S = OrderState
HOLDING: Final = frozenset({S.WAITING, S.READY, S.IN_PROGRESS, S.ACTIVITY_ERROR, S.RETRY})
"""States in which an order keeps its service point for itself."""


class Turn(CaseChildren):
    """A case that is being stepped. `write` gives everything that has to be stored together.

    `view` are the facts, without the own children; None when there is no such service point.
    `arriving` is what the registry knows of a device that a crew reports, `holders` are the devices
    that name its endpoint.
    """

    def write(self) -> CaseWrite:
        return CaseWrite(
            case=replace(
                self.case,
                order=self.order,
                children=tuple(self._children.values()),
                requests=tuple(self._requests.values()),
                blocked_by=None if self.order.final else self._blocked_by,
                wake=self._wake(),
            ),
            holds=self.order.state in HOLDING,
            supersedes=tuple(self._supersedes),
            passes=tuple(self._passes),
            replies=tuple(self._replies),
            messages=tuple(x for x in self._messages if x.activity not in self._drops),
            drops=tuple(self._drops),
            report=self._report,
            world=self._world,
            audit=tuple(self._notes),
            publications=tuple(self._publications),
        )

    @property
    def superseded(self) -> tuple[OrderId, ...]:
        return tuple(self._supersedes)

    def _wake(self) -> datetime | None:
        if self.order.final:
            return None
        if self.again or self.unsubmitted:
            return self.now
        match self.order.state:
            case S.WAITING:
                return max(self.order.effective_at, self.now)
            case S.VALIDATION_ERROR:
                return None if self._blocked_by is None else self._look_again()
            case S.IN_PROGRESS | S.ACTIVITY_ERROR:
                dues = (at for x in self._children.values() for at in _due(x))
                return min([self._look_again(), *(max(at, self.now) for at in dues)])
            case _:
                return self.now

    def _look_again(self) -> datetime:
        """When lost news heals: soon after a step, later the longer nothing has happened.

        Ten thousand orders that wait for days must not keep the gateway busy with looking.
        """
        steps = [each.fact.created_at for each in self._children.values()]
        quiet = self.now - max([self.order.state_since or self.order.created_at, *steps])
        return self.now + min(max(POLL, quiet / 8), LONGEST_POLL)

    # ------------------------------------------------------------ the order

    def feed(self, event: e.Event, *, actor: str = "gateway") -> None:
        """Step the order until it rests. Raises IllegalTransition, Forbidden."""
        queue = [event]
        while queue:
            current = queue.pop(0)
            before = self.order
            made = step(before, current, now=self.now)
            self.order = made.order
            self._noted(current, before.state, actor)
            for effect in made.effects:
                follow = self._effect(effect)
                if follow is not None:
                    queue.append(follow)
        self._push()

    def _effect(self, effect: e.Effect) -> e.Event | None:
        match effect:
            case e.SendReply():
                self._reply(effect.kind, f"{self.order.id}/reply/{effect.number}", effect.details)
            case e.CheckRules():
                return check_rules(self.order, self.view)
            case e.LookAtWorld():
                rules = self._rules
                matrix = rules.configuration.matrix
                return look_at_world(self.order, self.view, matrix=matrix, customs=rules.customs)
            case e.Continue(to=to):
                return resumed(to)
            case e.CreateChild():
                self._create(effect)
            case e.DiscardChild(child=child, reason=reason):
                self.stop_child(child, reason)
            case e.CancelChild(child=child, reason=reason):
                self.stop_child(child, reason)
            case e.RetryChild(child=child, who=who):
                if self._children[child].field is not None:
                    self.step_visit(child, f.FieldRetried(who=who))
            case e.WithdrawOrder(order=order):
                self._supersedes.append(order)
            case e.AwaitOrder(order=order):
                self._blocked_by = order
            case e.CloseTodo():
                self._blocked_by = None
            case e.KeepDecisions(state=state, decisions=decisions):
                self._passes.append(
                    Pass(
                        order=self.order.id,
                        number=self.order.version,
                        at=self.now,
                        state=state,
                        decisions=decisions,
                    )
                )
            case _:
                pass  # Wake: see `_wake`; OpenTodo: the To Do list is derived from the rows
        return None

    def withdraw(self, *, who: str, reason: str) -> None:
        """End the order because somebody does not want it any more."""
        event = withdraw(self.order, self.facts, who=who, reason=reason, dark=self.dark)
        self.feed(event, actor=who)

    def monitor(self) -> None:
        """What time and children bring: the look that makes a lost push harmless."""
        self._waits()
        self._silent_visits()
        match self.order.state:
            case S.PENDING:
                self.feed(e.Opened())
            case S.WAITING if self.now >= self.order.effective_at:
                self.feed(e.EffectiveDateReached())
            case S.IN_PROGRESS | S.ACTIVITY_ERROR:
                event = observe(self.order, self.facts, dark=self.dark)
                if event is not None:
                    self.feed(event)
            case _:
                pass
        self._ended_requests()

    def unblocked(self) -> None:
        """The order that stood in the way is final: try again."""
        if self.order.state is S.VALIDATION_ERROR and self._blocked_by is not None:
            self.feed(e.RetryAsked(who="gateway"))

    def settle_pushes(self) -> None:
        """What a visit that moved does to its order, and to who asked to cancel or change it."""
        self._push()
        self._ended_requests()

    def _push(self) -> None:
        """Children whose flag allows it move the order at once, on the facts that were loaded."""
        pushes, self._pushes = self._pushes, []
        for child in pushes:
            if not self._world.empty:
                self.again = True
                continue
            event = pushed(self.order, self._children[child].fact, dark=self.dark)
            if event is not None:
                self.feed(event)

    def take(self, report: FieldReport) -> None:
        """What a crew reports, kept with what it changes. Raises IllegalTransition."""
        self.reported(report)
        news, who = report.news, report.who or "field"
        if isinstance(news, CancelRefused):
            self.refuse_requests(report.activity, news.reason)
            self.note(who, "CancelRefused", {"report": report.id})
            visit = self.child(report.activity).field
            if visit is not None and (visit.state, f.CancelDeclined) in FIELD_TRANSITIONS:
                self.step_visit(report.activity, f.CancelDeclined(), actor=who)
            self.settle_pushes()
            return
        if isinstance(news, OtherWork) or self.child(report.activity).field is None:
            raise IllegalTransition(f"{report.activity} is no visit")
        self.step_visit(report.activity, news, actor=who)
        self.settle_pushes()

    def decide_visit(self, child: ChildId, event: f.FieldEvent, *, by: str) -> None:
        """What people say of a visit. Raises Conflict, IllegalTransition."""
        if self.child(child).field is None:
            raise Conflict(f"child {child} is no visit")
        self.step_visit(child, event, actor=by)
        self.settle_pushes()

    # ------------------------------------------------------------ requests to cancel or update

    def request(self, request: m.MaintenanceActivity) -> None:
        """Take up a new request; the first to commit wins against the child."""
        self._requests[request.id] = request
        self.step_request(request.id, m.RequestOpened())

    def step_request(self, request: str, event: m.MaintenanceEvent) -> None:
        queue = [event]
        while queue:
            current = queue.pop(0)
            made = m.step_maintenance(self._requests[request], current, now=self.now)
            self._requests[request] = made.activity
            detail = {"to": made.activity.state.value, "outcome": made.activity.outcome}
            actor = getattr(current, "who", "") or made.activity.requester
            self._note(actor, type(current).__name__, request, {**detail, "order": self.order.id})
            for effect in made.effects:
                match effect:
                    case m.CheckRequest():
                        queue.append(m.RequestValid())
                    case m.ActOnChild():
                        queue.append(self._act(made.activity))
                    case m.ReplyToRequest(details=details, accepted=accepted):
                        told = {**details, "accepted": "true" if accepted else "false"}
                        self._reply(e.ReplyKind.CANCELLATION, f"{request}/reply/1", told)
                    case m.OpenRequestTodo():
                        pass  # derived from the row

    def _act(self, request: m.MaintenanceActivity) -> m.MaintenanceEvent:
        answer = m.first_answer(request.purpose, self.order, self.awaited)
        if isinstance(answer, m.TooLate | m.RequestFailed) or self.order.final:
            return answer
        if request.purpose is m.Purpose.CANCEL:
            reason = request.reason or "cancelled"
            self.withdraw(who=request.requester, reason=reason)
            return answer
        return self._change(request, answer)

    def _change(
        self, request: m.MaintenanceActivity, answer: m.ActionTaken | m.ResponseAwaited
    ) -> m.MaintenanceEvent:
        awaited = self.awaited
        command = awaited is not None and awaited.spec.kind is ChildKind.COMMAND
        times = {name: _moment(request.changes, name) for name in ("effectiveAt", "serviceAt")}
        if command and times["effectiveAt"] is not None:
            return m.TooLate(reason="a command is queued already: cancel and order anew")
        details = {k: v for k, v in request.changes.items() if k not in times}
        if awaited is not None and self._children[awaited.id].field is not None:
            self.step_visit(awaited.id, f.FieldModified(details=details))
        self.feed(
            e.Corrected(
                who=request.requester,
                fields=details,
                effective_at=times["effectiveAt"],
                service_at=times["serviceAt"],
            ),
            actor=request.requester,
        )
        return answer

    def refuse_requests(self, child: ChildId, reason: str) -> None:
        """The field system does not cancel or change the visit."""
        for request in list(self._requests.values()):
            if request.state is m.MaintenanceState.WAITING and request.child == child:
                self.step_request(request.id, m.TooLate(reason=reason))

    def fail_requests(self, child: ChildId, reason: str) -> None:
        """A cancel or change message cannot be delivered: people see to the request, or, where
        nobody asked for it in a request of his own (a payment), to the visit."""
        waiting = [
            request.id
            for request in self._requests.values()
            if request.state is m.MaintenanceState.WAITING and request.child == child
        ]
        for request in waiting:
            self.step_request(request, m.RequestFailed(reason=reason))
        visit = self.child(child).field
        if not waiting and visit is not None and (visit.state, f.NoticeFailed) in FIELD_TRANSITIONS:
            problem = Problem(
                code="field_work",
                text=f"not told to the field system: {reason}",
                action="retry to tell it again, or call it and end the visit by hand",
            )
            self.step_visit(child, f.NoticeFailed(problem=problem))
            self.settle_pushes()

    def _ended_requests(self) -> None:
        for request in list(self._requests.values()):
            if request.state is m.MaintenanceState.WAITING and request.child is not None:
                event = m.child_ended(request, self._children[request.child].fact)
                if event is not None:
                    self.step_request(request.id, event)
            elif request.state is m.MaintenanceState.ERROR and self.order.final:
                late = m.TooLate(reason=f"the order is {self.order.state}")
                self.step_request(request.id, late)


def _due(child: Child) -> list[datetime]:
    """When time alone does something to the child."""
    if child.fact.final:
        return []
    known = (child.fact.spec.due_at, None if child.field is None else child.field.answer_by)
    return [at for at in known if at is not None]


def _moment(changes: Mapping[str, str], name: str) -> datetime | None:
    text = changes.get(name)
    return None if text is None else datetime.fromisoformat(text)
