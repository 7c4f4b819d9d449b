"""Wait-for-measurement and wait-for-scheduled-read activities. They send nothing; details ours."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from adapter.errors import IllegalTransition
from adapter.model.ids import OrderId
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

WAIT_TRANSITIONS: Final[Mapping[tuple[WaitState, type[WaitEvent]], WaitState]] = MappingProxyType(
    {
        (WaitState.WAITING, ReadingArrived): WaitState.COMPLETED,
        (WaitState.WAITING, WaitTimedOut): WaitState.TIMED_OUT,
        (WaitState.WAITING, WaitDiscarded): WaitState.DISCARDED,
    }
)


def step_wait(wait: WaitActivity, event: WaitEvent, *, now: datetime) -> WaitActivity:
    """Apply one event; its order is woken in every case. Raises IllegalTransition.

    A time-out before `spec.due_at` is refused: timers may fire early after a clock change.
    """
    to = WAIT_TRANSITIONS.get((wait.state, type(event)))
    due = wait.spec.due_at
    if to is None or (isinstance(event, WaitTimedOut) and due is not None and now < due):
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
