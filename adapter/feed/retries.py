"""When an event that a receiver did not take is posted again, and when that ends."""

from datetime import datetime, timedelta
from typing import Final

WINDOW: Final = timedelta(hours=72)
"""So long after its first try an event is posted again; then it is a dead letter."""

_WAITS_S: Final = (5, 15, 60, 300, 900, 1_800, 3_600, 7_200)
_SPREAD: Final = 0.2


def next_try(
    attempts: int, *, first: datetime, now: datetime, jitter: float, least_s: float = 0.0
) -> datetime | None:
    """After so many `attempts`, of which the first was at `first`; None: no more. `jitter` is
    from 0 to 1, so that not all come at once; `least_s` is what the receiver asked for."""
    wait_s = float(_WAITS_S[min(attempts, len(_WAITS_S)) - 1])
    spread = 1 + _SPREAD * (2 * jitter - 1)
    due = now + timedelta(seconds=max(wait_s * spread, least_s))
    if now >= first + WINDOW:
        return None
    return min(due, first + WINDOW)
