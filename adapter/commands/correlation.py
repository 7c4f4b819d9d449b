"""A notification and what we know: which communication it speaks of, and whether it may move it."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from adapter.commands.activity import Communication, CommunicationState
from adapter.commands.calls import RemoteState, RequestStatus
from adapter.commands.communication import conflicted
from adapter.commands.timing import after

PARK_S = 2.0
"""How long an unmatched callback waits before the sweep first looks again; every new token looks
too, so that the wait may grow with its age and a flood of them costs little."""

LONGEST_PARK_S = 900.0

GIVE_UP_S = 86_400.0
"""How long an unmatched callback is kept on trial before an operator is shown it, unless the site
says otherwise."""

_RANK = {
    RemoteState.UNKNOWN: 0,
    RemoteState.INITIALIZING: 1,
    RemoteState.EXECUTING: 2,
    RemoteState.COMPLETED: 3,
}


class Match(StrEnum):
    MATCHED = "matched"
    """Tells something new: an event for the communication."""
    DUPLICATE = "duplicate"
    """Told before, or overtaken by a later state: kept, without effect."""
    LATE = "late"
    """The communication is over: appended to the command, it moves nothing."""
    EARLY = "early"
    """Nobody has this token yet: parked and looked at again."""
    CONTRADICTION = "contradiction"
    """It speaks of another token than the communication's own: quarantined, never applied."""
    UNKNOWN = "unknown"
    """Nobody has had this token for as long as it is kept on trial: quarantined."""


class Correlation(Struct, frozen=True, kw_only=True, gc=False):
    match: Match
    reason: str = ""
    look_again_at: datetime | None = None


def correlate(
    status: RequestStatus,
    communication: Communication | None,
    *,
    addressed: bool,
    received_at: datetime,
    now: datetime,
    give_up_s: float = GIVE_UP_S,
) -> Correlation:
    """Judge one StatusChanged.

    `communication` was found by the callback address (`addressed`) or else by token. An
    authenticated address may teach us the token (early callback, lost reply); a bare token may not.
    """
    if communication is None:
        return unmatched(received_at=received_at, now=now, give_up_s=give_up_s)
    if communication.token is not None and communication.token != status.token:
        text = f"token {status.token} at the address of {communication.id}, "
        text += f"which has {communication.token}"
        return Correlation(match=Match.CONTRADICTION, reason=text)
    if conflicted(communication) and not communication.state.final:
        text = f"two tokens claim {communication.id}: neither is trusted any more"
        return Correlation(match=Match.CONTRADICTION, reason=text)
    if communication.state is CommunicationState.QUEUED and communication.sent_at is None:
        return Correlation(
            match=Match.CONTRADICTION, reason=f"{communication.id} has not been sent"
        )
    if not addressed and communication.token is None:
        return Correlation(match=Match.CONTRADICTION, reason="only its address tells a token")
    if communication.state.final:
        known = communication.status
        if known is not None and known.state is status.state and known.result is status.result:
            return Correlation(match=Match.DUPLICATE, reason="received before")
        if known is not None and _RANK[status.state] < _RANK[known.state]:
            return Correlation(match=Match.DUPLICATE, reason=f"{known.state} is known")
        return Correlation(match=Match.LATE, reason=f"{communication.id} is {communication.state}")
    if (
        communication.status is not None
        and _RANK[status.state] <= _RANK[communication.status.state]
    ):
        return Correlation(match=Match.DUPLICATE, reason=f"{communication.status.state} is known")
    return Correlation(match=Match.MATCHED)


def unmatched(*, received_at: datetime, now: datetime, give_up_s: float = GIVE_UP_S) -> Correlation:
    """Judge one whose communication is not known: given up `give_up_s` seconds after it came."""
    if now >= after(received_at, give_up_s):
        return Correlation(match=Match.UNKNOWN, reason="no request has this token")
    return Correlation(
        match=Match.EARLY,
        reason="token not known yet",
        look_again_at=after(now, _park_s(received_at, now)),
    )


def _park_s(received_at: datetime, now: datetime) -> float:
    age = (now - received_at).total_seconds()
    return min(max(age, PARK_S), LONGEST_PARK_S)
