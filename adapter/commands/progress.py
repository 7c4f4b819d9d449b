"""What one step makes of a command: begin it, follow its communications, end it.

The transitions that the head end's answers and the time bring. Not what people ask for (cancel,
retry, resolve: `lifecycle.py`), not which steps there are (`steps.py`).

A command is judged, approved and due; then its steps come one after another: a communication
moved, or its time came; settle, try again, go on or end. Last come the data and the completion
events.
"""

from datetime import datetime
from typing import Final

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
from adapter.commands.failures import EXPIRED_HELD
from adapter.commands.flows import Completion, Tells
from adapter.commands.timing import after, next_try
from adapter.commands.transitions import Mover, Transition
from adapter.errors import Forbidden, NotFound
from adapter.model.ids import EventId
from adapter.model.names import alike
from adapter.model.values import replace_struct as replace

S = State

_UNDER_WAY: Final = frozenset(
    {
        CommunicationState.QUEUED,
        CommunicationState.SENDING,
        CommunicationState.AWAITING,
        CommunicationState.FETCHING,
    }
)


def validated(transition: Transition, event: Validated) -> None:
    """The rules were asked: refuse, wait for a second person or the effective date, or begin."""
    first = transition.activity.state is S.PENDING
    if event.drop_optional:
        transition.end(S.DISCARDED, Outcome.CANCELED, "optional, and an opposite command is open")
        return
    texts = tuple(item.text for item in event.violations)
    transition.set(violations=texts)
    if texts:
        transition.to(S.VALIDATION_ERROR, reason="; ".join(texts))
        return
    if first or transition.activity.state is S.VALIDATION_ERROR:
        transition.effects.append(Publish(name="received"))
    if event.needs_approval and transition.activity.approved_by is None:
        if transition.activity.state is not S.AWAITING_APPROVAL:
            transition.to(S.AWAITING_APPROVAL, reason="a second person must approve")
        return
    ready(transition)


def approved(transition: Transition, by: str, not_before: datetime | None) -> None:
    """Raises Forbidden for the requester."""
    if not by or alike(by, transition.command.request.requester):
        raise Forbidden("a second person must approve, not the requester")
    transition.set(approved_by=by)
    if not_before is not None:
        transition.set(effective_at=max(transition.activity.effective_at, not_before))
    ready(transition)


def ready(transition: Transition) -> None:
    if transition.expired:
        transition.end(S.DISCARDED, Outcome.EXPIRED, "expired")
        return
    transition.set(reason="", outcome=None)
    if transition.activity.effective_at > transition.now:
        if transition.activity.state is not S.WAITING_FOR_EFFECTIVE_DATE:
            transition.to(S.WAITING_FOR_EFFECTIVE_DATE)
        return
    transition.to(S.CONNECTION_READY)
    next_step(transition)


def next_step(transition: Transition) -> None:
    """Make the communications of the first step that is not done, or come to the end."""
    done = transition.activity.steps_done
    remaining = [kind for kind in steps.plan(transition.command.request) if kind not in done]
    if not remaining:
        finish(transition)
        return
    if transition.expired:
        transition.end(S.DISCARDED, Outcome.EXPIRED, "expired while in progress", by=StepExpired)
        return
    made = steps.communications(
        transition.command, remaining[0], transition.policy, now=transition.now
    )
    if not made:
        transition.end(S.DISCARDED, Outcome.FAILED, "there is nobody to send to", by=NobodyFound)
        return
    transition.make(made)
    transition.to(S.COMMUNICATION_IN_PROGRESS, by=StepBegun)


def communication_moved(transition: Transition, event: CommunicationEvent) -> None:
    """Something happened to one communication. Raises Forbidden for a send past the expiry."""
    communication = transition.command.communication(event.communication)
    moved = transition.move(communication, event)
    looks = communication.step is StepKind.SETTLE
    if isinstance(event, Dispatched) and transition.expired and not looks:
        raise Forbidden(f"{transition.command.id} has expired: nothing more is sent")
    if communication.state.final:
        return
    if communication_steps.conflicted(moved) and not communication_steps.conflicted(communication):
        transition.alarm("token_conflict", "two tokens claim one request", nth=moved.id)
    if isinstance(event, OutcomeReceived) and moved.state is CommunicationState.COMPLETED:
        many = steps.for_many(transition.command.request)
        if many and moved.step is StepKind.MAIN:
            transition.book(outcomes.answered(transition.command, moved, event.outcome))
    review(transition)


def review(transition: Transition) -> None:
    """After a communication moved: settle, retry, go on, or wait for the others."""
    if transition.activity.state not in (S.COMMUNICATION_IN_PROGRESS, S.CANCELLING):
        return
    for communication in transition.command.communications:
        if communication.state not in _UNDER_WAY or communication.step is StepKind.SETTLE:
            break
    else:  # most often: nothing is over, and nothing is looked at
        return
    _settle(transition)
    before = transition.command
    current = steps.current(before)
    for communication in current:
        if communication.state is CommunicationState.FAILED:
            _try_again(transition, communication)
        elif communication.state is CommunicationState.COMPLETED:
            _business_retry(transition, communication)
    if transition.command is not before:
        current = steps.current(transition.command)
    if current and all(item.state.final for item in current):
        _step_over(transition, current)


def _settle(transition: Transition) -> None:
    """A look at the switch is over: does it tell what became of the unclear order?"""
    unclear = steps.unclear(transition.command)
    looks = steps.open_looks(transition.command)
    if unclear is None:
        for look in looks:  # moot: the order's fate is known, or followed again
            if not look.state.final:
                look = transition.move(look, CommunicationWithdrawn())
            transition.put(replace(look, superseded=True))
        return
    if not looks or any(not item.state.final for item in looks):
        return
    for look in looks:
        transition.put(replace(look, superseded=True))
    seen = looks[-1].switch
    transition.set(switch_state=seen or transition.activity.switch_state)
    before = transition.activity.switch_before
    request = transition.command.request
    done = seen in steps.wanted_switch(request) and before in steps.opposite_switch(request)
    transition.move(unclear, LookEnded(done=done))


def _try_again(transition: Transition, communication: Communication) -> None:
    cause = communication.failure.cause if communication.failure else "unclear"
    if cause not in ("not_sent", "busy"):  # else its own tries are used up
        _resend(transition, communication, cause)


def _business_retry(transition: Transition, communication: Communication) -> None:
    request = transition.command.request
    if communication.endpoint_failure is None or steps.for_many(request):
        return
    if request.nature.tells is not Tells.REACHABLE:
        _resend(transition, communication, communication.endpoint_failure.value)


def _resend(transition: Transition, communication: Communication, cause: str) -> None:
    """A new attempt under a new communication, where the failure's row and the policy allow it."""
    if transition.activity.state is S.CANCELLING or not steps.may_resend(communication, cause):
        return
    due = next_try(transition.policy.retry, communication.attempt, now=transition.now)
    if due is None or due >= transition.activity.expires_at:
        return
    transition.put(replace(communication, superseded=True))
    transition.make((steps.again(transition.command, communication, due),))
    transition.set(retries=transition.activity.retries + 1)


def _step_over(transition: Transition, current: tuple[Communication, ...]) -> None:
    if any(item.state is CommunicationState.UNRESOLVED for item in current):
        reason = "the switch order's outcome is not known"
        transition.leave_to_people(reason, by=StepUnresolved)
        return
    done = any(item.state is CommunicationState.COMPLETED for item in current)
    if transition.activity.canceled_by is not None and not (
        done and current[0].step is StepKind.MAIN
    ):
        reason = _canceled_because(transition, current)
        transition.end(S.CANCELED, Outcome.CANCELED, reason, by=StepCanceled)
        return
    if not done and transition.expired and any(map(_cut_short, current)):
        reason = _expired_because(transition, current)
        transition.end(S.DISCARDED, Outcome.EXPIRED, reason, by=StepExpired)
        return
    optional = current[0].step is StepKind.READ
    if not optional and all(item.state is CommunicationState.CANCELED for item in current):
        failure = current[0].failure
        cause = failure.cause if failure else "canceled"
        transition.end(S.DISCARDED, Outcome.CANCELED, cause, by=StepCanceled)
        return
    _conclude(transition, current)


def _conclude(transition: Transition, current: tuple[Communication, ...]) -> None:
    """What the answers to the step make of the command: on, to its end, or to people."""
    conclusion = steps.conclude(transition.command, current)
    many = steps.for_many(transition.command.request)
    if many and any(item.state is CommunicationState.COMPLETED for item in current):
        transition.book(outcomes.broken(transition.command))
        conclusion = steps.Conclusion()
    activity = transition.activity
    told = conclusion.voltage_present
    transition.set(
        switch_state=conclusion.switch or activity.switch_state,
        switch_before=conclusion.switch_before or activity.switch_before,
        voltage_present=activity.voltage_present if told is None else told,
    )
    if conclusion.stop is not None:
        transition.end(S.DISCARDED, Outcome.FAILED, conclusion.reason, by=StepFailed)
    elif conclusion.cause is not None and transition.activity.canceled_by is not None:
        reason = f"{conclusion.reason}; the cancel came too late"
        transition.end(S.DISCARDED, Outcome.FAILED, reason, by=StepFailed)
    elif conclusion.cause is not None:
        transition.error(conclusion.reason)
    elif conclusion.satisfied:
        transition.set(outcome=Outcome.ALREADY_SATISFIED)
        complete(transition, by=AlreadySatisfied)
    else:
        too_late = "the cancel came too late" if transition.activity.canceled_by else ""
        transition.to(
            S.CONNECTION_READY,
            by=StepSucceeded,
            outcome=conclusion.outcome,
            reason=conclusion.reason or too_late,
            steps_done=(*transition.activity.steps_done, current[0].step),
        )
        next_step(transition)


def _expired_because(transition: Transition, current: tuple[Communication, ...]) -> str:
    """Its time passed while no switch order might leave: that is no failure of the meter's."""
    kept = transition.held and any(steps.moves_switch(x) and x.sent_at is None for x in current)
    return f"{EXPIRED_HELD}: {transition.held}" if kept else "expired while in progress"


def _canceled_because(transition: Transition, current: tuple[Communication, ...]) -> str:
    by = f"canceled by {transition.activity.canceled_by}"
    told = all(x.state is not CommunicationState.FAILED or steps.proves_idle(x) for x in current)
    return by if told else f"{by}; whether the head end acted is not known"


def communications_due(transition: Transition) -> None:
    """Time-outs of communications, the look at an unclear switch order, the command's expiry."""
    for communication in transition.command.communications:
        if communication_steps.overdue(communication, transition.now):
            transition.move(communication, DeadlinePassed())
    unclear = steps.unclear(transition.command)
    if unclear is not None and unclear.wake is not None and unclear.wake <= transition.now:
        transition.put(replace(unclear, wake=None, looks=unclear.looks + 1))
        transition.make(
            steps.look(transition.command, unclear, transition.policy, now=transition.now)
        )
    if transition.expired and transition.activity.state is not S.CANCELLING:
        _expire(transition)
    review(transition)


def _expire(transition: Transition) -> None:
    """Give up what is not sent, and what is no switch order; what is done stays done."""
    for communication in transition.command.communications:
        if stops_at_expiry(communication):
            transition.move(communication, CommunicationWithdrawn(why=Failure(cause="expired")))


def late_notice(transition: Transition, event: LateNotified) -> None:
    """A late success of a switch order that was given up: the world may differ from ours."""
    transition.set(late=transition.activity.late + 1)
    communication = transition.command.communication(event.communication)
    given_up = communication.state is not CommunicationState.COMPLETED
    done = event.status.result is RemoteResult.SUCCESS
    if steps.moves_switch(communication) and given_up and done:
        text = "the head end reports success for an order that was given up"
        transition.alarm("late", text, nth=str(transition.activity.late))


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


def finish(transition: Transition) -> None:
    """All steps are done; a read still waits for its data."""
    request = transition.command.request
    if request.nature.reads is not None:
        if outcomes.hopeless(transition.command):
            transition.end(S.DISCARDED, Outcome.FAILED, "no endpoint succeeded", by=StepsDone)
            return
        until = after(transition.now, transition.policy.measurement_s)
        transition.to(
            S.WAITING_FOR_MEASUREMENT, by=StepsDone, window_until=until, retry_at=transition.now
        )
        return
    complete(transition, by=StepsDone)


def complete(transition: Transition, *, by: Mover | None = None) -> None:
    """The head end's part is over: record what has to change in the registry."""
    acted = [item.acted_at for item in steps.current(transition.command) if item.acted_at]
    events = completion_events(transition, max(acted, default=transition.now))
    if transition.activity.outcome is None:
        transition.set(outcome=outcomes.outcome_of(transition.command))
    if events:
        transition.to(S.EXECUTING_COMPLETION_EVENTS, by=by, completions=events, retry_at=None)
    else:
        _to_completed(transition, by=by)


def completion_events(transition: Transition, at: datetime) -> tuple[CompletionEvent, ...]:
    main = transition.command.flow.completion
    kinds = () if main is None else (main,)
    if StepKind.READ in transition.activity.steps_done:
        kinds = (*kinds, Completion.CREATE_IMD)
    return tuple(
        CompletionEvent(id=EventId(f"{transition.command.id}:{kind.value}"), kind=kind, at=at)
        for kind in kinds
    )


def _to_completed(transition: Transition, *, by: Mover | None = None) -> None:
    """To the end; of one that people had to decide about, to that of its own."""
    outcome = transition.activity.outcome or Outcome.SUCCEEDED
    decided = transition.activity.resolution
    if decided is not None:
        transition.end(S.RESOLVED, Outcome.UNKNOWN, decided.note, by=by)
    else:
        transition.end(S.COMPLETED, outcome, transition.activity.reason, by=by)


def looked_up(transition: Transition, event: DataLookedUp) -> None:
    """Which endpoints have data by now; what is missing has until the window's end."""
    passed = (
        transition.activity.window_until is not None
        and transition.now >= transition.activity.window_until
    )
    if event.missing and not passed:
        transition.set(retry_at=after(transition.now, transition.policy.poll_every_s))
        return
    if steps.for_many(transition.command.request):
        transition.book(outcomes.data_found(transition.command, event))
    if event.missing and not event.found:
        transition.end(S.DISCARDED, Outcome.NO_DATA, "no data arrived within the window")
        return
    complete(transition)


def _move_completion(transition: Transition, change: CompletionChange) -> CompletionEvent:
    """Raises NotFound, IllegalTransition."""
    found = next((x for x in transition.activity.completions if x.id == change.event), None)
    if found is None:
        raise NotFound(f"no completion event {change.event}")
    moved = step_completion(found, change)
    events = tuple(moved if x is found else x for x in transition.activity.completions)
    transition.set(completions=events)
    return moved


def executed(transition: Transition, event: CompletionExecuted) -> None:
    """A completion event is done; with the last one the command is. Raises NotFound."""
    before = transition.activity.completions
    moved = _move_completion(transition, event)
    if transition.activity.completions == before:  # told again
        return
    transition.effects.append(Publish(name=f"completion.{moved.kind.value}", text=event.note))
    left = [x for x in transition.activity.completions if x.state is CompletionState.PENDING]
    if not left and transition.activity.state is S.EXECUTING_COMPLETION_EVENTS:
        _to_completed(transition)


def completion_failed(transition: Transition, event: CompletionFailed) -> None:
    """A completion event could not be executed: again later, at last by people."""
    failed = _move_completion(transition, event)
    again = next_try(transition.policy.retry, failed.tries, now=transition.now)
    hold = after(transition.now, transition.policy.hold_s)
    transition.to(S.COMPLETION_EVENT_ERROR, reason=event.error, retry_at=again, hold_until=hold)


def discard_completions(transition: Transition) -> None:
    for event in transition.activity.completions:
        if event.state in (CompletionState.PENDING, CompletionState.ERROR):
            _move_completion(transition, CompletionDiscarded(event=event.id))


def errors_again(transition: Transition) -> None:
    for event in transition.activity.completions:
        if event.state is CompletionState.ERROR:
            _move_completion(transition, CompletionRetried(event=event.id))


def completions_again(transition: Transition) -> None:
    errors_again(transition)
    transition.to(S.EXECUTING_COMPLETION_EVENTS, retry_at=None, hold_until=None, reason="")


def completion_error_due(transition: Transition) -> None:
    activity = transition.activity
    if activity.retry_at is not None and activity.retry_at <= transition.now:
        completions_again(transition)
    elif activity.hold_until is not None and activity.hold_until <= transition.now:
        reason = f"the meter acted, the registry did not follow: {activity.reason}"
        transition.leave_to_people(reason)
