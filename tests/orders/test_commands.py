"""Children that are commands: what the gateway is asked, and what their states mean to an order."""

import pytest

from adapter.commands.activity import (
    Activity,
    Outcome,
    Resolution,
    State,
)
from adapter.commands.flows import CommandKind, Priority
from adapter.errors import InvalidRequest
from adapter.model.device import InstallStatus
from adapter.model.ids import CommandId, DeviceId
from adapter.model.values import replace
from adapter.orders.commands import command_child_state, command_request
from adapter.orders.order import CHILD_FINAL, ChildId, ChildState, OrderKind
from tests.orders.builders import NOON, a_child, an_order
from tests.support import for_every

CHILD = ChildId("SO-1.2")


def test_a_child_is_asked_for_under_its_own_id_with_its_override() -> None:
    spec = a_child(
        "D1-RemoteDisconnect", device=DeviceId("M-1"), override=InstallStatus.DISCONN_COMM
    ).spec
    asked = command_request(an_order(OrderKind.BACK_TO_BACK), CHILD, spec)
    assert asked.kind is CommandKind.REMOTE_DISCONNECT
    assert (asked.devices, asked.idempotency_key) == ((DeviceId("M-1"),), "SO-1.2")
    assert (asked.order, asked.reference) == ("SO-1", "ext-1")
    assert asked.install_status_override is InstallStatus.DISCONN_COMM
    assert asked.priority is None


def test_a_connection_is_urgent() -> None:
    spec = a_child("D1-RemoteConnect", device=DeviceId("M-1")).spec
    asked = command_request(an_order(OrderKind.RECONNECT), CHILD, spec)
    assert asked.priority is Priority.URGENT


def test_a_visit_is_no_command() -> None:
    with pytest.raises(InvalidRequest):
        command_request(an_order(OrderKind.CUT), CHILD, a_child("D1-FieldActivity").spec)


def activity(state: State, outcome: Outcome | None = None) -> Activity:
    return Activity(
        id=CommandId("c"),
        state=state,
        outcome=outcome,
        created_at=NOON,
        effective_at=NOON,
        expires_at=NOON,
    )


@for_every("state", State)
def test_every_state_of_a_command_has_a_place_on_the_orders_scale(state: State) -> None:
    seen = command_child_state(activity(state))
    assert (seen in CHILD_FINAL) == state.final


ENDS = [
    (State.COMPLETED, Outcome.SUCCEEDED, ChildState.COMPLETED),
    (State.COMPLETED, Outcome.SUCCEEDED_INFERRED, ChildState.COMPLETED),
    (State.COMPLETED, Outcome.ALREADY_SATISFIED, ChildState.COMPLETED),
    (State.COMPLETED, Outcome.UNREACHABLE, ChildState.FAILED),
    (State.COMPLETED, Outcome.NO_DATA, ChildState.FAILED),
    (State.COMPLETED, Outcome.PARTIAL, ChildState.FAILED),
    (State.DISCARDED, Outcome.FAILED, ChildState.FAILED),
    (State.DISCARDED, Outcome.EXPIRED, ChildState.FAILED),
    (State.DISCARDED, Outcome.CANCELED, ChildState.DISCARDED),
    (State.CANCELED, Outcome.CANCELED, ChildState.CANCELED),
]


@pytest.mark.parametrize(("state", "outcome", "seen"), ENDS)
def test_only_a_good_verdict_is_a_completed_child(
    state: State, outcome: Outcome, seen: ChildState
) -> None:
    assert command_child_state(activity(state, outcome)) is seen


def test_an_unknown_outcome_holds_the_order_until_people_decide_it() -> None:
    unknown = activity(State.NEEDS_PERSON, Outcome.UNKNOWN)
    assert command_child_state(unknown) is ChildState.COMMUNICATION_ERROR
    decided = Resolution(done=False, operator="ann", approver="bob", at=NOON)
    resolved = replace(unknown, state=State.RESOLVED, resolution=decided)
    assert command_child_state(resolved) is ChildState.FAILED
    done = replace(resolved, resolution=replace(decided, done=True))
    executing = replace(done, state=State.EXECUTING_COMPLETION_EVENTS)
    assert command_child_state(executing) is ChildState.STARTED
    assert command_child_state(done) is ChildState.COMPLETED


def test_whether_a_command_was_taken_is_told_apart_from_one_that_is_with_the_head_end() -> None:
    sent = activity(State.COMMUNICATION_IN_PROGRESS)
    assert command_child_state(sent) is ChildState.SENT
    assert command_child_state(sent, unclear=True) is ChildState.UNCLEAR
    assert command_child_state(activity(State.CANCELLING), unclear=True) is ChildState.CANCELLING
