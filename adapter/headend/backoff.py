"""How we slow down: a rate, a concurrency that yields to push-back, a circuit breaker.

Pure but for their own state: every instant is handed in, from a monotonic clock.
"""

from dataclasses import dataclass
from typing import Final

from adapter.headend.settings import LimitSettings

PUSHBACK_FAULTS: Final = frozenset(
    {"TooManyConcurrentRequestsFault", "TooManyCommandsFault", "HTTP 429"}
)
"""Refusals by which the head end asks us to slow down."""

_ROUNDING: Final = 1e-6
"""Part of a token; what floating point loses over a wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """No place now. `retry_after_s` is None where only the end of another call can make one."""

    reason: str
    retry_after_s: float | None = None


class TokenBucket:
    """`rate_per_s` tokens a second, at most `burst` saved up. Full at the start."""

    def __init__(self, rate_per_s: float, burst: int, *, now: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = max(1, burst)
        self._tokens = float(self._burst)
        self._at = now

    def wait_s(self, now: float, *, keep: float = 0.0) -> float:
        """Seconds until one token can be taken that leaves the part `keep` of the burst behind."""
        self._fill(now)
        wanted = min(1.0 + keep * self._burst, float(self._burst))
        missing = wanted - self._tokens
        return missing / self._rate_per_s if missing > _ROUNDING else 0.0

    def take(self, now: float) -> None:
        self._fill(now)
        self._tokens -= 1.0

    def _fill(self, now: float) -> None:
        passed = max(0.0, now - self._at)
        self._tokens = min(float(self._burst), self._tokens + passed * self._rate_per_s)
        self._at = max(self._at, now)


class Backoff:
    """Concurrency that halves when the head end pushes back and grows by one a round after that."""

    def __init__(self, settings: LimitSettings) -> None:
        self._settings = settings
        self._concurrency = float(settings.concurrency)
        self._cut_at = float("-inf")
        self._pause_s = settings.pushback_pause_s
        self.paused_until = float("-inf")

    @property
    def concurrency(self) -> int:
        return max(1, int(self._concurrency))

    def pushed_back(self, now: float, *, admitted_at: float) -> bool:
        """Whether it was cut: calls that were under way at the last cut do not cut again."""
        if admitted_at <= self._cut_at:
            return False
        again = admitted_at <= self.paused_until + self._pause_s
        self._pause_s = (
            min(self._pause_s * 2, self._settings.pushback_longest_s)
            if again
            else self._settings.pushback_pause_s
        )
        self._concurrency = max(1.0, self._concurrency / 2)
        self._cut_at = now
        self.paused_until = now + self._pause_s
        return True

    def succeeded(self) -> None:
        self._concurrency = min(
            float(self._settings.concurrency), self._concurrency + 1.0 / self._concurrency
        )


class Breaker:
    """Stops admitting after failures in a row; then one probe at a time until one gets through."""

    def __init__(self, settings: LimitSettings) -> None:
        self._settings = settings
        self._not_sent = 0
        self._unknown = 0
        self._failures = 0
        self._open_s = settings.breaker_open_s
        self._open_until: float | None = None
        self._probing = False

    @property
    def open(self) -> bool:
        return self._open_until is not None

    @property
    def failures(self) -> int:
        """Calls in a row without an answer, whether they left or not."""
        return self._failures

    def denied(self, now: float) -> Denied | None:
        if self._open_until is None:
            return None
        if now < self._open_until:
            return Denied(
                reason="the head end cannot be reached", retry_after_s=self._open_until - now
            )
        if self._probing:
            return Denied(reason="the head end is being probed")
        return None

    def admitted(self) -> bool:
        """True when the call just admitted is the probe."""
        self._probing = self.open
        return self._probing

    def answered(self) -> None:
        self._not_sent = self._unknown = self._failures = 0
        self._open_until = None
        self._probing = False
        self._open_s = self._settings.breaker_open_s

    def failed(self, now: float, *, sent: bool, probe: bool) -> None:
        self._failures += 1
        if sent:
            self._unknown += 1
            self._not_sent = 0
        else:
            self._not_sent += 1
        if probe:
            self._open_s = min(self._open_s * 2, self._settings.breaker_longest_s)
            self._open(now)
        elif self._open_until is None and (
            self._not_sent >= self._settings.breaker_not_sent
            or self._unknown >= self._settings.breaker_unknown
        ):
            self._open(now)

    def abandoned(self) -> None:
        """The probe ended without telling anything: the next call may probe."""
        self._probing = False

    def _open(self, now: float) -> None:
        self._open_until = now + self._open_s
        self._probing = False
