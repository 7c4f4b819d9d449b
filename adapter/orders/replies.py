"""Delivery of one reply to the requester: sent at least once, never lost, never holding the order.

Each reply is tried until the requester's system has taken it or people end it. It may never be
dropped by the program itself, and what was delivered is never sent again.

Documented: acknowledgement, success and failure notifications and their role. Their own delivery
and retry are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

from adapter.model.ids import OrderId
from adapter.model.state_machine import StateMachine
from adapter.model.values import replace
from adapter.orders.events import ReplyKind


class ReplyState(StrEnum):
    QUEUED = "queued"
    DELIVERED = "delivered"
    NO_RECEIVER = "no_receiver"
    """No system is set up that takes replies: it is in the feed alone, if anybody reads that."""
    REFUSED = "refused"
    """The requester's system will never take it as it is: it waits for people."""
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequesterReply:
    """One message to the requester. `id` is fixed, so that a repeated delivery is recognised."""

    id: str
    order: OrderId
    kind: ReplyKind
    requester: str
    external_reference: str
    created_at: datetime
    due_at: datetime
    details: Mapping[str, str] = field(default_factory=dict)
    state: ReplyState = ReplyState.QUEUED
    attempts: int = 0
    last_error: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyAccepted:
    """The requester's system took it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFailed:
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRefused:
    """The requester's system said no, for good."""

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NobodyListens:
    """There is no requester's system that it could be offered to."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryGivenUp:
    """People ended it."""

    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRetried:
    """People asked for a try now, whatever became of the reply."""

    who: str


ReplyEvent: TypeAlias = (
    ReplyAccepted
    | DeliveryFailed
    | DeliveryRefused
    | NobodyListens
    | DeliveryGivenUp
    | DeliveryRetried
)
S = ReplyState

REPLY_MACHINE: Final[StateMachine[ReplyState, ReplyEvent]] = StateMachine(
    name="reply to the requester",
    states=ReplyState,
    start=S.QUEUED,
    final=frozenset({S.DELIVERED}),
    arrows={
        (S.QUEUED, ReplyAccepted): {S.DELIVERED},
        (S.QUEUED, DeliveryFailed): {S.QUEUED},
        (S.QUEUED, DeliveryRefused): {S.REFUSED},
        (S.QUEUED, NobodyListens): {S.NO_RECEIVER},
        (S.QUEUED, DeliveryRetried): {S.QUEUED},
        (S.QUEUED, DeliveryGivenUp): {S.GIVEN_UP},
        (S.REFUSED, DeliveryRetried): {S.QUEUED},
        (S.REFUSED, DeliveryGivenUp): {S.GIVEN_UP},
        (S.NO_RECEIVER, DeliveryRetried): {S.QUEUED},
        (S.NO_RECEIVER, DeliveryGivenUp): {S.GIVEN_UP},
        (S.GIVEN_UP, DeliveryRetried): {S.QUEUED},
    },
)

FIRST_WAIT: Final = timedelta(seconds=10)
LONGEST_WAIT: Final = timedelta(hours=1)
ALARM_AFTER: Final = 10
"""Attempts after which a reply belongs on the To Do list; it is tried on all the same, so that a
requester's system that was away for a weekend needs nobody."""


def step_reply(reply: RequesterReply, event: ReplyEvent, *, now: datetime) -> RequesterReply:
    """Apply one event. Raises IllegalTransition. Waits double from 10 seconds to an hour."""
    to = REPLY_MACHINE.follow(reply.state, type(event), of=f"reply {reply.id}")
    after = replace(reply, state=to, version=reply.version + 1)
    match event:
        case DeliveryFailed(error=error):
            wait = min(FIRST_WAIT * 2 ** min(reply.attempts, 20), LONGEST_WAIT)
            return replace(after, attempts=reply.attempts + 1, last_error=error, due_at=now + wait)
        case DeliveryRefused(error=error):
            return replace(after, attempts=reply.attempts + 1, last_error=error)
        case NobodyListens(why=why):
            return replace(after, last_error=why)
        case ReplyAccepted():
            return replace(after, attempts=reply.attempts + 1, last_error="")
        case DeliveryRetried():
            return replace(after, due_at=now)
        case DeliveryGivenUp():
            return after


def alarming(reply: RequesterReply) -> bool:
    """Whether people should look: the requester's system has said no, or nothing for a while."""
    if reply.state is ReplyState.REFUSED:
        return True
    return reply.state is ReplyState.QUEUED and reply.attempts >= ALARM_AFTER
