"""Our own limits towards one head end: concurrency, rate, back-off and a circuit breaker.

`try_admit` decides at once and is what a dispatcher asks before it commits a send; `admit` waits
for a place, most urgent class first, but never longer than told. Both give an `Admission`, which is
handed to the client with the call, told how it went, and released.

Time is a monotonic clock handed in; only `admit` uses the event loop's timers, to be woken.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Final, TypeAlias

from adapter.commands.flows import PROVISIONING_OPERATIONS, Operation, Priority
from adapter.errors import NotSent, OutcomeUnknown, Refused
from adapter.headend.backoff import PUSHBACK_FAULTS, Backoff, Breaker, Denied, TokenBucket
from adapter.headend.settings import Limit, LimitSettings
from adapter.headend.transport import NotConnected
from adapter.subscriptions.reconcile import SubscriptionOperation

Limited: TypeAlias = Operation | SubscriptionOperation
"""What is called within the limits; subscription calls have no limits of their own."""


class HeadEndNews(StrEnum):
    """What changed about whether, and how fast, the head end answers; named as the signals are."""

    LOST = "head_end_lost"
    BACK = "head_end_back"
    SLOW = "head_end_slow"
    QUICK = "head_end_quick"
    BREAKER_OPENED = "breaker_opened"
    BREAKER_CLOSED = "breaker_closed"
    PUSHED_BACK = "pushed_back"


_IN_A_ROW: Final = 3
"""So many calls without an answer: it is lost. So many slow answers: it is slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsState:
    """For metrics and people. `lost`: the last calls had no answer; `slow`: they had late ones."""

    lost: bool
    slow: bool
    in_flight: int
    waiting: int
    concurrency: int
    breaker_open: bool
    paused_for_s: float


class Admission:
    """One place within the limits. Leaving the block says how the call within went, by the way it
    ends, and gives the place back; of one that was not sent nothing is said."""

    def __init__(
        self, limits: "Limits", operation: Limited, *, admitted_at: float, probe: bool
    ) -> None:
        self._limits = limits
        self.operation = operation
        self.admitted_at = admitted_at
        self.probe = probe
        self._told = False
        self._released = False

    def answered(self, *, fault: str = "") -> None:
        """The head end answered; `fault` is the name of its refusal, if it was one."""
        if not self._told:
            self._told = True
            self._limits.answered(self, fault)

    def failed(self, *, sent: bool) -> None:
        """No answer: `sent` says whether the request may have left."""
        if not self._told:
            self._told = True
            self._limits.failed(self, sent=sent)

    def release(self) -> None:
        if not self._released:
            self._released = True
            self._limits.released(self, told=self._told)

    def __enter__(self) -> "Admission":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        match error:
            case None:
                self.answered()
            case Refused():
                self.answered(fault=error.fault.name or error.fault.message)
            case NotConnected():
                self.failed(sent=False)
            case OutcomeUnknown():
                self.failed(sent=True)
        self.release()


_Place = asyncio.Future[Admission]


class _Queue:
    """Those who wait for the same operation in the same class, longest waiting first."""

    def __init__(self, rank: int, operation: Limited, priority: str) -> None:
        self.rank = rank
        self.operation = operation
        self.priority = priority
        self.places: dict[int, _Place] = {}

    @property
    def head(self) -> int:
        return next(iter(self.places))


class Limits:
    """All limits of one head end together. Not thread-safe: one event loop, as the client."""

    def __init__(self, settings: LimitSettings, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        now = clock()
        whole = Limit(rate_per_s=settings.rate_per_s, burst=settings.burst)
        self._bucket = _bucket(whole, now)
        self._own: dict[Limited, Limit] = dict(settings.operations.items())
        self._buckets = {
            operation: bucket
            for operation, limit in self._own.items()
            if (bucket := _bucket(limit, now)) is not None
        }
        self._ranks = {name: rank for rank, name in enumerate(settings.shares)}
        self._least = min(settings.shares.values())
        self._backoff = Backoff(settings)
        self._breaker = Breaker(settings)
        self._in_flight = 0
        self._by_operation: Counter[Limited] = Counter()
        self._queues: dict[tuple[str, Limited], _Queue] = {}
        self._waiting = 0
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._lost = False
        self._slow = False
        self._otherwise = 0
        self.told: Callable[[HeadEndNews, Mapping[str, object]], None] = lambda news, fields: None

    def state(self) -> LimitsState:
        return LimitsState(
            lost=self._lost,
            slow=self._slow,
            in_flight=self._in_flight,
            waiting=self._waiting,
            concurrency=self._backoff.concurrency,
            breaker_open=self._breaker.open,
            paused_for_s=max(0.0, self._backoff.paused_until - self._clock()),
        )

    def try_admit(self, operation: Limited, priority: str = Priority.NORMAL) -> Admission | Denied:
        """A place now, or why there is none. Takes nothing when denied."""
        now = self._clock()
        denied = self._denied(operation, priority, now)
        if denied is not None:
            return denied
        for bucket in (self._bucket, self._buckets.get(operation)):
            if bucket is not None:
                bucket.take(now)
        self._in_flight += 1
        self._by_operation[operation] += 1
        return Admission(self, operation, admitted_at=now, probe=self._breaker.admitted())

    async def admit(
        self, operation: Limited, priority: str = Priority.NORMAL, *, wait_s: float
    ) -> Admission:
        """A place, after at most `wait_s` seconds. Raises NotSent when none came free."""
        if self._waiting >= self._settings.max_waiting:
            raise NotSent("over our own limit: too many calls are waiting already")
        if not self._waiting:
            admitted = self.try_admit(operation, priority)
            if isinstance(admitted, Admission):
                return admitted
        place: _Place = asyncio.get_running_loop().create_future()
        number = self._join(operation, priority, place)
        self._serve()
        admission: Admission | None = None
        try:
            async with asyncio.timeout(wait_s):
                admission = await place
                return admission
        except TimeoutError:
            denied = self._denied(operation, priority, self._clock())
            reason = denied.reason if denied is not None else "others came first"
            raise NotSent(f"over our own limit: {reason}") from None
        finally:
            if admission is None:
                self._leave(operation, priority, number)
                if place.done() and not place.cancelled():
                    place.result().release()

    def answered(self, admission: Admission, fault: str) -> None:
        opened = self._breaker.open
        self._breaker.answered()
        if opened:
            self.told(HeadEndNews.BREAKER_CLOSED, {})
        if self._lost:
            self._lost = False
            self.told(HeadEndNews.BACK, {})
        self._note_pace(admission)
        if fault in PUSHBACK_FAULTS:
            if self._backoff.pushed_back(self._clock(), admitted_at=admission.admitted_at):
                state = self.state()
                pause = round(state.paused_for_s, 1)
                told = {"fault": fault, "concurrency": state.concurrency, "pause_s": pause}
                self.told(HeadEndNews.PUSHED_BACK, told)
        elif not fault:
            self._backoff.succeeded()

    def _note_pace(self, admission: Admission) -> None:
        """So many answers in a row on the other side of the bound change what it is said to be.
        Provisioning is not looked at: it takes its time."""
        took_s = self._clock() - admission.admitted_at
        if (took_s > self._settings.slow_s) is self._slow:
            self._otherwise = 0
        elif admission.operation not in PROVISIONING_OPERATIONS:
            self._otherwise += 1
            if self._otherwise >= _IN_A_ROW:
                self._slow, self._otherwise = not self._slow, 0
                news = HeadEndNews.SLOW if self._slow else HeadEndNews.QUICK
                self.told(news, {"took_s": round(took_s, 3)})

    def failed(self, admission: Admission, *, sent: bool) -> None:
        opened = self._breaker.open
        self._breaker.failed(self._clock(), sent=sent, probe=admission.probe)
        failures = self._breaker.failures
        if not self._lost and failures >= _IN_A_ROW:
            self._lost = True
            self.told(HeadEndNews.LOST, {"failures": failures, "sent": sent})
        if self._breaker.open and not opened:
            self.told(HeadEndNews.BREAKER_OPENED, {"failures": failures})

    def released(self, admission: Admission, *, told: bool) -> None:
        self._in_flight -= 1
        self._by_operation[admission.operation] -= 1
        if admission.probe and not told:
            self._breaker.abandoned()
        self._serve()

    def _denied(self, operation: Limited, priority: str, now: float) -> Denied | None:
        share = self._settings.shares.get(priority, self._least)
        return (
            self._breaker.denied(now)
            or self._paused(now)
            or self._crowded(operation, share)
            or self._too_fast(operation, share, now)
        )

    def _paused(self, now: float) -> Denied | None:
        left_s = self._backoff.paused_until - now
        if left_s <= 0:
            return None
        return Denied(reason="the head end asked for a pause", retry_after_s=left_s)

    def _crowded(self, operation: Limited, share: float) -> Denied | None:
        if self._in_flight >= max(1, int(self._backoff.concurrency * share)):
            return Denied(reason="concurrency of the head end")
        limit = self._own.get(operation)
        if limit is None or limit.concurrency is None:
            return None
        if self._by_operation[operation] >= limit.concurrency:
            return Denied(reason=f"concurrency of {operation}")
        return None

    def _too_fast(self, operation: Limited, share: float, now: float) -> Denied | None:
        if self._bucket is not None:
            wait_s = self._bucket.wait_s(now, keep=1.0 - share)
            if wait_s > 0:
                return Denied(reason="rate of the head end", retry_after_s=wait_s)
        bucket = self._buckets.get(operation)
        if bucket is not None and (wait_s := bucket.wait_s(now)) > 0:
            return Denied(reason=f"rate of {operation}", retry_after_s=wait_s)
        return None

    def _join(self, operation: Limited, priority: str, place: _Place) -> int:
        key = (priority, operation)
        if key not in self._queues:
            rank = self._ranks.get(priority, len(self._ranks))
            self._queues[key] = _Queue(rank, operation, priority)
        self._number += 1
        self._queues[key].places[self._number] = place
        self._waiting += 1
        return self._number

    def _leave(self, operation: Limited, priority: str, number: int) -> None:
        key = (priority, operation)
        queue = self._queues.get(key)
        if queue is None or queue.places.pop(number, None) is None:
            return
        self._waiting -= 1
        if not queue.places:
            del self._queues[key]

    def _serve(self) -> None:
        """Give free places to those who wait, most urgent and longest waiting first."""
        if not self._queues and self._timer is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        soonest_s = float("inf")
        open_queues = list(self._queues.values())
        while open_queues:
            queue = min(open_queues, key=lambda each: (each.rank, each.head))
            number = queue.head
            place = queue.places[number]
            if not place.done():
                outcome = self.try_admit(queue.operation, queue.priority)
                if isinstance(outcome, Denied):
                    open_queues.remove(queue)
                    soonest_s = min(soonest_s, outcome.retry_after_s or soonest_s)
                    continue
                place.set_result(outcome)
            self._leave(queue.operation, queue.priority, number)
            if not queue.places:
                open_queues.remove(queue)
        if soonest_s < float("inf"):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(soonest_s, 0.001), self._serve)


def _bucket(limit: Limit, now: float) -> TokenBucket | None:
    if limit.rate_per_s is None:
        return None
    return TokenBucket(limit.rate_per_s, limit.burst, now=now)
