"""One case on its way from one resting place to the next, in memory; then saved as one.

The only place where orders, field activities, waits and requests are stepped. It decides nothing:
every decision is a pure function of the order floor, fed with the facts that were loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from adapter.commands.activity import Command
from adapter.commands.effects import Severity
from adapter.engine.field_work import FieldMessage, FieldReport, Site
from adapter.engine.field_world import known_device, world_write
from adapter.engine.order_ports import Case, CaseWrite, Child, Pass, WorldWrite
from adapter.engine.ports import AuditNote, Publication
from adapter.model.capability import supported_commands
from adapter.model.device import Device, DeviceView, InstallRefused
from adapter.model.ids import EventId, OrderId
from adapter.model.measurement import NO_SCHEDULES, ReadSchedule
from adapter.orders import events as e
from adapter.orders import field_events as f
from adapter.orders import maintenance as m
from adapter.orders.activities import ChildKind
from adapter.orders.children import (
    FieldActivity,
    OtherTask,
    field_child_state,
    field_problems,
    needs_appointment,
    step_field,
)
from adapter.orders.commands import command_child_state
from adapter.orders.completion import CompletionRefused, apply_field_work
from adapter.orders.configuration import OrdersConfiguration, parse_configuration
from adapter.orders.evaluate import customer_dark, look_at_world
from adapter.orders.lifecycle import POLL, observe, pushed, resumed, step, withdraw
from adapter.orders.order import (
    ERROR_STATES,
    ActivityType,
    ChildFact,
    ChildId,
    ChildState,
    OrderState,
    Problem,
    View,
)
from adapter.orders.parameters import AlgorithmType, CheckMeasurement
from adapter.orders.reading import reading_found
from adapter.orders.replies import Reply
from adapter.orders.validation import check_rules
from adapter.orders.verdict import NO_CUSTOMS, Customs
from adapter.orders.waits import (
    ReadingArrived,
    WaitActivity,
    WaitDiscarded,
    WaitEvent,
    WaitState,
    WaitTimedOut,
    step_wait,
    wait_child_state,
)

S = OrderState
HOLDING: Final = frozenset({S.WAITING, S.READY, S.IN_PROGRESS, S.ACTIVITY_ERROR, S.RETRY})
"""States in which an order keeps its service point for itself."""

_WAITS: Final = (ChildKind.WAIT_MEASUREMENT, ChildKind.WAIT_SCHEDULED_READ)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRules:
    """How a site orchestrates: matrix and activity types, its own functions, its calendar of reads.

    `valid_tasks` are the field tasks of a service point type, where the site enforces them;
    `head_end_commands` what the head end offers.
    """

    configuration: OrdersConfiguration = field(default_factory=lambda: parse_configuration({}))
    customs: Customs = NO_CUSTOMS
    schedules: Mapping[str, ReadSchedule] = field(default_factory=lambda: NO_SCHEDULES)
    valid_tasks: Mapping[str, frozenset[str]] = field(default_factory=dict)
    head_end_commands: frozenset[str] = frozenset()

    def activity_type(self, name: str) -> ActivityType | None:
        return self.configuration.activity_types.get(name)

    def supported(self, device: Device | None) -> frozenset[str]:
        if device is None:
            return frozenset()
        return supported_commands(device, {}, {device.head_end: self.head_end_commands})


class Turn:
    """A case that is being stepped. `write` gives everything that has to be stored together.

    `view` are the facts, without the own children; None when there is no such service point.
    `arriving` is what the registry knows of a device that a crew reports.
    """

    def __init__(
        self,
        case: Case,
        view: View | None,
        rules: OrderRules,
        *,
        now: datetime,
        others: Sequence[OtherTask] = (),
        arriving: DeviceView | None = None,
    ) -> None:
        self.case = case
        self.order = case.order
        self.now = now
        self.again = False
        """The facts have moved: they are to be loaded anew before the order is looked at."""
        self._view = view
        self._rules = rules
        self._others = tuple(others)
        self._arriving = arriving
        self._children = {child.fact.id: _as_it_is(child) for child in case.children}
        self._requests = {request.id: request for request in case.requests}
        self._blocked_by = case.blocked_by
        self._pushes: list[ChildId] = []
        self._supersedes: list[OrderId] = []
        self._passes: list[Pass] = []
        self._replies: list[Reply] = []
        self._messages: list[FieldMessage] = []
        self._drops: list[ChildId] = []
        self._world = WorldWrite()
        self._notes: list[AuditNote] = []
        self._publications: list[Publication] = []
        self._report: FieldReport | None = None

    # ------------------------------------------------------------ what it looks like now

    @property
    def facts(self) -> tuple[ChildFact, ...]:
        return tuple(child.fact for child in self._children.values())

    @property
    def view(self) -> View | None:
        return None if self._view is None else replace(self._view, children=self.facts)

    @property
    def dark(self) -> bool:
        view = self.view
        return view is not None and customer_dark(self.order, view)

    @property
    def awaited(self) -> ChildFact | None:
        """The child that the order waits for, or is in trouble about."""
        if self.order.awaiting is None or self.order.final:
            return None
        found = self._children.get(self.order.awaiting)
        return None if found is None else found.fact

    @property
    def unsubmitted(self) -> bool:
        """Whether the gateway has yet to be asked for a command."""
        return any(
            child.command is None
            and child.fact.spec.kind is ChildKind.COMMAND
            and not child.fact.final
            for child in self._children.values()
        )

    def child(self, child: ChildId) -> Child:
        return self._children[child]

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
                return None if self._blocked_by is None else self.now + POLL
            case S.IN_PROGRESS | S.ACTIVITY_ERROR:
                dues = (x.fact.spec.due_at for x in self._children.values() if not x.fact.final)
                return min([self.now + POLL, *(max(at, self.now) for at in dues if at is not None)])
            case _:
                return self.now

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

    # ------------------------------------------------------------ children

    def _create(self, effect: e.CreateChild) -> None:
        spec = effect.child
        fact = ChildFact(
            id=effect.id,
            number=effect.number,
            spec=spec,
            state=ChildState.QUEUED,
            created_at=self.now,
            algorithm=effect.algorithm,
            row=effect.row,
        )
        common = {"id": effect.id, "order": self.order.id, "spec": spec, "created_at": self.now}
        if spec.kind is ChildKind.FIELD:
            visit = FieldActivity(**common)  # type: ignore[arg-type]
            self._children[effect.id] = Child(fact=fact, field=visit)
            self.step_visit(effect.id, f.FieldOpened())
        elif spec.kind in _WAITS:
            wait = WaitActivity(**common)  # type: ignore[arg-type]
            self._children[effect.id] = Child(fact=fact, wait=wait)
        else:
            self._children[effect.id] = Child(fact=fact)

    def refresh(self, child: ChildId, command: Command) -> None:
        """Take over what the gateway says of a command."""
        known = self._children[child]
        if known.fact.final:
            return
        activity = command.activity
        state = command_child_state(activity)
        fact = replace(
            known.fact,
            state=state,
            reason=activity.reason or "; ".join(activity.violations),
            ended_at=(activity.finished_at or self.now),
        )
        fact = fact if fact.final else replace(fact, ended_at=None)
        self._children[child] = replace(known, fact=fact, command=command.id)

    def fail_child(self, child: ChildId, reason: str) -> None:
        """The gateway will never take this command."""
        known = self._children[child]
        fact = replace(known.fact, state=ChildState.FAILED, reason=reason, ended_at=self.now)
        self._children[child] = replace(known, fact=fact)

    def stop_child(self, child: ChildId, reason: str) -> None:
        """Discard what has not left, ask the field system to cancel what has; else let it end.

        A command that is at the gateway was called back before, if that was possible at all.
        """
        known = self._children[child]
        if known.fact.final:
            return
        if known.wait is not None:
            self._step_wait(child, WaitDiscarded(reason=reason))
        elif known.field is not None:
            self._stop_visit(child, known.field, reason, leaving=known.leaving)
        elif known.command is None:
            fact = replace(known.fact, state=ChildState.DISCARDED, reason=reason, ended_at=self.now)
            self._children[child] = replace(known, fact=fact)

    def _stop_visit(
        self, child: ChildId, visit: FieldActivity, reason: str, *, leaving: bool
    ) -> None:
        state = self._children[child].fact.state
        if state is ChildState.SENT:
            self.step_visit(child, f.FieldCancelAsked(reason=reason))
        elif state not in (ChildState.STARTED, ChildState.COMPLETION_ERROR):
            self.step_visit(child, f.FieldDiscarded(reason=reason))
            self._drops.append(child)

    def _waits(self) -> None:
        for child in list(self._children.values()):
            wait = child.wait
            if wait is None or wait.state is not WaitState.WAITING:
                continue
            if self._read():
                self._step_wait(child.fact.id, ReadingArrived())
            elif wait.spec.due_at is not None and self.now >= wait.spec.due_at:
                self._step_wait(child.fact.id, WaitTimedOut())

    def _read(self) -> bool:
        view = self.view
        cells = self._rules.configuration.matrix[self.order.kind]
        params = (x.parameters for x in cells if x.type is AlgorithmType.CHKMSMT)
        return view is not None and any(
            isinstance(each, CheckMeasurement) and reading_found(self.order, view, each)
            for each in params
        )

    def _step_wait(self, child: ChildId, event: WaitEvent) -> None:
        known = self._children[child]
        assert known.wait is not None
        after = step_wait(known.wait, event, now=self.now)
        fact = replace(
            known.fact,
            state=wait_child_state(after),
            reason=after.reason,
            ended_at=after.ended_at,
        )
        self._children[child] = replace(known, wait=after, fact=fact)
        self._note("gateway", type(event).__name__, child, {"to": after.state.value})

    # ------------------------------------------------------------ visits

    def reported(self, report: FieldReport) -> None:
        """Keep the report with what it changes."""
        self._report = report

    def step_visit(self, child: ChildId, event: f.FieldEvent, *, actor: str = "gateway") -> None:
        """Step a field activity until it rests. Raises IllegalTransition."""
        queue = [event]
        while queue:
            current = queue.pop(0)
            known = self._children[child]
            assert known.field is not None
            before = known.field
            made = step_field(before, current, now=self.now)
            self._put_visit(known, made.activity)
            detail = {"from": before.state.value, "to": made.activity.state.value}
            if made.activity.problem is not None:
                detail["problem"] = made.activity.problem.code
            self._note(actor, type(current).__name__, child, detail)
            for effect in made.effects:
                follow = self._field_effect(child, effect)
                if follow is not None:
                    queue.append(follow)

    def settle_pushes(self) -> None:
        self._push()

    def _put_visit(self, known: Child, visit: FieldActivity) -> None:
        state = field_child_state(visit)
        if known.leaving and state is ChildState.SENDING:
            state = ChildState.SENT
        reason = visit.reason or (visit.problem.text if visit.problem is not None else "")
        fact = replace(
            known.fact,
            spec=visit.spec,
            state=state,
            reason=reason,
            may_push=visit.may_push,
            ended_at=visit.ended_at,
        )
        self._children[known.fact.id] = replace(known, field=visit, fact=fact)

    def _field_effect(self, child: ChildId, effect: f.FieldWork) -> f.FieldEvent | None:
        visit = self._children[child].field
        assert visit is not None
        match effect:
            case f.SendMessage():
                self._messages.append(self._message(visit, effect))
            case f.CheckFieldRules():
                return self._judge_visit(visit)
            case f.ExecuteEvents():
                return self._execute(effect)
            case f.TellAppointment(slot=slot, reason=reason):
                told = {
                    "child": child,
                    "appointmentStart": slot.start.isoformat(),
                    "appointmentEnd": slot.end.isoformat(),
                    "reason": reason,
                }
                id_ = f"{child}/appointment/{visit.version}"
                self._reply(e.ReplyKind.INTERIM, id_, {k: v for k, v in told.items() if v})
            case f.WakeParent():
                self.again = True
            case f.PushParent():
                self._pushes.append(child)
            case _:
                pass  # acknowledgement: the order's interim reply; To Dos: the order's own
        return None

    def _judge_visit(self, visit: FieldActivity) -> f.FieldEvent:
        view = self.view
        if view is None:
            gone = Problem(code="service_point", text="the service point is not in the registry")
            return f.FieldRejected(problem=gone)
        valid = self._rules.valid_tasks.get(view.service_point.sp_type)
        problems = field_problems(visit, view, self._others, valid)
        if problems:
            text = "; ".join(each.text for each in problems)
            return f.FieldRejected(problem=replace(problems[0], text=text))
        return f.AppointmentNeeded() if needs_appointment(visit) else f.FieldValidated()

    def _message(self, visit: FieldActivity, effect: f.SendMessage) -> FieldMessage:
        view = self._view
        assert view is not None
        point = view.service_point
        dispatch = effect.kind in (f.MessageKind.DISPATCH, f.MessageKind.SLOTS)
        return FieldMessage(
            id=f"{visit.id}/message/{effect.number}",
            kind=effect.kind,
            number=effect.number,
            activity=visit.id,
            order=self.order.id,
            order_kind=self.order.kind,
            task=visit.spec.task,
            site=Site(
                service_point=point.id,
                category=point.category,
                connected=point.connected,
                disconnect_location=point.disconnect_location,
                device=view.device.id if view.device is not None else None,
                status=view.status,
            ),
            created_at=self.now,
            not_before=visit.spec.effective_at,
            appointment=visit.appointment,
            requester=self.order.requester,
            reference=self.order.external_reference,
            details={**(visit.spec.details if dispatch else {}), **effect.details},
        )

    def _execute(self, effect: f.ExecuteEvents) -> f.FieldEvent:
        view = self.view
        try:
            if view is None:
                raise CompletionRefused("the service point is not in the registry")
            report = known_device(effect.report, view, self._arriving, self._rules.supported)
            after = apply_field_work(view, effect.effects, report)
        except (CompletionRefused, InstallRefused) as error:
            action = "correct the report or the records, then retry the visit"
            problem = Problem(code="completion_refused", text=str(error), action=action)
            return f.EventsFailed(problem=problem)
        self._world = world_write(view, after, new=self._arriving is None)
        self._view = replace(after, children=())
        self.again = True
        return f.EventsExecuted() if effect.successful else f.CancelEventsExecuted()

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
            actor = made.activity.requester
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
        """A cancel or change message cannot be delivered: people see to it."""
        for request in list(self._requests.values()):
            if request.state is m.MaintenanceState.WAITING and request.child == child:
                self.step_request(request.id, m.RequestFailed(reason=reason))

    def _ended_requests(self) -> None:
        for request in list(self._requests.values()):
            if request.state is m.MaintenanceState.WAITING and request.child is not None:
                event = m.child_ended(request, self._children[request.child].fact)
                if event is not None:
                    self.step_request(request.id, event)
            elif request.state is m.MaintenanceState.ERROR and self.order.final:
                late = m.TooLate(reason=f"the order is {self.order.state}")
                self.step_request(request.id, late)

    # ------------------------------------------------------------ books

    def _reply(self, kind: e.ReplyKind, id_: str, details: Mapping[str, str]) -> None:
        self._replies.append(
            Reply(
                id=id_,
                order=self.order.id,
                kind=kind,
                requester=self.order.requester,
                external_reference=self.order.external_reference,
                created_at=self.now,
                due_at=self.now,
                details=dict(details),
            )
        )

    def _noted(self, event: e.Event, before: OrderState, actor: str) -> None:
        after = self.order.state
        detail: dict[str, object] = {"from": before.value, "to": after.value}
        for name in ("child", "algorithm", "row", "reason"):
            value = getattr(event, name, None)
            if value is not None and value != "":
                detail[name] = value if isinstance(value, str) else value.business_object
        problem = self.order.problem
        if problem is not None and after in ERROR_STATES:
            detail["problem"] = f"{problem.code}: {problem.text}"
        who = getattr(event, "who", "") or actor
        self._note(who, type(event).__name__, self.order.id, detail)
        if after is not before:
            self._publish(problem)

    def _note(self, actor: str, action: str, subject: str, detail: Mapping[str, object]) -> None:
        self._notes.append(AuditNote(actor=actor, action=action, subject=subject, detail=detail))

    def note(self, actor: str, action: str, detail: Mapping[str, object]) -> None:
        """An audit entry about the order itself."""
        self._note(actor, action, self.order.id, detail)

    def _publish(self, problem: Problem | None) -> None:
        order = self.order
        dark = problem is not None and problem.dark
        troubled = Severity.WARNING if order.state in ERROR_STATES else Severity.INFO
        self._publications.append(
            Publication(
                id=EventId(f"{order.id}:{order.version}"),
                type=f"openway.order.{order.state.name.lower()}",
                subject=order.id,
                severity=Severity.CRITICAL if dark else troubled,
                data={
                    "id": order.id,
                    "kind": order.kind.value,
                    "state": order.state.value,
                    "service_point": order.service_point,
                    "requester": order.requester,
                    "reference": order.external_reference,
                    "problem": problem.code if problem is not None else None,
                },
            )
        )


def _as_it_is(child: Child) -> Child:
    """With the state of its visit now; a message that is being sent counts as sent."""
    if child.field is None:
        return child
    state = field_child_state(child.field)
    sent = child.leaving and state is ChildState.SENDING
    return replace(child, fact=replace(child.fact, state=ChildState.SENT if sent else state))


def _moment(changes: Mapping[str, str], name: str) -> datetime | None:
    text = changes.get(name)
    return None if text is None else datetime.fromisoformat(text)
