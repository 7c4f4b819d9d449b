"""Which meters have reported: the CompletenessStore port over the counted days.

No statement here reads measurements.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Final

import msgspec

from adapter.commands.activity import FINAL, Outcome
from adapter.commands.flows import READ_KINDS, CommandKind
from adapter.engine.readings.completeness import (
    DAY,
    WEEK,
    GroupDay,
    LastContact,
    MeterDay,
    MeterGap,
    MeterQuery,
    Silent,
)
from adapter.model.device import THIS_HEAD_END
from adapter.model.ids import DeviceId, EndpointId, endpoint_key, sortable_id
from adapter.readings.days import bounds_of, day_of_number, number_of
from adapter.readings.gaps import Gap
from adapter.store.connection import Rows, SqlConnection
from adapter.store.database import Database
from adapter.store.readings import device_days
from adapter.store.readings.values import missing_blocks
from adapter.store.rows import as_list, micros, moment, outcome_of

_Names = dict[str, Any]
_BY_ENDPOINT: Final = frozenset({Gap.FAILED, Gap.BLOCKS})
_NOTHING: Final = (0, 0, 0, 0)
_MONTH: Final = timedelta(days=30)

_NAMED: Final = "CAST(body AS TEXT) ->> '$.head_end'"
_ELSEWHERE: Final = f"""elsewhere AS MATERIALIZED (
    SELECT id FROM device WHERE json_valid(CAST(body AS TEXT)) AND {_NAMED} <> ''
        AND lower(trim({_NAMED})) <> :head_end)"""
"""Devices at other head ends. The index has this very term."""

_IS_EXPECTED: Final = """
    AND EXISTS (SELECT 1 FROM endpoint_device e WHERE e.device = i.device)
    AND i.device NOT IN (SELECT id FROM elsewhere)"""
_IN_GROUP: Final = """
    AND EXISTS (SELECT 1 FROM device_group g WHERE g.name = :group AND g.device = i.device)"""

# Both go through install events by device, in the order of their key.
_EVERY_METER: Final = f"""
FROM install_event i LEFT JOIN counted_device c ON c.device = i.device
WHERE i.removed = 0{_IS_EXPECTED}"""
_METERS_OF_GROUP: Final = f"""
FROM device_group g CROSS JOIN install_event i ON i.device = g.device
    LEFT JOIN counted_device c ON c.device = i.device
WHERE g.name = :group AND i.removed = 0{_IS_EXPECTED}"""

SILENT: Final = """
SELECT count(*), count(*) FILTER (WHERE c.last_at IS NULL OR c.last_at < :day),
    count(*) FILTER (WHERE c.last_at IS NULL OR c.last_at < :week),
    count(*) FILTER (WHERE c.last_at IS NULL)"""
_SUMS: Final = """count(*),
    count(*) FILTER (WHERE d.intervals + d.registers > 0),
    count(*) FILTER (WHERE d.intervals >= d.expected AND d.intervals + d.registers > 0),
    count(*) FILTER (WHERE d.doubtful > 0), count(*) FILTER (WHERE d.delay_s >= :late)"""
OF_GROUPS: Final = f"""
WITH {_ELSEWHERE}, member AS MATERIALIZED (
    SELECT coalesce(g.name, '') AS name, c.number AS number
    FROM install_event i JOIN counted_device c ON c.device = i.device
        LEFT JOIN device_group g ON g.device = i.device
    WHERE i.removed = 0 AND (:group IS NULL OR g.name = :group){_IS_EXPECTED})
SELECT d.day, m.name, {_SUMS}
FROM device_day d CROSS JOIN member m ON m.number = d.device WHERE d.day BETWEEN :from AND :until
GROUP BY d.day, m.name"""
OF_ALL: Final = f"""
WITH {_ELSEWHERE}, member AS MATERIALIZED (
    SELECT c.number AS number
    FROM install_event i JOIN counted_device c ON c.device = i.device
    WHERE i.removed = 0{_IS_EXPECTED}{{group}})
SELECT d.day, '', {_SUMS}
FROM device_day d CROSS JOIN member m ON m.number = d.device WHERE d.day BETWEEN :from AND :until
GROUP BY d.day"""
INSTALLED: Final = f"""
WITH {_ELSEWHERE}
SELECT coalesce(g.name, ''), i.installed_at, count(*)
FROM install_event i LEFT JOIN device_group g ON g.device = i.device
WHERE i.removed = 0 AND (:group IS NULL OR g.name = :group){_IS_EXPECTED}
GROUP BY 1, 2"""
INSTALLED_OF_ALL: Final = f"""
WITH {_ELSEWHERE}
SELECT '', i.installed_at, count(*) FROM install_event i
WHERE i.removed = 0{_IS_EXPECTED}{{group}} GROUP BY 2"""

_NOT_SINCE: Final = """
SELECT i.device, CASE WHEN c.last_at IS NULL THEN 'never reported'
    WHEN c.last_at < :month THEN 'nothing for a month' WHEN c.last_at < :week THEN
    'nothing for a week' WHEN c.last_at < :yesterday THEN 'nothing for a day'
    ELSE 'nothing since then' END, c.last_at, c.last_arrival, NULL, NULL"""
_SILENT_ONLY: Final = " AND (c.last_at IS NULL OR c.last_at < :since)"
# From the rows of the day to their meters.
_OF_DAY: Final = f"""
FROM device_day d CROSS JOIN counted_device c ON c.number = d.device
    CROSS JOIN install_event i ON i.device = c.device AND i.removed = 0
WHERE d.day = :number{_IS_EXPECTED}"""
_LATE: Final = """
SELECT i.device, CASE WHEN d.delay_s < 86400 THEN 'within a day of its end'
    WHEN d.delay_s < 604800 THEN 'within a week of its end' ELSE 'more than a week after its end'
    END, c.last_at, c.last_arrival, d.intervals, d.expected"""
_INCOMPLETE: Final = """
SELECT i.device, CASE WHEN d.intervals * 2 < d.expected THEN 'less than half of the intervals'
    ELSE 'half of the intervals or more' END, c.last_at, c.last_arrival, d.intervals, d.expected"""
# A read of many has an outcome for each; of one it is in the command. The newest one decides: max()
# alone in an aggregate query has the bare columns come from its row (documented by SQLite).
_NEWEST_OF: Final = "SELECT endpoint, outcome, number, max(id) FROM ended GROUP BY endpoint"
FAILED: Final = f"""
WITH read AS MATERIALIZED (
    SELECT id, number, state FROM command
    WHERE kind IN (SELECT value FROM json_each(:kinds)) AND id > :first),
ended AS (
    SELECT o.endpoint AS endpoint, CAST(o.body AS TEXT) AS outcome, NULL AS number, r.id AS id
    FROM read r CROSS JOIN outcome o ON o.command = r.id
    UNION ALL
    SELECT CAST(a.targets AS TEXT) ->> '$[0][1]', NULL, r.number, r.id
    FROM read r CROSS JOIN asked a ON a.number = r.number
    WHERE r.state IN (SELECT value FROM json_each(:final))
        AND json_array_length(CAST(a.targets AS TEXT)) = 1
        AND NOT EXISTS (SELECT 1 FROM outcome o WHERE o.command = r.id)),
newest AS ({_NEWEST_OF})
SELECT n.endpoint, n.outcome ->> '$.result', coalesce(n.outcome ->> '$.reason', ''), c.activity
FROM newest n LEFT JOIN command c ON c.number = n.number
WHERE n.outcome IS NULL OR n.outcome ->> '$.result' <> 'succeeded'"""
_OF_ENDPOINT: Final = f"""
WITH {_ELSEWHERE}
SELECT i.device, c.last_at, c.last_arrival
FROM endpoint_device x CROSS JOIN install_event i ON i.device = x.device AND i.removed = 0
    LEFT JOIN counted_device c ON c.device = i.device
WHERE x.key = :key{_IS_EXPECTED}"""
_ENDPOINT: Final = "SELECT endpoint FROM device WHERE id = ?"
_CAPABILITIES: Final = "json_each(CAST(d.body AS TEXT), '$.capabilities') AS able"
CAPABLE: Final = f"""
SELECT d.id FROM json_each(:devices) AS asked CROSS JOIN device d ON d.id = asked.value
WHERE EXISTS (SELECT 1 FROM {_CAPABILITIES}
              WHERE able.value = :kind)"""
METER_DAYS: Final = """
SELECT d.day, d.expected, d.intervals, d.registers, d.doubtful, d.arrived
FROM counted_device c CROSS JOIN device_day d ON d.device = c.number
WHERE c.device = ? AND d.day BETWEEN ? AND ? ORDER BY d.day"""
LAST_CONTACT: Final = "SELECT last_at, last_arrival FROM counted_device WHERE device = ?"


def list_query(gap: Gap, *, group: bool) -> str:
    """Of each meter: device, reason, newest value, newest arrival, intervals, expected."""
    of_group = _IN_GROUP if group else ""
    match gap:
        case Gap.NOT_SINCE:
            members = _METERS_OF_GROUP if group else _EVERY_METER
            body = f"{_NOT_SINCE}{members}{_SILENT_ONLY}"
        case Gap.LATE:
            body = f"{_LATE}{_OF_DAY}{of_group} AND d.delay_s >= :late"
        case Gap.INCOMPLETE:
            body = f"{_INCOMPLETE}{_OF_DAY}{of_group} AND d.intervals < d.expected"
        case Gap.FAILED | Gap.BLOCKS:
            raise AssertionError(f"{gap} is found by endpoint")
    return f"WITH {_ELSEWHERE} {body}"


_READ: Final = frozenset({Outcome.SUCCEEDED, Outcome.SUCCEEDED_INFERRED})


@dataclass(frozen=True, slots=True)
class _Listed:
    """A meter that was found by its endpoint."""

    device: str
    reason: str
    last_at: int | None
    last_arrival: int | None


class SqliteCompleteness:
    """On the threads of a Database. `zone` says what a day is, `head_end` what the own one is
    called."""

    def __init__(self, store: Database, zone: tzinfo, head_end: str = THIS_HEAD_END) -> None:
        self._store = store
        self._zone = zone
        self._head_end = head_end.strip().lower()

    async def count_days(self, *, most: int) -> int:
        return await self._store.measure(
            lambda tx: device_days.count_days(tx.connection, self._zone, most)
        )

    async def uncounted(self) -> int:
        return await self._store.query(lambda db: int(db.execute(device_days.BEHIND).get))

    # ------------------------------------------------------------ sums

    async def silent(self, group: str | None, *, now: datetime) -> Silent:
        names = self._names(group) | {"day": micros(now - DAY), "week": micros(now - WEEK)}
        members = _EVERY_METER if group is None else _METERS_OF_GROUP
        query = f"WITH {_ELSEWHERE}{SILENT}{members}"
        meters, a_day, a_week, never = await self._store.query(
            lambda db: next(_execute(db, query, names))
        )
        return Silent(meters=meters, a_day=a_day, a_week=a_week, never=never)

    async def group_days(
        self, first: date, last: date, *, group: str | None, late_after: timedelta
    ) -> Sequence[GroupDay]:
        names = self._names(group) | {"late": late_after.total_seconds()}
        return await self._store.query(
            lambda db: self._days(db, OF_GROUPS, INSTALLED, names, first, last)
        )

    async def all_meters(
        self, first: date, last: date, *, group: str | None, late_after: timedelta
    ) -> Sequence[GroupDay]:
        names = self._names(group) | {"late": late_after.total_seconds()}
        of_group = "" if group is None else _IN_GROUP
        sums, installed = (text.format(group=of_group) for text in (OF_ALL, INSTALLED_OF_ALL))
        return await self._store.query(
            lambda db: self._days(db, sums, installed, names, first, last)
        )

    def _days(
        self, db: SqlConnection, sums: str, installed: str, names: _Names, first: date, last: date
    ) -> list[GroupDay]:
        """Each group has a row for each day."""
        span = {"from": number_of(first), "until": number_of(last)}
        installs: dict[str, list[tuple[int, int]]] = {} if names["group"] is not None else {"": []}
        for name, at, count in _execute(db, installed, names):
            installs.setdefault(name, []).append((at, count))
        rows = {row[:2]: row[3:] for row in _execute(db, sums, names | span)}
        return [
            self._group_day(name, number, installs[name], rows.get((number, name), _NOTHING))
            for name in sorted(installs)
            for number in range(span["from"], span["until"] + 1)
        ]

    def _group_day(
        self, group: str, number: int, installs: list[tuple[int, int]], counts: Sequence[int]
    ) -> GroupDay:
        day = day_of_number(number)
        ends = micros(bounds_of(day, self._zone)[1])
        reported, whole, doubtful, late = counts
        return GroupDay(
            group=group,
            day=day,
            meters=max(sum(count for at, count in installs if at < ends), reported),
            reported=reported,
            whole=whole,
            doubtful=doubtful,
            late=late,
        )

    # ------------------------------------------------------------ lists

    async def count(self, wanted: MeterQuery, *, late_after: timedelta) -> int:
        if wanted.gap in _BY_ENDPOINT:
            return len(await self._store.query(lambda db: self._by_endpoint(db, wanted)))
        names = self._wanted(wanted, late_after)
        query = f"SELECT count(*) FROM ({list_query(wanted.gap, group=wanted.group is not None)})"
        return await self._store.query(lambda db: int(next(_execute(db, query, names))[0]))

    async def meters(self, wanted: MeterQuery, *, late_after: timedelta) -> Sequence[MeterGap]:
        if wanted.gap in _BY_ENDPOINT:
            return await self._store.query(lambda db: self._page_by_endpoint(db, wanted))
        names = self._wanted(wanted, late_after)
        query = list_query(wanted.gap, group=wanted.group is not None)
        query += " AND i.device > :after ORDER BY i.device LIMIT :limit"

        def look(db: SqlConnection) -> list[MeterGap]:
            return [_gap(db, *row) for row in list(_execute(db, query, names))]

        return await self._store.query(look)

    def _wanted(self, wanted: MeterQuery, late_after: timedelta) -> _Names:
        now = self._store.now()
        return self._names(wanted.group) | {
            "since": micros(wanted.since),
            "number": number_of(wanted.day),
            "late": late_after.total_seconds(),
            "yesterday": micros(now - DAY),
            "week": micros(now - WEEK),
            "month": micros(now - _MONTH),
            "after": wanted.after or "",
            "limit": wanted.limit,
        }

    def _names(self, group: str | None) -> _Names:
        return {"head_end": self._head_end, "group": group}

    def _page_by_endpoint(self, db: SqlConnection, wanted: MeterQuery) -> list[MeterGap]:
        after = wanted.after or ""
        found = [each for each in self._by_endpoint(db, wanted) if each.device > after]
        return [
            _gap(db, each.device, each.reason, each.last_at, each.last_arrival, None, None)
            for each in found[: wanted.limit]
        ]

    def _by_endpoint(self, db: SqlConnection, wanted: MeterQuery) -> list[_Listed]:
        """By device, those that are expected to report."""
        reasons = self._failed(db, wanted) if wanted.gap is Gap.FAILED else self._short(db, wanted)
        query = _OF_ENDPOINT + ("" if wanted.group is None else _IN_GROUP)
        found = []
        for endpoint, reason in reasons.items():
            names = self._names(wanted.group) | {"key": endpoint_key(endpoint)}
            for device, last_at, last_arrival in _execute(db, query, names):
                found.append(_Listed(device, reason, last_at, last_arrival))
        return sorted(found, key=lambda each: each.device)

    def _short(self, db: SqlConnection, wanted: MeterQuery) -> dict[str, str]:
        """Of which endpoints some blocks of the day came since it began, and not all."""
        start, end = bounds_of(wanted.day, self._zone)
        short = missing_blocks(db, None, start, end, (start, self._store.now()))
        return {endpoint: str(blocks) for endpoint, blocks in short.items()}

    def _failed(self, db: SqlConnection, wanted: MeterQuery) -> dict[str, str]:
        """Of which endpoints the newest read since then did not succeed, and why."""
        names = {
            "first": sortable_id(max(int(wanted.since.timestamp() * 1000), 0), 0),
            "kinds": as_list(sorted(READ_KINDS)),
            "final": as_list(sorted(FINAL)),
        }
        found = {}
        for endpoint, result, reason, activity in db.execute(FAILED, names):
            if result is not None:
                found[endpoint] = reason or result
                continue
            try:
                outcome, reason = outcome_of(activity)
            except (msgspec.DecodeError, ValueError):
                outcome, reason = None, "its command cannot be read"
            if outcome not in _READ:
                found[endpoint] = reason or str(outcome or Outcome.UNKNOWN)
        return found

    async def capable(self, devices: Sequence[DeviceId], kind: CommandKind) -> Sequence[DeviceId]:
        names = {"devices": as_list(devices), "kind": kind.value}
        return await self._store.query(
            lambda db: [DeviceId(device) for (device,) in db.execute(CAPABLE, names)]
        )

    # ------------------------------------------------------------ one meter

    async def meter_days(self, device: DeviceId, first: date, last: date) -> Sequence[MeterDay]:
        values = (device, number_of(first), number_of(last))

        def look(db: SqlConnection) -> list[MeterDay]:
            return [
                MeterDay(
                    day=day_of_number(number),
                    expected=expected,
                    intervals=intervals,
                    registers=registers,
                    doubtful=doubtful,
                    arrived=moment(arrived),
                )
                for number, expected, intervals, registers, doubtful, arrived in db.execute(
                    METER_DAYS, values
                )
            ]

        return await self._store.query(look)

    async def last_contact(self, device: DeviceId) -> LastContact | None:
        def look(db: SqlConnection) -> LastContact | None:
            row = db.execute(LAST_CONTACT, (device,)).fetchone()
            if row is None:
                return None
            return LastContact(last_at=moment(row[0]), last_arrival=moment(row[1]))

        return await self._store.query(look)


def _execute(db: SqlConnection, query: str, names: _Names) -> Rows:
    return db.execute(query, {name: value for name, value in names.items() if f":{name}" in query})


def _gap(
    db: SqlConnection,
    device: str,
    reason: str,
    last_at: int | None,
    last_arrival: int | None,
    intervals: int | None,
    expected: int | None,
) -> MeterGap:
    endpoint = db.execute(_ENDPOINT, (device,)).get
    return MeterGap(
        device=DeviceId(device),
        endpoint=EndpointId(endpoint or ""),
        reason=reason,
        last_at=None if last_at is None else moment(last_at),
        last_arrival=None if last_arrival is None else moment(last_arrival),
        intervals=intervals,
        expected=expected,
    )
