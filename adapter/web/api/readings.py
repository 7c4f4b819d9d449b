"""Routes of measurements, arrived events and payloads: pages, and all of it as lines.

Lines are JSON: first `{"columns": [...]}`, then one array a row, last `{"rows": n}`. Where the last
one is missing, the answer was cut off.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta, Struct

from adapter.engine.readings.ports import Payload, PayloadId, PayloadState
from adapter.engine.readings.reports import (
    EventRow,
    Grouping,
    Origin,
    PayloadGroup,
    PayloadStatistics,
    ValueQuery,
    ValueRow,
)
from adapter.model.ids import DeviceId
from adapter.model.measurement import (
    CONDITION_LIMIT,
    REGULAR,
    Measurement,
)
from adapter.web.api.call import (
    ApiContext,
    ApiRequest,
    ApiResponse,
    DecimalText,
    Id,
    Moment,
    answer_from,
    bad_query,
    check_device,
    decimal_of,
    flag_of,
    id_of,
    limit_of,
    member,
    whole_of,
)
from adapter.web.api.problems import ProblemRaised

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AT_ONCE: Final = 5_000
"""Rows read from the store in one go."""
_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
_encode: Final = msgspec.json.Encoder().encode


# ---------------------------------------------------------------- what is taken


class EnteredIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A reading that people have. `condition`: six digits, higher is better."""

    device: Id
    component: Id
    at: Moment
    value: DecimalText
    condition: Annotated[int, Meta(ge=0, le=CONDITION_LIMIT)] = REGULAR


class ReadingsIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """All are taken, or none. Of a device, component and time the last one entered counts."""

    measurements: Annotated[list[EnteredIn], Meta(min_length=1, max_length=10_000)]

    def values(self) -> list[Measurement]:
        return [
            Measurement(
                id="",
                device=DeviceId(each.device),
                component=each.component,
                at=each.at,
                value=decimal_of(f"measurements[{number}].value", each.value),
                condition=each.condition,
            )
            for number, each in enumerate(self.measurements)
        ]


# ---------------------------------------------------------------- what is given


def _moment(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


class ValueOut(Struct, kw_only=True):
    """One value of one channel. `at` is the END of the interval, or the register's time; numbers
    are exact texts; of one channel and time the highest load_run and number counts. What people
    read is of no payload (0): `entered_by` is who entered it, at `entered_at`, or the report of the
    crew."""

    device: str
    endpoint: str
    component: str
    kind: str
    quantity: str
    source: str
    seconds: int
    unit: str
    tou: str
    sqi: str
    start: datetime | None
    at: datetime
    value: Decimal | None
    head_end_value: Decimal | None
    condition: int
    statuses: list[str]
    conversion: str
    load_run: int
    number: int
    payload: int
    origin: Origin
    entered_by: str
    entered_at: datetime | None

    @classmethod
    def of(cls, row: ValueRow) -> "ValueOut":
        words = row._asdict()
        words["start"] = None if row.start is None else _moment(row.start)
        words["at"] = _moment(row.at)
        words["origin"] = Origin(row.origin)
        words["entered_at"] = None if row.entered_at is None else _moment(row.entered_at)
        words["value"] = None if row.value is None else Decimal(row.value)
        words["head_end_value"] = (
            None if row.head_end_value is None else Decimal(row.head_end_value)
        )
        words["statuses"] = row.statuses.split(",") if row.statuses else []
        return cls(**words)


class ValuePageOut(Struct, kw_only=True):
    """What people entered and crews read by device and time; then what payloads brought, ordered by
    device, component, channel, time. A page may be short and still have a next."""

    items: list[ValueOut]
    next: str | None


class ArrivedEventOut(Struct, kw_only=True):
    """One event or exception as it arrived, with the head end's own words, and what became of it:
    new, repeated, matched (known from the other callback, inferred), unknown, or nothing yet.
    `conversion` says in which zone a time without offset was read, or that it is that of the
    receipt; empty where its offset was told. `device_event` is its device event; started_at,
    ended_at and duration_s are those of what it begins or ends, as an outage; `in_summary`: counted
    in a storm's summary, not published."""

    id: int
    device: str
    endpoint: str
    at: datetime
    exception: bool
    name: str
    category: str
    log_type: str
    number: int | None
    source: str
    sequence: int | None
    arguments: msgspec.Raw
    received: str
    conversion: str
    load_run: int
    payload: int
    result: str
    device_event: int | None
    standard_name: str
    standard_category: str
    severity: str
    pair: str
    role: str
    started_at: datetime | None
    ended_at: datetime | None
    duration_s: Decimal | None
    published: bool
    in_summary: bool

    @classmethod
    def of(cls, row: EventRow) -> "ArrivedEventOut":
        words = row._asdict()
        words["at"] = _moment(row.at)
        words["started_at"] = None if row.started_at is None else _moment(row.started_at)
        words["ended_at"] = None if row.ended_at is None else _moment(row.ended_at)
        words["duration_s"] = None if row.duration_s is None else Decimal(row.duration_s)
        words["arguments"] = msgspec.Raw(row.arguments.encode())
        return cls(**words)


class ArrivedEventPageOut(Struct, kw_only=True):
    """In the order of arrival. A page may be short and still have a next."""

    items: list[ArrivedEventOut]
    next: str | None


class LinesEnd(Struct, kw_only=True):
    """The last line. The first is `{"columns": [...]}`, those between are arrays, one a row; times
    are whole microseconds since 1970 (UTC), numbers exact texts."""

    rows: int


class PayloadOut(Struct, kw_only=True):
    """A message or file that was taken in. `position` is the byte where it was refused; `counts`
    say what became of its content; `lag_s` is from its arrival until its rows were to be seen."""

    id: int
    inbox: int | None
    source: str
    operation: str
    state: PayloadState
    reason: str
    position: int | None
    at: datetime
    finished_at: datetime | None
    lag_s: float | None
    bytes: int
    counts: Mapping[str, int]

    @classmethod
    def of(cls, payload: Payload) -> "PayloadOut":
        finished = payload.finished
        return answer_from(
            cls,
            payload,
            finished_at=finished,
            lag_s=None if finished is None else (finished - payload.at).total_seconds(),
            bytes=payload.size,
        )


class PayloadPage(Struct, kw_only=True):
    """Newest first. `next` is the cursor of the page after this one."""

    items: list[PayloadOut]
    next: str | None


class PayloadStatisticsOut(Struct, kw_only=True):
    """`open_errors`: error records that nobody has resolved, by reason."""

    groups: list[PayloadGroup]
    open_errors: Mapping[str, int]

    @classmethod
    def of(cls, found: PayloadStatistics) -> "PayloadStatisticsOut":
        return cls(groups=list(found.groups), open_errors=found.open_errors)


class EnteredOut(Struct, kw_only=True):
    entered: int


# ---------------------------------------------------------------- the routes


async def list_measurements(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    page = await api.gateway.readings.reports.values(
        _wanted(asked), cursor=asked.query.get("cursor"), limit=limit_of(asked)
    )
    if not page.rows:
        await check_device(api, asked.query.get("device"))
    return ApiResponse(
        body=ValuePageOut(items=[ValueOut.of(row) for row in page.rows], next=page.next)
    )


async def list_arrived_events(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    page = await api.gateway.readings.reports.events(
        _wanted(asked), cursor=asked.query.get("cursor"), limit=limit_of(asked)
    )
    if not page.rows:
        await check_device(api, asked.query.get("device"))
    return ApiResponse(
        body=ArrivedEventPageOut(
            items=[ArrivedEventOut.of(row) for row in page.rows], next=page.next
        )
    )


async def export_measurements(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    reports, wanted = api.gateway.readings.reports, _wanted(asked)
    return await _lines(
        api,
        ValueRow._fields,
        lambda cursor: reports.values(wanted, cursor=cursor, limit=_AT_ONCE),
    )


async def export_arrived_events(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    reports, wanted = api.gateway.readings.reports, _wanted(asked)
    return await _lines(
        api,
        EventRow._fields,
        lambda cursor: reports.events(wanted, cursor=cursor, limit=_AT_ONCE),
    )


async def list_payloads(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    before = PayloadId(whole_of(asked, "cursor")) if "cursor" in asked.query else None
    found = await api.gateway.readings.reports.payloads(before=before, limit=limit)
    return ApiResponse(
        body=PayloadPage(
            items=[PayloadOut.of(payload) for payload in found],
            next=str(found[-1].id) if len(found) == limit else None,
        )
    )


async def get_payload_statistics(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = _wanted(asked)
    by = member(asked, "by", Grouping) or Grouping.OPERATION
    found = await api.gateway.readings.reports.statistics(wanted.start, wanted.end, by=by)
    return ApiResponse(body=PayloadStatisticsOut.of(found))


async def enter_readings(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    values = asked.read(ReadingsIn).values()
    await api.gateway.readings.entered.enter(values, by=asked.actor)
    return ApiResponse(body=EnteredOut(entered=len(values)))


# ---------------------------------------------------------------- what they share


class _Page(Protocol):
    @property
    def rows(self) -> Sequence[tuple[object, ...]]: ...
    @property
    def next(self) -> str | None: ...


async def _lines(
    api: ApiContext, columns: Iterable[str], page: Callable[[str | None], Awaitable[_Page]]
) -> ApiResponse:
    """The first page is read before anything is answered, so that what is wrong is a problem."""
    if api.exporting.locked():
        raise ProblemRaised(
            429, "too_many_exports", "too many exports already", headers={"Retry-After": "10"}
        )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(api.exporting)
        first = await page(None)
        kept = stack.pop_all()
    return ApiResponse(lines=_sent(columns, first, page, kept))


async def _sent(
    columns: Iterable[str],
    first: _Page,
    page: Callable[[str | None], Awaitable[_Page]],
    kept: AsyncExitStack,
) -> AsyncGenerator[bytes, None]:
    async with kept:
        yield _encode({"columns": list(columns)}) + b"\n"
        count, found = 0, first
        while True:
            count += len(found.rows)
            yield b"".join(_encode(row) + b"\n" for row in found.rows)
            if found.next is None:
                break
            found = await page(found.next)
        yield _encode({"rows": count}) + b"\n"


def _wanted(asked: ApiRequest) -> ValueQuery:
    return ValueQuery(
        start=_time(asked, "from", _EARLIEST),
        end=_time(asked, "to", _LATEST),
        device=id_of(asked, "device"),
        component=id_of(asked, "component"),
        revisions=flag_of(asked, "revisions"),
    )


def _time(asked: ApiRequest, name: str, otherwise: datetime) -> datetime:
    given = asked.query.get(name)
    if given is None:
        return otherwise
    try:
        at = datetime.fromisoformat(given)
        if at.utcoffset() is None:
            raise bad_query(name, "needs a zone, as in 2026-03-01T06:00:00Z")
        return min(max(at.astimezone(UTC), _EARLIEST), _LATEST - timedelta(seconds=1))
    except (ValueError, OverflowError):
        raise bad_query(name, "a time as 2026-03-01T06:00:00Z") from None
