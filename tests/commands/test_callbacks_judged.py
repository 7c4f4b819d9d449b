"""Callbacks in any order, judged one by one: the state machine ends in one state (I11).

Many orders of the two pure functions, `correlate` and `step`, without the engine around them;
`test_callback_orders.py` has the engine itself.
"""

import random
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.commands import lifecycle
from adapter.commands.activity import Communication, Outcome, Work
from adapter.commands.calls import (
    HeadEndOutcome,
    RemoteResult,
    RemoteState,
    RequestStatus,
    SwitchState,
)
from adapter.commands.correlation import Match, correlate
from adapter.commands.events import (
    CompletionExecuted,
    DataLookedUp,
    Dispatched,
    Event,
    LateNotified,
    OutcomeReceived,
    SendUnclear,
    StatusNotified,
    TokenReceived,
    Validated,
)
from adapter.commands.flows import FLOWS, SWITCH_KINDS, CommandKind
from adapter.commands.timing import POLICIES
from adapter.model.ids import EndpointId
from tests.commands.example_counts import QUICK, THOROUGH
from tests.commands.run_to_end import NOON, S, a_command, a_status, check, seen, token_of

FINAL_STATUS: Final = (RemoteState.COMPLETED, RemoteResult.SUCCESS)
STORY: Final = (
    (RemoteState.INITIALIZING, RemoteResult.PENDING),
    (RemoteState.EXECUTING, RemoteResult.PENDING),
    FINAL_STATUS,
)


class Listener:
    """A command on its way: what was early is judged again at the end."""

    def __init__(self, kind: CommandKind) -> None:
        self.policy = POLICIES[kind]
        self.command = a_command(kind)
        self.now = NOON
        self.parked: list[tuple[RequestStatus, bool]] = []
        self.tell(Validated())
        self.id = self.command.communications[0].id
        self.tell(Dispatched(communication=self.id))

    def tell(self, event: Event) -> None:
        made = lifecycle.step(self.command, event, now=self.now, policy=self.policy)
        check(self.command, made)
        self.command = made.command

    def hear(self, status: RequestStatus, addressed: bool) -> None:
        communication: Communication | None = self.command.communication(self.id)
        if not addressed and (communication is None or communication.token != status.token):
            communication = None
        verdict = correlate(
            status, communication, addressed=addressed, received_at=self.now, now=self.now
        )
        match verdict.match:
            case Match.MATCHED:
                self.tell(StatusNotified(communication=self.id, status=status))
            case Match.LATE:
                self.tell(LateNotified(communication=self.id, status=status))
            case Match.EARLY:
                self.parked.append((status, addressed))
            case other:
                assert other is Match.DUPLICATE

    def work(self) -> None:
        """What the dispatcher does when the final status is known."""
        if self.command.communication(self.id).work is Work.RESULT:
            outcome = HeadEndOutcome(
                result=RemoteResult.SUCCESS,
                voltage_present=False,
                switches=seen(self.command.communication(self.id), SwitchState.CONNECTED),
            )
            self.tell(OutcomeReceived(communication=self.id, outcome=outcome))

    def finish(self) -> None:
        parked, self.parked = self.parked, []
        for status, addressed in parked:
            self.hear(status, addressed)
        self.work()
        if self.command.activity.state is S.WAITING_FOR_MEASUREMENT:
            self.tell(DataLookedUp(found=(EndpointId("E0"),), missing=()))
        while (event := self.command.activity.next_completion) is not None:
            self.tell(CompletionExecuted(event=event.id))


def callbacks_in_any_order(seed: int) -> None:
    chance = random.Random(seed)
    kind = chance.choice([kind for kind in CommandKind if not FLOWS[kind].synchronous])
    listener = Listener(kind)
    lost = chance.random() < 0.3
    extra = chance.choices(STORY, k=chance.randint(0, 6))
    told = [step for step in STORY if step is FINAL_STATUS or chance.random() < 0.8] + extra
    chance.shuffle(told)
    reply_at = chance.randint(0, len(told))
    overtaken = False
    for place, (state, result) in enumerate([*told, FINAL_STATUS]):
        if place == reply_at:
            overtaken = listener.command.communication(listener.id).token is not None
            listener.tell(
                SendUnclear(communication=listener.id, detail="reset")
                if lost and (overtaken or kind in SWITCH_KINDS)
                else TokenReceived(communication=listener.id, token=token_of(listener.id))
            )
        if place < len(told):
            addressed = lost or chance.random() < 0.7
            listener.hear(a_status(listener.id, state, result), addressed)
        if chance.random() < 0.5:
            listener.work()
    listener.finish()
    activity = listener.command.activity
    assert activity.state is S.COMPLETED
    assert activity.outcome is Outcome.SUCCEEDED
    assert len(listener.command.communications) == 1
    assert listener.parked == []


@QUICK
@given(st.integers(min_value=0, max_value=2**40))
def test_callbacks_judged_in_any_order_end_in_one_state(seed: int) -> None:
    """I11: 150 examples of 67 interleavings each are 10,050."""
    for number in range(67):
        callbacks_in_any_order(seed * 67 + number)


@pytest.mark.soak
@THOROUGH
@given(st.integers(min_value=0))
def test_callbacks_judged_in_any_order_for_long(seed: int) -> None:
    for number in range(20):
        callbacks_in_any_order(seed * 20 + number)
