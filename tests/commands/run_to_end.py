"""One command driven through the pure core by hand: events in, everything checked at every step."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from adapter.commands import lifecycle
from adapter.commands.activity import (
    FINAL_COMMUNICATION,
    Activity,
    Command,
    CommandRequest,
    Communication,
    CommunicationState,
    ReadPeriod,
    State,
    StepKind,
    Target,
    Work,
)
from adapter.commands.calls import (
    EndpointFailure,
    FailureReason,
    HeadEndOutcome,
    RemoteResult,
    RemoteState,
    RequestStatus,
    SwitchReading,
    SwitchState,
)
from adapter.commands.correlation import Correlation, Match, correlate
from adapter.commands.effects import Effect, Publish, RecordOutcomes, ReleaseLanes, Severity
from adapter.commands.events import (
    AskFailed,
    CompletionExecuted,
    CompletionFailed,
    DataLookedUp,
    Dispatched,
    Event,
    LateNotified,
    OutcomeReceived,
    SendFailed,
    SendRefused,
    SendUnclear,
    StatusNotified,
    TimePassed,
    TokenReceived,
    Validated,
)
from adapter.commands.flows import FLOWS, READ_KINDS, CommandKind, Operation, Scope
from adapter.commands.outcomes import EndpointOutcome
from adapter.commands.timing import POLICIES, Policy
from adapter.commands.transitions import ACTIVITY_MACHINE, Move
from adapter.errors import Fault, FaultClass, IllegalTransition
from adapter.model.ids import CommandId, CommunicationId, DeviceId, EndpointId, RequestToken

NOON: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
C: TypeAlias = CommandKind
S: TypeAlias = State
X: TypeAlias = CommunicationState

RETRY_FAULT: Final = Fault(name="TooManyCommandsFault", klass=FaultClass.RETRY, message="busy")
PERMANENT_FAULT: Final = Fault(name="MeterNotFoundFault", klass=FaultClass.PERMANENT)
FORGOTTEN: Final = Fault(name="RequestNotFoundFault", klass=FaultClass.PERMANENT)
UNFINISHED: Final = Fault(name="RequestNotFinishedFault", klass=FaultClass.POLL_AGAIN)


def a_request(kind: CommandKind, devices: int = 1, **asked: Any) -> CommandRequest:
    scope = FLOWS[kind].scope
    group = "cycle-07" if scope is Scope.GROUP else None
    period = ReadPeriod(start=NOON - timedelta(days=1), end=NOON) if kind in READ_KINDS else None
    names = tuple(DeviceId(f"D{n}") for n in range(devices)) if group is None else ()
    return CommandRequest(
        kind=kind,
        **{"devices": names, "group": group, "period": period, "requester": "billing", **asked},
    )


def a_command(
    kind: CommandKind = C.REMOTE_DISCONNECT,
    *,
    devices: int = 1,
    effective_in: float = 0.0,
    expires_in: float = 4 * 3_600.0,
    switch_before: SwitchState | None = None,
    **asked: Any,
) -> Command:
    return Command(
        request=a_request(kind, devices, **asked),
        targets=tuple(
            Target(device=DeviceId(f"D{n}"), endpoint=EndpointId(f"E{n}")) for n in range(devices)
        ),
        activity=Activity(
            id=CommandId("cmd"),
            created_at=NOON,
            effective_at=NOON + timedelta(seconds=effective_in),
            expires_at=NOON + timedelta(seconds=expires_in),
            switch_before=switch_before,
        ),
    )


class Course:
    """A command on its way. Each step is checked: arrows, ends, sums, wakes, determinism."""

    def __init__(self, kind: CommandKind = C.REMOTE_DISCONNECT, **made: Any) -> None:
        policy = made.pop("policy", None)
        self.policy: Policy = policy or POLICIES[kind]
        self.command = a_command(kind, **made)
        self.now = NOON
        self.effects: list[Effect] = []
        self.moves: list[Move] = []
        self.sent: list[Communication] = []
        self._tokens = 0

    # ------------------------------------------------------------ what is there

    @property
    def activity(self) -> Activity:
        return self.command.activity

    @property
    def state(self) -> State:
        return self.activity.state

    @property
    def last(self) -> Communication:
        return self.command.communications[-1]

    def of(self, step: StepKind) -> list[Communication]:
        return [item for item in self.command.communications if item.step is step]

    @property
    def main(self) -> Communication:
        return self.of(StepKind.MAIN)[-1]

    @property
    def look(self) -> Communication:
        return self.of(StepKind.SETTLE)[-1]

    def sends_of(self, operation: Operation) -> int:
        return sum(item.operation is operation for item in self.sent)

    @property
    def published(self) -> list[str]:
        return [effect.name for effect in self.effects if isinstance(effect, Publish)]

    @property
    def alarms(self) -> list[str]:
        return [
            effect.name
            for effect in self.effects
            if isinstance(effect, Publish) and effect.severity is Severity.CRITICAL
        ]

    @property
    def lanes_released(self) -> bool:
        return any(isinstance(effect, ReleaseLanes) for effect in self.effects)

    @property
    def outcomes(self) -> dict[EndpointId, EndpointOutcome]:
        """The outcome of every endpoint as the store would have it: the last one counts."""
        rows = (e.rows for e in self.effects if isinstance(e, RecordOutcomes))
        return {row.endpoint: row for batch in rows for row in batch}

    # ------------------------------------------------------------ what happens

    def tell(self, event: Event) -> "Course":
        before = self.command
        made = lifecycle.step(before, event, now=self.now, policy=self.policy)
        assert made == lifecycle.step(before, event, now=self.now, policy=self.policy)
        self.command = made.command
        self.effects += made.effects
        self.moves += made.moves
        if isinstance(event, Dispatched):
            self.sent.append(before.communication(event.communication))
        check(before, made)
        return self

    def turn(self, seconds: float) -> "Course":
        """Let time pass and say so."""
        self.now += timedelta(seconds=seconds)
        return self.tell(TimePassed())

    def accept(self) -> "Course":
        return self.tell(Validated())

    def send(self, communication: Communication | None = None) -> "Course":
        return self.tell(Dispatched(communication=(communication or self.last).id))

    def token(
        self, communication: Communication | None = None, name: str | None = None
    ) -> "Course":
        item = communication or self.last
        return self.tell(TokenReceived(communication=item.id, token=token_of(item.id, name)))

    def status(
        self,
        state: RemoteState = RemoteState.COMPLETED,
        result: RemoteResult = RemoteResult.SUCCESS,
        *,
        communication: Communication | None = None,
        polled: bool = False,
        **counts: Any,
    ) -> "Course":
        item = communication or self.last
        told = a_status(item.id, state, result, **counts)
        return self.tell(StatusNotified(communication=item.id, status=told, polled=polled))

    def result(
        self,
        result: RemoteResult = RemoteResult.SUCCESS,
        *,
        communication: Communication | None = None,
        failed: dict[str, FailureReason] | None = None,
        switch: SwitchState | None = None,
        **more: Any,
    ) -> "Course":
        item = communication or self.last
        outcome = HeadEndOutcome(
            result=result, failures=failures(failed or {}), switches=seen(item, switch), **more
        )
        return self.tell(OutcomeReceived(communication=item.id, outcome=outcome))

    def take(self, communication: Communication | None = None) -> "Course":
        """Send it, and have it taken by the head end."""
        item = communication or self.last
        return self.send(item).token(self.command.communication(item.id))

    def answer(self, result: RemoteResult = RemoteResult.SUCCESS, **more: Any) -> "Course":
        """From sending to the result: what the head end does when all goes well on the way."""
        item: Communication = more.pop("communication", None) or self.last
        self.take(item)
        self.status(
            communication=item, scheduled=len(item.endpoints), succeeded=len(item.endpoints)
        )
        return self.result(result, communication=item, **more)

    def not_sent(self, communication: Communication | None = None) -> "Course":
        return self.tell(
            SendFailed(communication=(communication or self.last).id, detail="refused")
        )

    def refused(self, fault: Fault, communication: Communication | None = None) -> "Course":
        return self.tell(SendRefused(communication=(communication or self.last).id, fault=fault))

    def in_vain(
        self, communication: Communication | None = None, fault: Fault | None = None
    ) -> list[float]:
        """Send it whenever it is due, until it is queued no more: it never leaves, or the head
        end refuses it with `fault`. The waits in between, in seconds."""
        item, waits = communication or self.last, []
        while (queued := self.command.communication(item.id)).state is CommunicationState.QUEUED:
            assert queued.wake is not None
            attend = lifecycle.wake_of(self.command)
            if attend is not None and attend <= queued.wake:
                self.now = max(self.now, attend)
                self.tell(TimePassed())
                continue
            self.now = max(self.now, queued.wake)
            self.send(queued)
            self.not_sent(queued) if fault is None else self.refused(fault, queued)
            again = self.command.communication(item.id).wake
            if again is not None:
                waits.append((again - self.now).total_seconds())
        return waits

    def lose_all(self) -> "Course":
        """Lose every request of the step, until no further attempt is made by itself."""
        while queued := [
            x for x in self.command.communications if x.state is CommunicationState.QUEUED
        ]:
            item = min(queued, key=lambda one: one.wake or self.now)
            self.now = max(self.now, item.wake or self.now)
            self.send(item).unclear(item)
        return self

    def unclear(self, communication: Communication | None = None) -> "Course":
        return self.tell(SendUnclear(communication=(communication or self.last).id, detail="reset"))

    def ask_failed(
        self,
        fault: Fault | None = None,
        communication: Communication | None = None,
        *,
        unsent: bool = False,
    ) -> "Course":
        item = communication or self.last
        return self.tell(
            AskFailed(communication=item.id, detail="no answer", fault=fault, unsent=unsent)
        )

    def data(self, found: int = 1, missing: int = 0) -> "Course":
        ends = [target.endpoint for target in self.command.targets]
        return self.tell(
            DataLookedUp(found=tuple(ends[:found]), missing=tuple(ends[found : found + missing]))
        )

    def execute(self) -> "Course":
        """Execute every completion event whose turn it is."""
        while (event := self.activity.next_completion) is not None:
            self.tell(CompletionExecuted(event=event.id))
        return self

    def completion_fails(self) -> "Course":
        event = self.activity.next_completion
        assert event is not None
        return self.tell(CompletionFailed(event=event.id, error="the registry says no"))

    def callback(
        self,
        state: RemoteState = RemoteState.COMPLETED,
        result: RemoteResult = RemoteResult.SUCCESS,
        *,
        communication: Communication | None = None,
        token: str | None = None,
    ) -> Correlation:
        """A StatusChanged at the communication's own address, judged as the engine judges it."""
        item = self.command.communication((communication or self.last).id)
        told = a_status(item.id, state, result, token=token)
        verdict = correlate(told, item, addressed=True, received_at=self.now, now=self.now)
        if verdict.match is Match.MATCHED:
            self.tell(StatusNotified(communication=item.id, status=told))
        elif verdict.match is Match.LATE:
            self.tell(LateNotified(communication=item.id, status=told))
        return verdict


def token_of(communication: CommunicationId, name: str | None = None) -> RequestToken:
    return RequestToken(name or f"token-of-{communication}")


def a_status(
    communication: CommunicationId,
    state: RemoteState = RemoteState.COMPLETED,
    result: RemoteResult = RemoteResult.SUCCESS,
    *,
    token: str | None = None,
    **counts: Any,
) -> RequestStatus:
    return RequestStatus(token=token_of(communication, token), state=state, result=result, **counts)


def failures(failed: dict[str, FailureReason]) -> tuple[EndpointFailure, ...]:
    return tuple(
        EndpointFailure(endpoint=EndpointId(name), reason=reason) for name, reason in failed.items()
    )


def seen(communication: Communication, state: SwitchState | None) -> tuple[SwitchReading, ...]:
    if state is None:
        return ()
    return tuple(SwitchReading(endpoint=item, state=state) for item in communication.endpoints)


# ---------------------------------------------------------------- what always holds


def check(before: Command, made: lifecycle.Step) -> None:
    after = made.command
    _check_arrows(before, made)
    if before.activity.state.final:
        assert after.activity.state is before.activity.state
    _check_sums(after)
    if after.activity.state is State.CANCELLING:
        queued = [item for item in after.communications if item.state is CommunicationState.QUEUED]
        assert all(item.step is StepKind.SETTLE for item in queued), "a canceled order may leave"
    if not after.activity.state.rests:
        assert next_time(after) is not None, f"{after.activity.state} waits for nothing"
    else:
        assert all(item.state.final for item in after.communications)
        assert after.activity.outcome is not None
        assert (after.activity.finished_at is not None) == after.activity.state.final
    names = [effect.key for effect in made.effects if isinstance(effect, Publish)]
    assert len(names) == len(set(names))


def _check_arrows(before: Command, made: lifecycle.Step) -> None:
    for move in made.moves:
        if move.subject == before.id:
            found = ACTIVITY_MACHINE.next_states(State(move.before))
            refused_again = move.before == move.after == State.VALIDATION_ERROR
            assert State(move.after) in found or refused_again
        elif move.before:
            assert CommunicationState(move.before) not in FINAL_COMMUNICATION
    old = {item.id: item for item in before.communications}
    for item in made.command.communications:
        was = old.get(item.id)
        if was is not None and was.state.final:
            assert item.state is was.state


def _check_sums(command: Command) -> None:
    counts = command.activity.tally
    parts = (counts.succeeded, counts.failed, counts.missing, counts.unknown)
    assert min(parts) >= 0
    assert sum(parts) == counts.requested
    many = len(command.request.devices) > 1
    if many and command.activity.state.rests:
        assert counts.requested == len(command.targets)


def next_time(command: Command) -> datetime | None:
    """When something is due next: by the command itself, or for one of its communications."""
    times = [lifecycle.wake_of(command)]
    if not command.activity.state.rests:
        times += [item.wake for item in command.communications if item.work is not Work.NONE]
    return min((time for time in times if time is not None), default=None)


def refuses(act: Callable[[], object]) -> bool:
    """Whether `act` is refused as an illegal transition."""
    try:
        act()
    except IllegalTransition:
        return True
    return False
