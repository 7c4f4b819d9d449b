"""How long it is usual that nothing arrives, and when a silence is longer than that."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

_DAY: Final = timedelta(days=1)
_DAYS: Final = 7
_WEEKS: Final = 4
_AROUND: Final = timedelta(hours=1)
_LEAST_HISTORY: Final = timedelta(days=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class SilencePolicy:
    """`allowed_s`: so long may nothing arrive; None: learned. Learned is `factor` times the longest
    silence around this time of the day on the last seven days, and of the week in the last four
    weeks, but never less than `least_s`; before two days are known there is no alarm."""

    allowed_s: float | None = None
    factor: float = 3.0
    least_s: float = 3600.0


def allowed(policy: SilencePolicy, arrivals: Sequence[datetime], now: datetime) -> timedelta | None:
    """`arrivals` are the last arrivals of each hour, oldest first. None: nothing can be said."""
    if policy.allowed_s is not None:
        return timedelta(seconds=policy.allowed_s)
    if not arrivals or now - arrivals[0] < _LEAST_HISTORY:
        return None
    back = {days * _DAY for days in range(1, _DAYS + 1)}
    back |= {weeks * 7 * _DAY for weeks in range(1, _WEEKS + 1)}
    known = [silence for each in back if (silence := _silence(arrivals, now - each)) is not None]
    longest = max(known, default=timedelta())
    return max(longest * policy.factor, timedelta(seconds=policy.least_s))


def _silence(arrivals: Sequence[datetime], at: datetime) -> timedelta | None:
    """The longest that nothing had arrived within an hour of `at`; None before the first arrival.

    Of an hour only the last arrival is known: a silence looks up to an hour longer than it was.
    """
    end = at + _AROUND
    before = bisect_right(arrivals, at - _AROUND)
    if not before:
        return None
    known = [*arrivals[before - 1 : bisect_right(arrivals, end)], end]
    return max(two - one for one, two in pairwise(known))
