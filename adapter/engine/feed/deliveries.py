"""Events to the systems that asked for them: at least once, in the order of each meter.

Each receiver has a loop of its own, so that none slows another. What it does not take is posted
again for 72 hours, with growing waits; events of the same meter, order or command wait behind it,
the others go on. A receiver that takes nothing is tried with one event at a time until it does.
How far it is, and what it has not taken, is one transaction a batch: after a stop the batch that
was under way is posted again, each event with the id that it had.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import msgspec

from adapter.commands.effects import Severity
from adapter.engine import crash_points
from adapter.engine.commands.ports import AuditNote, Clock, Publication
from adapter.engine.feed.ports import (
    DeliveryChange,
    DeliveryStore,
    EventDelivery,
    PostResult,
    Receiver,
    ReceiverState,
)
from adapter.engine.upkeep.signals import Signal, Signals
from adapter.errors import Conflict, NotFound, NotKept
from adapter.feed.retries import next_try
from adapter.feed.selection import Selection
from adapter.feed.wanted import ALL, EventData, FeedEvent, keys_of, under
from adapter.model.ids import EventId
from adapter.model.values import replace

log = logging.getLogger(__name__)

_BATCH: Final = 200
_MOST_WAITING: Final = 5_000
"""With so many deliveries open a receiver gets nothing new: they are tried first."""

_MOST_LOADED: Final = 2 * _MOST_WAITING
"""So many open deliveries are taken up at a time; those behind them when most of these are over."""

_PASSED: Final = 1_000
"""So many events that it does not want are passed before its place is stored."""

_DOWN: Final = 5
"""So many posts in a row that fail: it is the receiver, not the events."""

_LONGEST_PROBE_S: Final = 300.0
_LOOK_EVERY: Final = timedelta(seconds=10)

_decode: Final = msgspec.json.Decoder(FeedEvent).decode


class _Bare(msgspec.Struct):
    """An event whose data is of another shape than ours: a program's own."""

    seq: int
    id: str
    type: str
    subject: str
    severity: Severity


_decode_bare: Final = msgspec.json.Decoder(_Bare).decode


def read_event(raw: bytes) -> FeedEvent:
    """An event as the feed has it. Of data of another shape nothing is known: it holds up none."""
    try:
        return _decode(raw)
    except msgspec.ValidationError:
        bare = _decode_bare(raw)
        return FeedEvent(
            seq=bare.seq,
            id=bare.id,
            type=bare.type,
            subject=bare.subject,
            severity=bare.severity,
            data=EventData(),
        )


@dataclass(slots=True)
class _Job:
    """One event that is to be posted, or that waits behind another one (`blocked`)."""

    event: FeedEvent
    raw: bytes
    keys: Sequence[str]
    delivery: EventDelivery | None = None
    blocked: bool = False
    result: PostResult | None = None


@dataclass(slots=True)
class _Open:
    """A delivery that is waiting, with the keys of its event."""

    delivery: EventDelivery
    keys: Sequence[str]


class ReceiverLoop:
    """Posts to one receiver what it wants. `once` is a loop of the runner."""

    def __init__(
        self,
        receiver: Receiver,
        store: DeliveryStore,
        clock: Clock,
        *,
        alarm_after: timedelta,
        signals: Signals | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._signals = signals or Signals(clock)
        self.receiver = receiver
        self._store = store
        self._clock = clock
        self._alarm_after = alarm_after
        self._jitter = jitter
        self._state: ReceiverState | None = None
        self._stored_seq = 0
        self._waiting: dict[int, _Open] = {}
        self._loaded_to: int | None = None
        """The last delivery that was taken up, where there are more behind it."""
        self._failed_in_row = 0
        self.counts: Counter[str] = Counter()
        """Posts since the start: taken, failed, given_up."""
        self._not_before_s = float("-inf")
        self._look_at: datetime | None = None
        self._turn = asyncio.Lock()
        self._pace = _Pace(receiver.rate_per_s)
        self._chosen = Selection(types=receiver.wanted.types)

    @property
    def name(self) -> str:
        return self.receiver.name

    @property
    def state(self) -> ReceiverState:
        assert self._state is not None
        return self._state

    @property
    def waiting(self) -> int:
        """How many events are posted again, or wait behind such."""
        return len(self._waiting)

    async def start(self, state: ReceiverState) -> None:
        """Take up where another life of this process left off."""
        self._state, self._stored_seq = state, state.seq
        self._failed_in_row, self._not_before_s = 0, float("-inf")
        await self._load_waiting()

    async def _load_waiting(self) -> None:
        """Take up the oldest. All are due now: whether the receiver was away all the time is no
        longer known."""
        self._waiting = {}
        await self._load_behind(0)

    async def _load_behind(self, after: int) -> None:
        now = self._clock.now()
        found = await self._store.deliveries(self.name, dead=False, limit=_MOST_LOADED, after=after)
        self._loaded_to = found[-1].seq if len(found) == _MOST_LOADED else None
        events = dict(await self._store.stored([each.seq for each in found]))
        gone = [each.seq for each in found if each.seq not in events]
        self._waiting |= {
            each.seq: _Open(
                replace(each, due=min(each.due, now)), keys_of(read_event(events[each.seq]))
            )
            for each in found
            if each.seq in events
        }
        if gone:
            await self._store.change(DeliveryChange(receiver=self.state, over=gone))

    # ------------------------------------------------------------ one turn

    async def once(self) -> int:
        """Post what is due, and what is new. How many were posted."""
        if self._state is None or self.state.stopped:
            return 0
        async with self._turn:
            if self._loaded_to is not None and len(self._waiting) < _MOST_WAITING:
                await self._load_behind(self._loaded_to)
            posted = await self._retry()
            if not self._down:
                posted += await self._go_on()
            await self._look_behind()
        return posted

    @property
    def _down(self) -> bool:
        return self._failed_in_row >= _DOWN

    async def _retry(self) -> int:
        """Those whose time has come and that wait behind no other; one, where it takes nothing."""
        now = self._clock.now()
        if self._down and self._clock.elapsed_s() < self._not_before_s:
            return 0
        due: list[EventDelivery] = []
        blocked: set[str] = set()
        for seq in sorted(self._waiting):
            each = self._waiting[seq]
            is_due = each.delivery.due <= now or self._down
            free = is_due and not _meet(each.keys, blocked)
            if free:
                due.append(each.delivery)
            if self._down or not free:
                blocked.update(each.keys)
        if self._down:
            due = sorted(due, key=lambda each: (each.due, each.seq))[:1]
        due = due[:_BATCH]
        stored = dict(await self._store.stored([each.seq for each in due])) if due else {}
        jobs = [self._job(stored[each.seq], each) for each in due if each.seq in stored]
        if lost := [each for each in due if each.seq not in stored]:
            await self._give_up(lost)
        if not jobs:
            return len(lost)
        was_down = self._down
        await self._post_all(jobs)
        await self._settle(jobs, self.state.seq)
        if was_down and not self._down:
            for each in self._waiting.values():
                each.delivery = replace(each.delivery, due=now)
        return len(jobs)

    async def _give_up(self, lost: Sequence[EventDelivery]) -> None:
        """Events whose rows cannot be read any more hold up none behind them."""
        error = "its row in the store cannot be read"
        dead = [replace(each, dead=True, error=error) for each in lost]
        notes = [self._note("DeliveryGivenUp", {"event": x.seq, "error": x.error}) for x in dead]
        for each in dead:
            log.error("delivery_given_up", extra={"receiver": self.name, "event": each.seq})
        await self._store.change(DeliveryChange(receiver=self.state, put=dead, audit=notes))
        for each in dead:
            self._waiting.pop(each.seq, None)

    async def _go_on(self) -> int:
        if self._loaded_to is not None or len(self._waiting) >= _MOST_WAITING:
            return 0
        try:
            page = await self._store.page(self.state.seq, self._chosen, limit=_BATCH)
        except (Conflict, NotKept) as error:
            await self._begin_anew(error)
            return 1
        jobs = [self._job(raw) for raw in page.events]
        jobs = [job for job in jobs if self.receiver.wanted.fits(job.event)]
        blocked = {key for each in self._waiting.values() for key in each.keys}
        for job in jobs:
            job.blocked = _meet(job.keys, blocked)
            if job.blocked:
                blocked.update(job.keys)
        if jobs:
            await self._post_all(jobs)
        if jobs or page.next - self._stored_seq >= _PASSED:
            await self._settle(jobs, page.next)
        else:
            self._state = replace(self.state, seq=page.next)
        return len(jobs) or int(page.more)

    def _job(self, raw: bytes, delivery: EventDelivery | None = None) -> _Job:
        event = read_event(raw)
        return _Job(event, raw, keys_of(event), delivery)

    # ------------------------------------------------------------ posts

    async def _post_all(self, jobs: Sequence[_Job]) -> None:
        """Each behind those before it that share a key with it; the others beside it."""
        crash_points.reached("deliver.before")
        last: dict[str, asyncio.Task[None]] = {}
        tasks: list[asyncio.Task[None]] = []
        places = asyncio.Semaphore(self.receiver.at_once)
        failed: set[str] = set()
        probing = self._down
        loop = asyncio.get_running_loop()
        for job in jobs:
            before = tasks if ALL in job.keys else [last[key] for key in job.keys if key in last]
            if ALL in last:
                before = [*before, last[ALL]]
            task = loop.create_task(self._post_behind(job, tuple(before), places, failed, probing))
            tasks.append(task)
            last.update(dict.fromkeys(job.keys, task))
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        crash_points.reached("deliver.after")

    async def _post_behind(
        self,
        job: _Job,
        before: Sequence["asyncio.Task[None]"],
        places: asyncio.Semaphore,
        failed: set[str],
        probing: bool,
    ) -> None:
        for task in before:
            await task
        async with places:
            if job.blocked or _meet(job.keys, failed) or (self._down and not probing):
                job.blocked = True
                failed.update(job.keys)
                return
            await self._pace.wait()
            job.result = await self._posted(job)
            if job.result.taken:
                self._failed_in_row = 0
            else:
                failed.update(job.keys)
                self._failed_in_row += _DOWN if job.result.gone else 1

    async def _posted(self, job: _Job) -> PostResult:
        try:
            return await self.receiver.post(job.raw)
        except Exception as error:  # a receiver is somebody else's code: it must not stop the rest
            return PostResult(error=f"{type(error).__name__}: {error}")

    # ------------------------------------------------------------ what came of it

    async def _settle(self, jobs: Sequence[_Job], seq: int) -> None:
        now = self._clock.now()
        put: list[tuple[_Job, EventDelivery]] = []
        over: list[int] = []
        for job in jobs:
            if job.result is None or not job.result.taken:
                put.append((job, self._not_taken(job, now)))
            elif job.delivery is not None:
                over.append(job.event.seq)
        state = replace(self.state, seq=max(seq, self.state.seq))
        told: list[Publication] = []
        notes: list[AuditNote] = []
        gone = next((job.result for job in jobs if job.result and job.result.gone), None)
        if gone is not None:
            state = replace(state, stopped=f"it wants no more: {gone.error}")
            told.append(self._publication("receiver_stopped", state.stopped, now))
            notes.append(self._note("ReceiverStopped", {"reason": state.stopped}))
        dead = [each for _, each in put if each.dead]
        posted = [job.result.taken for job in jobs if job.result]
        self.counts.update(taken=sum(posted), failed=len(posted) - sum(posted), given_up=len(dead))
        for each in dead:
            notes.append(self._note("DeliveryGivenUp", {"event": each.seq, "error": each.error}))
            log.error("delivery_given_up", extra={"receiver": self.name, "event": each.seq})
        await self._store.change(
            DeliveryChange(
                receiver=state,
                put=[each for _, each in put],
                over=over,
                audit=notes,
                publications=told,
            )
        )
        crash_points.reached("deliver.settled")
        self._state, self._stored_seq = state, state.seq
        if gone is not None:
            words = {"receiver": self.name, "reason": gone.error}
            self._signals.tell(Signal.RECEIVER_STOPPED, **words)
        for number in (*over, *(each.seq for each in dead)):
            self._waiting.pop(number, None)
        for job, each in put:
            if not each.dead:
                self._waiting[each.seq] = _Open(each, job.keys)
        self._judge(jobs)

    def _not_taken(self, job: _Job, now: datetime) -> EventDelivery:
        mine = job.delivery or EventDelivery(receiver=self.name, seq=job.event.seq, due=now)
        if job.result is None:
            return mine
        attempts, first = mine.attempts + 1, mine.first or now
        due = next_try(
            attempts, first=first, now=now, jitter=self._jitter(), least_s=job.result.least_s
        )
        return replace(
            mine,
            attempts=attempts,
            first=first,
            due=due or now,
            dead=due is None,
            error=job.result.error[:500],
        )

    def _judge(self, jobs: Sequence[_Job]) -> None:
        """Whether it is the receiver that is to blame, and when it is tried next."""
        errors = [job.result.error for job in jobs if job.result and not job.result.taken]
        if errors:
            log.warning(
                "deliveries_failed",
                extra={"receiver": self.name, "events": len(errors), "error": errors[-1]},
            )
        if self._down:
            tries = min(self._failed_in_row - _DOWN, 10)
            wait_s = min(2.0**tries, _LONGEST_PROBE_S) * (0.8 + 0.4 * self._jitter())
            self._not_before_s = self._clock.elapsed_s() + wait_s

    async def _begin_anew(self, error: Exception) -> None:
        """Its place is not in this store any more: it goes on with what is kept, and says so."""
        bounds = await self._store.bounds()
        first = bounds.newest if bounds.oldest is None else bounds.oldest - 1
        state = replace(self.state, seq=min(first, bounds.newest))
        log.error("receiver_place_lost", extra={"receiver": self.name, "reason": str(error)})
        note = self._note("ReceiverPlaceLost", {"was": self.state.seq, "reason": str(error)})
        await self._store.change(DeliveryChange(receiver=state, audit=(note,)))
        self._state = state

    # ------------------------------------------------------------ the alarm

    async def _look_behind(self) -> None:
        """Tell people when the oldest event that was not taken is too old, and when it is over."""
        now = self._clock.now()
        if self._look_at is not None and self._look_at <= now < self._look_at + _LOOK_EVERY:
            return
        self._look_at = now
        oldest = await self.oldest()
        late = oldest is not None and now - oldest > self._alarm_after
        if late == (self.state.alarm is not None):
            return
        state = replace(self.state, alarm=now if late else None)
        since = "" if oldest is None else f", the oldest of {oldest:%Y-%m-%dT%H:%M:%SZ}"
        text = f"events are not taken{since}" if late else "it has taken all but the latest events"
        told = self._publication("undelivered" if late else "delivered_again", text, now)
        await self._store.change(DeliveryChange(receiver=state, publications=(told,)))
        self._state = state
        signal = Signal.UNDELIVERED if late else Signal.DELIVERED_AGAIN
        self._signals.tell(signal, receiver=self.name, text=text)

    async def oldest(self) -> datetime | None:
        """When the oldest event was stored that it wants, or may want, and has not taken."""
        first = min(self._waiting, default=None)
        before = self.state.seq if first is None else min(first - 1, self.state.seq)
        return await self._store.time_of(before)

    def _publication(self, word: str, text: str, now: datetime) -> Publication:
        return Publication(
            id=EventId(f"receiver:{self.name}:{word}:{now.isoformat()}"),
            type=f"openway.feed.{word}",
            subject=f"receiver:{self.name}",
            severity=Severity.INFO if word == "delivered_again" else Severity.CRITICAL,
            data={"receiver": self.name, "text": text},
        )

    def _note(self, action: str, detail: dict[str, object], by: str = "gateway") -> AuditNote:
        return AuditNote(actor=by, action=action, subject=f"receiver:{self.name}", detail=detail)

    # ------------------------------------------------------------ people

    async def resume(self, *, by: str) -> int:
        """Dead letters, and all that waits, are posted again from now on, also to a receiver that
        was stopped. How many."""
        async with self._turn:
            now, after, count = self._clock.now(), 0, 0
            self._state = replace(self.state, stopped="")
            while found := await self._store.deliveries(
                self.name, limit=_MOST_WAITING, after=after
            ):
                again = [
                    replace(each, dead=False, attempts=0, first=None, due=now) for each in found
                ]
                await self._store.change(DeliveryChange(receiver=self.state, put=again))
                after, count = found[-1].seq, count + len(found)
            note = self._note("DeliveriesRetried", {"events": count}, by)
            await self._store.change(DeliveryChange(receiver=self.state, audit=(note,)))
            self._failed_in_row = 0
            await self._load_waiting()
            return count

    async def replay(self, since: datetime, *, by: str) -> int:
        """All events since then are posted again, each with the id that it has. How many numbers
        it goes back."""
        async with self._turn:
            seq = min(await self._store.before(since), self.state.seq)
            back = self.state.seq - seq
            self._state = replace(self.state, seq=seq)
            note = self._note("EventsReplayed", {"since": since.isoformat(), "events": back}, by)
            await self._store.change(DeliveryChange(receiver=self.state, audit=(note,)))
            while found := await self._store.deliveries(self.name, after=seq, limit=_MOST_WAITING):
                over = [each.seq for each in found]
                await self._store.change(DeliveryChange(receiver=self.state, over=over))
            await self._load_waiting()
            return back

    async def test(self) -> PostResult:
        """Post an event that is in no feed: whether the receiver takes it."""
        now = self._clock.now()
        told = self._publication("test", "a test: nothing has happened", now)
        stored = {
            "seq": 0,
            "at": now,
            **msgspec.to_builtins(replace(told, severity=Severity.INFO)),
        }
        return await self.receiver.post(msgspec.json.encode(stored))


class EventDeliveries:
    """All receivers, each with a loop of its own."""

    def __init__(
        self,
        receivers: Sequence[Receiver],
        store: DeliveryStore,
        clock: Clock,
        *,
        alarm_after: timedelta,
        signals: Signals | None = None,
    ) -> None:
        self._store = store
        self._receivers = {
            each.name: ReceiverLoop(each, store, clock, alarm_after=alarm_after, signals=signals)
            for each in receivers
        }
        self.loops = {f"deliver-{name}": each.once for name, each in self._receivers.items()}
        self.names = tuple(self.loops)
        """Of the loops, to poke them."""

    async def start(self) -> None:
        for state in await self._store.receivers(list(self._receivers)):
            await self._receivers[state.name].start(state)

    async def stop(self) -> None:
        for each in self._receivers.values():
            await each.receiver.close()

    def all(self) -> Sequence[ReceiverLoop]:
        """By name."""
        return [self._receivers[name] for name in sorted(self._receivers)]

    def of(self, receiver: str) -> ReceiverLoop:
        """Raises NotFound."""
        found = self._receivers.get(receiver)
        if found is None:
            raise NotFound(f"no receiver {receiver[:60]}")
        return found

    async def not_taken(
        self, receiver: str, *, dead: bool | None = None, limit: int, after: int = 0
    ) -> Sequence[EventDelivery]:
        """What the receiver has not taken while it took later events."""
        return await self._store.deliveries(receiver, dead=dead, limit=limit, after=after)

    def allowed(self, url: str) -> bool:
        """Whether commands and orders may name this callback address."""
        allowed = (each.receiver.wanted.callback for each in self._receivers.values())
        return any(under(each, url) for each in allowed if each)


@dataclass(slots=True)
class _Pace:
    """No more than so many in a second; 0: any number."""

    per_s: float
    _next: float = field(default=0.0)

    async def wait(self) -> None:
        if not self.per_s:
            return
        now = asyncio.get_running_loop().time()
        at = max(now, self._next)
        self._next = at + 1 / self.per_s
        if at > now:
            await asyncio.sleep(at - now)


def _meet(keys: Sequence[str], others: set[str]) -> bool:
    """Whether one comes behind the other."""
    if not others:
        return False
    return ALL in others or ALL in keys or not others.isdisjoint(keys)
