"""The arrows of a command activity: ACTIVITY_MACHINE, and what a step collects.

    pending ─> validation_error | awaiting_approval | waiting_for_effective_date
            ─> connection_ready ─> communication_in_progress ─┐
                     ^                                        │ one step after another:
                     └────────────────────────────────────────┘ checks, read, request
            ─> waiting_for_measurement ─> executing_completion_events ─> completed

It takes a command from the request to the one end that its requester is told (I1). The activity
returns to connection_ready after each communication; the next step is chosen from what is done.
Errors wait for a person, within a bound. It may never leave a final state, nor end while the fate
of a switch order of its own is open: then it waits in needs_person, until two people have decided.

The table, and `Transition`, which gathers what one step changes. What an event changes is decided
elsewhere: `lifecycle.py` and `progress.py`.
"""

from datetime import datetime
from typing import Final

from msgspec import Struct

from adapter.commands import communication as communication_steps
from adapter.commands import outcomes
from adapter.commands.activity import (
    FINAL,
    TO_DO,
    Activity,
    Command,
    Communication,
    Outcome,
    State,
)
from adapter.commands.effects import Effect, Publish, RecordOutcomes, ReleaseLanes, Severity
from adapter.commands.events import (
    AlreadySatisfied,
    Approved,
    CancelAsked,
    ClockCorrected,
    CommunicationEvent,
    CommunicationWithdrawn,
    CompletionExecuted,
    CompletionFailed,
    DataLookedUp,
    DiscardAsked,
    Event,
    LateNotified,
    NobodyFound,
    OwnActivityEvent,
    OwnCommunicationEvent,
    Resolved,
    RetryAsked,
    StepBegun,
    StepCanceled,
    StepExpired,
    StepFailed,
    StepsDone,
    StepSucceeded,
    StepUnresolved,
    TimePassed,
    Validated,
)
from adapter.commands.timing import Policy, after
from adapter.model.state_machine import StateMachine
from adapter.model.values import replace_struct as replace

S = State
_ENDS: Final = frozenset({S.DISCARDED, S.CANCELED})
_JUDGED: Final = frozenset(
    {
        S.VALIDATION_ERROR,
        S.AWAITING_APPROVAL,
        S.WAITING_FOR_EFFECTIVE_DATE,
        S.CONNECTION_READY,
        S.DISCARDED,
    }
)

ACTIVITY_MACHINE: Final[StateMachine[State, Event | OwnActivityEvent]] = StateMachine(
    name="command",
    states=State,
    start=S.PENDING,
    final=FINAL,
    arrows={
        (S.PENDING, Validated): _JUDGED,
        (S.PENDING, TimePassed): {S.PENDING, S.DISCARDED},
        (S.VALIDATION_ERROR, Validated): _JUDGED,
        (S.VALIDATION_ERROR, CancelAsked): {S.CANCELED},
        (S.VALIDATION_ERROR, DiscardAsked): {S.DISCARDED},
        (S.VALIDATION_ERROR, TimePassed): {S.VALIDATION_ERROR, S.DISCARDED},
        (S.AWAITING_APPROVAL, Validated): _JUDGED,
        (S.AWAITING_APPROVAL, Approved): _JUDGED - {S.VALIDATION_ERROR, S.AWAITING_APPROVAL},
        (S.AWAITING_APPROVAL, CancelAsked): {S.CANCELED},
        (S.AWAITING_APPROVAL, DiscardAsked): {S.DISCARDED},
        (S.AWAITING_APPROVAL, TimePassed): {S.AWAITING_APPROVAL, S.DISCARDED},
        (S.WAITING_FOR_EFFECTIVE_DATE, Validated): _JUDGED,
        (S.WAITING_FOR_EFFECTIVE_DATE, CancelAsked): {S.CANCELED},
        (S.WAITING_FOR_EFFECTIVE_DATE, DiscardAsked): {S.DISCARDED},
        (S.WAITING_FOR_EFFECTIVE_DATE, TimePassed): {S.WAITING_FOR_EFFECTIVE_DATE, S.DISCARDED},
        (S.CONNECTION_READY, StepBegun): {S.COMMUNICATION_IN_PROGRESS},
        (S.CONNECTION_READY, StepExpired): {S.DISCARDED},
        (S.CONNECTION_READY, NobodyFound): {S.DISCARDED},
        (S.CONNECTION_READY, StepsDone): {
            S.WAITING_FOR_MEASUREMENT,
            S.EXECUTING_COMPLETION_EVENTS,
            S.COMPLETED,
            S.DISCARDED,
        },
        (S.CONNECTION_READY, TimePassed): {S.CONNECTION_READY},
        (S.COMMUNICATION_IN_PROGRESS, StepSucceeded): {S.CONNECTION_READY},
        (S.COMMUNICATION_IN_PROGRESS, AlreadySatisfied): {S.EXECUTING_COMPLETION_EVENTS},
        (S.COMMUNICATION_IN_PROGRESS, StepFailed): {S.COMMUNICATION_ERROR, S.DISCARDED},
        (S.COMMUNICATION_IN_PROGRESS, StepCanceled): _ENDS,
        (S.COMMUNICATION_IN_PROGRESS, StepExpired): {S.DISCARDED},
        (S.COMMUNICATION_IN_PROGRESS, StepUnresolved): {S.NEEDS_PERSON},
        (S.COMMUNICATION_IN_PROGRESS, CancelAsked): {S.CANCELLING, S.CANCELED},
        (S.COMMUNICATION_IN_PROGRESS, TimePassed): {S.COMMUNICATION_IN_PROGRESS},
        (S.COMMUNICATION_ERROR, RetryAsked): {S.CONNECTION_READY},
        (S.COMMUNICATION_ERROR, CancelAsked): {S.CANCELED},
        (S.COMMUNICATION_ERROR, DiscardAsked): {S.DISCARDED},
        (S.COMMUNICATION_ERROR, TimePassed): {S.COMMUNICATION_ERROR, S.DISCARDED},
        (S.WAITING_FOR_MEASUREMENT, DataLookedUp): {
            S.WAITING_FOR_MEASUREMENT,
            S.EXECUTING_COMPLETION_EVENTS,
            S.DISCARDED,
        },
        (S.WAITING_FOR_MEASUREMENT, TimePassed): {S.WAITING_FOR_MEASUREMENT},
        (S.EXECUTING_COMPLETION_EVENTS, CompletionExecuted): {
            S.EXECUTING_COMPLETION_EVENTS,
            S.COMPLETED,
            S.RESOLVED,
        },
        (S.EXECUTING_COMPLETION_EVENTS, CompletionFailed): {S.COMPLETION_EVENT_ERROR},
        (S.EXECUTING_COMPLETION_EVENTS, TimePassed): {S.EXECUTING_COMPLETION_EVENTS},
        (S.COMPLETION_EVENT_ERROR, RetryAsked): {S.EXECUTING_COMPLETION_EVENTS},
        (S.COMPLETION_EVENT_ERROR, DiscardAsked): {S.DISCARDED},
        (S.COMPLETION_EVENT_ERROR, TimePassed): {
            S.COMPLETION_EVENT_ERROR,
            S.EXECUTING_COMPLETION_EVENTS,
            S.NEEDS_PERSON,
        },
        (S.CANCELLING, StepSucceeded): {S.CONNECTION_READY},
        (S.CANCELLING, StepFailed): {S.COMMUNICATION_ERROR, S.DISCARDED},
        (S.CANCELLING, StepCanceled): _ENDS,
        (S.CANCELLING, StepExpired): {S.DISCARDED},
        (S.CANCELLING, StepUnresolved): {S.NEEDS_PERSON},
        (S.CANCELLING, TimePassed): {S.CANCELLING},
        (S.NEEDS_PERSON, RetryAsked): {S.EXECUTING_COMPLETION_EVENTS},
        (S.NEEDS_PERSON, Resolved): {S.RESOLVED, S.EXECUTING_COMPLETION_EVENTS},
        **{(state, TimePassed): {state} for state in sorted(FINAL | {S.NEEDS_PERSON})},
        **{(state, event): {state} for state in State for event in (LateNotified, ClockCorrected)},
    },
)
"""Where an event about the command is taken, and where it may lead; of an event about one
communication its communication decides, and the command moves by what that makes of its step."""


class Move(Struct, frozen=True, kw_only=True, gc=False):
    """One change of state, for the history: of the command, or of one of its communications."""

    subject: str
    before: str
    after: str


Mover = type[Event | OwnActivityEvent]
"""The kind of event that moves the command."""


class Transition:
    """Moves the command; only `to` sets its state, and only along an arrow.

    `event` is the kind that came from outside; what the command then finds out itself is handed to
    `to` and `end` as `by`. `held` is why no switch order leaves now.
    """

    def __init__(self, command: Command, event: type[Event], now: datetime, policy: Policy) -> None:
        self.command = command
        self.event = event
        self.now = now
        self.policy = policy
        self.effects: list[Effect] = []
        self.moves: list[Move] = []
        self.held = ""

    @property
    def activity(self) -> Activity:
        return self.command.activity

    @property
    def expired(self) -> bool:
        return self.activity.expires_at <= self.now

    def set(self, **changes: object) -> None:
        activity = replace(self.activity, **changes)  # type: ignore[arg-type]
        self.command = replace(self.command, activity=activity)

    def to(self, state: State, *, by: Mover | None = None, **changes: object) -> None:
        """Raises IllegalTransition. `by`: the event that leads there, where it is the command's own."""
        before = self.activity
        ACTIVITY_MACHINE.check(before.state, by or self.event, state, of=f"command {before.id}")
        if state is not before.state:
            changes["waits_since"] = self.now if state in TO_DO else None
        activity = replace(before, state=state, **changes)  # type: ignore[arg-type]
        self.command = replace(self.command, activity=activity)
        self.moves.append(Move(subject=before.id, before=before.state, after=state))
        if state in TO_DO and state is not S.NEEDS_PERSON and state is not before.state:
            self.effects.append(
                Publish(
                    name=f"to_do.{state}",
                    nth=str(activity.retries),
                    severity=Severity.WARNING,
                    text=activity.reason,
                )
            )

    def end(
        self, state: State, outcome: Outcome, reason: str = "", *, by: Mover | None = None
    ) -> None:
        """Enter a final state: nothing stays open, the requester is told once."""
        self._close_communications()
        self.to(state, by=by, outcome=outcome, reason=reason, finished_at=self.now)
        self.effects += [Publish(name=state.value, text=reason), ReleaseLanes()]

    def leave_to_people(self, reason: str, *, by: Mover | None = None) -> None:
        """Nothing more is done about it until two people have decided; the meter stays fenced."""
        self._close_communications()
        self.to(S.NEEDS_PERSON, by=by, outcome=Outcome.UNKNOWN, reason=reason, hold_until=None)
        nth = str(self.activity.retries) if self.activity.resolution else ""
        self.effects.append(
            Publish(name="needs_person", nth=nth, severity=Severity.CRITICAL, text=reason)
        )

    def _close_communications(self) -> None:
        for communication in self.command.communications:
            if not communication.state.final:
                self.move(communication, CommunicationWithdrawn())
        self.book(outcomes.closing(self.command))

    def move(
        self, communication: Communication, event: CommunicationEvent | OwnCommunicationEvent
    ) -> Communication:
        """Apply the event to the communication. Raises IllegalTransition."""
        moved = communication_steps.step(communication, event, now=self.now, policy=self.policy)
        self.put(moved)
        return moved

    def put(self, communication: Communication) -> None:
        known, before = self.command.communications, None
        for place, item in enumerate(known):
            if item.id == communication.id:
                before = item
                made = (*known[:place], communication, *known[place + 1 :])
                break
        else:
            made = (*known, communication)
        self.command = replace(self.command, communications=made)
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
            self.end(S.DISCARDED, Outcome.FAILED, cause, by=StepFailed)
            return
        self.to(
            S.COMMUNICATION_ERROR,
            by=StepFailed,
            reason=cause,
            hold_until=after(self.now, self.policy.hold_s),
            outcome=Outcome.FAILED,
        )

    def make(self, communications: tuple[Communication, ...]) -> None:
        self.set(communications_made=self.activity.communications_made + len(communications))
        for communication in communications:
            self.put(communication)

    def alarm(self, name: str, text: str, *, nth: str) -> None:
        self.effects.append(Publish(name=name, nth=nth, severity=Severity.CRITICAL, text=text))

    def book(self, entry: outcomes.Entry) -> None:
        self.set(tally=entry.tally)
        if entry.rows:
            self.effects.append(RecordOutcomes(rows=entry.rows))
