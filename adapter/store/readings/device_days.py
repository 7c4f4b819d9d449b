"""Counts what each device sent of each local day, so that nobody has to look through measurements.

Counted is what is seen, in the order of the loads, in pieces that are small. Each day that a load
has a value of is counted as a whole from the values that are seen now: what was revised, came late
or twice makes no difference. A restored gateway's file may show fewer loads than were counted; the
days of those are counted again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Final

from adapter.commands.calls import ReadingKind
from adapter.readings.conditions import MISSING, NOTED
from adapter.readings.days import bounds_of, day_of, number_of
from adapter.store.connection import SqlConnection
from adapter.store.rows import micros, moment

_LOWEST: Final = -(2**63)
_EARLIEST: Final = micros(datetime(1900, 1, 2, tzinfo=UTC))
_LATEST: Final = micros(datetime(9999, 1, 1, tzinfo=UTC))
"""What is outside is of no day: calendars end there."""

_DONE: Final = 2**62
"""In place of a channel: all rows of the load are counted."""

STATE: Final = "SELECT zone, load, channel, at FROM counted"
_MOVE: Final = "UPDATE counted SET load = ?, channel = ?, at = ?"
_CLEAR: Final = """
DELETE FROM device_day WHERE (day, device) IN (SELECT day, device FROM device_day LIMIT ?)"""
_BEGIN: Final = "UPDATE counted SET zone = ?, load = 0, channel = 0, at = 0"
_FORGET_RECOUNTS: Final = "DELETE FROM recount"
_NEWEST: Final = "SELECT coalesce(max(id), 0) FROM load WHERE state = 'loaded'"
_NEXT_LOAD: Final = "SELECT id FROM load WHERE id > ? AND state = 'loaded' ORDER BY id LIMIT 1"
_NEXT_ROW: Final = """
SELECT channel, at FROM measured WHERE load = ? AND (channel, at) > (?, ?)
ORDER BY channel, at LIMIT 1"""
_QUARTER_DAY: Final = 21_600_000_000
# A day is longer than a quarter of one: the first and the last of each find all days.
_LOST: Final = f"""
INSERT INTO recount (channel, at)
SELECT channel, min(at) FROM measured WHERE load >= :load GROUP BY channel, at / {_QUARTER_DAY}
UNION
SELECT channel, max(at) FROM measured WHERE load >= :load GROUP BY channel, at / {_QUARTER_DAY}
ON CONFLICT DO NOTHING"""
_BACK: Final = f"UPDATE counted SET load = :load - 1, channel = {_DONE} WHERE load >= :load"
_RECOUNTS: Final = "SELECT channel, at FROM recount ORDER BY channel, at LIMIT ?"
_RECOUNTED: Final = "DELETE FROM recount WHERE channel = ? AND at = ?"
_DEVICE: Final = "SELECT device FROM channel WHERE id = ?"

_CHANNELS: Final = "SELECT id, component, kind, seconds FROM channel WHERE device = ?"
_FOUND: Final = f"value IS NOT NULL AND condition > {MISSING}"
_DOUBTFUL: Final = f"{_FOUND} AND condition < {NOTED}"
SUMS: Final = f"""
SELECT min(load), max(load), max(n), count(*) FILTER (WHERE {_FOUND}),
    count(*) FILTER (WHERE {_DOUBTFUL}), max(at)
FROM measured WHERE channel = ? AND at > ? AND at <= ?"""
ROWS: Final = f"""
SELECT at, load, {_FOUND}, {_DOUBTFUL} FROM measured WHERE channel = ? AND at > ? AND at <= ?
ORDER BY at, load, n"""
_LOAD: Final = """
SELECT p.at FROM load l JOIN payload p ON p.id = l.payload WHERE l.id = ? AND l.state = 'loaded'"""
_KNOWN_DEVICE: Final = "SELECT number FROM counted_device WHERE device = ?"
_PUT_DEVICE: Final = """
INSERT INTO counted_device (device, last_at, last_arrival) VALUES (?, ?, ?)
ON CONFLICT (device) DO UPDATE SET
    last_at = max(counted_device.last_at, excluded.last_at),
    last_arrival = max(counted_device.last_arrival, excluded.last_arrival)
RETURNING number"""
_PUT_DAY: Final = """
INSERT INTO device_day
    (day, device, expected, intervals, registers, doubtful, last_at, arrived, delay_s)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (day, device) DO UPDATE SET
    expected = excluded.expected, intervals = excluded.intervals, registers = excluded.registers,
    doubtful = excluded.doubtful, last_at = excluded.last_at, arrived = excluded.arrived,
    delay_s = excluded.delay_s"""
_NO_DAY: Final = "DELETE FROM device_day WHERE day = ? AND device = ?"
_LAST_AGAIN: Final = """
UPDATE counted_device SET last_at = found.last, last_arrival = found.arrival
FROM (SELECT max(last_at) AS last, max(arrived) AS arrival FROM device_day WHERE device = :number)
    AS found
WHERE number = :number AND found.last IS NOT NULL"""
_NO_DEVICE: Final = """
DELETE FROM counted_device
WHERE number = :number AND NOT EXISTS (SELECT 1 FROM device_day WHERE device = :number)"""
BEHIND: Final = f"""
SELECT count(*) FROM counted c CROSS JOIN load l ON l.id >= c.load
WHERE l.state = 'loaded' AND (l.id > c.load OR c.channel <> {_DONE})"""


def forget_from(db: SqlConnection, load: int) -> None:
    """The rows of this load, and of all after it, are about to go, or are seen no more."""
    db.execute(_LOST, {"load": load})
    db.execute(_BACK, {"load": load})


def count_days(db: SqlConnection, zone: tzinfo, most: int) -> int:
    """Count a piece: about so many days of devices. How much was done; 0: all is counted.

    `db` writes the file of measurements and reads the gateway's.
    """
    named, load, channel, at = next(db.execute(STATE))
    if named != str(zone):
        db.execute(_CLEAR, (most,))
        done = db.changes()
        if not done:
            db.execute(_FORGET_RECOUNTS)
            db.execute(_BEGIN, (str(zone),))
        return done or 1
    newest = db.execute(_NEWEST).get
    if load > newest:
        forget_from(db, newest + 1)
        return 1
    counting = _Counting(db, zone)
    if lost := list(db.execute(_RECOUNTS, (most,))):
        for each in lost:
            counting.count_again(*each)
            db.execute(_RECOUNTED, each)
        return len(lost)
    days = dict.fromkeys(_days_of_rows(db, zone, (load, channel, at), most))
    for device, day in days:
        counting.count(device, day)
    return len(days)


def _days_of_rows(
    db: SqlConnection, zone: tzinfo, place: tuple[int, int, int], most: int
) -> Iterator[tuple[str, date]]:
    """Whose which days the rows after a place are of. Moves the place."""
    load, channel, at = place
    found = 0
    devices: dict[int, str] = {}
    while found < most:
        row = next(db.execute(_NEXT_ROW, (load, channel, at)), None)
        if row is None:
            following = db.execute(_NEXT_LOAD, (load,)).get
            if following is None:
                channel = _DONE
                break
            load, channel, at = following, 0, _LOWEST
            continue
        channel, at = row
        found += 1
        if not _EARLIEST <= at < _LATEST:
            continue
        if channel not in devices:
            devices[channel] = db.execute(_DEVICE, (channel,)).get
        day = day_of(moment(at), zone)
        at = micros(bounds_of(day, zone)[1])
        yield devices[channel], day
    db.execute(_MOVE, (load, channel, at))


@dataclass(slots=True)
class _Counts:
    """Of a component, or of a device: values with a number, those in doubt, the newest one, and
    when the last of them came first. `last` None: nothing is seen."""

    found: int = 0
    doubtful: int = 0
    last: int | None = None
    arrived: int = 0

    def add(self, other: "_Counts") -> None:
        self.found += other.found
        self.doubtful += other.doubtful
        if other.last is not None:
            self.last = other.last if self.last is None else max(self.last, other.last)
        self.arrived = max(self.arrived, other.arrived)


class _Counting:
    """Counts days in one transaction, in which loads do not change."""

    def __init__(self, db: SqlConnection, zone: tzinfo) -> None:
        self._db = db
        self._zone = zone
        self._arrivals: dict[int, int | None] = {}

    def _arrival(self, load: int) -> int | None:
        """When the payload of a load came; None where the load is not seen."""
        if load not in self._arrivals:
            self._arrivals[load] = self._db.execute(_LOAD, (load,)).get
        return self._arrivals[load]

    def count(self, device: str, day: date) -> None:
        start, end = (micros(each) for each in bounds_of(day, self._zone))
        components: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for channel, component, kind, seconds in self._db.execute(_CHANNELS, (device,)):
            components.setdefault((component, kind), []).append((channel, seconds))
        everything = _Counts()
        expected = intervals = 0
        for (_, kind), channels in components.items():
            counts, seconds = self._component(channels, start, end)
            everything.add(counts)
            if kind == ReadingKind.INTERVAL and counts.last is not None and seconds > 0:
                expected += (end - start) // (seconds * 1_000_000)
                intervals += counts.found
        number = number_of(day)
        if everything.last is None:
            known = self._db.execute(_KNOWN_DEVICE, (device,)).get
            self._db.execute(_NO_DAY, (number, known))
            return
        last, arrived = everything.last, everything.arrived
        known = self._db.execute(_PUT_DEVICE, (device, last, arrived)).get
        sums = (expected, intervals, everything.found - intervals, everything.doubtful)
        delay_s = (arrived - end) // 1_000_000
        self._db.execute(_PUT_DAY, (number, known, *sums, last, arrived, delay_s))

    def _component(
        self, channels: list[tuple[int, int]], start: int, end: int
    ) -> tuple[_Counts, int]:
        """What it has of the day, and the longest interval of that. It has several channels where
        its endpoint, unit or interval changed."""
        with_rows = []
        for channel, seconds in channels:
            oldest, newest, number, *sums = next(self._db.execute(SUMS, (channel, start, end)))
            if newest is not None:
                with_rows.append((channel, seconds, oldest == newest and number == 0, sums, newest))
        longest = max((seconds for _, seconds, *_ in with_rows), default=0)
        if len(with_rows) == 1 and with_rows[0][2]:
            *_, (found, doubtful, last), load = with_rows[0]
            arrived = self._arrival(load)
            if arrived is None:
                return _Counts(), longest
            return _Counts(found, doubtful, last, arrived), longest
        return self._by_rows([channel for channel, *_ in with_rows], start, end), longest

    def _by_rows(self, channels: list[int], start: int, end: int) -> _Counts:
        """Of each time the last revision that is seen counts, and when the first of them came."""
        counts = _Counts()
        found: set[int] = set()
        doubtful: set[int] = set()
        for channel in channels:
            first: dict[int, int] = {}
            latest: dict[int, tuple[int, int]] = {}
            for at, load, is_found, is_doubtful in self._db.execute(ROWS, (channel, start, end)):
                arrived = self._arrival(load)
                if arrived is not None:
                    first[at] = min(first.get(at, arrived), arrived)
                    latest[at] = (is_found, is_doubtful)
            found |= {at for at, (is_found, _) in latest.items() if is_found}
            doubtful |= {at for at, (_, is_doubtful) in latest.items() if is_doubtful}
            if first:
                last = max(first)
                counts.last = last if counts.last is None else max(counts.last, last)
                counts.arrived = max(counts.arrived, *first.values())
        counts.found, counts.doubtful = len(found), len(doubtful)
        return counts

    def count_again(self, channel: int, at: int) -> None:
        """With the last of its device, which may have been of rows that are gone."""
        if not _EARLIEST <= at < _LATEST:
            return
        device = self._db.execute(_DEVICE, (channel,)).get
        self.count(device, day_of(moment(at), self._zone))
        number = self._db.execute(_KNOWN_DEVICE, (device,)).get
        if number is not None:
            self._db.execute(_LAST_AGAIN, {"number": number})
            self._db.execute(_NO_DEVICE, {"number": number})
