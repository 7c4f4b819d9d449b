"""What holds whatever happens: random events in any order, head ends that fail in every way."""

import random
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.commands import lifecycle
from adapter.commands.activity import (
    Command,
    Communication,
    CommunicationState,
    Outcome,
    State,
    StepKind,
    Work,
)
from adapter.commands.calls import (
    FailureReason,
    HeadEndOutcome,
    RemoteResult,
    RemoteState,
    RequestStatus,
    SwitchState,
)
from adapter.commands.communication import GRACE
from adapter.commands.events import (
    Approved,
    AskFailed,
    CancelAnswered,
    CancelAsked,
    CompletionExecuted,
    CompletionFailed,
    DataLookedUp,
    DiscardAsked,
    Dispatched,
    Event,
    OutcomeReceived,
    Resolved,
    RetryAsked,
    SendFailed,
    SendRefused,
    SendUnclear,
    StatusNotified,
    TimePassed,
    TokenReceived,
    Validated,
)
from adapter.commands.failures import failure_row
from adapter.commands.flows import (
    PROVISIONING_OPERATIONS,
    SWITCH_KINDS,
    SWITCH_OPERATIONS,
    CommandKind,
)
from adapter.commands.rules import Violation
from adapter.commands.steps import proves_idle
from adapter.commands.timing import POLICIES, Policy, RetryPolicy
from adapter.errors import Conflict, NotFound
from adapter.model.ids import CommunicationId, EventId
from adapter.model.values import replace
from tests.commands.example_counts import QUICK, THOROUGH
from tests.commands.run_to_end import (
    FORGOTTEN,
    NOON,
    PERMANENT_FAULT,
    RETRY_FAULT,
    UNFINISHED,
    C,
    Course,
    S,
    X,
    a_status,
    failures,
    seen,
    token_of,
)

FAULTS: Final = (None, RETRY_FAULT, PERMANENT_FAULT, FORGOTTEN, UNFINISHED)


def a_course(chance: random.Random, policy: Policy | None = None) -> Course:
    """Any command, with any of the options that its kind takes."""
    kind = chance.choice(list(CommandKind))
    made: dict[str, Any] = {}
    if kind in SWITCH_KINDS:
        made["switch_before"] = chance.choice([None, *SwitchState])
        made["check_switch"] = chance.random() < 0.3
        made["with_read"] = chance.random() < 0.2
        made["check_load"] = kind is C.REMOTE_CONNECT and chance.random() < 0.3
    elif kind.value.startswith(("on_demand", "multi", "read_disc", "sched")):
        made["devices"] = chance.choice([1, 1, 2, 5])
    if policy is None:
        policy = Policy(max_endpoints=2, retry=RetryPolicy(attempts=3))
    effective = chance.choice([0.0, 0.0, 600.0])
    return Course(kind, policy=policy, effective_in=effective, expires_in=7_200.0, **made)


def any_status(chance: random.Random, communication: CommunicationId) -> RequestStatus:
    token = None if chance.random() < 0.9 else "another"
    return a_status(
        communication,
        chance.choice(list(RemoteState)),
        chance.choice(list(RemoteResult)),
        token=token,
        scheduled=chance.choice([0, 2, 5]),
        succeeded=chance.choice([0, 2, 5]),
    )


def any_outcome(chance: random.Random, communication: Communication) -> HeadEndOutcome:
    failed: dict[str, FailureReason] = {
        name: chance.choice(list(FailureReason))
        for name in communication.endpoints
        if chance.random() < 0.3
    }
    return HeadEndOutcome(
        token=None if chance.random() < 0.9 else token_of(communication.id, "another"),
        result=chance.choice([RemoteResult.SUCCESS, *RemoteResult]),
        failures=failures(failed),
        switches=seen(communication, chance.choice([None, *SwitchState])),
        truncated=chance.random() < 0.2,
        voltage_present=chance.choice([None, True, False]),
    )


def about_communication(chance: random.Random, communication: Communication) -> Event:
    name = communication.id
    fault = chance.choice(FAULTS)
    options: list[Event] = [
        Dispatched(communication=name),
        TokenReceived(communication=name, token=token_of(name)),
        SendFailed(communication=name, detail="d"),
        SendRefused(communication=name, fault=fault or PERMANENT_FAULT),
        SendUnclear(communication=name, detail="d"),
        StatusNotified(communication=name, status=any_status(chance, name), polled=True),
        OutcomeReceived(communication=name, outcome=any_outcome(chance, communication)),
        AskFailed(communication=name, detail="d", fault=fault),
        CancelAnswered(communication=name),
    ]
    likely: dict[CommunicationState, tuple[int, ...]] = {
        X.QUEUED: (0,),
        X.SENDING: (1, 1, 1, 2, 3, 4, 6),
        X.AWAITING: (5, 5, 7, 8),
        X.FETCHING: (6, 6, 6, 7),
        X.UNCLEAR: (1, 5),
    }
    pick = likely.get(communication.state)
    if pick is None or chance.random() < 0.15:
        return chance.choice(options)
    return options[chance.choice(pick)]


def about_command(chance: random.Random, command: Command) -> Event:
    broken = (Violation(rule="r", text="no"),)
    ends = tuple(target.endpoint for target in command.targets)
    cut = chance.randint(0, len(ends))
    completions = [item.id for item in command.activity.completions] or [EventId("cmd:none")]
    event = chance.choice(completions)
    people = ("a", "b", "billing", "")
    resolved = Resolved(
        done=chance.random() < 0.5, operator=chance.choice(people), approver=chance.choice(people)
    )
    if command.activity.state is S.NEEDS_PERSON and chance.random() < 0.5:
        return resolved  # the state is met seldom, and nothing else ends it
    options: list[Event] = [
        TimePassed(),
        TimePassed(),
        TimePassed(),
        Validated(),
        Validated(needs_approval=True),
        Validated(violations=broken),
        Validated(drop_optional=chance.random() < 0.1),
        Approved(by=chance.choice(people)),
        CancelAsked(by="a"),
        RetryAsked(by="a"),
        DiscardAsked(by="a"),
        resolved,
        DataLookedUp(found=ends[:cut], missing=ends[cut:]),
        CompletionExecuted(event=event),
        CompletionFailed(event=event, error="no"),
    ]
    return chance.choice(options)


# ---------------------------------------------------------------- any events in any order


class Ordered:
    """The book of switch orders: which sends are allowed to follow which (I3).

    `given_up` are those that people saw when they ordered it again, by whose word others follow.
    """

    def __init__(self) -> None:
        self.given_up: frozenset[CommunicationId] = frozenset()

    def note(self, before: Command, event: Event) -> None:
        if isinstance(event, RetryAsked) and before.activity.state is S.COMMUNICATION_ERROR:
            self.given_up = frozenset(item.id for item in before.communications)
        if not isinstance(event, Dispatched):
            return
        communication = before.communication(event.communication)
        if communication.operation not in SWITCH_OPERATIONS:
            return
        assert communication.id not in self.given_up, f"{communication.id} is sent after all"
        for earlier in before.communications:
            ordered = earlier.operation in SWITCH_OPERATIONS and earlier.sent_at is not None
            if ordered and earlier.id not in self.given_up:
                assert _idle(earlier), f"{communication.id} follows {earlier}"


def _idle(communication: Communication) -> bool:
    """Whether the head end's own words prove that this order did nothing."""
    if communication.endpoint_failure is not None:
        return failure_row(communication.endpoint_failure.value).idle
    return communication.state in (X.QUEUED, X.FAILED, X.CANCELED) and proves_idle(communication)


def anything_happens(seed: int, length: int = 60) -> Course:
    chance = random.Random(seed)
    course, book = a_course(chance), Ordered()
    for _ in range(length):
        if chance.random() < 0.3:
            course.now += timedelta(seconds=chance.choice([1, 30, 60, 300, 900, 1_900, 4_000]))
        open_ones = [item for item in course.command.communications if not item.state.final]
        some = chance.choice(open_ones or course.command.communications or (None,))
        if some is not None and chance.random() < 0.25:
            token = None if chance.random() < 0.95 else "another"
            state = chance.choice(list(RemoteState))
            result = chance.choice([RemoteResult.SUCCESS, *RemoteResult])
            course.callback(state, result, communication=some, token=token)
            continue
        waits = course.command.activity.state is S.NEEDS_PERSON
        if some is not None and not waits and chance.random() < 0.65:
            event = about_communication(chance, some)
        else:
            event = about_command(chance, course.command)
        before = course.command
        try:
            course.tell(event)
        except (Conflict, NotFound):
            assert course.command is before
        else:
            book.note(before, event)
    return course


@QUICK
@given(st.integers(min_value=0))
def test_invariants_hold_under_any_events_legal_or_not(seed: int) -> None:
    """I1, I3, I11, I16: what `Course` checks at every step, and the book of switch orders."""
    for number in range(5):
        anything_happens(seed * 5 + number)


def test_the_book_lets_an_order_of_people_be_sent_until_it_is_taken_and_no_more() -> None:
    course, book = Course(C.REMOTE_CONNECT), Ordered()

    def told(event: Event) -> None:
        book.note(course.command, event)
        course.tell(event)

    course.accept().answer(RemoteResult.FAILURE)
    told(RetryAsked(by="a"))
    sent = Dispatched(communication=course.last.id)
    for _ in range(2):
        told(sent)
        course.refused(RETRY_FAULT)
    told(sent)
    taken, another = course.token().last, CommunicationId("another")
    doubled = replace(taken, id=another, state=X.QUEUED, sent_at=None)
    both = (*course.command.communications, doubled)
    with pytest.raises(AssertionError, match=f"another follows .*{taken.id}"):
        book.note(replace(course.command, communications=both), Dispatched(communication=another))


@pytest.mark.soak
@THOROUGH
@given(st.integers(min_value=0))
def test_invariants_hold_under_any_events_for_long(seed: int) -> None:
    anything_happens(seed, length=200)


def test_random_events_do_reach_every_state() -> None:
    """The property above would be worth little if its events never got anywhere."""
    left = {state.value for state in State if state is not State.PENDING}
    for seed in range(6_000):
        course = anything_happens(seed)
        left -= {move.after for move in course.moves if move.subject == course.command.id}
        if not left:
            break
    assert not left


# ---------------------------------------------------------------- every command ends


LEASE: Final = timedelta(seconds=30)


class FailingHeadEnd:
    """The engine's loop against a head end that fails in every way, in virtual time."""

    def __init__(self, seed: int, *, reachable: float, takes: bool = True) -> None:
        self.chance = random.Random(seed)
        self.course = a_course(self.chance, POLICIES[C.REMOTE_CONNECT])
        self.reachable = reachable
        self.takes = takes
        self.leases: dict[CommunicationId, datetime] = {}
        self.book = Ordered()

    def run(self, *, steps: int) -> None:
        course = self.course.accept()
        for _ in range(steps):
            if course.state.rests:
                return
            due, communication = min(self._due(), key=lambda item: item[0])
            course.now = max(course.now, due)
            if communication is None:
                self._attend()
            else:
                self._work(communication)
        raise AssertionError(f"not final after {steps} steps: {course.state}")

    def _due(self) -> list[tuple[datetime, Communication | None]]:
        command = self.course.command
        found: list[tuple[datetime, Communication | None]] = []
        wake = lifecycle.wake_of(command)
        if wake is not None:
            found.append((wake, None))
        found += (
            (max(item.wake, self.leases.get(item.id, item.wake)), item)
            for item in command.communications
            if item.work is not Work.NONE and item.wake is not None
        )
        return found

    def _attend(self) -> None:
        course, chance = self.course, self.chance
        if course.activity.next_completion is not None:
            if chance.random() < 0.5:
                course.completion_fails()
            else:
                event = course.activity.next_completion
                course.tell(CompletionExecuted(event=event.id))
        elif course.state is S.WAITING_FOR_EFFECTIVE_DATE:
            course.tell(Validated())
        elif course.state is S.WAITING_FOR_MEASUREMENT:
            ends = tuple(target.endpoint for target in course.command.targets)
            course.tell(DataLookedUp(found=(), missing=ends))
        else:
            course.tell(TimePassed())

    def _work(self, communication: Communication) -> None:
        course, chance = self.course, self.chance
        if chance.random() >= self.reachable:
            self.leases[communication.id] = course.now + LEASE
            return
        if communication.work is Work.SEND:
            if (
                course.activity.expires_at <= course.now
                and communication.step is not StepKind.SETTLE
            ):
                course.tell(TimePassed())
                return
            before = course.command
            course.tell(Dispatched(communication=communication.id))
            self.book.note(before, Dispatched(communication=communication.id))
            if self.takes and chance.random() < 0.2:
                return  # the process died here: nobody notes the outcome
            course.tell(self._reply(communication))
            return
        course.tell(self._answer(communication))
        if course.command.communication(communication.id).work is communication.work:
            self.leases.pop(communication.id, None)

    def _reply(self, communication: Communication) -> Event:
        name = communication.id
        options: list[Event] = [
            SendFailed(communication=name, detail="d"),
            SendRefused(communication=name, fault=RETRY_FAULT),
            SendUnclear(communication=name, detail="d"),
        ]
        if not self.takes:
            return self.chance.choice(options[:2])
        if communication.operation in PROVISIONING_OPERATIONS:
            options.append(
                OutcomeReceived(communication=name, outcome=any_outcome(self.chance, communication))
            )
        else:
            options += [TokenReceived(communication=name, token=token_of(name))] * 3
        return self.chance.choice(options)

    def _answer(self, communication: Communication) -> Event:
        name, chance = communication.id, self.chance
        if communication.work is Work.CANCEL:
            return CancelAnswered(communication=name)
        if chance.random() < 0.4:
            return AskFailed(communication=name, detail="d", fault=chance.choice(FAULTS))
        if communication.work is Work.RESULT:
            return OutcomeReceived(communication=name, outcome=any_outcome(chance, communication))
        return StatusNotified(communication=name, status=any_status(chance, name), polled=True)


def longest(course: Course) -> timedelta:
    """No such command may last longer, whatever its head end does.

    Till its expiry it may try; then what is in flight has its reply time, an unclear order its
    looks, an error its hold, data their window, completion events their retries.
    """
    policy, life = course.policy, course.activity.expires_at - NOON
    reply = policy.send_s + policy.reply_s + 2 * GRACE.total_seconds()
    looks = (policy.settle_looks + 2) * (policy.settle_s + reply)
    ends = (
        policy.hold_s
        + policy.measurement_s
        + policy.retry.attempts * (policy.retry.longest_wait_s + policy.hold_s)
    )
    return life + timedelta(seconds=2 * reply + looks + ends)


@QUICK
@given(st.integers(min_value=0), st.sampled_from([0.0, 0.3, 0.9, 1.0]))
def test_every_command_ends_within_its_bound_whatever_the_head_end_does(
    seed: int, reachable: float
) -> None:
    """I1, also where the head end may not be asked at all (`reachable` 0)."""
    world = FailingHeadEnd(seed, reachable=reachable)
    world.run(steps=3_000)
    assert world.course.now - NOON <= longest(world.course)


@QUICK
@given(st.integers(min_value=0), st.sampled_from([0.0, 0.3, 1.0]))
def test_a_head_end_that_takes_nothing_is_tried_until_the_command_expires(
    seed: int, reachable: float
) -> None:
    """Refused connections and busy faults only: nothing is given up early, and nothing late."""
    world = FailingHeadEnd(seed, reachable=reachable, takes=False)
    world.run(steps=3_000)
    course = world.course
    assert (course.state, course.activity.outcome) == (S.DISCARDED, Outcome.EXPIRED)
    assert course.now == course.activity.expires_at
    if reachable == 1.0:
        first = course.sent[0]
        assert sum(item.id == first.id for item in course.sent) >= course.policy.retry.attempts


@pytest.mark.soak
@THOROUGH
@given(st.integers(min_value=0), st.sampled_from([0.0, 0.3, 0.9, 1.0]))
def test_every_command_ends_within_its_bound_for_long(seed: int, reachable: float) -> None:
    world = FailingHeadEnd(seed, reachable=reachable)
    world.run(steps=3_000)
    assert world.course.now - NOON <= longest(world.course)
