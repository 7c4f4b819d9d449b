"""Wait-for-measurement and wait-for-scheduled-read activities. They send nothing; details ours.

A wait ends once: by the reading, by its time, or with its order. It may never time out before its
time, and what comes after its end changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from adapter.errors import IllegalTransition
from adapter.model.ids import OrderId
from adapter.model.state_machine import StateMachine
from adapter.model.values import replace
from adapter.orders.order import ChildId, ChildSpec, ChildState


class WaitState(StrEnum):
    WAITING = "waiting"
    COMPLETED = "completed"
    TIMED_OUT = "timed_out"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitActivity:
    """A wait until D1-CHKMSMT would be content, or until `spec.due_at` (UTC)."""

    id: ChildId
    order: OrderId
    spec: ChildSpec
    created_at: datetime
    state: WaitState = WaitState.WAITING
    ended_at: datetime | None = None
    reason: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingArrived:
    """The measurement, or for a scheduled read the reading that will become one, is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitTimedOut:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitDiscarded:
    reason: str


WaitEvent: TypeAlias = ReadingArrived | WaitTimedOut | WaitDiscarded

S = WaitState
WAIT_MACHINE: Final[StateMachine[WaitState, WaitEvent]] = StateMachine(
    name="wait for a reading",
    states=WaitState,
    start=S.WAITING,
    final=frozenset({S.COMPLETED, S.TIMED_OUT, S.DISCARDED}),
    arrows={
        (S.WAITING, ReadingArrived): {S.COMPLETED},
        (S.WAITING, WaitTimedOut): {S.TIMED_OUT},
        (S.WAITING, WaitDiscarded): {S.DISCARDED},
    },
)


def step_wait(wait: WaitActivity, event: WaitEvent, *, now: datetime) -> WaitActivity:
    """Apply one event; its order is woken in every case. Raises IllegalTransition.

    A time-out before `spec.due_at` is refused: timers may fire early after a clock change.
    """
    to = WAIT_MACHINE.follow(wait.state, type(event), of=f"wait {wait.id}")
    due = wait.spec.due_at
    if to is S.TIMED_OUT and due is not None and now < due:
        raise IllegalTransition(f"wait {wait.id}: no {type(event).__name__} in {wait.state}")
    reason = event.reason if isinstance(event, WaitDiscarded) else wait.reason
    return replace(wait, state=to, ended_at=now, reason=reason, version=wait.version + 1)


def wait_child_state(wait: WaitActivity) -> ChildState:
    """The wait's state on the scale that orders know: nothing of it ever leaves."""
    return _CHILD_STATES[wait.state]


_CHILD_STATES: Final = MappingProxyType(
    {
        WaitState.WAITING: ChildState.QUEUED,
        WaitState.COMPLETED: ChildState.COMPLETED,
        WaitState.TIMED_OUT: ChildState.TIMED_OUT,
        WaitState.DISCARDED: ChildState.DISCARDED,
    }
)
