"""What one step makes of a command: begin it, follow its communications, end it.

The transitions that the head end's answers and the time bring. Not what people ask for (cancel,
retry, resolve: `lifecycle.py`), not which steps there are (`steps.py`).

A command is judged, approved and due; then its steps come one after another: a communication
moved, or its time came; settle, try again, go on or end. Last come the data and the completion
events.
"""

from dataclasses import replace
from datetime import datetime

from adapter.commands import communication as communication_steps
from adapter.commands import outcomes, steps
from adapter.commands.activity import (
    Communication,
    CommunicationState,
    CompletionEvent,
    CompletionState,
    Failure,
    Outcome,
    State,
    StepKind,
)
from adapter.commands.calls import RemoteResult
from adapter.commands.completion import step_completion
from adapter.commands.effects import Publish
from adapter.commands.events import (
    AlreadySatisfied,
    CommunicationEvent,
    CommunicationWithdrawn,
    CompletionChange,
    CompletionDiscarded,
    CompletionExecuted,
    CompletionFailed,
    CompletionRetried,
    DataLookedUp,
    DeadlinePassed,
    Dispatched,
    LateNotified,
    LookEnded,
    NobodyFound,
    OutcomeReceived,
    StepBegun,
    StepCanceled,
    StepExpired,
    StepFailed,
    StepsDone,
    StepSucceeded,
    StepUnresolved,
    Validated,
)
from adapter.commands.flows import Completion, Tells
from adapter.commands.timing import after, next_try
from adapter.commands.transitions import Mover, Transition
from adapter.errors import Forbidden, NotFound
from adapter.model.ids import EventId

S = State


def validated(course: Transition, event: Validated) -> None:
    """The rules were asked: refuse, wait for a second person or the effective date, or begin."""
    first = course.activity.state is S.PENDING
    if event.drop_optional:
        course.end(S.DISCARDED, Outcome.CANCELED, "optional, and an opposite command is open")
        return
    texts = tuple(item.text for item in event.violations)
    course.set(violations=texts)
    if texts:
        course.to(S.VALIDATION_ERROR, reason="; ".join(texts))
        return
    if first or course.activity.state is S.VALIDATION_ERROR:
        course.effects.append(Publish(name="received"))
    if event.needs_approval and course.activity.approved_by is None:
        if course.activity.state is not S.AWAITING_APPROVAL:
            course.to(S.AWAITING_APPROVAL, reason="a second person must approve")
        return
    ready(course)


def approved(course: Transition, by: str) -> None:
    """Raises Forbidden for the requester."""
    if not by or by == course.command.request.requester:
        raise Forbidden("a second person must approve, not the requester")
    course.set(approved_by=by)
    ready(course)


def ready(course: Transition) -> None:
    if course.expired:
        course.end(S.DISCARDED, Outcome.EXPIRED, "expired")
        return
    course.set(reason="", outcome=None)
    if course.activity.effective_at > course.now:
        if course.activity.state is not S.WAITING_FOR_EFFECTIVE_DATE:
            course.to(S.WAITING_FOR_EFFECTIVE_DATE)
        return
    course.to(S.CONNECTION_READY)
    next_step(course)


def next_step(course: Transition) -> None:
    """Make the communications of the first step that is not done, or come to the end."""
    done = course.activity.steps_done
    remaining = [kind for kind in steps.plan(course.command.request) if kind not in done]
    if not remaining:
        finish(course)
        return
    if course.expired:
        course.end(S.DISCARDED, Outcome.EXPIRED, "expired while in progress", by=StepExpired)
        return
    made = steps.communications(course.command, remaining[0], course.policy, now=course.now)
    if not made:
        course.end(S.DISCARDED, Outcome.FAILED, "there is nobody to send to", by=NobodyFound)
        return
    course.make(made)
    course.to(S.COMMUNICATION_IN_PROGRESS, by=StepBegun)


def communication_moved(course: Transition, event: CommunicationEvent) -> None:
    """Something happened to one communication. Raises Forbidden for a send past the expiry."""
    communication = course.command.communication(event.communication)
    moved = course.move(communication, event)
    looks = communication.step is StepKind.SETTLE
    if isinstance(event, Dispatched) and course.expired and not looks:
        raise Forbidden(f"{course.command.id} has expired: nothing more is sent")
    if communication.state.final:
        return
    if communication_steps.conflicted(moved) and not communication_steps.conflicted(communication):
        course.alarm("token_conflict", "two tokens claim one request", nth=moved.id)
    if isinstance(event, OutcomeReceived) and moved.state is CommunicationState.COMPLETED:
        many = steps.for_many(course.command.request)
        if many and moved.step is StepKind.MAIN:
            course.book(outcomes.answered(course.command, moved, event.outcome))
    review(course)


def review(course: Transition) -> None:
    """After a communication moved: settle, retry, go on, or wait for the others."""
    if course.activity.state not in (S.COMMUNICATION_IN_PROGRESS, S.CANCELLING):
        return
    _settle(course)
    for communication in steps.current(course.command):
        if communication.state is CommunicationState.FAILED:
            _try_again(course, communication)
        elif communication.state is CommunicationState.COMPLETED:
            _business_retry(course, communication)
    current = steps.current(course.command)
    if current and all(item.state.final for item in current):
        _step_over(course, current)


def _settle(course: Transition) -> None:
    """A look at the switch is over: does it tell what became of the unclear order?"""
    unclear = steps.unclear(course.command)
    looks = steps.open_looks(course.command)
    if unclear is None:
        for look in looks:  # moot: the order's fate is known, or followed again
            if not look.state.final:
                look = course.move(look, CommunicationWithdrawn())
            course.put(replace(look, superseded=True))
        return
    if not looks or any(not item.state.final for item in looks):
        return
    for look in looks:
        course.put(replace(look, superseded=True))
    seen = looks[-1].switch
    course.set(switch_state=seen or course.activity.switch_state)
    before = course.activity.switch_before
    request = course.command.request
    done = seen in steps.wanted_switch(request) and before in steps.opposite_switch(request)
    course.move(unclear, LookEnded(done=done))


def _try_again(course: Transition, communication: Communication) -> None:
    cause = communication.failure.cause if communication.failure else "unclear"
    if cause not in ("not_sent", "busy"):  # else its own tries are used up
        _resend(course, communication, cause)


def _business_retry(course: Transition, communication: Communication) -> None:
    request = course.command.request
    if communication.endpoint_failure is None or steps.for_many(request):
        return
    if request.nature.tells is not Tells.REACHABLE:
        _resend(course, communication, communication.endpoint_failure.value)


def _resend(course: Transition, communication: Communication, cause: str) -> None:
    """A new attempt under a new communication, where the failure's row and the policy allow it."""
    if course.activity.state is S.CANCELLING or not steps.may_resend(communication, cause):
        return
    due = next_try(course.policy.retry, communication.attempt, now=course.now)
    if due is None or due >= course.activity.expires_at:
        return
    course.put(replace(communication, superseded=True))
    course.make((steps.again(course.command, communication, due),))
    course.set(retries=course.activity.retries + 1)


def _step_over(course: Transition, current: tuple[Communication, ...]) -> None:
    if any(item.state is CommunicationState.UNRESOLVED for item in current):
        reason = "the switch order's outcome is not known"
        course.end(S.NEEDS_PERSON, Outcome.UNKNOWN, reason, by=StepUnresolved)
        return
    done = any(item.state is CommunicationState.COMPLETED for item in current)
    if course.activity.canceled_by is not None and not (done and current[0].step is StepKind.MAIN):
        reason = _canceled_because(course, current)
        course.end(S.CANCELED, Outcome.CANCELED, reason, by=StepCanceled)
        return
    if not done and course.expired and any(map(_cut_short, current)):
        course.end(S.DISCARDED, Outcome.EXPIRED, "expired while in progress", by=StepExpired)
        return
    optional = current[0].step is StepKind.READ
    if not optional and all(item.state is CommunicationState.CANCELED for item in current):
        failure = current[0].failure
        cause = failure.cause if failure else "canceled"
        course.end(S.DISCARDED, Outcome.CANCELED, cause, by=StepCanceled)
        return
    _conclude(course, current)


def _conclude(course: Transition, current: tuple[Communication, ...]) -> None:
    """What the answers to the step make of the command: on, to its end, or to people."""
    conclusion = steps.conclude(course.command, current)
    many = steps.for_many(course.command.request)
    if many and any(item.state is CommunicationState.COMPLETED for item in current):
        course.book(outcomes.broken(course.command))
        conclusion = steps.Conclusion()
    course.set(
        switch_state=conclusion.switch or course.activity.switch_state,
        switch_before=conclusion.switch_before or course.activity.switch_before,
        voltage_present=(
            course.activity.voltage_present
            if conclusion.voltage_present is None
            else conclusion.voltage_present
        ),
    )
    if conclusion.stop is not None:
        course.end(S.DISCARDED, Outcome.FAILED, conclusion.reason, by=StepFailed)
    elif conclusion.cause is not None and course.activity.canceled_by is not None:
        reason = f"{conclusion.reason}; the cancel came too late"
        course.end(S.DISCARDED, Outcome.FAILED, reason, by=StepFailed)
    elif conclusion.cause is not None:
        course.error(conclusion.reason)
    elif conclusion.satisfied:
        course.set(outcome=Outcome.ALREADY_SATISFIED)
        complete(course, by=AlreadySatisfied)
    else:
        too_late = "the cancel came too late" if course.activity.canceled_by else ""
        course.set(outcome=conclusion.outcome, reason=conclusion.reason or too_late)
        course.set(steps_done=(*course.activity.steps_done, current[0].step))
        course.to(S.CONNECTION_READY, by=StepSucceeded)
        next_step(course)


def _canceled_because(course: Transition, current: tuple[Communication, ...]) -> str:
    by = f"canceled by {course.activity.canceled_by}"
    told = all(x.state is not CommunicationState.FAILED or steps.proves_idle(x) for x in current)
    return by if told else f"{by}; whether the head end acted is not known"


def communications_due(course: Transition) -> None:
    """Time-outs of communications, the look at an unclear switch order, the command's expiry."""
    for communication in course.command.communications:
        if communication_steps.overdue(communication, course.now):
            course.move(communication, DeadlinePassed())
    unclear = steps.unclear(course.command)
    if unclear is not None and unclear.wake is not None and unclear.wake <= course.now:
        course.put(replace(unclear, wake=None, looks=unclear.looks + 1))
        course.make(steps.look(course.command, unclear, course.policy, now=course.now))
    if course.expired and course.activity.state is not S.CANCELLING:
        _expire(course)
    review(course)


def _expire(course: Transition) -> None:
    """Give up what is not sent, and what is no switch order; what is done stays done."""
    for communication in course.command.communications:
        if stops_at_expiry(communication):
            course.move(communication, CommunicationWithdrawn(why=Failure(cause="expired")))


def late_notice(course: Transition, event: LateNotified) -> None:
    """A late success of a switch order that was given up: the world may differ from ours."""
    course.set(late=course.activity.late + 1)
    communication = course.command.communication(event.communication)
    given_up = communication.state is not CommunicationState.COMPLETED
    done = event.status.result is RemoteResult.SUCCESS
    if steps.moves_switch(communication) and given_up and done:
        text = "the head end reports success for an order that was given up"
        course.alarm("late", text, nth=str(course.activity.late))


def stops_at_expiry(communication: Communication) -> bool:
    """Not what is being sent: its reply is near, and may be the whole answer."""
    if communication.step is StepKind.SETTLE or communication.state.final:
        return False
    if communication.state is CommunicationState.SENDING:
        return False
    return communication.state is CommunicationState.QUEUED or not steps.moves_switch(communication)


def _cut_short(communication: Communication) -> bool:
    """Whether it was withdrawn here, not canceled at the head end."""
    there = communication.failure is not None and communication.failure.cause == "canceled_there"
    return communication.state is CommunicationState.CANCELED and not there


def finish(course: Transition) -> None:
    """All steps are done; a read still waits for its data."""
    request = course.command.request
    if request.nature.reads is not None:
        if outcomes.hopeless(course.command):
            course.end(S.DISCARDED, Outcome.FAILED, "no endpoint succeeded", by=StepsDone)
            return
        until = after(course.now, course.policy.measurement_s)
        course.to(S.WAITING_FOR_MEASUREMENT, by=StepsDone, window_until=until, retry_at=course.now)
        return
    complete(course, by=StepsDone)


def complete(course: Transition, *, by: Mover | None = None) -> None:
    """The head end's part is over: record what has to change in the registry."""
    acted = [item.acted_at for item in steps.current(course.command) if item.acted_at]
    events = completion_events(course, max(acted, default=course.now))
    if course.activity.outcome is None:
        course.set(outcome=outcomes.outcome_of(course.command))
    if events:
        course.to(S.EXECUTING_COMPLETION_EVENTS, by=by, completions=events, retry_at=None)
    else:
        _to_completed(course, by=by)


def completion_events(course: Transition, at: datetime) -> tuple[CompletionEvent, ...]:
    main = course.command.flow.completion
    kinds = () if main is None else (main,)
    if StepKind.READ in course.activity.steps_done:
        kinds = (*kinds, Completion.CREATE_IMD)
    return tuple(
        CompletionEvent(id=EventId(f"{course.command.id}:{kind.value}"), kind=kind, at=at)
        for kind in kinds
    )


def _to_completed(course: Transition, *, by: Mover | None = None) -> None:
    outcome = course.activity.outcome or Outcome.SUCCEEDED
    course.end(S.COMPLETED, outcome, course.activity.reason, by=by)


def looked_up(course: Transition, event: DataLookedUp) -> None:
    """Which endpoints have data by now; what is missing has until the window's end."""
    passed = course.activity.window_until is not None and course.now >= course.activity.window_until
    if event.missing and not passed:
        course.set(retry_at=after(course.now, course.policy.poll_every_s))
        return
    if steps.for_many(course.command.request):
        course.book(outcomes.data_found(course.command, event))
    if event.missing and not event.found:
        course.end(S.DISCARDED, Outcome.NO_DATA, "no data arrived within the window")
        return
    complete(course)


def _move_completion(course: Transition, change: CompletionChange) -> CompletionEvent:
    """Raises NotFound, IllegalTransition."""
    found = next((x for x in course.activity.completions if x.id == change.event), None)
    if found is None:
        raise NotFound(f"no completion event {change.event}")
    moved = step_completion(found, change)
    events = tuple(moved if x is found else x for x in course.activity.completions)
    course.set(completions=events)
    return moved


def executed(course: Transition, event: CompletionExecuted) -> None:
    """A completion event is done; with the last one the command is. Raises NotFound."""
    before = course.activity.completions
    moved = _move_completion(course, event)
    if course.activity.completions == before:  # told again
        return
    course.effects.append(Publish(name=f"completion.{moved.kind.value}"))
    left = [x for x in course.activity.completions if x.state is CompletionState.PENDING]
    if not left and course.activity.state is S.EXECUTING_COMPLETION_EVENTS:
        _to_completed(course)


def completion_failed(course: Transition, event: CompletionFailed) -> None:
    """A completion event could not be executed: again later, at last by people."""
    failed = _move_completion(course, event)
    again = next_try(course.policy.retry, failed.tries, now=course.now)
    if course.activity.state is not S.NEEDS_PERSON:
        hold = after(course.now, course.policy.hold_s)
        course.to(S.COMPLETION_EVENT_ERROR, reason=event.error, retry_at=again, hold_until=hold)
        return
    course.set(retry_at=again)
    if again is None:
        course.alarm(f"completion_failed.{failed.kind.value}", event.error, nth=str(failed.tries))
    else:
        _move_completion(course, CompletionRetried(event=failed.id))


def discard_completions(course: Transition) -> None:
    for event in course.activity.completions:
        if event.state in (CompletionState.PENDING, CompletionState.ERROR):
            _move_completion(course, CompletionDiscarded(event=event.id))


def errors_again(course: Transition) -> None:
    for event in course.activity.completions:
        if event.state is CompletionState.ERROR:
            _move_completion(course, CompletionRetried(event=event.id))


def completions_again(course: Transition) -> None:
    errors_again(course)
    course.to(S.EXECUTING_COMPLETION_EVENTS, retry_at=None, hold_until=None, reason="")


def completion_error_due(course: Transition) -> None:
    activity = course.activity
    if activity.retry_at is not None and activity.retry_at <= course.now:
        completions_again(course)
    elif activity.hold_until is not None and activity.hold_until <= course.now:
        reason = f"the meter acted, the registry did not follow: {activity.reason}"
        course.end(S.NEEDS_PERSON, Outcome.UNKNOWN, reason)
