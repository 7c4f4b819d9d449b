"""One batch of arrivals in one transaction: events stored once, spells made again, what is told."""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from adapter.commands.effects import Severity
from adapter.engine.commands.ports import Publication
from adapter.engine.events.ports import Taken
from adapter.events.pairing import DeviceEvent, PairEnd, UnknownEvent, spells
from adapter.events.types import POWER, EventTables, PairRole
from adapter.model.ids import DeviceId, EndpointId, EventId
from adapter.store.commands import writing
from adapter.store.events import queries as sql
from adapter.store.rows import encode, micros, micros_or_none, moment
from adapter.store.transaction import Transaction

log = logging.getLogger(__name__)

_HIGHEST: Final = 2**63 - 1
_decode_counts: Final = msgspec.json.Decoder(dict[str, int]).decode


class ArrivalResult(StrEnum):
    """What became of an arrival; `arrived_event.result` holds the words."""

    NEW = "new"
    REPEATED = "repeated"
    MATCHED = "matched"
    """Told before by the other callback, under another sequence number or none (inferred)."""
    UNKNOWN = "unknown"


class _Window:
    """What was told of one bucket since `started`; kept in memory while a batch is taken."""

    __slots__ = ("counts", "ends", "in_summary", "published", "started")

    def __init__(
        self, started: int, ends: int, published: int, in_summary: int, counts: dict[str, int]
    ) -> None:
        self.started = started
        self.ends = ends
        self.published = published
        self.in_summary = in_summary
        self.counts = counts


class EventIngest:
    """One batch in one transaction."""

    def __init__(self, tx: Transaction, tables: EventTables, now: datetime) -> None:
        self._tx = tx
        self._db = tx.connection
        self._tables = tables
        self._now = now
        self._windows: dict[str, _Window] = {}
        self._devices: dict[EndpointId, DeviceId | None] = {}

    def take(
        self,
        events: Sequence[DeviceEvent | UnknownEvent],
        *,
        arrivals: Sequence[int] = (),
        resolved: Sequence[int] = (),
    ) -> Taken:
        """`arrivals` are the numbers of the arrivals that the events are of, `resolved` those of
        error records; either is as long as `events`, or empty."""
        new: list[tuple[int, DeviceEvent]] = []
        counts = dict.fromkeys(ArrivalResult, 0)
        unknown_repeated = 0
        for place, item in enumerate(events):
            number = None
            if isinstance(item, UnknownEvent):
                result = ArrivalResult.UNKNOWN
                unknown_repeated += not self._keep_unknown(item)
            else:
                result, number = self._put(item)
                if result is ArrivalResult.NEW:
                    new.append((number, item))
            counts[result] += 1
            if arrivals:
                self._db.execute(sql.FOLLOW_ARRIVAL, (result, number, arrivals[place]))
            if resolved:
                self._resolve(resolved[place], result, number)
        self._make_spells([event for _, event in new if event.pair])
        in_summary = sum(not self._tell(number, event) for number, event in new)
        outages = [self._outage(event) for _, event in new if event.pair == POWER]
        writing.publish(self._tx, outages, self._now)
        for bucket, window in self._windows.items():
            values = (window.started, window.ends, window.published, window.in_summary)
            self._db.execute(sql.PUT_WINDOW, (bucket, *values, encode(window.counts)))
        return Taken(
            new=len(new),
            repeated=counts[ArrivalResult.REPEATED] + counts[ArrivalResult.MATCHED],
            unknown=counts[ArrivalResult.UNKNOWN] - unknown_repeated,
            unknown_repeated=unknown_repeated,
            in_summary=in_summary,
        )

    def _put(self, event: DeviceEvent) -> tuple[ArrivalResult, int]:
        """Store it, or find the one that it is. With the number of that event.

        The head end may tell one event twice: as an exception at once, and in the event log of a
        later read. Nothing says that the sequence numbers of the two agree, so of endpoint, name
        and time one exception and one entry of a log are the same event; two exceptions, or two
        entries, with different numbers are two (inferred).
        """
        sequence = _number(event.sequence)
        key = (event.endpoint, event.name, micros(event.at))
        known = list(self._db.execute(sql.SAME_TIME, key))
        mate: int | None = None
        for number, known_as, exception, other_sequence in known:
            other = bool(exception) is not event.exception
            if known_as == sequence and other and other_sequence is None:
                self._db.execute(sql.OTHER_SEQUENCE, (sequence, number))
            if known_as == sequence or (other and other_sequence == sequence):
                return (
                    ArrivalResult.REPEATED if known_as == sequence else ArrivalResult.MATCHED
                ), number
            if other and other_sequence is None and mate is None:
                mate = number
        if mate is not None:
            self._db.execute(sql.OTHER_SEQUENCE, (sequence, mate))
            return ArrivalResult.MATCHED, mate
        values = (
            *key,
            sequence,
            self._device(event.endpoint),
            event.category,
            event.pair,
            event.role is PairRole.LAST,
            event.exception,
            micros(self._now),
            encode(event),
        )
        return ArrivalResult.NEW, self._db.execute(sql.INSERT_EVENT, values).get

    def _keep_unknown(self, item: UnknownEvent) -> bool:
        key = (item.endpoint, item.seed.name, micros(item.at), _number(item.seed.sequence))
        self._db.execute(sql.INSERT_ERROR, (*key, encode(item.seed)))
        return bool(self._db.changes())

    def _resolve(self, error: int, result: ArrivalResult, event: int | None) -> None:
        """Close an error record; its arrivals are followed to the event, the first as what it
        became, the others as repeats."""
        names = {"error": error, "result": result, "event": event}
        self._db.execute(sql.FOLLOW_RESOLVED, names)
        self._db.execute(sql.RESOLVE_ERROR, (error,))

    def _device(self, endpoint: EndpointId) -> DeviceId | None:
        if endpoint not in self._devices:
            self._devices[endpoint] = self._db.execute(sql.DEVICE_OF, (endpoint,)).get
        return self._devices[endpoint]

    def _make_spells(self, events: Iterable[DeviceEvent]) -> None:
        """Each pair of each device again, from the last moment that the new events leave alone."""
        earliest: dict[tuple[EndpointId, str], int] = {}
        for event in events:
            key = (event.endpoint, event.pair)
            earliest[key] = min(micros(event.at), earliest.get(key, _HIGHEST))
        for (endpoint, pair), at in earliest.items():
            names = {"endpoint": endpoint, "pair": pair}
            before = self._db.execute(sql.BOUNDARY, {**names, "at": at}).get
            span = {**names, "after": -_HIGHEST if before is None else before}
            marks = [
                PairEnd(moment(when), sequence, bool(last))
                for when, sequence, last in self._db.execute(sql.MARKS, span)
            ]
            self._db.execute(sql.DROP_SPELLS, span)
            device = self._device(endpoint)
            self._db.executemany(
                sql.INSERT_SPELL,
                [
                    (endpoint, pair, micros(item.start), micros_or_none(item.end), device)
                    for item in spells(marks)
                ],
            )

    # ------------------------------------------------------------ telling

    def _tell(self, number: int, event: DeviceEvent) -> bool:
        """Publish it, or count it where its storm rule is used up."""
        rule = self._tables.storm_rule(event.name, event.category)
        if rule is not None:
            window = self._window(rule.bucket(event.name), rule.window_s)
            if window.published >= rule.publications:
                window.in_summary += 1
                window.counts[event.name] = window.counts.get(event.name, 0) + 1
                return False
            window.published += 1
        self._db.execute(sql.PUBLISHED, (number,))
        writing.publish(self._tx, [self._publication(event)], self._now)
        return True

    def _window(self, bucket: str, length_s: float) -> _Window:
        found = self._windows.get(bucket)
        if found is None:
            at = micros(self._now)
            row = self._db.execute(sql.OPEN_WINDOW, (bucket, at)).get
            if row is None:
                found = _Window(at, at + round(length_s * 1_000_000), 0, 0, {})
            else:
                started, ends, published, in_summary, counts = row
                found = _Window(started, ends, published, in_summary, _counts(counts))
            self._windows[bucket] = found
        return found

    def _started(self, event: DeviceEvent) -> datetime | None:
        """When what the event ends began."""
        if event.role is not PairRole.LAST:
            return None
        key = (event.endpoint, event.pair, micros(event.at))
        started: int | None = self._db.execute(sql.SPELL_ENDED_AT, key).get
        return None if started is None else moment(started)

    def _outage(self, event: DeviceEvent) -> Publication:
        """Each is told, in a storm as well: nothing else says which meter is dark."""
        over = event.role is PairRole.LAST
        since = self._started(event) if over else event.at
        device = self._device(event.endpoint)
        return Publication(
            id=EventId(f"{event.id}:outage"),
            type=f"openway.outage.{'ended' if over else 'began'}",
            subject=device or event.endpoint,
            severity=Severity.INFO if over else Severity.WARNING,
            data={
                "endpoint": event.endpoint,
                "device": device,
                "started_at": since,
                "ended_at": event.at if over else None,
                "duration_s": _seconds(since, event.at) if over else None,
                "event": event.id,
            },
        )

    def _publication(self, event: DeviceEvent) -> Publication:
        since = self._started(event)
        device = self._device(event.endpoint)
        return Publication(
            id=event.id,
            type="openway.device.event",
            subject=device or event.endpoint,
            severity=event.severity,
            data={
                "endpoint": event.endpoint,
                "device": device,
                "name": event.name,
                "head_end_name": event.head_end_name,
                "number": event.number,
                "category": event.category,
                "at": event.at,
                "conversion": event.conversion,
                "sequence": event.sequence,
                "exception": event.exception,
                "arguments": [list(item) for item in event.arguments],
                "started_at": since,
                "duration_s": _seconds(since, event.at),
            },
        )


def _seconds(since: datetime | None, until: datetime) -> float | None:
    return None if since is None else (until - since).total_seconds()


def _counts(body: bytes) -> dict[str, int]:
    """Only numbers for people: what cannot be read is counted anew, and no event waits for it."""
    try:
        return _decode_counts(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        log.warning("storm_counts_lost")
        return {}


def _number(sequence: int | None) -> int:
    return -1 if sequence is None else sequence
