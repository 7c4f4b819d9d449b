"""Whether the wall clock shows what it should: against what it showed before, and a counter.

The counter of elapsed seconds is set by nobody. Between two looks of one process the wall clock
must have gone on by what was counted; from one process to the next nothing was counted, so that it
may have gone on by any time that a stop can last.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockPolicy:
    """`tolerance_s`: so far may the wall clock be off; `longest_stop_s`: so long may the gateway
    have been stopped before somebody has to say that it was."""

    tolerance_s: float = 60.0
    longest_stop_s: float = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What the wall clock showed when the counter stood at `elapsed_s`. `stop_s` is how much later
    it may have been in truth: 0 while the process runs."""

    at: datetime
    elapsed_s: float
    stop_s: float = 0.0

    def expected(self, elapsed_s: float) -> datetime:
        """The earliest that the wall clock should show now."""
        return self.at + timedelta(seconds=elapsed_s - self.elapsed_s)


def off_by_s(
    reference: Reference, wall: datetime, *, elapsed_s: float, policy: ClockPolicy
) -> float:
    """How far the wall clock is from what it should show at the earliest: 0 where they agree,
    negative where it is behind."""
    off = (wall - reference.expected(elapsed_s)).total_seconds()
    agrees = -policy.tolerance_s <= off <= reference.stop_s + policy.tolerance_s
    return 0.0 if agrees else off


def may_still_be_off(
    reference: Reference,
    wall: datetime,
    was_off_s: float,
    *,
    elapsed_s: float,
    policy: ClockPolicy,
) -> bool:
    """Whether a wall clock that was off by `was_off_s` may be off all the same, though it agrees.

    So it is where the stop may have been as long as the clock was wrong.
    """
    wrong = reference.expected(elapsed_s) + timedelta(seconds=was_off_s)
    off = (wall - wrong).total_seconds()
    return -policy.tolerance_s <= off <= reference.stop_s + policy.tolerance_s


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockError:
    """How the clock was wrong, once that is known. `ahead_s`: it showed so much too much, negative
    too little. `after`: the last audit entry before it was; what was accepted since was dated by
    the wrong clock. None: what is dated later than now was."""

    ahead_s: float
    after: int | None = None
