"""Functions over a unit of work: the children of the order, commands, waits and field activities.

What a child tells its order is kept in `pushes` and `stale`. At the end: what a crew's report
changes in the records.
"""

from typing import Final

from adapter.commands import steps
from adapter.commands.activity import Command
from adapter.engine.orders.arriving_device import check_arrived, known_device
from adapter.engine.orders.field_work import FieldMessage, Site
from adapter.engine.orders.ports import Child, InstallWrite, WorldWrite
from adapter.engine.orders.unit_of_work import UnitOfWork
from adapter.model.device import InstallRefused, InstallStatus
from adapter.model.values import replace
from adapter.orders import events as e
from adapter.orders import field_activity_events as f
from adapter.orders.activities import ChildKind
from adapter.orders.algorithms.chkmsmt import CheckMeasurement, reading_found
from adapter.orders.algorithms.rows import AlgorithmType
from adapter.orders.commands import command_child_state
from adapter.orders.completion import (
    CompletionRefused,
    apply_field_work,
    check_times,
    leaves_off,
)
from adapter.orders.field_activity import FieldActivity, field_child_state, step_field
from adapter.orders.field_activity_rules import field_problems, needs_appointment
from adapter.orders.order import (
    ChildFact,
    ChildId,
    ChildState,
    OrderProblem,
    View,
)
from adapter.orders.tasks import field_task
from adapter.orders.visit_reason import earlier_work, visit_reason
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


def create_child(work: UnitOfWork, effect: e.CreateChild) -> None:
    spec = effect.child
    fact = ChildFact(
        id=effect.id,
        number=effect.number,
        spec=spec,
        state=ChildState.QUEUED,
        created_at=work.now,
        algorithm=effect.algorithm,
        row=effect.row,
        cell=effect.cell,
        type=effect.type,
        note=effect.note,
    )
    common = {"id": effect.id, "order": work.order.id, "spec": spec, "created_at": work.now}
    if spec.kind is ChildKind.FIELD:
        patience = work.rules.patience(work.order)
        activity = FieldActivity(**common, patience=patience)  # type: ignore[arg-type]
        work.children[effect.id] = Child(fact=fact, field=activity)
        step_field_activity(work, effect.id, f.FieldOpened())
    elif spec.kind in _WAITS:
        wait = WaitActivity(**common)  # type: ignore[arg-type]
        work.children[effect.id] = Child(fact=fact, wait=wait)
    else:
        work.children[effect.id] = Child(fact=fact)


def refresh_command(work: UnitOfWork, child: ChildId, command: Command) -> None:
    """Take over what the gateway says of a command."""
    known = work.children[child]
    if known.fact.final:
        return
    activity = command.activity
    state = command_child_state(activity, unclear=steps.unclear(command) is not None)
    fact = replace(
        known.fact,
        state=state,
        reason=activity.reason or "; ".join(activity.violations),
        ended_at=(activity.finished_at or work.now),
    )
    fact = fact if fact.final else replace(fact, ended_at=None)
    if fact != known.fact or command.id != known.command:
        work.children[child] = replace(known, fact=fact, command=command.id)


def fail_command(work: UnitOfWork, child: ChildId, reason: str) -> None:
    """The gateway will never take this command."""
    known = work.children[child]
    fact = replace(known.fact, state=ChildState.FAILED, reason=reason, ended_at=work.now)
    work.children[child] = replace(known, fact=fact)


def stop_child(work: UnitOfWork, child: ChildId, reason: str) -> None:
    """Discard what has not left, ask the field system to cancel what has; else let it end.

    A command that is at the gateway is called back by the orchestrator, if that is possible at all.
    """
    known = work.children[child]
    if known.fact.final:
        return
    if known.wait is not None:
        _step_wait(work, child, WaitDiscarded(reason=reason))
    elif known.field is not None:
        _stop_field_activity(work, child, known.field, reason, leaving=known.leaving)
    elif known.command is None:
        fact = replace(known.fact, state=ChildState.DISCARDED, reason=reason, ended_at=work.now)
        work.children[child] = replace(known, fact=fact)


def _stop_field_activity(
    work: UnitOfWork, child: ChildId, activity: FieldActivity, reason: str, *, leaving: bool
) -> None:
    state = work.children[child].fact.state
    if work.cancel_awaited(child):
        return
    if state in (ChildState.SENT, ChildState.RESPONSE_ERROR):
        step_field_activity(work, child, f.FieldCancelAsked(reason=reason))
    elif state not in (ChildState.STARTED, ChildState.COMPLETION_ERROR):
        step_field_activity(work, child, f.FieldDiscarded(reason=reason))
        work.drops.append(child)


def step_waits(work: UnitOfWork) -> None:
    """End the waits whose reading has come, or whose time is over."""
    for child in list(work.children.values()):
        wait = child.wait
        if wait is None or wait.state is not WaitState.WAITING:
            continue
        if _is_read(work):
            _step_wait(work, child.fact.id, ReadingArrived())
        elif wait.spec.due_at is not None and work.now >= wait.spec.due_at:
            _step_wait(work, child.fact.id, WaitTimedOut())


def step_silent_field_activities(work: UnitOfWork) -> None:
    """Of which the field work system has said nothing for too long."""
    for child in list(work.children.values()):
        activity = child.field
        if (
            activity is not None
            and activity.answer_by is not None
            and work.now >= activity.answer_by
        ):
            step_field_activity(work, child.fact.id, f.FieldOverdue())


def _is_read(work: UnitOfWork) -> bool:
    view = work.view
    cells = work.rules.configuration.matrix[work.order.kind]
    params = (x.parameters for x in cells if x.type is AlgorithmType.CHKMSMT)
    return view is not None and any(
        isinstance(each, CheckMeasurement) and reading_found(work.order, view, each)
        for each in params
    )


def _step_wait(work: UnitOfWork, child: ChildId, event: WaitEvent) -> None:
    known = work.children[child]
    assert known.wait is not None
    after = step_wait(known.wait, event, now=work.now)
    fact = replace(
        known.fact,
        state=wait_child_state(after),
        reason=after.reason,
        ended_at=after.ended_at,
    )
    work.children[child] = replace(known, wait=after, fact=fact)
    work.note("gateway", type(event).__name__, child, {"to": after.state.value})


# ------------------------------------------------------------ field activities


def step_field_activity(
    work: UnitOfWork, child: ChildId, event: f.FieldEvent, *, actor: str = "gateway"
) -> None:
    """Step a field activity until it rests. Raises IllegalTransition."""
    queue = [event]
    while queue:
        current = queue.pop(0)
        known = work.children[child]
        assert known.field is not None
        before = known.field
        made = step_field(before, current, now=work.now)
        _put(work, known, made.activity)
        detail = {"from": before.state.value, "to": made.activity.state.value}
        if made.activity.problem is not None:
            detail["problem"] = made.activity.problem.code
        work.note(actor, type(current).__name__, child, detail)
        for effect in made.effects:
            follow = _carry_out(work, child, effect)
            if follow is not None:
                queue.append(follow)


def _put(work: UnitOfWork, known: Child, activity: FieldActivity) -> None:
    state = field_child_state(activity)
    if known.leaving and state is ChildState.SENDING:
        state = ChildState.SENT
    reason = activity.reason or (activity.problem.text if activity.problem is not None else "")
    fact = replace(
        known.fact,
        spec=activity.spec,
        state=state,
        reason=reason,
        action=activity.problem.action if activity.problem is not None else "",
        may_push=activity.may_push,
        ended_at=activity.ended_at,
    )
    work.children[known.fact.id] = replace(known, field=activity, fact=fact)


def _carry_out(work: UnitOfWork, child: ChildId, effect: f.FieldWork) -> f.FieldEvent | None:
    activity = work.children[child].field
    assert activity is not None
    match effect:
        case f.SendMessage():
            work.messages.append(_message(work, activity, effect))
        case f.RecallMessages():
            work.recall(child)
        case f.CheckFieldRules():
            return _check(work, activity)
        case f.ExecuteEvents(successful=False):
            task = field_task(activity.spec.task, work.rules.tasks)
            canceled = replace(effect, effects=task.canceled if task else ())
            return _execute(work, activity, canceled)
        case f.ExecuteEvents():
            return _execute(work, activity, effect)
        case f.TellAppointment(slot=slot, reason=reason):
            appointment = {
                "child": child,
                "appointmentStart": slot.start.isoformat(),
                "appointmentEnd": slot.end.isoformat(),
                "reason": reason,
            }
            id_ = f"{child}/appointment/{activity.version}"
            work.reply(e.ReplyKind.INTERIM, id_, {k: v for k, v in appointment.items() if v})
        case f.WakeParent():
            work.stale = True
        case f.PushParent():
            work.pushes.append(child)
        case _:
            pass  # acknowledgement: the order's interim reply; To Dos: the order's own
    return None


def _check(work: UnitOfWork, activity: FieldActivity) -> f.FieldEvent:
    view = work.view
    if view is None:
        gone = OrderProblem(code="service_point", text="the service point is not in the registry")
        return f.FieldRejected(problem=gone)
    valid = work.rules.valid_tasks.get(view.service_point.sp_type)
    problems = field_problems(activity, view, work.site.others, valid, work.rules.tasks)
    if problems:
        text = "; ".join(each.text for each in problems)
        return f.FieldRejected(problem=replace(problems[0], text=text))
    return (
        f.AppointmentNeeded()
        if needs_appointment(activity, work.rules.tasks)
        else f.FieldValidated()
    )


def _message(work: UnitOfWork, activity: FieldActivity, effect: f.SendMessage) -> FieldMessage:
    view = work.site.records
    assert view is not None
    point = view.service_point
    visit = work.children[activity.id].fact
    tried = [(each.fact, each.command) for each in work.children.values()]
    dispatch = effect.kind in (f.MessageKind.DISPATCH, f.MessageKind.SLOTS)
    return FieldMessage(
        id=f"{activity.id}/message/{effect.number}",
        kind=effect.kind,
        number=effect.number,
        activity=activity.id,
        order=work.order.id,
        order_kind=work.order.kind,
        task=activity.spec.task,
        site=Site(
            service_point=point.id,
            category=point.category,
            connected=point.connected,
            disconnect_location=point.disconnect_location,
            device=view.device.id if view.device is not None else None,
            status=view.status,
        ),
        created_at=work.now,
        not_before=activity.spec.effective_at,
        appointment=activity.appointment,
        requester=work.order.requester,
        reference=work.order.external_reference,
        details={**(activity.spec.details if dispatch else {}), **effect.details},
        why=visit_reason(work.order.kind, visit) if dispatch else None,
        history=earlier_work(visit, tried) if dispatch else (),
    )


def _execute(work: UnitOfWork, activity: FieldActivity, effect: f.ExecuteEvents) -> f.FieldEvent:
    view = work.view
    try:
        if view is None:
            raise CompletionRefused("the service point is not in the registry")
        arriving, twin = work.site.arriving, work.site.twin
        report = known_device(effect.report, view, arriving, work.rules.supported, twin=twin)
        ordered = work.children[activity.id].fact.created_at
        check_times(report, now=work.now, ordered=ordered if work.report else None)
        off = leaves_off(activity.spec.details)
        after = apply_field_work(view, effect.effects, report, left_off=off)
        check_arrived(view, after, work.site.holders)
    except (CompletionRefused, InstallRefused) as error:
        action = "complete the visit by hand with a corrected report, or correct the records "
        action += "and retry"
        problem = OrderProblem(code="completion_refused", text=str(error), action=action)
        return f.EventsFailed(problem=problem)
    work.world = _world_write(view, after, new=arriving is None)
    if changed := _changed_at_point(view, after):
        work.point_changed(view.service_point.id, activity.id, report, changed)
    work.enter(after)
    work.stale = True
    return f.EventsExecuted() if effect.successful else f.CancelEventsExecuted()


# ------------------------------------------------------------ what a report changes in the records


def _changed_at_point(before: View, after: View) -> dict[str, object]:
    """What a visit changed at the service point and of what stands there, by its public name."""
    old, new = before.service_point, after.service_point
    changed: dict[str, object] = {}
    if new.connected is not old.connected:
        changed["connected"] = new.connected
    if new.disconnect_location is not old.disconnect_location:
        changed["disconnect_location"] = new.disconnect_location.value
    gone = [each.device.id for each in after.removed if each not in before.removed]
    if gone:
        changed["removed"] = gone[-1]
    device, status = after.device, after.status
    if device is not None and status is not None and after.installed != before.installed:
        planned = before.status is InstallStatus.PENDING
        if before.device is None or before.device.id != device.id or planned:
            changed["installed"] = device.id
        changed["install_status"] = status.value
    return changed


def _world_write(before: View, after: View, *, new: bool) -> WorldWrite:
    """The difference as guarded writes. `new` says that the registry lacks an installed device."""
    point = before.service_point != after.service_point
    came = after.device is not None and (before.device is None or before.device != after.device)
    gone = tuple(
        InstallWrite(event=each.event) for each in after.removed if each not in before.removed
    )
    return WorldWrite(
        point_before=before.service_point if point else None,
        point_after=after.service_point if point else None,
        devices=(after.device,) if came and new and after.device is not None else (),
        installs=(*gone, *_installed(before, after)),
        measurements=tuple(
            m
            if m.device is not None or after.device is None
            else replace(m, device=after.device.id)
            for m in after.measurements[len(before.measurements) :]
        ),
    )


def _installed(before: View, after: View) -> tuple[InstallWrite, ...]:
    event, old = after.installed, before.installed
    if event is None or event == old:
        return ()
    planned = old is not None and old.status is InstallStatus.PENDING
    if planned and old is not None and old.device == event.device:
        return (InstallWrite(event=event, replaces=old),)
    return (InstallWrite(event=event),)
