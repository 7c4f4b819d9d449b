"""The command activity: TRANSITIONS and step().

    pending ─> validation_error | awaiting_approval | waiting_for_effective_date
            ─> connection_ready ─> communication_in_progress ─┐
                     ^                                        │ one step after another:
                     └────────────────────────────────────────┘ checks, read, request
            ─> waiting_for_measurement ─> executing_completion_events ─> completed

The activity returns to connection_ready after each exchange; the next step is chosen from what is
done. Errors wait for a person, within a bound; every command ends in exactly one final state (I1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from adapter.commands import accounts, communication, steps
from adapter.commands.activity import (
    TO_DO,
    Activity,
    Command,
    CompletionEvent,
    CompletionState,
    Exchange,
    ExchangeState,
    Failure,
    Resolution,
    State,
    StepKind,
    Verdict,
)
from adapter.commands.calls import RemoteResult
from adapter.commands.effects import Effect, Publish, RecordOutcomes, ReleaseLanes, Severity
from adapter.commands.events import (
    Approved,
    CancelAsked,
    CompletionExecuted,
    CompletionFailed,
    DataLookedUp,
    DiscardAsked,
    Dispatched,
    Event,
    ExchangeEvent,
    LateNotified,
    OutcomeReceived,
    Resolved,
    RetryAsked,
    TimePassed,
    Validated,
)
from adapter.commands.flows import READ_KINDS, SWITCH_KINDS, Completion
from adapter.commands.timing import Policy, after, next_try
from adapter.errors import Forbidden, IllegalTransition, NotFound
from adapter.model.ids import EventId

S = State
_ENDS: Final = frozenset({S.DISCARDED, S.CANCELED})
# fmt: off
TRANSITIONS: Final[Mapping[State, frozenset[State]]] = MappingProxyType({
    S.PENDING:                     frozenset({S.VALIDATION_ERROR, S.AWAITING_APPROVAL, S.WAITING_FOR_EFFECTIVE_DATE, S.CONNECTION_READY, S.DISCARDED}),
    S.VALIDATION_ERROR:            frozenset({S.VALIDATION_ERROR, S.AWAITING_APPROVAL, S.WAITING_FOR_EFFECTIVE_DATE, S.CONNECTION_READY}) | _ENDS,
    S.AWAITING_APPROVAL:           frozenset({S.VALIDATION_ERROR, S.WAITING_FOR_EFFECTIVE_DATE, S.CONNECTION_READY}) | _ENDS,
    S.WAITING_FOR_EFFECTIVE_DATE:  frozenset({S.VALIDATION_ERROR, S.AWAITING_APPROVAL, S.CONNECTION_READY}) | _ENDS,
    S.CONNECTION_READY:            frozenset({S.COMMUNICATION_IN_PROGRESS, S.WAITING_FOR_MEASUREMENT, S.EXECUTING_COMPLETION_EVENTS, S.COMPLETED, S.DISCARDED}),
    S.COMMUNICATION_IN_PROGRESS:   frozenset({S.CONNECTION_READY, S.COMMUNICATION_ERROR, S.CANCELLING, S.NEEDS_PERSON, S.EXECUTING_COMPLETION_EVENTS}) | _ENDS,
    S.COMMUNICATION_ERROR:         frozenset({S.CONNECTION_READY}) | _ENDS,
    S.WAITING_FOR_MEASUREMENT:     frozenset({S.EXECUTING_COMPLETION_EVENTS, S.DISCARDED}),
    S.EXECUTING_COMPLETION_EVENTS: frozenset({S.COMPLETION_EVENT_ERROR, S.COMPLETED}),
    S.COMPLETION_EVENT_ERROR:      frozenset({S.EXECUTING_COMPLETION_EVENTS, S.DISCARDED, S.NEEDS_PERSON}),
    S.CANCELLING:                  frozenset({S.CONNECTION_READY, S.COMMUNICATION_ERROR, S.NEEDS_PERSON}) | _ENDS,
    S.COMPLETED:                   frozenset(),
    S.DISCARDED:                   frozenset(),
    S.CANCELED:                    frozenset(),
    S.NEEDS_PERSON:                frozenset(),
})

ACCEPTS: Final[Mapping[type[Event], frozenset[State]]] = MappingProxyType({
    Validated:          frozenset({S.PENDING, S.VALIDATION_ERROR, S.AWAITING_APPROVAL, S.WAITING_FOR_EFFECTIVE_DATE}),
    Approved:           frozenset({S.AWAITING_APPROVAL}),
    CancelAsked:        frozenset({S.VALIDATION_ERROR, S.AWAITING_APPROVAL, S.WAITING_FOR_EFFECTIVE_DATE, S.COMMUNICATION_IN_PROGRESS, S.COMMUNICATION_ERROR}),
    RetryAsked:         frozenset({S.COMMUNICATION_ERROR, S.COMPLETION_EVENT_ERROR, S.NEEDS_PERSON}),
    DiscardAsked:       frozenset({S.VALIDATION_ERROR, S.AWAITING_APPROVAL, S.WAITING_FOR_EFFECTIVE_DATE, S.COMMUNICATION_ERROR, S.COMPLETION_EVENT_ERROR}),
    Resolved:           frozenset({S.NEEDS_PERSON}),
    DataLookedUp:       frozenset({S.WAITING_FOR_MEASUREMENT}),
    CompletionExecuted: frozenset({S.EXECUTING_COMPLETION_EVENTS, S.NEEDS_PERSON}),
    CompletionFailed:   frozenset({S.EXECUTING_COMPLETION_EVENTS, S.NEEDS_PERSON}),
    LateNotified:       frozenset(State),
    TimePassed:         frozenset(State),
})
# fmt: on
"""In which states an event is taken. For exchange events their exchange decides."""

_ASKED: Final[Mapping[type[Event], str]] = MappingProxyType(
    {
        Approved: "approve",
        CancelAsked: "cancel",
        RetryAsked: "retry",
        DiscardAsked: "discard",
        Resolved: "resolve",
    }
)
"""What people ask for, in their words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One change of state, for the history: of the command, or of one of its exchanges."""

    subject: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    command: Command
    effects: tuple[Effect, ...] = ()
    moves: tuple[Move, ...] = ()


def step(command: Command, event: Event, *, now: datetime, policy: Policy) -> Step:
    """Apply one event. Raises IllegalTransition or Forbidden, and then changes nothing."""
    state = command.activity.state
    accepted = ACCEPTS.get(type(event))
    if accepted is not None and state not in accepted:
        what = _ASKED.get(type(event), type(event).__name__)
        raise IllegalTransition(
            f"command {command.id} is {state}; {what} is for {', '.join(sorted(accepted))}"
        )
    return _Stepping(command, now, policy).run(event)


def wake_of(command: Command) -> datetime | None:
    """When the command next needs attention by itself; None: only events move it."""
    activity = command.activity
    times: list[datetime | None] = []
    match activity.state:
        case S.PENDING | S.VALIDATION_ERROR | S.AWAITING_APPROVAL:
            times.append(activity.expires_at)
        case S.WAITING_FOR_EFFECTIVE_DATE:
            times += [activity.effective_at, activity.expires_at]
        case S.COMMUNICATION_ERROR:
            times.append(activity.hold_until)
        case S.COMPLETION_EVENT_ERROR:
            times += [activity.retry_at, activity.hold_until]
        case S.WAITING_FOR_MEASUREMENT:
            times += [activity.retry_at, activity.window_until]
        case S.COMMUNICATION_IN_PROGRESS if any(map(_stops_at_expiry, command.exchanges)):
            times.append(activity.expires_at)
        case _:
            pass
    if activity.next_completion is not None:
        times.append(activity.retry_at or activity.created_at)
    if activity.state in (S.COMMUNICATION_IN_PROGRESS, S.CANCELLING):
        times += [communication.due_at(item) for item in command.exchanges]
    return min((time for time in times if time is not None), default=None)


def _stops_at_expiry(exchange: Exchange) -> bool:
    """Not what is being sent: its reply is near, and may be the whole answer."""
    if exchange.step is StepKind.SETTLE or exchange.state.final:
        return False
    if exchange.state is ExchangeState.SENDING:
        return False
    return exchange.state is ExchangeState.QUEUED or not steps.moves_switch(exchange)


class _Stepping:
    """One run of `step`: the command as it becomes, and what is gathered on the way."""

    def __init__(self, command: Command, now: datetime, policy: Policy) -> None:
        self._command = command
        self._now = now
        self._policy = policy
        self._effects: list[Effect] = []
        self._moves: list[Move] = []

    @property
    def _activity(self) -> Activity:
        return self._command.activity

    @property
    def _expired(self) -> bool:
        return self._activity.expires_at <= self._now

    def run(self, event: Event) -> Step:
        match event:
            case Validated():
                self._validated(event)
            case Approved(by=by):
                self._approved(by)
            case CancelAsked(by=by, reason=reason):
                self._cancel(by, reason)
            case RetryAsked():
                self._retry()
            case DiscardAsked(by=by, reason=reason):
                self._discard_completions()
                self._end(S.DISCARDED, Verdict.FAILED, reason or f"discarded by {by}")
            case Resolved():
                self._resolved(event)
            case DataLookedUp():
                self._looked_up(event)
            case CompletionExecuted(event=event_id):
                self._executed(event_id)
            case CompletionFailed(event=event_id, error=error):
                self._completion_failed(event_id, error)
            case LateNotified():
                self._late(event)
            case TimePassed():
                self._time_passed()
            case _:
                self._exchange_event(event)
        return Step(command=self._command, effects=tuple(self._effects), moves=tuple(self._moves))

    # ------------------------------------------------------------ small movements

    def _set(self, **changes: object) -> None:
        activity = replace(self._activity, **changes)  # type: ignore[arg-type]
        self._command = replace(self._command, activity=activity)

    def _to(self, state: State, **changes: object) -> None:
        before = self._activity.state
        if state not in TRANSITIONS[before]:
            raise IllegalTransition(f"{before} to {state} of {self._command.id}")
        self._set(state=state, **changes)
        self._moves.append(Move(subject=self._command.id, before=before, after=state))
        if state in TO_DO and state is not S.NEEDS_PERSON and state is not before:
            self._effects.append(
                Publish(
                    name=f"to_do.{state}.{self._activity.retries}",
                    severity=Severity.WARNING,
                    text=self._activity.reason,
                )
            )

    def _end(self, state: State, verdict: Verdict, reason: str = "") -> None:
        """Enter a final state: nothing stays open, the requester is told once."""
        for exchange in self._command.exchanges:
            if not exchange.state.final:
                self._put(communication.withdraw(exchange))
        self._book(accounts.closing(self._command))
        self._to(state, verdict=verdict, reason=reason, finished_at=self._now)
        severity = Severity.CRITICAL if state is S.NEEDS_PERSON else Severity.INFO
        self._effects.append(Publish(name=state.value, severity=severity, text=reason))
        if state is not S.NEEDS_PERSON:
            self._effects.append(ReleaseLanes())

    def _put(self, exchange: Exchange) -> None:
        known = {item.id: item for item in self._command.exchanges}
        before = known.get(exchange.id)
        known[exchange.id] = exchange
        self._command = replace(self._command, exchanges=tuple(known.values()))
        if before is None or before.state is not exchange.state:
            self._moves.append(
                Move(
                    subject=exchange.id,
                    before=before.state if before else "",
                    after=exchange.state,
                )
            )

    def _error(self, cause: str) -> None:
        if self._expired:  # nobody could try again any more
            self._end(S.DISCARDED, Verdict.FAILED, cause)
            return
        hold = after(self._now, self._policy.hold_s)
        self._to(S.COMMUNICATION_ERROR, reason=cause, hold_until=hold, verdict=Verdict.FAILED)

    # ------------------------------------------------------------ acceptance

    def _validated(self, event: Validated) -> None:
        first = self._activity.state is S.PENDING
        if event.drop_optional:
            self._end(S.DISCARDED, Verdict.CANCELED, "optional, and an opposite command is open")
            return
        texts = tuple(item.text for item in event.violations)
        self._set(violations=texts)
        if texts:
            self._to(S.VALIDATION_ERROR, reason="; ".join(texts))
            return
        if first or self._activity.state is S.VALIDATION_ERROR:
            self._effects.append(Publish(name="received"))
        if event.needs_approval and self._activity.approved_by is None:
            if self._activity.state is not S.AWAITING_APPROVAL:
                self._to(S.AWAITING_APPROVAL, reason="a second person must approve")
            return
        self._ready()

    def _approved(self, by: str) -> None:
        if not by or by == self._command.request.requester:
            raise Forbidden("a second person must approve, not the requester")
        self._set(approved_by=by)
        self._ready()

    def _ready(self) -> None:
        if self._expired:
            self._end(S.DISCARDED, Verdict.EXPIRED, "expired")
            return
        self._set(reason="", verdict=None)
        if self._activity.effective_at > self._now:
            if self._activity.state is not S.WAITING_FOR_EFFECTIVE_DATE:
                self._to(S.WAITING_FOR_EFFECTIVE_DATE)
            return
        self._to(S.CONNECTION_READY)
        self._next_step()

    def _next_step(self) -> None:
        done = self._activity.steps_done
        remaining = [kind for kind in steps.plan(self._command.request) if kind not in done]
        if not remaining:
            self._finish()
            return
        if self._expired:
            self._end(S.DISCARDED, Verdict.EXPIRED, "expired while in progress")
            return
        made = steps.exchanges(self._command, remaining[0], self._policy, now=self._now)
        if not made:
            self._end(S.DISCARDED, Verdict.FAILED, "there is nobody to send to")
            return
        self._make(made)
        self._to(S.COMMUNICATION_IN_PROGRESS)

    def _make(self, exchanges: tuple[Exchange, ...]) -> None:
        self._set(exchanges_made=self._activity.exchanges_made + len(exchanges))
        for exchange in exchanges:
            self._put(exchange)

    # ------------------------------------------------------------ exchanges

    def _exchange_event(self, event: ExchangeEvent) -> None:
        exchange = self._command.exchange(event.exchange)
        moved = communication.step(exchange, event, now=self._now, policy=self._policy)
        looks = exchange.step is StepKind.SETTLE
        if isinstance(event, Dispatched) and self._expired and not looks:
            raise Forbidden(f"{self._command.id} has expired: nothing more is sent")
        self._put(moved)
        if exchange.state.final:
            return
        if communication.conflicted(moved) and not communication.conflicted(exchange):
            self._alarm(f"token_conflict.{moved.id}", "two tokens claim one request")
        if isinstance(event, OutcomeReceived) and moved.state is ExchangeState.COMPLETED:
            many = steps.for_many(self._command.request)
            if many and moved.step is StepKind.MAIN:
                self._book(accounts.answered(self._command, moved, event.outcome))
        self._review()

    def _alarm(self, name: str, text: str) -> None:
        self._effects.append(Publish(name=name, severity=Severity.CRITICAL, text=text))

    def _book(self, entry: accounts.Entry) -> None:
        self._set(tally=entry.tally)
        if entry.rows:
            self._effects.append(RecordOutcomes(rows=entry.rows))

    def _review(self) -> None:
        """After an exchange moved: settle, retry, go on, or wait for the others."""
        if self._activity.state not in (S.COMMUNICATION_IN_PROGRESS, S.CANCELLING):
            return
        self._settle()
        for exchange in steps.current(self._command):
            if exchange.state is ExchangeState.FAILED:
                self._try_again(exchange)
            elif exchange.state is ExchangeState.COMPLETED:
                self._business_retry(exchange)
        current = steps.current(self._command)
        if current and all(item.state.final for item in current):
            self._step_over(current)

    def _settle(self) -> None:
        """A look at the switch is over: does it tell what became of the unclear order?"""
        unclear = steps.unclear(self._command)
        looks = steps.open_looks(self._command)
        if unclear is None:
            for look in looks:  # moot: the order's fate is known, or followed again
                known = look if look.state.final else communication.withdraw(look)
                self._put(replace(known, superseded=True))
            return
        if not looks or any(not item.state.final for item in looks):
            return
        for look in looks:
            self._put(replace(look, superseded=True))
        seen = looks[-1].switch
        self._set(switch_state=seen or self._activity.switch_state)
        before = self._activity.switch_before
        request = self._command.request
        if seen in steps.wanted_switch(request) and before in steps.opposite_switch(request):
            self._put(
                replace(
                    unclear,
                    state=ExchangeState.COMPLETED,
                    wake=None,
                    inferred=True,
                    acted_at=self._now,
                )
            )
        elif unclear.looks >= self._policy.settle_looks:
            self._put(replace(unclear, state=ExchangeState.UNRESOLVED, wake=None))
        else:
            self._put(replace(unclear, wake=after(self._now, self._policy.settle_s)))

    def _try_again(self, exchange: Exchange) -> None:
        cause = exchange.failure.cause if exchange.failure else "unclear"
        if cause not in ("not_sent", "busy"):  # else its own tries are used up
            self._resend(exchange, cause)

    def _business_retry(self, exchange: Exchange) -> None:
        request = self._command.request
        if exchange.endpoint_failure is None or steps.for_many(request):
            return
        if request.kind not in steps.STATUS_CHECKS:
            self._resend(exchange, exchange.endpoint_failure.value)

    def _resend(self, exchange: Exchange, cause: str) -> None:
        """A new attempt under a new exchange, where the failure's row and the policy allow it."""
        if self._activity.state is S.CANCELLING or not steps.may_resend(exchange, cause):
            return
        due = next_try(self._policy.retry, exchange.attempt, now=self._now)
        if due is None or due >= self._activity.expires_at:
            return
        self._put(replace(exchange, superseded=True))
        self._make((steps.again(self._command, exchange, due),))
        self._set(retries=self._activity.retries + 1)

    def _step_over(self, current: tuple[Exchange, ...]) -> None:
        if any(item.state is ExchangeState.UNRESOLVED for item in current):
            self._end(S.NEEDS_PERSON, Verdict.UNKNOWN, "the switch order's outcome is not known")
            return
        done = any(item.state is ExchangeState.COMPLETED for item in current)
        if self._activity.canceled_by is not None and not (
            done and current[0].step is StepKind.MAIN
        ):
            self._end(S.CANCELED, Verdict.CANCELED, self._canceled_because(current))
            return
        if not done and self._expired and any(map(_cut_short, current)):
            self._end(S.DISCARDED, Verdict.EXPIRED, "expired while in progress")
            return
        optional = current[0].step is StepKind.READ
        if not optional and all(item.state is ExchangeState.CANCELED for item in current):
            failure = current[0].failure
            self._end(S.DISCARDED, Verdict.CANCELED, failure.cause if failure else "canceled")
            return
        verdict = steps.conclude(self._command, current)
        if done and steps.for_many(self._command.request):
            self._book(accounts.broken(self._command))
            verdict = steps.Conclusion()
        self._set(
            switch_state=verdict.switch or self._activity.switch_state,
            switch_before=verdict.switch_before or self._activity.switch_before,
            voltage_present=(
                self._activity.voltage_present
                if verdict.voltage_present is None
                else verdict.voltage_present
            ),
        )
        if verdict.stop is not None:
            self._end(S.DISCARDED, Verdict.FAILED, verdict.reason)
        elif verdict.cause is not None and self._activity.canceled_by is not None:
            reason = f"{verdict.reason}; the cancel came too late"
            self._end(S.DISCARDED, Verdict.FAILED, reason)
        elif verdict.cause is not None:
            self._error(verdict.reason)
        elif verdict.satisfied:
            self._set(verdict=Verdict.ALREADY_SATISFIED)
            self._complete()
        else:
            too_late = "the cancel came too late" if self._activity.canceled_by else ""
            self._set(verdict=verdict.verdict, reason=verdict.reason or too_late)
            self._set(steps_done=(*self._activity.steps_done, current[0].step))
            self._to(S.CONNECTION_READY)
            self._next_step()

    def _canceled_because(self, current: tuple[Exchange, ...]) -> str:
        by = f"canceled by {self._activity.canceled_by}"
        told = all(x.state is not ExchangeState.FAILED or steps.proves_idle(x) for x in current)
        return by if told else f"{by}; whether the head end acted is not known"

    # ------------------------------------------------------------ the end of a command

    def _finish(self) -> None:
        request = self._command.request
        if request.kind in READ_KINDS:
            if accounts.hopeless(self._command):
                self._end(S.DISCARDED, Verdict.FAILED, "no endpoint succeeded")
                return
            until = after(self._now, self._policy.measurement_s)
            self._to(S.WAITING_FOR_MEASUREMENT, window_until=until, retry_at=self._now)
            return
        self._complete()

    def _complete(self) -> None:
        """The head end's part is over: record what has to change in the registry."""
        acted = [item.acted_at for item in steps.current(self._command) if item.acted_at]
        events = self._completion_events(max(acted, default=self._now))
        if self._activity.verdict is None:
            self._set(verdict=accounts.verdict_of(self._command))
        if events:
            self._to(S.EXECUTING_COMPLETION_EVENTS, completions=events, retry_at=None)
        else:
            self._to_completed()

    def _completion_events(self, at: datetime) -> tuple[CompletionEvent, ...]:
        main = self._command.flow.completion
        kinds = () if main is None else (main,)
        if StepKind.READ in self._activity.steps_done:
            kinds = (*kinds, Completion.CREATE_IMD)
        return tuple(
            CompletionEvent(id=EventId(f"{self._command.id}:{kind.value}"), kind=kind, at=at)
            for kind in kinds
        )

    def _to_completed(self) -> None:
        verdict = self._activity.verdict or Verdict.SUCCEEDED
        self._end(S.COMPLETED, verdict, self._activity.reason)

    def _looked_up(self, event: DataLookedUp) -> None:
        passed = (
            self._activity.window_until is not None and self._now >= self._activity.window_until
        )
        if event.missing and not passed:
            self._set(retry_at=after(self._now, self._policy.poll_every_s))
            return
        if steps.for_many(self._command.request):
            self._book(accounts.data_found(self._command, event))
        if event.missing and not event.found:
            self._end(S.DISCARDED, Verdict.NO_DATA, "no data arrived within the window")
            return
        self._complete()

    def _with_completion(self, event_id: EventId, **changes: object) -> None:
        events = tuple(
            replace(item, **changes) if item.id == event_id else item  # type: ignore[arg-type]
            for item in self._activity.completions
        )
        self._set(completions=events)

    def _completion(self, event_id: EventId) -> CompletionEvent:
        found = next((x for x in self._activity.completions if x.id == event_id), None)
        if found is None:
            raise NotFound(f"no completion event {event_id}")
        return found

    def _executed(self, event_id: EventId) -> None:
        event = self._completion(event_id)
        if event.state is CompletionState.EXECUTED:
            return
        if event.state is not CompletionState.PENDING:
            raise IllegalTransition(f"{event_id} is {event.state}")
        self._with_completion(event_id, state=CompletionState.EXECUTED, error="")
        self._effects.append(Publish(name=f"completion.{event.kind.value}"))
        left = [x for x in self._activity.completions if x.state is CompletionState.PENDING]
        if not left and self._activity.state is S.EXECUTING_COMPLETION_EVENTS:
            self._to_completed()

    def _completion_failed(self, event_id: EventId, error: str) -> None:
        event = self._completion(event_id)
        if event.state is not CompletionState.PENDING:
            raise IllegalTransition(f"{event_id} is {event.state}")
        tries = event.tries + 1
        again = next_try(self._policy.retry, tries, now=self._now)
        if self._activity.state is S.NEEDS_PERSON:
            state = CompletionState.ERROR if again is None else CompletionState.PENDING
            self._with_completion(event_id, state=state, error=error, tries=tries)
            self._set(retry_at=again)
            if again is None:
                self._alarm(f"completion_failed.{event.kind.value}.{tries}", error)
            return
        self._with_completion(event_id, state=CompletionState.ERROR, error=error, tries=tries)
        hold = after(self._now, self._policy.hold_s)
        self._to(S.COMPLETION_EVENT_ERROR, reason=error, retry_at=again, hold_until=hold)

    def _discard_completions(self) -> None:
        for event in self._activity.completions:
            if event.state is not CompletionState.EXECUTED:
                self._with_completion(event.id, state=CompletionState.DISCARDED)

    # ------------------------------------------------------------ people

    def _cancel(self, by: str, reason: str) -> None:
        if steps.unclear(self._command) is not None:
            raise Forbidden("the order's outcome is unclear: it cannot be canceled any more")
        self._set(canceled_by=by)
        open_ones = [item for item in self._command.exchanges if not item.state.final]
        for exchange in open_ones:
            self._put(communication.want_cancel(exchange, now=self._now))
        if all(item.state.final for item in self._command.exchanges):
            self._end(S.CANCELED, Verdict.CANCELED, reason or f"canceled by {by}")
        else:
            self._to(S.CANCELLING, reason=reason)

    def _retry(self) -> None:
        if self._activity.state is S.COMPLETION_EVENT_ERROR:
            self._completions_again()
            return
        if self._activity.state is S.NEEDS_PERSON:
            self._resolved_again()
            return
        if self._expired:
            raise Forbidden("the command has expired: a new one is needed")
        redo = self._command.request.kind in SWITCH_KINDS  # the checks too: the world has moved on
        parts = self._command.exchanges if redo else steps.current(self._command)
        for exchange in parts:
            self._put(replace(exchange, superseded=True))
        if redo:
            self._set(steps_done=())
        self._set(retries=self._activity.retries + 1, verdict=None, reason="", hold_until=None)
        self._to(S.CONNECTION_READY)
        self._next_step()

    def _resolved_again(self) -> None:
        if all(x.state is not CompletionState.ERROR for x in self._activity.completions):
            raise Forbidden("there is nothing to repeat; to order it again needs a new command")
        if self._activity.resolution is None:
            raise Forbidden("two people must first decide what became of it")
        self._errors_again()
        self._set(retry_at=None)

    def _errors_again(self) -> None:
        for event in self._activity.completions:
            if event.state is CompletionState.ERROR:
                self._with_completion(event.id, state=CompletionState.PENDING)

    def _completions_again(self) -> None:
        self._errors_again()
        self._to(S.EXECUTING_COMPLETION_EVENTS, retry_at=None, hold_until=None, reason="")

    def _resolved(self, event: Resolved) -> None:
        if event.operator == event.approver or not event.operator or not event.approver:
            raise Forbidden("an unknown outcome is closed by two different people")
        if self._activity.resolution is not None:
            raise Forbidden("this command has been closed already")
        self._set(
            resolution=Resolution(
                done=event.done,
                operator=event.operator,
                approver=event.approver,
                at=self._now,
                note=event.note,
            )
        )
        if not event.done:
            self._discard_completions()
        elif self._activity.completions:
            self._errors_again()
        else:
            self._set(completions=self._completion_events(self._now))
        self._set(retry_at=None)
        self._effects += [Publish(name="resolved", text=event.note), ReleaseLanes()]

    def _late(self, event: LateNotified) -> None:
        """A late success of a switch order that was given up: the world may differ from ours."""
        self._set(late=self._activity.late + 1)
        exchange = self._command.exchange(event.exchange)
        given_up = exchange.state is not ExchangeState.COMPLETED
        done = event.status.result is RemoteResult.SUCCESS
        if steps.moves_switch(exchange) and given_up and done:
            text = "the head end reports success for an order that was given up"
            self._alarm(f"late.{self._activity.late}", text)

    # ------------------------------------------------------------ time

    def _time_passed(self) -> None:
        activity = self._activity
        match activity.state:
            case (
                S.PENDING | S.VALIDATION_ERROR | S.AWAITING_APPROVAL | S.WAITING_FOR_EFFECTIVE_DATE
            ):
                if activity.expires_at <= self._now:
                    self._end(S.DISCARDED, Verdict.EXPIRED, activity.reason or "expired")
            case S.COMMUNICATION_ERROR:
                if activity.hold_until is not None and activity.hold_until <= self._now:
                    self._end(S.DISCARDED, Verdict.FAILED, activity.reason)
            case S.COMPLETION_EVENT_ERROR:
                self._completion_error_due()
            case S.COMMUNICATION_IN_PROGRESS | S.CANCELLING:
                self._exchanges_due()
            case _:
                pass

    def _completion_error_due(self) -> None:
        activity = self._activity
        if activity.retry_at is not None and activity.retry_at <= self._now:
            self._completions_again()
        elif activity.hold_until is not None and activity.hold_until <= self._now:
            reason = f"the meter acted, the registry did not follow: {activity.reason}"
            self._end(S.NEEDS_PERSON, Verdict.UNKNOWN, reason)

    def _exchanges_due(self) -> None:
        for exchange in self._command.exchanges:
            moved = communication.overdue(exchange, now=self._now, policy=self._policy)
            if moved is not exchange:
                self._put(moved)
        unclear = steps.unclear(self._command)
        if unclear is not None and unclear.wake is not None and unclear.wake <= self._now:
            self._put(replace(unclear, wake=None, looks=unclear.looks + 1))
            self._make(steps.look(self._command, unclear, self._policy, now=self._now))
        if self._expired and self._activity.state is not S.CANCELLING:
            self._expire()
        self._review()

    def _expire(self) -> None:
        """Give up what is not sent, and what is no switch order; what is done stays done."""
        for exchange in self._command.exchanges:
            if _stops_at_expiry(exchange):
                why = Failure(cause="expired")
                self._put(communication.withdraw(exchange, why))


def _cut_short(exchange: Exchange) -> bool:
    """Whether it was withdrawn here, not canceled at the head end."""
    there = exchange.failure is not None and exchange.failure.cause == "canceled_there"
    return exchange.state is ExchangeState.CANCELED and not there
