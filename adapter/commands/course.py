"""One run of `lifecycle.step`: the command as it becomes, and what is gathered on the way."""

from dataclasses import dataclass, replace
from datetime import datetime

from adapter.commands import accounts, communication
from adapter.commands.activity import TO_DO, Activity, Command, Exchange, State, Verdict
from adapter.commands.effects import Effect, Publish, RecordOutcomes, ReleaseLanes, Severity
from adapter.commands.timing import Policy, after
from adapter.commands.transitions import TRANSITIONS
from adapter.errors import IllegalTransition

S = State


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One change of state, for the history: of the command, or of one of its exchanges."""

    subject: str
    before: str
    after: str


class Course:
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

    def end(self, state: State, verdict: Verdict, reason: str = "") -> None:
        """Enter a final state: nothing stays open, the requester is told once."""
        for exchange in self.command.exchanges:
            if not exchange.state.final:
                self.put(communication.withdraw(exchange))
        self.book(accounts.closing(self.command))
        self.to(state, verdict=verdict, reason=reason, finished_at=self.now)
        severity = Severity.CRITICAL if state is S.NEEDS_PERSON else Severity.INFO
        self.effects.append(Publish(name=state.value, severity=severity, text=reason))
        if state is not S.NEEDS_PERSON:
            self.effects.append(ReleaseLanes())

    def put(self, exchange: Exchange) -> None:
        known = {item.id: item for item in self.command.exchanges}
        before = known.get(exchange.id)
        known[exchange.id] = exchange
        self.command = replace(self.command, exchanges=tuple(known.values()))
        if before is None or before.state is not exchange.state:
            self.moves.append(
                Move(
                    subject=exchange.id,
                    before=before.state if before else "",
                    after=exchange.state,
                )
            )

    def error(self, cause: str) -> None:
        if self.expired:  # nobody could try again any more
            self.end(S.DISCARDED, Verdict.FAILED, cause)
            return
        hold = after(self.now, self.policy.hold_s)
        self.to(S.COMMUNICATION_ERROR, reason=cause, hold_until=hold, verdict=Verdict.FAILED)

    def make(self, exchanges: tuple[Exchange, ...]) -> None:
        self.set(exchanges_made=self.activity.exchanges_made + len(exchanges))
        for exchange in exchanges:
            self.put(exchange)

    def alarm(self, name: str, text: str) -> None:
        self.effects.append(Publish(name=name, severity=Severity.CRITICAL, text=text))

    def book(self, entry: accounts.Entry) -> None:
        self.set(tally=entry.tally)
        if entry.rows:
            self.effects.append(RecordOutcomes(rows=entry.rows))
