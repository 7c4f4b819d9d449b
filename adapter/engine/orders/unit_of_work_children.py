"""The children of a case: commands as the gateway has them, waits and visits stepped here."""

from dataclasses import replace
from typing import Final

from adapter.commands.activity import Command
from adapter.engine.orders.case_books import CaseBooks
from adapter.engine.orders.field_work import FieldMessage, FieldReport, Site
from adapter.engine.orders.field_world import endpoint_free, known_device, world_write
from adapter.engine.orders.ports import Child
from adapter.model.device import InstallRefused
from adapter.orders import events as e
from adapter.orders import field_activity_events as f
from adapter.orders.activities import ChildKind
from adapter.orders.algorithms.chkmsmt import reading_found
from adapter.orders.algorithms.rows import AlgorithmType, CheckMeasurement
from adapter.orders.commands import command_child_state
from adapter.orders.completion import CompletionRefused, apply_field_work
from adapter.orders.field_activity import FieldActivity, field_child_state, step_field
from adapter.orders.field_activity_rules import field_problems, needs_appointment
from adapter.orders.order import (
    ChildFact,
    ChildId,
    ChildState,
    Problem,
)
from adapter.orders.tasks import field_task
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

_WAITS: Final = (ChildKind.WAIT_MEASUREMENT, ChildKind.WAIT_SCHEDULED_READ)


class CaseChildren(CaseBooks):
    """Steps the children; what they tell their order is kept in `_pushes` and `again`."""

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
            patience = self._rules.patience(self.order)
            visit = FieldActivity(**common, patience=patience)  # type: ignore[arg-type]
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
        if state in (ChildState.SENT, ChildState.RESPONSE_ERROR):
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

    def _silent_visits(self) -> None:
        for child in list(self._children.values()):
            visit = child.field
            if visit is not None and visit.answer_by is not None and self.now >= visit.answer_by:
                self.step_visit(child.fact.id, f.FieldOverdue())

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
            action=visit.problem.action if visit.problem is not None else "",
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
            case f.ExecuteEvents(successful=False):
                task = field_task(visit.spec.task, self._rules.tasks)
                return self._execute(replace(effect, effects=task.canceled if task else ()))
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
        problems = field_problems(visit, view, self._others, valid, self._rules.tasks)
        if problems:
            text = "; ".join(each.text for each in problems)
            return f.FieldRejected(problem=replace(problems[0], text=text))
        return (
            f.AppointmentNeeded()
            if needs_appointment(visit, self._rules.tasks)
            else f.FieldValidated()
        )

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
            endpoint_free(view, after, self._holders)
        except (CompletionRefused, InstallRefused) as error:
            action = "complete the visit by hand with a corrected report, or correct the records "
            action += "and retry"
            problem = Problem(code="completion_refused", text=str(error), action=action)
            return f.EventsFailed(problem=problem)
        self._world = world_write(view, after, new=self._arriving is None)
        self._view = replace(after, children=())
        self.again = True
        return f.EventsExecuted() if effect.successful else f.CancelEventsExecuted()
