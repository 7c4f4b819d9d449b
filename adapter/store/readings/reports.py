"""Pages of measurements, events and payloads, read from a database that others write."""

import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from adapter.commands.calls import ReadingKind
from adapter.commands.completion import same_quantity
from adapter.engine.readings.ports import Payload, PayloadId
from adapter.engine.readings.reports import (
    ArrivedEventPage,
    EventRow,
    Grouping,
    Origin,
    PayloadGroup,
    PayloadStatistics,
    ValuePage,
    ValueQuery,
    ValueRow,
)
from adapter.errors import InvalidRequest, StoreFailed
from adapter.events.pairing import DeviceEvent
from adapter.model.device import Device, MeasuringComponent
from adapter.model.measurement import Entered
from adapter.readings.lookups import QUANTITIES
from adapter.readings.normalise import text_of
from adapter.readings.seeds import EventSeed
from adapter.store.commands import queries as registry_queries
from adapter.store.connection import SqlConnection
from adapter.store.database import Database
from adapter.store.events.ingest import ArrivalResult
from adapter.store.migrate import APPLICATION_ID, BEFORE_RELEASE, NOT_BROUGHT_OVER, scripts
from adapter.store.readings import queries
from adapter.store.readings.file import connect_reader_of_both
from adapter.store.readings.payload_rows import payload_of
from adapter.store.rows import decode_device, encode, micros, micros_or_none, moment

CHANNELS_AT_ONCE: Final = 20_000
"""Channels that one page looks at, so that no question keeps the reading thread for long."""

EVENTS_AT_ONCE: Final = 50_000
_OF_PAYLOAD: Final = (Origin.PAYLOAD.value, "", None)

_HIGHEST: Final = 2**63 - 1
_LOWEST: Final = -(2**63)
_TOLD_CURSOR: Final = re.compile(r"p(\d{1,18})\.((?:[0-9a-f]{2})+)", re.ASCII)
_CURSOR: Final = re.compile(r"[ve](-?\d{1,19}(?:\.-?\d{1,19})*)", re.ASCII)
_MOST_WRITTEN_OUT: Final = 60
_decode_entered: Final = msgspec.json.Decoder(Entered).decode
_decode_counts: Final = msgspec.json.Decoder(dict[str, int]).decode
_decode_event: Final = msgspec.json.Decoder(EventSeed).decode
_decode_device_event: Final = msgspec.json.Decoder(DeviceEvent).decode


class SqliteReports:
    """The Reports port, on the thread of a Database for questions that take long."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def values(self, wanted: ValueQuery, *, cursor: str | None, limit: int) -> ValuePage:
        return await self._store.query(lambda db: values(db, wanted, cursor, limit))

    async def events(
        self, wanted: ValueQuery, *, cursor: str | None, limit: int
    ) -> ArrivedEventPage:
        return await self._store.query(lambda db: events(db, wanted, cursor, limit))

    async def payloads(
        self, *, before: PayloadId | None = None, limit: int = 50
    ) -> Sequence[Payload]:
        return await self._store.query(lambda db: payloads(db, before, limit))

    async def statistics(
        self, start: datetime, end: datetime, *, by: Grouping
    ) -> PayloadStatistics:
        return await self._store.query(lambda db: statistics(db, start, end, by))


def open_store(path: Path) -> apsw.Connection:
    """A connection that only reads, also beside a running gateway. Raises StoreFailed."""
    try:
        connection = connect_reader_of_both(path)
    except apsw.Error as error:
        raise StoreFailed(f"cannot open {path}: {error}") from error
    try:
        version = int(connection.pragma("user_version"))
        application = int(connection.pragma("application_id"))
    except apsw.Error as error:
        connection.close()
        raise StoreFailed(f"cannot read {path}: {error}") from error
    newest = scripts()[-1][0]
    if application == APPLICATION_ID and version == newest:
        return connection
    connection.close()
    text = "is no store of a gateway"
    if application in BEFORE_RELEASE:
        text = NOT_BROUGHT_OVER
    elif application == APPLICATION_ID:
        text = f"has version {version}, not {newest}"
    raise StoreFailed(f"{path} {text}")


# ---------------------------------------------------------------- values


def values(db: SqlConnection, wanted: ValueQuery, cursor: str | None, limit: int) -> ValuePage:
    """At most `limit` rows after `cursor`; see Reports."""
    if cursor is not None and cursor.startswith("v"):
        as_of, channel, *place = _place("v", cursor, 5)
        return _of_channels(db, wanted, as_of, (channel, tuple(place)), [], limit)
    as_of, last = _told_place(cursor) if cursor is not None else (_as_of(db), "")
    rows: list[ValueRow] = []
    for looked, (key, row) in enumerate(entered_after(db, wanted, last), start=1):
        if wanted.component in (None, row.component):
            rows.append(row)
        if len(rows) == limit or looked == CHANNELS_AT_ONCE:
            return ValuePage(rows=rows, next=f"p{as_of}.{key.encode().hex()}")
    return _of_channels(db, wanted, as_of, None, rows, limit)


def _of_channels(
    db: SqlConnection,
    wanted: ValueQuery,
    as_of: int,
    place: tuple[int, tuple[int, ...]] | None,
    rows: list[ValueRow],
    limit: int,
) -> ValuePage:
    """A page of `rows` and those of channels after a place, or all of them."""
    channel, after = place or (0, (_LOWEST, 0, 0))
    last = channel
    chosen = {"device": wanted.device, "component": wanted.component, "channel": channel}
    query = queries.channels_of(
        device=wanted.device is not None,
        component=wanted.component is not None,
        resumed=place is not None,
    )
    found = db.execute(query, {name: v for name, v in chosen.items() if f":{name}" in query})
    for looked, (last, *words) in enumerate(found, start=1):
        if last != channel:
            after = (_LOWEST, 0, 0)
        for at, load, number, row in _of_channel(db, wanted, last, words, after, as_of):
            rows.append(row)
            if len(rows) == limit:
                return ValuePage(rows=rows, next=f"v{as_of}.{last}.{at}.{load}.{number}")
        if looked == CHANNELS_AT_ONCE:
            return ValuePage(rows=rows, next=f"v{as_of}.{last}.{_HIGHEST}.0.0")
    return ValuePage(rows=rows, next=None)


def _of_channel(
    db: SqlConnection,
    wanted: ValueQuery,
    channel: int,
    words: Sequence[str | int],
    after: tuple[int, ...],
    as_of: int,
) -> Iterator[tuple[int, int, int, ValueRow]]:
    """(at, load, number, row) of one channel after a place; one per time, or all revisions."""
    found = db.execute(
        queries.REPORTED_VALUES,
        {
            "channel": channel,
            "start": max(micros(wanted.start) + 1, after[0]),
            "end": micros(wanted.end),
            "at": after[0],
            "load": after[1],
            "n": after[2],
            "as_of": as_of,
        },
    )
    length = int(words[6]) * 1_000_000
    held: tuple[int, int, int, ValueRow] | None = None
    for at, value, head_end_value, condition, statuses, conversion, load, number, payload in found:
        start = at - length if length else None
        measure = (start, at, value, head_end_value, condition, statuses, conversion)
        row = ValueRow._make((*words, *measure, load, number, payload, *_OF_PAYLOAD))
        if held is not None and (wanted.revisions or held[0] != at):
            yield held
        held = (at, load, number, row)
    if held is not None:
        yield held


def _as_of(db: SqlConnection) -> int:
    newest: int = db.execute(queries.NEWEST_LOAD).get
    return newest


def _place(kind: str, cursor: str, parts: int) -> list[int]:
    found = _CURSOR.fullmatch(cursor)
    numbers = [int(part) for part in found[1].split(".")] if found is not None else []
    if not cursor.startswith(kind) or len(numbers) != parts:
        raise InvalidRequest("cursor", "must be `next` of the page before")
    if not all(_LOWEST <= number <= _HIGHEST for number in numbers):
        raise InvalidRequest("cursor", "must be `next` of the page before")
    return numbers


def _told_place(cursor: str) -> tuple[int, str]:
    found = _TOLD_CURSOR.fullmatch(cursor)
    if found is None:
        raise InvalidRequest("cursor", "must be `next` of the page before")
    return int(found[1]), bytes.fromhex(found[2]).decode(errors="replace")


# ---------------------------------------------------------------- readings of crews and people


def entered_after(
    db: SqlConnection, wanted: ValueQuery, key: str
) -> Iterator[tuple[str, ValueRow]]:
    """(key, row) of each that `wanted` means, of any component, by device and time, after a key.

    Raises InvalidRequest where there is no such key.
    """
    if key and db.execute(queries.ENTERED_KEY, (key,)).get is None:
        raise InvalidRequest("cursor", "must be `next` of the page before")
    query = queries.entered(device=wanted.device is not None, resumed=bool(key))
    values = {
        "device": wanted.device,
        "start": micros(wanted.start),
        "end": micros(wanted.end),
        "key": key,
    }
    known: Device | None = None
    found = db.execute(query, {name: v for name, v in values.items() if f":{name}" in query})
    for id_, device, body in found:
        if known is None or known.id != device:
            stored = db.execute(registry_queries.DEVICE, (device,)).get
            known = None if stored is None else decode_device(stored)
        yield id_, _entered_row(device, known, _decode_entered(body))


def _unit_of(component: MeasuringComponent | None) -> str:
    """Where nobody says it, that of its quantity as it is shipped."""
    if component is None or component.unit:
        return "" if component is None else component.unit
    shipped = QUANTITIES.get(same_quantity(component.quantity))
    return "" if shipped is None else shipped.unit


def _entered_row(device: str, known: Device | None, told: Entered) -> ValueRow:
    """A crew's is told by its report, which gives the reading its id."""
    components = () if known is None else known.components
    component = next((each for each in components if each.id == told.component), None)
    entered = told.entered_at is not None
    return ValueRow(
        device=device,
        endpoint=(known.endpoint or "") if known is not None else "",
        component=told.component,
        kind=ReadingKind.REGISTER.value,
        quantity=component.quantity if component is not None else "",
        source="",
        seconds=0,
        unit=_unit_of(component),
        tou="",
        sqi="",
        start=None,
        at=micros(told.at),
        value=_entered_text(told.value),
        head_end_value=None,
        condition=told.condition,
        statuses="",
        conversion="",
        load_run=0,
        number=0,
        payload=0,
        origin=Origin.ENTERED.value if entered else Origin.CREW.value,
        entered_by=told.by if entered else told.id.removesuffix(f"/{told.component}"),
        entered_at=micros_or_none(told.entered_at),
    )


def _entered_text(value: Decimal) -> str:
    """Written out, but for absurd exponents, which nobody refused: 1e999999 is a megabyte."""
    return text_of(value) if abs(value.adjusted()) <= _MOST_WRITTEN_OUT else str(value)


# ---------------------------------------------------------------- events


def events(
    db: SqlConnection, wanted: ValueQuery, cursor: str | None, limit: int
) -> ArrivedEventPage:
    """At most `limit` rows after `cursor`; see Reports."""
    as_of, after = _place("e", cursor, 2) if cursor is not None else [_as_of(db), 0]
    newest: int = db.execute(queries.NEWEST_EVENT).get
    until = min(after + EVENTS_AT_ONCE, newest)
    found = db.execute(
        queries.REPORTED_EVENTS,
        {
            "after": after,
            "until": until,
            "start": micros(wanted.start),
            "end": micros(wanted.end),
            "device": wanted.device,
            "as_of": as_of,
            "limit": limit,
        },
    )
    rows = [_event(row) for row in found]
    if len(rows) == limit:
        until = rows[-1].id
    return ArrivedEventPage(rows=rows, next=f"e{as_of}.{until}" if until < newest else None)


def _event(row: tuple[Any, ...]) -> EventRow:
    number, device, endpoint, at, exception, name, body, load, payload, *followed = row
    seed = _decode_event(body)
    return EventRow(
        id=number,
        device=device or "",
        endpoint=endpoint,
        at=at,
        exception=bool(exception),
        name=name,
        category=seed.category,
        log_type=seed.log_type,
        number=seed.number,
        source=seed.source,
        sequence=seed.sequence,
        arguments=encode(_named(seed.arguments)).decode(),
        received=seed.received,
        conversion=seed.conversion,
        load_run=load,
        payload=payload,
        **_followed(*followed),
    )


def _followed(
    result: str,
    number: int | None,
    published: int | None,
    body: bytes | None,
    started_at: int | None,
    ended_at: int | None,
) -> dict[str, Any]:
    """What became of an arrival; without a device event nothing more is known."""
    event = None if body is None else _decode_device_event(body)
    new = result == ArrivalResult.NEW
    return {
        "result": result,
        "device_event": number,
        "standard_name": event.name if event else "",
        "standard_category": event.category if event else "",
        "severity": event.severity.value if event else "",
        "pair": event.pair if event else "",
        "role": event.role.value if event else "",
        "started_at": started_at,
        "ended_at": ended_at,
        "duration_s": None
        if started_at is None or ended_at is None
        else _seconds(ended_at - started_at),
        "published": new and bool(published),
        "in_summary": new and event is not None and not published,
    }


def _seconds(span: int) -> str:
    """Microseconds as an exact number of seconds, without zeros behind the point."""
    whole, rest = divmod(span, 1_000_000)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")


def _named(arguments: tuple[tuple[str, str], ...]) -> dict[str, str | list[str]]:
    """By name; of a name that came several times all texts."""
    found: dict[str, str | list[str]] = {}
    for name, text in arguments:
        before = found.get(name)
        if before is None:
            found[name] = text
        else:
            found[name] = [*([before] if isinstance(before, str) else before), text]
    return found


# ---------------------------------------------------------------- payloads


def payloads(db: SqlConnection, before: PayloadId | None, limit: int) -> list[Payload]:
    """Newest first."""
    found = db.execute(queries.PAYLOADS, (before or _HIGHEST, limit))
    return [payload_of(row) for row in found]


@dataclass(slots=True)
class _Sums:
    first: int
    last: int = 0
    payloads: int = 0
    bytes: int = 0
    states: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    lags: "array[float]" = field(default_factory=lambda: array("d"))


def statistics(
    db: SqlConnection, start: datetime, end: datetime, by: Grouping
) -> PayloadStatistics:
    """Of payloads that arrived in start <= at < end."""
    groups: dict[str, _Sums] = {}
    for row in db.execute(queries.ARRIVED, (micros(start), micros(end))):
        number, operation, state, at, finished, size, counts, token = row
        key = {
            Grouping.OPERATION: operation,
            Grouping.TOKEN: token or "",
            Grouping.DAY: moment(at).date().isoformat(),
            Grouping.PAYLOAD: str(number),
        }[by]
        sums = groups.setdefault(key, _Sums(first=at))
        sums.first, sums.last = min(sums.first, at), max(sums.last, at)
        sums.payloads += 1
        sums.bytes += size
        sums.states[state] += 1
        sums.counts.update(_decode_counts(counts))
        if state == "loaded" and finished is not None:
            sums.lags.append((finished - at) / 1_000_000)
    return PayloadStatistics(
        groups=[_group(name, groups[name]) for name in groups],
        open_errors=dict(db.execute(queries.COUNT_ERRORS)),
    )


def _group(name: str, sums: _Sums) -> PayloadGroup:
    lags = sorted(sums.lags)
    return PayloadGroup(
        group=name,
        payloads=sums.payloads,
        bytes=sums.bytes,
        states=dict(sums.states),
        counts=dict(sums.counts),
        first_arrival=moment(sums.first).astimezone(UTC),
        last_arrival=moment(sums.last).astimezone(UTC),
        lag_median_s=_rank(lags, 0.5),
        lag_95_s=_rank(lags, 0.95),
        lag_longest_s=_rank(lags, 1.0),
    )


def _rank(ordered: Sequence[float], share: float) -> float | None:
    """The value below or at which this share of the values lies (nearest rank)."""
    if not ordered:
        return None
    return ordered[max(0, -(-int(share * 100) * len(ordered) // 100) - 1)]
