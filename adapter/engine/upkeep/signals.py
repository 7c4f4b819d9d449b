"""THE TABLE OF WHAT IS SAID: once when it matters, as a log line, a count and an event.

A part tells what it has found; what its row has not said of the same key within the hour is said.
An event goes out with the next transaction after it; where the row's own change has published it
in its transaction, the row says so, and it is not published again.
"""

import logging
import re
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from adapter.commands.activity import Command, State
from adapter.commands.effects import Severity
from adapter.engine.commands.log_fields import whose
from adapter.engine.commands.ports import Change, Clock, Publication, Store
from adapter.engine.upkeep.set_aside import FailedRow
from adapter.model.ids import EventId
from adapter.model.todo import TodoSubject

log = logging.getLogger(__name__)

_AGAIN_S: Final = 3_600.0
_MOST_KEYS: Final = 10_000
_MOST_WAITING: Final = 1_000
_A_MINUTE: Final = 60
"""So many of one signal are said in a minute; past that they are only counted."""


_PARTICULARS: Final = re.compile(r"[\[(:'\"0-9]")


class Signal(StrEnum):
    STARTED = "started"
    STOPPED = "stopped"
    HEAD_END_LOST = "head_end_lost"
    HEAD_END_BACK = "head_end_back"
    HEAD_END_SLOW = "head_end_slow"
    HEAD_END_QUICK = "head_end_quick"
    BREAKER_OPENED = "breaker_opened"
    BREAKER_CLOSED = "breaker_closed"
    PUSHED_BACK = "pushed_back"
    COMMAND_WAITS = "command_waits"
    NEEDS_PERSON = "needs_person"
    ORDER_IN_ERROR = "order_in_error"
    QUARANTINED = "quarantined"
    HEAD_END_SILENT = "head_end_silent"
    SILENCE_OVER = "silence_over"
    UNDELIVERED = "undelivered"
    DELIVERED_AGAIN = "delivered_again"
    RECEIVER_STOPPED = "receiver_stopped"
    SINK_FAILED = "sink_failed"
    CLOCK_DOUBTED = "clock_doubted"
    SWITCH_ORDERS_HELD = "switch_orders_held"
    SWITCH_ORDERS_RELEASED = "switch_orders_released"
    ROW_SET_ASIDE = "row_set_aside"
    KEY_REFUSED = "key_refused"
    SETTINGS_RELOADED = "settings_reloaded"
    SETTINGS_REFUSED = "settings_refused"


@dataclass(frozen=True, slots=True)
class SignalRow:
    """`when` in a sentence; `log` is the name of the line and `severity` how loud it is; `event` the
    type of the event; `told`: the change itself has published it. `todo` is where it is on the list
    of what waits for people, `members` are those of the event's data."""

    when: str
    severity: Severity
    log: str
    event: str
    told: bool = False
    todo: TodoSubject | None = None
    members: str = ""


N, T, C = Severity.INFO, Severity.WARNING, Severity.CRITICAL
S, R, U = Signal, SignalRow, TodoSubject
# fmt: off
SIGNALS: Final[Mapping[Signal, SignalRow]] = MappingProxyType({
    S.STARTED:                R("the gateway runs", N, "gateway_started", "gateway.started", members="version"),
    S.STOPPED:                R("it was asked to stop, and stops", N, "gateway_stopped", "gateway.stopped", members="version"),
    S.HEAD_END_LOST:          R("three calls in a row had no answer", C, "head_end_lost", "head_end.lost", False, U.HEAD_END, members="failures sent"),
    S.HEAD_END_BACK:          R("it answers again", N, "head_end_back", "head_end.back"),
    S.HEAD_END_SLOW:          R("three answers in a row were slow", T, "head_end_slow", "head_end.slow", False, U.HEAD_END, members="took_s"),
    S.HEAD_END_QUICK:         R("three answers in a row were not", N, "head_end_quick", "head_end.quick", members="took_s"),
    S.BREAKER_OPENED:         R("no call leaves any more but a probe", C, "breaker_opened", "head_end.breaker_opened", False, U.HEAD_END, members="failures"),
    S.BREAKER_CLOSED:         R("calls leave again", N, "breaker_closed", "head_end.breaker_closed"),
    S.PUSHED_BACK:            R("it asked for fewer calls: half as many at once", T, "head_end_pushed_back", "head_end.pushed_back", members="concurrency fault pause_s"),
    S.COMMAND_WAITS:          R("a command asks people for something", T, "command_waits", "command.to_do.<state>", True, U.COMMAND),
    S.NEEDS_PERSON:           R("nobody knows what became of a command", C, "command_needs_person", "command.needs_person", True, U.COMMAND),
    S.ORDER_IN_ERROR:         R("an order, or its visit, is in error", T, "order_in_error", "order.<state>", True, U.ORDER),
    S.QUARANTINED:            R("a message was refused, once an hour for each cause", T, "message_kept_in_quarantine", "gateway.quarantined", False, U.MESSAGE, members="operation reason remote"),
    S.HEAD_END_SILENT:        R("nothing has arrived for longer than usual", C, "head_end_silent", "head_end.silent", True, U.SILENCE),
    S.SILENCE_OVER:           R("something arrives again", N, "head_end_silence_over", "head_end.silence_over", True),
    S.UNDELIVERED:            R("a receiver has not taken an event for `events.alarm_s`", C, "events_undelivered", "feed.undelivered", True, U.UNDELIVERED),
    S.DELIVERED_AGAIN:        R("it has taken all but the latest", N, "events_delivered_again", "feed.delivered_again", True),
    S.RECEIVER_STOPPED:       R("a receiver wants no more", C, "receiver_stopped", "feed.receiver_stopped", True, U.UNDELIVERED),
    S.SINK_FAILED:            R("a sink of the site's own takes nothing, once an hour", C, "sink_takes_nothing", "gateway.undelivered", members="reason receiver"),
    S.CLOCK_DOUBTED:          R("the wall clock is not believed", C, "switch_orders_held", "gateway.switch_orders_held", True, U.SWITCH_HOLD),
    S.SWITCH_ORDERS_HELD:     R("no connect and no disconnect leaves", C, "switch_orders_held", "gateway.switch_orders_held", True, U.SWITCH_HOLD),
    S.SWITCH_ORDERS_RELEASED: R("a reason to hold them has gone", T, "switch_orders_released", "gateway.switch_orders_released", True),
    S.ROW_SET_ASIDE:          R("a row failed for the last time", C, "row_set_aside", "gateway.row_set_aside", False, U.SET_ASIDE, members="detail error kind number row tries"),
    S.KEY_REFUSED:            R("a key was not right, once an hour for each address", T, "key_refused", "gateway.key_refused", members="remote server"),
    S.SETTINGS_RELOADED:      R("settings were read again, as far as they may change", N, "settings_reloaded", "gateway.settings_reloaded", members="restart taken"),
    S.SETTINGS_REFUSED:       R("settings were read again, and could not be taken", C, "settings_refused", "gateway.settings_refused", False, U.SETTINGS, members="reason"),
})
# fmt: on
"""In the order in which the docs have them; `openway tables signals` prints it."""

_LEVELS: Final = {N: logging.INFO, T: logging.WARNING, C: logging.CRITICAL}


@dataclass(slots=True)
class RateWindow:
    began_s: float = float("-inf")
    taken: int = 0

    def take(self, now_s: float) -> bool:
        """Whether one more may be said in this minute."""
        if now_s - self.began_s >= 60.0:
            self.began_s, self.taken = now_s, 0
        self.taken += 1
        return self.taken <= _A_MINUTE


class Signals:
    """Says what parts tell, and counts it. Without a store nothing is published."""

    def __init__(self, clock: Clock, store: Store | None = None) -> None:
        self._clock = clock
        self._store = store
        self._said: OrderedDict[tuple[Signal, str], float] = OrderedDict()
        self._limit = {signal: RateWindow() for signal in Signal}
        self._waiting: list[Publication] = []
        self.counts: Counter[Signal] = Counter()
        self.dropped = 0

    def tell(self, signal: Signal, key: str = "", **fields: object) -> None:
        """Whatever it is, it is counted. With a `key` it is said once an hour for that key, else
        each time. `fields` are what the line and the event have; no secret is among them."""
        self.count(signal)
        if (key and not self._due(signal, key)) or not self._limit[signal].take(
            self._clock.elapsed_s()
        ):
            return
        row = SIGNALS[signal]
        log.log(_LEVELS[row.severity], row.log, extra=fields)
        if row.told or self._store is None:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self.dropped += 1
            return
        at = self._clock.now().isoformat()
        self._waiting.append(
            Publication(
                id=EventId(f"signal:{signal}:{key or self.counts[signal]}:{at}"),
                type=f"openway.{row.event}",
                subject=row.event.partition(".")[0],
                severity=row.severity,
                data={name: _plain(value) for name, value in fields.items()},
            )
        )

    def count(self, signal: Signal) -> None:
        """Of one that was said, and published, by whoever found it."""
        self.counts[signal] += 1

    def _due(self, signal: Signal, key: str) -> bool:
        now, known = self._clock.elapsed_s(), (signal, key)
        said = self._said.get(known)
        if said is not None and now - said < _AGAIN_S:
            return False
        self._said[known] = now
        self._said.move_to_end(known)
        if len(self._said) > _MOST_KEYS:
            self._said.popitem(last=False)
        return True

    async def once(self) -> int:
        """Publish what was said. Always 0: the loop rests after it."""
        if self._waiting and self._store is not None:
            said, self._waiting = self._waiting, []
            await self._store.save([Change(publications=tuple(said))])
        return 0


def say_command_waits(signals: Signals, command: Command) -> None:
    """Of a command that was saved: once for each time that it asks people for something."""
    activity = command.activity
    if activity.waits_since is None:
        return
    needs = activity.state is State.NEEDS_PERSON
    signals.tell(
        Signal.NEEDS_PERSON if needs else Signal.COMMAND_WAITS,
        f"{command.id} {activity.waits_since.isoformat()}",
        **whose(command),
        kind=command.request.kind,
        state=activity.state,
        reason=activity.reason,
    )


def say_set_aside(signals: Signals, row: FailedRow) -> None:
    signals.tell(
        Signal.ROW_SET_ASIDE,
        number=row.id,
        kind=row.kind,
        row=row.row,
        error=row.error,
        tries=row.tries,
        detail=row.detail,
    )


def say_quarantined(signals: Signals, operation: str, reason: str, remote: str = "") -> None:
    """A message was refused. The cause is what stands before the particulars."""
    cause = _PARTICULARS.split(reason, maxsplit=1)[0].strip()
    signals.tell(
        Signal.QUARANTINED,
        f"{operation} {cause}",
        operation=operation,
        reason=reason[:200],
        remote=remote,
    )


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, bool | int | float) else str(value)
