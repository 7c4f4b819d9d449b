"""A notification and what we know: which exchange it speaks of, and whether it may move it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from adapter.commands.activity import Communication, CommunicationState
from adapter.commands.calls import RemoteState, RequestStatus
from adapter.commands.communication import conflicted
from adapter.commands.timing import after

PARK_S = 2.0
"""How long an unmatched callback waits before the sweep first looks again; every new token looks
too, so that the wait may grow with its age and a flood of them costs little."""

LONGEST_PARK_S = 900.0

GIVE_UP_S = 86_400.0
"""How long an unmatched callback is kept on trial before an operator is shown it."""

_RANK = {
    RemoteState.UNKNOWN: 0,
    RemoteState.INITIALIZING: 1,
    RemoteState.EXECUTING: 2,
    RemoteState.COMPLETED: 3,
}


class Match(StrEnum):
    MATCHED = "matched"
    """Tells something new: an event for the exchange."""
    DUPLICATE = "duplicate"
    """Told before, or overtaken by a later state: kept, without effect."""
    LATE = "late"
    """The exchange is over: appended to the command, it moves nothing."""
    EARLY = "early"
    """Nobody has this token yet: parked and looked at again."""
    CONTRADICTION = "contradiction"
    """It speaks of another token than the exchange's own: quarantined, never applied."""
    UNKNOWN = "unknown"
    """Nobody ever had this token: quarantined after `GIVE_UP_S`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    match: Match
    reason: str = ""
    look_again_at: datetime | None = None


def correlate(
    status: RequestStatus,
    exchange: Communication | None,
    *,
    addressed: bool,
    received_at: datetime,
    now: datetime,
) -> Correlation:
    """Judge one StatusChanged.

    `exchange` was found by the callback address (`addressed`) or else by token. An authenticated
    address may teach us the token (early callback, lost reply); a bare token may not.
    """
    if exchange is None:
        if now >= after(received_at, GIVE_UP_S):
            return Correlation(match=Match.UNKNOWN, reason="no request has this token")
        return Correlation(
            match=Match.EARLY,
            reason="token not known yet",
            look_again_at=after(now, _park_s(received_at, now)),
        )
    if exchange.token is not None and exchange.token != status.token:
        text = f"token {status.token} at the address of {exchange.id}, which has {exchange.token}"
        return Correlation(match=Match.CONTRADICTION, reason=text)
    if conflicted(exchange) and not exchange.state.final:
        text = f"two tokens claim {exchange.id}: neither is trusted any more"
        return Correlation(match=Match.CONTRADICTION, reason=text)
    if exchange.state is CommunicationState.QUEUED and exchange.sent_at is None:
        return Correlation(match=Match.CONTRADICTION, reason=f"{exchange.id} has not been sent")
    if not addressed and exchange.token is None:
        return Correlation(match=Match.CONTRADICTION, reason="only its address tells a token")
    if exchange.state.final:
        known = exchange.status
        if known is not None and known.state is status.state and known.result is status.result:
            return Correlation(match=Match.DUPLICATE, reason="told before")
        if known is not None and _RANK[status.state] < _RANK[known.state]:
            return Correlation(match=Match.DUPLICATE, reason=f"{known.state} is known")
        return Correlation(match=Match.LATE, reason=f"{exchange.id} is {exchange.state}")
    if exchange.status is not None and _RANK[status.state] <= _RANK[exchange.status.state]:
        return Correlation(match=Match.DUPLICATE, reason=f"{exchange.status.state} is known")
    return Correlation(match=Match.MATCHED)


def _park_s(received_at: datetime, now: datetime) -> float:
    age = (now - received_at).total_seconds()
    return min(max(age, PARK_S), LONGEST_PARK_S)
