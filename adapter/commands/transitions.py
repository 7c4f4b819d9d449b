"""The arrows of a command activity: which state follows which, and which event is taken where.

    pending ─> validation_error | awaiting_approval | waiting_for_effective_date
            ─> connection_ready ─> communication_in_progress ─┐
                     ^                                        │ one step after another:
                     └────────────────────────────────────────┘ checks, read, request
            ─> waiting_for_measurement ─> executing_completion_events ─> completed

The activity returns to connection_ready after each communication; the next step is chosen from what is
done. Errors wait for a person, within a bound; every command ends in exactly one final state (I1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from adapter.commands import communication as communication_steps
from adapter.commands import outcomes
from adapter.commands.activity import TO_DO, Activity, Command, Communication, Outcome, State
from adapter.commands.effects import Effect, Publish, RecordOutcomes, ReleaseLanes, Severity
from adapter.commands.events import (
    Approved,
    CancelAsked,
    ClockCorrected,
    CompletionExecuted,
    CompletionFailed,
    DataLookedUp,
    DiscardAsked,
    Event,
    LateNotified,
    Resolved,
    RetryAsked,
    TimePassed,
    Validated,
)
from adapter.commands.timing import Policy, after
from adapter.errors import IllegalTransition

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
    ClockCorrected:     frozenset(State),
})
# fmt: on
"""In which states an event is taken. For communication events their communication decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One change of state, for the history: of the command, or of one of its communications."""

    subject: str
    before: str
    after: str


class Transition:
    """Moves the command; only `to` sets its state, and only along an arrow."""

    def __init__(self, command: Command, now: datetime, policy: Policy) -> None:
        self.command = command
        self.now = now
        self.policy = policy
        self.effects: list[Effect] = []
        self.moves: list[Move] = []

    @property
    def activity(self) -> Activity:
        return self.command.activity

    @property
    def expired(self) -> bool:
        return self.activity.expires_at <= self.now

    def set(self, **changes: object) -> None:
        activity = replace(self.activity, **changes)  # type: ignore[arg-type]
        self.command = replace(self.command, activity=activity)

    def to(self, state: State, **changes: object) -> None:
        before = self.activity.state
        if state not in TRANSITIONS[before]:
            raise IllegalTransition(f"{before} to {state} of {self.command.id}")
        self.set(state=state, **changes)
        self.moves.append(Move(subject=self.command.id, before=before, after=state))
        if state in TO_DO and state is not S.NEEDS_PERSON and state is not before:
            self.effects.append(
                Publish(
                    name=f"to_do.{state}.{self.activity.retries}",
                    severity=Severity.WARNING,
                    text=self.activity.reason,
                )
            )

    def end(self, state: State, verdict: Outcome, reason: str = "") -> None:
        """Enter a final state: nothing stays open, the requester is told once."""
        for communication in self.command.communications:
            if not communication.state.final:
                self.put(communication_steps.withdraw(communication))
        self.book(outcomes.closing(self.command))
        self.to(state, verdict=verdict, reason=reason, finished_at=self.now)
        severity = Severity.CRITICAL if state is S.NEEDS_PERSON else Severity.INFO
        self.effects.append(Publish(name=state.value, severity=severity, text=reason))
        if state is not S.NEEDS_PERSON:
            self.effects.append(ReleaseLanes())

    def put(self, communication: Communication) -> None:
        known = {item.id: item for item in self.command.communications}
        before = known.get(communication.id)
        known[communication.id] = communication
        self.command = replace(self.command, communications=tuple(known.values()))
        if before is None or before.state is not communication.state:
            self.moves.append(
                Move(
                    subject=communication.id,
                    before=before.state if before else "",
                    after=communication.state,
                )
            )

    def error(self, cause: str) -> None:
        if self.expired:  # nobody could try again any more
            self.end(S.DISCARDED, Outcome.FAILED, cause)
            return
        hold = after(self.now, self.policy.hold_s)
        self.to(S.COMMUNICATION_ERROR, reason=cause, hold_until=hold, verdict=Outcome.FAILED)

    def make(self, communications: tuple[Communication, ...]) -> None:
        self.set(communications_made=self.activity.communications_made + len(communications))
        for communication in communications:
            self.put(communication)

    def alarm(self, name: str, text: str) -> None:
        self.effects.append(Publish(name=name, severity=Severity.CRITICAL, text=text))

    def book(self, entry: outcomes.Entry) -> None:
        self.set(tally=entry.tally)
        if entry.rows:
            self.effects.append(RecordOutcomes(rows=entry.rows))
